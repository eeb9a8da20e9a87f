# What a signal leaves of hconv: no scratch folder, no process, no half of an output, and an end by that signal.
# SPDX-License-Identifier: MIT
# signals_test.py HCONV [CASE...]
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HCONV = pathlib.Path(sys.argv[1]).resolve()
PROBLEM, TARGET = "pointwise_ci3_h8_co8", "host"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROMPT, PATIENCE = 200, 240  # seconds: an end on a busy machine, far from the runner's 1000; and what is waited for
RUNNER = """#!/bin/sh
[ "$2" = --list ] && exec "$@"
%s
sleep 1000
true
"""
VERBS = {"emit": ["emit", "-o", "out/net", "--name", "net"], "check": ["check"], "bench": ["bench"],
         "run": ["run", "--random", "1", "-o", "y=out/y.npy"], "tune": ["tune", "--threads", "1", "--candidates", "3", "--log", "log/trials"],
         "check --pack-up": ["check", "--pack-up", "out/pack"], "show": ["show", "--as", "asm"]}


def processes(mark):
    """The command lines of what lives and was started with this mark in its environment, however often removed."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            pass
    return found


class Command:
    """hconv in a folder of its own, with an empty one for what is temporary."""

    def __init__(self, folder, verb, runner=None, cold=False, ignored=None, unread=False):
        self.folder, self.verb = pathlib.Path(tempfile.mkdtemp(dir=folder)), verb
        for name in ("temporary", "out", "log"):
            (self.folder / name).mkdir()
        if not cold:
            shutil.copytree(folder / "cache", self.folder / "cache")
        environment = {**os.environ, "TMPDIR": str(self.folder / "temporary"), "MARK": str(self.folder), "HCONV_RECORDS": "none",
                       "HCONV_CACHE": str(self.folder / "cache")}
        word, *options = VERBS[verb]
        options += ["--runner", str(runner)] if runner else []

        def handle():
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)
        ends = os.pipe() if unread else (os.open(os.devnull, os.O_RDONLY), os.open(self.folder / "said", os.O_CREAT | os.O_WRONLY))
        os.close(ends[0])
        with open(ends[1], "w") as said:
            self.process = subprocess.Popen([HCONV, word, PROBLEM, "--target", TARGET, *options], cwd=self.folder, env=environment,
                                            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, preexec_fn=handle)

    def said(self):
        return (self.folder / "said").read_text(errors="replace")[-600:]

    def scratch(self):
        return [p for name in ("temporary", "out") for p in (self.folder / name).glob("*")]

    def others(self, word):
        return [line for pid, line in processes(self.folder).items() if pid != self.process.pid and word in line]

    def wait(self, condition):
        """Until the condition holds; False where the command ends first."""
        late = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > late:
                return False
            time.sleep(0.002)
        return True

    def findings(self, *expected):
        """What is wrong now that it was told to end."""
        try:
            self.process.wait(PROMPT)
        except subprocess.TimeoutExpired:
            yield f"goes on after {PROMPT} s"
        else:
            if self.process.returncode not in expected:
                yield f"ended with {self.process.returncode}, not {expected}"
        alive = processes(self.folder)
        if alive:
            yield f"leaves processes: {alive}"
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.scratch():
            yield f"leaves {[str(p.relative_to(self.folder)) for p in self.scratch()]}"
        half = [str(p.relative_to(self.folder)) for p in (self.folder / "cache").rglob("*") if ".tmp" in p.name or ".hconv-" in p.name]
        if half:
            yield f"leaves in the cache {half}"


def hangs(command):
    return command.others("sleep 1000")


class Signals:
    def __init__(self, folder):
        self.folder, self.failures, self.ends = folder, [], 0
        self.hanging, self.stubborn = folder / "hanging", folder / "stubborn"
        for path, line in ((self.hanging, ""), (self.stubborn, "trap '' TERM")):
            path.write_text(RUNNER % line)
            path.chmod(0o755)
        os.makedirs(folder / "cache")
        for verb in VERBS:
            warm = Command(folder, verb)
            if warm.process.wait(PATIENCE):
                sys.exit(f"the undisturbed {verb} failed: {warm.said()}")
            shutil.copytree(warm.folder / "cache", folder / "cache", dirs_exist_ok=True)

    def end(self, what, verb, moment, *numbers, expected=None, group=False, **options):
        """The signals at a moment of a command, and what they leave. Ctrl-C ends hconv tune with 130, after what it has found so far."""
        self.ends += 1
        expected = expected or (130 if verb == "tune" and numbers[0] == signal.SIGINT else -numbers[0])
        for _ in range(20):  # a command may be done before the moment was seen: then another
            command = Command(self.folder, verb, **options)
            if command.wait(lambda: moment(command)):
                for number in numbers:
                    (os.killpg if group else os.kill)(command.process.pid, number)
                findings = [*command.findings(expected)]
                if command.process.returncode != 0:
                    break
            command.process.kill()
            command.process.wait()
            findings = [f"no such moment: {command.said()}"]
        self.failures += [f"{verb}, {what}, {numbers[0].name}: {finding}" for finding in findings]

    def scratch(self):
        """As soon as there is a scratch folder."""
        for verb in VERBS:
            for number in SIGNALS:
                self.end("scratch folder", verb, Command.scratch, number)

    def compiling(self):
        """While kernels compile, and while the C compiler does: Ctrl-C goes to the command and to no child."""
        for verb in ("emit", "check", "check --pack-up", "tune"):
            for word in ("compile-kernel", "cc1"):
                for number in (signal.SIGINT, signal.SIGTERM):
                    self.end(f"{word} runs", verb, lambda c: c.others(word), number, group=True, cold=True)

    def running(self):
        """While a program runs that would go on for long, and one that does not listen."""
        for verb in ("check", "bench", "run", "tune"):
            for number in SIGNALS:
                self.end("hanging runner", verb, hangs, number, runner=self.hanging)
        for verb in ("check", "tune"):
            self.end("stubborn runner", verb, hangs, signal.SIGINT, runner=self.stubborn)

    def twice(self):
        """A second Ctrl-C changes nothing."""
        for verb in ("check", "tune"):
            self.end("twice", verb, hangs, signal.SIGINT, signal.SIGINT, runner=self.hanging)

    def unread(self):
        """hconv ... | head: nobody reads what it says."""
        for verb in ("check", "bench", "run"):
            self.ends += 1
            self.failures += [f"{verb}, unread: {finding}" for finding in Command(self.folder, verb, unread=True).findings(-signal.SIGPIPE, 0)]

    def ignored(self):
        """What was ignored at the start (nohup) stays so."""
        for number in (signal.SIGHUP, signal.SIGINT):
            def moment(command):
                if not hangs(command):
                    return False
                status = (pathlib.Path("/proc") / str(command.process.pid) / "status").read_text()
                mask = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
                return mask >> (number - 1) & 1 or sys.exit(f"{number.name} is not ignored")
            self.end("ignored", "check", moment, number, signal.SIGTERM, expected=-signal.SIGTERM, runner=self.hanging, ignored=number)


def main():
    with tempfile.TemporaryDirectory() as name:
        signals = Signals(pathlib.Path(name))
        for part in sys.argv[2:] or ("scratch", "compiling", "running", "twice", "unread", "ignored"):
            before, began = signals.ends, time.monotonic()
            getattr(signals, part)()
            print(f"{part}: {signals.ends - before} ends, {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(signals.failures) or "all good")
    return 1 if signals.failures else 0


sys.exit(main())
