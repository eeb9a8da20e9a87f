#!/usr/bin/env python3
"""hconv's emitted kernels against PyTorch, torch.compile, OpenVINO, ONNX Runtime and oneDNN, layer by layer, in one process.

SPDX-License-Identifier: MIT
docs/bench.md says how it measures. Run by a Python that has the rivals (bench/requirements.txt; `make bench-rivals` makes one).
"""
import argparse
import concurrent.futures as futures
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import figures
import report

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "bench" / "rivals"
RIVALS = ["eager", "eager-cl", "compile", "compile-cl", "openvino", "openvino-cl", "onnxruntime", "onednn"]
NOT_FORCED = ("openvino", "openvino-cl", "onnxruntime")
NEEDS = {"openvino": "openvino", "openvino-cl": "openvino", "onnxruntime": "onnx", "onednn": "onednn"}
ROW_SECONDS = 900
NO_NCHW = ("linear",)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lists", nargs="*", default=[str(ROOT / "bench/problems/headline.txt")], help="problem lists")
    parser.add_argument("--rows", help="only problems and labels that this regular expression is found in")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isa", choices=["sse41", "avx2", "avx512"], help="hold all to this instruction set (avx2), or ours")
    parser.add_argument("--rivals", default=",".join(RIVALS), help=f"of {','.join(RIVALS)}")
    parser.add_argument("--without", default="", help="rivals to do without: compile,compile-cl take most of the time")
    parser.add_argument("--prepare", action="store_true", help="do all that is slow the first time (kernels, what inductor "
                        "compiles) and compare answers, but time nothing: a run afterwards is ready sooner")
    parser.add_argument("--json", default=str(ROOT / "out/rivals.json"), help="rows already in it are not measured again")
    parser.add_argument("--again", action="store_true", help="measure also the rows that the JSON file has")
    parser.add_argument("--hconv", default=str(ROOT / "build" / os.environ.get("PRESET", "release") / "hconv"))
    parser.add_argument("--folder", default=str(ROOT / "out/rivals"), help="for the library, and for what inductor compiles")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.threads = [int(t) for t in options.threads.split(",")]
    without = [name for name in options.without.split(",") if name]
    unknown = {*options.rivals.split(","), *without} - set(RIVALS)
    options.rivals = [name for name in options.rivals.split(",") if name not in without]
    options.without = [name for name in RIVALS if name not in options.rivals]
    if options.prepare:
        options.rounds = 0
    if unknown:
        parser.error(f"no rival is called {', '.join(sorted(unknown))}; there are {', '.join(RIVALS)}")
    cores = len(os.sched_getaffinity(0))
    if max(options.threads) > cores:
        parser.error(f"{max(options.threads)} threads need as many cores; this process may use {cores}")
    return options


def nchw_of(problem):
    words = problem.split("_")
    return problem if words[0] in NO_NCHW or "nchw" in words else problem + "_nchw"


def read_line(line):
    """A row of `problem :label *times`, or None of a blank line; a problem with open sizes has no time."""
    match = re.fullmatch(r"(\S+?)\s*(@\S+)?\s*(?::(\S+?))?\s*(?:\*\s*(\d+))?", line.split("#")[0].strip())
    if not match:
        if line.split("#")[0].strip():
            raise ValueError(f"'{line.strip()}' is no `problem :label *times`")
        return None
    if "?" in match[1]:
        raise ValueError(f"{match[1]} leaves sizes open: write a problem for each size to be measured")
    return {"problem": match[1], "nchw": nchw_of(match[1]), "label": match[3] or "", "times": int(match[4] or 1)}


def read_lists(options):
    rows, left_out = [], []
    for name in options.lists:
        for line in Path(name).read_text().splitlines():
            try:
                row = read_line(line)
            except ValueError as e:
                left_out.append(f"{name}: {e}")
                continue
            if row and (not options.rows or re.search(options.rows, row["problem"] + " " + row["label"])):
                rows.append(row)
    for sentence in left_out:
        print(f"rivals.py: left out: {sentence}", file=sys.stderr)
    if not rows:
        sys.exit("rivals.py: no row is left to measure")
    return rows


