"""The measuring process, one a number of threads: every contestant of a row in one process, batches interleaved in rounds.

SPDX-License-Identifier: MIT
Reads its task as JSON from the standard input; writes one line of JSON a row to the file that the task names.
"""
import collections
import gc
import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path

TASK = json.load(sys.stdin) if __name__ == "__main__" else {}
if TASK:  # before any library makes threads
    os.sched_setaffinity(0, TASK["cpus"])

import numpy as np
import torch

import contestants
import library
import modules

BATCH_SECONDS = 0.01
LIMIT_SECONDS = 0.002  # for each of the machine's limits, every round
FAR_BEHIND, FAR_BEHIND_ROUNDS = 3, 3  # who takes so many times as long as the best rival stops after so many rounds
STEP_SECONDS, MOST_STEPS = 0.005, 100  # of waiting for the helpers of the contestant before
SETUP_SECONDS = 150
PREPARE_SECONDS = 900


def busy_seconds(processes):
    """What their threads have had of the processors."""
    total = 0
    for p in processes:
        for statistics in Path(f"/proc/{p}/task").glob("*/schedstat"):
            try:
                total += int(statistics.read_text().split()[0])
            except OSError:
                pass  # it has ended
    return total / 1e9


def wait_for_helpers(processes):
    """Until those of the contestant before have stopped looking for work, which some do for a tenth of a second and more."""
    for _ in range(MOST_STEPS):
        before = busy_seconds(processes)
        time.sleep(STEP_SECONDS)
        if busy_seconds(processes) - before < STEP_SECONDS / 5:
            return


def threads_now():
    return {int(t) for t in os.listdir("/proc/self/task")}


class Team:
    """Where a contestant's threads run: the caller on the first core, those it made on the others in turn."""

    def __init__(self, cpus):
        self.cpus, self.known = cpus, threads_now()

    def start(self):
        os.sched_setaffinity(0, self.cpus)
        self.known = threads_now()

    def pin(self, bound):
        if not bound:
            return
        helpers = sorted(threads_now() - self.known)
        for i, t in enumerate(helpers):
            try:
                os.sched_setaffinity(t, [self.cpus[(i + 1) % len(self.cpus)]])
            except OSError:
                pass  # it has ended

    def before(self, bound):
        os.sched_setaffinity(0, self.cpus[:1] if bound else self.cpus)


def parameters_of(plan, seed):
    """float32, seeded by the tensor's name; optional ones are left out."""
    parameters = {}
    for t in plan.of_role(library.PARAMETER):
        if t.optional:
            continue
        random = np.random.default_rng([seed, zlib.crc32(t.name.encode())])
        value = random.standard_normal(t.shape)
        if t.name.endswith("running_var"):
            value = random.uniform(0.5, 2, t.shape)
        elif "bn" in t.name and t.name.endswith(".weight"):
            value = random.uniform(0.5, 1.5, t.shape)
        elif t.name.endswith("slope") or "scale" in t.name:
            value = random.uniform(0.1, 0.5, t.shape)
        elif len(t.shape) > 1 and t.name != "bias":
            value /= np.sqrt(np.prod(t.shape[2 if len(t.shape) == 5 else 1:]))
        parameters[t.name] = np.ascontiguousarray(value, np.float32)
    return parameters


def inputs_of(plan, seed):
    """n c h w; an offset a channel, so that means and attentions are no constants."""
    inputs = {}
    for t in plan.of_role(library.INPUT):
        random = np.random.default_rng([seed, zlib.crc32(t.name.encode()), 1])
        value = random.standard_normal(t.shape)
        if len(t.shape) > 2:
            value += 0.5 * random.standard_normal(t.shape[:2])[(...,) + (None,) * (len(t.shape) - 2)]
        inputs[t.name] = (random.uniform(0, 1, t.shape) if t.name == "routing" else value).astype(np.float32)
    return inputs


class Late(Exception):
    pass


def with_limit(seconds, action):
    def ring(*_):
        raise Late(f"was not ready after {seconds} s")
    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        return action()
    finally:
        signal.alarm(0)


