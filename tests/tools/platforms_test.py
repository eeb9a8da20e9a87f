"""Platforms that hconv only emits for: the archive's format, the objects', the symbols' spelling, what they leave open, and that
the manifest does not claim what nobody ran.

SPDX-License-Identifier: MIT
usage: platforms_test.py HCONV
"""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV = Path(sys.argv[1]).resolve()
# Between them: allocations, padding, an exponential with its constants, and a memset.
PROBLEMS = ["conv2d_ci3_h9_co8_k3_gelu", "octave_ci16_h14_co16_k3_p1_cil8_col8"]
C_LIBRARY = {"memcpy", "memmove", "memset"}
PLATFORMS = {  # levels, the first bytes of an object, the first member of the archive, what C names look like, what else may be open
    "x86-64-osx": (3, b"\xcf\xfa\xed\xfe", b"#1/", "_", {"bzero", "__bzero", "memset_pattern16"}),
    "arm-64-osx": (1, b"\xcf\xfa\xed\xfe", b"#1/", "_", {"bzero", "memset_pattern16"}),
    "x86-64-windows": (3, b"\x64\x86", b"/ ", "", {"_fltused", "__chkstk"}),
    "arm-64-android": (1, b"\x7fELF\x02\x01", b"/ ", "", set()),
}


def llvm(tool, *arguments):
    return subprocess.run(["llvm-" + tool, *map(str, arguments)], capture_output=True, check=True).stdout


class Platforms(unittest.TestCase):
    """One folder a platform."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)

    def emit(self, platform, problems):
        folder = Path(self.temporary.name, platform)
        subprocess.run([HCONV, "emit", *problems, "-o", folder, "--name", "net", "--target", platform], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return folder

    def symbols(self, archive, open_, object_, prefix):
        """Every global name of one object."""
        for line in llvm("nm", "--extern-only", archive).decode().splitlines():
            found = re.fullmatch(r"[0-9a-f]* *([A-Za-z]) (.*)", line)
            if not found:
                continue
            kind, name = found.groups()
            if re.match("__(xmm|ymm|zmm|real)@", name) or name == "@feat.00":  # COFF: constants by value
                continue
            self.assertTrue(name.startswith(prefix), f"{object_}: {name}")
            plain = name[len(prefix):]
            if kind == "U":
                self.assertTrue(plain in open_ or re.fullmatch("hconv1_(do_par_for|malloc|free)", plain), f"{object_} needs {name}")
            else:
                self.assertEqual(kind, "T", f"{object_}: {name}")
                self.assertTrue(plain.startswith("net__"), f"{object_} exports {name}")
                yield plain

    def test_archives(self):
        for platform, (levels, magic, member, prefix, open_) in PLATFORMS.items():
            with self.subTest(platform):
                folder = self.emit(platform, PROBLEMS)
                archive = folder / "libnet_kernels.a"
                self.assertEqual(archive.read_bytes()[:8 + len(member)], b"!<arch>\n" + member)
                objects = llvm("ar", "t", archive).decode().split()
                self.assertEqual(len(objects), levels * len(PROBLEMS))
                for name in objects:
                    self.assertTrue(llvm("ar", "p", archive, name).startswith(magic), name)
                found = set(self.symbols(archive, C_LIBRARY | open_, platform, prefix))
                table = (folder / "net.c").read_text()
                for called in re.findall(r"^int (net__\w+)\(void \*\*\);", table, re.M):
                    self.assertIn(called, found)
                self.assertEqual(table.count("_argv, arguments_"), levels * len(PROBLEMS))

    def test_manifest_claims_nothing(self):
        for platform in PLATFORMS:
            folder = self.emit(platform, PROBLEMS[:1])
            manifest = json.loads((folder / "kernels.json").read_text())
            for kernel in manifest["kernels"]:
                self.assertEqual(kernel["verified"], "not run here")
                self.assertTrue(kernel["target"].startswith(platform), kernel["target"])
            self.assertFalse((folder / "libnet.a").exists())
            self.assertFalse((folder / "net.pc").exists())
            self.assertTrue((folder / "hconv/src/plan.c").exists() and (folder / "CMakeLists.txt").exists())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
