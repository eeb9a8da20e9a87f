"""Several libraries in one program: of two versions of hconv, each in an archive or a shared library, and Halide's own runtime.

SPDX-License-Identifier: MIT
usage: several_libraries_test.py HCONV
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV = sys.argv[1]
SOURCES = Path(__file__).resolve().parent / "several"
PROBLEMS = {"one": "conv2d_ci3_h9_co10_k3_p1", "two": "conv2d_ci5_h8_co6_k5_p2"}
CFLAGS = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-Wall", "-Wextra", "-Werror"]
PIPELINE = """
import halide as hl, sys
x, y = hl.Var("x"), hl.Var("y")
given = hl.ImageParam(hl.Float(32), 2, "given")
f = hl.Func("pipeline")
f[x, y] = given[x, y] * 2.0 + 1.0
f.parallel(y)
f.compile_to_static_library(sys.argv[1], [given], "pipeline", target=hl.get_host_target())
print(hl.__path__[0])
"""


def run(command, cwd):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def python_with_halide():
    for python in (Path(os.environ.get("HCONV_ENV", ".env")) / "bin/python", sys.executable):
        if subprocess.run([python, "-c", "import halide"], capture_output=True).returncode == 0:
            return python
    return None


class Several(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        for name, problem in PROBLEMS.items():
            run([HCONV, "emit", problem, "-o", cls.folder / name, "--name", name, "--target", "host", "--no-verify"],
                cls.folder)
        # The second one's sources as another version has them; a plug-in is made of these.
        header = cls.folder / "two/hconv/hconv.h"
        text, found = re.subn(r"(#define HCONV_VERSION) \d+", r"\1 999999", header.read_text())
        assert found == 1
        header.write_text(text)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def program(self, *more):
        command = ["cc", *CFLAGS, f"-I{SOURCES}", "-I", "one", "-I", "two", SOURCES / "program.c", *more, "-o", "program",
                   "-ldl", "-lm", "-lpthread", "-Wl,-rpath,$ORIGIN"]
        run(command, self.folder)
        return run(["./program"], self.folder)

    def plugin(self):
        sources = sorted((self.folder / "two/hconv/src").rglob("*.c"))
        run(["cc", *CFLAGS, "-shared", "-fPIC", "-fvisibility=hidden", f"-I{SOURCES}", "-I", "two", SOURCES / "plugin.c",
             "two/two.c", *sources, "two/libtwo_kernels.a", "-Wl,--exclude-libs,ALL", "-o", "libplugin.so", "-lm", "-lpthread"],
            self.folder)
        exported = run(["nm", "-D", "--defined-only", "libplugin.so"], self.folder).split()[2::3]
        self.assertEqual(sorted(exported), ["plugin_check", "plugin_version"])
        return ["-DWITH_PLUGIN=1", "libplugin.so"]

    def pipeline(self):
        python = python_with_halide()
        if python is None:
            self.skipTest("no Python with Halide")
        place = run([python, "-c", PIPELINE, self.folder / "pipeline"], self.folder).strip()
        return ["-DWITH_HALIDE=1", "-I", ".", "-include", f"{place}/include/HalideRuntime.h", "pipeline.a"]

    def test_two_archives_one_runtime(self):
        """Each has a runtime: the linker takes the first's, for both."""
        self.assertIn("0 wrong", self.program("one/libone.a", "two/libtwo.a"))

    def test_two_tables_one_runtime(self):
        self.assertIn("0 wrong", self.program("one/libone.a", "two/two.c", "two/libtwo_kernels.a"))

    def test_everything_at_once(self):
        text = self.program(*self.plugin(), *self.pipeline(), "one/libone.a", "two/two.c", "two/libtwo_kernels.a")
        self.assertIn("the plug-in's 999999", text)
        self.assertIn("0 wrong", text)

    def test_an_archive_in_a_shared_library(self):
        run(["cc", "-shared", "-Wl,--whole-archive", "one/libone.a", "-Wl,--no-whole-archive", "-Wl,--no-undefined", "-o",
             "libwhole.so", "-lm", "-lpthread", "-ldl"], self.folder)
        self.assertIn("0 wrong", self.program("-L.", "-lwhole", "two/two.c", "two/libtwo_kernels.a"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
