#!/usr/bin/env bash
# Checks the kernels with open sizes of the smoke lists once more, with Halide's own checks compiled in: without them a
# schedule that assumes too much of a size goes unseen. SPDX-License-Identifier: MIT
# tests/asserts.sh HCONV LIST...
set -euo pipefail
hconv=$1
shift
list=$(mktemp)
trap 'rm -f "$list"' EXIT
grep -h '^[^#]*?' "$@" >"$list"
"$hconv" check "@$list" --asserts | grep -v '\] passed'
