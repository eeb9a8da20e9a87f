# Schedules of one problem by several hands: the default, the tuner's, the best of all, random search with the tuner's budget,
# and Halide's own autoschedulers; timed together in paired rounds, written as a table.
# SPDX-License-Identifier: MIT
# bench/autoschedulers.py [--hconv COMMAND] [--prepare | --measure | --table] [--seconds 120] [--output FILE.md] [--into PAGE.md] [PROBLEM...]
# --prepare compiles what is compiled outside of any budget (the sweep and the autoschedulers) and needs no quiet machine;
# --measure then only measures; --table only writes the table of what was measured. Without any of them all three are done.
# The tuner and random search always start with an empty cache.
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from pages import put_between

BEGIN, END = "<!-- autoschedulers: begin (made by bench/autoschedulers.py) -->", "<!-- autoschedulers: end -->"
PROBLEMS = ["conv2d_ci3_h56_co64_k3_p1", "pointwise_ci45_h14_co64", "depthwise_ci576_h7_k3_p1", "transposed_ci32_h14_co32_k4_s2_p1",
            "wtconv_ci96_h28_k5", "odconv_ci32_h14_co32_k3_p1"]
AUTO = ["Adams2019", "Li2018", "Mullapudi2016"]
MOST = 300  # points of a sweep


def arguments():
    a = argparse.ArgumentParser(description="default, tuned, exhaustive, random and Halide's autoschedulers, side by side")
    a.add_argument("problems", nargs="*", default=PROBLEMS)
    a.add_argument("--hconv", default="build/release/hconv")
    a.add_argument("--prepare", action="store_true")
    a.add_argument("--measure", action="store_true")
    a.add_argument("--table", action="store_true")
    a.add_argument("--seconds", type=float, default=120)
    a.add_argument("--work", default="build/autoschedulers", help="folder of caches, logs and results")
    a.add_argument("--output", help="the table, Markdown (default: WORK/table.md)")
    a.add_argument("--into", help="page whose marked part the table replaces, such as docs/tuning.md")
    return a.parse_args()


def hconv(o, *words, cache=None):
    command = [o.hconv, *map(str, words)]
    environment = dict(os.environ, HCONV_RECORDS="none", HCONV_CACHE=str(cache or pathlib.Path(o.work) / "cache"))
    made = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    return made.returncode, made.stdout, made.stderr


def points(o, problem):
    """Feasible points of the problem's schedules."""
    code, out, error = hconv(o, "tune", problem, "--dry-run", "--log", pathlib.Path(o.work) / "none.sqlite")
    if code:
        sys.exit(f"{problem}: {error}")
    return int(out.split(": ")[1].split()[0])


def tuning(o, problem, method, candidates, seconds, cache, name):
    """Winner and compiled candidates of one hconv tune."""
    file, log = pathlib.Path(o.work) / f"{problem}-{name}.json", pathlib.Path(o.work) / f"{problem}-{name}.sqlite"
    for old in [file, *log.parent.glob(log.name + "*")]:
        old.unlink(missing_ok=True)
    code, out, error = hconv(o, "tune", problem, "--method", method, "--candidates", candidates, "--seconds", seconds, "--log", log, "--json", file,
                             cache=cache)
    if code:
        return {"failed": error.strip().split("\n")[-1]}
    return json.loads(file.read_text())[0]


def compared(o, problem, schedules, name):
    """The last comparison of some schedules, as hconv tune --json has it."""
    file = pathlib.Path(o.work) / f"{problem}-{name}.json"
    words = [word for schedule in schedules for word in ("--compare", schedule)]
    code, out, error = hconv(o, "tune", problem, *words, "--json", file, "--log", pathlib.Path(o.work) / "none.sqlite", "--time-limit", 300)
    if code:
        sys.exit(f"{problem}: {error}")
    return json.loads(file.read_text())[0]


