#!/usr/bin/env bash
# Packs up all that is to be tried and measured on a GPU into a folder of a few MB: programs in C, lists, scripts. There, without
# hconv, Halide or the CUDA Toolkit: FOLDER/run-all.sh. SPDX-License-Identifier: MIT
# scripts/gpu-pack.sh FOLDER; HCONV_TARGET: another target; LISTS: other problem lists than tests/codegen/cuda_problems.txt and
# bench/gpu/problems.txt, which are checked and timed.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
hconv=build/${PRESET:-release}/hconv
target=${HCONV_TARGET:-x86-64-linux/cuda80}
[ ! -e "$1" ] || { echo "gpu-pack: $1 is there already" >&2; exit 2; }
mkdir -p "$1"
for list in ${LISTS:-tests/codegen/cuda_problems.txt bench/gpu/problems.txt}; do
    name=$(basename "$(dirname "$list")")-$(basename "$list" .txt)
    "$hconv" check "@$list" --target "$target" --pack-up "$1/check-$name"
    "$hconv" bench "@$list" --target "$target" --pack-up "$1/bench-$name"
    # The same program and kernels are there once; run builds a program without the archive of the whole library.
    for part in library program; do
        diff -rq "$1/check-$name/$part" "$1/bench-$name/$part"
        rm -r "$1/bench-$name/$part"
        ln -s "../check-$name/$part" "$1/bench-$name/$part"
    done
    rm "$1/check-$name/library/libexec.a"
done
cp bench/gpu/rivals.py bench/gpu/problems.txt bench/gpu/run-all.sh "$1/"
chmod +x "$1/run-all.sh"
du -sh "$1"
