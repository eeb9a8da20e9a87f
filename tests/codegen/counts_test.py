"""Speed where no clock can be believed: instructions that AVX2 kernels execute, as callgrind counts them, and what the hot loop of
AVX-512 kernels is made of, read from the machine code. Stored a kernel in counts.json; worse than stored fails.

SPDX-License-Identifier: MIT
usage: counts_test.py HCONV [--update]      --update writes counts.json: after a change of schedules that is meant
Tolerances: INSTRUCTIONS, since the runtime around the kernel is compiled by the C compiler that is here, and libc's memset and
memcpy are another machine's in part; the kernel itself is the same bytes everywhere. FMA_PER_LOAD is for a hot loop that only
changes its frame: one load more among 50. A vector more on the stack has no tolerance.
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV = str(Path(sys.argv[1]).resolve())
UPDATE = "--update" in sys.argv
HERE = Path(__file__).resolve().parent
STORED = HERE / "counts.json"
INSTRUCTIONS, SLACK = 1.01, 5000
FMA_PER_LOAD = 0.98
PROBLEMS = """
conv2d_ci64_h28_co64_k3_p1_relu
conv2d_ci64_h28_co64_k3_p1_nchw_relu
conv2d_ci64_h28_co64_k3_p1_fast
conv2d_ci128_h7_co128_k3_p1
pointwise_ci64_h28_co256
linear_n32_ci256_co128
grouped_ci128_h28_co128_k3_p1_g32
grouped_ci64_h14_co64_k3_p1_g4
depthwise_ci96_h28_k3_p1
depthwise_ci96_h28_k7_p3
depthwise_separable_ci64_h28_co64_k3_p1
transposed_ci64_h14_co64_k4_s2_p1
spd_ci32_h28_co64_k3_p1
octave_ci64_h28_co64_k3_p1_cil16_col16
wtconv_ci64_h28_k5_lev2
condconv_ci64_h14_co64_k3_p1
""".split()


def sh(*command, cwd=None):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, cwd=cwd).stdout


def innermost_loops(listing):
    """Instructions of every loop of an objdump listing that holds no other: from a jump's target, before it, to the jump."""
    for function in re.split(r"^[0-9a-f]+ <.*>:$", listing, flags=re.M):
        code = [(int(m[1], 16), m[2].strip()) for m in re.finditer(r"^\s*([0-9a-f]+):\t(.*)$", function, re.M)]
        place = {address: i for i, (address, _) in enumerate(code)}
        loops = []
        for i, (_, text) in enumerate(code):
            jump = re.match(r"j[a-z]+\s+([0-9a-f]+)\b", text)
            start = place.get(int(jump[1], 16)) if jump else None
            if start is not None and start <= i:
                loops.append((start, i))
        for start, end in loops:
            if not any((a, b) != (start, end) and start <= a and b <= end for a, b in loops):
                yield [text for _, text in code[start:end + 1]]


MULTIPLY = re.compile(r"v?f?n?m(add|ul|sub)\w*ps\b")


def hot_loop(listing):
    """Of the loops with the most multiply-adds (half of the maximum and up) the leanest: borders have loops of their own."""
    def multiplies(body):
        return sum(bool(MULTIPLY.match(line)) for line in body)
    loops = list(innermost_loops(listing))
    most = max(map(multiplies, loops), default=0)
    return min((b for b in loops if most and multiplies(b) >= most / 2), key=lambda b: len(b) / multiplies(b), default=[])


def figures_of(loop):
    """Multiply-adds, instructions that read memory (a broadcast inside a multiply-add is one), vectors moved to or from the stack."""
    multiplies = sum(bool(MULTIPLY.match(line)) for line in loop)
    memory = [line for line in loop if re.search(r"\(%r", line) and not line.startswith(("lea", "prefetch", "nop", "cs nop"))]
    loads = [line for line in memory if not re.search(r"\)(\{%k\d\})?$", line) or line.startswith(("cmp", "test"))]
    stack = [line for line in memory if re.search(r"\(%r[sb]p\)", line) and re.search(r"%[xyz]mm", line)]
    return {"multiply_adds": multiplies, "loads": len(loads), "stack": len(stack)}


