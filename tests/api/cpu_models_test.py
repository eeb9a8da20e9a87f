"""One program with three levels a kernel, on processors that this machine is not: each takes the best it has, none an instruction
it has not.

SPDX-License-Identifier: MIT
usage: cpu_models_test.py HCONV; exit status 77 where there is no qemu-x86_64
"""
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HCONV = Path(sys.argv[1]).resolve()
QEMU = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
MODELS = {"Penryn": "sse41", "Nehalem": "sse41", "Westmere": "sse41", "SandyBridge": "sse41", "IvyBridge": "sse41", "Opteron_G4": "sse41",
          "Haswell": "avx2", "EPYC": "avx2", "max": "avx2"}  # qemu emulates no AVX-512
BELOW = ("Conroe", "qemu64")  # no SSE4.1
# Halide's sqrt and exp, blocks in registers, wavelets, a kernel mixed from experts: what each level writes differently.
OTHERS = ("conv2d_ci8_h9_co16_k3_p1_gelu", "wtconv_ci8_h8_k3_haar", "condconv_ci8_h6_co8_k3_p1", "octave_ci8_h6_co8_k3_p1_cil4_col4")


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


class Models(unittest.TestCase):
    """examples/minimal, which compares with plain loops."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.tmp = Path(cls.temporary.name)
        subprocess.run([HCONV, "emit", f"@{ROOT}/examples/minimal/problems.txt", "-o", cls.tmp / "mynet", "--name", "mynet"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["cc", "-O1", "-static", f"-I{cls.tmp}/mynet", ROOT / "examples/minimal/minimal.c", cls.tmp / "mynet/libmynet.a",
                        "-lm", "-lpthread", "-o", cls.tmp / "minimal"], check=True, stderr=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_each_takes_its_level(self):
        for model, level in MODELS.items():
            with self.subTest(model):
                done = run(QEMU, "-cpu", model, self.tmp / "minimal")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(done.stdout.count(f"__{level}\n"), 2, done.stdout)
                self.assertIn("0 of 288 outputs differ", done.stdout)

    def test_none_below(self):
        for model in BELOW:
            with self.subTest(model):
                done = run(QEMU, "-cpu", model, self.tmp / "minimal")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("__sse41 needs sse41, but this CPU lacks it", done.stderr)

    def test_the_emulator_knows(self):
        """That these models do not have AVX: else the others would show nothing."""
        (self.tmp / "avx.c").write_text('int main(void) { __asm__ volatile("vpaddd %%ymm0, %%ymm0, %%ymm0" ::: "xmm0"); return 0; }\n')
        subprocess.run(["cc", "-static", self.tmp / "avx.c", "-o", self.tmp / "avx"], check=True)
        self.assertIn(run(QEMU, "-cpu", "Nehalem", self.tmp / "avx").returncode, (-signal.SIGILL, 128 + signal.SIGILL))
        self.assertEqual(run(QEMU, "-cpu", "Haswell", self.tmp / "avx").returncode, 0)

    def test_other_variants(self):
        done = run(HCONV, "check", *OTHERS, "--target", "x86-64-linux/sse41", "--runner", f"{QEMU} -cpu Nehalem")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(OTHERS)} passed, 0 failed, 0 skipped", done.stdout)


if __name__ == "__main__":
    if not QEMU or platform.machine() not in ("x86_64", "AMD64"):
        print("skipped: needs an x86-64 machine with qemu-x86_64; install qemu-user")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], "-v"])
