#!/usr/bin/env bash
# Builds everything, runs all tests and closes with a line 'N passed, N failed'.
# SPDX-License-Identifier: MIT
# Arguments go to ctest: scripts/test.sh -L api
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${PRESET:-release}
jobs=${HCONV_JOBS:-$(nproc)}
build=build/$preset
HCONV_ENV=$(realpath -m "${HCONV_ENV:-.env}")
export HCONV_ENV PATH="$HCONV_ENV/bin:$PATH"
started=$SECONDS

scripts/build.sh
built=$SECONDS
result=0
rm -f "$build/tests.xml"
ctest --preset "$preset" --parallel "$jobs" --no-tests=error --output-junit "$PWD/$build/tests.xml" "$@" || result=$?

count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\"\$/\1/p" "$build/tests.xml" | head -1; }
total=$(count tests)
failed=$(count failures)
skipped=$(count skipped)
echo
echo "time: build $((built - started)) s, tests $((SECONDS - built)) s"
echo "$((total - failed - skipped)) passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
exit $result