LISTING = """
0000000000000000 <kernel>:
   0:\tvmovups (%rdi),%zmm1
   4:\tvfmadd231ps (%rax){1to16},%zmm1,%zmm2
   a:\tvmovups %zmm2,0x40(%rsp)
   f:\tvfmadd231ps 0x80(%rsp),%zmm1,%zmm3
  14:\tlea    0x40(%rsp),%rbx
  18:\tjne    0 <kernel>
  1a:\tvmulps %zmm1,%zmm1,%zmm1
  1e:\tjne    0 <kernel>

0000000000000000 <other>:
   0:\tvmovups (%rdi),%zmm1
   4:\tjmp    0 <other>
"""


class Reading(unittest.TestCase):
    def test_loop(self):
        self.assertEqual(len(hot_loop(LISTING)), 6)
        self.assertEqual(figures_of(hot_loop(LISTING)), {"multiply_adds": 2, "loads": 3, "stack": 2})
        self.assertEqual(hot_loop(""), [])


class Counts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        folder = Path(cls.temporary.name)
        cls.folder = folder
        (folder / "list.txt").write_text("\n".join(PROBLEMS) + "\n")
        sh(HCONV, "emit", f"@{folder}/list.txt", "-o", folder / "counts", "--name", "counts", "--no-verify", "--target",
           "x86-64-linux/avx2,x86-64-linux/avx512")
        cls.kernels = {}
        for kernel in json.loads((folder / "counts/kernels.json").read_text())["kernels"]:
            cls.kernels.setdefault(kernel["problem"], {})[kernel["isa"]] = kernel
        cls.stored = {} if UPDATE or not STORED.exists() else json.loads(STORED.read_text())
        cls.found = {problem: {} for problem in PROBLEMS}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()
        if UPDATE:
            lines = [f" {json.dumps(p)}: {json.dumps(cls.found[p])}" for p in PROBLEMS]
            STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    def worse(self, problem, words):
        return (f"{problem}: {words}; if the schedule was meant to change: python3 tests/codegen/counts_test.py "
                f"build/release/hconv --update, and say why in the commit")

    def test_hot_loops(self):
        listing = sh("objdump", "-d", "--no-show-raw-insn", self.folder / "counts/libcounts_kernels.a")
        for problem in PROBLEMS:
            with self.subTest(problem):
                got = figures_of(hot_loop(self.text_of(listing, problem)))
                self.found[problem].update(got)
                print(f"{problem}: {got}")
                self.assertGreater(got["multiply_adds"], 0, problem)
                if UPDATE:
                    continue
                want = self.stored[problem]
                self.assertLessEqual(got["stack"], want["stack"], self.worse(problem, "more vectors on the stack in the hot loop"))
                self.assertGreaterEqual(got["multiply_adds"] / max(got["loads"], 1),
                                        FMA_PER_LOAD * want["multiply_adds"] / max(want["loads"], 1),
                                        self.worse(problem, f"{got} in the hot loop, {want} stored: fewer multiply-adds a load"))

    def text_of(self, listing, problem):
        """The functions of the problem's AVX-512 kernel."""
        self.assertIn(problem, self.kernels)
        return listing_of(listing, self.kernels[problem]["avx512"])

    def test_instructions(self):
        if not shutil.which("valgrind"):
            self.skipTest("no valgrind: instructions are not counted")
        sh("cc", "-O1", f"-I{self.folder}/counts", HERE / "counts.c", self.folder / "counts/libcounts.a", "-lm", "-lpthread",
           "-o", self.folder / "program")
        for problem in PROBLEMS:
            with self.subTest(problem):
                out = self.folder / "callgrind.out"
                said = sh("valgrind", "--tool=callgrind", "--toggle-collect=hconv_run", f"--callgrind-out-file={out}",
                          self.folder / "program", problem)
                self.assertIn("avx2", said)
                count = int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M)[1])
                self.found[problem]["instructions"] = count
                print(f"{problem}: {count} instructions")
                self.assertGreater(count, 1000)
                if not UPDATE:
                    most = self.stored[problem]["instructions"] * INSTRUCTIONS + SLACK
                    self.assertLessEqual(count, most, self.worse(problem, "more instructions"))


def listing_of(listing, kernel):
    """Of an archive's listing the members whose name has the kernel's symbol."""
    members = re.split(r"^(?=\S+:\s+file format)", listing, flags=re.M)
    return "".join(m for m in members if m.startswith(kernel["symbol"] + "."))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
