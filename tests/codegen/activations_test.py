"""Activations that are made of exp, over all that they may meet: how far from the exact value, in units of 2^-24.

SPDX-License-Identifier: MIT
usage: activations_test.py HCONV
A 1 x 1 depthwise convolution by 1 applies the activation alone. exp, its inverse and the product are allowed 10 units of the value
(measured: 6 for SiLU to -20, 8 to -87), tanh 8 units of 1 (measured: 4), which is what the tests' reference allows (num.h).
"""
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

HCONV, UNIT, COUNT = sys.argv[1], 2.0 ** -24, 16 * 4096


def write_npy(path, shape, data):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(data)}f", *data))


def silu(v):
    return v / (1 + math.exp(-v))


def gelu_by_tanh(v):
    return 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)))


# name: the function, what it may lose at v whose value is y
ACTIVATIONS = {"silu": (silu, lambda v, y: 10 * abs(y)), "sigmoid": (lambda v: 1 / (1 + math.exp(-v)), lambda v, y: 10 * y),
               "tanh": (math.tanh, lambda v, y: 8), "gelutanh": (gelu_by_tanh, lambda v, y: 8 * abs(v))}


def main():
    if " fma " not in pathlib.Path("/proc/cpuinfo").read_text():
        print("SKIPPED: without a fused multiply-add exp's argument is rounded twice, and far from 0 it loses more")
        return 77
    near, all_of = ([struct.unpack("<f", struct.pack("<f", most * (2 * i / (COUNT // 2 - 1) - 1)))[0] for i in range(COUNT // 2)]
                    for most in (4.0, 86.0))
    values, failures = near + all_of, 0
    with tempfile.TemporaryDirectory() as folder:
        x, y, weights = (pathlib.Path(folder) / name for name in ("x.npy", "y.npy", "weights"))
        weights.mkdir()
        write_npy(x, (1, 1, COUNT // 16, 16), values)
        write_npy(weights / "weight.npy", (16, 1, 1, 1), [1.0] * 16)
        for name, (exact, allowed) in ACTIVATIONS.items():
            subprocess.run([HCONV, "run", f"depthwise_ci16_h1_w{COUNT // 16}_k1_nobias_{name}", "-i", f"x={x}", "-w", weights, "-o", f"y={y}"],
                           check=True, stdout=subprocess.DEVNULL)
            got = struct.unpack(f"<{COUNT}f", y.read_bytes()[-4 * COUNT:])
            worst = max((abs(g - exact(v)) / (UNIT * allowed(v, exact(v)) + 1e-36), v) for v, g in zip(values, got))
            print(f"{name}: at most {worst[0]:.2f} of what it may lose, at {worst[1]:.9g}")
            failures += not worst[0] <= 1
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ["HCONV_RECORDS"] = "none"
    sys.exit(main())
