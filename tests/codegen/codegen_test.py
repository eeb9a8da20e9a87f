"""What the compiler makes of problems: golden loop nests, instructions that prove vectorisation, text sizes, PTX that assembles.

SPDX-License-Identifier: MIT
usage: codegen_test.py HCONV [--update-golden]
Loop nests are compared with loops/<target>__<problem>.txt; --update-golden writes them. Hot loop: see hot_loop.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV = sys.argv[1]
os.environ["HCONV_RECORDS"] = "none"  # the defaults, whatever was tuned
UPDATE = "--update-golden" in sys.argv
LOOPS = Path(__file__).resolve().parent / "loops"
X86 = {"sse41": "xmm", "avx2": "ymm", "avx512": "zmm"}
NESTS = [(problem, f"x86-64-linux/{level}") for level in X86 for problem in
         ("conv2d_ci64_h56_co64_k3_p1_relu", "conv2d_ci3_h?_co16_k3_p1_nchw", "depthwise_ci96_h56_k3_p1", "pointwise_ci64_h56_co256",
          "linear_n?_ci256_co128", "octave_ci128_h28_co128_k3_p1_cil32_col32", "rowcol_ci64_h56_k5_p2",
          "grouped_ci128_h56_co128_k3_p1_g32", "conv2d_ci64_h56_co64_k3_p1_relu_fast")]
NESTS += [(problem, target) for target in ("arm-64-linux", "x86-64-linux/cuda80") for problem in
          ("conv2d_ci64_h56_co64_k3_p1_relu", "octave_ci16_h14_co16_k3_p1_cil8_col8", "odconv_ci16_h14_co24_k3_p1")]
NESTS += [(problem, "arm-64-linux") for problem in ("pointwise_ci64_h56_co256", "transposed_ci64_h14_co64_k4_s2_p1")]
NESTS += [("wtconv_ci16_h14_k3_lev2", "x86-64-linux/cuda80")]


def show(problem, target, view):
    done = subprocess.run([HCONV, "show", problem, "--target", target, "--as", view], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


def innermost_loops(assembly):
    """Lines of every loop that holds no other: from a label to the jump back to it."""
    lines = [re.split(r"\s#|//", line)[0].strip() for line in assembly.splitlines()]
    lines = [line for line in lines if line and (not line.startswith(".") or line.startswith(".L"))]
    label_at = {}
    for number, line in enumerate(lines):
        if line.endswith(":"):
            label_at[line[:-1]] = number
            continue
        jump = re.match(r"(?:j[a-z]+|b\.[a-z]+|cbn?z\s+\w+,|b)\s+(\.L\w+)$", line)
        start = label_at.get(jump.group(1)) if jump else None
        if start is None:
            continue
        body = lines[start + 1:number + 1]
        inner = [other for other in body[:-1] if re.match(r"(?:j[a-z]+|b\.[a-z]+|b)\s+\.L", other) and
                 label_at.get(other.split()[-1], len(lines)) > start]
        if not inner:
            yield body


MULTIPLY = re.compile(r"v?f?n?m(add|ul)\w*ps|fml[as]\s+v")


def hot_loop(assembly):
    """Of the loops with the most multiply-adds (half the maximum and up), the leanest: borders have loops of their own."""
    def multiplies(body):
        return sum(bool(MULTIPLY.match(line)) for line in body)
    loops = list(innermost_loops(assembly))
    most = max(map(multiplies, loops), default=0)
    return min((body for body in loops if most and multiplies(body) >= most / 2), key=lambda body: len(body) / multiplies(body), default=[])


class LoopNests(unittest.TestCase):
    def test_golden(self):
        different = []
        for problem, target in NESTS:
            path = LOOPS / f"{target.replace('/', '_')}__{problem.replace('?', 'any')}.txt"
            nest = show(problem, target, "loops")
            self.assertIn("produce", nest)
            if UPDATE:
                path.parent.mkdir(exist_ok=True)
                path.write_text(nest)
            elif not path.exists() or path.read_text() != nest:
                different.append(f"{path.name}:\n{nest}")
        self.assertFalse(different, "loop nests changed; if so intended: codegen_test.py HCONV --update-golden\n" + "\n".join(different))


class HotLoops(unittest.TestCase):
    """No scalar code, no calls and no vectors put on the stack where the time goes: the sums stay in registers."""

    def check(self, problem, target, register, least):
        loop = hot_loop(show(problem, target, "asm"))
        text = f"{problem} {target}:\n  " + "\n  ".join(loop)
        vector = [line for line in loop if MULTIPLY.match(line) and (register in line)]
        self.assertGreaterEqual(len(vector), least, text)
        self.assertFalse([line for line in loop if re.match(r"v?f?n?m(add|ul)\w*ss\b", line)], "scalar multiply in " + text)
        spills = [line for line in loop if re.search(r"[xyz]mm\d+, -?\d*\(%rsp\)$|^st[rpu]+\s+q.*\[sp", line)]
        self.assertFalse(spills, "spills in " + text)
        self.assertFalse([line for line in loop if line.startswith(("call", "bl\t", "bl "))], "call in " + text)

    def test_x86(self):
        for level, register in X86.items():
            target = f"x86-64-linux/{level}"
            for problem, least in (("conv2d_ci64_h56_co64_k3_p1_relu", 8), ("conv2d_ci64_h56_co64_k3_p1_relu_nchw", 8),
                                   ("conv2d_ci64_h?_co64_k3_s2_p1", 8), ("dilated_ci32_h28_co32_k3_p2_d2", 8),
                                   ("pointwise_ci64_h56_co256", 8), ("pointwise_ci64_h56_co256_nchw", 4), ("linear_n32_ci256_co128", 8),
                                   ("depthwise_ci96_h56_k3_p1", 1), ("depthwise_ci96_h56_k3_p1_nchw", 1),
                                   ("octave_ci128_h28_co128_k3_p1_cil32_col32", 8), ("octave_ci128_h?_co128_k3_p1_cil64_col64_nchw", 8),
                                   ("rowcol_ci64_h56_k5_p2", 4), ("rowcol_ci64_h56_k5_p2_nchw", 2)):
                with self.subTest(problem=problem, target=target):
                    self.check(problem, target, register, least)

    def test_groups_as_lanes(self):
        self.check("grouped_ci128_h56_co128_k3_p1_g32", "x86-64-linux/avx512", "zmm", 8)

    def test_lines_fetched_ahead(self):
        # 64 bytes each, of the output and of the residual: 56 pixels of a row of tiles have two in a block of 32 channels. Transposed: three
        # pixels become two whole lines each, in the loop and behind it. Whether the output is far its own size says, not the convolution's.
        for problem, level, lines in (("pointwise_ci64_h56_co256_res", "avx2", 56 * 4), ("pointwise_ci64_h112_co256", "avx2", 112 * 2),
                                      ("pointwise_ci64_h14_co256", "avx2", 0), ("pointwise_ci64_h56_co256_res", "avx512", 0),
                                      ("transposed_ci256_h64_co128_k2_s2", "avx2", 2 * 3 * 2), ("spd_ci64_h56_co128_k3_p1", "avx2", 0),
                                      ("depthwise_separable_n8_ci512_h14_co512_k3_p1", "avx2", 14 * 2),
                                      ("depthwise_separable_ci512_h14_co512_k3_p1", "avx2", 0)):
            with self.subTest(problem=problem, level=level):
                found = re.findall(r"\sprefetch\w+", show(problem, f"x86-64-linux/{level}", "asm"))
                self.assertEqual([line.strip() for line in found], ["prefetcht0"] * lines)

    def test_weights_fetched_ahead(self):
        # 49 pixels are sixteen tiles of three and one of one; four phases of sixteen are four tiles each. Every step of each asks for a
        # line, and the sums stay in registers.
        for problem, count in (("conv2d_ci512_h7_co512_k3_p1", 17), ("transposed_ci512_h4_co256_k4_s2_p1", 16)):
            loops = list(innermost_loops(show(problem, "x86-64-linux/avx2", "asm")))
            tiles = [loop for loop in loops if any(MULTIPLY.match(line) for line in loop)]
            self.assertEqual([sum(line.startswith("prefetcht0") for line in loop) for loop in tiles], [1] * count, problem)
            self.assertFalse([line for loop in tiles for line in loop if re.match(r"vmov\w+\s+%ymm\d+, ", line)], problem)

    def test_default_schedules(self):
        # At AVX2 weights of a block past the second cache come in chunks that fit it; pixels whole pages apart, which lie in one set of
        # the first, are eight at most; a group of one vector shares the pixels of a row; weights that come from memory are direct's.
        # Products are summed for two vectors at once. Patches of a far output fill its lines, unless the weights of so many channels
        # leave the second cache.
        for problem, level, schedule in (("conv2d_ci512_h28_co512_k3_p1", "avx2", r"chunked:co_vecs=4,xs=3,chunk=128,"),
                                         ("conv2d_ci64_h56_co64_k3_p1", "avx2", r"unstaged:co_vecs=4,xs=3,"),
                                         ("grouped_ci1024_h14_co1024_k3_s2_p1_g32", "avx2", r"unstaged:co_vecs=.,xs=[1-8],"),
                                         ("grouped_ci256_h28_co256_k3_p1_g32", "avx2", r"unstaged:co_vecs=1,.*row_u=1,"),
                                         ("grouped_ci512_h14_co512_k3_p1_g32", "avx2", r"unstaged:.*rows=14,"),
                                         ("grouped_n8_ci512_h14_co512_k3_p1_g32", "avx2", r"unstaged:.*rows=7,.*spread=2"),
                                         ("conv2d_ci512_h7_co512_k3_p1_fast", "avx2", r"small_map:co_vecs=4,xs=3,chunk=16,spread=0"),
                                         ("conv2d_ci512_h14_co512_k3_s2_p1", "avx2", r"small_map:.*spread=1"),
                                         ("conv2d_ci512_h6_co512_k3_p1", "avx2", r"chunked:"),
                                         ("conv2d_ci512_h7_co512_k3_p1_fast", "avx512", r"winograd/"),
                                         ("conv2d_ci512_h14_co512_k3_p1_fast", "avx2", r"winograd/"),
                                         ("conv2d_ci256_h56_co256_k3_p1_fast", "avx2", r"winograd/tiles:m=4,co_vecs=2,ts=6,.*blocks=16,"),
                                         ("transposed_ci256_h8_co128_k4_s2_p1_fast", "avx2", r"winograd/tiles:m=4,co_vecs=2,"),
                                         ("transposed_ci256_h8_co128_k4_s2_p1", "avx2", r"phases:co_vecs=2,xs=4,.*chunk=0"),
                                         ("transposed_ci512_h4_co256_k4_s2_p1", "avx2", r"phases:co_vecs=2,xs=4,.*chunk=16"),
                                         ("transposed_ci512_h32_co256_k2_s2", "avx2", r"patches:xs=3,"),
                                         ("transposed_ci1024_h16_co512_k2_s2", "avx2", r"patches:xs=6,")):
            with self.subTest(problem=problem, level=level):
                self.assertRegex(show(problem, f"x86-64-linux/{level}", "schedule"), rf"schedule +{schedule}")

    def test_arm(self):
        for problem, least in (("conv2d_ci64_h56_co64_k3_p1_relu", 32), ("pointwise_ci64_h56_co256", 32), ("depthwise_ci96_h56_k3_p1", 14)):
            self.check(problem, "arm-64-linux", "v", least)


class Sizes(unittest.TestCase):
    def test_text_of_a_3x3(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([HCONV, "emit", "conv2d_ci64_h56_co64_k3_p1", "-o", f"{folder}/net", "--name", "net", "--no-verify"],
                           check=True, capture_output=True)
            listing = subprocess.run(["size", f"{folder}/net/libnet_kernels.a"], check=True, capture_output=True, text=True).stdout
            for line in listing.splitlines()[1:]:
                text, data, bss = map(int, line.split()[:3])
                level = line.split()[5].split("__")[-1].split(".")[0]  # of the object; the archive's folder may have "__", too
                print(f"{level}: {text} bytes of text")
                # Every tile of a row has its own code: none tests for padding. AVX2: 19 of 700 bytes (36 multiply-adds on 17 loads,
                # 12 sums to begin and to store); AVX-512 has six wider ones.
                self.assertLess(text, {"avx2": 13312, "avx512": 7168}.get(level, 12288), line)
                self.assertEqual(data + bss, 0, line)


class Cuda(unittest.TestCase):
    def test_ptx_assembles(self):
        ptxas = shutil.which("ptxas", path=os.environ["PATH"] + ":/usr/local/cuda/bin")
        for problem in ("conv2d_ci64_h56_co64_k3_p1_relu", "octave_ci16_h14_co16_k3_p1_cil8_col8", "odconv_ci16_h14_co24_k3_p1"):
            ptx = show(problem, "x86-64-linux/cuda80", "ptx")
            self.assertIn(".visible .entry", ptx)
            self.assertIn(".target sm_80", ptx)
            if not ptxas:
                continue
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "k.ptx").write_text(ptx)
                for capability in ("sm_80", "sm_90"):
                    subprocess.run([ptxas, f"-arch={capability}", f"{folder}/k.ptx", "-o", f"{folder}/k.cubin"], check=True)
        if not ptxas:
            self.skipTest("no ptxas: install the CUDA Toolkit to assemble the PTX")

    def test_links_and_refuses(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([HCONV, "emit", "conv2d_ci8_h8_co8_k3_p1", "--target", "x86-64-linux/cuda80", "-o", f"{folder}/net",
                            "--name", "net"], check=True, capture_output=True)
            text = Path(folder, "net", "USE.txt").read_text()
            Path(folder, "use.c").write_text(text[text.index("#include"):])
            subprocess.run(["cc", f"-I{folder}/net", f"{folder}/use.c", f"{folder}/net/libnet.a", "-lm", "-lpthread", "-o",
                            f"{folder}/use"], check=True)
            done = subprocess.run([f"{folder}/use"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("CUDA", done.stderr)


class Arm(unittest.TestCase):
    def test_runs_under_emulation(self):
        qemu = shutil.which("qemu-aarch64")
        if not qemu or not shutil.which("aarch64-linux-gnu-gcc"):
            self.skipTest("no qemu-aarch64 or aarch64-linux-gnu-gcc: install qemu-user and gcc-aarch64-linux-gnu")
        for problem in ("conv2d_ci5_h9_co10_k3_p1_relu", "octave_ci8_h?_co8_k3_p1_cil4_col4@h7w9", "odconv_ci8_h6_co8_k3_p1"):
            done = subprocess.run([HCONV, "check", problem, "--target", "arm-64-linux", "--runner", qemu], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("1 passed, 0 failed", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
