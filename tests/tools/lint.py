# Rules that a compiler does not check, each a function from a file to findings: layers, what and how kept apart, the parts of
# a variant, sizes, names of machines, licenses.
# SPDX-License-Identifier: MIT
# --self-test shows each rule a text that breaks it and one that does not.
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = (".c", ".h", ".cpp")

# The folders (or files) whose headers the sources of a folder may include; '' = beside the source, and the system's.
LAYERS = {
    "runtime/": ("runtime/", ""),
    "generators/": ("generators/", "runtime/", ""),
    "schedules/": ("schedules/", "generators/", "runtime/", ""),
    "tests/reference/": ("tests/reference/", "runtime/", ""),
    "tools/": ("tools/", "schedules/", "generators/", "tests/reference/", "bench/", "runtime/", ""),
    "tests/": ("tests/", "tools/", "runtime/", ""),
    "bench/": ("bench/", "runtime/include/", ""),
    "examples/": ("examples/", ""),
}
ALSO_MAY_INCLUDE = {"tests/tools/bad_schedules.cpp": ("generators/conv2d.h", "schedules/schedule.h"),
                    "generators/generator.h": ("schedules/schedule.h", "schedules/generic.h")}
HALIDE_FREE = ("runtime/", "tests/", "bench/", "examples/")
DIRECTIVES = re.compile(r"\.(vectorize|parallel|tile|split|fuse|compute_at|compute_root|store_at|store_root|hoist_storage|unroll|"
                        r"reorder|reorder_storage|rfactor|prefetch|specialize|align_storage|bound_extent|atomic|gpu_\w+)\(")


def blank(text):
    """The text with comments and strings blanked, lines kept."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text, flags=re.S)


def layering(path, text):
    layer = next((folder for folder in sorted(LAYERS, key=len, reverse=True) if path.startswith(folder)), None)
    if layer is None or not path.endswith(CODE):
        return
    for number, line in enumerate(text.split("\n"), 1):
        included = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
        if not included:
            continue
        header = included.group(2)
        if path.startswith(HALIDE_FREE) and header.startswith("Halide"):
            yield number, f"{layer} does without Halide: {header}"
        if included.group(1) == "<" or header in ALSO_MAY_INCLUDE.get(path, ()):
            continue
        folders = [f for f in (*LAYERS, "runtime/include/") if header.startswith(f)]
        if folders and not any(allowed and header.startswith(allowed) for allowed in LAYERS[layer]):
            yield number, f"{layer} must not include {header}"
        if header.startswith("../") and not path.startswith("runtime/variants/"):
            yield number, f"include from the project's root: {header}"


def algorithms_never_mention_loops(path, text):
    if not path.startswith("generators/"):
        return
    for number, line in enumerate(blank(text).split("\n"), 1):
        for directive in DIRECTIVES.findall(line):
            yield number, f".{directive}() says how; generators/ says what: move it to schedules/"


def schedules_never_mention_sums(path, text):
    if not path.startswith("schedules/") or not path.endswith(CODE):
        return
    for number, line in enumerate(blank(text).split("\n"), 1):
        if re.search(r"[\w\]]\([^=;]*\)\s*[-+*/]=", line) or re.search(r"\bRDom\s+\w+\(", line):
            yield number, "an update or a reduction domain belongs to generators/: schedules/ only says how"


def functions(text):
    """Yields (first line, lines) of every function body of C and C++."""
    code, depth, start, head = blank(text), 0, None, 0
    for at, char in enumerate(code):
        if char == "{":
            before = re.sub(r"^\s*#.*$", "", code[head:at], flags=re.M)
            scope = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^()]*$", before) or "=" in before.split(")")[-1]
            if start is None and not scope and ")" in before:
                start = (at, depth)
            depth += 1
            head = at + 1
        elif char == "}":
            depth -= 1
            head = at + 1
            if start is not None and depth == start[1]:
                yield code.count("\n", 0, start[0]) + 1, code.count("\n", start[0], at) + 1
                start = None
        elif char == ";":
            head = at + 1


def sizes(path, text):
    lines = text.count("\n")
    budgets = ((r"CMakeLists\.txt", 120), (r"runtime/include/.*\.h", 250), (r"schedules/[^/]+/idioms\.h", 250),
               (r"schedules/[^/]+/[^/]+\.cpp", 240))
    for pattern, budget in budgets:
        if re.fullmatch(pattern, path) and lines >= budget:
            yield 1, f"{lines} lines; fewer than {budget} are allowed"
    if path.endswith(CODE):
        for line, length in functions(text):
            if length > 60:
                yield line, f"a function of {length} lines; 60 are allowed"


def names_of_machines(path, text):
    """Absolute folders of somebody's machine, and hosts of package registries."""
    folders = "|".join(("work", "root", "home", "tmp", "Users"))
    hosts = "|".join(("py" + r"pi\.org", "python" + "hosted", r"deb\." + "debian", "conda" + "-forge", r"npm" + r"js\."))
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(rf"(?<![\w.$}}/-])/({folders})/\w", line):
            yield number, "a path of one machine"
        if re.search(hosts, line):
            yield number, "the host of a package registry"


