"""oneDNN called directly, by ctypes: convolutions and what is made of them, in the layouts it chooses itself.

SPDX-License-Identifier: MIT
Sources, weights, destinations and residuals are declared "any": what stands between the caller's n c h w and those layouts is
done before any timing, as in a network whose layers all are oneDNN's. Norms are folded into weights and bias, as frameworks do.
PyPI's build runs its primitives through SYCL; what a call costs is taken off as from every rival (docs/bench.md). It lives in a
process of its own (`python onednn.py`), one for all rows: beside OpenVINO, whose TBB has the same name, its workers share a core.
"""
import ctypes as C
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import modules

# As dnnl_types.h numbers them.
F32, ANY, PLAIN, CPU = 3, 1, {1: 2, 2: 3, 4: 5, 5: 6}, 1
FORWARD_INFERENCE, CONVOLUTION, DECONVOLUTION, BINARY_ADD = 96, 3, 10, 0x1fff0
SRC, SRC_1, DST, WEIGHTS, BIAS, POST_OP = 1, 2, 17, 33, 41, 32768
SOURCE_MD, WEIGHTS_MD, DESTINATION_MD, ARGUMENT_MD = 129, 131, 133, 255
ELTWISE = {"relu": (32, 0, 0), "leaky": (32, 0.01, 0), "tanh": (33, 0, 0), "hardsigmoid": (40, 1 / 6, 0.5),
           "sigmoid": (41, 0, 0), "gelutanh": (43, 0, 0), "silu": (44, 1, 0), "relu6": (46, 0, 6), "gelu": (49, 0, 0),
           "hardswish": (52, 1 / 6, 0.5)}
LIBRARIES = ("libhwloc.so.15", "libtbb.so.12", "libirc.so", "libintlc.so.5", "libimf.so", "libsvml.so", "libumf.so.1",
             "libur_loader.so.0", "libsycl.so.9")


class Argument(C.Structure):
    _fields_ = [("arg", C.c_int), ("memory", C.c_void_p)]


def folder():
    """Where pip puts shared objects that belong to no Python package."""
    return Path(sys.prefix) / "lib"


def present():
    return (folder() / "libdnnl.so.3").exists()


class Library:
    """The shared object with an engine and a stream, once a process."""
    made = None

    def __init__(self):
        os.environ.setdefault("OCL_ICD_FILENAMES", str(folder() / "libintelocl.so"))
        os.environ.setdefault("ONEAPI_DEVICE_SELECTOR", "opencl:cpu")
        os.environ.setdefault("SYCL_CPU_CU_AFFINITY", "spread")  # else its workers may share a core for a whole row
        os.environ.setdefault("SYCL_CPU_PLACES", "cores")
        for name in LIBRARIES:
            if (folder() / name).exists():
                C.CDLL(str(folder() / name), mode=C.RTLD_GLOBAL)
        self.lib = C.CDLL(str(folder() / "libdnnl.so.3"))
        self.engine, self.stream = C.c_void_p(), C.c_void_p()
        self("engine_create", C.byref(self.engine), CPU, C.c_size_t(0))
        self("stream_create", C.byref(self.stream), self.engine, 1)

    @classmethod
    def one(cls):
        cls.made = cls.made or cls()
        return cls.made

    def __call__(self, name, *arguments):
        status = getattr(self.lib, "dnnl_" + name)(*arguments)
        if status:
            raise RuntimeError(f"dnnl_{name} says {status}")

    def new(self, name, *arguments):
        made = C.c_void_p()
        self(name, C.byref(made), *arguments)
        return made

    def description(self, shape, tag):
        return self.new("memory_desc_create_with_tag", len(shape), dims(shape), F32, tag)

    def memory(self, description):
        return self.new("memory_create", description, self.engine, C.c_void_p(-1))  # -1: allocated by oneDNN

    def write(self, memory, values):
        at = C.c_void_p()
        self("memory_map_data", memory, C.byref(at))
        C.memmove(at, values.ctypes.data, values.nbytes)
        self("memory_unmap_data", memory, at)

    def read(self, memory, shape):
        values, at = np.empty(shape, np.float32), C.c_void_p()
        self("memory_map_data", memory, C.byref(at))
        C.memmove(values.ctypes.data, at, values.nbytes)
        self("memory_unmap_data", memory, at)
        return values

    def execute(self, primitive, arguments):
        self("primitive_execute", primitive, self.stream, len(arguments), arguments)

    def wait(self):
        self("stream_wait", self.stream)

    def reordered(self, source, shape_of_source, target):
        """A memory described by target with what source, described by shape_of_source, holds."""
        made = self.memory(target)
        how = self.new("reorder_primitive_desc_create", shape_of_source, self.engine, target, self.engine, None)
        self.execute(self.new("primitive_create", how), arguments_of({SRC: source, DST: made}))
        self.wait()
        return made

    def query(self, primitive_description, what, index=0):
        self.lib.dnnl_primitive_desc_query_md.restype = C.c_void_p
        return C.c_void_p(self.lib.dnnl_primitive_desc_query_md(primitive_description, what, index))


