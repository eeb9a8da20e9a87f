#!/usr/bin/env bash
# Runs every pack in this folder on the GPU here, once more under compute-sanitizer where that is, and the rivals where PyTorch is.
# SPDX-License-Identifier: MIT
# Afterwards, with this folder, where hconv is: hconv check --results check-X/results.json, hconv bench --results bench-X/results.json.
# The rivals' times are in rivals.jsonl. STEPS: some of "check bench sanitizer rivals".
set -uo pipefail
cd "$(dirname "$0")"
steps=${STEPS:-check bench sanitizer rivals}
failed=0
summary() { echo "$1: $(grep -o '"outcome":"[a-z]*"' "$1/results.json" | sort | uniq -c | tr -s ' \n' ' ')"; }
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv | tee gpu.csv
for step in check bench; do
    [[ " $steps " == *" $step "* ]] || continue
    for pack in "$step"-*/; do
        pack=${pack%/}
        "$pack/run" >"$pack.log" 2>&1 || { failed=1; tail -5 "$pack.log"; }
        [ ! -e "$pack/results.json" ] || summary "$pack"
    done
done
if [[ " $steps " == *" sanitizer "* ]]; then
    if command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck initcheck synccheck; do
            for pack in check-*/; do
                (cd "$pack" && compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 9 ./program jobs sanitizer.json) \
                    >"sanitizer-$tool-${pack%/}.log" 2>&1 || { failed=1; echo "compute-sanitizer $tool: see sanitizer-$tool-${pack%/}.log"; }
                tail -1 "sanitizer-$tool-${pack%/}.log"
            done
        done
    else
        echo "skipped: compute-sanitizer is not here"
    fi
fi
if [[ " $steps " == *" rivals "* ]]; then
    if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
        python3 rivals.py problems.txt >rivals.jsonl 2>rivals.log || { failed=1; tail -5 rivals.log; }
        wc -l rivals.jsonl
    else
        echo "skipped: no PyTorch with a GPU here"
    fi
fi
exit $failed
