#!/usr/bin/env bash
# Builds everything, runs all tests and closes with a line 'N passed, N failed'.
# SPDX-License-Identifier: MIT
# Arguments go to ctest: scripts/test.sh -L api. HCONV_TEST_LIMIT: seconds after which building and testing end, whatever runs
# then, and the summary is printed (default: none).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${PRESET:-release}
jobs=${HCONV_JOBS:-$(nproc)}
build=build/$preset
HCONV_ENV=$(realpath -m "${HCONV_ENV:-.env}")
export HCONV_ENV PATH="$HCONV_ENV/bin:$PATH"
started=$SECONDS
limit=${HCONV_TEST_LIMIT:-0}
within_limit=()
[ "$limit" = 0 ] || within_limit=(timeout "$limit")

mkdir -p "$build"
"${within_limit[@]}" scripts/build.sh | tee "$build/build.log" || {
    echo "the build failed${within_limit:+, or took longer than HCONV_TEST_LIMIT=$limit seconds}" >&2
    exit 1
}
built=$SECONDS
result=0
rm -f "$build/tests.xml"
[ "$limit" = 0 ] || set -- --stop-time "$(date -d "+$((limit - SECONDS)) seconds" +%T)" "$@"
ctest --preset "$preset" --parallel "$jobs" --no-tests=error --output-junit "$PWD/$build/tests.xml" "$@" || result=$?

# Of the first lines of the JUnit file, and of what hconv emit says: "70 kernels (12 compiled in 9.5 s of processor time, ...".
count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\"\$/\1/p" "$build/tests.xml" | head -1; }
total=$(count tests)
failed=$(count failures)
skipped=$(count skipped)
echo
cat "$build/build.log" "$build/tests.xml" | sed -n 's/.* \([0-9]*\) kernels (\([0-9]*\) compiled in \([0-9.]*\) s.*/\1 \2 \3/p' |
    awk '{ all += $1; made += $2; time += $3 }
         END { printf "kernels: %d, of which %d compiled now in %.0f s of processor time\n", all, made, time }'
echo "time: build $((built - started)) s, tests $((SECONDS - built)) s"
echo "$((total - failed - skipped)) passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
exit $result