def dims(values):
    return (C.c_int64 * 12)(*values)


def arguments_of(memories):
    return (Argument * len(memories))(*(Argument(number, memory) for number, memory in memories.items()))


def array(tensor):
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


def folded(weight, bias, norm, out_axis):
    """Weights and bias (or None) with a norm put into them."""
    if isinstance(norm, nn.Identity):
        return weight, bias
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    shape = [1] * weight.ndim
    shape[out_axis] = -1
    bias = 0 if bias is None else bias
    return np.ascontiguousarray(weight * scale.reshape(shape)), (bias - array(norm.running_mean)) * scale + array(norm.bias)


def both(padding, pad):
    """Padding before and behind on both axes, from a convolution's and an nn.ZeroPad2d's."""
    left, right, top, bottom = pad.padding if isinstance(pad, nn.ZeroPad2d) else (padding[1], padding[1], padding[0], padding[0])
    return (top, left), (bottom, right)


def steps_of(module):
    """The primitives of a module: (layer, padding before and behind, norm, activation)."""
    if isinstance(module, modules.Linear):
        return [(module.fc, None, nn.Identity(), module.activation)]
    if isinstance(module, modules.Transposed):
        return [(module.conv, (module.conv.padding,) * 2, module.tail.bn, named(module.tail.activation))]
    if isinstance(module, modules.Conv):
        return [(module.conv, both(module.conv.padding, module.pad), module.tail.bn, named(module.tail.activation))]
    if isinstance(module, modules.DepthwiseSeparable):
        return [(module.depthwise, both(module.depthwise.padding, module.pad), module.mid_bn, module.mid),
                (module.pointwise, ((0, 0),) * 2, module.tail.bn, named(module.tail.activation))]
    raise NotImplementedError("oneDNN has no primitive for it")


def named(activation):
    if activation == "prelu":
        raise NotImplementedError("prelu is not written here for oneDNN")
    return modules.ACTIVATIONS[activation]


