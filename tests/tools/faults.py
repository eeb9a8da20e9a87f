# What emit promises when the machine lets it down: whatever fails and whenever it is killed, the output folder is the old one
# or the new one, whole; the cache is never wrong; and there is a sentence.
# SPDX-License-Identifier: MIT
# faults.py HCONV [--full] [--seed N] [PART...]   parts: kills files children memory damage refusals; --full: every call, 100
# kills. A disturbed emit is followed by an undisturbed one on the same cache, whose bytes must be the reference's.
import argparse
import errno
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROBLEM, OTHER, TARGET = "pointwise_ci3_h2_co2", "linear_ci4_co2", "x86-64-linux/sse41"


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Faults:
    def __init__(self, hconv, tmp, full, seed):
        self.hconv, self.tmp, self.full = hconv, tmp, full
        self.random = random.Random(seed)
        self.failures, self.cases = [], 0
        self.shim = tmp / "faults.so"
        subprocess.run(["cc", "-std=gnu99", "-O1", "-shared", "-fPIC", str(HERE / "faults.c"), "-o", str(self.shim), "-ldl"],
                       check=True)
        self.warm = tmp / "warm"
        self.old = self.reference(OTHER)
        self.new = self.reference(PROBLEM)

    def command(self, problem, cache):
        return [self.hconv, "emit", problem, "-o", "net", "--name", "net", "--target", TARGET, "--cache", str(cache),
                "--jobs", "1"]

    def emit(self, folder, problem, cache, environment=None, **options):
        done = subprocess.run(self.command(problem, cache), cwd=folder, capture_output=True, text=True, errors="replace",
                              env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, timeout=300, **options)
        return done.returncode, done.stdout + done.stderr

    def reference(self, problem):
        folder = self.tmp / f"reference-{problem}"
        folder.mkdir()
        status, text = self.emit(folder, problem, self.warm)
        if status:
            sys.exit(f"the undisturbed emit failed: {text}")
        return tree(folder / "net")

    def fail(self, what, text=""):
        self.failures.append(f"{what}\n    {text.strip()[-600:]}")
        print(f"FAILED {what}", flush=True)

    def place(self, cold=False):
        """A folder with an emitted library of another problem in it, and a cache."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.tmp))
        shutil.copytree(self.tmp / f"reference-{OTHER}" / "net", folder / "net")
        if not cold:
            shutil.copytree(self.warm, folder / "cache")
        return folder

    def judge(self, what, folder, status=None, text=""):
        """After a disturbed emit: the old folder or the new one; a status and a sentence; and a cache that is right."""
        self.cases += 1
        now = tree(folder / "net") if (folder / "net").exists() else None
        if now not in (self.old, self.new):
            self.fail(f"{what}: the output folder is " + ("gone" if now is None else "neither the old nor the new one"), text)
        if status is not None:
            if status not in (0, 1):
                self.fail(f"{what}: exit status {status}", text)
            if status == 0 and now != self.new:
                self.fail(f"{what}: success, but the folder is not the undisturbed one's", text)
            if status == 1 and not text.rstrip().split("\n")[-1].strip():
                self.fail(f"{what}: no sentence", text)
            if status == 1 and "hconv: " not in text:
                self.fail(f"{what}: no sentence of hconv's", text)
        again, said = self.emit(folder, PROBLEM, folder / "cache")
        if again or tree(folder / "net") != self.new:
            self.fail(f"{what}: afterwards an undisturbed emit " + (f"failed: {said}" if again else "made other bytes"), text)
        shutil.rmtree(folder, ignore_errors=True)

    def duration(self, cold):
        folder = self.place(cold)
        began = time.monotonic()
        self.emit(folder, PROBLEM, folder / "cache")
        shutil.rmtree(folder)
        return time.monotonic() - began

    def kills(self):
        for cold, count in ((False, 70 if self.full else 10), (True, 30 if self.full else 2)):
            length = self.duration(cold)
            for k in range(count):
                folder = self.place(cold)
                after = self.random.uniform(0, 1.1 * length)
                child = subprocess.Popen(self.command(PROBLEM, folder / "cache"), cwd=folder, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
                time.sleep(after)
                child.send_signal(signal.SIGKILL)
                child.wait()
                self.judge(f"kill {k} after {after:.3f} s, {'cold' if cold else 'warm'} cache", folder)

    def shimmed(self, cold=False, **fault):
        folder = self.place(cold)
        environment = {"LD_PRELOAD": str(self.shim), **{f"FAULT_{key.upper()}": str(value) for key, value in fault.items()}}
        return (folder, *self.emit(folder, PROBLEM, folder / "cache", environment))

    def calls(self, cold=False, **fault):
        """How many calls of a kind an undisturbed emit makes."""
        folder, status, text = self.shimmed(cold, at=0, report=self.tmp / "calls", **fault)
        if status:
            sys.exit(f"emit fails with the shim alone: {text}")
        shutil.rmtree(folder)
        return int((self.tmp / "calls").read_text())

    def moments(self, calls, few, every):
        """The calls to spoil: all, or a sample."""
        if calls <= (every if self.full else few):
            return range(1, calls + 1)
        spread = set(self.random.sample(range(1, calls + 1), every if self.full else few))
        return sorted(spread | (set(range(1, every // 2)) if self.full else set()))

    def files(self):
        """The k-th call of emit itself that changes files: disk full, EIO, a short write."""
        for name, number in (("ENOSPC", errno.ENOSPC), ("EIO", errno.EIO), ("a short write", 0)):
            for cold in (False, True):
                calls = self.calls(cold, kind="files", errno=number)
                for k in self.moments(calls, 1 if cold else 3, 400):
                    folder, status, text = self.shimmed(cold, kind="files", errno=number, at=k)
                    self.judge(f"{name} at call {k} of {calls}, {'cold' if cold else 'warm'} cache", folder, status, text)
        calls = self.calls(kind="files", errno=errno.ENOSPC)
        for k in self.moments(calls, 2, 400):
            folder, status, text = self.shimmed(kind="files", errno=errno.ENOSPC, at=k, on=1)
            self.judge(f"disk full from call {k} of {calls} on", folder, status, text)

    def children(self):
        """The compiler, cc, objcopy and ar meet a full disk too; then files that may not grow beyond a size."""
        for k in ((1, 2, 3, 5, 9, 20) if self.full else (4,)):
            for cold in (False, True):
                folder, status, text = self.shimmed(cold, kind="files", errno=errno.ENOSPC, at=k, on=1, children=1)
                self.judge(f"every program's disk full from call {k} on, {'cold' if cold else 'warm'} cache", folder, status, text)
        for size in ((0, 100, 1000, 3000, 10000, 40000, 100000, 200000) if self.full else (3000,)):
            for cold in (False, True):
                folder = self.place(cold)
                limit = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                                 resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
                status, text = self.emit(folder, PROBLEM, folder / "cache", preexec_fn=limit, restore_signals=False)
                self.judge(f"files of at most {size} bytes, {'cold' if cold else 'warm'} cache", folder, status, text)

    def memory(self):
        """The k-th allocation of emit itself fails; then those of the programs it starts."""
        for cold in (False, True):
            calls = self.calls(cold, kind="memory")
            for k in self.moments(calls, 1 if cold else 10, 100 if cold else 1500):
                folder, status, text = self.shimmed(cold, kind="memory", at=k)
                self.judge(f"allocation {k} of {calls} fails, {'cold' if cold else 'warm'} cache", folder, status, text)
        for k in ((1, 10, 100, 1000, 10000, 100000, 1000000) if self.full else (1000,)):
            folder, status, text = self.shimmed(True, kind="memory", at=k, children=1)
            self.judge(f"allocation {k} of every program fails, cold cache", folder, status, text)

    def damage(self):
        """A damaged cache entry is noticed and made again."""
        ways = {"cut": lambda b: b[:len(b) // 2], "emptied": lambda b: b"", "longer": lambda b: b + b"\n",
                "flipped": lambda b: self.flipped(b)}
        entries = [p.relative_to(self.warm) for p in sorted(self.warm.rglob("*")) if p.is_file()]
        if not self.full:
            entries = [self.random.choice([p for p in entries if p.match(m)])
                       for m in ("records/*.json", "objects/*.o", "objects/*.sum", "verdicts/*.json", "*.c.o", "*/complete")]
        for entry in entries:
            for name, change in ways.items() if self.full else [self.random.choice([*ways.items()])]:
                folder = self.place()
                path = folder / "cache" / entry
                path.write_bytes(change(path.read_bytes()))
                self.judge(f"{entry} {name}", folder, *self.emit(folder, PROBLEM, folder / "cache"))

    def flipped(self, data):
        at = self.random.randrange(len(data)) if data else 0
        return data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1:] if data else b"x"

    def refusals(self):
        """Folders that may not be written; root may write everywhere, so emit runs as somebody else then."""
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        for part in ("net", "cache"):
            folder = self.place()
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
                if other:
                    os.chown(path, 65534, 65534)
            for path in [folder] if part == "net" else [folder / "cache", *(folder / "cache").rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            try:
                status, text = self.emit(folder, PROBLEM if part == "net" else "pointwise_ci3_h2_co3", folder / "cache", **other)
            except PermissionError:
                print("skipped: somebody else may not run this build of hconv")
                return
            if status != 1 or "hconv: " not in text or tree(folder / "net") != self.old:
                self.fail(f"a folder {part} that may not be written: exit status {status}", text)
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            self.judge(f"a folder {part} that may not be written", folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hconv", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("parts", nargs="*")
    o = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        faults = Faults(o.hconv.resolve(), pathlib.Path(name), o.full, o.seed)
        for part in o.parts or ("kills", "files", "children", "memory", "damage", "refusals"):
            before, began = faults.cases, time.monotonic()
            getattr(faults, part)()
            print(f"{part}: {faults.cases - before} disturbed emits, {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(faults.failures) or "all good")
    print(f"repro: python3 tests/tools/faults.py HCONV --seed {o.seed}" if faults.failures else "")
    return 1 if faults.failures else 0


sys.exit(main())
