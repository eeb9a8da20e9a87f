#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts the weights of the mtcnn package (Keras layouts) to the one file that face_detect reads (PyTorch layouts).

The file, little endian: "HCONVWTS", uint32 version (1), uint32 number of tensors; then a tensor after the other:
uint32 length of its name, the name, uint32 rank, uint32 extents[rank] outermost first, float32 values in that order.
Names are <net>.<layer>.<parameter>; the parameters are those of hconv's problems: weight, bias, slope (of prelu).

convolution  Keras [kh, kw, ci, co] -> weight [co, ci, kh, kw]
linear       Keras [in, out]        -> weight [out, in]
prelu        Keras [1, 1, c] or [c] -> slope [c]
The first linear layer of R-Net and O-Net sees its map flattened as (x, y, channel) in Keras (a Permute comes first) and
as (y, x, channel), the order it has in memory, in face_detect: its columns are re-ordered.
"""
import argparse
import importlib.util
import pathlib
import struct
import sys

MAGIC = b"HCONVWTS"
FLATTENED = 3  # height and width of the map in front of the first linear layer, R-Net and O-Net alike
# A layer: its name, and the Keras arrays it takes from the dump, in order.
PRELU, HEAD = ("weight", "bias", "slope"), ("weight", "bias")
NETS = {
    "pnet": [("conv1", PRELU), ("conv2", PRELU), ("conv3", PRELU), ("conv4_1", HEAD), ("conv4_2", HEAD)],
    "rnet": [("conv1", PRELU), ("conv2", PRELU), ("conv3", PRELU), ("fc4", PRELU),
             ("fc5_1", HEAD), ("fc5_2", HEAD)],
    "onet": [("conv1", PRELU), ("conv2", PRELU), ("conv3", PRELU), ("conv4", PRELU),
             ("fc5", PRELU), ("fc6_1", HEAD), ("fc6_2", HEAD), ("fc6_3", HEAD)],
}


def weights_folder():
    """The dumps inside the installed mtcnn package, found without importing it (importing needs TensorFlow)."""
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("convert_weights.py: the package mtcnn is not installed; "
                 "run: python -m pip install --no-deps -r examples/face_detect/requirements.txt")
    return pathlib.Path(spec.submodule_search_locations[0]) / "assets" / "weights"


def convert(array, parameter, flattened):
    if parameter != "weight":
        return array.reshape(-1)
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if flattened:
        across = array.reshape(FLATTENED, FLATTENED, -1, array.shape[1])  # x, y, channel, out
        array = across.transpose(1, 0, 2, 3).reshape(array.shape)         # y, x, channel
    return array.T


def tensors(folder):
    import joblib
    for net, layers in NETS.items():
        arrays = iter(joblib.load(folder / f"{net}.lz4"))
        rank_before = 4
        for layer, parameters in layers:
            for parameter in parameters:
                array = next(arrays)
                flattened = parameter == "weight" and array.ndim == 2 and rank_before == 4
                if parameter == "weight":
                    rank_before = array.ndim
                yield f"{net}.{layer}.{parameter}", convert(array, parameter, flattened)
        if next(arrays, None) is not None:
            sys.exit(f"convert_weights.py: {net}.lz4 holds more arrays than the net has; is this mtcnn 1.0.0?")


def write(path, items):
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<II", 1, len(items)))
        for name, array in items:
            file.write(struct.pack("<I", len(name)) + name.encode())
            file.write(struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape))
            file.write(array.astype("<f4").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path, help="the file to write")
    parser.add_argument("--from", dest="folder", type=pathlib.Path, help="folder of pnet.lz4, rnet.lz4, onet.lz4 "
                        "(default: the installed mtcnn package's)")
    args = parser.parse_args()
    items = list(tensors(args.folder or weights_folder()))
    partial = args.output.with_suffix(".partial")
    write(partial, items)
    partial.replace(args.output)
    print(f"{args.output}: {len(items)} tensors, {sum(array.size for _, array in items)} numbers")


if __name__ == "__main__":
    main()
