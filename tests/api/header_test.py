# The public headers in every language standard that a caller may use, and the runtime as C99: no warning at -Wall -Wextra
# -pedantic, from every compiler that is here.
# SPDX-License-Identifier: MIT
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
C = ("c99", "c11", "c17")
CXX = ("c++11", "c++14", "c++17", "c++20", "c++2b")
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only")
# Each header alone, and twice in one file; what a caller zeroes and calls.
PROGRAM = """
#include "hconv/{header}.h"
#include "hconv/hconv.h"
#include "hconv/{header}.h"
int main(void) {{ hconv_problem p; return hconv_problem_parse("", &p, 0, 0) == HCONV_INVALID_ARGUMENT ? 0 : 1; }}
"""


def compile_text(command, text):
    return subprocess.run(command + ["-"], input=text, capture_output=True, text=True)


def main():
    tried, failed = 0, []
    for compiler, language, standards in (("gcc", "c", C), ("clang", "c", C), ("g++", "c++", CXX), ("clang++", "c++", CXX)):
        if not shutil.which(compiler):
            print(f"{compiler} is not here")
            continue
        for standard in standards:
            base = [compiler, "-x", language, f"-std={standard}", *WARNINGS, f"-I{ROOT}/runtime/include"]
            for header in ("hconv", "library"):
                tried += 1
                done = compile_text(base, PROGRAM.format(header=header))
                if done.returncode:
                    failed.append(f"{' '.join(base)} {header}.h:\n{done.stderr}")
        for source in sorted(ROOT.glob("runtime/**/*.c")) if language == "c" else ():
            tried += 1
            command = [compiler, "-std=c99", *WARNINGS, f"-I{ROOT}", f"-I{ROOT}/runtime", f"-I{ROOT}/runtime/include", str(source)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                failed.append(f"{' '.join(command)}:\n{done.stderr}")
    print("\n".join(failed) or f"{tried} compilations without a warning")
    return 1 if failed or not tried else 0


sys.exit(main())
