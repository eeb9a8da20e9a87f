"""The CUDA schedules without a GPU: PTX that assembles for sm_80 and sm_90 without spills, launches that a GPU can make, and the same
schedules compiled for OpenCL, run on this CPU against the reference through the runtime's CUDA part.

SPDX-License-Identifier: MIT
usage: cuda_test.py HCONV FOLDER_OF_FAKE_LIBCUDA; exit 77: neither ptxas nor OpenCL is here.
"""
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import cuda_inspect  # noqa: E402

HCONV, FAKE = sys.argv[1:3]
LIST = Path(__file__).with_name("cuda_problems.txt")
NEVER_SPILL = ("conv2d", "pointwise", "depthwise", "grouped", "transposed", "spd")
SHARED = 99 << 10  # of a block, of the GPUs since sm_80 the least


def problems():
    return [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]


def check_ptx(problem):
    """Findings about one problem's functions; prints what ptxas says."""
    ptx = cuda_inspect.ptx_of(HCONV, problem)
    found = [] if ".target sm_80" in ptx else [f"{problem}: no PTX for sm_80"]
    rows = cuda_inspect.launches(ptx)
    if not rows:
        found.append(f"{problem}: nothing is launched")
    for row in rows:
        stage, threads, shared = row["stage"], row["threads"], row["shared"]
        print(f"{problem} {stage}: {threads} threads, {shared} bytes shared, (registers, bytes spilled): {row['figures']}")
        if set(row["figures"]) != {80, 90}:
            found.append(f"{problem}: {stage} was not assembled for sm_80 and sm_90")
        for capability, (registers, spilled) in row["figures"].items():
            if threads > 1024 or not row["resident"][capability]:
                found.append(f"{problem}: {stage} has {threads} threads of {registers} registers on sm_{capability}")
            if spilled and problem.split("_")[0] in NEVER_SPILL:
                found.append(f"{problem}: {stage} spills {spilled} bytes on sm_{capability}")
        if shared > SHARED:
            found.append(f"{problem}: {stage} needs {shared} bytes of shared memory")
    return found


def has_opencl():
    try:
        count = ctypes.c_uint(0)
        return ctypes.CDLL("libOpenCL.so.1").clGetPlatformIDs(0, None, ctypes.byref(count)) == 0 and count.value > 0
    except OSError:
        return False


def main():
    found, done = [], 0
    if shutil.which("ptxas", path=os.environ["PATH"] + ":/usr/local/cuda/bin"):
        for problem in problems():
            found += check_ptx(problem)
        done += 1
    else:
        print("SKIPPED: no ptxas: install the CUDA Toolkit to assemble the PTX")
    if has_opencl():
        environment = dict(os.environ, LD_LIBRARY_PATH=FAKE)
        run = subprocess.run([HCONV, "check", f"@{LIST}", "--target", "x86-64-linux-opencl"], env=environment, capture_output=True, text=True,
                             check=False)
        print(run.stdout)
        if run.returncode or f"{len(problems())} passed, 0 failed, 0 skipped" not in run.stdout:
            found.append("hconv check through OpenCL: " + (run.stdout + run.stderr)[-2000:])
        if " opencl generic:" in run.stdout:
            found.append("a problem of the list has no CUDA schedule")
        done += 1
    else:
        print("SKIPPED: no OpenCL device: install pocl-opencl-icd to run the CUDA schedules on this CPU")
    print("\n".join(found))
    return 1 if found else 0 if done else 77


if __name__ == "__main__":
    sys.exit(main())
