#!/usr/bin/env python3
"""A PyTorch model to what hconv reads: problem list, parameters, and (--goldens) each layer's input and output.

SPDX-License-Identifier: MIT
    from_torch.py FILE.py[:FUNCTION] -o FOLDER [--layout nhwc|nchw] [--goldens]
FUNCTION (default: example) takes nothing and returns (model, sample input or tuple of inputs). Or from Python:
    import from_torch; from_torch.export(model, sample, "folder", goldens=True)
FOLDER gets problems.txt (for hconv check, emit, bench), parameters.safetensors and layers.json: of every layer its problem, the
prefix of its parameters, what was folded into it and the command that runs it; and the layers that hconv cannot serve, why not.

The model runs once on the sample, in eval mode, and hooks watch. A batch norm, an addition or an activation becomes part of the
layer before it only where it is certain that nothing else reads what lies between: every torch function and every operator
is seen, and the model's own outputs count as read. docs/from-torch.md has the modules that are known.
"""
import argparse
import ctypes
import importlib.util
import json
import pathlib
import struct
import sys

try:
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError as missing:
    sentence = f"from_torch.py needs PyTorch ({missing}): use the Python that your model runs with"
    raise SystemExit(sentence) if __name__ == "__main__" else ImportError(sentence)

nn = torch.nn


class Unserved(Exception):
    """Why hconv has no kernel for a layer."""


# ---- problems: one function a kind of module, from (module, inputs, outputs) to a Layer --------------------------------------


class Layer:
    """A problem in parts, with its parameters under hconv's names."""

    def __init__(self, variant, keys, words=(), parameters=None, inputs=("x",), outputs=("y",), folds=True):
        self.variant, self.keys, self.words = variant, keys, [w for w in words if w]
        self.parameters = {k: v for k, v in (parameters or {}).items() if v is not None}
        self.inputs, self.outputs, self.folds = inputs, outputs, folds

    def text(self, layout):
        layout_word = ["nchw"] if layout == "nchw" and self.variant != "linear" else []
        own = [w for w in self.words if w not in ("nobias", "bn", "res", self.activation())]
        common = [w for w in ("nobias", "bn", "res") if w in self.words]
        return "_".join([self.variant, *(f"{k}{v}" for k, v in self.keys), *own, *layout_word, *common,
                         *filter(None, [self.activation()])])

    def activation(self):
        return next((w for w in self.words if w in ACTIVATION_WORDS), None)


def pair(value, dimensions):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dimensions


def sizes(x):
    """Keys of an input [n, c, (h,) w]: 1-D is one row."""
    n, c, *rest = x.shape
    h, w = rest if len(rest) == 2 else (1, rest[0])
    return [("n", n)] * (n != 1) + [("ci", c), ("h", h)] + [("w", w)] * (w != h)


def by_axis(name, values, default):
    """k3, or kh3_kw5; of one dimension the column's key alone."""
    if len(values) == 1:
        return [] if values[0] == default else [(f"{name}w", values[0])]
    if values[0] == values[1]:
        return [] if values[0] == default else [(name, values[0])]
    return [(f"{name}{axis}", v) for axis, v in zip("hw", values) if v != default]


def window(k):
    return [("kh", 1), ("kw", k[0])] if len(k) == 1 else by_axis("k", k, None)


def conv_keys(co, k, s, d, p, g):
    return [("co", co)] + window(k) + by_axis("s", s, 1) + by_axis("d", d, 1) + by_axis("p", p, 0) + [("g", g)] * (g != 1)


def padding_of(padding, dimensions):
    """(pads, word): 'same' is a word, 'valid' none."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise Unserved(f"padding '{padding}'")
        return (0,) * dimensions, "same" if padding == "same" else None
    return pair(padding, dimensions), None


def family_name(ci, k, d, p, g):
    if g == ci > 1:
        return "depthwise"
    if g > 1:
        return "grouped"
    if max(d) > 1:
        return "dilated"
    return "pointwise" if max(k) == 1 and not any(p) else "conv2d"


def dense_2d(weight):
    """Conv1d's windows are of one row."""
    return weight.unsqueeze(-2) if weight.dim() == 3 else weight


