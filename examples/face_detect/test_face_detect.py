#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests the program face_detect on photos with and without faces: test_face_detect.py PROGRAM WEIGHTS.

The astronaut's face is expected.json's, which the mtcnn package itself gave; for other pictures reference.py answers.
The program computes in float32, the reference in double; on the astronaut that is 0.0005 pixels and 1e-6 of
confidence. It prints a decimal of a pixel, so half of one, 0.05, is added, and the tolerance is PIXEL = 0.06. Counting
P-Net's cells from 0 instead of 1, for comparison, moves the box by 0.3 to 1.4 pixels.
"""
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from photo import photo  # noqa: E402
import reference         # noqa: E402

PIXEL, CONFIDENCE = 0.06, 1e-5
PROGRAM, WEIGHTS = None, None


def run(*arguments, weights=None):
    command = [PROGRAM, "--weights", str(weights or WEIGHTS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def faces_of(text):
    """The program's output back as expected.json's faces."""
    number, faces = r"(-?[0-9.]+)", []
    for line in text.splitlines():
        if m := re.match(rf"face \d+: box x {number} y {number} width {number} height {number}, "
                         rf"confidence {number}$", line):
            *box, confidence = map(float, m.groups())
            faces.append({"box": box, "confidence": confidence, "landmarks": {}})
        elif m := re.match(rf"  (\w+(?: \w+)?) +x {number} y {number}$", line):
            faces[-1]["landmarks"][m[1]] = [float(m[2]), float(m[3])]
    return faces


def write_png(path, array):
    """8 or 16 bits, gray or RGB, without any colour chunk; Pillow cannot write 16-bit RGB."""
    height, width, channels = array.shape
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = array.astype(array.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, {1: 0, 3: 2}[channels], 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) +
                     chunk(b"IEND", b""))


def levels():
    """Those that the program's library has and this CPU can run."""
    manifest = json.loads((pathlib.Path(PROGRAM).parent / "library/kernels.json").read_text())
    linked = {kernel["isa"] for kernel in manifest["kernels"]}
    flags = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
    needs = {"sse41": ["sse4_1"], "avx2": ["avx2", "fma", "f16c"],
             "avx512": ["avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"]}
    return [level for level, names in needs.items()
            if level in linked and all(re.search(rf"\b{n}\b", flags) for n in names)]


