#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recomputes MTCNN in NumPy from the mtcnn package's own weights and post-processing: a second opinion on any PNG.

The convolutions, the pooling and the resizing are written here, in the definitions of Keras and TensorFlow (the package
calls them there), the sums in double. Boxes are made, suppressed and regressed by the package's mtcnn/utils/bboxes.py
and landmarks.py themselves, which need NumPy alone; the package is opened without its __init__, which needs TensorFlow.

reference.py PHOTO.png prints the faces as JSON, in the form of expected.json.
"""
import importlib.util
import json
import math
import pathlib
import sys
import types

import joblib
import numpy as np
from PIL import Image


def open_mtcnn():
    spec = importlib.util.find_spec("mtcnn")
    if spec is None:
        sys.exit("reference.py: the package mtcnn is not installed; "
                 "run: python -m pip install --no-deps -r examples/face_detect/requirements.txt")
    package = types.ModuleType("mtcnn")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["mtcnn"] = package
    return pathlib.Path(package.__path__[0])


MTCNN = open_mtcnn()
from mtcnn.utils import bboxes as post        # noqa: E402
from mtcnn.utils.landmarks import adjust_landmarks  # noqa: E402


class Tensor(np.ndarray):
    """What the package's functions ask of a TensorFlow tensor: .numpy()."""

    def numpy(self):
        return np.asarray(self)


def tensor(array):
    return np.asarray(array, dtype=np.float32).view(Tensor)


def area_resize(picture, height, width):
    """tf.image.resize(method=AREA): the mean over each output pixel's area, borders in float32 as there."""
    def matrix(size_in, size_out):
        scale = np.float32(size_in) / np.float32(size_out)
        m = np.zeros((size_out, size_in))
        for i in range(size_out):
            start, end = np.float32(i) * scale, np.float32(i + 1) * scale
            for j in range(math.floor(start), math.ceil(end)):
                m[i, min(j, size_in - 1)] += (min(j + 1, end) - max(j, start)) / scale
        return m
    return np.einsum("yi,xj,ijc->yxc", matrix(picture.shape[0], height), matrix(picture.shape[1], width), picture,
                     optimize=True)


def crop_and_resize(picture, boxes, side):
    """tf.image.crop_and_resize, bilinear, 0 outside; boxes as x1, y1, x2, y2 in pixels."""
    height, width = picture.shape[:2]

    def axis(start, end, size):
        start, end = np.float32(start / size), np.float32(end / size)
        step = (end - start) * np.float32(size - 1) / np.float32(side - 1)
        at = start * np.float32(size - 1) + np.arange(side, dtype=np.float32) * step
        inside = (at >= 0) & (at <= size - 1)
        low = np.clip(np.floor(at), 0, size - 1).astype(int)
        return inside, low, np.minimum(low + 1, size - 1), at - np.floor(at)

    crops = np.zeros((len(boxes), side, side, 3))
    for crop, (x1, y1, x2, y2) in zip(crops, boxes):
        in_x, left, right, u = axis(x1, x2, width)
        in_y, top, bottom, v = axis(y1, y2, height)
        u, v = u[None, :, None], v[:, None, None]
        upper = picture[top][:, left] * (1 - u) + picture[top][:, right] * u
        lower = picture[bottom][:, left] * (1 - u) + picture[bottom][:, right] * u
        crop[:] = (upper * (1 - v) + lower * v) * (in_y[:, None] & in_x)[:, :, None]
    return crops


