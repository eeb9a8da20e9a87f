# A runner for tests of hconv tune: runs the program, but the times are a function of the schedule, or something goes wrong.
# SPDX-License-Identifier: MIT
# fake_runner.py MODE LOG PROGRAM ARGUMENTS...   MODE: good, nonsense, dies, hangs (from the second list of jobs on: "list" works)
import hashlib
import json
import subprocess
import sys
import time

mode, log, program, *arguments = sys.argv[1:]
if arguments == ["--list"]:
    sys.exit(subprocess.run([program, *arguments]).returncode)
if mode == "hangs":
    time.sleep(1000)
if mode == "dies":
    sys.exit(9)
if mode == "nonsense":
    print("Segmentation violation in flux compensator\n{\"id\": 7}\n[1, 2]\n{\"id\":\"0\",\"outcome\":3}\nnull")
    sys.exit(0)
lines = [line for line in open(arguments[0]) if "rounds=0" not in line]
timed = {item[3:] for line in lines for item in line.split() if item.startswith("id=")}

with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as running:
    for line in running.stdout:
        result = json.loads(line)
        if result["id"] in timed and result["outcome"] == "passed":
            number = int(hashlib.sha256(result["schedule"].encode()).hexdigest()[:8], 16)
            result["median_ns"] = result["min_ns"] = 1000.0 + number % 1000
            with open(log, "a") as to:
                to.write(result["schedule"] + "\n")
        print(json.dumps(result), flush=True)
