# The symbols of the runtime: the public ones are those of symbols.txt and of hconv.h, all others begin with hconv_ or
# hconv1_ (what kernels call back), there is no data that can change, and nothing aborts, prints or reads the environment.
# SPDX-License-Identifier: MIT
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# runtime/exec.c's helpers: of test programs, not of applications.
PROGRAM_PARTS = {"trial.c.o", "trial_cuda.c.o", "fill.c.o"}
FORBIDDEN = {"abort", "exit", "_exit", "printf", "puts", "putchar", "fprintf", "fputs", "fwrite", "perror", "getenv",
             "stdout", "stderr", "__assert_fail", "__printf_chk", "__fprintf_chk", "signal", "sigaction", "fork"}


def members(archive):
    """Yields (object, [(type, symbol)])."""
    text = subprocess.run(["nm", archive], check=True, capture_output=True, text=True).stdout
    for block in text.strip().split("\n\n"):
        name, _, lines = block.partition("\n")
        symbols = [line.split()[-2:] for line in lines.splitlines()]
        yield name.rstrip(":"), symbols


def check(archive, listed, header):
    """Returns the findings."""
    found, defined = [], set()
    declared = set(re.findall(r"\b(hconv_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.S)))
    for name in sorted(listed ^ declared):
        found.append(f"{name} is {'not declared in hconv.h' if name in listed else 'not in symbols.txt'}")
    for name, symbols in members(archive):
        for kind, symbol in symbols:
            if kind in "TDBRCVWG":
                defined.add(symbol)
                if not re.match("hconv1?_", symbol):
                    found.append(f"{name} exports {symbol}: names begin with hconv_")
            if name in PROGRAM_PARTS:
                continue
            if kind in "bBcCsSgG" or kind in "dD" and not symbol_is_constant(archive, name, symbol):
                found.append(f"{name} has data that can change: {symbol}")
            if kind == "U" and symbol in FORBIDDEN:
                found.append(f"{name} calls {symbol}")
    found += [f"{name} is in symbols.txt but not defined" for name in sorted(listed - defined)]
    return found


def symbol_is_constant(archive, member, symbol):
    """Constant tables of pointers are 'd' too, in .data.rel.ro."""
    text = subprocess.run(["objdump", "-t", archive], check=True, capture_output=True, text=True).stdout
    block = text.split(f"{member}:")[1].split("SYMBOL TABLE:")[1].split("file format")[0]
    return any(line.split()[-1] == symbol and ".data.rel.ro" in line for line in block.splitlines() if line.strip())


def main():
    listed = {line for line in (ROOT / "tests/api/symbols.txt").read_text().split("\n") if line and line[0] != "#"}
    found = check(sys.argv[1], listed, (ROOT / "runtime/include/hconv/hconv.h").read_text())
    print("\n".join(found) or f"{len(listed)} public functions, no data that can change")
    return 1 if found else 0


sys.exit(main())
