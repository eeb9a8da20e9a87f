"""What bench/rivals.py's results say: a row's times without calls, which answers are right, the ratio.

SPDX-License-Identifier: MIT
ratio = best rival's time / ours; from a rival's time the cost of calling it at all (a convolution of one number) is taken off,
from ours nothing is.
"""
import math
import re

TAIL = re.compile(r"_(bn|res|relu6?|silu|tanh|fast)(?=_|$)")


def core(problem):
    """The layer without what follows its sum, and without `fast`; a window of one is pointwise."""
    name = TAIL.sub("", problem)
    return re.sub(r"_k1(?=_|$)", "", name.replace("conv2d_", "pointwise_", 1)) if re.match(r"conv2d_.*_k1(?=_|$)", name) else name


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


def speed(row):
    """The measured peak of the row's rounds: times of rows that were measured minutes apart compare in units of it."""
    return row.get("limits", {}).get("gflops") or 1


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
    if dense_of(row) is None or not right(row, "hconv"):
        return None
    alike = [other for other in result["rows"] if "timings" in other and "fast" not in other["problem"].split("_") and
             core(other["problem"]) == core(dense_of(row)) and
             (other["threads"], other["isa"]) == (row["threads"], row["isa"])]
    dense = next((other for other in alike if other["problem"] == dense_of(row)), alike[0] if alike else None)
    rival = dense and best(result, dense)
    return rival and rival[1] * speed(dense) / (row["timings"]["hconv"]["median_us"] * speed(row))


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}"


def settings(result):
    return sorted({(row["isa"], row["threads"]) for row in result["rows"]})