def convolution(x, weight, bias):
    """Keras Conv2D, padding "valid", stride 1; x [n, h, w, ci], weight [kh, kw, ci, co]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[:2], axis=(1, 2))
    return np.einsum("nyxcij,ijco->nyxo", windows, weight.astype(np.float64), optimize=True) + bias


def prelu(x, slope):
    return np.where(x > 0, x, slope.reshape(-1) * x)


def max_pool(x, k, padding):
    """Keras MaxPooling2D, strides 2."""
    if padding == "same":
        pads = [(0, 0)] + [(t // 2, t - t // 2) for t in (max((-(-s // 2) - 1) * 2 + k - s, 0) for s in x.shape[1:3])]
        x = np.pad(x, pads + [(0, 0)], constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::2, ::2].max(axis=(-2, -1))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def flatten(x):
    """Keras Permute((2, 1, 3)), then Flatten."""
    return x.transpose(0, 2, 1, 3).reshape(len(x), -1)


WEIGHTS = {net: joblib.load(MTCNN / "assets" / "weights" / f"{net}.lz4") for net in ("pnet", "rnet", "onet")}


def pnet(x):
    w = WEIGHTS["pnet"]
    x = max_pool(prelu(convolution(x, *w[0:2]), w[2]), 2, "same")
    x = prelu(convolution(x, *w[3:5]), w[5])
    x = prelu(convolution(x, *w[6:8]), w[8])
    return convolution(x, *w[9:11]), softmax(convolution(x, *w[11:13]))


def rnet(x):
    w = WEIGHTS["rnet"]
    x = max_pool(prelu(convolution(x, *w[0:2]), w[2]), 3, "same")
    x = max_pool(prelu(convolution(x, *w[3:5]), w[5]), 3, "valid")
    x = flatten(prelu(convolution(x, *w[6:8]), w[8]))
    x = prelu(x @ w[9] + w[10], w[11])
    return x @ w[12] + w[13], softmax(x @ w[14] + w[15])


def onet(x):
    w = WEIGHTS["onet"]
    x = max_pool(prelu(convolution(x, *w[0:2]), w[2]), 3, "same")
    x = max_pool(prelu(convolution(x, *w[3:5]), w[5]), 3, "valid")
    x = max_pool(prelu(convolution(x, *w[6:8]), w[8]), 2, "same")
    x = flatten(prelu(convolution(x, *w[9:11]), w[11]))
    x = prelu(x @ w[12] + w[13], w[14])
    return x @ w[15] + w[16], x @ w[17] + w[18], softmax(x @ w[19] + w[20])


def propose(picture):
    height, width = picture.shape[:2]
    levels = round(-(math.log(min(height, width) / 12) / math.log(0.709) + 1))
    found = [np.empty((0, 6))]
    for scale in 12 / 20 * 0.709 ** np.arange(levels):
        offsets, scores = pnet(area_resize(picture, int(height * scale), int(width * scale))[None])
        boxes = post.generate_bounding_box(tensor(offsets), tensor(scores), 0.6)
        boxes = post.upscale_bboxes(boxes, np.array([scale]))
        found.append(post.smart_nms_from_bboxes(boxes, threshold=0.5, method="union", initial_sort=False))
    boxes = post.smart_nms_from_bboxes(np.concatenate(found), threshold=0.7, method="union", initial_sort=True)
    return post.resize_to_square(boxes)


def refine(picture, boxes):
    offsets, scores = rnet(crop_and_resize(picture, boxes[:, 1:5], 24))
    boxes = post.adjust_bboxes(post.replace_confidence(boxes, scores), offsets)
    boxes = post.pick_matches(boxes, score_threshold=0.7)
    boxes = post.smart_nms_from_bboxes(boxes, threshold=0.7, method="union", initial_sort=True)
    return post.resize_to_square(boxes)


def decide(picture, boxes):
    offsets, landmarks, scores = onet(crop_and_resize(picture, boxes[:, 1:5], 48))
    landmarks = adjust_landmarks(tensor(landmarks), boxes)
    boxes = post.adjust_bboxes(post.replace_confidence(boxes, scores), offsets)
    boxes = post.pick_matches(np.concatenate([boxes, landmarks], axis=-1), scores_column=5, score_threshold=0.8)
    boxes = post.smart_nms_from_bboxes(boxes, threshold=0.7, method="min", initial_sort=True)
    return post.limit_bboxes(boxes, np.array([picture.shape]), limit_landmarks=False)


def detect(path):
    picture = (np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) - 127.5) / 128
    boxes = propose(picture)
    for stage in (refine, decide):
        boxes = stage(picture, boxes) if len(boxes) else boxes
    names = ["left eye", "right eye", "nose", "mouth left", "mouth right"]
    return [{"box": [round(v, 3) for v in (b[1], b[2], b[3] - b[1], b[4] - b[2])], "confidence": round(b[5], 6),
             "landmarks": {n: [round(b[6 + i], 3), round(b[11 + i], 3)] for i, n in enumerate(names)}} for b in boxes]


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: reference.py PHOTO.png")
    print(json.dumps({"photo": pathlib.Path(sys.argv[1]).name, "faces": detect(sys.argv[1])}, indent=1))


if __name__ == "__main__":
    main()
