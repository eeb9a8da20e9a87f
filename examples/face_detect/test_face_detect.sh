#!/usr/bin/env bash
# Builds the demo's program and tests it. SPDX-License-Identifier: MIT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export HCONV_ENV=${HCONV_ENV:-$root/.env} FACE_DETECT_BUILD=${FACE_DETECT_BUILD:-$root/build/face_detect}
"$here/build.sh"
exec "$HCONV_ENV/bin/python" "$here/test_face_detect.py" "$FACE_DETECT_BUILD/face_detect" \
    "$FACE_DETECT_BUILD/face_detect.weights"
