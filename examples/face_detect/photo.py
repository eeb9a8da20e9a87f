#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the path of a picture of the scikit-image package: photo.py astronaut.png."""
import importlib.util
import pathlib
import sys


def photo(name):
    """The package is not imported: that would need its dependencies."""
    spec = importlib.util.find_spec("skimage")
    path = pathlib.Path(spec.submodule_search_locations[0]) / "data" / name if spec else None
    if not path or not path.exists():
        sys.exit(f"photo.py: scikit-image with its {name} is not installed; "
                 "run: python -m pip install --no-deps -r examples/face_detect/requirements.txt")
    return path


if __name__ == "__main__":
    print(photo(sys.argv[1]))
