# hconv tune and hconv records: what is found, what is kept, and what is survived.
# SPDX-License-Identifier: MIT
# tune_test.py HCONV [HCONV_WITH_BAD_SCHEDULES] [--long] [--only=NAME,...]; --long: 200 kills instead of 4.
import ctypes
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

long_run = "--long" in sys.argv
programs = [a for a in sys.argv[1:] if not a.startswith("--")]
HCONV, BAD = programs[0], programs[1] if len(programs) > 1 else None
HERE = pathlib.Path(__file__).resolve().parent
PROBLEM = "conv2d_ci8_h8_co16_k3_p1"
os.environ["HCONV_RECORDS"] = "none"
only = {name for a in sys.argv if a.startswith("--only=") for name in a[7:].split(",")}
failures = []


def expect(good, what):
    if not good:
        failures.append(what)
        print("FAILED:", what[:2000], flush=True)


def hconv(*arguments, program=HCONV, seconds=280, **more):
    made = subprocess.run([program, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, **more)
    return made.returncode, made.stdout, made.stderr


def runner(mode, log):
    return f"{sys.executable} {HERE / 'fake_runner.py'} {mode} {log}"


def stamped(record):
    """The line of a record, with its checksum; None where the library of the hash is not found."""
    class Hash(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]
    try:
        hash_of = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    except OSError:
        return None
    hash_of.restype, hash_of.argtypes = Hash, [ctypes.c_char_p, ctypes.c_size_t]
    body = json.dumps({k: v for k, v in record.items() if k != "sum"}, separators=(",", ":"))[:-1]
    return f'{body},"sum":"{hash_of(body.encode(), len(body)).high:016x}'[:-4] + '"}\n'


def tune(log, times, *more, mode="good", candidates=8, program=HCONV, **others):
    return hconv("tune", PROBLEM, "--log", log, "--candidates", candidates, "--seconds", 100000, "--threads", 1, "--fake-clock", 0.01,
                 "--runner", runner(mode, times), *more, program=program, **others)


def lines_of(log):
    code, out, error = hconv("records", "export", log)
    if code == 2 and "is an empty database" in error:  # killed before its tables, which come at once
        return []
    expect(code == 0, f"export {log}: exit {code}: {error}")
    return out.splitlines()


def schedules(log):
    return [json.loads(line)["schedule"] for line in lines_of(log)]


def same_seed_same_proposals(folder):
    found = []
    for i in (1, 2):
        code, out, error = tune(folder / f"same{i}.db", folder / "times", "--json", folder / f"same{i}.json", "--seed", 7)
        expect(code == 0, f"tune: exit {code}: {out} {error}")
        rows = json.loads((folder / f"same{i}.json").read_text())[0]
        found.append([(t["schedule"], t["origin"], t["gain"]) for t in rows["trials"]])
    expect(found[0] == found[1] and len(found[0]) == 8, f"the same seed and times gave {found[0]} and {found[1]}")
    code, other, _ = hconv("tune", PROBLEM, "--dry-run", "--seed", 8, "--log", folder / "none.db", "--threads", 1)
    code, one, _ = hconv("tune", PROBLEM, "--dry-run", "--seed", 7, "--log", folder / "none.db", "--threads", 1)
    expect(one != other and "feasible points" in one, "--dry-run: another seed, the same proposals")
    # All in the log: nothing is measured again but the last comparison.
    (folder / "times").write_text("")
    code, out, error = tune(folder / "same1.db", folder / "times", "--seed", 7, "--json", folder / "again.json")
    rows = json.loads((folder / "again.json").read_text())[0]
    expect(all(t["from_log"] for t in rows["trials"]), f"a resumed run measured again: {rows['trials']}")


def winners_are_kept_and_used(folder):
    log, kept = folder / "same1.db", folder / "kept.jsonl"
    code, out, error = tune(log, folder / "times", "--seed", 7, "--keep", kept, "--report", folder / "page.html")
    expect(code == 0 and kept.exists(), f"--keep: exit {code}: {out} {error}")
    record = json.loads(kept.read_text().splitlines()[0])
    expect(hconv("records", "lint", kept)[0] == 0, "records lint refuses what --keep wrote: " + hconv("records", "lint", kept)[2])
    environment = {k: v for k, v in os.environ.items() if k != "HCONV_RECORDS"}
    show = lambda problem, file, *more: hconv("show", problem, "--why", "--records", "none", "--records", file, *more, env=environment)
    expect(record["schedule"] in show(PROBLEM, kept)[1] and "this problem on this machine" in show(PROBLEM, kept)[1],
           "show --why: " + str(show(PROBLEM, kept)))
    expect("the nearest problem" in show(PROBLEM + "_relu", kept)[1], "nearest: " + str(show(PROBLEM + "_relu", kept)))
    elsewhere = folder / "elsewhere.db"
    code, out, error = tune(elsewhere, folder / "times", "--seed", 7, "--keep", folder / "elsewhere.jsonl", "--machine", "another/9")
    expect("from the machine another/9" in show(PROBLEM, folder / "elsewhere.jsonl")[1], "another machine: " + error)
    # A record whose line was changed is damaged; one whose hash is another's is stale.
    text = kept.read_text()
    (folder / "damaged.jsonl").write_text(text.replace('"gain":', '"gain":1'))
    code, out, error = show(PROBLEM, folder / "damaged.jsonl")
    expect("checksum" in error and "record of this problem" not in out, f"a damaged line: {out} {error}")
    expect(hconv("records", "lint", folder / "damaged.jsonl")[0] == 1, "records lint accepts a damaged line")
    if stamped(record) is None:
        print("[SKIP] stale records: libxxhash.so.0 is not here")
    else:
        expect(stamped(record) == kept.read_text(), f"stamped: {stamped(record)} is not {kept.read_text()}")
        (folder / "stale.jsonl").write_text(stamped({**record, "hash": "0123456789abcdef"}))
        code, out, error = show(PROBLEM, folder / "stale.jsonl")
        expect(code == 0 and "stale" in error and "the target's default" in out, f"a stale record: {out} {error}")
        code, out, error = hconv("records", "lint", folder / "stale.jsonl")
        expect(code == 1 and "stale" in error, f"records lint of a stale record: {out} {error}")
        # Knobs that came after a record have the values that change nothing, not the problem's defaults.
        (folder / "older.jsonl").write_text(stamped({**record, "schedule": "direct:co_vecs=1,xs=3"}))
        out = show(PROBLEM + "_relu", folder / "older.jsonl")[1]
        expect("direct:co_vecs=1,xs=3,ci_u=1,rows=4 " in out and "the nearest problem" in out, "a record of fewer knobs: " + out)
        (folder / "unfit.jsonl").write_text(stamped({**record, "schedule": "direct:xs=999"}))
        expect("the target's default" in show(PROBLEM, folder / "unfit.jsonl")[1], "a record whose schedule does not fit is used")
    page = (folder / "page.html").read_text()
    for part in ("<svg", "Best so far", "produce ", "sortable", record["schedule"]):
        expect(part in page, f"the report lacks {part}")
    expect("http" not in page.replace("http-equiv", ""), "the report needs a network")
    expect(hconv("records", "why", log)[1].count("best:") == 1, "records why explains nothing")
    merged = folder / "merged.jsonl"
    expect(hconv("records", "merge", "-o", merged, kept, folder / "elsewhere.jsonl")[0] == 0 and len(merged.read_text().splitlines()) == 2,
           "merge: not two machines' winners")
    code, out, error = hconv("check", PROBLEM, "--records", "none", "--records", kept, env=environment)
    expect(code == 0 and record["schedule"].split(":")[0] in out, f"check with a record: {out} {error}")


def runners_that_fail(folder):
    for mode, word in (("nonsense", "runner"), ("dies", "status 9"), ("hangs", "stopped after 1 s")):
        log = folder / f"{mode}.db"
        code, out, error = tune(log, folder / "times", "--run-limit", 1, mode=mode, candidates=3)
        expect(code == 1 and "runner" in error, f"a runner that {mode}: exit {code}: {out} {error}")


def bad_candidates(folder):
    if not BAD:
        return
    log = folder / "bad.db"
    code, out, error = tune(log, folder / "times", "--method", "random", "--time-limit", 10, "--memory-limit", 3000, candidates=9, program=BAD)
    found = {json.loads(line)["schedule"]: json.loads(line) for line in lines_of(log)}
    for schedule, status in (("bad_never_compiles", "timeout"), ("bad_compiler_crashes", "compile"), ("bad_compiler_memory", "compile"),
                             ("bad_kernel_crashes", "crash"), ("bad_kernel_hangs", "timeout"), ("bad_kernel_wrong", "wrong")):
        got = found.get(schedule, {})
        expect(got.get("status") == status and got.get("why"), f"{schedule} should be {status}: {got}")
    expect(code == 0 and any(r["status"] == "ok" for r in found.values()), f"bad candidates: exit {code}: {out} {error}")


def kills(folder):
    """Killed at any moment: what the log held is there and is not measured again."""
    log, times, chance = folder / "killed.db", folder / "killed.times", random.Random(3)
    begin = time.monotonic()
    tune(folder / "uninterrupted.db", folder / "times", candidates=12)
    whole = time.monotonic() - begin
    for kill in range(200 if long_run else 4):
        if kill % 8 == 0:
            for path in folder.glob("killed.db*"):
                path.unlink()
        before = schedules(log) if log.exists() and log.stat().st_size else []
        times.write_text("")
        running = subprocess.Popen([HCONV, "tune", PROBLEM, "--log", str(log), "--candidates", "12", "--seconds", "100000", "--threads", "1",
                                    "--fake-clock", "0.01", "--seed", str(1 + kill // 8), "--runner", runner("good", times)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * 1.1 * chance.random())
        running.kill()
        running.wait()
        after = schedules(log) if log.exists() and log.stat().st_size else []
        expect(after[:len(before)] == before, f"kill {kill}: lost trials: {before} became {after}")
        expect(len(set(after)) == len(after), f"kill {kill}: a trial is there twice")
    last = schedules(log) if log.exists() and log.stat().st_size else []
    code, out, error = tune(log, times, "--json", folder / "resumed.json", "--seed", 1 + kill // 8, candidates=12)
    expect(code == 0, f"resumed: exit {code}: {error}")
    rows = json.loads((folder / "resumed.json").read_text())[0]["trials"]
    again = [t["schedule"] for t in rows if t["schedule"] in last and not t["from_log"]]
    expect(not again, f"measured again after a kill: {again}")


def bit_flips(folder):
    """A flipped bit is reported, or changes nothing that is read."""
    log, flips = folder / "same1.db", folder / "flips"
    intact = set(lines_of(log))
    content, chance = log.read_bytes(), random.Random(5)
    flips.mkdir()
    for flip in range(1000):
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        (flips / f"{flip:04d}.db").write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1:])
    files = sorted(flips.glob("*.db"))
    code, out, error = hconv("records", "export", *files)
    reported = {name for name in re.findall(r"(\d{4})\.db", error)}
    whole = [file for file in files if file.stem not in reported]
    expect(code == 1 and set(out.splitlines()) <= intact, f"flipped bits: exit {code}, lines that were never written: {set(out.splitlines()) - intact}")
    expect(len(reported) > 100, f"only {len(reported)} of 1,000 flipped bits were noticed: {error[:500]}")
    code, out, error = hconv("records", "export", *whole)
    expect(code == 0 and len(out.splitlines()) == len(whole) * len(intact) and set(out.splitlines()) == intact,
           f"flipped bits accepted silently: exit {code}, {len(out.splitlines())} lines of {len(whole)} logs: {error[:500]}")
    print(f"  {len(reported)} of 1,000 flipped bits were reported, the others changed nothing that is read")


def four_writers(folder):
    """Four imports of several logs at once, and four tuners of one log."""
    logs = [folder / name for name in ("same1.db", "same2.db", "uninterrupted.db", "elsewhere.db")]
    together = folder / "together.db"
    for _ in range(10):
        running = [subprocess.Popen([HCONV, "records", "import", "-o", str(together), *map(str, logs[i:] + logs[:i])], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(4)]
        for one in running:
            out, error = one.communicate()
            expect(one.returncode == 0, f"four importers of one log: {error}")
        want = {line for log in logs for line in lines_of(log)}
        expect(len(lines_of(together)) == len({(json.loads(x)["machine"], json.loads(x)["schedule"]) for x in want}), "four importers lost trials")
        for path in folder.glob("together.db*"):
            path.unlink()
    running = [subprocess.Popen([HCONV, "tune", PROBLEM, "--log", str(together), "--candidates", "6", "--seconds", "100000", "--threads", "1",
                                 "--fake-clock", "0.01", "--seed", str(seed), "--runner", runner("good", folder / "times")], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for seed in range(4)]
    for one in running:
        out, error = one.communicate()
        expect(one.returncode == 0, f"four tuners of one log: {out} {error}")
    expect(len(schedules(together)) >= 6, "four tuners kept too few trials")


def packed_up(folder):
    code, out, error = hconv("tune", PROBLEM, "--pack-up", folder / "pack", "--candidates", 4, "--threads", 1, "--log", folder / "pack.db")
    expect(code == 0, f"--pack-up: exit {code}: {out} {error}")
    expect(subprocess.run([str(folder / "pack/run")], stdout=subprocess.DEVNULL).returncode == 0, "the packed-up run failed")
    results = folder / "pack/results.json"
    code, out, error = hconv("tune", "--results", results, "--log", folder / "pack.db")
    expect(code == 2 and "--machine" in error, f"--results without --machine: exit {code}: {error}")
    code, out, error = hconv("tune", "--results", results, "--machine", "board/4", "--log", folder / "pack.db")
    expect(code == 0 and len(lines_of(folder / "pack.db")) == 4 and "board/4" in lines_of(folder / "pack.db")[0], f"--results: exit {code}: {out} {error}")


def disk_full(folder):
    log = folder / "full.db"
    code, out, error = tune(log, folder / "times", candidates=3)
    before = lines_of(log)
    size = log.stat().st_size + 100

    def limits():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    code, out, error = hconv("records", "import", "-o", log, folder / "same1.db", folder / "same2.db", folder / "elsewhere.db", preexec_fn=limits)
    expect(code == 1 and "disk full" in error, f"a full disk: exit {code}: {error}")
    expect(lines_of(log)[:len(before)] == before, "a full disk lost trials")


def interrupted(folder):
    log = folder / "stopped.db"
    running = subprocess.Popen([HCONV, "tune", PROBLEM, "--log", str(log), "--seconds", "200", "--threads", "1", "--candidates", "60"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in running.stdout:
        if " tried (" in line:
            break
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=120)
    expect(running.returncode == 130 and "interrupted; the best so far:" in out and "every trial is in" in out, f"Ctrl-C: {running.returncode}: {out} {error}")
    expect(len(schedules(log)) > 0, "Ctrl-C lost what was measured")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ.setdefault("HCONV_CACHE", str(folder / "cache"))
        for test in (same_seed_same_proposals, winners_are_kept_and_used, runners_that_fail, bad_candidates, kills, bit_flips, four_writers,
                     packed_up, disk_full, interrupted):
            begin = time.monotonic()
            if only and test.__name__ not in only:
                continue
            test(folder)
            print(f"{test.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
