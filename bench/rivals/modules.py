"""The variants as plain PyTorch modules, written from the equations in docs/variants: what a user composes today.

SPDX-License-Identifier: MIT
module_of(problem, parameters) -> torch.nn.Module; parameters: name -> tensor, named and shaped as hconv names them.
A module takes x (octave: x_h and x_l, those that exist), then routing (condconv `routed`), then residual (`res`); n c h w.
"""
import pywt
import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky": lambda x: F.leaky_relu(x, 0.01),
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "gelu": F.gelu,
    "gelutanh": lambda x: F.gelu(x, approximate="tanh"),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def norm(parameters, prefix, kind=nn.BatchNorm2d):
    if prefix + "weight" not in parameters:
        return nn.Identity()
    layer = kind(parameters[prefix + "weight"].numel())
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(layer, name).data = parameters[prefix + name].clone()
    return layer.eval()


def pads(p):
    """As one padding for the convolution where it is symmetric, else (explicit padding, 0)."""
    if p.pad_top == p.pad_bottom and p.pad_left == p.pad_right:
        return nn.Identity(), (p.pad_top, p.pad_left)
    return nn.ZeroPad2d((p.pad_left, p.pad_right, p.pad_top, p.pad_bottom)), (0, 0)


def convolution(p, weight, bias, padding, groups, stride=None):
    co, per_group, kh, kw = weight.shape
    layer = nn.Conv2d(per_group * groups, co, (kh, kw), stride or (p.stride_h, p.stride_w), padding,
                      (p.dilation_h, p.dilation_w), groups, bias is not None)
    layer.weight.data = weight.clone()
    if bias is not None:
        layer.bias.data = bias.clone()
    return layer


class Tail(nn.Module):
    """y = activation(bn(sum) + residual)"""

    def __init__(self, p, parameters, prefix="bn.", kind=nn.BatchNorm2d):
        super().__init__()
        self.bn = norm(parameters, prefix, kind)
        self.activation = p.activation
        if p.activation == "prelu":
            self.slope = nn.Parameter(parameters["slope"].clone())

    def forward(self, x, residual=None):
        x = self.bn(x)
        if residual is not None:
            x = x + residual
        return F.prelu(x, self.slope) if self.activation == "prelu" else ACTIVATIONS[self.activation](x)


class Conv(nn.Module):
    def __init__(self, p, parameters):
        super().__init__()
        self.pad, padding = pads(p)
        self.conv = convolution(p, parameters["weight"], parameters.get("bias"), padding, p.groups)
        self.tail = Tail(p, parameters)

    def forward(self, x, residual=None):
        return self.tail(self.conv(self.pad(x)), residual)


class Linear(nn.Module):
    def __init__(self, p, parameters):
        super().__init__()
        if len(parameters) > 2:
            raise NotImplementedError("a linear layer is written here without norm")
        weight, bias = parameters["weight"], parameters.get("bias")
        self.fc = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
        self.fc.weight.data = weight.clone()
        if bias is not None:
            self.fc.bias.data = bias.clone()
        self.activation = ACTIVATIONS[p.activation]

    def forward(self, x, residual=None):
        return self.activation(self.fc(x) if residual is None else self.fc(x) + residual)


class Transposed(nn.Module):
    def __init__(self, p, parameters):
        super().__init__()
        weight, bias = parameters["weight"], parameters.get("bias")
        if (p.pad_top, p.pad_left) != (p.pad_bottom, p.pad_right):
            raise NotImplementedError("PyTorch's transposed convolution has the same padding on both sides")
        self.conv = nn.ConvTranspose2d(p.ci, p.co, (p.kh, p.kw), (p.stride_h, p.stride_w), (p.pad_top, p.pad_left),
                                       (p.out_pad_h, p.out_pad_w), p.groups, bias is not None,
                                       (p.dilation_h, p.dilation_w))
        self.conv.weight.data = weight.clone()
        if bias is not None:
            self.conv.bias.data = bias.clone()
        self.tail = Tail(p, parameters)

    def forward(self, x, residual=None):
        return self.tail(self.conv(x), residual)


