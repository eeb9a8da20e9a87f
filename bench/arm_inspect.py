"""What the hot loops of ARM kernels are bound by, where no ARM processor is at hand: taken from the assembly, counted, and put
through llvm-mca's model of a Neoverse N1.

SPDX-License-Identifier: MIT
usage: arm_inspect.py HCONV [--write] [--check] [PROBLEM...]
--write puts the table into docs/arm.md; --check fails where a loop's accumulators are on the stack or the multiply-add pipes of a
dense, pointwise or transposed kernel are used less than 85 %. Exit status 77: no llvm-mca.

Share: multiply-adds / 2 pipes / cycles an iteration; cycles: llvm-mca's, or instructions / 4 if that is more, which is what the
front end decodes. The model takes every load to hit the first cache.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import put_between

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/arm.md"
BEGIN, END = "<!-- arm: begin (made by bench/arm_inspect.py) -->", "<!-- arm: end -->"
LEAST = 0.85
# Those that must reach LEAST, then the others.
DENSE = ("conv2d_ci64_h56_co64_k3_p1_relu", "conv2d_ci128_h56_co128_k3_s2_p1", "conv2d_ci64_h?_co64_k3_p1", "conv2d_ci512_h7_co512_k3_p1",
         "dilated_ci64_h28_co64_k3_d2_p2", "pointwise_ci64_h56_co256", "pointwise_ci256_h?_co64", "linear_n32_ci256_co128",
         "transposed_ci128_h28_co64_k4_s2_p1", "transposed_ci64_h80_co24_k2_s2", "transposed_ci32_h14_co32_k3_s2_p1_op1")
OTHERS = ("conv2d_ci3_h224_co64_k7_s2_p3", "conv2d_ci64_h56_co64_k3_p1_nchw", "grouped_ci64_h28_co64_k3_p1_g4",
          "grouped_ci128_h56_co128_k3_p1_g32", "depthwise_ci96_h56_k3_p1_relu", "depthwise_ci96_h56_k5_p2_relu",
          "depthwise_ci96_h56_k7_p3", "depthwise_ci128_h28_k31_p15", "depthwise_ci96_h56_k3_p1_nchw",
          "depthwise_separable_ci128_h56_co128_k3_p1", "rowcol_ci64_h56_k5_p2", "rowcol_ci64_h56_k5_p2_nchw",
          "spd_ci64_h56_co128_k3_p1", "octave_ci128_h28_co128_k3_p1_cil64_col64", "wtconv_ci64_h40_k5_lev3",
          "wtconv_ci64_h40_k5_lev3_db2", "condconv_ci64_h56_co64_k3_p1", "dynamicconv_ci64_h56_co64_k3_p1",
          "odconv_ci64_h56_co64_k3_p1")
FMA = re.compile(r"fml[as]\b|fmadd\b|fmsub\b|fnmadd\b|fnmsub\b")
JUMP = re.compile(r"(?:b\.?[a-z]*|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.L\w+)$")
UNITS = {"V0": "vector pipes", "V1": "vector pipes", "L": "loads and stores", "I": "integer pipes", "M": "integer pipes",
         "B": "branches", "D": "stores", "S": "integer pipes"}


def assembly(hconv, problem):
    done = subprocess.run([hconv, "show", problem, "--target", "arm-64-linux", "--as", "asm"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"arm_inspect: {problem}: {done.stderr}")
    lines = [line.split("//")[0].strip() for line in done.stdout.splitlines()]
    return [line for line in lines if line and (not line.startswith(".") or line.startswith(".L"))]


def innermost_loops(lines):
    labels = {line[:-1]: number for number, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for number, line in enumerate(lines):
        jump = JUMP.match(line)
        if jump and labels.get(jump.group(1), number) < number:
            loops.append((labels[jump.group(1)], number))
    for start, end in loops:
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops):
            yield [line for line in lines[start:end + 1] if not line.endswith(":")]


def multiplies(body):
    return sum(bool(FMA.match(line)) for line in body)


def hot_loop(lines):
    """Of the loops with the most multiply-adds (half the maximum and up) the leanest: borders have loops of their own."""
    loops = list(innermost_loops(lines))
    most = max(map(multiplies, loops), default=0)
    good = [body for body in loops if most and multiplies(body) >= most / 2]
    return min(good, key=lambda body: len(body) / multiplies(body), default=[])


def model(mca, body):
    """Cycles an iteration, and how long each kind of unit is busy in them."""
    text = "\n".join("subs xzr, x29, #1" if JUMP.match(line) else line for line in body)
    rounds = 200
    done = subprocess.run([mca, "-mtriple=aarch64", "-mcpu=neoverse-n1", f"-iterations={rounds}"], input=text, capture_output=True,
                          text=True, check=True)
    cycles = int(re.search(r"Total Cycles:\s+(\d+)", done.stdout).group(1)) / rounds
    names = re.findall(r"^\[[\d.]+\]\s+- N1Unit(\w+)", done.stdout, flags=re.M)
    row = done.stdout.split("Resource pressure per iteration:")[1].strip().split("\n")[1]
    busy = {}
    for name, value in zip(names, row.split()):
        kind = UNITS.get(name, UNITS.get(name[0], name))
        busy[kind] = max(busy.get(kind, 0), 0.0 if value == "-" else float(value))
    return cycles, busy


def bottleneck(body, cycles, busy, share):
    if share >= LEAST:
        return "multiply-adds"
    if len(body) / 4 >= cycles:
        return f"decoding: {len(body)} instructions"
    kind = max(busy, key=busy.get)
    if busy[kind] < 0.9 * cycles:
        return "latency: each waits for the one before"
    if kind == "vector pipes":
        other = [line.split()[0] for line in body if not FMA.match(line) and re.search(r"\bv\d+\.", line) and not line.startswith(("ld", "st"))]
        counts = sorted(((other.count(op), op) for op in set(other)), reverse=True)[:3]
        stores = sum(bool(re.match(r"st\w+\s+[qvds]\d", line)) for line in body)
        slots = round(2 * busy[kind]) - multiplies(body) - len(other)  # what is left of both pipes
        words = [f"{count} {op}" for count, op in counts] + ([f"{stores} stores in {slots} slots"] if stores and slots > 0 else [])
        return "vector pipes: also " + ", ".join(words)
    return kind


def inspect(hconv, mca, problem):
    body = hot_loop(assembly(hconv, problem))
    if not body:
        return None
    cycles, busy = model(mca, body)
    cycles = max(cycles, len(body) / 4)
    share = multiplies(body) / 2 / cycles
    loads = sum(line.startswith("ld") for line in body)
    # Vectors only: addresses may live on the stack. Nothing stored there: no accumulator is.
    stack = [sum(bool(re.match(rf"{op}\w+\s+[qvds]\d+.*\[sp", line)) for line in body) for op in ("st", "ld")]
    return {"problem": problem, "multiplies": multiplies(body), "lanes": sum(bool(FMA.match(line)) and line.endswith("]") for line in body),
            "loads": loads, "stores": stack[0], "reloads": stack[1], "share": share, "bottleneck": bottleneck(body, cycles, busy, share)}


def table(rows):
    lines = ["| problem | multiply-adds in the loop (by lane) | a load | stack stores, loads | share of the multiply-add pipes | bound by |",
             "|---|---|---|---|---|---|"]
    for r in rows:
        lines.append(f"| {r['problem']} | {r['multiplies']} ({r['lanes']}) | {r['multiplies'] / max(1, r['loads']):.1f} | {r['stores']}, {r['reloads']} | "
                     f"{100 * r['share']:.0f} % | {r['bottleneck']} |")
    return "\n".join(lines)


def main(arguments):
    flags = {a for a in arguments if a.startswith("--")}
    words = [a for a in arguments if not a.startswith("--")]
    if not words or flags - {"--write", "--check"}:
        sys.exit(__doc__)
    mca = shutil.which("llvm-mca-19") or shutil.which("llvm-mca-20") or shutil.which("llvm-mca-21")
    if not mca:
        print("skipped: no llvm-mca of version 19 or later, older ones do not know the Neoverse N1; install llvm-19")
        sys.exit(77)
    rows, bad = [], []
    for problem in words[1:] or DENSE + OTHERS:
        row = inspect(words[0], mca, problem)
        if row is None:
            bad.append(f"{problem}: no loop with multiply-adds")
            continue
        rows.append(row)
        print(table([row]).split("\n")[-1], flush=True)
        if row["stores"]:
            bad.append(f"{problem}: {row['stores']} vectors are put on the stack in the hot loop")
        if problem in DENSE and row["share"] < LEAST:
            bad.append(f"{problem}: {100 * row['share']:.0f} % of the multiply-add pipes; {100 * LEAST:.0f} % are asked for")
    if "--write" in flags:
        put_between(PAGE, BEGIN, END, table(rows))
    for line in bad:
        print(f"arm_inspect: {line}")
    return 1 if bad and "--check" in flags else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