def own_forward(module, base, *methods):
    if any(getattr(type(module), m) is not getattr(base, m) for m in ("forward", *methods)):
        raise Unserved(f"{type(module).__name__} has a forward of its own")


def convolution(m, inputs, outputs):
    base = nn.Conv1d if isinstance(m, nn.Conv1d) else nn.Conv2d
    timm_same = type(m).__name__ == "Conv2dSame"
    if not timm_same:
        own_forward(m, base, "_conv_forward")
    if m.padding_mode != "zeros":
        raise Unserved(f"padding_mode '{m.padding_mode}': pad before the layer")
    dimensions = len(m.kernel_size)
    p, word = ((0,) * dimensions, "tfsame") if timm_same else padding_of(m.padding, dimensions)
    g, k = m.groups, m.kernel_size
    variant = family_name(m.in_channels, k, m.dilation, p, g)
    if dimensions == 1 and variant == "pointwise":
        variant = "conv2d"
    keys = conv_keys(m.out_channels, k, m.stride, m.dilation, p, 1 if variant == "depthwise" else g)
    if variant == "pointwise":
        keys = [(name, v) for name, v in keys if name != "k"]
    return Layer(variant, sizes(inputs[0]) + keys, [word, None if m.bias is not None else "nobias"],
                 {"weight": dense_2d(m.weight), "bias": m.bias})


def transposed(m, inputs, outputs):
    own_forward(m, nn.ConvTranspose1d if isinstance(m, nn.ConvTranspose1d) else nn.ConvTranspose2d)
    dimensions, (*_, n) = len(m.kernel_size), inputs[0].shape
    p = m.padding
    kernel, s, d = m.kernel_size, m.stride, m.dilation
    extra = [o - ((i - 1) * b - 2 * q + e * (w - 1) + 1)  # output_size may have asked for more than output_padding
             for o, i, b, q, e, w in zip(outputs[0].shape[2:], inputs[0].shape[2:], s, p, d, kernel)]
    keys = conv_keys(m.out_channels, kernel, s, d, p, m.groups)
    keys += [("opw", extra[0])] * (extra[0] != 0) if dimensions == 1 else by_axis("op", extra, 0)
    return Layer("transposed", sizes(inputs[0]) + keys, [None if m.bias is not None else "nobias"],
                 {"weight": dense_2d(m.weight), "bias": m.bias})


def linear(m, inputs, outputs):
    own_forward(m, nn.Linear)
    rows = inputs[0].numel() // m.in_features
    return Layer("linear", [("n", rows)] * (rows != 1) + [("ci", m.in_features), ("co", m.out_features)],
                 [None if m.bias is not None else "nobias"], {"weight": m.weight, "bias": m.bias})


def depthwise_separable(m, inputs, outputs):
    names = ("depthwise_conv", "pointwise_conv") if hasattr(m, "depthwise_conv") else ("conv_dw", "conv_pw")
    dw, pw = (getattr(m, name) for name in names)
    for part in (dw, pw):
        own_forward(part, nn.Conv2d, "_conv_forward")
    p, word = padding_of(dw.padding, 2)
    if dw.groups != dw.in_channels or pw.kernel_size != (1, 1) or pw.stride != (1, 1) or pw.groups != 1 or any(pair(
            pw.padding, 2)):
        raise Unserved("its convolutions are not depthwise and pointwise")
    keys = conv_keys(pw.out_channels, dw.kernel_size, dw.stride, dw.dilation, p, 1)
    multiplier = dw.out_channels // dw.in_channels
    return Layer("depthwise_separable", sizes(inputs[0]) + keys + [("m", multiplier)] * (multiplier != 1),
                 [None if dw.bias is not None else "dwnobias", None if pw.bias is not None else "pwnobias", word],
                 {"depthwise_conv.weight": dw.weight, "depthwise_conv.bias": dw.bias,
                  "pointwise_conv.weight": pw.weight, "pointwise_conv.bias": pw.bias})


def space_to_depth(m, inputs, outputs):
    block = inputs[0].shape[-1] // outputs[0].shape[-1]
    return Layer("spd", sizes(inputs[0]) + [("b", block)] * (block != 2), ["only"])