class Row:
    def __init__(self, lib, context, task, listed):
        self.task, self.entries, self.absent = task, {}, {}
        self.team = Team(task["cpus"])
        self.nchw = lib.parse(listed["nchw"])
        self.nhwc = lib.parse(listed["problem"])
        plan = library.Plan(lib, context, self.nchw)
        self.p = lib.describe(self.nchw)
        plan.close()
        self.parameters, self.inputs = parameters_of(plan, task["seed"]), inputs_of(plan, task["seed"])
        self.lib, self.limits = lib, collections.defaultdict(list)
        self.add_hconv(lib, context, "hconv", self.nhwc)
        self.add_hconv(lib, context, "hconv-nchw", self.nchw)
        self.want = self.reference()
        self.absent = dict.fromkeys(task["without"], "not asked for")
        for name in task["rivals"]:
            self.add_rival(name)

    def add_hconv(self, lib, context, name, problem):
        nhwc = problem.layout == 0
        self.team.start()
        plan = library.Plan(lib, context, problem)
        plan.pack(self.parameters)
        plan.bind({k: np.moveaxis(v, 1, -1) if nhwc and v.ndim > 2 else v for k, v in self.inputs.items()})
        self.enter(name, contestants.Hconv(plan, nhwc), True)
        if name == "hconv":
            self.info = {"schedule": plan.info.schedule.decode(),
                         "target": plan.info.target.decode(), "flops": plan.info.flops,
                         "bytes_moved": plan.info.bytes_moved}
        else:
            self.info["schedule_nchw"] = plan.info.schedule.decode()

    def module(self, kind):
        module = modules.module_of(self.p, {k: torch.from_numpy(v).to(kind) for k, v in self.parameters.items()})
        module.made_of = self.p, self.parameters  # for who makes it anew in another process
        return module

    def reference(self):
        module = self.module(torch.float64).double()
        with torch.no_grad():
            return contestants.plain(module(*(torch.from_numpy(v).double() for v in self.inputs.values())))

    def add_rival(self, name):
        if name.endswith("-cl") and self.p.variant in ("linear", "wtconv1d"):
            self.absent[name] = "the layer has no channels-last form"
            return
        try:
            self.team.start()
            make = lambda: contestants.RIVALS[name](self.module(torch.float32),
                                                    [torch.from_numpy(v) for v in self.inputs.values()])
            rival = with_limit(SETUP_SECONDS if self.task["rounds"] else PREPARE_SECONDS, make)
            self.enter(name, rival, not name.startswith(("openvino", "onnx", "onednn")))
        except (Exception, Late) as e:  # whatever a rival throws is its own entry in the table
            self.absent[name] = f"{type(e).__name__}: {e}".splitlines()[0][:300]

    def enter(self, name, contestant, bound):
        for _ in range(2):
            contestant.run(1)
        self.team.pin(bound)
        self.team.before(bound)
        times = 1
        for _ in range(3):  # alone it may take far longer than in a batch
            start = time.perf_counter()
            took = contestant.run(times) or time.perf_counter() - start
            times = min(max(1, int(BATCH_SECONDS * times / max(took, 1e-7))), 100000)
        self.entries[name] = {"contestant": contestant, "bound": bound, "times": times, "samples": []}

    def errors(self):
        for name, e in self.entries.items():
            got = e["contestant"].outputs()
            worst = 0.0
            for y, want in zip(got, self.want, strict=True):
                if y.shape != want.shape:
                    worst = float("inf")
                    break
                worst = max(worst, float(np.max(np.abs(y - want))) / max(float(np.max(np.abs(want))), 1e-30))
            e["error"] = worst

    def measure(self):
        names = list(self.entries)
        processes = [os.getpid(), *(e["contestant"].process.pid for e in self.entries.values() if hasattr(e["contestant"], "process"))]
        for r in range(self.task["rounds"]):
            for name, value in self.lib.limits(self.task["cpus"], self.task["isa"], LIMIT_SECONDS).items():
                self.limits[name].append(value)
            if r == FAR_BEHIND_ROUNDS:
                least = min(min(e["samples"]) for n, e in self.entries.items() if not n.startswith("hconv")) if len(names) > 2 else 0
                names = [n for n in names if n.startswith("hconv") or min(self.entries[n]["samples"]) < FAR_BEHIND * least]
            for name in names[r % len(names):] + names[:r % len(names)]:
                e = self.entries[name]
                self.team.before(e["bound"])
                wait_for_helpers(processes)
                e["contestant"].run(1 + e["times"] // 2)
                start = time.perf_counter()
                took = e["contestant"].run(e["times"])  # who is in another process says it
                e["samples"].append((took or time.perf_counter() - start) / e["times"] * 1e6)

    def close(self, lib, context):
        for e in self.entries.values():
            if isinstance(e["contestant"], contestants.Hconv):
                e["contestant"].plan.close()
        self.entries.clear()
        lib.lib.hconv_context_destroy(context)

    def result(self):
        timings = {}
        for name, e in self.entries.items():
            low, median, high = np.percentile(e["samples"], [25, 50, 75])
            timings[name] = {"median_us": round(median, 3), "min_us": round(min(e["samples"]), 3),
                             "quartiles_us": [round(low, 3), round(high, 3)], "batch": e["times"], "rounds": len(e["samples"]),
                             "error": e["error"]}
        limits = {name: round(float(np.median(values)), 2) for name, values in self.limits.items()}
        return {**self.info, "limits": limits, "timings": timings, "absent": self.absent}


def call_overhead(names):
    """What a call costs each rival before it computes anything: a convolution of one number."""
    module = lambda: torch.nn.Conv2d(1, 1, 1).eval()
    found = {}
    for name in names:
        os.sched_setaffinity(0, TASK["cpus"])  # the rival before may have bound the caller
        try:
            rival = contestants.RIVALS[name](module(), [torch.ones(1, 1, 1, 1)])
            rival.run(200)
            samples = []
            for _ in range(7):
                start = time.perf_counter()
                took = rival.run(500)
                samples.append((took or time.perf_counter() - start) / 500 * 1e6)
            found[name] = round(min(samples), 3)
        except Exception:  # its rows say why it is absent
            continue
    return found


def main():
    task = TASK
    torch.set_num_threads(task["threads"])
    torch.set_num_interop_threads(1)
    team = Team(task["cpus"])
    torch.ones(1 << 22).add_(1)  # PyTorch's helpers are made once, here
    team.pin(True)
    lib = library.Library(task["library"], task["name"])
    with open(task["results"], "a") as results:
        def say(**line):
            print(json.dumps(line), file=results, flush=True)
        if task["overhead"]:
            say(overhead=call_overhead(task["rivals"]))
        for listed in task["rows"]:
            named = {**listed, "threads": task["threads"], "isa": task["isa"] or "best"}
            try:
                say(row={**measure_row(lib, task, listed), **named})
            except Exception as e:  # the next row may do better; the table has the reason
                say(row={**named, "why": f"{type(e).__name__}: {e}".splitlines()[0][:300]})


def measure_row(lib, task, listed):
    started = time.time()
    team = Team(task["cpus"])
    team.start()
    context = lib.context(task["threads"], task["isa"])
    team.pin(True)  # its pool
    row = Row(lib, context, task, listed)
    setup = time.time() - started
    row.errors()
    if not task["rounds"]:  # all that is slow the first time has been done
        allowed = 1e-4 if "fast" in listed["problem"].split("_") else 1e-5
        wrong = [f"{name} is wrong by {e['error']:.1g}" for name, e in row.entries.items() if e["error"] > allowed]
        row.close(lib, context)
        return {"prepared": round(setup, 1), "why": "; ".join(wrong), "absent": row.absent}
    row.measure()
    result = {**row.result(), "rounds": task["rounds"], "setup_s": round(setup, 1),
              "wall_s": round(time.time() - started, 1), "date": time.strftime("%Y-%m-%d %H:%M")}
    row.close(lib, context)
    gc.collect()
    return result


if __name__ == "__main__":
    main()
