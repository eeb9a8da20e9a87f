#!/usr/bin/env bash
# Compares the runtime's binary interface (functions, structs, the table of kernels) with an earlier one.
# SPDX-License-Identifier: MIT
# scripts/abidiff.sh [OLD [NEW]]: each a folder with the runtime's sources, or a git revision; OLD: the newest tag before this
# commit, NEW: runtime/ as it lies here. Exit status: 0 = what was compiled against OLD runs with NEW, 1 = it does not,
# 2 = bad usage, 77 = abidiff is not here.
set -euo pipefail
cd "$(dirname "$0")/.."
cc=${CC:-cc}

command -v abidiff >/dev/null || { echo "abidiff is not here: install abigail-tools"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shared_object NAME WHAT: the public functions of WHAT in $work/NAME.so, with debug information, and nothing else exported.
shared_object() {
    local folder=$2
    if [ ! -d "$folder" ]; then
        git rev-parse -q --verify "$folder^{commit}" >/dev/null || { echo "$folder is no folder and no revision" >&2; exit 2; }
        mkdir "$work/$1"
        git archive "$folder" runtime | tar -x -C "$work/$1"
        folder=$work/$1/runtime
    fi
    { printf '{ global:\n'; sed -n 's/^\(hconv_[a-z_]*\)$/    \1;/p' tests/api/symbols.txt; printf 'local: *; };\n'; } >"$work/exports"
    local sources=()
    while IFS= read -r source; do
        case ${source##*/} in exec.c | asserts.c | trial.c | trial_cuda.c | fill.c) continue ;; esac # of the run program
        sources+=("$source")
    done < <(find "$folder" -name '*.c' | sort)
    "$cc" -std=c99 -g -O0 -fPIC -shared -I"$folder" -I"$folder/include" -Wl,--version-script="$work/exports" \
        -Wl,-soname,libhconv.so "${sources[@]}" -o "$work/$1.so" -lm -lpthread -ldl
}

old=${1:-$(git describe --tags --abbrev=0 'HEAD^' 2>/dev/null || true)}
if [ -z "$old" ]; then
    echo "no earlier tag to compare with: name a revision, scripts/abidiff.sh REVISION"
    exit 0
fi
shared_object old "$old"
shared_object new "${2:-runtime}"
status=0
# What was added breaks nobody.
abidiff --no-added-syms --no-show-locs "$work/old.so" "$work/new.so" >"$work/report" || status=$?
cat "$work/report"
if [ $((status & 3)) != 0 ]; then # it failed or was misused; 4 and 8 say that something changed
    exit 2
elif [ "$status" != 0 ]; then
    echo "not the binary interface of $old: raise the minor version, and HCONV_LIBRARY_ABI where hconv/library.h changed"
    exit 1
fi
echo "what was compiled against $old runs with this"
