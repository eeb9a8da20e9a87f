#!/usr/bin/env bash
# Lines and branches of the shipped runtime that the tests reach: all of runtime/ but the files that only test programs have
# (exec, trial, trial_cuda, fill, asserts), whose trials run in processes that end before they could report. SPDX-License-Identifier: MIT
# scripts/coverage.sh [ARGUMENTS of gcovr]; needs gcovr.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v gcovr >/dev/null || { echo "coverage: gcovr is not here; install it, for example with: apt-get install gcovr" >&2; exit 2; }
PRESET=coverage scripts/build.sh
find build/coverage -name '*.gcda' -delete
HCONV_ENV=$(realpath -m "${HCONV_ENV:-.env}")
PATH="$HCONV_ENV/bin:$PATH" ctest --preset coverage
gcovr --root . --object-directory build/coverage --filter 'runtime/' --exclude 'runtime/(exec|trial|trial_cuda|fill|asserts)\.c' \
    --exclude-unreachable-branches --print-summary --txt build/coverage/lines.txt "$@"
cat build/coverage/lines.txt
gcovr --root . --object-directory build/coverage --filter 'runtime/' --exclude 'runtime/(exec|trial|trial_cuda|fill|asserts)\.c' \
    --exclude-unreachable-branches --branches --txt build/coverage/branches.txt --fail-under-line 100 --fail-under-branch 95
