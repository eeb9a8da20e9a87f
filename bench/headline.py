#!/usr/bin/env python3
"""Chooses rows from the networks' lists: bench/problems/headline.txt (60 rows) and bench/problems/cover.txt.

SPDX-License-Identifier: MIT
usage: bench/headline.py [--hconv build/release/hconv] [--times out/rivals.json]     writes both files
A layer's time is what a results file says (--times), else an estimate: the longer of its multiply-adds at --gflops and its bytes
at --gbytes, as often as it occurs. Layers that differ only in what follows the sum (norm, residual, activation) count as one.
cover.txt has the distinct layers that carry at least --share of every network's time. headline.txt has --rows of them: some of
every network (AT_LEAST), then those with the largest share of theirs; with them `fast` for 3x3 layers of stride 1 and for transposed ones
of window 4 and stride 2, batch 8 for one layer of ten variants, and a 3x3 on a padded input. Each file's head says what share
of each network its rows carry.
"""
import argparse
import json
import re
import subprocess
import textwrap
from pathlib import Path

import rivals
from figures import core

ROOT = Path(__file__).resolve().parent.parent
NO_NETWORKS = ("composed", "headline", "cover")
DENSE_FAST, OTHER_FAST = re.compile(r"conv2d_ci(\d{2,})_h\d+_co\d+_k3_p1_"), re.compile(r"dilated_.*_k3_d|transposed_.*_k4_s2")
BATCH_OF = ("conv2d", "pointwise", "depthwise", "grouped", "depthwise_separable", "transposed", "wtconv", "condconv", "dynamicconv", "odconv")
AT_LEAST = {"resnet50": 7, "mobilenet_v2": 3, "efficientnet_b0_depthwise": 3, "resnext50_grouped": 2, "octresnet50_25": 2,
            "octresnet50_50": 2, "vgg16": 2, "wtconvnext_t": 2, "convnext_t_depthwise": 2}  # of the others one
PREPADDED_OF = "conv2d_ci64_h56_co64_k3_p1"  # the layer that is also measured on an input that has its padding already
BATCH = 8


def numbers(hconv, problem):
    said = subprocess.run([hconv, "show", problem], capture_output=True, text=True, check=True).stdout
    return (2 * int(re.search(r"multiply-adds\s+(\d+)", said)[1]), int(re.search(r"bytes\s+(\d+)", said)[1]))


def times_of(options, problems):
    """Microseconds by problem."""
    measured = {}
    if options.times:
        for row in json.loads(Path(options.times).read_text())["rows"]:
            if "timings" in row and row["threads"] == 1:
                measured[row["problem"]] = row["timings"]["hconv"]["median_us"]
    estimates = {}
    for p in problems:
        if p not in measured:
            flops, moved = numbers(options.hconv, p)
            estimates[p] = 1 + max(flops / options.gflops, moved / options.gbytes) / 1e3
    return {**estimates, **measured}


def read_networks():
    networks = {}
    for path in sorted((ROOT / "bench/problems").glob("*.txt")):
        if path.stem not in NO_NETWORKS:
            networks[path.stem] = [row for row in map(rivals.read_line, path.read_text().splitlines()) if row]
    return networks


def shares_of(networks, times):
    """{network: {core: (share of its time, a problem)}}"""
    shares = {}
    for name, rows in networks.items():
        of = shares[name] = {}
        total = sum(times[row["problem"]] * row["times"] for row in rows)
        for row in rows:
            share, _ = of.get(core(row["problem"]), (0, None))
            of[core(row["problem"])] = (share + times[row["problem"]] * row["times"] / total, row["problem"])
    return shares


def choose(shares, least, most):
    """Cores in the order they are taken, and what each network has got."""
    taken, got = [], dict.fromkeys(shares, 0.0)

    def take(layer):
        taken.append(layer)
        for name in shares:
            got[name] += shares[name].get(layer, (0,))[0]

    def best_of(names):
        return max(((shares[n][c][0], c) for n in names for c in shares[n] if c not in taken), default=(0, None))[1]

    for number in range(max(AT_LEAST.values())):
        for name in shares:
            if len(taken) < most and len([c for c in taken if c in shares[name]]) <= number < AT_LEAST.get(name, 1) and best_of([name]):
                take(best_of([name]))
    while len(taken) < most and any(got[name] < least for name in shares):
        take(best_of([name for name in shares if got[name] < least]))
    return taken, got


def with_batch(problem):
    return problem.replace("_ci", f"_n{BATCH}_ci", 1)


def variant(problem):
    return re.split(r"_n?\d|_ci", problem)[0]


def is_fast(problem):
    dense = DENSE_FAST.match(problem)
    return bool(OTHER_FAST.match(problem) or (dense and int(dense[1]) >= 64))


def with_relatives(problem):
    """What is compared with the row's own kernel stands behind it, so that it is measured at about the same time."""
    padded_before = [problem.replace("_h56_", "_h58_").replace("_p1", "")] * (core(problem) == PREPADDED_OF)
    return [problem] + padded_before + [problem + "_fast"] * is_fast(problem)


def head_of(name, what, got):
    text = f"{name}: {what} Made by bench/headline.py. Share of each network's time: " + ", ".join(
        f"{network} {share:.0%}" for network, share in got.items()) + "."
    return textwrap.fill(text, 124, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hconv", default=str(ROOT / "build/release/hconv"))
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--times", help="results of bench/rivals.py over the lists")
    parser.add_argument("--gflops", type=float, default=200)
    parser.add_argument("--gbytes", type=float, default=26)
    options = parser.parse_args()
    networks = read_networks()
    problems = list(dict.fromkeys(row["problem"] for rows in networks.values() for row in rows))
    shares = shares_of(networks, times_of(options, problems))
    text_of = {}
    for of in shares.values():
        for layer, (_, problem) in of.items():
            text_of.setdefault(layer, problem)

    def rows_of(most):
        taken, got = choose(shares, options.share, most)
        base = [text_of[c] for c in taken]
        greatest = lambda p: max(of.get(core(p), (0,))[0] for of in shares.values())
        batched = [max((p for p in base if variant(p) == v), key=greatest) for v in BATCH_OF]
        return [r for p in base for r in with_relatives(p)] + list(map(with_batch, batched)), got

    folder = ROOT / "bench/problems"
    covering, got = rows_of(10**6)
    (folder / "cover.txt").write_text(head_of("Cover", f"at least {options.share:.0%} of each network.", got) + "\n".join(covering) + "\n")
    most = options.rows
    while len(rows_of(most)[0]) > options.rows:
        most -= 1
    chosen, got = rows_of(most)
    (folder / "headline.txt").write_text(head_of("Headline", f"at most {options.rows} rows.", got) + "\n".join(chosen) + "\n")
    print(f"headline.txt: {len(chosen)} rows; cover.txt: {len(covering)} rows")


if __name__ == "__main__":
    main()
