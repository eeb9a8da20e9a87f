"""Who takes part: hconv's emitted kernel and its rivals, each as "run so many times" on data that lies in memory.

SPDX-License-Identifier: MIT
A contestant has run(times) and outputs() -> list of n c h w arrays. Making one may fail: its sentence goes to the table.
"""
import logging
import os
import warnings

import numpy as np
import torch

import onednn

warnings.filterwarnings("ignore")
logging.getLogger("torch").setLevel(logging.ERROR)


def plain(y):
    """Outputs of a module as a list of contiguous arrays."""
    return [t.detach().contiguous().numpy() for t in (y if isinstance(y, (tuple, list)) else [y])]


class Eager:
    def __init__(self, module, inputs):
        self.module, self.inputs = module, inputs

    def run(self, times):
        with torch.inference_mode():
            for _ in range(times):
                self.y = self.module(*self.inputs)

    def outputs(self):
        return plain(self.y)


class EagerChannelsLast(Eager):
    def __init__(self, module, inputs):
        super().__init__(with_channels_last(module), channels_last(inputs))


def channels_last(tensors):
    return [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors]


def with_channels_last(module):
    for t in [*module.parameters(), *module.buffers()]:
        t.data = channels_last([t.data])[0]
    return module


class Compiled(Eager):
    """torch.compile with freezing: weights are constants that inductor packs."""

    def __init__(self, module, inputs):
        import torch._dynamo
        import torch._inductor.config as config

        torch._dynamo.reset()
        config.freezing = True
        if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
            config.cpp.simdlen = 256
        super().__init__(torch.compile(module, dynamic=False), inputs)
        self.run(2)


class CompiledChannelsLast(Compiled):
    def __init__(self, module, inputs):
        super().__init__(with_channels_last(module), channels_last(inputs))


class Layouts(torch.nn.Module):
    """A module with n h w c at its ends: the converter folds the transpositions."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *inputs):
        y = self.module(*(t.permute(0, 3, 1, 2) if t.dim() == 4 else t for t in inputs))
        back = lambda t: t.permute(0, 2, 3, 1) if t.dim() == 4 else t
        return tuple(back(t) for t in y) if isinstance(y, tuple) else back(y)


class OpenVINO:
    """float32 forced: the plugin would take bfloat16 where the CPU has it."""

    def __init__(self, module, inputs):
        import openvino as ov

        with torch.no_grad():
            traced = torch.jit.trace(module, tuple(inputs), check_trace=False)
            model = ov.convert_model(traced, example_input=tuple(inputs))
        model.reshape({port: list(t.shape) for port, t in zip(model.inputs, inputs)})
        compiled = ov.Core().compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY"})
        self.request, self.inputs = compiled.create_infer_request(), inputs
        for i, t in enumerate(inputs):
            self.request.set_input_tensor(i, ov.Tensor(t.numpy(), shared_memory=True))

    def run(self, times):
        for _ in range(times):
            self.request.start_async()
            self.request.wait()

    def outputs(self):
        return [t.data.copy() for t in self.request.output_tensors]


class OpenVINOChannelsLast(OpenVINO):
    def __init__(self, module, inputs):
        super().__init__(Layouts(module), [t.permute(0, 2, 3, 1).contiguous() if t.dim() == 4 else t for t in inputs])

    def outputs(self):
        return [y.transpose(0, 3, 1, 2) if y.ndim == 4 else y for y in super().outputs()]


class OnnxRuntime:
    def __init__(self, module, inputs):
        import io

        import onnxruntime as ort

        file = io.BytesIO()
        torch.onnx.export(module, tuple(inputs), file, dynamo=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for port, t in zip(self.session.get_inputs(), inputs):
            self.binding.bind_cpu_input(port.name, t.numpy())
        for port in self.session.get_outputs():
            self.binding.bind_output(port.name)

    def run(self, times):
        for _ in range(times):
            self.session.run_with_iobinding(self.binding)

    def outputs(self):
        return self.binding.copy_outputs_to_cpu()


RIVALS = {
    "eager": Eager,
    "eager-cl": EagerChannelsLast,
    "compile": Compiled,
    "compile-cl": CompiledChannelsLast,
    "openvino": OpenVINO,
    "openvino-cl": OpenVINOChannelsLast,
    "onnxruntime": OnnxRuntime,
    "onednn": onednn.OneDNN,
}


class Hconv:
    def __init__(self, plan, nhwc):
        self.plan, self.nhwc = plan, nhwc
        self.run = plan.run

    def outputs(self):
        back = lambda y: np.moveaxis(y, -1, 1) if self.nhwc and y.ndim > 2 else y
        return [back(y).copy() for y in self.plan.outputs]
