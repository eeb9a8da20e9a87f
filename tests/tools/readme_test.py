# What the pages promise: the README's C program, copied into an empty folder beside the folder its own command emits, compiles
# with its own compiler call and runs, and so does the one in the emitted USE.txt; every C block of docs/ compiles, the
# commands of docs/embedding.md run in their order, and every link leads somewhere.
# SPDX-License-Identifier: MIT
# readme_test.py HCONV
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sh(command, cwd, **options):
    done = subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True, timeout=300, **options)
    print(f"$ {command}\n{done.stdout}{done.stderr}", end="")
    if done.returncode:
        sys.exit(f"exit status {done.returncode}")
    return done.stdout


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.S | re.M)


def readme(hconv):
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


def c_blocks(hconv):
    """Each is a whole file, for a library with the README's name."""
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        sh(f"{hconv} emit pointwise_ci3_h2_co2 -o mynet --name mynet --target host", tmp)
        for page in sorted((ROOT / "docs").rglob("*.md")):
            for block in blocks(page, "c"):
                (tmp / "block.c").write_text(block)
                sh(f"cc -std=c11 -Wall -Wextra -Wno-missing-field-initializers -pedantic -Werror -Imynet -c block.c # of {page.name}", tmp)


def embedding(hconv):
    page = ROOT / "docs/embedding.md"
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        (tmp / "bin").mkdir()
        (tmp / "bin/hconv").symlink_to(hconv)
        (tmp / "app.c").write_text(blocks(page, "c")[0])
        path = f"{tmp}/bin:{os.environ['PATH']}"
        for block in blocks(page, "sh"):
            lines = [line for line in block.splitlines() if "pkg-config" not in line or shutil.which("pkg-config")]
            said = sh("set -e\n" + "\n".join(lines), tmp, env={**os.environ, "PATH": path})
            if said.count("bytes of parameters") != sum("./app" in line for line in lines):
                sys.exit("a program of docs/embedding.md said nothing")


def functions():
    """docs/c-api.md speaks of every public function."""
    text = (ROOT / "docs/c-api.md").read_text()
    for name in re.findall(r"^hconv_\w+$", (ROOT / "tests/api/symbols.txt").read_text(), re.M):
        if not re.search(rf"^\|.*`{name}`", text, re.M):
            sys.exit(f"docs/c-api.md has no row with {name}")


def links():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in link and not (page.parent / link).exists():
                sys.exit(f"{page.relative_to(ROOT)}: {link} leads nowhere")


def main():
    hconv = pathlib.Path(sys.argv[1]).resolve()
    links()
    functions()
    readme(hconv)
    c_blocks(hconv)
    embedding(hconv)


main()