def emit_all(options, folder, rows):
    """Emits the kernels of the rows; a row with a kernel that cannot be made leaves with the reason in `why`."""
    target = f"x86-64-linux/{options.isa}" if options.isa else "host"
    left = list(rows)
    while left:
        (folder / "problems.txt").write_text("\n".join(dict.fromkeys(p for row in left for p in (row["problem"], row["nchw"]))) + "\n")
        done = subprocess.run([options.hconv, "emit", f"@{folder}/problems.txt", "-o", str(folder / "library"), "--name", "rivals",
                               "--no-verify", "--target", target], stderr=subprocess.PIPE, text=True)
        if not done.returncode:
            return left
        failed = re.search(r"compiling (\S+) for \S+.* failed: (.*)", done.stderr)
        at_fault = [row for row in left if failed and failed[1] in (row["problem"], row["nchw"])]
        if not at_fault:
            sys.exit(f"rivals.py: {done.stderr.strip()}")
        for row in at_fault:
            row["why"] = failed[0][:300]
            print(f"rivals.py: left out: {row['why']}", file=sys.stderr)
        left = [row for row in left if "why" not in row]
    sys.exit("rivals.py: no row has its kernels")


def emit(options, rows):
    """The library of the rows as a shared object, each kernel's hash by problem, and the rows that have their kernels."""
    folder = Path(options.folder) / (options.isa or "best")
    folder.mkdir(parents=True, exist_ok=True)
    left = emit_all(options, folder, rows)
    shared = folder / "library" / "librivals.so"
    subprocess.run([os.environ.get("CC", "cc"), "-std=c99", "-O2", "-fPIC", "-shared", "-I", str(shared.parent),
                    str(HERE / "loop.c"), str(ROOT / "bench/roofline.c"), "-o", str(shared), "-Wl,--whole-archive",
                    str(shared.parent / "librivals.a"), "-Wl,--no-whole-archive", "-lm", "-lpthread"], check=True)
    manifest = json.loads((shared.parent / "kernels.json").read_text())
    return shared, {kernel["problem"]: kernel["hash"] for kernel in manifest["kernels"]}, left


def cpu_name():
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{names[0] if names else 'unknown CPU'}, {len(os.sched_getaffinity(0))} cores"


def versions(options):
    said = subprocess.run([options.hconv, "--version"], capture_output=True, text=True).stdout
    found = {"hconv": re.search(r"\d[\w.]*", said).group(), "python": sys.version.split()[0]}
    for package in ("torch", "openvino", "onnxruntime", "onednn", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def has(package):
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def choose_rivals(options, result):
    """Those that can take part; the others are named with the reason."""
    chosen = []
    for name in options.rivals:
        if options.isa and name in NOT_FORCED:
            result["left_out"][name] = f"cannot be held to {options.isa}"
        elif options.isa not in (None, "avx2"):
            result["left_out"][name] = f"cannot be held to {options.isa}"
        elif name in NEEDS and not has(NEEDS[name]):
            result["left_out"][name] = f"needs the package {NEEDS[name]}, which this Python does not have"
        else:
            result["left_out"].pop(name, None)
            chosen.append(name)
    return chosen


def environment(options, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads),
                       TORCHINDUCTOR_COMPILE_THREADS="1", TORCHINDUCTOR_CACHE_DIR=str(Path(options.folder) / "inductor"),
                       PYTHONWARNINGS="ignore", CUDA_VISIBLE_DEVICES="")
    if options.isa == "avx2":
        environment.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2")
    return environment


def measure(options, shared, rivals, threads, rows, take):
    """One measuring process after the other until every row has a result or a reason."""
    results = Path(options.folder) / f"rows-{threads}-{os.getpid()}.jsonl"
    waiting, first = list(rows), True
    while waiting:
        results.write_text("")
        task = {"cpus": sorted(os.sched_getaffinity(0))[-threads:], "threads": threads, "library": str(shared),
                "name": "rivals", "isa": options.isa, "rivals": rivals, "without": options.without, "rounds": options.rounds, "seed": options.seed,
                "rows": waiting, "results": str(results), "overhead": first and options.rounds > 0}
        with open(Path(options.folder) / f"messages-{threads}-{os.getpid()}.txt", "w") as messages:
            worker = subprocess.Popen([sys.executable, str(HERE / "measure.py")], stdin=subprocess.PIPE, text=True,
                                      stdout=messages, stderr=messages, env=environment(options, threads))
            worker.stdin.write(json.dumps(task))
            worker.stdin.close()
            done, why = follow(worker, results, take, ROW_SECONDS * (1 if options.rounds else 4))
        waiting, first = waiting[done:], False
        if waiting:
            tail = Path(messages.name).read_text().strip().splitlines()[-1:]
            take({"row": {**waiting[0], "threads": threads, "isa": options.isa or "best", "why": " ".join([why] + tail)}})
            waiting = waiting[1:]