def octave(m, inputs, outputs):
    maps = [t.shape[1] for t in inputs]
    if len(inputs) == 2:
        high_in, low_in = maps
    else:
        high_in, low_in = (maps[0], 0)
    low_out = outputs[1].shape[1] if len(outputs) == 2 else 0
    high_out = outputs[0].shape[1]
    article = isinstance(getattr(m, "weights", None), torch.Tensor)
    some = m if article else next(c for c in m.children() if isinstance(c, nn.Conv2d))
    weight = m.weights if article else some.weight
    stride = pair(m.stride, 2)[0]
    pads, _ = padding_of(some.padding, 2)
    if getattr(m, "is_dw", False):
        g = high_in + low_in
    else:
        g = getattr(m, "groups", 1) if article else max(c.groups for c in m.children() if isinstance(c, nn.Conv2d))
    x = inputs[0]
    keys = [("n", x.shape[0])] * (x.shape[0] != 1) + [("ci", high_in + low_in), ("h", x.shape[2])]
    keys += [("w", x.shape[3])] * (x.shape[3] != x.shape[2])
    keys += conv_keys(high_out + low_out, weight.shape[2:], (stride, stride), pair(some.dilation, 2), pads, g)
    keys += [("cil", low_in)] * (low_in > 0) + [("col", low_out)] * (low_out > 0)
    if article:
        parameters, bias = {"weights": m.weights, "bias": getattr(m, "bias", None)}, getattr(m, "bias", None)
    else:
        parameters = {name: t for name, t in m.named_parameters() if name.startswith("conv_")}
        bias = some.bias
    return Layer("octave", keys, [None if article else "dli", None if bias is not None else "nobias"], parameters,
                 ("x_h", "x_l")[:len(inputs)], ("y_h", "y_l")[:len(outputs)], folds=False)


def low_pass(filters):
    """The low-pass taps of a bank whose first filter is low pass along each axis."""
    first = filters[0, 0].detach()
    return [float(v) for v in (first if first.dim() == 1 else first.sum(0) / first.sum().sqrt())]


def wavelet_name(m):
    """The wavelet whose filters these are; PyWavelets knows all, Haar is known without it."""
    analysis, synthesis = low_pass(m.wt_filter), low_pass(m.iwt_filter)
    close = lambda one, other: len(one) == len(other) and all(abs(a - b) < 1e-4 for a, b in zip(one, other))
    if close(analysis, [0.5 ** 0.5] * 2):
        return None
    try:
        import pywt
    except ImportError:
        raise Unserved("the wavelet's taps are not Haar's: install PyWavelets, which knows the others")
    for name in pywt.wavelist(kind="discrete"):
        wavelet = pywt.Wavelet(name)
        if close(analysis, wavelet.dec_lo[::-1]) and close(synthesis, wavelet.rec_lo):
            return name.replace(".", "")
    raise Unserved("its wt_filter is of no wavelet that PyWavelets has")


def wtconv(m, inputs, outputs):
    lines = inputs[0].dim() == 3
    stride, k = pair(m.stride, 1)[0], m.base_conv.kernel_size
    if len(set(k)) > 1:
        raise Unserved("a window that is not square")
    x, levels = inputs[0], m.wt_levels
    size_keys = ([("n", x.shape[0])] * (x.shape[0] != 1) + [("ci", x.shape[1]), ("w", x.shape[2])]) if lines else sizes(x)
    names = ["wt_filter", "iwt_filter", "base_conv.weight", "base_conv.bias", "base_scale.weight"]
    names += [f"wavelet_{part}.{i}.weight" for i in range(levels) for part in ("convs", "scale")]
    state = dict(m.named_parameters())
    return Layer("wtconv1d" if lines else "wtconv", size_keys + [("k", k[0])] + [("s", stride)] * (stride != 1) +
                 [("lev", levels)] * (levels != 1),
                 [wavelet_name(m), None if m.base_conv.bias is not None else "nobias"],
                 {name: state.get(name) for name in names})


