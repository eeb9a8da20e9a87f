"""The variants' modules with the classes, attributes and state_dict names of the usual PyTorch code, written from docs/variants.

SPDX-License-Identifier: MIT
For tests only: they stand for the packages that the pages and tools/from_torch.py know by name.
"""
import pywt
import torch
import torch.nn.functional as F
from torch import nn


class Scale(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(shape))

    def forward(self, x):
        return self.weight * x


class WTConv2d(nn.Module):
    """WTConv: depthwise convolutions on the bands of wavelet transforms."""
    AXES = 2

    def __init__(self, in_channels, out_channels, kernel_size=5, stride=1, bias=True, wt_levels=1, wt_type="db1"):
        super().__init__()
        c, axes, self.wt_levels, self.stride = in_channels, self.AXES, wt_levels, stride
        self.bands, conv = 2 ** axes, (nn.Conv1d, nn.Conv2d)[axes - 1]
        w = pywt.Wavelet(wt_type)
        self.wt_filter = nn.Parameter(self.bank(w.dec_lo[::-1], w.dec_hi[::-1], c), requires_grad=False)
        self.iwt_filter = nn.Parameter(self.bank(w.rec_lo, w.rec_hi, c), requires_grad=False)
        self.base_conv = conv(c, c, kernel_size, padding="same", groups=c, bias=bias)
        self.base_scale = Scale((1, c) + (1,) * axes)
        self.wavelet_convs = nn.ModuleList(
            conv(c * self.bands, c * self.bands, kernel_size, padding="same", groups=c * self.bands, bias=False)
            for _ in range(wt_levels))
        self.wavelet_scale = nn.ModuleList(Scale((1, c * self.bands) + (1,) * axes) for _ in range(wt_levels))

    def bank(self, low, high, channels):
        pair = torch.tensor([low, high], dtype=torch.float32)
        filters = torch.einsum("ay,bx->bayx", pair, pair).flatten(0, 1) if self.AXES == 2 else pair
        return filters[:, None].repeat(channels, 1, *(1,) * self.AXES)

    def forward(self, x):
        forward = (F.conv1d, F.conv2d)[self.AXES - 1]
        back = (F.conv_transpose1d, F.conv_transpose2d)[self.AXES - 1]
        c, padding, low, levels = x.shape[1], self.wt_filter.shape[-1] // 2 - 1, x, []
        for conv, scale in zip(self.wavelet_convs, self.wavelet_scale):
            size = low.shape[2:]
            bands = forward(F.pad(low, [n for s in reversed(size) for n in (0, s % 2)]), self.wt_filter, None, 2, padding, 1, c)
            low = bands[:, ::self.bands]
            levels.append((size, scale(conv(bands))))
        added = 0
        for size, bands in reversed(levels):
            bands = bands.clone()
            bands[:, ::self.bands] += added
            added = back(bands, self.iwt_filter, None, 2, padding, groups=c)[(..., *(slice(0, s) for s in size))]
        y = self.base_scale(self.base_conv(x)) + added
        if self.stride == 1:
            return y
        return F.avg_pool1d(y, self.stride) if self.AXES == 1 else y[:, :, ::self.stride, ::self.stride]


class WTConv1d(WTConv2d):
    AXES = 1


def per_sample(m, x, weight, bias):
    """A kernel a sample: [n, co, ci/g, ...]."""
    conv = (F.conv1d, F.conv2d)[x.dim() - 3]
    y = conv(x.reshape(1, -1, *x.shape[2:]), weight.flatten(0, 1), None if bias is None else bias.flatten(), m.stride,
             m.padding, m.dilation, m.groups * x.shape[0])
    return y.reshape(x.shape[0], weight.shape[1], *y.shape[2:])


