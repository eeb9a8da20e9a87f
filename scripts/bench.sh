#!/usr/bin/env bash
# Times the layers of bench/problems/headline.txt, or of the problem lists given, on this machine. SPDX-License-Identifier: MIT
# scripts/bench.sh [LIST.txt...]; HCONV_THREADS: threads (default 1); rows also go to out/bench-<list>.json.
set -euo pipefail
cd "$(dirname "$0")/.."
hconv=build/${PRESET:-release}/hconv
[ $# -gt 0 ] || set -- bench/problems/headline.txt
mkdir -p out
for list in "$@"; do
    echo "$list"
    "$hconv" bench "@$list" --threads "${HCONV_THREADS:-1}" --json "out/bench-$(basename "$list" .txt).json"
done
