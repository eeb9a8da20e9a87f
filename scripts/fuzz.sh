#!/usr/bin/env bash
# Feeds the fuzz targets of tests/fuzz: first their corpus, then inputs that libFuzzer makes of it.
# SPDX-License-Identifier: MIT
# scripts/fuzz.sh [NAME...]; SECONDS_EACH (default 60); "build" only builds. New inputs go to build/fuzz/corpus, and what
# breaks a target to build/fuzz/broken. Exit 77: clang with libFuzzer is not here.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}

if ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' |
    clang -x c - -fsanitize=fuzzer,address -o /dev/null 2>/dev/null; then
    echo "fuzz: skipped: clang with libFuzzer is not here; install the packages clang and libclang-rt-dev"
    exit 77
fi
mkdir -p build/fuzz
(
    flock 9
    PRESET=fuzz scripts/build.sh fuzz >build/fuzz/build.log 2>&1 || { cat build/fuzz/build.log; exit 1; }
) 9>build/fuzz/lock
[ "${1:-}" != build ] || exit 0
if [ $# = 0 ]; then
    for source in tests/fuzz/*.cpp; do set -- "$@" "$(basename "$source" .cpp)"; done
fi

# Long enough for what is there to be reached, short enough to be fast.
longest() {
    case $1 in npz) echo 400 ;; results) echo 400 ;; npy | safetensors | record) echo 200 ;; problem_list) echo 96 ;; *) echo 64 ;; esac
}

failed=0
for name in "$@"; do
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/broken
    log=build/fuzz/$name.log
    if build/fuzz/fuzz_"$name" -seed=1 -max_total_time="$seconds" -max_len="$(longest "$name")" -timeout=20 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/broken/$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */fuzz: '"$name"': executed /p' "$log"
    else
        grep -vE '^#[0-9]+' "$log" | tail -40
        echo "fuzz: $name is broken; repro: build/fuzz/fuzz_$name $(sed -n 's/.*Test unit written to //p' "$log")"
        failed=1
    fi
done
exit $failed