class Experts(nn.Module):
    def __init__(self, in_planes, out_planes, kernel_size, stride=1, padding=0, dilation=1, groups=1, K=4, bias=True, axes=2):
        super().__init__()
        self.in_planes, self.out_planes, self.kernel_size, self.K = in_planes, out_planes, kernel_size, K
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.weight = nn.Parameter(torch.randn(K, out_planes, in_planes // groups, *(kernel_size,) * axes) / kernel_size)
        self.bias = nn.Parameter(torch.randn(K, out_planes)) if bias else None

    def mixed(self, x, attention):
        weight = torch.einsum("nk,k...->n...", attention, self.weight)
        return per_sample(self, x, weight, None if self.bias is None else attention @ self.bias)


class CondConv2d(nn.Module):
    """timm's: flattened experts, the routing is an input."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1, dilation=1, groups=1, bias=False,
                 num_experts=4):
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, (kernel_size, kernel_size)
        self.stride, self.padding, self.dilation, self.groups = (stride, stride), (padding, padding), (dilation, dilation), groups
        self.dynamic_padding, self.num_experts = False, num_experts
        self.shape = (out_channels, in_channels // groups, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(num_experts, torch.Size(self.shape).numel()) / kernel_size)
        self.register_parameter("bias", nn.Parameter(torch.randn(num_experts, out_channels)) if bias else None)

    def forward(self, x, routing_weights):
        weight = (routing_weights @ self.weight).reshape(-1, *self.shape)
        return per_sample(self, x, weight, None if self.bias is None else routing_weights @ self.bias)


class DynamicAttention(nn.Module):
    def __init__(self, in_planes, K, temperature, axes):
        super().__init__()
        conv, hidden = (nn.Conv1d, nn.Conv2d)[axes - 1], K if in_planes == 3 else int(in_planes * 0.25) + 1
        self.fc1, self.fc2, self.temperature = conv(in_planes, hidden, 1, bias=False), conv(hidden, K, 1), temperature

    def forward(self, x):
        mean = x.mean(tuple(range(2, x.dim())), keepdim=True)
        return torch.softmax(self.fc2(F.relu(self.fc1(mean))).flatten(1) / self.temperature, 1)


class Dynamic_conv2d(Experts):
    def __init__(self, in_planes, out_planes, kernel_size, temperature=34, axes=2, **more):
        super().__init__(in_planes, out_planes, kernel_size, axes=axes, **more)
        self.attention = DynamicAttention(in_planes, self.K, temperature, axes)

    def forward(self, x):
        return self.mixed(x, self.attention(x))


class Dynamic_conv1d(Dynamic_conv2d):
    def __init__(self, *args, **more):
        super().__init__(*args, axes=1, **more)


class ODAttention(nn.Module):
    def __init__(self, m, reduction, temperature=1.0):
        super().__init__()
        hidden = max(int(m.in_planes * reduction), 16)
        self.temperature = temperature
        self.fc, self.bn = nn.Conv2d(m.in_planes, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        self.channel_fc = nn.Conv2d(hidden, m.in_planes, 1)
        if not m.in_planes == m.groups == m.out_planes:
            self.filter_fc = nn.Conv2d(hidden, m.out_planes, 1)
        if m.kernel_size > 1:
            self.spatial_fc = nn.Conv2d(hidden, m.kernel_size ** 2, 1)
        if m.K > 1:
            self.kernel_fc = nn.Conv2d(hidden, m.K, 1)

    def forward(self, x):
        z = F.relu(self.bn(self.fc(x.mean((2, 3), keepdim=True))))
        return lambda head: getattr(self, head)(z) / self.temperature if hasattr(self, head) else None


class ODConv2d(Experts):
    def __init__(self, in_planes, out_planes, kernel_size, reduction=0.0625, kernel_num=4, **more):
        super().__init__(in_planes, out_planes, kernel_size, K=kernel_num, bias=False, **more)
        self.attention = ODAttention(self, reduction)

    def forward(self, x):
        logits, n, k = self.attention(x), x.shape[0], self.kernel_size
        kernels, spatial, filters = logits("kernel_fc"), logits("spatial_fc"), logits("filter_fc")
        mixture = torch.ones(n, 1) if kernels is None else torch.softmax(kernels.flatten(1), 1)
        weight = torch.einsum("nk,k...->n...", mixture, self.weight)
        if spatial is not None:
            weight = weight * torch.sigmoid(spatial).reshape(n, 1, 1, k, k)
        y = per_sample(self, x * torch.sigmoid(logits("channel_fc")), weight, None)
        return y if filters is None else y * torch.sigmoid(filters)


class OctaveConv(nn.Module):
    """d-li14's: a tensor or (x_h, x_l) to (y_h, y_l), y_l None where alpha_out is 0."""

    def __init__(self, in_channels, out_channels, kernel_size, alpha_in=0.5, alpha_out=0.5, stride=1, padding=0, dilation=1,
                 groups=1, bias=False):
        super().__init__()
        self.stride, self.alpha_in, self.alpha_out, self.is_dw = stride, alpha_in, alpha_out, groups == in_channels
        low_in, low_out = int(alpha_in * in_channels), int(alpha_out * out_channels)
        self.high_in, self.low_in = in_channels - low_in, low_in
        conv = lambda ci, co: nn.Conv2d(ci, co, kernel_size, 1, padding, dilation, groups, bias) if ci and co else None
        self.conv_h2h = conv(self.high_in, out_channels - low_out)
        self.conv_h2l = conv(self.high_in, low_out)
        self.conv_l2h = conv(low_in, out_channels - low_out)
        self.conv_l2l = conv(low_in, low_out)

    def forward(self, x):
        high, low = x if isinstance(x, tuple) else (x, None)
        pool = lambda t: F.avg_pool2d(t, 2)
        high = pool(high) if self.stride == 2 else high
        y_h, y_l = self.conv_h2h(high), self.conv_h2l(pool(high)) if self.conv_h2l else None
        if low is not None:
            l2h = self.conv_l2h(low)
            y_h = y_h + (l2h if self.stride == 2 else F.interpolate(l2h, scale_factor=2, mode="nearest"))
            if self.conv_l2l:
                y_l = y_l + self.conv_l2l(pool(low) if self.stride == 2 else low)
        return y_h, y_l


class ArticleOctaveConv(nn.Module):
    """lxtGH's, with one tensor for the four paths."""

    def __init__(self, in_channels, out_channels, kernel_size, alpha_in=0.5, alpha_out=0.5, stride=1, padding=1, bias=True):
        super().__init__()
        self.stride, self.padding, self.dilation, self.groups = stride, padding, 1, 1
        self.weights = nn.Parameter(torch.randn(out_channels, in_channels, *kernel_size) / in_channels)
        self.bias = nn.Parameter(torch.randn(out_channels)) if bias else None
        self.high_in, self.high_out = int(in_channels * (1 - alpha_in)), int(out_channels * (1 - alpha_out))

    def forward(self, x):
        i, o = self.high_in, self.high_out
        bias = (None, None) if self.bias is None else (self.bias[:o], self.bias[o:])
        conv = lambda t, weight, b: F.conv2d(t, weight, b, 1, self.padding)
        high, low = (F.avg_pool2d(t, 2) if self.stride == 2 else t for t in x)
        l2h = F.interpolate(conv(low, self.weights[:o, i:], bias[0]), scale_factor=2)
        y_l = conv(F.avg_pool2d(high, 2), self.weights[o:, :i], bias[1]) + conv(low, self.weights[o:, i:], bias[1])
        return conv(high, self.weights[:o, :i], bias[0]) + l2h, y_l


ArticleOctaveConv.__name__ = "OctaveConv"


class space_to_depth(nn.Module):
    def forward(self, x):
        return torch.cat([x[..., dy::2, dx::2] for dx in range(2) for dy in range(2)], 1)


class SeparableConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3, padding=1, bias=False):
        super().__init__()
        self.conv_dw = nn.Conv2d(in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=False)
        self.conv_pw = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x):
        return self.conv_pw(self.conv_dw(x))
