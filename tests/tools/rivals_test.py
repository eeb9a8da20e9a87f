"""bench/rivals.py's lists and bench/report.py's figures, on made-up timings: no rival is needed.

SPDX-License-Identifier: MIT
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import classes
import figures
import report
import rivals


def timing(median, error=1e-7):
    return {"median_us": median, "min_us": median * 0.9, "quartiles_us": [median, median], "batch": 1, "error": error}


def row(problem, threads=1, **timings):
    named = {name.replace("_", "-"): t if isinstance(t, dict) else timing(t) for name, t in timings.items()}
    return {"problem": problem, "label": "", "threads": threads, "isa": "best", "timings": named, "absent": {}, "wall_s": 1}


def result(*rows):
    return {"cpu": "a CPU", "date": "2000-01-01", "versions": {"hconv": "1"}, "rivals": list(rivals.RIVALS), "left_out": {},
            "overhead_us": {"1/best": {"eager": 10, "compile": 1000}}, "rows": list(rows)}


class Report(unittest.TestCase):
    def test_best_rival_without_its_call(self):
        r = row("conv2d_ci8_h8_co8", hconv=50, eager=110, openvino=120)
        self.assertEqual(figures.best(result(r), r), ("eager", 100))
        self.assertAlmostEqual(figures.ratio(result(r), r), 2)

    def test_no_more_than_half_is_taken_off(self):
        r = row("conv2d_ci8_h8_co8", hconv=50, compile=200)
        self.assertEqual(figures.best(result(r), r), ("compile", 90))

    def test_a_call_costs_the_least_seen(self):
        self.assertEqual(rivals.least_of({"eager": 10, "onednn": 35}, {"onednn": 11, "openvino": 30}), {"eager": 10, "onednn": 11, "openvino": 30})
        self.assertEqual(rivals.least_of({"eager": 10}, {"eager": 12}), {"eager": 10})

    def test_wrong_answers_do_not_count(self):
        fast_but_wrong = row("conv2d_ci8_h8_co8", hconv=50, eager=timing(20, 2e-5), openvino=120)
        self.assertEqual(figures.best(result(fast_but_wrong), fast_but_wrong)[0], "openvino")
        ours_wrong = row("conv2d_ci8_h8_co8", hconv=timing(50, 1), hconv_nchw=timing(50, 1), eager=120)
        self.assertIsNone(figures.ratio(result(ours_wrong), ours_wrong))
        self.assertIsNone(figures.nchw_ratio(result(ours_wrong), ours_wrong))
        self.assertIn("wrong", report.text(result(ours_wrong)))
        allowed = row("conv2d_ci8_h8_co8_fast", hconv=timing(50, 5e-5), eager=120)
        self.assertIsNotNone(figures.ratio(result(allowed), allowed))

    def test_octave_against_the_layer_it_replaces(self):
        octave = row("octave_ci8_h8_co8_k3_p1_cil2_col2_dli", hconv=50, openvino=60)
        dense = row("conv2d_ci8_h8_co8_k3_p1", hconv=80, openvino=100)
        other_threads = row("conv2d_ci8_h8_co8_k3_p1", threads=2, hconv=80, openvino=10)
        self.assertAlmostEqual(figures.dense_ratio(result(other_threads, octave, dense), octave), 2)
        self.assertIsNone(figures.dense_ratio(result(octave), octave))
        slower_rounds = {**dense, "limits": {"gflops": 50}}
        self.assertAlmostEqual(figures.dense_ratio(result(slower_rounds), {**octave, "limits": {"gflops": 100}}), 1)

    def test_tables(self):
        failed = {"problem": "spd_ci8", "label": "", "threads": 1, "isa": "best", "why": "it crashed"}
        r = result(row("a", hconv=10, eager=110), row("b", hconv=100, openvino=50), row("a", threads=2, hconv=10, openvino=40), failed)
        self.assertIn("2 rows: geometric mean 2.24, median 5.25, least 0.50, greatest 10.00; 1 below 1, 1 below 0.8", report.text(r))
        self.assertIn("- spd_ci8: it crashed", report.text(r))
        self.assertIn("| a | 0.01 | eager 0.1 | 10 | 0.01 | openvino 0.04 | 4 |", report.short(r))
        self.assertIn("| spd_ci8 | - | - | - |", report.short(r))


class Classes(unittest.TestCase):
    LIMITS = {"gflops": 100, "l2_gbytes": 100, "memory_gbytes": 10, "l2_bytes": 2**20}

    def members(self, problem, **more):
        r = {**row(problem, hconv=10, eager=20), **more}
        return [name for name, belongs, _, _ in classes.CLASSES if belongs(r)]

    def test_core(self):
        self.assertEqual(figures.core("conv2d_ci8_h8_co8_k3_p1_bn_res_relu6_fast"), "conv2d_ci8_h8_co8_k3_p1")
        self.assertEqual(figures.core("conv2d_ci8_h8_co8_k1_bn"), "pointwise_ci8_h8_co8")
        self.assertEqual(figures.core("conv2d_ci8_h8_co8_k11"), "conv2d_ci8_h8_co8_k11")

    def test_membership(self):
        for problem, name in (("conv2d_ci64_h56_co64_k3_p1_bn_relu", "dense direct (ResNet-50)"),
                              ("conv2d_ci64_h56_co64_k3_p1_relu", "share of peak, 3x3 direct, 14 wide and more"),
                              ("conv2d_ci512_h7_co512_k3_p1", "share of peak, 3x3 direct, 7 wide"),
                              ("conv2d_ci64_h56_co64_k3_p1_fast", "dense 3x3 `fast`"), ("depthwise_ci96_h56_k7_p3", "depthwise, 3x3 to 7x7"),
                              ("depthwise_ci128_h28_k31_p15", "depthwise, 13x13 to 31x31"), ("wtconv_ci96_h56_k5_lev5", "wtconv"),
                              ("wtconv_ci96_h56_k5_lev5_bior22", "wtconv, longer wavelets, over PyTorch"),
                              ("odconv_n8_ci64_h56_co64_k3_p1", "condconv, dynamicconv, odconv, batch 8"),
                              ("octave_ci64_h56_co64_k3_p1_cil16_col16", "octave, a quarter low, over the dense layer"),
                              ("transposed_ci128_h28_co64_k4_s2_p1_fast", "transposed k4 s2 `fast`"),
                              ("depthwise_separable_ci128_h56_co128_k3_p1", "depthwise-separable")):
            self.assertIn(name, self.members(problem), problem)
        self.assertNotIn("dense direct (ResNet-50)", self.members("conv2d_ci8_h56_co64_k3_p1"))
        self.assertNotIn("transposed", self.members("transposed_ci128_h28_co64_k4_s2_p1_fast"))

    def test_asked(self):
        entry = next(e for e in classes.CLASSES if e[0] == "wtconv")
        wide = {**row("wtconv_ci96_h56_k5_lev5", hconv=10), "target": "x86-64-linux-avx-avx2-avx512-avx512_skylake"}
        narrow = {**wide, "target": "x86-64-linux-avx-avx2"}
        self.assertEqual(classes.wanted(result(wide), entry, "best", 1), (7, 5))
        self.assertEqual(classes.wanted(result(narrow), entry, "best", 1), (4, None))
        self.assertEqual(classes.wanted(result(wide, {**narrow, "isa": "avx2"}), entry, "avx2", 1), (4, None))

    def test_limits(self):
        small = {**row("a", hconv=100), "flops": 5e6, "bytes_moved": 1e5, "limits": self.LIMITS}
        self.assertEqual(classes.limit_us(small), (50, "multiply-adds"))
        self.assertEqual(classes.share(small), 0.5)
        moves = {**small, "bytes_moved": 9e5}
        self.assertEqual(classes.limit_us(moves)[1], "multiply-adds")
        self.assertEqual(classes.limit_us({**small, "bytes_moved": 2**20 + 1e6}), (2**20 / 1e5 + 100, "bytes"))
        self.assertIsNone(classes.limit_us(row("a", hconv=100)))

    def test_pairs(self):
        padded = {**row("conv2d_ci64_h56_co64_k3_p1_bn_relu", hconv=204), "limits": {"gflops": 50}}  # in slower rounds
        before = {**row("conv2d_ci64_h58_co64_k3_bn_relu", hconv=100), "limits": {"gflops": 100}}
        self.assertAlmostEqual(classes.over_prepadded(result(padded, before), padded), 1.02)
        more = {**row("conv2d_ci64_h58_co64_k3_bn_res_relu", hconv=100), "limits": {"gflops": 100}}
        self.assertIsNone(classes.over_prepadded(result(padded, more), padded))
        fast, direct = row("conv2d_ci64_h56_co64_k3_p1_fast", hconv=50), row("conv2d_ci64_h56_co64_k3_p1", hconv=100)
        self.assertAlmostEqual(classes.over_direct(result(fast, direct), fast), 2)
        self.assertAlmostEqual(classes.over_direct(result({**direct, "limits": {"gflops": 50}}), {**fast, "limits": {"gflops": 100}}), 1)
        self.assertEqual(classes.over_direct(result({**direct, "hash": "d1"}), {**fast, "hash": "d1"}), 1)  # one kernel, measured twice
        self.assertAlmostEqual(classes.over_direct(result({**direct, "hash": "d1"}), {**fast, "hash": "f2"}), 2)
        one = {**row("a", hconv=2000), "limits": {"gflops": 100}}
        two = {**row("a", threads=2, hconv=1000), "limits": {"gflops": 160}}
        self.assertAlmostEqual(classes.threads_gain(result(one, two), two), 1.25)
        self.assertIsNone(classes.threads_gain(result(two), two))

    def test_share_at_the_limit(self):
        entry = next(e for e in classes.CLASSES if e[0] == "share of peak, 3x3 direct, 14 wide and more")
        half = {**row("conv2d_ci64_h56_co64_k3_p1", hconv=100), "flops": 5e6, "bytes_moved": 1e5, "limits": self.LIMITS}
        self.assertEqual(classes.cell(result(half), ("best", 1), entry), "0.5 / 0.5 **<** (1)")  # measured before tiles were
        tile = {**half, "limits": {**self.LIMITS, "tile_gflops": 90}}
        self.assertEqual(classes.cell(result(tile), ("best", 1), entry), "0.5 / 0.5 **<** (1), 0.9 at the limit")
        reached = {**tile, "flops": 9.5e6}
        self.assertEqual(classes.cell(result(reached), ("best", 1), entry), "0.95 / 0.95 (1)")

    def test_marks(self):
        r = result(row("grouped_ci128_h56_co128_k3_p1_g32", hconv=50, openvino=100), row("spd_ci8_h8_co8_k3", hconv=50, openvino=100))
        table = classes.table(r)
        self.assertIn("| grouped | 2.5 / 1 | 2 **<** / 2 (1) |", table)
        self.assertIn("| spd | 1.15 / - | 2 / 2 (1) |", table)
        self.assertIn(">grouped</text>", classes.plot(r))

    def test_at_the_limit(self):
        known = {"flops": 5e6, "bytes_moved": 1e5, "limits": self.LIMITS}  # 50 us at least
        half = {**row("grouped_ci8_h8_co8_k3_g4", hconv=100, openvino=120), **known}
        beyond = {**row("grouped_ci8_h8_co8_k3_g2", hconv=40, openvino=80), **known}
        self.assertIn("| 1.55 **<** / 1.2 (2), 2.19 at the limit |", classes.table(result(half, beyond)))
        fast = {**row("transposed_ci8_h8_co8_k4_s2_p1_fast", hconv=100, openvino=120), **known}
        self.assertNotIn("at the limit", classes.table(result(fast)))


class Lists(unittest.TestCase):
    def test_lines(self):
        self.assertEqual(rivals.read_line("linear_ci8_co8 :fc *3  # the head"),
                         {"problem": "linear_ci8_co8", "nchw": "linear_ci8_co8", "label": "fc", "times": 3})
        self.assertEqual(rivals.read_line("conv2d_ci8_h8_co8*2")["nchw"], "conv2d_ci8_h8_co8_nchw")
        self.assertIsNone(rivals.read_line("  # a comment"))
        for bad in ("conv2d_ci8_h?_co8 @h7", "conv2d_ci8_h8_co8 twice"):
            with self.assertRaises(ValueError):
                rivals.read_line(bad)

    def test_every_variant_is_in_the_list_and_has_a_module(self):
        names = set(re.findall(r"^HCONV_VARIANT\((\w+)", (ROOT / "runtime/variants.def").read_text(), re.M))
        lines = (ROOT / "bench/problems/composed.txt").read_text().splitlines()
        listed = {line.split("_ci")[0].split("_n")[0] for line in lines if line and line[0] != "#"}
        self.assertEqual(names - listed, set())
        modules = (ROOT / "bench/rivals/modules.py").read_text()
        self.assertEqual([n for n in names if f'"{n}"' not in modules], [])

    def test_headline(self):
        """Made by its script, so every row is of a network, or made of one that is."""
        rows = [line for line in (ROOT / "bench/problems/headline.txt").read_text().splitlines() if line[0] != "#"]
        self.assertLessEqual(len(rows), 60)
        self.assertEqual(len(rows), len(set(rows)))
        self.assertEqual(sum("_n8_" in row for row in rows), 10)

    def test_all_lists_can_be_read(self):
        for path in (ROOT / "bench/problems").glob("*.txt"):
            for line in path.read_text().splitlines():
                rivals.read_line(line)


unittest.main()
