# The command line: what good calls print, and for bad ones an exit status of 2 (bad usage) or 1 (something failed) with one
# sentence on standard error that names what is wrong; nothing is left behind.
# SPDX-License-Identifier: MIT
# cli_test.py HCONV
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import tempfile

HCONV = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M).group(1)  # the newest
SMALL = "pointwise_ci3_h2_co2"
failures = []


def hconv(*arguments, cwd):
    done = subprocess.run([HCONV, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=300)
    return done.returncode, done.stdout, done.stderr


def expect(what, arguments, status, words, cwd, stream="both"):
    code, out, error = hconv(*arguments, cwd=cwd)
    text = {"out": out, "error": error, "both": out + error}[stream]
    missing = [word for word in words if word not in text]
    if code != status or missing:
        failures.append(f"{what}: hconv {' '.join(map(str, arguments))}: exit {code}, not {status}" * (code != status) +
                        f"{what}: says nothing of {missing}" * bool(missing) + f"\n    {text.strip()[:400]}")


def npy(path, shape, descr="<f4", data=None):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".ljust(117) + "\n"
    count = 1
    for extent in shape:
        count *= extent
    body = struct.pack(f"<{count}f", *(data or [1.0] * count))
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body)


def good_calls(tmp):
    expect("no verb", [], 0, ["hconv list", "hconv show", "hconv check", "hconv emit", "hconv bench"], tmp, "out")
    expect("help", ["--help"], 0, ["list", "emit", "doctor"], tmp, "out")
    for verb in ("list", "show", "emit", "check", "run", "bench", "doctor"):
        expect("help of a verb", [verb, "--help"], 0, [verb], tmp, "out")
    expect("version", ["--version"], 0, [f"hconv {VERSION}\n", "\nlibrary ABI 1\n", "\nHalide 21.", "\nLLVM 21."], tmp, "out")
    expect("list", ["list", "variants"], 0, ["conv2d", "octave", "odconv"], tmp, "out")
    expect("targets", ["list", "targets"], 0, ["x86-64-linux", "arm-64-linux", "host"], tmp, "out")
    expect("schedules", ["list", "schedules"], 0, ["generic"], tmp, "out")
    expect("doctor", ["doctor"], 0, ["Halide"], tmp)
    expect("show", ["show", SMALL], 0, ["weight", "bias"], tmp, "out")
    expect("check", ["check", SMALL], 0, ["1 passed, 0 failed"], tmp, "out")
    expect("bench", ["bench", SMALL, "--rounds", "3", "--json", "bench.json"], 0, ["GFLOP/s", "limit", " %"], tmp, "out")
    limits = json.loads((tmp / "bench.json").read_text())[0]["limits"]
    if not all(value > 0 for value in limits.values()):
        failures.append(f"bench: limits of no machine: {limits}")
    (tmp / "bench.json").unlink()
    drawn = ["check", "--random", "40", "--variant", "spd,octave", "--seed", "3", "--dry-run"]
    expect("problems drawn at random", drawn, 0, ["octave_ci", "spd_", "@n"], tmp, "out")
    if hconv(*drawn, cwd=tmp) != hconv(*drawn, cwd=tmp):
        failures.append("check --random --dry-run: the same seed gave two lists")
    spread = SMALL + "_relu"
    expect("emit", ["emit", SMALL, "--spread", spread, SMALL, "-o", "net", "--name", "net"], 0,
           ["libnet.a", "USE.txt", "only: " + spread], tmp, "out")
    manifest = json.loads((tmp / "net/kernels.json").read_text())
    if manifest["library"] != "net":
        failures.append("kernels.json names another library")
    rows = [kernel["problem"] for kernel in manifest["kernels"]]
    if (rows.count(SMALL), rows.count(spread)) != (3, 1):
        failures.append(f"emit --spread made the rows {rows}")
    npy(tmp / "x.npy", (1, 2, 2, 3))
    (tmp / "w").mkdir()
    npy(tmp / "w/weight.npy", (2, 3, 1, 1))
    npy(tmp / "w/bias.npy", (2,))
    expect("run", ["run", SMALL, "-i", "x=x.npy", "-w", "w", "-o", "y=y.npy"], 0, [], tmp)
    if not (tmp / "y.npy").exists() or struct.unpack("<8f", (tmp / "y.npy").read_bytes()[-32:]) != (4.0,) * 8:
        failures.append("hconv run: y is not 1 + 1 + 1 + 1 everywhere")


def bad_usage(tmp):
    emit = ["-o", "never", "--name", "n"]
    cases = (
        (["frobnicate"], ["frobnicate"]),
        (["show"], ["problems"]),
        (["emit", SMALL], ["output"]),
        (["list", "apples"], ["apples"]),
        (["emit", SMALL, *emit, "--no-such-flag"], ["--no-such-flag"]),
        (["show", "conv2d_ci3_h8_co4_k3_relux"], ["'relux'", "relu"]),
        (["check", "conv3d_ci3_h8_co4_k3"], ["'conv3d'"]),
        (["emit", "conv2d_ci3_h8_co4_k9", *emit], ["window"]),
        (["emit", SMALL, *emit, "--target", "vax-vms"], ["vax-vms"]),
        (["emit", SMALL, *emit, "--target", "x86-64-linux/avx9"], ["avx9"]),
        (["show", SMALL, "--target", "arm-65-linux"], ["arm-65-linux"]),
        (["emit", SMALL, "-o", "never", "--name", "two words"], ["two words"]),
        (["show", SMALL, "--as", "poem"], ["poem"]),
        (["emit", "@no-such-list.txt", *emit], ["no-such-list.txt"]),
        (["check", "@bad.txt"], ["bad.txt", "2", "'k'"]),
        (["emit", "@empty.txt", *emit], []),
        (["check", SMALL, "--seed", "many"], ["seed"]),
        (["check"], ["--random"]),
        (["check", SMALL, "--random", "3"], ["--random"]),
        (["check", SMALL, "--variant", "octave"], ["--variant"]),
        (["check", "--random", "3", "--variant", "conv3d"], ["conv3d"]),
    )
    (tmp / "bad.txt").write_text("# a list\nconv2d_ci3_h8_co4_k\n")
    (tmp / "empty.txt").write_text("# nothing\n")
    for arguments, words in cases:
        expect("bad usage", arguments, 2, words, tmp, "error" if words else "both")
    for schedule in ("sideways", "generic:height=3"):
        expect("schedule", ["emit", SMALL, *emit, "--schedule", schedule], 2, [schedule.split(":")[-1]], tmp, "error")
    if (tmp / "never").exists():
        failures.append("a refused emit made its folder")


