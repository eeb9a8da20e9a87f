#!/usr/bin/env bash
# Runs every golden case below HCONV_GOLDENS (default: the project's own) through the public API, in both layouts.
# SPDX-License-Identifier: MIT
# The cases' problems -> hconv emit -> a shared library of the archive -> golden_runner, which loads it.
# HCONV_BUILD: where hconv and golden_runner are (default: build/$PRESET); HCONV_TARGET: what to emit for (default: host).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${HCONV_BUILD:-$here/../build/${PRESET:-release}}")
hconv=${HCONV:-$build/hconv} runner=$build/golden_runner
goldens=$(realpath -m "${HCONV_GOLDENS:-$here/goldens}")
target=${HCONV_TARGET:-host}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in "$hconv" "$runner"; do
    [ -x "$program" ] || { echo "goldens: $program is not built; run 'make build'" >&2; exit 2; }
done

result=0
declare -A total=([passed]=0 [failed]=0 [skipped]=0)
for layout in nhwc nchw; do
    list=$work/$layout.txt out=$work/$layout
    "$runner" --list "$goldens" --layout $layout >"$list"
    problems=$(wc -l <"$list")
    echo "goldens: $goldens in $layout, $problems problems"
    if [ "$problems" -gt 0 ]; then
        "$hconv" emit "@$list" -o "$out" --name goldens --target "$target" --no-verify
        "${CC:-cc}" -shared -o "$work/$layout.so" -Wl,--whole-archive "$out/libgoldens.a" -Wl,--no-whole-archive -pthread -lm
    fi
    "$runner" --run "$goldens" --library "$work/$layout.so" --name goldens --layout $layout | tee "$work/log" || result=$?
    while read -r count word; do total[$word]=$((total[$word] + count)); done < <(tail -1 "$work/log" | tr ',' '\n')
done
echo "${total[passed]} passed, ${total[failed]} failed, ${total[skipped]} skipped"
exit $result
