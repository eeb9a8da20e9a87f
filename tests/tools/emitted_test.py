"""What show counts, against published numbers, and what an application gets from emit: a program, stable bytes, clean symbols.

SPDX-License-Identifier: MIT
usage: emitted_test.py HCONV CONFORMANCE_FOLDER (an emitted folder with the kernels of the smoke lists)
"""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV, CONFORMANCE = sys.argv[1:3]


def hconv(*arguments, cwd=None, code=0):
    """Runs the command, expects the exit code, returns stdout and stderr."""
    done = subprocess.run([HCONV, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def shown(text, what):
    return re.findall(rf"^  {what} +(.+)$", text, re.M)


class PublishedNumbers(unittest.TestCase):
    """The parameter table and the receptive fields of the definitions' section 1."""

    def test_parameters(self):
        for problem, parameters in [("linear_ci300_co3000", 903000), ("conv2d_ci3_h32_co30_k10", 9030),
                                    ("dilated_ci3_h32_co30_k10_d2", 9030), ("grouped_ci3_h32_co30_k10_g3", 3030),
                                    ("pointwise_ci3_h32_co30", 120)]:
            self.assertEqual(shown(hconv("show", problem), "parameters"), [str(parameters)], problem)

    def test_depthwise_then_pointwise(self):
        text = hconv("show", "depthwise_ci3_h32_k10", "pointwise_ci3_h23_co30")
        self.assertEqual(shown(text, "parameters"), ["303", "120", "423"])

    def test_receptive_fields(self):
        for rates, reach in [((1, 1, 1), 7), ((2, 2, 2), 13), ((1, 2, 3), 13)]:
            text = hconv("show", *[f"conv2d_ci8_h32_co8_k3_d{d}_p{d}" for d in rates])
            self.assertEqual(shown(text, "receptive field")[-1], f"{reach} x {reach}", rates)

    def test_multiply_adds_and_bytes(self):
        text = hconv("show", "conv2d_ci64_h56_co64_k3_p1")
        self.assertEqual(shown(text, "multiply-adds"), [str(56 * 56 * 64 * 64 * 9)])
        self.assertEqual(shown(text, "bytes"), [str(4 * (2 * 56 * 56 * 64 + 64 * 64 * 9 + 64))])


class Emitted(unittest.TestCase):
    """What an application gets."""

    def test_use_text(self):
        with tempfile.TemporaryDirectory() as folder:
            hconv("emit", "conv2d_ci3_h8_co4_k3_p1_bn_relu", "-o", f"{folder}/net", "--name", "net", "--target", "host")
            text = Path(folder, "net", "USE.txt").read_text()
            Path(folder, "net", "use.c").write_text(text[text.index("#include"):])
            for command in (["libnet.a"], ["net.c", "libnet_kernels.a", *map(str, Path(folder, "net").glob("hconv/src/**/*.c"))]):
                subprocess.run(["cc", "-I.", "use.c", *command, "-lm", "-lpthread", "-o", "use"], cwd=f"{folder}/net", check=True)
                self.assertIn("y[0] =", subprocess.run(["./use"], cwd=f"{folder}/net", check=True, capture_output=True, text=True).stdout)

    def test_licenses(self):
        with tempfile.TemporaryDirectory() as folder:
            hconv("emit", "pointwise_ci3_h2_co2", "-o", f"{folder}/net", "--name", "net", "--target", "host")
            manifest = json.loads(Path(folder, "net/kernels.json").read_text())
            licenses = {part["part"]: part["license"] for part in manifest["licenses"]}
            self.assertEqual(licenses, {"hconv runtime (hconv/)": "MIT", "Halide": "MIT", "LLVM": "Apache-2.0 WITH LLVM-exception"})
            spdx = json.loads(Path(folder, "net/net.spdx.json").read_text())
            self.assertEqual(spdx["spdxVersion"], "SPDX-2.3")
            known = {package["SPDXID"] for package in spdx["packages"]} | {"SPDXRef-DOCUMENT"}
            for relation in spdx["relationships"]:
                self.assertLessEqual({relation["spdxElementId"], relation["relatedSpdxElement"]}, known)
            self.assertEqual({package["licenseConcluded"] for package in spdx["packages"]}, set(licenses.values()) | {"NOASSERTION"})
            self.assertIn("yours", Path(folder, "net/USE.txt").read_text())
            self.assertIn("MIT License", Path(folder, "net/hconv/src/LICENSE").read_text())

    def test_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in "ab":
                hconv("emit", "conv2d_ci3_h8_co4_k3_p1_relu", "-o", f"{folder}/{name}", "--name", "net", "--target", "host")
            for file in ("libnet.a", "net.c", "net.h", "kernels.json", "net.spdx.json"):
                self.assertEqual(Path(folder, "a", file).read_bytes(), Path(folder, "b", file).read_bytes(), file)

    def test_symbols_and_data(self):
        archive = f"{CONFORMANCE}/libconformance_kernels.a"
        lines = subprocess.run(["nm", "--print-file-name", archive], capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertGreater(len(lines), 100)
        allowed = {"memcpy", "memmove", "memset"}
        for line in lines:
            kind, name = line.split()[-2:]
            if kind == "U":
                self.assertTrue(name in allowed or name.startswith("hconv1_"), line)
            self.assertNotIn(kind, "DdBbCSsGg", line)
            if kind == "T":
                self.assertTrue(name.startswith("conformance__"), line)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
