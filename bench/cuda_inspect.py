"""What CUDA kernels ask of a GPU, where none is at hand: launches, and of each launch threads, registers, spills and shared memory,
and how many threads those leave a multiprocessor.

SPDX-License-Identifier: MIT
usage: cuda_inspect.py HCONV [--write] [--check] [PROBLEM...]
--write puts the table into docs/cuda.md; --check fails where a kernel spills, or a block does not fit. Without problems: those of
bench/gpu/problems.txt. Exit status 77: no ptxas.

Threads a multiprocessor: as many whole blocks as its registers, shared memory and thread slots hold, nothing else asked.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import put_between

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/cuda.md"
LIST = ROOT / "bench/gpu/problems.txt"
BEGIN, END = "<!-- cuda: begin (made by bench/cuda_inspect.py) -->", "<!-- cuda: end -->"
# Of a multiprocessor: registers, handed out to warps in units of 256; shared memory, of which every block's runtime takes 1 KB; threads; blocks.
REGISTERS, UNIT, THREADS, BLOCKS, RESERVED = 65536, 256, 2048, 32, 1 << 10
SHARED = {80: 164 << 10, 90: 228 << 10}
LISTED = 20  # launches of fewer threads than a twentieth of the largest are counted, not listed
LAUNCH = re.compile(r"^// launch (\S+): grid (.*), block (\d+) x (\d+) x (\d+), (\d+) bytes shared(.*)$", re.M)
FIGURES = re.compile(r"sm_(\d+): (\d+) registers, (\d+) bytes spilled")


def resident(capability, threads, registers, shared):
    """Threads of a multiprocessor, by its limits."""
    warps = -(-threads // 32)
    by_registers = REGISTERS // (UNIT * -(-32 * registers // UNIT)) // warps
    by_shared = SHARED[capability] // (shared + RESERVED)
    return threads * min(by_registers, by_shared, THREADS // (32 * warps), BLOCKS)


def blocks(grid):
    """How many blocks a grid has; None where a size is open."""
    sizes = [int(size) for size in grid.split(" x ") if size.isdigit()]
    return sizes[0] * sizes[1] * sizes[2] if len(sizes) == 3 else None


def stage(function):
    """A stage and, behind a point, its update: of _kernel_conv0_global_wrapper__0_s1_y_..., conv0.1."""
    name, update = re.match(r"_kernel_(.*?)_s(\d+)_", function + "_").groups()
    return re.sub(r"_global_wrapper|_+\d+$", "", name) + ("" if update == "0" else f".{update}")


def ptx_of(hconv, problem):
    """PTX, and behind it a comment for each launch."""
    done = subprocess.run([hconv, "show", problem, "--target", "x86-64-linux/cuda80", "--as", "ptx"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{problem}: {done.stderr}")
    return done.stdout


def launches(ptx):
    """One row a launch, the one with the most threads first."""
    rows = []
    for function, grid, x, y, z, shared, rest in LAUNCH.findall(ptx):
        threads = int(x) * int(y) * int(z)
        figures = {int(c): (int(registers), int(spilled)) for c, registers, spilled in FIGURES.findall(rest)}
        rows.append({"stage": stage(function), "blocks": blocks(grid), "threads": threads, "shared": int(shared), "figures": figures,
                     "resident": {c: resident(c, threads, registers, int(shared)) for c, (registers, _) in figures.items()}})
    return sorted(rows, key=lambda r: -(r["blocks"] or 0) * r["threads"])


def table(found):
    lines = ["| problem | launches | stage | blocks | threads | registers sm_80, sm_90 | spilled bytes | shared bytes | threads a multiprocessor, of 2048 |",
             "|---|---|---|---|---|---|---|---|---|"]
    for problem, rows in found:
        most = (rows[0]["blocks"] or 0) * rows[0]["threads"] if rows else 0
        listed = [row for row in rows if row["blocks"] is None or LISTED * row["blocks"] * row["threads"] >= most]
        for number, row in enumerate(listed):
            pair = [row["figures"][c] for c in SHARED]
            lines.append(f"| {problem if number == 0 else ''} | {len(rows) if number == 0 else ''} | {row['stage']} | {row['blocks'] or 'open'} | "
                         f"{row['threads']} | {pair[0][0]}, {pair[1][0]} | {sum(spilled for _, spilled in pair)} | {row['shared']} | "
                         f"{', '.join(str(row['resident'][c]) for c in SHARED)} |")
    return "\n".join(lines)


def main(arguments):
    flags = {a for a in arguments if a.startswith("--")}
    words = [a for a in arguments if not a.startswith("--")]
    if not words or flags - {"--write", "--check"}:
        sys.exit(__doc__)
    if not shutil.which("ptxas") and not Path("/usr/local/cuda/bin/ptxas").exists():
        print("skipped: no ptxas; install the CUDA Toolkit")
        sys.exit(77)
    listed = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    found, bad = [], []
    for problem in words[1:] or listed:
        rows = launches(ptx_of(words[0], problem))
        found.append((problem, rows))
        print("\n".join(table([(problem, rows)]).split("\n")[2:]), flush=True)
        for row in rows:
            if any(spilled for _, spilled in row["figures"].values()):
                bad.append(f"{problem}: {row['stage']} spills")
            if not all(row["resident"].values()):
                bad.append(f"{problem}: {row['stage']}: a block does not fit")
    if "--write" in flags:
        put_between(PAGE, BEGIN, END, table(found))
    for line in bad:
        print(f"cuda_inspect: {line}")
    return 1 if bad and "--check" in flags else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