def progress(tmp):
    """A line that rewrites itself on a terminal, whole lines elsewhere."""
    emit = ["emit", SMALL, "linear_ci3_co2", "-o", "shown", "--name", "shown", "--no-verify", "--jobs", "2"]
    expect("progress", [*emit, "--cache", "cache-of-pipe"], 0, ["[6/6]"], tmp, "error")
    master, slave = pty.openpty()
    subprocess.run([HCONV, *emit, "--cache", "cache-of-terminal"], cwd=tmp, stdout=subprocess.DEVNULL, stderr=slave, check=True)
    os.close(slave)
    said = os.read(master, 1 << 16).decode()
    os.close(master)
    if [f"\r\033[K[{i}/6]" for i in range(1, 7) if f"\r\033[K[{i}/6]" not in said] or not said.endswith("\n"):
        failures.append(f"progress on a terminal: {said!r}")
    for jobs in ("0", "-1", "many"):
        expect("jobs", [*emit, "--jobs", jobs], 2, ["--jobs"], tmp, "error")


def limits(tmp):
    """A kernel that takes too long or too much ends with a sentence; the next call compiles it."""
    emit = ["emit", SMALL, "-o", "limited", "--name", "limited", "--cache", "limited-cache", "--jobs", "1"]
    expect("time limit", [*emit, "--time-limit", "0.01"], 1, [SMALL, "longer than 0.01 s", "--time-limit"], tmp, "error")
    expect("memory limit", [*emit, "--memory-limit", "100"], 1, [SMALL, "100 MB", "--memory-limit"], tmp, "error")
    for flag in (["--time-limit", "0"], ["--memory-limit", "0"], ["--time-limit", "long"]):
        expect("bad limit", [*emit, *flag], 2, flag[:1], tmp, "error")
    if (tmp / "limited").exists():
        failures.append("an emit that ran into a limit made its folder")
    expect("within limits", [*emit, "--time-limit", "200", "--memory-limit", "4096"], 0, ["liblimited.a"], tmp, "out")


def bad_files(tmp):
    npy(tmp / "small.npy", (1, 2, 2, 2))
    npy(tmp / "double.npy", (1, 2, 2, 3), "<f2")
    (tmp / "cut.npy").write_bytes((tmp / "x.npy").read_bytes()[:140])
    (tmp / "text.npy").write_text("not an array")
    (tmp / "cut.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{")
    (tmp / "half").mkdir()
    npy(tmp / "half/weight.npy", (2, 3, 1, 1))
    (tmp / "wide").mkdir()
    npy(tmp / "wide/weight.npy", (2, 4, 1, 1))
    npy(tmp / "wide/bias.npy", (2,))
    cases = (
        (["-i", "x=missing.npy", "-w", "w"], ["missing.npy"]),
        (["-i", "z=x.npy", "-w", "w"], ["z"]),
        (["-i", "x=small.npy", "-w", "w"], ["x"]),
        (["-i", "x=cut.npy", "-w", "w"], ["cut.npy"]),
        (["-i", "x=text.npy", "-w", "w"], ["text.npy"]),
        (["-i", "x=x.npy", "-w", "half"], ["bias"]),
        (["-i", "x=x.npy", "-w", "wide"], ["weight"]),
        (["-i", "x=x.npy", "-w", "cut.safetensors"], ["cut.safetensors"]),
        (["-i", "x=x.npy", "-w", "w", "--prefix", "layer9."], ["layer9."]),
        (["-i", "x=x.npy"], ["weight"]),
        (["-w", "w"], ["x"]),
    )
    for arguments, words in cases:
        code, out, error = hconv("run", SMALL, *arguments, "-o", "y=never.npy", cwd=tmp)
        if code not in (1, 2) or any(word not in error for word in words) or not error.strip() or (tmp / "never.npy").exists():
            failures.append(f"bad file: {' '.join(arguments)}: exit {code}, should name {words}\n    {error.strip()[:400]}")


def unwritable(tmp):
    (tmp / "file").write_text("")
    for folder in ("file/net", "/proc/net-of-mine"):
        code, _, error = hconv("emit", SMALL, "-o", folder, "--name", "net", cwd=tmp)
        if code not in (1, 2) or pathlib.PurePath(folder).parts[-2].strip("/") not in error:
            failures.append(f"unwritable folder {folder}: exit {code}: {error.strip()[:300]}")


def main():
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        os.environ.setdefault("HCONV_CACHE", str(tmp / "cache"))
        for part in (good_calls, bad_usage, progress, limits, bad_files, unwritable):
            part(tmp)
    print("\n".join(failures) or "all good")
    return 1 if failures else 0


sys.exit(main())
