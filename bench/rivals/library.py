"""The emitted library through its C API, by ctypes: the kernels that ship are the ones that are timed.

SPDX-License-Identifier: MIT
"""
import ctypes as C
import types

import numpy as np

ACTIVATIONS = ("linear relu relu6 leaky prelu silu hardswish hardsigmoid gelu gelutanh sigmoid tanh").split()
INPUT, PARAMETER, OUTPUT = range(3)
NO_BIAS, NORM, RESIDUAL, FAST = 1, 2, 4, 8
WHY_BYTES = 512


class Problem(C.Structure):
    NUMBERS = ("variant dtype layout activation mid_activation same").split()
    SIZES = ("n ci h w co kh kw stride_h stride_w dilation_h dilation_w groups pad_top pad_bottom pad_left pad_right "
             "out_pad_h out_pad_w").split()
    _fields_ = ([("struct_size", C.c_uint32)] + [(name, C.c_int32) for name in NUMBERS] + [("flags", C.c_uint32)] +
                [(name, C.c_int32) for name in SIZES] + [("extra", C.c_int32 * 8)])


class ContextOptions(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("num_threads", C.c_int32), ("isa", C.c_char_p)] + [
        (name, C.c_void_p) for name in ("user", "alloc", "free", "parallel_for", "log", "cuda_context")]


class TensorInfo(C.Structure):
    _fields_ = ([("struct_size", C.c_uint32), ("name", C.c_char_p)] +
                [(name, C.c_int32) for name in ("role", "dtype", "rank", "optional")] +
                [("extent", C.c_int64 * 6), ("stride", C.c_int64 * 6), ("bytes", C.c_size_t),
                 ("default_value", C.c_double)])


class PlanInfo(C.Structure):
    _fields_ = ([("struct_size", C.c_uint32), ("tensor_count", C.c_int32)] +
                [(name, C.c_char_p) for name in ("kernel", "problem", "target", "schedule")] +
                [("workspace_bytes", C.c_size_t), ("packed_bytes", C.c_size_t), ("flops", C.c_double),
                 ("bytes_moved", C.c_double)])


class Parameter(C.Structure):
    _fields_ = [("name", C.c_char_p), ("data", C.c_void_p), ("bytes", C.c_size_t)]


class RunArgs(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("input_count", C.c_int32), ("output_count", C.c_int32),
                ("inputs", C.POINTER(C.c_void_p)), ("outputs", C.POINTER(C.c_void_p)), ("packed", C.c_void_p),
                ("workspace", C.c_void_p), ("workspace_bytes", C.c_size_t), ("stream", C.c_void_p)]


def sized(kind, **fields):
    value = kind(**fields)
    value.struct_size = C.sizeof(kind)
    return value


def aligned(count, dtype=np.float32):
    """An array at an address that 64 divides."""
    memory = np.zeros(count * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start:start + count * np.dtype(dtype).itemsize].view(dtype)


