"""scripts/abidiff.sh sees what breaks an application or an emitted library, and nothing in what does not.

SPDX-License-Identifier: MIT
usage: abidiff_test.py; exit status 77 where abidiff is not installed
"""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/abidiff.sh"


class AbiDiff(unittest.TestCase):
    """Each on a copy of the runtime with one change."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.copy = Path(temporary.name, "runtime")
        shutil.copytree(ROOT / "runtime", self.copy)

    def change(self, file, before, after):
        text = (self.copy / file).read_text()
        self.assertIn(before, text)
        (self.copy / file).write_text(text.replace(before, after))

    def compare(self, old, new, code):
        done = subprocess.run([SCRIPT, old, new], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_functions(self):
        # The declaration stays: whoever calls it compiles, and does not link.
        self.change("context.c", "hconv_version(void)", "hconv_version_no_more(void)")
        text = self.compare(ROOT / "runtime", self.copy, 1)
        self.assertIn("hconv_version", text)
        self.assertIn("not the binary interface", text)
        self.compare(self.copy, ROOT / "runtime", 0)  # one function more

    def test_struct_of_the_caller(self):
        self.change("include/hconv/hconv.h", "    void *workspace; ", "    int32_t priority;\n    void *workspace; ")
        self.assertIn("hconv_run_args", self.compare(ROOT / "runtime", self.copy, 1))

    def test_row_of_the_table(self):
        self.change("include/hconv/library.h", "int32_t min_h, min_w;", "int32_t min_w, min_h;")
        self.assertIn("hconv_kernel", self.compare(ROOT / "runtime", self.copy, 1))

    def test_same_and_misuse(self):
        self.change("context.c", "#include", "/* a comment */\n#include")
        self.compare(ROOT / "runtime", self.copy, 0)
        self.assertIn("no revision", self.compare("no-such-revision", self.copy, 2))


if __name__ == "__main__":
    if not shutil.which("abidiff"):
        print("skipped: abidiff is not here; install abigail-tools")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], "-v"])