class FaceDetect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.astronaut = photo("astronaut.png")
        cls.pixels = np.asarray(Image.open(cls.astronaut).convert("RGB"))
        cls.expected = json.loads((HERE / "expected.json").read_text())["faces"]

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def assert_same_faces(self, found, expected, pixel=PIXEL, confidence=CONFIDENCE):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertLessEqual(np.abs(np.subtract(a["box"], b["box"])).max(), pixel, (a, b))
            self.assertLessEqual(abs(a["confidence"] - b["confidence"]), confidence, (a, b))
            self.assertEqual(list(a["landmarks"]), list(b["landmarks"]))
            for name in b["landmarks"]:
                difference = np.abs(np.subtract(a["landmarks"][name], b["landmarks"][name])).max()
                self.assertLessEqual(difference, pixel, (name, a, b))

    def detect(self, path, *arguments):
        result = run(path, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        faces = faces_of(result.stdout)
        self.assertEqual("no face found\n" in result.stdout, not faces)
        return faces

    def saved(self, name, image):
        path = self.folder / name
        image.save(path)
        return path

    def test_astronaut(self):
        self.assert_same_faces(self.detect(self.astronaut), self.expected)

    def test_reference_is_the_package(self):
        self.assert_same_faces(reference.detect(self.astronaut), self.expected, pixel=0.002, confidence=2e-6)

    def test_levels_and_threads(self):
        for level in levels():
            outputs = []
            for threads in (1, 2, 5):
                with self.subTest(isa=level, threads=threads):
                    outputs.append(self.detect(self.astronaut, "--isa", level, "--threads", threads))
                    self.assert_same_faces(outputs[-1], self.expected)
                    self.assertEqual(outputs[-1], outputs[0])

    def test_two_faces(self):
        second = Image.open(photo("camera.png")).convert("RGB").resize((700, 700))
        wide = Image.new("RGB", (512 + 700, 719), (90, 110, 130))
        wide.paste(Image.fromarray(self.pixels), (0, 33))
        wide.paste(second, (512, 19))
        path = self.saved("two.png", wide)
        expected = reference.detect(path)
        self.assertEqual(len(expected), 2)
        self.assert_same_faces(self.detect(path), expected)

    def test_face_cut_by_the_border(self):
        path = self.saved("cut.png", Image.fromarray(self.pixels[70:400, 195:480]))
        expected = reference.detect(path)
        self.assertEqual(len(expected), 1)
        self.assertEqual(expected[0]["box"][1], 0)
        self.assert_same_faces(self.detect(path), expected)

    def test_kinds_of_png_with_the_same_pixels(self):
        rgb = Image.fromarray(self.pixels)
        alpha = rgb.copy()
        alpha.putalpha(255)
        write_png(self.folder / "16.png", self.pixels.astype(np.uint16) * 257)
        write_png(self.folder / "8.png", self.pixels)
        for path in (self.saved("rgba.png", alpha), self.folder / "16.png", self.folder / "8.png"):
            with self.subTest(path.name):
                self.assert_same_faces(self.detect(path), self.expected)

    def test_kinds_of_png_with_other_pixels(self):
        rgb = Image.fromarray(self.pixels)
        gray = np.asarray(rgb.convert("L"))
        paths = [self.saved("gray.png", Image.fromarray(gray)), self.saved("palette.png", rgb.quantize(256)),
                 self.saved("palette16.png", rgb.quantize(16))]
        for path in paths:
            with self.subTest(path.name):
                expected = reference.detect(path)
                self.assertEqual(len(expected), 1)
                self.assert_same_faces(self.detect(path), expected)
        write_png(self.folder / "gray16.png", gray[:, :, None].astype(np.uint16) * 257)
        self.assertEqual(self.detect(self.folder / "gray16.png"), self.detect(paths[0]))

    def test_transparent_pixels_are_white(self):
        clear = Image.fromarray(self.pixels)
        clear.putalpha(0)
        self.assertEqual(self.detect(self.saved("clear.png", clear)), [])

    def test_no_face(self):
        for name in ("coffee.png", "coins.png", "brick.png"):
            with self.subTest(name):
                self.assertEqual(reference.detect(photo(name)), [])
                self.assertEqual(self.detect(photo(name)), [])

    def test_sizes(self):
        random = np.random.default_rng(1)
        for width, height in ((1, 1), (19, 19), (20, 21), (21, 20), (21, 300), (301, 24), (37, 36), (64, 5)):
            with self.subTest(width=width, height=height):
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                path = self.saved("size.png", Image.fromarray(pixels))
                self.assert_same_faces(self.detect(path), reference.detect(path))

    def test_drawing(self):
        out = self.folder / "drawn.png"
        self.detect(self.astronaut, "-o", out)
        drawn = np.asarray(Image.open(out))
        changed = (drawn != self.pixels).any(axis=2)
        x, y, width, height = self.expected[0]["box"]
        left, top, right, bottom = round(x), round(y), round(x + width), round(y + height)
        for side in (changed[top, left:right + 1], changed[bottom, left:right + 1], changed[top:bottom + 1, left],
                     changed[top:bottom + 1, right]):
            self.assertTrue(side.all())
        for x, y in self.expected[0]["landmarks"].values():
            self.assertTrue(changed[round(y), round(x)])
        outside = changed.copy()
        outside[top:bottom + 1, left:right + 1] = False
        self.assertFalse(outside.any())
        self.detect(photo("coffee.png"), "--output", out)
        coffee = np.asarray(Image.open(photo("coffee.png")).convert("RGB"))
        self.assertTrue((np.asarray(Image.open(out)) == coffee).all())

    def assert_refused(self, result, code, word):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertIn(word, result.stderr)
        self.assertTrue(result.stderr.startswith("face_detect: "))

    def test_wrong_use(self):
        for arguments, word in (([], "photo is missing"), (["--fast", "a.png"], "--fast"),
                                (["a.png", "b.png"], "b.png"), (["a.png", "-o"], "-o"),
                                (["--threads", "0", "a.png"], "--threads"), (["--threads", "two", "a.png"], "two")):
            with self.subTest(arguments):
                self.assert_refused(run(*arguments), 2, word)
        result = run("--help")
        self.assertEqual((result.returncode, result.stdout[:7]), (0, "usage: "))

    def test_failures(self):
        photo_bytes, weights = self.astronaut.read_bytes(), pathlib.Path(WEIGHTS).read_bytes()
        bad = {"text.png": b"not a picture", "half.png": photo_bytes[:len(photo_bytes) // 2], "empty.png": b""}
        for name, data in bad.items():
            with self.subTest(name):
                (self.folder / name).write_bytes(data)
                self.assert_refused(run(self.folder / name), 1, name)
        self.assert_refused(run(self.folder / "absent.png"), 1, "absent.png")
        self.assert_refused(run(self.astronaut, "-o", self.folder / "absent" / "out.png"), 1, "absent")
        self.assert_refused(run(self.astronaut, "--isa", "sse9"), 1, "isa")
        name, swapped = b"pnet.conv1.weight", (3, 10, 3, 3)
        files = {"half.weights": (weights[:len(weights) // 2], "too early"),
                 "text.weights": (b"not weights at all", "not a weights file"),
                 "version.weights": (weights[:8] + b"\2" + weights[9:], "version"),
                 "renamed.weights": (weights.replace(b"onet.conv4.slope", b"onet.conv4.slops"), "onet.conv4.slope"),
                 "shape.weights": (weights.replace(name + struct.pack("<5I", 4, 10, 3, 3, 3),
                                                   name + struct.pack("<5I", 4, *swapped)), "shape")}
        for name, (data, word) in files.items():
            with self.subTest(name):
                self.assertNotEqual(data, weights)
                (self.folder / name).write_bytes(data)
                self.assert_refused(run(self.astronaut, weights=self.folder / name), 1, word)
        self.assert_refused(run(self.astronaut, weights=self.folder / "absent.weights"), 1, "absent.weights")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: test_face_detect.py PROGRAM WEIGHTS [TEST...]")
    PROGRAM, WEIGHTS = sys.argv[1:3]
    del sys.argv[1:3]
    unittest.main(verbosity=2)
