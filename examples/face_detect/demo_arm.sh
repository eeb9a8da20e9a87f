#!/usr/bin/env bash
# Cross-compiles the face detector and one WTConv block for ARM, runs both on an emulated processor, compares the answers.
# SPDX-License-Identifier: MIT
# CPU: qemu's name of the processor (default: cortex-a72). The face must be expected.json's, which the mtcnn package gave; the block
# the golden case's, which the original module gave.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export HCONV_ENV=${HCONV_ENV:-$root/.env} FACE_DETECT_BUILD=${FACE_DETECT_BUILD:-$root/build/face_detect_arm}
export HCONV=${HCONV:-$root/build/${PRESET:-release}/hconv}
runner="qemu-aarch64 -cpu ${CPU:-cortex-a72} -L /usr/aarch64-linux-gnu"
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v $tool >/dev/null || { echo "demo: no $tool: install qemu-user and gcc-aarch64-linux-gnu" >&2; exit 2; }
done
CC=aarch64-linux-gnu-gcc HCONV_TARGET=arm-64-linux HCONV_RUNNER=$runner PICTURES=ppm "$here/build.sh"
file -b "$FACE_DETECT_BUILD/face_detect" 2>/dev/null | cut -d, -f1,2 || true
exec "$HCONV_ENV/bin/python" "$here/demo_arm.py" "$HCONV" "$FACE_DETECT_BUILD" "$runner"