class Primitives:
    """A module's primitives, with their memory."""

    def __init__(self, module, inputs):
        self.dnn, self.calls = Library.one(), []
        if isinstance(module, nn.Conv2d):  # a convolution of one number: what a call costs
            steps = [(module, ((0, 0),) * 2, nn.Identity(), modules.ACTIVATIONS["linear"])]
        else:
            steps = steps_of(module)
        shape, given = tuple(inputs[0].shape), array(inputs[0])
        with torch.no_grad():
            out_shapes = self.shapes(module, steps, inputs)
        source = None
        for i, (step, out) in enumerate(zip(steps, out_shapes)):
            residual = array(inputs[1]) if len(inputs) > 1 and i + 1 == len(steps) else None
            source = self.add(step, shape, out, source, given, residual)
            shape, given = out, None
        self.shape, (self.memory, self.description) = shape, source

    @staticmethod
    def shapes(module, steps, inputs):
        if len(steps) == 1:
            y = module(*inputs)
            return [tuple(y.shape)]
        between = module.depthwise(module.pad(inputs[0]))
        return [tuple(between.shape), (inputs[0].shape[0], module.pointwise.out_channels, *between.shape[2:])]

    def plain(self, values):
        description = self.dnn.description(values.shape, PLAIN[values.ndim])
        memory = self.dnn.memory(description)
        self.dnn.write(memory, values)
        return memory, description

    def add(self, step, shape, out, source, given, residual):
        """One primitive with its arguments; returns its destination."""
        (layer, padding, norm, activation), dnn = step, self.dnn
        linear, transposed = isinstance(layer, nn.Linear), isinstance(layer, nn.ConvTranspose2d)
        groups = 1 if linear else layer.groups
        weight, bias = folded(array(layer.weight), None if layer.bias is None else array(layer.bias), norm, 0) \
            if not transposed else self.folded_transposed(layer, norm)
        if groups > 1:
            weight = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        if linear:
            weight = weight.reshape(weight.shape[:2])
        attributes = self.attributes(activation, out, residual)
        described = [dnn.description(shape, ANY) if source is None else source[1], dnn.description(weight.shape, ANY),
                     None if bias is None else dnn.description(bias.shape, PLAIN[1]), dnn.description(out, ANY)]
        if linear:
            how = dnn.new("inner_product_forward_primitive_desc_create", dnn.engine, FORWARD_INFERENCE, *described, attributes)
        else:
            before, behind = padding
            if transposed:  # rows that output padding adds are padding taken back
                behind = [(i - 1) * s + d * (k - 1) + 1 - o - p for i, s, d, k, o, p in
                          zip(shape[2:], layer.stride, layer.dilation, layer.kernel_size, out[2:], before)]
            how = dnn.new(("de" if transposed else "") + "convolution_forward_primitive_desc_create", dnn.engine,
                          FORWARD_INFERENCE, DECONVOLUTION if transposed else CONVOLUTION, *described, dims(layer.stride),
                          dims([d - 1 for d in layer.dilation]), dims(before), dims(behind), attributes)
        memories = {}
        if source is None:
            memories[SRC] = dnn.reordered(*self.plain(given), dnn.query(how, SOURCE_MD))
        else:
            memories[SRC] = source[0]
        memories[WEIGHTS] = dnn.reordered(*self.plain(weight), dnn.query(how, WEIGHTS_MD))
        if bias is not None:
            memories[BIAS] = self.plain(np.ascontiguousarray(bias, np.float32))[0]
        if residual is not None:
            memories[POST_OP | SRC_1] = dnn.reordered(*self.plain(residual), dnn.query(how, ARGUMENT_MD, POST_OP | SRC_1))
        target = dnn.query(how, DESTINATION_MD)
        memories[DST] = dnn.memory(target)
        self.calls.append((dnn.new("primitive_create", how), arguments_of(memories)))
        return memories[DST], target

    def attributes(self, activation, out, residual):
        chain, made = self.dnn.new("post_ops_create"), self.dnn.new("primitive_attr_create")
        if residual is not None:
            self.dnn("post_ops_append_binary", chain, BINARY_ADD, self.dnn.description(out, ANY))
        name = next(n for n, f in modules.ACTIVATIONS.items() if f is activation)
        if name != "linear":
            kind, alpha, beta = ELTWISE[name]
            self.dnn("post_ops_append_eltwise", chain, kind, C.c_float(alpha), C.c_float(beta))
        self.dnn("primitive_attr_set_post_ops", made, chain)
        return made

    @staticmethod
    def folded_transposed(layer, norm):
        """PyTorch's [ci, co/g, kh, kw] as oneDNN's [co, ci/g, kh, kw], its group's outputs first."""
        groups, (ci, per_group) = layer.groups, layer.weight.shape[:2]
        weight = array(layer.weight).reshape(groups, ci // groups, per_group, *layer.kernel_size).swapaxes(1, 2)
        weight = np.ascontiguousarray(weight.reshape(groups * per_group, ci // groups, *layer.kernel_size))
        return folded(weight, None if layer.bias is None else array(layer.bias), norm, 0)

    def run(self, times):
        for _ in range(times):
            for primitive, arguments in self.calls:
                self.dnn.execute(primitive, arguments)
        self.dnn.wait()

    def outputs(self):
        plain = self.dnn.description(self.shape, PLAIN[len(self.shape)])
        return [self.dnn.read(self.dnn.reordered(self.memory, self.description, plain), self.shape)]


class Server:
    """The other process: takes (what, arguments) as pickles, answers (result, None) or (None, sentence)."""
    made = None

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, OMP_NUM_THREADS="1"))

    @classmethod
    def one(cls):
        if cls.made is None or cls.made.process.poll() is not None:
            cls.made = cls()
        return cls.made

    def ask(self, *request):
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        result, why = pickle.load(self.process.stdout)
        if why:
            raise RuntimeError(why)
        return result


class OneDNN:
    """The contestant: one at a time."""

    def __init__(self, module, inputs):
        self.server = Server.one()
        made_of = getattr(module, "made_of", None) or (None, {n: array(t) for n, t in module.named_parameters()})
        self.server.ask("make", made_of, [array(t) for t in inputs])

    def run(self, times):
        """Returns the seconds that it took there."""
        return self.server.ask("run", times)

    def outputs(self):
        return self.server.ask("outputs")


def serve():
    answers, primitives = os.fdopen(os.dup(1), "wb"), None
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_num_threads(1)
    while True:
        try:
            what, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        result = why = None
        try:
            if what == "make":
                (p, parameters), inputs = arguments
                parameters = {name: torch.from_numpy(value) for name, value in parameters.items()}
                module = torch.nn.Conv2d(1, 1, 1).eval() if p is None else modules.module_of(p, parameters)
                primitives = Primitives(module, [torch.from_numpy(t) for t in inputs])
            elif what == "run":
                start = time.perf_counter()
                primitives.run(arguments[0])
                result = time.perf_counter() - start
            else:
                result = primitives.outputs()
        except Exception as e:  # the row's own entry in the table
            why = f"{type(e).__name__}: {e}"
        pickle.dump((result, why), answers)
        answers.flush()


if __name__ == "__main__":
    serve()