def license_line(path, text):
    named = pathlib.PurePosixPath(path)
    if named.suffix in CODE + (".py", ".sh", ".cmake", ".def") or named.name in ("CMakeLists.txt", "Makefile", "run"):
        head = "\n".join(text.split("\n")[:8])
        if "SPDX-License-Identifier: MIT" not in head:
            yield 1, "the first lines must have SPDX-License-Identifier: MIT"


def parts_of_variants(files):
    """Each variant has its files, and each schedule is in the list."""
    text = files["runtime/variants.def"]
    for variant, family in re.findall(r"^HCONV_VARIANT\((\w+), (\w+),", text, flags=re.M):
        for part in (f"runtime/variants/{family}.c", f"generators/{family}.cpp", f"tests/reference/{family}.cpp",
                     f"tests/problems/{variant}.txt"):
            if part not in files:
                yield "runtime/variants.def", 1, f"{variant} has no {part}"
    listed = {line for line in files["schedules/list.txt"].split("\n") if line and line[0] != "#"}
    for path in files:
        if path.startswith("schedules/") and path.endswith(".cpp") and path not in listed:
            yield path, 1, "not in schedules/list.txt"


RULES = (layering, algorithms_never_mention_loops, schedules_never_mention_sums, sizes, names_of_machines, license_line)


def lint(files):
    findings = list(parts_of_variants(files))
    for path, text in files.items():
        for rule in RULES:
            findings += [(path, line, sentence) for line, sentence in rule(path, text)]
    return findings


def read_files():
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, text=True)
    if names.returncode:  # no repository: an unpacked archive
        paths = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
        paths = [p for p in paths if not p.startswith((".env/", "build/", "out/", ".git/"))]
    else:
        paths = [p for p in names.stdout.split("\0") if p and (ROOT / p).is_file()]
    files = {}
    for path in sorted(paths):
        data = (ROOT / path).read_bytes()
        if b"\0" not in data and len(data) < 1 << 20 and not path.startswith("tests/goldens/"):
            files[path] = data.decode("utf-8", "replace")
    return files


SPDX = "// SPDX-License-Identifier: MIT\n"
SELF_TEST = (  # rule, path, a text that breaks it, one that does not
    (layering, "generators/a.cpp", '#include "schedules/x.h"\n', '#include "generators/algebra.h"\n'),
    (layering, "generators/generator.h", '#include "schedules/machine.h"\n', '#include "schedules/schedule.h"\n'),
    (layering, "runtime/plan.c", '#include "tools/x.h"\n', '#include "internal.h"\n'),
    (layering, "runtime/plan.c", "#include <HalideRuntime.h>\n", "#include <stdio.h>\n"),
    (layering, "schedules/x86/a.cpp", '#include "tools/compile.h"\n', '#include "generators/conv2d.h"\n'),
    (layering, "tests/reference/a.cpp", '#include "generators/conv2d.h"\n', '#include "runtime/variant.h"\n'),
    (algorithms_never_mention_loops, "generators/a.cpp", "f.compute_root();\n", "f(x) = g(x);  // no f.compute_root()\n"),
    (algorithms_never_mention_loops, "generators/a.cpp", "f.update().vectorize(x);\n", 's = "f.vectorize(x)";\n'),
    (algorithms_never_mention_loops, "generators/a.cpp", "f.gpu_tile(x, y);\n", "list.size();\n"),
    (schedules_never_mention_sums, "schedules/a.cpp", "f(x, y) += g(x);\n", "total += g(x);\n"),
    (sizes, "tools/a.cpp", "int f() {\n" + "g();\n" * 60 + "}\n", "int f() {\n" + "g();\n" * 58 + "}\n"),
    (sizes, "tools/a.cpp", "struct S {\nint f() const {\n" + "g();\n" * 60 + "}\n};\n", "int a[] = {\n" + "1,\n" * 90 + "};\n"),
    (sizes, "CMakeLists.txt", "#\n" * 120, "#\n" * 119),
    (names_of_machines, "README.md", "see /ho" + "me/me/x\n", "see docs/work/me and $TMP/work/x\n"),
    (names_of_machines, "README.md", "py" + "pi.org\n", "PyPI\n"),
    (license_line, "tools/a.cpp", "int x;\n", SPDX),
)


def self_test():
    failed = 0
    for rule, path, bad, good in SELF_TEST:
        caught, spared = list(rule(path, bad)), not list(rule(path, good))
        if not caught or not spared:
            failed += 1
            print(f"{rule.__name__} {'misses' if not caught else 'wrongly flags'}: {bad if not caught else good}")
    whole = read_files()
    for path in ("tests/reference/conv2d.cpp", "tests/problems/octave.txt"):
        without = {p: t for p, t in whole.items() if p != path}
        if not any(path in sentence for _, _, sentence in parts_of_variants(without)):
            failed += 1
            print(f"parts_of_variants misses {path}")
    print(f"{len(SELF_TEST) + 2 - failed} passed, {failed} failed")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    files = read_files()
    findings = lint(files)
    for path, line, sentence in findings:
        print(f"{path}:{line}: {sentence}")
    print(f"{len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
