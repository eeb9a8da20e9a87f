"""What the hot loops of kernels are bound by: taken from the assembly, counted, and put through llvm-mca's model of a processor that
need not be at hand, a Neoverse N1 or a Skylake server.

SPDX-License-Identifier: MIT
usage: loop_inspect.py HCONV arm|x86 [--write] [--check] [--measured FILE] [PROBLEM...]
--write puts the table into the page of the processor; --check fails where a loop's accumulators are on the stack or the
multiply-add pipes of a kernel that must use them are used less than 85 %; --measured FILE (of bench/rivals.py) adds the share of the
limit that was measured with one thread. Exit status 77: no llvm-mca.

Share: multiply-adds / 2 pipes / cycles an iteration; cycles: llvm-mca's, or instructions / what the front end decodes a cycle if
that is more. The model takes every load to hit the first cache: where the measured share is much less, the data come from farther.
"""
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import classes
from pages import put_between

ROOT = Path(__file__).resolve().parents[1]
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
# On x86: layers of the classes that fall short of what is asked, or near it (bench/classes.py).
SHORT = ("conv2d_ci64_h56_co64_k3_p1", "conv2d_n8_ci64_h56_co64_k3_p1_bn_res_relu", "depthwise_ci144_h56_k3_p1", "depthwise_ci144_h56_k3_p1_bn_silu",
         "depthwise_ci576_h14_k3_p1", "depthwise_ci96_h56_k7_p3", "depthwise_ci384_h14_k7_p3",
         "depthwise_separable_ci512_h14_co512_k3_p1_mbn_mrelu_bn_relu", "grouped_ci128_h56_co128_k3_p1_g32",
         "grouped_ci256_h28_co256_k3_p1_g32_bn_relu", "grouped_ci512_h14_co512_k3_p1_g32_bn_relu", "transposed_ci128_h28_co64_k4_s2_p1",
         "transposed_ci128_h16_co64_k4_s2_p1_bn_relu_fast", "transposed_ci256_h64_co128_k2_s2", "dilated_ci512_h33_co512_k3_d2_p2_bn_relu_fast",
         "wtconv_ci64_h40_k7_lev3", "octave_ci256_h14_co256_k3_p1_cil128_col128_bn_relu", "condconv_n8_ci512_h14_co512_k1_ex8_bn_relu",
         "odconv_n8_ci64_h56_co64_k3_p1_bn_res_relu")


@dataclass
class Processor:
    name: str
    target: str
    mca: tuple          # llvm-mca's words
    page: Path
    must: tuple         # problems that must reach LEAST
    others: tuple
    multiply: re.Pattern
    by_lane: re.Pattern  # multiply-adds whose factor is a lane of a vector, or one number in memory
    jump: re.Pattern
    stands_for_jump: str
    load: re.Pattern
    stack: tuple        # stores to it, loads from it, of vectors
    vector: re.Pattern  # instructions that take the vector pipes
    comment: str
    decoded: int        # instructions a cycle
    unit: re.Pattern    # of llvm-mca's list of units
    units: dict         # unit or its first letter: for people


