"""The classes of layers, what each shall reach, and the plot: of bench/rivals.py's results, for bench/report.py.

SPDX-License-Identifier: MIT
A class is a name, the rows that belong to it, the figure of a row (by default the ratio) and what the figures shall reach:
geometric mean and least one, in a setting. The share of the limit is the time that a layer needs at least (its multiply-adds at
the measured peak, or its bytes at the measured bandwidth, as many as L2 holds from there, whichever is longer) over the time it
takes; `fast` needs fewer multiply-adds than are counted, so its share may pass 1.
"""
import math
import re
from pathlib import Path

import figures
from figures import core

ROOT = Path(__file__).resolve().parent.parent
PER_SAMPLE = ("condconv", "dynamicconv", "odconv")


def parts(row):
    """Variant, numbers and words of a problem."""
    text = row["problem"]
    variant = re.split(r"_n?\d|_ci", text)[0]
    items = text[len(variant) + 1:].split("_")
    numbers = {m[1]: int(m[2]) for m in (re.fullmatch(r"([a-z]+)(\d+)", i) for i in items) if m and m[1] != "relu"}
    return variant, {"n": 1, "s": 1, "k": 1, "co": numbers.get("ci"), **numbers}, items


def limit_us(row):
    """(microseconds that the layer needs at least, what limits it), or None where no limits were measured."""
    limits = row.get("limits")
    if not limits or not limits.get("gflops"):
        return None
    near = min(row["bytes_moved"], limits.get("l2_bytes", 0) * row["threads"])  # may still lie in L2
    bytes_us = near / limits["l2_gbytes"] / 1e3 + (row["bytes_moved"] - near) / limits["memory_gbytes"] / 1e3
    of = {"multiply-adds": row["flops"] / limits["gflops"] / 1e3, "bytes": bytes_us}
    name = max(of, key=of.get)
    return of[name], name


def share(row):
    found = limit_us(row)
    return found and found[0] / row["timings"]["hconv"]["median_us"]


def share_of_peak(result, row):
    peak = row.get("limits", {}).get("gflops")
    return row["flops"] / peak / 1e3 / row["timings"]["hconv"]["median_us"] if peak else None


def other(result, row, problem=None, threads=None):
    """The row of the same setting with another problem, or of the same problem with other threads."""
    wanted = (problem or row["problem"], threads or row["threads"], row["isa"])
    return next((r for r in result["rows"] if (r["problem"], r["threads"], r["isa"]) == wanted and "timings" in r), None)


def over_direct(result, row):
    """1 where `fast` chose the direct kernel itself."""
    direct = other(result, row, row["problem"].replace("_fast", ""))
    same = direct and row.get("hash") and row["hash"] == direct.get("hash")
    return 1.0 if same else direct and over(direct, row)


def over_pytorch(result, row):
    names = [n for n in figures.rivals_of(row) if n.startswith(("eager", "compile"))]
    return min(figures.net(result, row, n) for n in names) / row["timings"]["hconv"]["median_us"] if names else None


def over(row, than):
    """Our time of one row over that of another, each in units of the peak of its rounds."""
    us = lambda r: r["timings"]["hconv"]["median_us"] * figures.speed(r)
    return us(row) / us(than) if than else None


def threads_gain(result, row):
    """Gain of the second thread over what the measured peak gains; of layers that take one thread more than 1 ms."""
    one = other(result, row, threads=1)
    if row["threads"] != 2 or not one or one["timings"]["hconv"]["median_us"] < 1000:
        return None
    return over(one, row)


def over_prepadded(result, row):
    """The time on a padded input over that on one padded before; the pair differs in nothing else."""
    _, numbers, _ = parts(row)
    return over(row, other(result, row, row["problem"].replace(f"_h{numbers['h']}_", f"_h{numbers['h'] + 2}_").replace("_p1", "")))


def is_resnet50(row, cached=[]):
    if not cached:
        lines = (ROOT / "bench/problems/resnet50.txt").read_text().splitlines()
        cached.append({core(line.split()[0]) for line in lines if line and line[0] != "#"})
    return core(row["problem"]) in cached[0]


def rule(variant=None, fast=False, n=1, test=lambda numbers, items: True):
    def belongs(row):
        name, numbers, items = parts(row)
        return ((variant is None or name in variant) and ("fast" in items) == fast and (n is None or numbers["n"] == n) and
                test(numbers, items))
    return belongs


def dense3(least, most=10**6):
    """Direct 3x3 of at least 64 channels whose output is so wide."""
    return lambda n, _: n["k"] == 3 and min(n["ci"], n["co"]) >= 64 and least <= n["h"] // n["s"] <= most


def longer(items):
    return any(re.match(r"db[2-9]|bior|sym|coif|rbio|dmey", i) for i in items)


MARKS = ("**<**: less than is asked; \"at the limit\": what the class would be if none of our kernels took longer than the multiply-adds or "
         "the bytes of its layer need on this machine; of shares, what a tile's sums reach, whose weights come from a quarter of the second "
         "cache.")
