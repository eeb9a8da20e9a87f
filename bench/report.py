#!/usr/bin/env python3
"""The table of a rivals' bench from its JSON: bench/report.py out/rivals.json [--short] [--into docs/bench.md].

SPDX-License-Identifier: MIT
ratio = best rival's time / ours; from a rival's time the cost of calling it at all (a convolution of one number) is taken
off, from ours nothing is. --into replaces what stands between the two marks in a file. --short: one line a layer.
"""
import argparse
import json
import math
import statistics

BEGIN, END = "<!-- rivals: begin (made by bench/report.py) -->", "<!-- rivals: end -->"


def net(result, row, name):
    """Microseconds of a rival without the cost of the call."""
    overhead = result["overhead_us"].get(f"{row['threads']}/{row['isa']}", {}).get(name, 0)
    return max(row["timings"][name]["median_us"] - overhead, 0.5 * row["timings"][name]["min_us"])


def tolerance(row):
    """Of max|y|; `fast` allows other roundings."""
    return 1e-4 if "fast" in row["problem"].split("_") else 1e-5


def right(row, name):
    return name in row["timings"] and row["timings"][name]["error"] <= tolerance(row)


def rivals_of(row):
    return [name for name in row.get("timings", {}) if not name.startswith("hconv") and right(row, name)]


def best(result, row):
    """(name, microseconds) of the fastest right rival, or None."""
    return min(((name, net(result, row, name)) for name in rivals_of(row)), key=lambda pair: pair[1], default=None)


def ratio(result, row):
    rival = best(result, row)
    if rival is None or not right(row, "hconv"):
        return None
    return rival[1] / row["timings"]["hconv"]["median_us"]


def nchw_ratio(result, row):
    """Drop-in use: PyTorch eager on contiguous tensors over ours in n c h w."""
    if "eager" not in rivals_of(row) or not right(row, "hconv-nchw"):
        return None
    return net(result, row, "eager") / row["timings"]["hconv-nchw"]["median_us"]


def dense_of(row):
    """The convolution that an octave layer replaces."""
    if not row["problem"].startswith("octave_"):
        return None
    kept = [i for i in row["problem"].split("_")[1:] if not i.startswith(("cil", "col")) and i not in ("fb", "dli")]
    return "_".join(["conv2d"] + kept)


def dense_ratio(result, row):
    for other in result["rows"]:
        if other["problem"] == dense_of(row) and (other["threads"], other["isa"]) == (row["threads"], row["isa"]):
            rival = best(result, other)
            return rival and rival[1] / row["timings"]["hconv"]["median_us"]
    return None


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}"


def settings(result):
    return sorted({(row["isa"], row["threads"]) for row in result["rows"]})


def summary(result, rows):
    ratios = sorted(r for r in (ratio(result, row) for row in rows) if r is not None)
    if not ratios:
        return "no row has both ours and a rival"
    return (f"{len(ratios)} rows: geometric mean {geomean(ratios):.2f}, median {statistics.median(ratios):.2f}, least "
            f"{ratios[0]:.2f}, greatest {ratios[-1]:.2f}; {sum(r < 1 for r in ratios)} below 1, "
            f"{sum(r < 0.8 for r in ratios)} below 0.8")


