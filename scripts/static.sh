#!/usr/bin/env bash
# Static analysis of the runtime and the tools: cppcheck, then clang-tidy with the checks of .clang-tidy.
# SPDX-License-Identifier: MIT
# scripts/static.sh [FILE...]: these files (default: runtime/; "all" adds the tools that do without Halide). Exit 77: neither
# program is here. Needs a configured build (make build), whose compile commands it reads.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/${PRESET:-release}
mapfile -t tools < <(grep -L "Halide" tools/*.cpp)

if [ $# = 0 ] || [ "$1" = all ]; then
    files=(runtime/*.c runtime/variants/*.c)
    [ "${1:-}" != all ] || files+=("${tools[@]}")
else
    files=("$@")
fi

ran=0 failed=0
if command -v cppcheck >/dev/null; then
    ran=1
    cppcheck --quiet --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -I. -Iruntime \
        -Iruntime/include --suppress=missingIncludeSystem "${files[@]}" || failed=1
fi
if command -v clang-tidy >/dev/null; then
    ran=1
    known=()
    for file in "${files[@]}"; do ! grep -q "/$file\"" "$build/compile_commands.json" || known+=("$file"); done
    printf '%s\n' "${known[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2>/dev/null || failed=1
fi
if [ $ran = 0 ]; then
    echo "static: skipped: neither cppcheck nor clang-tidy is here"
    exit 77
fi
[ $failed = 1 ] || echo "static: ${#files[@]} files, no finding"
exit $failed