RATIO = figures.ratio
# (name, rows, figure, {threads, the ISA of the kernels or "": (geometric mean, least one)}); a figure of None asks for nothing.
CLASSES = [
    ("dense direct (ResNet-50)", lambda r: rule(("conv2d", "pointwise", "linear"))(r) and is_resnet50(r), RATIO, {"": (1.03, 0.95)}),
    ("share of peak, 3x3 direct, 14 wide and more", rule(("conv2d",), test=dense3(14)), share_of_peak, {1: (None, 0.92), 2: (None, 0.85)}),
    ("share of peak, 3x3 direct, 7 wide", rule(("conv2d",), test=dense3(7, 7)), share_of_peak, {1: (None, 0.85)}),
    ("dense 3x3 `fast`", rule(("conv2d",), True, test=lambda n, _: n["ci"] >= 64), RATIO, {"": (1.8, None)}),
    ("the same over our own direct", rule(("conv2d",), True, test=lambda n, _: n["ci"] >= 64), over_direct, {"": (None, 1)}),
    ("depthwise, 3x3 to 7x7", rule(("depthwise",), test=lambda n, _: n["k"] < 13), RATIO, {"": (2, 1.2)}),
    ("depthwise, 13x13 to 31x31", rule(("depthwise",), test=lambda n, _: n["k"] >= 13), RATIO, {"": (1.3, None)}),
    ("depthwise-separable", rule(("depthwise_separable",)), RATIO, {"": (1.3, 1)}),
    ("grouped", rule(("grouped",)), RATIO, {"": (2.5, 1)}),
    ("transposed", rule(("transposed",)), RATIO, {"": (1.4, 1)}),
    ("transposed k4 s2 `fast`", rule(("transposed",), True), RATIO, {"": (1.6, 1)}),
    ("spd", rule(("spd",)), RATIO, {"": (1.15, None)}),
    ("dilated", rule(("dilated",)), RATIO, {}),
    ("dilated `fast`", rule(("dilated",), True), RATIO, {"": (1.5, None)}),
    ("wtconv", rule(("wtconv", "wtconv1d"), test=lambda n, i: not longer(i)), RATIO, {"avx512": (7, 5), "avx2": (4, None)}),
    ("wtconv, longer wavelets, over PyTorch", rule(("wtconv", "wtconv1d"), test=lambda n, i: longer(i)), over_pytorch, {"": (10, None)}),
    ("condconv, dynamicconv, odconv, batch 1", rule(PER_SAMPLE), RATIO, {"": (1.3, 1)}),
    ("condconv, dynamicconv, odconv, batch 8", rule(PER_SAMPLE, n=8), RATIO, {"": (1.5, 1)}),
    ("octave, a quarter low, over the dense layer", rule(("octave",), test=lambda n, _: 4 * n.get("cil", 0) == n["ci"]), figures.dense_ratio, {"": (1.45, None)}),
    ("octave, half low, over the dense layer", rule(("octave",), test=lambda n, _: 2 * n.get("cil", 0) == n["ci"]), figures.dense_ratio, {"": (2.2, None)}),
    ("batch 8, the other variants", lambda r: rule(n=8)(r) and parts(r)[0] not in PER_SAMPLE, RATIO, {}),
    ("two threads over what the peak gains", lambda r: r["threads"] == 2, threads_gain, {"": (None, 0.9)}),
    ("3x3 of 56 with padding over pre-padded, time", rule(("conv2d",), test=lambda n, i: n["k"] == 3 and n["h"] == 56 and "p1" in i), over_prepadded, {"": (1.03, None)}),
    ("nchw over PyTorch contiguous", lambda r: True, figures.nchw_ratio, {}),
]
LESS_IS_BETTER = ("3x3 of 56 with padding over pre-padded, time",)


def values_of(result, isa, threads, entry):
    _, belongs, figure, _ = entry
    rows = [r for r in result["rows"] if (r["isa"], r["threads"]) == (isa, threads) and "timings" in r and belongs(r)]
    found = [(figure(result, r), r) for r in rows]
    return [(value, r) for value, r in found if value is not None]


def wanted(result, entry, isa, threads):
    """(geometric mean, least one) asked; "best" is what the CPU has, as its kernels say."""
    asked = entry[3]
    if isa == "best":
        isa = "avx512" if any(r["isa"] == "best" and "avx512" in r.get("target", "") for r in result["rows"]) else "avx2"
    return asked.get(threads) or asked.get(isa) or asked.get("") or (None, None)


def judged(value, want, name):
    """The number, with a mark where it falls short."""
    if value is None:
        return "-"
    short = want is not None and (value > want + 5e-4 if name in LESS_IS_BETTER else value < want - 5e-4)
    return f"{figures.number(value)}" + (" **<**" if short and name not in LESS_IS_BETTER else " **>**" if short else "")


def ordered(result):
    """Settings, this CPU's own before those it is held to."""
    return sorted(figures.settings(result), key=lambda setting: (setting[0] != "best", setting))