class DepthwiseSeparable(nn.Module):
    def __init__(self, p, parameters):
        super().__init__()
        self.pad, padding = pads(p)
        self.depthwise = convolution(p, parameters["depthwise_conv.weight"], parameters.get("depthwise_conv.bias"),
                                     padding, p.ci)
        if p.mid_activation == "prelu":
            raise NotImplementedError("no prelu is written here between the two convolutions")
        self.mid_bn = norm(parameters, "mid_bn.")
        self.mid = ACTIVATIONS[p.mid_activation]
        weight = parameters["pointwise_conv.weight"]
        self.pointwise = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias="pointwise_conv.bias" in parameters)
        self.pointwise.weight.data = weight.clone()
        if self.pointwise.bias is not None:
            self.pointwise.bias.data = parameters["pointwise_conv.bias"].clone()
        self.tail = Tail(p, parameters)

    def forward(self, x, residual=None):
        return self.tail(self.pointwise(self.mid(self.mid_bn(self.depthwise(self.pad(x))))), residual)


class RowCol(nn.Module):
    """Several pairs a channel: the rows of one channel's pairs are one group of the second convolution."""

    def __init__(self, p, parameters):
        super().__init__()
        self.pad, (above, left) = pads(p)
        column, row = parameters["col.weight"], parameters["row.weight"]
        pairs = column.shape[0] // p.ci
        self.col = convolution(p, column, None, (above, 0), p.ci, (p.stride_h, 1))
        self.row = convolution(p, row.reshape(p.ci, pairs, 1, row.shape[3]), parameters.get("bias"), (0, left), p.ci,
                               (1, p.stride_w))
        self.tail = Tail(p, parameters)

    def forward(self, x, residual=None):
        return self.tail(self.row(self.col(self.pad(x))), residual)


def space_to_depth(x, block):
    return torch.cat([x[..., dy::block, dx::block] for dx in range(block) for dy in range(block)], 1)


class Spd(nn.Module):
    BEFORE, AFTER, ONLY = 0, 1, 2

    def __init__(self, p, parameters):
        super().__init__()
        self.block, self.order = p.extra[0], p.extra[1]
        self.pad, self.conv = nn.Identity(), nn.Identity()
        if self.order != self.ONLY:
            self.pad, padding = pads(p)
            self.conv = convolution(p, parameters["weight"], parameters.get("bias"), padding, p.groups)
        if self.order == self.AFTER and "slope" in parameters:  # behind SPD every block has the same slopes
            parameters = {**parameters, "slope": parameters["slope"].repeat(self.block ** 2)}
        self.tail = Tail(p, parameters)

    def forward(self, x, residual=None):
        if self.order == self.BEFORE:
            return self.tail(self.conv(self.pad(space_to_depth(x, self.block))), residual)
        return self.tail(space_to_depth(self.conv(self.pad(x)), self.block), residual)


