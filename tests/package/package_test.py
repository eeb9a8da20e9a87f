"""The installed package: a prefix that was moved, the examples built from it, pkg-config, two libraries in one project.

SPDX-License-Identifier: MIT
usage: package_test.py BUILD_FOLDER; CMAKE, NINJA and HCONV_CACHE come from the environment
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1]).resolve()
CMAKE = os.environ.get("CMAKE", "cmake")
NINJA = shutil.which(os.environ.get("NINJA", "ninja"))
GENERATOR = ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}")


def sh(*command, cwd=None, env=None, code=0):
    """Runs a command; returns what it prints, or fails with it."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(map(str, command))}: exit {done.returncode}, not {code}\n{text}"
    return text


# Nothing but what sanitizers read.
BARE = {name: value for name, value in os.environ.items() if name in ("PATH", "ASAN_OPTIONS")}


class Package(unittest.TestCase):
    """Everything from one install."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.tmp = Path(cls.temporary.name)
        sh(CMAKE, "--install", BUILD, "--prefix", cls.tmp / "first")
        (cls.tmp / "first").rename(cls.tmp / "moved")
        cls.prefix = cls.tmp / "moved"
        cls.hconv = cls.prefix / "bin/hconv"

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def build(self, source, name, *options):
        """Configures and builds a project with the package; returns its build folder."""
        folder = self.tmp / name
        sh(CMAKE, *GENERATOR, "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release", *options)
        sh(CMAKE, "--build", folder)
        return folder

    def test_command_needs_no_environment(self):
        text = sh(self.hconv, "--version", env=BARE)
        self.assertIn("Halide", text)
        self.assertNotIn("not found", sh("ldd", self.hconv, env=BARE))
        needed = [line for line in sh("ldd", self.hconv).splitlines() if "libHalide" in line]
        self.assertIn(str(self.prefix), needed[0])

    def test_minimal(self):
        folder = self.build(ROOT / "examples/minimal", "minimal")
        self.assertIn("0 of 288 outputs differ", sh(folder / "minimal"))
        self.assertIn("no work to do", sh(NINJA, "-C", folder))

    def test_threads(self):
        folder = self.build(ROOT / "examples/threads", "threads")
        self.assertIn("have the same bits", sh(folder / "threads"))

    def test_vendored(self):
        script = ROOT / "examples/vendored/build.sh"
        # The emitted folder, by a compiler that fails; then from the folder alone, by an hconv that does.
        sh(script, self.tmp / "vendored", env={**os.environ, "HCONV": str(self.hconv), "CC": "false"}, code=1)
        sh(script, self.tmp / "vendored", env={**os.environ, "HCONV": "false"})
        self.assertIn("all good", sh(self.tmp / "vendored/vendored"))

    def test_vendored_folder_in_cmake(self):
        project = self.tmp / "subdirectory"
        project.mkdir()
        sh(self.hconv, "emit", f"@{ROOT}/examples/minimal/problems.txt", "-o", project / "mynet", "--name", "mynet")
        shutil.copy(ROOT / "examples/minimal/minimal.c", project)
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.19)\nproject(app C)\nadd_subdirectory(mynet)\n"
            "add_executable(minimal minimal.c)\ntarget_link_libraries(minimal PRIVATE mynet)\n")
        sh(CMAKE, *GENERATOR, "-S", project, "-B", project / "build")
        sh(CMAKE, "--build", project / "build")
        self.assertIn("0 of 288", sh(project / "build/minimal"))

    def test_pkg_config(self):
        if not shutil.which("pkg-config"):
            self.skipTest("no pkg-config")
        env = {**os.environ, "PKG_CONFIG_PATH": f"{self.prefix}/lib/pkgconfig:{self.tmp}/pc/mynet"}
        tool = sh("pkg-config", "--variable=tool", "hconv", env=env).strip()
        self.assertEqual(Path(tool).resolve(), self.hconv.resolve())
        self.assertTrue(Path(sh("pkg-config", "--cflags", "hconv", env=env).strip()[2:], "hconv/hconv.h").exists())
        self.assertIn(sh("pkg-config", "--modversion", "hconv", env=env).strip(), sh(self.hconv, "--version"))
        sh(tool, "emit", f"@{ROOT}/examples/minimal/problems.txt", "-o", self.tmp / "pc/mynet", "--name", "mynet")
        flags = sh("pkg-config", "--cflags", "--libs", "mynet", env=env).split()
        sh("cc", ROOT / "examples/minimal/minimal.c", *flags, "-o", self.tmp / "pc/minimal")
        self.assertIn("0 of 288", sh(self.tmp / "pc/minimal"))

    def test_two_libraries_rebuilt(self):
        project = self.tmp / "two"
        project.mkdir()
        (project / "list.txt").write_text("pointwise_ci3_h2_co2\n")
        (project / "app.c").write_text(
            '#include "one.h"\n#include "two.h"\n#include "hconv/library.h"\n#include <stdio.h>\n'
            "int main(void) {\n    hconv_context *c = NULL;\n    int bad = hconv_context_create(NULL, &c, NULL, 0) ||\n"
            "        hconv_context_add_library(c, &hconv_library_one) || hconv_context_add_library(c, &hconv_library_two);\n"
            '    printf("%d kernels and %d\\n", (int)hconv_library_one.kernel_count, (int)hconv_library_two.kernel_count);\n'
            "    hconv_context_destroy(c);\n    return bad;\n}\n")
        (project / "libraries").mkdir()
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.19)\nproject(two C)\nadd_subdirectory(libraries)\n"
            "add_executable(app app.c)\ntarget_link_libraries(app PRIVATE one two)\n")
        (project / "libraries/CMakeLists.txt").write_text(
            "find_package(hconv REQUIRED)\n"
            "hconv_add_library(one PROBLEMS ../list.txt TARGETS x86-64-linux/sse41 x86-64-linux/avx2 STRICT)\n"
            "hconv_add_library(two PROBLEMS pointwise_ci4_h2_co2 linear_ci4_co2 TARGETS host NO_VERIFY FLAGS --jobs 1)\n")
        folder = self.build(project, "two-build")
        self.assertIn("2 kernels and 2", sh(folder / "app"))
        (project / "list.txt").write_text("pointwise_ci3_h2_co2\nlinear_ci3_co2\n")
        sh(CMAKE, "--build", folder)
        self.assertIn("4 kernels and 2", sh(folder / "app"))
        (project / "list.txt").write_text("pointwise_ci3_h2_co2\nlinear_ci3_co2x\n")
        self.assertIn("'co2x'", sh(NINJA, "-C", folder, code=2))

    def test_bad_calls(self):
        project = self.tmp / "bad"
        project.mkdir()
        head = "cmake_minimum_required(VERSION 3.19)\nproject(bad C)\nfind_package(hconv REQUIRED)\n"
        for call, options, words in (("hconv_add_library(x)", (), "needs PROBLEMS"),
                                     ("hconv_add_library(x PROBLEMS missing.txt)", (), "missing.txt"),
                                     ("hconv_add_library(x PROBLEMS linear_ci3_co2)", ("-Dhconv_TOOL=false",), "hconv_TOOL"),
                                     ("hconv_add_library(x PROBLEMS linear_ci3_co2)",
                                      ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=vax"), "Linux on vax")):
            (project / "CMakeLists.txt").write_text(head + call + "\n")
            text = sh(CMAKE, *GENERATOR, "-S", project, "-B", project / "build", "--fresh", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                      *options, code=1)
            self.assertIn(words, " ".join(text.split()))

    def test_cross_compiling(self):
        if not shutil.which("aarch64-linux-gnu-gcc"):
            self.skipTest("no aarch64-linux-gnu-gcc")
        cross = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc",
                 "-DCMAKE_EXE_LINKER_FLAGS=-static", f"-Dhconv_TOOL={self.hconv}")
        folder = self.build(ROOT / "examples/minimal", "cross", *cross)
        self.assertIn("aarch64", sh("file", folder / "minimal") if shutil.which("file") else "aarch64")
        if shutil.which("qemu-aarch64"):
            self.assertIn("0 of 288", sh("qemu-aarch64", folder / "minimal"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
