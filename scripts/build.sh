#!/usr/bin/env bash
# Builds targets (default: everything) in build/$PRESET with the tools of the private environment.
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${PRESET:-release}
jobs=${HCONV_JOBS:-$(nproc)}
HCONV_ENV=$(realpath -m "${HCONV_ENV:-.env}")
export HCONV_ENV PATH="$HCONV_ENV/bin:$PATH"

scripts/setup.sh
case $preset in asan | tsan | coverage) # the tests' kernels are compiled by the command as it ships
    PRESET=release scripts/build.sh hconv ;;
esac
if [ ! -e "build/$preset/build.ninja" ] || [ "$(cat "build/$preset/environment" 2>/dev/null)" != "$HCONV_ENV" ]; then
    echo "build: configuring build/$preset"
    cmake --preset "$preset" --fresh >"build-$preset.log" 2>&1 || { cat "build-$preset.log"; rm "build-$preset.log"; exit 1; }
    mv "build-$preset.log" "build/$preset/configure.log"
    echo "$HCONV_ENV" >"build/$preset/environment"
fi
exec cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
