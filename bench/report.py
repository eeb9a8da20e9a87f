#!/usr/bin/env python3
"""The tables of a rivals' bench from its JSON: bench/report.py out/rivals.json [--short] [--into docs/bench.md] [--plot docs/speed.svg].

SPDX-License-Identifier: MIT
bench/figures.py says what a ratio is, bench/classes.py what is asked of which layers. Several JSON files make one report.
--into replaces what stands between the two marks in a file. --short: one line a layer; --classes: one line a class of layers (both: one
behind the other); --plot: the classes as a picture.
"""
import argparse
import json
import statistics
from pathlib import Path

import classes
from figures import best, dense_ratio, geomean, nchw_ratio, number, ratio, right, settings
from pages import put_between

BEGIN, END = "<!-- rivals: begin (made by bench/report.py) -->", "<!-- rivals: end -->"


def summary(result, rows):
    ratios = sorted(r for r in (ratio(result, row) for row in rows) if r is not None)
    if not ratios:
        return "no row has both ours and a rival"
    return (f"{len(ratios)} rows: geometric mean {geomean(ratios):.2f}, median {statistics.median(ratios):.2f}, least "
            f"{ratios[0]:.2f}, greatest {ratios[-1]:.2f}; {sum(r < 1 for r in ratios)} below 1, "
            f"{sum(r < 0.8 for r in ratios)} below 0.8")


def limited(row):
    """Share of what the machine allows, and which limit that is."""
    found = classes.limit_us(row)
    return f"{classes.share(row):.0%} {found[1]}" if found else "-"


def limits_text(result):
    """The limits as measured with the rows: medians over all of a setting."""
    said = []
    for isa, threads in settings(result):
        rows = [r["limits"] for r in result["rows"] if (r["isa"], r["threads"]) == (isa, threads) and r.get("limits")]
        if rows:
            of = lambda name: statistics.median(r[name] for r in rows)
            tile = f" (of a tile {of('tile_gflops'):.0f})" if all("tile_gflops" in r for r in rows) else ""
            said.append(f"{'this CPU' if isa == 'best' else isa}, {threads} thread{'s' * (threads > 1)}: {of('gflops'):.0f} GFLOP/s{tile}, "
                        f"L2 {of('l2_gbytes'):.0f} GB/s, beyond it {of('memory_gbytes'):.0f} GB/s")
    return "Limits, measured in the same rounds (medians): " + "; ".join(said) + "." if said else ""


def table(result, isa, threads):
    rows = [row for row in result["rows"] if (row["isa"], row["threads"]) == (isa, threads)]
    names = [n for n in result["rivals"] if any(n in row.get("timings", {}) for row in rows)]
    lines = [f"{threads} thread{'s' if threads > 1 else ''}, {'this CPU' if isa == 'best' else isa}, milliseconds:", "",
             "| layer | hconv | nchw | " + " | ".join(names) + " | best rival / hconv | eager / nchw | share of the limit |",
             "|---" * (len(names) + 6) + "|"]
    notes, absent = [], {}
    for row in rows:
        label = row.get("label") or row["problem"]
        if "timings" not in row:
            lines.append(f"| {label} |" + " |" * (len(names) + 5))
            notes.append(f"- {label}: {row['why']}")
            continue
        ms = lambda name: number(row["timings"][name]["median_us"] / 1e3) if name in row["timings"] else "-"
        marked = lambda name: (ms(name) + " wrong" if name in row["timings"] and not right(row, name) else
                               f"**{ms(name)}**" if best(result, row) and best(result, row)[0] == name else ms(name))
        over = dense_ratio(result, row)
        lines.append(f"| {label} | {marked('hconv')} | {marked('hconv-nchw')} | " + " | ".join(map(marked, names)) +
                     f" | {number(ratio(result, row))}{f' ({number(over)} over dense)' if over else ''} |"
                     f" {number(nchw_ratio(result, row))} | {limited(row)} |")
        for name, why in row["absent"].items():
            absent.setdefault(why, {}).setdefault(name, []).append(label)
    for why, names_of in absent.items():
        same = len({tuple(labels) for labels in names_of.values()}) == 1
        said = {", ".join(names_of): next(iter(names_of.values()))} if same else names_of
        notes += [f"- {name}: {why}: {', '.join(labels) if len(labels) < len(rows) else 'all rows'}" for name, labels in said.items()]
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
    parts = head + (left_out if result["left_out"] else []) + [limits_text(result), f"Classes; {classes.MARKS}", classes.table(result)]
    return "\n\n".join([p for p in parts if p] + [table(result, *s) for s in settings(result)])


def short_head(result):
    return (f"{result['cpu']}, {result['date']}, hconv {result['versions']['hconv']}; the best of {', '.join(result['rivals'])} a row.")


def by_classes(result):
    rows = {row["problem"] for row in result["rows"] if "timings" in row}
    return (f"{short_head(result)} {len(rows)} layers by class; figures are ratios unless the class says otherwise; {classes.MARKS}\n\n{classes.table(result)}")


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
    return "\n".join([short_head(result), ""] + lines + [""] + [s + "." for s in sums])


def merged(results):
    """One result of several files'; of equal rows the last counts."""
    whole = results[0]
    for more in results[1:]:
        new = {(r["problem"], r["threads"], r["isa"]) for r in more["rows"]}
        whole["rows"] = [r for r in whole["rows"] if (r["problem"], r["threads"], r["isa"]) not in new] + more["rows"]
        whole["overhead_us"].update(more["overhead_us"])
        whole["left_out"].update(more["left_out"])
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("json", nargs="+")
    parser.add_argument("--plot", help="file for the classes as an SVG")
    parser.add_argument("--into", help="file whose marked part is replaced")
    parser.add_argument("--short", action="store_true", help="one line a layer, all numbers of threads beside each other")
    parser.add_argument("--classes", action="store_true", help="one line a class")
    options = parser.parse_args()
    result = merged([json.loads(Path(name).read_text()) for name in options.json])
    chosen = [part for part, wanted in ((by_classes, options.classes), (short, options.short)) if wanted] or [text]
    made = "\n\n".join(part(result) for part in chosen)
    if options.plot:
        Path(options.plot).write_text(classes.plot(result))
    if options.into:
        put_between(options.into, BEGIN, END, made)
    else:
        print(made)


if __name__ == "__main__":
    main()