def follow(worker, results, take, limit):
    """Hands on each line as it comes; returns how many rows are done, and how the process ended."""
    done, since, seen = 0, time.time(), 0
    with open(results) as lines:
        while True:
            ended = worker.poll() is not None
            line = lines.readline()
            if line.endswith("\n"):
                said = json.loads(line)
                since = time.time()
                done += "row" in said
                take(said)
            elif ended:
                return done, f"the measuring process ended with status {worker.returncode}:"
            elif time.time() - since > limit:
                worker.kill()
                worker.wait()
                return done, f"the row took more than {limit} s"
            else:
                time.sleep(0.2)


def least_of(known, measured):
    """What a call costs: the least of all runs, since a busy machine only adds to it."""
    return {**known, **{name: min(us, known.get(name, us)) for name, us in measured.items()}}


def key(row):
    return row["problem"], row["threads"], row["isa"]


def print_row(result, row):
    name = f"{row.get('label') or row['problem']} @{row['threads']}"
    if "prepared" in row:
        print("; ".join([f"{name}: ready after {row['prepared']} s"] + [row["why"]] * bool(row["why"]) +
                        [f"no {n}: {why}" for n, why in row["absent"].items() if why != "not asked for"]), flush=True)
        return
    if "timings" not in row:
        print(f"{name}: not measured: {row['why']}", flush=True)
        return
    rival, times = figures.best(result, row), {n: t["median_us"] for n, t in row["timings"].items()}
    parts = [f"hconv {times['hconv']:.1f} us"]
    if rival:
        parts.append(f"{rival[0]} {rival[1]:.1f} us, ratio {figures.ratio(result, row) or 0:.2f}")
    parts.append(f"greatest error {max(t['error'] for t in row['timings'].values()):.1g}, {row['wall_s']:.0f} s")
    parts += [f"{n} WRONG by {t['error']:.1g}" for n, t in row["timings"].items() if not figures.right(row, n)]
    parts += [f"no {n}" for n, why in row["absent"].items() if why != "not asked for"]
    print(f"{name}: {'; '.join(parts)}", flush=True)


def main():
    options = arguments()
    if not shutil.which(options.hconv):
        sys.exit(f"rivals.py: {options.hconv} is not there: run `make build`, or give --hconv")
    if not importlib.util.find_spec("torch"):
        sys.exit(f"rivals.py: {sys.executable} has no torch: run `make bench-rivals`, or a Python with bench/requirements.txt")
    path, rows = Path(options.json), read_lists(options)
    result = {"overhead_us": {}, "left_out": {}, "rows": []}
    if path.exists():
        result = json.loads(path.read_text())
    result.update(cpu=cpu_name(), date=time.strftime("%Y-%m-%d"), versions=versions(options), rivals=RIVALS)
    rivals = choose_rivals(options, result)
    shared, hashes, made = emit(options, rows)
    isa, prepared = options.isa or "best", []
    failed = [row for row in rows if "why" in row]
    rows = made
    for row in rows:
        row["hash"] = hashes.get(row["problem"])

    def rows_with(threads):
        for row in failed:
            lacks = {**row, "threads": threads, "isa": isa}
            result["rows"] = [r for r in result["rows"] if key(r) != key(lacks)] + [lacks]
        have = set() if options.again else {(*key(row), row.get("hash")) for row in result["rows"] if "timings" in row}

        def take(said):
            if "overhead" in said:
                of = f"{threads}/{isa}"
                result["overhead_us"][of] = least_of(result["overhead_us"].get(of, {}), said["overhead"])
            if options.prepare and "row" in said:
                prepared.append(said["row"])
                print_row(result, said["row"])
                return
            if "row" in said:
                result["rows"] = [r for r in result["rows"] if key(r) != key(said["row"])] + [said["row"]]
                print_row(result, said["row"])
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(result, indent=1) + "\n")
            part.replace(path)

        measure(options, shared, rivals, threads, [r for r in rows if (r["problem"], threads, isa, r["hash"]) not in have], take)
    if options.prepare:  # at once: nothing is timed
        with futures.ThreadPoolExecutor() as pool:
            list(pool.map(rows_with, options.threads))
        return 1 if any(row["why"] for row in prepared) else 0
    for threads in options.threads:
        rows_with(threads)
    print("\n" + report.text(result))
    wrong = [r for r in result["rows"] if "timings" not in r or not all(figures.right(r, n) for n in r["timings"])]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
