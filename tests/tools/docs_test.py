"""The pages of docs/variants: each has its parts, and its example runs as printed: PyTorch, then hconv run, then the same numbers.

SPDX-License-Identifier: MIT
docs_test.py HCONV [PAGE...]: skipped, aloud, where no Python with PyTorch is found.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from with_torch import ROOT, read_npy, run_with_torch

PARTS = {  # what a page must have
    "an equation": r"^    \S.* = ",
    "a section of the problem's keys": r"^## Problem$",
    "a table of tensors": r"^\| tensor \|",
    "what is fused": r"^## What is .*fused",
    "a PyTorch example": r"^```python\n(.*?)^```",
    "a state_dict": r"state_dict\(\)",
    "an hconv run": r"^(?: {4})?hconv run .*",
}
# Packages that pages import: modules of the same names and attributes stand for them.
PACKAGES = ("wtconv", "odconv", "octconv")


def missing_parts(text):
    return [part for part, pattern in PARTS.items() if not re.search(pattern, text, re.M | re.S)]


def run(command, folder, environment):
    done = subprocess.run(command, shell=isinstance(command, str), cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"docs_test: {command}: {done.stdout}{done.stderr}")
    return done.stdout


def errors_of_example(text, hconv):
    """Runs the example; greatest error of each output over its greatest value."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for package in PACKAGES:
            (folder / f"{package}.py").write_text("from torch_modules import *\n")
        (folder / "export.py").write_text(re.search(PARTS["a PyTorch example"], text, re.M | re.S).group(1))
        (folder / "bin").mkdir()
        (folder / "bin/hconv").symlink_to(hconv)
        path = os.pathsep.join([str(folder / "bin"), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
        environment = dict(os.environ, PATH=path, PYTHONPATH=str(ROOT / "tests/tools"), PYTHONWARNINGS="ignore")
        run([sys.executable, "export.py"], folder, environment)
        errors = {}
        for command in re.findall(PARTS["an hconv run"], text, re.M):
            run(command.strip(), folder, environment)
            for tensor, file in re.findall(r"-o (\w+)=(\S+)", command):
                got, want = read_npy(folder / file).squeeze(), read_npy(folder / file.replace("y", "want", 1)).squeeze()
                errors[tensor] = float((got - want).abs().max() / want.abs().max()) if got.shape == want.shape else 1
        for command in re.findall(r"^(?: {4})?(python3 -c .*)", text, re.M):
            run(command, folder, environment)
        return errors


def main():
    hconv = pathlib.Path(sys.argv[1]).resolve()
    pages = [pathlib.Path(p) for p in sys.argv[2:]] or sorted((ROOT / "docs/variants").glob("*.md"))
    described = {name for page in pages for name in page.read_text().split("\n")[0][2:].split(", ")}
    names = re.findall(r"^HCONV_VARIANT\((\w+)", (ROOT / "runtime/variants.def").read_text(), re.M)
    faults = [] if sys.argv[2:] else [f"no page of docs/variants has {name} in its first line" for name in names
                                      if name not in described]
    faults += [f"{page.name} lacks {part}" for page in pages for part in missing_parts(page.read_text())]
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    run_with_torch(__file__)
    for page in pages:
        for tensor, error in errors_of_example(page.read_text(), hconv).items():
            print(f"{page.name}: {tensor} within {error:.2g} of its greatest value", flush=True)
            if not error <= 1e-5:
                sys.exit("docs_test: 1e-5 are allowed")


main()