class Octave(nn.Module):
    """Four convolutions between a high and a low map; even sizes."""
    ARTICLE, FB, DLI = 0, 1, 2

    def __init__(self, p, parameters):
        super().__init__()
        low_in, low_out, self.dialect = p.extra[:3]
        self.stride, self.has_high, self.has_low = p.stride_h, low_in < p.ci, low_in > 0
        if p.h % (2 * p.stride_h) or p.w % (2 * p.stride_w) or (self.dialect == self.ARTICLE and p.groups > 1):
            raise NotImplementedError("octave convolution is written here for even sizes, and the article's for one group")
        weights = parameters
        if self.dialect == self.ARTICLE:
            high_in, high_out = p.ci - low_in, p.co - low_out
            whole, bias = parameters["weights"], parameters.get("bias")
            weights = {}
            for name, rows, columns in (("h2h", slice(0, high_out), slice(0, high_in)),
                                        ("h2l", slice(high_out, p.co), slice(0, high_in)),
                                        ("l2h", slice(0, high_out), slice(high_in, p.ci)),
                                        ("l2l", slice(high_out, p.co), slice(high_in, p.ci))):
                if whole[rows, columns].numel():
                    weights[f"conv_{name}.weight"] = whole[rows, columns]
                    weights[f"conv_{name}.bias"] = None if bias is None else bias[rows]
        for name in ("h2h", "h2l", "l2h", "l2l"):
            weight = weights.get(f"conv_{name}.weight")
            if weight is None:
                setattr(self, name, None)
                continue
            channels = low_in if name[0] == "l" else p.ci - low_in
            setattr(self, name, convolution(p, weight, weights.get(f"conv_{name}.bias"), pads(p)[1],
                                            channels // weight.shape[1], (1, 1)))
        slopes = parameters.get("slope", torch.empty(0)).split([p.co - low_out, low_out] if "slope" in parameters else 0)
        of = lambda i: {**parameters, **({"slope": slopes[i]} if "slope" in parameters else {})}
        self.tail_h, self.tail_l = Tail(p, of(0), "bn_h."), Tail(p, of(1), "bn_l.")

    def forward(self, *maps):
        maps = list(maps)
        high = maps.pop(0) if self.has_high else None
        low = maps.pop(0) if self.has_low else None
        half = lambda x: F.avg_pool2d(x, 2)
        up = lambda x: F.interpolate(x, scale_factor=2, mode="nearest")
        strided, same_rate = self.stride == 2, low
        if strided:
            high = half(high) if high is not None else None
            low = half(low) if low is not None else None
        y_h = y_l = None
        if self.h2h is not None:
            y_h = self.h2h(high)
        if self.l2h is not None:
            add = self.l2h(same_rate) if strided and self.dialect != self.ARTICLE else up(self.l2h(low))
            y_h = add if y_h is None else y_h + add
        if self.l2l is not None:
            y_l = self.l2l(low)
        if self.h2l is not None:
            add = self.h2l(half(high))
            y_l = add if y_l is None else y_l + add
        residual = lambda: maps.pop(0) if maps else None
        outputs = [self.tail_h(y_h, residual())] if y_h is not None else []
        return tuple(outputs + ([self.tail_l(y_l, residual())] if y_l is not None else []))


class WTConv(nn.Module):
    def __init__(self, p, parameters, wavelet, lines):
        super().__init__()
        self.lines, self.levels, self.stride, self.ci = lines, p.extra[0], p.stride_w, p.ci
        self.conv = F.conv1d if lines else F.conv2d
        self.transposed = F.conv_transpose1d if lines else F.conv_transpose2d
        self.bands = 2 if lines else 4
        taps = pywt.Wavelet(wavelet)
        low, high = torch.tensor(taps.dec_lo[::-1]), torch.tensor(taps.dec_hi[::-1])
        back_low, back_high = torch.tensor(taps.rec_lo), torch.tensor(taps.rec_hi)
        self.padding = low.numel() // 2 - 1
        dtype = parameters["base_conv.weight"].dtype
        bank = lambda lo, hi: (torch.stack([lo, hi]) if lines else
                               torch.stack([torch.outer(a, b) for b in (lo, hi) for a in (lo, hi)]))
        repeated = lambda b: b[:, None].repeat(p.ci, 1, 1, *([] if lines else [1])).to(dtype)
        self.register_buffer("wt_filter", repeated(bank(low, high)))
        self.register_buffer("iwt_filter", repeated(bank(back_low, back_high)))
        self.names = []
        for name, value in parameters.items():
            if name.startswith(("base_", "wavelet_")):
                self.register_parameter(name.replace(".", "_"), nn.Parameter(value.clone()))
        self.tail = Tail(p, parameters, kind=nn.BatchNorm1d if lines else nn.BatchNorm2d)

    def same(self, x, weight, bias=None):
        return self.conv(x, weight, bias, padding="same", groups=weight.shape[0])

    def forward(self, x, residual=None):
        axes, low, details, sizes = x.dim() - 2, x, [], []
        for i in range(self.levels):
            sizes.append(low.shape[2:])
            if any(size % 2 for size in low.shape[2:]):
                low = F.pad(low, [n for size in reversed(low.shape[2:]) for n in (0, size % 2)])
            bands = self.conv(low, self.wt_filter, None, 2, self.padding, groups=self.ci)
            low = bands[:, ::self.bands]
            scaled = self.same(bands, getattr(self, f"wavelet_convs_{i}_weight"))
            details.append(getattr(self, f"wavelet_scale_{i}_weight") * scaled)
        back = None
        for bands, size in zip(reversed(details), reversed(sizes)):
            if back is not None:
                bands = bands.reshape(bands.shape[0], self.ci, self.bands, *bands.shape[2:])
                bands = torch.cat([bands[:, :, :1] + back[:, :, None], bands[:, :, 1:]], 2).flatten(1, 2)
            back = self.transposed(bands, self.iwt_filter, None, 2, self.padding, groups=self.ci)
            back = back[(Ellipsis, *(slice(0, n) for n in size))]
        base = self.same(x, self.base_conv_weight, getattr(self, "base_conv_bias", None))
        y = self.base_scale_weight * base + back
        if self.stride > 1:
            y = F.avg_pool1d(y, self.stride, self.stride) if axes == 1 else y[:, :, ::self.stride, ::self.stride]
        return self.tail(y, residual)


class PerSample(nn.Module):
    """A kernel a sample, mixed of experts: one convolution whose groups are the samples'."""

    def __init__(self, p, parameters):
        super().__init__()
        self.p, self.temperature = p, 1.0
        self.pad, self.padding = pads(p)
        self.weight = nn.Parameter(parameters["weight"].reshape(-1, p.co, p.ci // p.groups, p.kh, p.kw).clone())
        self.bias = nn.Parameter(parameters["bias"].clone()) if "bias" in parameters else None
        self.tail = Tail(p, parameters)

    def mix(self, attention):
        return (attention @ self.weight.flatten(1)).reshape(-1, *self.weight.shape[2:])

    def convolve(self, x, weight, bias):
        p, n = self.p, x.shape[0]
        x = self.pad(x)
        x = x.reshape(1, n * p.ci, *x.shape[2:])
        y = F.conv2d(x, weight, bias, (p.stride_h, p.stride_w), self.padding, (p.dilation_h, p.dilation_w), n * p.groups)
        return y.reshape(n, p.co, *y.shape[2:])

    def experts(self, x, attention, residual):
        bias = None if self.bias is None else (attention @ self.bias).reshape(-1)
        return self.tail(self.convolve(x, self.mix(attention), bias), residual)


def fully_connected(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    layer.weight.data = weight.flatten(1).clone()
    if bias is not None:
        layer.bias.data = bias.clone()
    return layer


class CondConv(PerSample):
    def __init__(self, p, parameters):
        super().__init__(p, parameters)
        self.routed = "route.fc.weight" not in parameters
        if not self.routed:
            self.fc = fully_connected(parameters["route.fc.weight"], parameters["route.fc.bias"])

    def forward(self, x, *more):
        more = list(more)
        attention = more.pop(0) if self.routed else torch.sigmoid(self.fc(x.mean((2, 3))))
        return self.experts(x, attention, more[0] if more else None)


class DynamicConv(PerSample):
    def __init__(self, p, parameters):
        super().__init__(p, parameters)
        self.fc1 = fully_connected(parameters["attention.fc1.weight"], None)
        self.fc2 = fully_connected(parameters["attention.fc2.weight"], parameters["attention.fc2.bias"])

    def forward(self, x, residual=None):
        attention = torch.softmax(self.fc2(F.relu(self.fc1(x.mean((2, 3))))) / self.temperature, 1)
        return self.experts(x, attention, residual)


class ODConv(PerSample):
    def __init__(self, p, parameters):
        super().__init__(p, parameters)
        self.fc = fully_connected(parameters["attention.fc.weight"], None)
        self.bn = norm(parameters, "attention.bn.")
        for head in ("channel", "filter", "spatial", "kernel"):
            name = f"attention.{head}_fc."
            present = name + "weight" in parameters
            setattr(self, head, fully_connected(parameters[name + "weight"], parameters[name + "bias"]) if present else None)

    def forward(self, x, residual=None):
        n, kh, kw = x.shape[0], self.p.kh, self.p.kw
        z = F.relu(self.bn(self.fc(x.mean((2, 3)))[:, :, None, None]).flatten(1))
        x = x * torch.sigmoid(self.channel(z) / self.temperature)[:, :, None, None]
        if self.kernel is None:
            weight = self.weight.expand(n, *self.weight.shape[1:])
        else:
            weight = self.mix(torch.softmax(self.kernel(z) / self.temperature, 1)).reshape(n, *self.weight.shape[1:])
        if self.spatial is not None:
            weight = weight * torch.sigmoid(self.spatial(z) / self.temperature).reshape(n, 1, 1, kh, kw)
        y = self.convolve(x, weight.flatten(0, 1), None)
        if self.filter is not None:
            y = y * torch.sigmoid(self.filter(z) / self.temperature)[:, :, None, None]
        return self.tail(y, residual)


FAMILIES = {
    "conv2d": Conv, "dilated": Conv, "grouped": Conv, "depthwise": Conv, "pointwise": Conv, "linear": Linear,
    "transposed": Transposed, "depthwise_separable": DepthwiseSeparable, "rowcol": RowCol, "spd": Spd, "octave": Octave,
    "condconv": CondConv, "dynamicconv": DynamicConv, "odconv": ODConv,
}


def module_of(p, parameters):
    if p.variant in ("wtconv", "wtconv1d"):
        named = {w.replace(".", ""): w for w in pywt.wavelist(kind="discrete")}
        wavelet = next((named[word] for word in p.text.split("_") if word in named), "db1")
        return WTConv(p, parameters, wavelet, p.variant == "wtconv1d").eval()
    if p.variant not in FAMILIES:
        raise NotImplementedError(f"no PyTorch module is written for {p.variant}")
    return FAMILIES[p.variant](p, parameters).eval()