def assembly(hconv, cpu, problem):
    command = [hconv, "show", problem, "--target", cpu.target, "--records", "none", "--as", "asm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"loop_inspect: {problem}: {done.stderr}")
    lines = [line.split(cpu.comment)[0].strip() for line in done.stdout.splitlines()]
    return [line for line in lines if line and (not line.startswith(".") or line.startswith(".L"))]


def innermost_loops(cpu, lines):
    labels = {line[:-1]: number for number, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for number, line in enumerate(lines):
        jump = cpu.jump.match(line)
        if jump and labels.get(jump.group(1), number) < number:
            loops.append((labels[jump.group(1)], number))
    for start, end in loops:
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops):
            yield [line for line in lines[start:end + 1] if not line.endswith(":")]


def multiplies(cpu, body):
    return sum(bool(cpu.multiply.match(line)) for line in body)


def hot_loop(cpu, lines):
    """Of the loops with the most multiply-adds (half the maximum and up) the leanest: borders have loops of their own."""
    loops = list(innermost_loops(cpu, lines))
    most = max((multiplies(cpu, body) for body in loops), default=0)
    good = [body for body in loops if most and multiplies(cpu, body) >= most / 2]
    return min(good, key=lambda body: len(body) / multiplies(cpu, body), default=[])


def model(cpu, mca, body):
    """Cycles an iteration, and how long each kind of unit is busy in them."""
    text = "\n".join(cpu.stands_for_jump if cpu.jump.match(line) else line for line in body)
    rounds = 200
    done = subprocess.run([mca, *cpu.mca, f"-iterations={rounds}"], input=text, capture_output=True, text=True, check=True)
    cycles = int(re.search(r"Total Cycles:\s+(\d+)", done.stdout).group(1)) / rounds
    names = re.findall(cpu.unit, done.stdout)
    row = done.stdout.split("Resource pressure per iteration:")[1].strip().split("\n")[1]
    busy = {}
    for name, value in zip(names, row.split()):
        kind = cpu.units.get(name, cpu.units.get(name[0], name))
        busy[kind] = max(busy.get(kind, 0), 0.0 if value == "-" else float(value))
    return cycles, busy


def bottleneck(cpu, body, cycles, busy, share):
    if share >= LEAST:
        return "multiply-adds"
    if len(body) / cpu.decoded >= cycles:
        return f"decoding: {len(body)} instructions"
    kind = max(busy, key=busy.get)
    if busy[kind] < 0.9 * cycles:
        return "latency: each waits for the one before"
    if kind == "vector pipes":
        other = [line.split()[0] for line in body if not cpu.multiply.match(line) and cpu.vector.match(line)]
        counts = sorted(((other.count(op), op) for op in set(other)), reverse=True)[:3]
        stores = sum(bool(re.match(r"st\w+\s+[qvds]\d", line)) for line in body)
        slots = round(2 * busy[kind]) - multiplies(cpu, body) - len(other)  # what is left of both pipes
        words = [f"{count} {op}" for count, op in counts] + ([f"{stores} stores in {slots} slots"] if stores and slots > 0 else [])
        return "vector pipes: also " + ", ".join(words)
    return kind


def inspect(hconv, cpu, mca, problem):
    body = hot_loop(cpu, assembly(hconv, cpu, problem))
    if not body:
        return None
    cycles, busy = model(cpu, mca, body)
    cycles = max(cycles, len(body) / cpu.decoded)
    share = multiplies(cpu, body) / 2 / cycles
    # Vectors only: addresses may live on the stack. Nothing stored there: no accumulator is.
    stores, reloads = (sum(bool(pattern.match(line)) for line in body) for pattern in cpu.stack)
    return {"problem": problem, "multiplies": multiplies(cpu, body),
            "lanes": sum(bool(cpu.multiply.match(line) and cpu.by_lane.search(line)) for line in body),
            "loads": sum(bool(cpu.load.match(line)) for line in body), "stores": stores, "reloads": reloads, "share": share,
            "bottleneck": bottleneck(cpu, body, cycles, busy, share)}


def table(rows, measured):
    columns = ["problem", "multiply-adds in the loop (by lane)", "a load", "stack stores, loads", "share of the multiply-add pipes", "bound by"]
    lines = []
    for r in rows:
        cells = [r["problem"], f"{r['multiplies']} ({r['lanes']})", f"{r['multiplies'] / max(1, r['loads']):.1f}", f"{r['stores']}, {r['reloads']}",
                 f"{100 * r['share']:.0f} %", r["bottleneck"]]
        lines.append(cells + ([measured.get(r["problem"], "-")] if measured else []))
    columns += ["measured share of the limit"] if measured else []
    return "\n".join("| " + " | ".join(line) + " |" for line in [columns, ["---"] * len(columns), *lines])


def measured_shares(file):
    """Of every problem that was measured with one thread of this CPU's own instructions."""
    rows = [r for r in json.loads(Path(file).read_text())["rows"] if (r["threads"], r["isa"]) == (1, "best") and "timings" in r]
    return {r["problem"]: f"{100 * classes.share(r):.0f} % of {classes.limit_us(r)[1]}" for r in rows}


def main(arguments):
    file = arguments.pop(arguments.index("--measured") + 1) if "--measured" in arguments[:-1] else None
    flags = {a for a in arguments if a.startswith("--")}
    words = [a for a in arguments if not a.startswith("--")]
    if len(words) < 2 or words[1] not in PROCESSORS or flags - {"--write", "--check", "--measured"}:
        sys.exit(__doc__)
    mca = shutil.which("llvm-mca-19") or shutil.which("llvm-mca-20") or shutil.which("llvm-mca-21")
    if not mca:
        print("skipped: no llvm-mca of version 19 or later, older ones do not know the Neoverse N1; install llvm-19")
        sys.exit(77)
    cpu, measured = PROCESSORS[words[1]], measured_shares(file) if file else None
    rows, bad = [], []
    for problem in words[2:] or cpu.must + cpu.others:
        row = inspect(words[0], cpu, mca, problem)
        if row is None:
            bad.append(f"{problem}: no loop with multiply-adds")
            continue
        rows.append(row)
        print(table([row], measured).split("\n")[-1], flush=True)
        if row["stores"]:
            bad.append(f"{problem}: {row['stores']} vectors are put on the stack in the hot loop")
        if problem in cpu.must and row["share"] < LEAST:
            bad.append(f"{problem}: {100 * row['share']:.0f} % of the multiply-add pipes; {100 * LEAST:.0f} % are asked for")
    if "--write" in flags:
        put_between(cpu.page, f"<!-- {cpu.name}: begin (made by bench/loop_inspect.py) -->", f"<!-- {cpu.name}: end -->", table(rows, measured))
    for line in bad:
        print(f"loop_inspect: {line}")
    return 1 if bad and "--check" in flags else 0


ARM = Processor(
    name="arm", target="arm-64-linux", mca=("-mtriple=aarch64", "-mcpu=neoverse-n1"), page=ROOT / "docs/arm.md", must=DENSE, others=OTHERS,
    multiply=re.compile(r"fml[as]\b|fmadd\b|fmsub\b|fnmadd\b|fnmsub\b"), by_lane=re.compile(r"\]$"),
    jump=re.compile(r"(?:b\.?[a-z]*|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.L\w+)$"), stands_for_jump="subs xzr, x29, #1", load=re.compile(r"ld"),
    stack=tuple(re.compile(rf"{op}\w+\s+[qvds]\d+.*\[sp") for op in ("st", "ld")), vector=re.compile(r"(?!ld|st).*\bv\d+\."), comment="//",
    decoded=4, unit=re.compile(r"^\[[\d.]+\]\s+- N1Unit(\w+)", re.M),
    units={"V0": "vector pipes", "V1": "vector pipes", "L": "loads and stores", "I": "integer pipes", "M": "integer pipes", "B": "branches",
           "D": "stores", "S": "integer pipes"})
X86 = Processor(
    name="x86", target="x86-64-linux/avx512", mca=("-mtriple=x86_64", "-mcpu=skylake-avx512"), page=ROOT / "docs/bench.md", must=(), others=SHORT,
    multiply=re.compile(r"vf\w*m(?:add|sub)\w*[ps]s\b"), by_lane=re.compile(r"1to16"), jump=re.compile(r"j[a-z]+\s+(\.L\w+)$"),
    stands_for_jump="addq $1, %rax", load=re.compile(r"v\w+\s+(?:\$\w+, ?)?[-\w.]*\(.*\).*,"),
    stack=(re.compile(r"v\w+\s+.*%[xyz]mm\d+.*, ?[-\w]*\(%rsp"), re.compile(r"v\w+\s+[-\w]*\(%rsp.*\).*%[xyz]mm\d+")),
    vector=re.compile(r"v(?!mov\w+\s+.*\().*"), comment="# ", decoded=4, unit=re.compile(r"^\[[\d.]+\]\s+- SKXPort(\w+)", re.M),
    units={"0": "vector pipes", "5": "vector pipes", "2": "loads", "3": "loads", "4": "stores", "7": "stores", "1": "integer pipes", "6": "integer pipes"})
PROCESSORS = {"arm": ARM, "x86": X86}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