def table(result, isa, threads):
    rows = [row for row in result["rows"] if (row["isa"], row["threads"]) == (isa, threads)]
    names = [n for n in result["rivals"] if any(n in row.get("timings", {}) for row in rows)]
    lines = [f"{threads} thread{'s' if threads > 1 else ''}, {'this CPU' if isa == 'best' else isa}, milliseconds:", "",
             "| layer | hconv | nchw | " + " | ".join(names) + " | best rival / hconv | eager / nchw |",
             "|---" * (len(names) + 5) + "|"]
    notes = []
    for row in rows:
        label = row.get("label") or row["problem"]
        if "timings" not in row:
            lines.append(f"| {label} |" + " |" * (len(names) + 4))
            notes.append(f"- {label}: {row['why']}")
            continue
        ms = lambda name: number(row["timings"][name]["median_us"] / 1e3) if name in row["timings"] else "-"
        marked = lambda name: (ms(name) + " wrong" if name in row["timings"] and not right(row, name) else
                               f"**{ms(name)}**" if best(result, row) and best(result, row)[0] == name else ms(name))
        over = dense_ratio(result, row)
        lines.append(f"| {label} | {marked('hconv')} | {marked('hconv-nchw')} | " + " | ".join(map(marked, names)) +
                     f" | {number(ratio(result, row))}{f' ({number(over)} over dense)' if over else ''} |"
                     f" {number(nchw_ratio(result, row))} |")
        notes += [f"- {label}: {name}: {why}" for name, why in row["absent"].items()]
    return "\n".join(lines + ["", summary(result, rows) + "."] + ([""] + notes if notes else []))


def text(result):
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    overhead = "; ".join(f"{key.split('/')[0]} thread(s) {key.split('/')[1]}: " +
                         ", ".join(f"{name} {us:.0f}" for name, us in each.items())
                         for key, each in sorted(result["overhead_us"].items()))
    head = [f"{result['cpu']}, {result['date']}; {versions}. Medians of interleaved rounds, batch as in the problem, warm. "
            f"hconv: n h w c; nchw: n c h w; -cl: channels-last. Bold: the best rival. Taken off a rival's time for the "
            f"call, microseconds: {overhead or 'nothing'}."]
    left_out = [f"Left out: {'; '.join(f'{name}: {why}' for name, why in result['left_out'].items())}."]
    return "\n\n".join(head + (left_out if result["left_out"] else []) + [table(result, *s) for s in settings(result)])


def short(result):
    """A line a layer: our time, the best rival and the ratio, for each number of threads."""
    columns = [s for s in settings(result) if s[0] == "best"] or settings(result)
    by_layer = {}
    for row in result["rows"]:
        by_layer.setdefault(row.get("label") or row["problem"], {})[row["isa"], row["threads"]] = row
    lines = ["| layer |" + "".join(f" hconv ms, {t} thread{'s' * (t > 1)} | best rival | ratio |" for _, t in columns),
             "|---" * (1 + 3 * len(columns)) + "|"]
    for label, rows in by_layer.items():
        cells = []
        for setting in columns:
            row = rows.get(setting)
            rival = best(result, row) if row else None
            ours = number(row["timings"]["hconv"]["median_us"] / 1e3) if row and "timings" in row else "-"
            cells += [ours, f"{rival[0]} {number(rival[1] / 1e3)}" if rival else "-", number(row and ratio(result, row))]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    sums = [f"{t} thread{'s' * (t > 1)}: " + summary(result, [r for r in result["rows"] if (r["isa"], r["threads"]) == (i, t)])
            for i, t in columns]
    return "\n".join([f"{result['cpu']}, {result['date']}, hconv {result['versions']['hconv']}; the best of "
                      f"{', '.join(result['rivals'])} a row.", ""] + lines + [""] + [s + "." for s in sums])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("json")
    parser.add_argument("--into", help="file whose marked part is replaced")
    parser.add_argument("--short", action="store_true", help="one line a layer, all numbers of threads beside each other")
    options = parser.parse_args()
    with open(options.json) as f:
        made = (short if options.short else text)(json.load(f))
    if not options.into:
        print(made)
        return
    with open(options.into) as f:
        old = f.read()
    if BEGIN not in old or END not in old:
        parser.error(f"{options.into} has no line '{BEGIN}' followed by '{END}'")
    with open(options.into, "w") as f:
        f.write(old.split(BEGIN)[0] + BEGIN + "\n" + made + "\n" + END + old.split(END, 1)[1])


if __name__ == "__main__":
    main()