class Library:
    def __init__(self, path, name):
        self.lib = C.CDLL(str(path))
        self.table = C.c_void_p(C.addressof(C.c_char.in_dll(self.lib, f"hconv_library_{name}")))

    def limits(self, cpus, isa, seconds):
        """What the machine can do at most, measured now: bench/roofline.h; a tile's weights are a quarter of a core's L2, bytes come
        from half of it, and from far more."""
        flops, stream = self.lib.hconv_roofline_gflops, self.lib.hconv_roofline_gbytes
        flops.restype = stream.restype = C.c_double
        at, n, time = (C.c_int * len(cpus))(*cpus), len(cpus), C.c_double(seconds)
        most = lambda size: max(stream(C.c_size_t(size), copy, n, time, at) for copy in (0, 1))
        self.lib.hconv_roofline_l2.restype = C.c_size_t
        l2 = self.lib.hconv_roofline_l2()
        multiply = lambda size: flops(isa.encode() if isa else None, C.c_size_t(size), n, time, at)
        return {"gflops": multiply(0), "tile_gflops": multiply(l2 // 4), "l2_gbytes": most(l2 // 2),
                "memory_gbytes": most(max(8 * l2, 1 << 24)), "l2_bytes": l2}

    def call(self, function, *arguments):
        why = C.create_string_buffer(WHY_BYTES)
        if getattr(self.lib, function)(*arguments, why, C.c_size_t(WHY_BYTES)):
            raise RuntimeError(f"{function}: {why.value.decode()}")

    def parse(self, text):
        p = sized(Problem)
        self.call("hconv_problem_parse", text.encode(), C.byref(p))
        return p

    def format(self, p):
        text = C.create_string_buffer(384)
        if self.lib.hconv_problem_format(C.byref(p), text, C.c_size_t(384)):
            raise RuntimeError("hconv_problem_format failed")
        return text.value.decode()

    def describe(self, p):
        """The problem's numbers as a Python object that modules.py reads, with its canonical text."""
        text = self.format(p)
        fields = {name: getattr(p, name) for name in Problem.SIZES}
        variant = "depthwise_separable" if text.startswith("depthwise_separable") else text.split("_")[0]
        return types.SimpleNamespace(text=text, variant=variant, extra=list(p.extra), flags=p.flags,
                                     activation=ACTIVATIONS[p.activation],
                                     mid_activation=ACTIVATIONS[p.mid_activation], **fields)

    def context(self, threads, isa=None):
        context, options = C.c_void_p(), sized(ContextOptions, num_threads=threads, isa=isa and isa.encode())
        self.call("hconv_context_create", C.byref(options), C.byref(context))
        if self.lib.hconv_context_add_library(context, self.table):
            raise RuntimeError("the library was emitted for another ABI")
        return context


class Plan:
    """One problem, its packed parameters, and inputs and outputs in memory."""

    def __init__(self, library, context, problem):
        self.library, self.handle = library, C.c_void_p()
        library.call("hconv_plan_create", context, C.byref(problem), C.byref(self.handle))
        self.info = sized(PlanInfo)
        library.lib.hconv_plan_describe(self.handle, C.byref(self.info))
        self.tensors = []
        for i in range(self.info.tensor_count):
            t = sized(TensorInfo)
            library.lib.hconv_plan_tensor(self.handle, i, C.byref(t))
            self.tensors.append(types.SimpleNamespace(name=t.name.decode(), role=t.role, optional=bool(t.optional),
                                                      shape=tuple(t.extent[:t.rank])))

    def of_role(self, role):
        return [t for t in self.tensors if t.role == role]

    def pack(self, parameters):
        given = (Parameter * len(parameters))()
        for slot, (name, value) in zip(given, parameters.items()):
            slot.name, slot.data, slot.bytes = name.encode(), value.ctypes.data, value.nbytes
        self.packed = aligned(self.info.packed_bytes, np.uint8)
        self.library.call("hconv_pack", self.handle, given, len(parameters), C.c_void_p(self.packed.ctypes.data),
                          C.c_size_t(self.info.packed_bytes))

    def bind(self, inputs):
        """inputs: name -> array in the problem's layout, kept alive here."""
        copy = lambda shape: aligned(int(np.prod(shape))).reshape(shape)
        self.inputs = [copy(t.shape) for t in self.of_role(INPUT)]
        for t, to in zip(self.of_role(INPUT), self.inputs):
            to[...] = inputs[t.name]
        self.outputs = [copy(t.shape) for t in self.of_role(OUTPUT)]
        self.workspace = aligned(max(self.info.workspace_bytes, 1), np.uint8)
        pointers = lambda arrays: (C.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
        self.pointers = pointers(self.inputs), pointers(self.outputs)
        self.args = sized(RunArgs, input_count=len(self.inputs), output_count=len(self.outputs),
                          inputs=self.pointers[0], outputs=self.pointers[1], packed=self.packed.ctypes.data,
                          workspace=self.workspace.ctypes.data, workspace_bytes=self.info.workspace_bytes)

    def run(self, times):
        if self.library.lib.bench_loop(self.handle, C.byref(self.args), C.c_long(times)):
            raise RuntimeError(f"hconv_run failed for {self.info.problem.decode()}")

    def close(self):
        self.library.lib.hconv_plan_destroy(self.handle)
