"""bench/rivals.py's lists and bench/report.py's figures, on made-up timings: no rival is needed.

SPDX-License-Identifier: MIT
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
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
        self.assertEqual(report.best(result(r), r), ("eager", 100))
        self.assertAlmostEqual(report.ratio(result(r), r), 2)

    def test_no_more_than_half_is_taken_off(self):
        r = row("conv2d_ci8_h8_co8", hconv=50, compile=200)
        self.assertEqual(report.best(result(r), r), ("compile", 90))

    def test_wrong_answers_do_not_count(self):
        fast_but_wrong = row("conv2d_ci8_h8_co8", hconv=50, eager=timing(20, 2e-5), openvino=120)
        self.assertEqual(report.best(result(fast_but_wrong), fast_but_wrong)[0], "openvino")
        ours_wrong = row("conv2d_ci8_h8_co8", hconv=timing(50, 1), hconv_nchw=timing(50, 1), eager=120)
        self.assertIsNone(report.ratio(result(ours_wrong), ours_wrong))
        self.assertIsNone(report.nchw_ratio(result(ours_wrong), ours_wrong))
        self.assertIn("wrong", report.text(result(ours_wrong)))
        allowed = row("conv2d_ci8_h8_co8_fast", hconv=timing(50, 5e-5), eager=120)
        self.assertIsNotNone(report.ratio(result(allowed), allowed))

    def test_octave_against_the_layer_it_replaces(self):
        octave = row("octave_ci8_h8_co8_k3_p1_cil2_col2_dli", hconv=50, openvino=60)
        dense = row("conv2d_ci8_h8_co8_k3_p1", hconv=80, openvino=100)
        other_threads = row("conv2d_ci8_h8_co8_k3_p1", threads=2, hconv=80, openvino=10)
        self.assertAlmostEqual(report.dense_ratio(result(other_threads, octave, dense), octave), 2)
        self.assertIsNone(report.dense_ratio(result(octave), octave))

    def test_tables(self):
        failed = {"problem": "spd_ci8", "label": "", "threads": 1, "isa": "best", "why": "it crashed"}
        r = result(row("a", hconv=10, eager=110), row("b", hconv=100, openvino=50), row("a", threads=2, hconv=10, openvino=40), failed)
        self.assertIn("2 rows: geometric mean 2.24, median 5.25, least 0.50, greatest 10.00; 1 below 1, 1 below 0.8", report.text(r))
        self.assertIn("- spd_ci8: it crashed", report.text(r))
        self.assertIn("| a | 0.01 | eager 0.1 | 10 | 0.01 | openvino 0.04 | 4 |", report.short(r))
        self.assertIn("| spd_ci8 | - | - | - |", report.short(r))


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

    def test_all_lists_can_be_read(self):
        for path in (ROOT / "bench/problems").glob("*.txt"):
            for line in path.read_text().splitlines():
                rivals.read_line(line)


unittest.main()
