#!/usr/bin/env bash
# Finds the face in a photo: builds the program (build.sh), runs it, writes out/face_detect.png.
# SPDX-License-Identifier: MIT
# PHOTO=any.png instead of scikit-image's astronaut; the other variables are build.sh's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export HCONV_ENV=${HCONV_ENV:-$root/.env} FACE_DETECT_BUILD=${FACE_DETECT_BUILD:-$root/build/face_detect}
out=${FACE_DETECT_OUT:-$root/out}
started=$SECONDS

"$here/build.sh"
photo=${PHOTO:-$("$HCONV_ENV/bin/python" "$here/photo.py" astronaut.png)}
mkdir -p "$out"
archive=$FACE_DETECT_BUILD/library/libface_detect.a
printf 'demo: library: %d bytes on disk, of which %d bytes of code and constants; whole program: %d bytes\n' \
    "$(stat -c %s "$archive")" "$(size "$archive" | awk 'NR > 1 { sum += $1 } END { print sum }')" \
    "$(size "$FACE_DETECT_BUILD/face_detect" | awk 'NR == 2 { print $1 }')"
echo
"$FACE_DETECT_BUILD/face_detect" --weights "$FACE_DETECT_BUILD/face_detect.weights" "$photo" -o "$out/face_detect.png"
echo
echo "demo: $((SECONDS - started)) s in all"
