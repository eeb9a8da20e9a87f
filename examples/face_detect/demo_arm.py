#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the cross-compiled face detector and one WTConv block: demo_arm.py HCONV BUILD RUNNER. Exit status 1: a wrong answer."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from photo import photo  # noqa: E402

PIXEL = 0.06     # as in test_face_detect.py
TOLERANCE = 1e-5  # of max|y|, as for all golden cases
CASE, BLOCK = HERE.parents[1] / "tests/goldens/wtconv2d_db1_L3_k5", "wtconv_{}_k5_lev3"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"demo: {done.stderr}{done.stdout}")
    return done.stdout


def face(build, runner):
    Image.open(photo("astronaut.png")).convert("RGB").save(build / "photo.ppm")
    text = run(*runner.split(), build / "face_detect", "--weights", build / "face_detect.weights", build / "photo.ppm", "-o",
               build / "found.ppm")
    print(f"demo: {runner.split()[0]} emulates the processor; the times are not a processor's\n{text}", end="")
    expected = json.loads((HERE / "expected.json").read_text())["faces"][0]
    found = [line for line in text.splitlines() if line.startswith(("face ", "  "))]
    numbers = [float(n) for n in re.findall(r"\b(?:x|y|width|height) (-?[0-9.]+)", "\n".join(found))]
    wanted = expected["box"] + [n for point in expected["landmarks"].values() for n in point]
    if len(numbers) != len(wanted):
        sys.exit(f"demo: {len(numbers)} numbers, {len(wanted)} expected")
    return max(abs(a - b) for a, b in zip(numbers, wanted))


def block(hconv, build, runner):
    """The module's arrays are nchw, the problem is nhwc."""
    folder = build / "wtconv"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in CASE.glob("param.*.npy"):
        shutil.copy(path, folder / path.name[len("param."):])
    x, y = (np.load(next(CASE.glob(f"{what}.*.npy"))) for what in ("input", "output"))
    n, ci, h, w = x.shape
    problem = BLOCK.format(f"n{n}_ci{ci}_h{h}_w{w}")
    np.save(build / "x.npy", np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    run(hconv, "run", problem, "--target", "arm-64-linux", "--runner", runner, "-i", f"x={build}/x.npy", "-w", folder, "-o",
        f"y={build}/y.npy")
    print(f"{problem} on {tuple(x.shape)}")
    return np.abs(np.load(build / "y.npy").transpose(0, 3, 1, 2) - y).max() / np.abs(y).max()


def main(hconv, build, runner):
    build = pathlib.Path(build)
    pixels, error = face(build, runner), block(hconv, build, runner)
    print(f"demo: the face is off by at most {pixels:.3f} pixels from the mtcnn package's ({PIXEL} allowed)")
    print(f"demo: the WTConv block is off by {error:.1e} of max|y| from the original module's ({TOLERANCE:.0e} allowed)")
    return 0 if pixels <= PIXEL and error <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
