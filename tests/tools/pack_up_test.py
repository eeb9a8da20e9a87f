"""--pack-up and --results: the folder runs where there is neither hconv nor anything of it, its results are judged here, and
what is damaged, incomplete or of another pack is refused.

SPDX-License-Identifier: MIT
usage: pack_up_test.py HCONV
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HCONV = Path(sys.argv[1]).resolve()
PROBLEMS = ["pointwise_ci3_h4_co5", "conv2d_n?_ci3_h?_w?_co4_k3_p1_relu@h5w7,h9:stem*3"]


def sh(*command, code=0, **options):
    """Runs a command, expects the exit code, returns what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == code, f"{' '.join(map(str, command))}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def fnv1a(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return f"{value:016x}"


class PackUp(unittest.TestCase):
    """One pack of two problems, run once."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.tmp = Path(cls.temporary.name)
        said = sh(HCONV, "check", *PROBLEMS, "--seed", "7", "--pack-up", cls.tmp / "pack", cwd=cls.tmp)
        assert "3 cases are packed" in said, said
        (cls.tmp / "empty").mkdir()
        (cls.tmp / "pack").rename(cls.tmp / "elsewhere")
        # No variables, and a PATH without a single program.
        sh("env", "-i", f"PATH={cls.tmp}/empty", cls.tmp / "elsewhere/run")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def taken_back(self, name):
        """A copy of the folder that ran."""
        shutil.copytree(self.tmp / "elsewhere", self.tmp / name)
        return self.tmp / name

    def results(self, folder, verb="check", code=0):
        return sh(HCONV, verb, "--results", folder / "results.json", code=code)

    def test_good(self):
        text = self.results(self.tmp / "elsewhere")
        self.assertIn("3 passed, 0 failed, 0 skipped", text)
        self.assertIn("pointwise_ci3_h4_co5", text)
        self.assertIn("exact, random", text)

    def test_built_from_its_sources(self):
        folder = self.taken_back("sources")
        (folder / "program").unlink()
        (folder / "results.json").unlink()
        tools = self.tmp / "tools"
        tools.mkdir()
        for tool in ("cc", "as", "ld"):
            (tools / tool).symlink_to(shutil.which(tool))
        sh("env", "-i", f"PATH={tools}", "/bin/sh", "./run", cwd=folder)
        self.assertIn("3 passed", self.results(folder))

    def test_a_wrong_value_is_judged_wrong(self):
        folder = self.taken_back("wrong")
        output = sorted((folder / "outputs").iterdir())[0]
        data = bytearray(output.read_bytes())
        data[6] ^= 0x40  # the exponent of the second float
        output.write_bytes(data)
        self.assertIn("do not belong together", self.results(folder, code=2))
        results = json.loads((folder / "results.json").read_text())
        results[int(output.stem)]["output"] = fnv1a(data)
        (folder / "results.json").write_text(json.dumps(results))
        text = self.results(folder, code=1)
        self.assertIn("1 failed", text)
        self.assertIn("repro: hconv check", text)

    def test_refused(self):
        text = (self.tmp / "elsewhere/results.json").read_text()
        entries = json.loads(text)
        other = [{**entry, "id": "0123456789abcdef:" + entry["id"].split(":")[1]} for entry in entries]
        for name, content, words in (("cut", text[:len(text) // 2], "not a whole list"), ("nothing", "", "not a whole list"),
                                     ("number", "5", "not a whole list"), ("fewer", json.dumps(entries[:-1]), "results of"),
                                     ("other", json.dumps(other), "another pack"),
                                     ("order", json.dumps(entries[::-1]), "another pack"),
                                     ("types", json.dumps([{**entry, "flops": "many"} for entry in entries]), "no number"),
                                     ("keys", json.dumps([{"id": entry["id"]} for entry in entries]), "has no outcome")):
            with self.subTest(name):
                folder = self.taken_back(name)
                (folder / "results.json").write_text(content)
                self.assertIn(words, self.results(folder, code=2))

    def test_refused_folders(self):
        folder = self.taken_back("folder")
        self.assertIn("packed for hconv check, not bench", self.results(folder, "bench", code=2))
        self.assertIn("give no problems", sh(HCONV, "check", PROBLEMS[0], "--results", folder / "results.json", code=2))
        self.assertIn("needs either problems", sh(HCONV, "check", code=2))
        pack = json.loads((folder / "pack.json").read_text())
        pack["numbers"]["seed"] = 8
        (folder / "pack.json").write_text(json.dumps(pack))
        self.assertIn("damaged", self.results(folder, code=2))
        (folder / "pack.json").unlink()
        self.assertIn("no pack.json", self.results(folder, code=2))
        (folder / "outputs/0.f32").rename(folder / "pack.json")
        self.assertIn("damaged", self.results(folder, code=2))
        (self.tmp / "mine").mkdir()
        (self.tmp / "mine/file").touch()
        self.assertIn("was not made by --pack-up", sh(HCONV, "check", PROBLEMS[0], "--pack-up", self.tmp / "mine", code=1))
        self.assertTrue((self.tmp / "mine/file").exists())

    def test_whole_or_not_at_all(self):
        folder = self.taken_back("kept")
        before = sorted(path.name for path in self.tmp.iterdir())
        pack = (folder / "pack.json").read_bytes()
        sh(HCONV, "check", PROBLEMS[0], "--pack-up", folder, "--cc", "false", code=1)
        self.assertEqual((folder / "pack.json").read_bytes(), pack)
        self.assertEqual(sorted(path.name for path in self.tmp.iterdir()), before)
        sh(HCONV, "check", PROBLEMS[0], "--pack-up", f"{folder}/")
        self.assertNotEqual((folder / "pack.json").read_bytes(), pack)
        self.assertFalse((folder / "results.json").exists())

    def test_bench(self):
        folder = self.tmp / "bench"
        sh(HCONV, "bench", *PROBLEMS, "--rounds", "3", "--pack-up", folder)
        sh(folder / "run", cwd=self.tmp)
        text = self.results(folder, "bench")
        self.assertIn("3 rounds", text)
        self.assertIn("stem", text)
        self.assertNotIn("wrong", text)

    def test_other_machines(self):
        """Folders for what cannot run here: CUDA links here, macOS has only sources and objects."""
        for target, program in (("x86-64-linux/cuda80", True), ("arm-64-osx", False)):
            folder = self.tmp / target.replace("/", "-")
            sh(HCONV, "check", PROBLEMS[0], "--target", target, "--pack-up", folder)
            self.assertEqual((folder / "program").exists(), program, target)
            self.assertTrue(os.access(folder / "run", os.X_OK))
            for name in ("exec.c", "pointer.c", "libexec_kernels.a", "hconv/src/exec.c", "hconv/src/trial.c", "hconv/hconv.h"):
                self.assertTrue((folder / "library" / name).exists(), name)
            self.assertEqual(len((folder / "jobs").read_text().splitlines()), 2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
