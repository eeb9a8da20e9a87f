"""The README's table of variants and targets, from what was really checked.

SPDX-License-Identifier: MIT
usage: coverage_table.py HCONV --measure TARGET...  check the smoke lists there and keep the outcome in docs/coverage.json
       coverage_table.py --write                    put the table into README.md
       coverage_table.py --check                    does README.md hold the table that docs/coverage.json makes?
A target's function says for every problem of a variant's smoke list what became of its kernel: "ran" (run and compared with the
reference), "ran as OpenCL" (the same, compiled for OpenCL instead), "assembled" (compiled and assembled), "refused" (with a sentence)
or "failed", and by which schedule. An open problem counts once a size where it ran.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA, README = ROOT / "docs/coverage.json", ROOT / "README.md"
BEGIN, END = "<!-- coverage: begin (made by scripts/coverage_table.py) -->", "<!-- coverage: end -->"


def variants():
    return re.findall(r"^HCONV_VARIANT\((\w+),", (ROOT / "runtime/variants.def").read_text(), flags=re.M)


def problems_of(variant):
    lines = (ROOT / f"tests/problems/{variant}.txt").read_text().splitlines()
    return [line.split("@")[0].split(":")[0].split("*")[0].strip() for line in lines if line.strip() and line[0] != "#"]


def checked(hconv, target, runner, libraries=""):
    """A function of a variant: its list through hconv check."""
    def of(variant):
        command = [hconv, "check", f"@tests/problems/{variant}.txt", "--target", target] + (["--runner", runner] if runner else [])
        environment = dict(os.environ, LD_LIBRARY_PATH=libraries) if libraries else None
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        lines = re.findall(r"^\[\d+/\d+\] (passed|FAILED) (\S+) (\S+) (\S+?)[:,\s]", done.stdout, flags=re.M)
        if not lines:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return [("ran" if outcome == "passed" else "failed", f"{problem} {isa}", schedule) for outcome, problem, isa, schedule in lines]
    return of


def assembled(hconv, target):
    """A function of a variant: the PTX of every kernel of its list through ptxas; and through OpenCL, over the tests' libcuda."""
    ptxas = shutil.which("ptxas", path=os.environ["PATH"] + ":/usr/local/cuda/bin")
    if not ptxas:
        sys.exit("coverage_table: no ptxas: install the CUDA Toolkit")

    through_opencl = checked(hconv, "x86-64-linux-opencl", "", libraries=str(Path(hconv).resolve().parent / "fake_cuda"))

    def of(variant):
        ran = through_opencl(variant)
        outcomes = [("ran as OpenCL" if outcome == "ran" else outcome, kernel, "") for outcome, kernel, _ in ran]
        for problem in problems_of(variant):
            why = subprocess.run([hconv, "show", problem, "--target", target, "--as", "schedule"], capture_output=True, text=True, check=True)
            schedule = re.search(r"^\s*schedule\s+(\w+)", why.stdout, flags=re.M).group(1)
            ptx = subprocess.run([hconv, "show", problem, "--target", target, "--as", "ptx"], capture_output=True, text=True, check=True)
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "k.ptx").write_text(ptx.stdout)
                done = subprocess.run([ptxas, "-arch=sm_80", f"{folder}/k.ptx", "-o", f"{folder}/k.cubin"], check=False)
            outcomes.append(("failed" if done.returncode else "assembled", problem, schedule))
        return outcomes
    return of


# Column: how its kernels are tried.
TARGETS = {
    "x86-64-linux": lambda hconv: checked(hconv, "x86-64-linux", ""),
    "arm-64-linux": lambda hconv: checked(hconv, "arm-64-linux", "qemu-aarch64 -cpu cortex-a53"),
    "arm-32-linux": lambda hconv: checked(hconv, "arm-32-linux", "qemu-arm -cpu cortex-a9"),
    "x86-64-linux/cuda80": lambda hconv: assembled(hconv, "x86-64-linux/cuda80"),
}


def summary(outcomes):
    """{"ran": 12, "schedules": {"direct": 10, "generic": 2}}."""
    kernels = {}
    for outcome, kernel, schedule in outcomes:
        if kernels.get(kernel, ("",))[0] != "failed":
            kernels[kernel] = (outcome, schedule.split(":")[0])
    result = {"schedules": {}}
    for outcome, schedule in kernels.values():
        result[outcome] = result.get(outcome, 0) + 1
        if schedule:
            result["schedules"][schedule] = result["schedules"].get(schedule, 0) + 1
    return result


def measure(hconv, targets):
    data = json.loads(DATA.read_text()) if DATA.exists() else {}
    for target in targets:
        of = TARGETS[target](hconv)
        for variant in variants():
            data.setdefault(variant, {})[target] = summary(of(variant))
            print(f"{target} {variant}: {cell(data[variant][target])}", flush=True)
            DATA.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")


def cell(entry):
    if not entry:
        return "not recorded"
    words = [f"{entry[outcome]} {outcome}" for outcome in ("ran", "assembled", "ran as OpenCL", "refused", "failed") if outcome in entry]
    generic = entry["schedules"].get("generic", 0)
    own = sorted(name for name in entry["schedules"] if name != "generic")
    by = ", ".join(own + ([f"generic {generic}"] if own and generic else ["generic"] if generic else []))
    return f"{', '.join(words)}: {by}"


def table():
    data = json.loads(DATA.read_text())
    lines = ["| variant | " + " | ".join(TARGETS) + " |", "|" + "---|" * (len(TARGETS) + 1)]
    for variant in variants():
        lines.append(f"| {variant} | " + " | ".join(cell(data.get(variant, {}).get(target)) for target in TARGETS) + " |")
    return "\n".join(lines)


def page():
    text = README.read_text()
    return f"{text.split(BEGIN)[0]}{BEGIN}\n{table()}\n{END}{text.split(END)[1]}"


def main(arguments):
    if arguments == ["--write"]:
        README.write_text(page())
    elif arguments == ["--check"]:
        if README.read_text() != page():
            sys.exit("README.md does not hold the table of docs/coverage.json: run scripts/coverage_table.py --write")
    elif len(arguments) > 2 and arguments[1] == "--measure" and all(t in TARGETS for t in arguments[2:]):
        measure(str(Path(arguments[0]).resolve()), arguments[2:])
    else:
        sys.exit(f"{__doc__}targets: {', '.join(TARGETS)}")


if __name__ == "__main__":
    main(sys.argv[1:])