def name_of(setting):
    isa, threads = setting
    return f"{'' if isa == 'best' else isa + ', '}{threads} thread{'s' * (threads > 1)}"


def at_the_limit(result, setting, entry):
    """The class's mean if no layer took longer than it needs at least; None where that is not known: `fast` has other multiply-adds. Of
    shares of the peak: what a tile's sums reached in the same rounds."""
    if entry[2] is share_of_peak:
        tiles = [r["limits"].get("tile_gflops", 0) / r["limits"]["gflops"] for _, r in values_of(result, *setting, entry)]
        return figures.geomean(tiles) if all(tiles) else None
    found = [(value, share(r)) for value, r in values_of(result, *setting, entry) if "fast" not in parts(r)[2]]
    if entry[2] not in (RATIO, figures.dense_ratio) or not found or any(s is None for _, s in found):
        return None
    return figures.geomean([value / min(s, 1) for value, s in found])


def cell(result, setting, entry):
    values = [v for v, _ in values_of(result, *setting, entry)]
    if not values:
        return ""
    mean, least = wanted(result, entry, *setting)
    worst = max(values) if entry[0] in LESS_IS_BETTER else min(values)
    short = figures.geomean(values) < (mean or 0) or (entry[2] is share_of_peak and worst < (least or 0))
    most = at_the_limit(result, setting, entry) if short else None
    return (f"{judged(figures.geomean(values), mean, entry[0])} / {judged(worst, least, entry[0])} ({len(values)})" +
            (f", {figures.number(most)} at the limit" if most else ""))


def table(result):
    """A class a line: what is asked, and in every setting the geometric mean, the least figure and the number of rows."""
    settings = ordered(result)
    lines = ["| class: geometric mean / least (rows) | asked | " + " | ".join(map(name_of, settings)) + " |",
             "|---" * (2 + len(settings)) + "|"]
    for entry in CLASSES:
        cells = [cell(result, setting, entry) for setting in settings]
        asked = dict.fromkeys(wanted(result, entry, *setting) for setting, text in zip(settings, cells) if text)
        if any(cells):
            said = [" / ".join("-" if w is None else f"{w:g}" for w in ask) for ask in asked if ask != (None, None)]
            lines.append(f"| {entry[0]} | {'; '.join(said)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(result):
    """An SVG: a class a line, every row a dot at its ratio, the mean a bar, what is asked a line; a colour a setting."""
    settings, colours = ordered(result), ("#1f6fb4", "#e07b1a", "#3a9a4f", "#a04fb4")
    classes = [e for e in CLASSES if e[2] in (RATIO, figures.dense_ratio, over_pytorch) and any(values_of(result, *s, e) for s in settings)]
    left, width, high = 300, 560, 14 * len(settings) + 12
    at = lambda v: left + width * (math.log2(min(max(v, 0.5), 32)) + 1) / 6
    tall = 60 + high * len(classes)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 30}" height="{tall + 40}" font-family="sans-serif" font-size="12">',
           f'<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="20" font-size="14">Time of the best rival over ours, a dot a layer; bar: geometric mean; red: what is asked</text>']
    for v in (0.5, 1, 2, 4, 8, 16, 32):
        out.append(f'<line x1="{at(v):.1f}" y1="44" x2="{at(v):.1f}" y2="{tall}" stroke="{"#888" if v == 1 else "#ddd"}"/>'
                   f'<text x="{at(v):.1f}" y="{tall + 14}" text-anchor="middle">{v:g}</text>')
    for i, (isa, threads) in enumerate(settings):
        out.append(f'<rect x="{10 + 150 * i}" y="28" width="10" height="10" fill="{colours[i % 4]}"/>'
                   f'<text x="{24 + 150 * i}" y="38">{name_of((isa, threads))}</text>')
    for line, entry in enumerate(classes):
        top = 52 + line * high
        out.append(f'<text x="{left - 10}" y="{top + high / 2:.0f}" text-anchor="end">{entry[0].replace("`", "")}</text>')
        for i, (isa, threads) in enumerate(settings):
            values = [v for v, _ in values_of(result, isa, threads, entry)]
            y, colour = top + 14 * i, colours[i % 4]
            if not values:
                continue
            mean = figures.geomean(values)
            out.append(f'<rect x="{min(at(1), at(mean)):.1f}" y="{y}" width="{abs(at(mean) - at(1)):.1f}" height="11" fill="{colour}" opacity="0.35"/>')
            out += [f'<circle cx="{at(v):.1f}" cy="{y + 5.5}" r="2.5" fill="{colour}"/>' for v in values]
            out.append(f'<text x="{left + width + 4}" y="{y + 10}" font-size="10">{mean:.2f}</text>')
            if wanted(result, entry, isa, threads)[0]:
                x = at(wanted(result, entry, isa, threads)[0])
                out.append(f'<line x1="{x:.1f}" y1="{y - 1}" x2="{x:.1f}" y2="{y + 12}" stroke="red" stroke-width="2"/>')
    return "\n".join(out + ["</svg>"]) + "\n"