def experts_keys(m, x, weight, ci, co):
    """Keys of a convolution whose kernels are mixed; PyTorch's 1-D ones are of one row."""
    dimensions = x.dim() - 2
    k = pair(m.kernel_size, dimensions)
    return sizes(x) + conv_keys(co, k, pair(m.stride, dimensions), pair(m.dilation, dimensions),
                                pair(m.padding, dimensions), m.groups)


def whole_experts(weight, co, per_group, kernel):
    """[K, co, ci/g, kh, kw] of timm's flattened rows and of 1-D kernels."""
    return weight.reshape(weight.shape[0], co, per_group, *(kernel if len(kernel) == 2 else (1, *kernel)))


def condconv(m, inputs, outputs):
    if len(inputs) != 2:
        raise Unserved("its routing is not its second input")
    x, k = inputs[0], pair(m.kernel_size, 2)
    ci, co = x.shape[1], outputs[0].shape[1]
    word = "tfsame" if getattr(m, "dynamic_padding", False) else None
    pads = (0, 0) if word else padding_of(m.padding, 2)[0]
    keys = sizes(x) + conv_keys(co, k, pair(m.stride, 2), pair(m.dilation, 2), pads, m.groups)
    experts, bias = m.weight.shape[0], getattr(m, "bias", None)
    return Layer("condconv", keys + [("ex", experts)] * (experts != 4), [word, "routed", None if bias is not None else "nobias"],
                 {"weight": whole_experts(m.weight, co, ci // m.groups, k), "bias": bias}, ("x", "routing"))


def dynamicconv(m, inputs, outputs):
    x, co = inputs[0], outputs[0].shape[1]
    if x.dim() == 5:
        raise Unserved("three dimensions")
    ci, fc1, fc2 = x.shape[1], m.attention.fc1, m.attention.fc2
    if fc1.bias is not None or fc2.bias is None:
        raise Unserved("an attention whose first layer has a bias or whose second has none")
    hidden, experts = fc1.weight.shape[0], m.weight.shape[0]
    keys = experts_keys(m, x, m.weight, ci, co) + [("ex", experts)] * (experts != 4)
    keys += [("hid", hidden)] * (hidden != (experts if ci == 3 else ci // 4 + 1))
    square = lambda w: w.reshape(*w.shape[:2], 1, 1)
    bias, temperature = getattr(m, "bias", None), float(m.attention.temperature)
    return Layer("dynamicconv", keys, [None if bias is not None else "nobias"],
                 {"weight": whole_experts(m.weight, co, ci // m.groups, pair(m.kernel_size, x.dim() - 2)), "bias": bias,
                  "attention.fc1.weight": square(fc1.weight), "attention.fc2.weight": square(fc2.weight),
                  "attention.fc2.bias": fc2.bias, "temperature": one(temperature, 1)})


def odconv(m, inputs, outputs):
    x, a, experts = inputs[0], m.attention, m.weight.shape[0]
    ci, co, hidden = x.shape[1], outputs[0].shape[1], a.fc.weight.shape[0]
    keys = experts_keys(m, x, m.weight, ci, co) + [("ex", experts)] * (experts != 4)
    keys += [("hid", hidden)] * (hidden != max(ci // 16, 16))
    parameters = {"weight": m.weight, "attention.fc.weight": a.fc.weight, "temperature": one(float(a.temperature), 1)}
    parameters.update(norm_parameters("attention.bn.", a.bn.running_mean, a.bn.running_var, a.bn.weight, a.bn.bias, a.bn.eps))
    for head in ("channel_fc", "filter_fc", "spatial_fc", "kernel_fc"):
        if hasattr(a, head):
            parameters[f"attention.{head}.weight"] = getattr(a, head).weight
            parameters[f"attention.{head}.bias"] = getattr(a, head).bias
    return Layer("odconv", keys, [], parameters)


def one(value, default):
    return None if abs(value - default) < 1e-12 else torch.tensor([value])


def norm_parameters(prefix, mean, variance, weight, bias, eps):
    return {prefix + "weight": torch.ones_like(mean) if weight is None else weight,
            prefix + "bias": torch.zeros_like(mean) if bias is None else bias,
            prefix + "running_mean": mean, prefix + "running_var": variance, prefix + "eps": one(eps, 1e-5)}


def has(*names):
    return lambda m: all(hasattr(m, name) for name in names)


EXPERTS = ("weight", "kernel_size", "stride", "padding", "dilation", "groups")
# Modules that are no part of PyTorch are known by class name and attributes; the first row that fits serves.
KNOWN = (
    (("WTConv2d", "WTConv1d"), has("base_conv", "base_scale", "wavelet_convs", "wavelet_scale", "wt_filter", "wt_levels"), wtconv),
    (("CondConv2d", "CondConv"), has(*EXPERTS), condconv),
    (("Dynamic_conv1d", "Dynamic_conv2d", "Dynamic_conv3d", "DynamicConv"), has("attention", *EXPERTS), dynamicconv),
    (("ODConv2d",), has("attention", *EXPERTS), odconv),
    (("OctaveConv",), lambda m: has("stride")(m) and (has("weights")(m) or has("conv_h2h")(m)), octave),
    (("space_to_depth", "SpaceToDepth", "SPD"), lambda m: not list(m.parameters()), space_to_depth),
    (("SeparableConv2d", "DepthwiseSeparableConvolution"),
     lambda m: len(list(m.children())) == 2 and (has("conv_dw", "conv_pw")(m) or has("depthwise_conv", "pointwise_conv")(m)),
     depthwise_separable),
)
PLAIN = ((nn.ConvTranspose1d, transposed), (nn.ConvTranspose2d, transposed), (nn.Conv1d, convolution),
         (nn.Conv2d, convolution), (nn.Linear, linear))


def server_of(module):
    for names, fits, server in KNOWN:
        if type(module).__name__ in names and fits(module):
            return server
    return next((server for kind, server in PLAIN if isinstance(module, kind)), None)


# ---- activations: (word, parameters) of a torch function, None where it is none ----------------------------------------------


def leaky(args, kwargs, channels):
    slope = float(args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01))
    return "leaky", {"slope": one(slope, 0.01)}


def prelu(args, kwargs, channels):
    slope = args[1] if len(args) > 1 else kwargs["weight"]
    return "prelu", {"slope": slope.expand(channels) if slope.numel() == 1 else slope}


def hardtanh(args, kwargs, channels):
    low = args[1] if len(args) > 1 else kwargs.get("min_val", -1)
    high = args[2] if len(args) > 2 else kwargs.get("max_val", 1)
    return ("relu6", {}) if (low, high) == (0, 6) else None


def gelu(args, kwargs, channels):
    return {"none": "gelu", "tanh": "gelutanh"}[kwargs.get("approximate", "none")], {}


ACTIVATIONS = {"leaky_relu": leaky, "prelu": prelu, "hardtanh": hardtanh, "gelu": gelu}
SIMPLE = ("relu", "relu6", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh")
ACTIVATION_WORDS = SIMPLE + ("leaky", "prelu", "gelu", "gelutanh")


def activation_of(call, channels):
    name = call.name.rstrip("_")
    if name in SIMPLE:
        return name, {}
    return ACTIVATIONS[name](call.args, call.kwargs, channels) if name in ACTIVATIONS else None


# ---- watching the model ------------------------------------------------------------------------------------------------------


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (tuple, list)) or type(value).__name__ == "dict_values":
        return [t for item in value for t in tensors_in(item)]
    return []


def key_of(t):
    """A value, not a tensor: writing in place makes another."""
    return id(t), t._version


class Call:
    """A layer's or a function's call: the values it reads and makes."""

    def __init__(self, name, path, reads):
        self.name, self.path, self.reads = name, path, reads
        self.makes, self.layer, self.why, self.absorbed, self.copies = [], None, None, False, {}
        self.args, self.kwargs = (), {}


def tells_only_form(function, result):
    """Shapes, types and the like: a use that does not need the numbers."""
    if isinstance(result, bool):
        return getattr(function, "__name__", "") in ("__get__", "is_contiguous", "is_floating_point", "is_complex")
    if isinstance(result, (tuple, list)):
        return all(tells_only_form(function, item) for item in result)
    return result is None or isinstance(result, (int, str, torch.dtype, torch.device, torch.layout))


FUSABLE = ("batch_norm", "add", "add_", "__add__", "__radd__", "__iadd__")


class Functions(TorchFunctionMode):
    def __init__(self, trace):
        super().__init__()
        self.trace = trace

    def __torch_function__(self, function, types, args=(), kwargs=None):
        trace, kwargs = self.trace, kwargs or {}
        if trace.in_layer or trace.in_function:
            return function(*args, **kwargs)
        name = getattr(function, "__name__", str(function))
        call = Call(name, trace.path(), [key_of(t) for t in tensors_in((args, kwargs))])
        if name in FUSABLE + SIMPLE or name.rstrip("_") in SIMPLE + tuple(ACTIVATIONS):
            call.args, call.kwargs = args, kwargs
            if name in FUSABLE[1:]:
                call.copies = trace.copies(tensors_in(args))
        trace.in_function += 1
        try:
            result = function(*args, **kwargs)
        finally:
            trace.in_function -= 1
        if not tells_only_form(function, result):
            trace.add(call, tensors_in(result))
        return result


class Operators(TorchDispatchMode):
    """What reaches the operators without a torch function around it, such as an autograd function of one's own."""

    def __init__(self, trace):
        super().__init__()
        self.trace = trace

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        trace = self.trace
        alone = not trace.in_layer and not trace.in_function
        call = Call(str(operator), trace.path(), [key_of(t) for t in tensors_in((args, kwargs or {}))]) if alone else None
        result = operator(*args, **(kwargs or {}))
        if alone:
            trace.add(call, tensors_in(result))
        return result


class Trace:
    def __init__(self, model, goldens):
        self.goldens, self.calls, self.stack, self.alive = goldens, [], [], []
        self.in_layer = self.in_function = 0
        self.reached, self.hooks = set(), []
        for name, module in model.named_modules():
            self.hooks.append(module.register_forward_pre_hook(self.before(name), with_kwargs=True))
            self.hooks.append(module.register_forward_hook(self.after(name), with_kwargs=True))

    def path(self):
        return self.stack[-1][0] if self.stack else ""

    def copies(self, tensors):
        """Values by key, for goldens; not watched."""
        if not self.goldens:
            return {}
        self.in_function += 1
        copies = {key_of(t): t.detach().clone() for t in tensors}
        self.in_function -= 1
        return copies

    def add(self, call, made):
        call.makes = [key_of(t) for t in made]
        if set(call.makes) <= set(call.reads):
            return  # hands on what it got
        self.alive += made
        if call.args:
            call.copies.update(self.copies(made))
        self.calls.append(call)

    def before(self, name):
        def hook(module, args, kwargs):
            self.reached.add(name)
            server, call = None if self.in_layer else server_of(module), None
            if server:
                given = tensors_in((args, kwargs))
                call = Call(type(module).__name__, name, [key_of(t) for t in given])
                call.inputs = [self.copies([t]).get(key_of(t), t) for t in given]
                self.in_layer += 1
            self.stack.append((name, server, call))
        return hook

    def after(self, name):
        def hook(module, args, kwargs, result):
            _, server, call = self.stack.pop()
            if not server:
                return
            self.in_layer -= 1
            made = tensors_in(result)
            self.alive += made
            call.makes = [key_of(t) for t in made]
            call.copies = self.copies(made)
            try:
                if any(t.dtype != torch.float32 for t in call.inputs + made):
                    raise Unserved(f"{call.inputs[0].dtype}; kernels compute in float32")
                call.layer = server(module, call.inputs, made)
                call.channels, call.rank = made[0].shape[-1 if server is linear else 1], made[0].dim()
            except Unserved as e:
                call.why = str(e)
            self.calls.append(call)
        return hook

    def run(self, model, sample):
        training = [m for m in model.modules() if m.training]
        model.eval()
        try:
            with torch.no_grad(), Operators(self), Functions(self):
                result = model(*sample)
        finally:
            for hook in self.hooks:
                hook.remove()
            for m in training:
                m.training = True
        self.outputs = [key_of(t) for t in tensors_in(result)]
        return self


# ---- folding: batch norm, addition, activation into the layer before ---------------------------------------------------------


NORM_ARGUMENTS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


class Folding:
    def __init__(self, trace):
        self.trace, self.readers = trace, {}
        for call in trace.calls:
            for key in set(call.reads):
                self.readers.setdefault(key, []).append(call)
        for key in trace.outputs:
            self.readers.setdefault(key, []).append(None)

    def next(self, key):
        readers = self.readers.get(key, [])
        call = readers[0] if len(readers) == 1 else None
        return call if call and not call.layer and not call.absorbed and len(call.makes) == 1 else None

    def absorb(self, call, reader):
        reader.absorbed = True
        call.folded.append(f"{reader.name} ({reader.path})")
        call.result, call.golden_from = reader.makes[0], reader
        return reader.makes[0]

    def fold(self, call):
        call.folded, call.result, call.golden_from, call.residual = [], call.makes[0], call, None
        if not call.layer.folds:
            return
        key = self.norm(call, call.makes[0])
        key = self.addition(call, key)
        reader = self.next(key)
        found = reader and reader.args and reader.reads[:1] == [key] and activation_of(reader, call.channels)
        if found:
            call.layer.words.append(found[0])
            call.layer.parameters.update({k: v for k, v in found[1].items() if v is not None})
            self.absorb(call, reader)

    def norm(self, call, key):
        reader = self.next(key)
        if not reader or reader.name != "batch_norm" or not reader.args or call.rank > 2 and call.layer.variant == "linear":
            return key
        given = {**dict(zip(NORM_ARGUMENTS, reader.args)), **reader.kwargs}
        if key_of(given["input"]) != key or given.get("training") or given.get("running_mean") is None:
            return key
        call.layer.words.append("bn")
        call.layer.parameters.update({k: v for k, v in norm_parameters(
            "bn.", given["running_mean"], given["running_var"], given.get("weight"), given.get("bias"),
            given.get("eps", 1e-5)).items() if v is not None})
        return self.absorb(call, reader)

    def addition(self, call, key):
        reader = self.next(key)
        if not reader or reader.name not in FUSABLE[1:] or reader.kwargs or len(reader.args) != 2 or len(reader.reads) != 2:
            return key
        a, b = reader.args
        other = reader.reads[1] if reader.reads[0] == key else reader.reads[0]
        if other == key or a.shape != b.shape or a.dtype != b.dtype:
            return key
        call.layer.words.append("res")
        call.layer.inputs += ("residual",)
        call.residual = reader.copies.get(other)
        return self.absorb(call, reader)


# ---- files -------------------------------------------------------------------------------------------------------------------


def data_of(t):
    t = t.detach().to("cpu", torch.float32).contiguous()
    return ctypes.string_at(t.data_ptr(), t.numel() * 4)


def write_npy(path, t):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(t.shape)}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data_of(t))


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(data_of(t))


def in_layout(t, layout):
    return t.movedim(1, -1) if layout == "nhwc" and t.dim() > 2 else t


def golden_files(call, name, folder, layout):
    """Writes a layer's tensors; returns file names by tensor."""
    plain = call.layer.variant == "linear"
    arranged = lambda t: t.flatten(0, -2) if plain else in_layout(t, layout)
    values = dict(zip(call.layer.inputs, call.inputs + [call.residual]))
    made = [call.golden_from.copies[call.result]] if call.folded else [call.copies[key] for key in call.makes]
    files = {"inputs": {}, "outputs": {}}
    for kind, named in (("inputs", values), ("outputs", dict(zip(call.layer.outputs, made)))):
        for tensor, value in named.items():
            files[kind][tensor] = f"goldens/{name}/{tensor}.npy"
            write_npy(folder / files[kind][tensor], arranged(value))
    return files


class Export:
    """What is written, layer by layer."""

    def __init__(self, folder, layout):
        self.folder, self.layout = pathlib.Path(folder), layout
        self.parameters, self.layers, self.problems, self.unserved = {}, [], {}, []

    def add(self, call, goldens):
        text = call.layer.text(self.layout)
        name, twin = call.path or "model", 1
        while any(entry["layer"] == name for entry in self.layers):
            twin += 1
            name = f"{call.path or 'model'}+{twin}"
        self.parameters.update({f"{name}.{k}": v for k, v in call.layer.parameters.items()})
        entry = {"layer": name, "class": call.name, "problem": text, "prefix": name + ".", "folded": call.folded}
        if goldens:
            entry.update(golden_files(call, name, self.folder, self.layout))
            entry["run"] = " ".join(["hconv run", text, *(f"-i {k}={v}" for k, v in entry["inputs"].items()),
                                     *(["-w parameters.safetensors --prefix", name + "."] if call.layer.parameters else []),
                                     *(f"-o {k}={k}.npy" for k in entry["outputs"])])
        self.layers.append(entry)
        self.problems.setdefault(text, []).append(name)

    def write(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{text} :{names[0]}" + (f" *{len(names)}" if len(names) > 1 else "") for text, names in self.problems.items()]
        (self.folder / "problems.txt").write_text("".join(line + "\n" for line in lines))
        write_safetensors(self.folder / "parameters.safetensors", self.parameters)
        (self.folder / "layers.json").write_text(json.dumps({"layers": self.layers, "unserved": self.unserved}, indent=1) + "\n")


CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "bilinear")


def unserved(model, trace):
    """[(layer, class, why)] of what has parameters or convolves, and no kernel."""
    found, seen = [], {call.path for call in trace.calls if call.layer or call.why}
    found += [(c.path, c.name, c.why) for c in trace.calls if c.why]
    inner = {name for name in trace.reached for path in seen if name.startswith(path + ".")}
    for call in trace.calls:
        if call.name in CONVOLUTIONS and not call.layer:
            found.append((call.path, call.name, f"a call of torch's {call.name} outside of a module that is known"))
        if call.name == "batch_norm" and not call.absorbed:
            found.append((call.path, call.name, "a norm apart: it follows no layer, or something else reads the layer's output"))
    for name, module in model.named_modules():
        if name in seen or name in inner or isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.PReLU)):
            continue
        if server_of(module) and name not in trace.reached and not any(name.startswith(path + ".") for path in seen):
            found.append((name, type(module).__name__, "the sample did not reach it"))
        elif next(module.parameters(recurse=False), None) is not None and not any(path == name for path, *_ in found):
            found.append((name, type(module).__name__, "hconv has no such variant"))
    return list(dict.fromkeys(found))


def export(model, sample, folder, layout="nhwc", goldens=False):
    """Writes FOLDER; returns what layers.json holds."""
    sample = sample if isinstance(sample, tuple) else (sample,)
    trace = Trace(model, goldens).run(model, sample)
    folding, result = Folding(trace), Export(folder, layout)
    served = [call for call in trace.calls if call.layer]
    for call in reversed(served):  # the last of two layers that are added takes the addition: then the other is there
        folding.fold(call)
    for call in served:
        result.add(call, goldens)
    result.unserved = [{"layer": path, "class": kind, "why": why} for path, kind, why in unserved(model, trace)]
    result.write()
    return {"layers": result.layers, "unserved": result.unserved}


def load(source):
    path, _, function = source.partition(":")
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if not spec or not pathlib.Path(path).is_file():
        sys.exit(f"from_torch.py: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path(path).resolve().parent))
    spec.loader.exec_module(module)
    maker = getattr(module, function or "example", None)
    if not callable(maker):
        sys.exit(f"from_torch.py: {path} has no function {function or 'example'}; name it: {path}:FUNCTION")
    return maker()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", help="FILE.py[:FUNCTION]; FUNCTION() returns (model, sample)")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--layout", choices=("nhwc", "nchw"), default="nhwc", help="of the problems and goldens (default: nhwc)")
    parser.add_argument("--goldens", action="store_true", help="write each layer's inputs and outputs too")
    options = parser.parse_args()
    model, sample = load(options.source)
    said = export(model, sample, options.output, options.layout, options.goldens)
    print(f"{options.output}: {len(said['layers'])} layers, {len({e['problem'] for e in said['layers']})} problems")
    for entry in said["unserved"]:
        print(f"not served: {entry['layer'] or 'model'} ({entry['class']}): {entry['why']}")


if __name__ == "__main__":
    main()