def prepare(o, problem):
    """Everything compiled, nothing measured that counts."""
    if points(o, problem) <= MOST:
        tuning(o, problem, "all", 10 ** 6, 10 ** 6, None, "sweep")
    row = compared(o, problem, ["default", *(f"auto:{auto}" for auto in AUTO)], "prepared")
    for trial in row["trials"]:
        print(f"  {trial['schedule']} takes no part: {trial['status']}: {trial['why']}", flush=True)


def measure(o, problem):
    count = points(o, problem)
    contestants, notes = {"default": "default"}, {}
    for name, method in (("tuned", "climb"), ("random", "random")):
        with tempfile.TemporaryDirectory(dir=o.work) as empty:
            row = tuning(o, problem, method, 60, o.seconds, empty, name)
        notes[name] = f"{len(row.get('trials', []))} in {row.get('seconds', 0):.0f} s"
        contestants[name] = row.get("winner")
    if count <= MOST:
        row = tuning(o, problem, "all", 10 ** 6, 10 ** 6, None, "sweep")
        contestants["exhaustive"], notes["exhaustive"] = row.get("winner"), f"{len(row.get('trials', []))} points"
    for auto in AUTO:
        contestants[auto] = f"auto:{auto}"
    row = compared(o, problem, [schedule for schedule in contestants.values() if schedule], "last")
    for trial in row["trials"]:
        notes[trial["schedule"].replace("auto:", "")] = f"{trial['status']}: {trial['why']}"
    speed = {f["schedule"]: f["ratio"] for f in row["finals"]}
    speed["default"] = 1.0
    ratios = {name: speed.get(schedule) for name, schedule in contestants.items() if schedule}
    return {"problem": problem, "points": count, "ratios": ratios, "contestants": contestants, "notes": notes}


def table(rows, o):
    columns = ["default", "tuned", "exhaustive", "random", *AUTO]
    lines = ["| problem | feasible points | " + " | ".join(columns) + " | tuned / exhaustive | tuned: candidates |",
             "|---|" + "---|" * (len(columns) + 3)]
    for r in rows:
        cells = [f"{r['ratios'][c]:.3f}" if r["ratios"].get(c) else "failed" if c in AUTO else "-" for c in columns]
        best_known, tuned = r["ratios"].get("exhaustive"), r["ratios"].get("tuned")
        cells.append(f"{100 * tuned / best_known:.1f} %" if best_known and tuned else "-")
        lines.append(f"| `{r['problem']}` | {r['points']} | " + " | ".join(cells) + f" | {r['notes'].get('tuned', '')} |")
    means = []
    for c in columns:
        known = [r["ratios"][c] for r in rows if r["ratios"].get(c)]
        means.append(f"{math.exp(sum(map(math.log, known)) / len(known)):.3f}" if known else "-")
    lines.append("| geometric mean | | " + " | ".join(means) + " | | |")
    lines += ["", f"Speed over the default, one thread and all cores (geometric mean), paired rounds; tuned and random: {o.seconds:.0f} s and at most 60",
              f"candidates from an empty cache; exhaustive: every point of spaces of at most {MOST}. Each way's winner is who passes the tuner's last",
              "comparison: faster than the default beyond noise, and with no number of threads slower. What failed:"]
    lines += [f"- `{r['problem']}`, {name}: {r['notes'][name]}" for r in rows for name in AUTO if name in r["notes"]]
    return "\n".join(lines) + "\n"


def main():
    o = arguments()
    kept = pathlib.Path(o.work) / "rows"
    kept.mkdir(parents=True, exist_ok=True)
    everything = not (o.prepare or o.measure or o.table)
    for problem in o.problems:
        if o.prepare or everything:
            print(problem, flush=True)
            prepare(o, problem)
    for problem in o.problems:
        if o.measure or everything:
            row = measure(o, problem)
            (kept / f"{problem}.json").write_text(json.dumps(row, indent=1) + "\n")
            print(json.dumps(row), flush=True)
    if o.prepare:
        return
    rows = [json.loads((kept / f"{problem}.json").read_text()) for problem in o.problems if (kept / f"{problem}.json").exists()]
    text = table(rows, o)
    pathlib.Path(o.output or pathlib.Path(o.work) / "table.md").write_text(text)
    if o.into:
        put_between(o.into, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
