# The README's promise: its C program, copied into an empty folder beside the folder its own command emits, compiles with its
# own compiler call and runs; and so does the program in the emitted folder's USE.txt.
# SPDX-License-Identifier: MIT
# readme_test.py HCONV
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sh(command, cwd):
    done = subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True, timeout=300)
    print(f"$ {command}\n{done.stdout}{done.stderr}", end="")
    if done.returncode:
        sys.exit(f"exit status {done.returncode}")
    return done.stdout


def main():
    hconv = pathlib.Path(sys.argv[1]).resolve()
    readme = (ROOT / "README.md").read_text()
    program = re.search(r"```c\n(.*?)```", readme, re.S).group(1)
    emit = re.search(r"^hconv (emit .*-o mynet.*)$", readme, re.M).group(1)
    build = re.search(r"^cc .*use\.c.*$", readme, re.M).group(0)
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        sh(f"{hconv} {emit}", tmp)
        (tmp / "use.c").write_text(program)
        said = sh(build, tmp)
        # All ones: a window of 3 x 3 x 3, cut to 2 x 2 x 3 in the corner.
        if "corner 12, middle 27" not in said:
            sys.exit("the program should find 12 in the corner and 27 in the middle")
        use = (tmp / "mynet/USE.txt").read_text()
        (tmp / "mynet/use.c").write_text(use[use.index("#include"):])
        sh(re.search(r"^\s*(cc .*use\.c.*)$", use, re.M).group(1), tmp / "mynet")


main()
