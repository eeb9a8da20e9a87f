#!/usr/bin/env bash
# Checks every kernel of the smoke and the full problem lists, at every level this CPU has. SPDX-License-Identifier: MIT
# tests/full.sh [VARIANT...]; HCONV_BUILD: where hconv is (default: build/$PRESET); HCONV_TARGET: another target.
set -euo pipefail
cd "$(dirname "$0")/.."
hconv=${HCONV:-${HCONV_BUILD:-build/${PRESET:-release}}/hconv}
target=${HCONV_TARGET:-host}
[ "$target$(uname -m)" != hostx86_64 ] || target=x86-64-linux
[ -x "$hconv" ] || { echo "full: $hconv is not built; run 'make build'" >&2; exit 2; }
[ $# -gt 0 ] || set -- $(basename -s _full.txt tests/problems/*_full.txt)
result=0
for variant in "$@"; do
    echo "full: $variant"
    "$hconv" check "@tests/problems/$variant.txt" "@tests/problems/${variant}_full.txt" --target "$target" || result=$?
done
exit $result
