#!/usr/bin/env bash
# The emitted folder as part of an application's own sources, built by a C compiler and nothing else.
# SPDX-License-Identifier: MIT
# build.sh OUT: emits OUT/mynet with $HCONV (default: hconv) where it is not there yet, then compiles OUT/vendored with $CC.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUT}
mkdir -p "$out"
# Once, on a developer's machine: the folder is then checked in, or copied to where the application is built.
[ -e "$out/mynet" ] || "${HCONV:-hconv}" emit 'conv2d_ci4_h?_w?_co6_k3_s2_p1_silu' -o "$out/mynet" --name mynet
# From here on hconv is not needed.
cd "$out"
"${CC:-cc}" -std=c99 -O2 -Wall -pedantic -Imynet "$here/vendored.c" mynet/mynet.c mynet/hconv/src/*.c \
    mynet/hconv/src/variants/*.c mynet/libmynet_kernels.a -lm -lpthread -o vendored
