"""For tests that need PyTorch: finds a Python that has it, or skips aloud.

SPDX-License-Identifier: MIT
Asked in turn: this Python, HCONV_RIVALS_PYTHON, the one that `make bench-rivals` made.
"""
import importlib.util
import os
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDED = ("torch", "numpy", "pywt", "safetensors")


def run_with_torch(script):
    """Returns where this Python has what is needed; else becomes one that has, or ends the test."""
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return
    for python in (os.environ.get("HCONV_RIVALS_PYTHON"),
                   str(pathlib.Path(os.environ.get("HCONV_ENV", ROOT / ".env")) / "rivals/bin/python")):
        if python and os.access(python, os.X_OK) and python != os.environ.get("HCONV_TRIED_PYTHON"):
            os.environ["HCONV_TRIED_PYTHON"] = python
            os.execv(python, [python, script, *sys.argv[1:]])
    print(f"SKIPPED: {pathlib.Path(script).name} needs a Python with {', '.join(NEEDED)}; name one in HCONV_RIVALS_PYTHON, "
          "or run `make bench-rivals` once")
    sys.exit(77)


def read_npy(path):
    import ast

    import torch
    data = pathlib.Path(path).read_bytes()
    at, length = (10, struct.unpack("<H", data[8:10])[0]) if data[6] == 1 else (12, struct.unpack("<I", data[8:12])[0])
    header = ast.literal_eval(data[at:at + length].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"{path}: float32 in C order expected, not {header}")
    return torch.frombuffer(bytearray(data[at + length:]), dtype=torch.float32).reshape(header["shape"])
