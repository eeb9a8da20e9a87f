#!/usr/bin/env bash
# ARM kernels on emulated processors: conformance, then golden cases through the public API. SPDX-License-Identifier: MIT
# tests/arm.sh: what make test runs, the list arm.txt and a case of each kind on a Cortex-A53, which has the least; arm-32-linux
# where its kernels differ: sizes that are divided, exp, three of four lanes.
# tests/arm.sh --all [smoke|arm32|goldens|full...]: the smoke lists and all golden cases on every processor, the smoke lists of
# arm-32-linux, the full lists on one; or only the parts that are named. Kernels are compiled once for all processors.
# HCONV: the command (default: build/$PRESET/hconv); MODELS: the processors. Exit status 77: what this needs is not here.
set -euo pipefail
cd "$(dirname "$0")/.."
hconv=$(realpath "${HCONV:-build/${PRESET:-release}/hconv}")
read -ra models <<<"${MODELS:-cortex-a53 cortex-a72 cortex-a76 neoverse-n1 max}"
cases=(condconv_K4 conv1d_d4_g2_s2 conv1d_transposed_k4_s2 conv2d_k3_s2_p1 conv2d_same_k4 depthwise_k5_mult2 dilated_d3_s2
    dsep_timm_bn_relu dynconv_K4_T34 grouped_g4_k3 linear_32_10 octave_fb_mid octave_mid_a05 octave_seed_mid_a05_s2 odconv_K4_k3
    pointwise_64_32 rowcol_random_3x7 spd_layer spdconv_k3_silu transposed_k4_s2_p1 transposed_k5_s3_p1_op2 wtconv1d_db1_L2
    wtconv2d_db1_L2_k3_odd wtconv2d_db2_L2_k5)
arm32=(conv2d_ci8_h?_co12_k3_p1_silu dynamicconv_ci16_h14_co16_k3_p1 transposed_ci4_h5_w6_co3_k3_s3_pr1_relu)
skip() { echo "skipped: $*"; exit 77; }
command -v qemu-aarch64 >/dev/null || skip "no qemu-aarch64: install qemu-user"
command -v aarch64-linux-gnu-gcc >/dev/null || skip "no aarch64-linux-gnu-gcc: install gcc-aarch64-linux-gnu"
[ -x "$hconv" ] || { echo "arm: $hconv is not built; run 'make build'" >&2; exit 2; }
all=0
if [ "${1:-}" = --all ]; then
    all=1
    shift
fi
for part in "$@"; do
    [[ " smoke arm32 goldens full " == *" $part "* ]] || { echo "arm: '$part' is none of smoke, arm32, goldens, full" >&2; exit 2; }
done
wanted=" ${*:-smoke arm32 goldens full} "
result=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { # check TARGET RUNNER PROBLEM...
    local target=$1 runner=$2
    shift 2
    echo "arm: $target, $runner: $*"
    "$hconv" check "$@" --target "$target" --runner "$runner" >"$work/log" 2>&1 || { result=1; grep -A1 FAILED "$work/log" || cat "$work/log"; }
    tail -2 "$work/log"
}

# The golden runner for ARM: what it takes from the runtime comes out of the archive whose kernels it loads.
goldens() { # goldens LAYOUT MODEL...
    local layout=$1 model
    shift
    "${HCONV_GOLDEN_RUNNER:-$(dirname "$hconv")/golden_runner}" --list "$work/goldens" --layout "$layout" >"$work/$layout.txt"
    "$hconv" emit "@$work/$layout.txt" -o "$work/$layout" --name goldens --target arm-64-linux --no-verify
    aarch64-linux-gnu-gcc -shared -Wl,--whole-archive "$work/$layout/libgoldens.a" -Wl,--no-whole-archive -pthread -o "$work/$layout.so"
    [ -e "$work/golden_runner" ] ||
        aarch64-linux-gnu-g++ -std=c++17 -O1 -DHCONV_INFLATES=0 -I. -Iruntime -Iruntime/include -Itests -idirafter "$work/include" tests/golden_runner.cpp \
            tests/golden_cases.cpp tools/separable.cpp tools/tensor_file.cpp "$work/$layout/libgoldens.a" -ldl -pthread -o "$work/golden_runner"
    for model in "$@"; do
        echo "arm: golden cases, $layout, $model"
        qemu-aarch64 -cpu "$model" -L /usr/aarch64-linux-gnu "$work/golden_runner" --run "$work/goldens" --library "$work/$layout.so" \
            --name goldens --layout "$layout" >"$work/log" || { result=1; grep FAIL "$work/log" || cat "$work/log"; }
        tail -1 "$work/log"
    done
}

wants() { [[ $wanted == *" $1 "* ]]; }

mkdir "$work/goldens" "$work/include"
ln -s /usr/include/nlohmann "$work/include/nlohmann"
smoke=(@tests/arm.txt)
layouts=(nhwc)
if [ $all = 1 ]; then
    smoke=()
    for list in tests/problems/*.txt; do [[ $list == *_full.txt ]] || smoke+=("@$list"); done
    arm32=("${smoke[@]}")
    layouts=(nhwc nchw)
    cp -r tests/goldens/*/ "$work/goldens"
else
    wanted=${wanted/ full / }
    models=("${models[0]}")
    for name in "${cases[@]}"; do cp -r "tests/goldens/$name" "$work/goldens"; done
fi
if wants smoke; then
    for model in "${models[@]}"; do check arm-64-linux "qemu-aarch64 -cpu $model" "${smoke[@]}"; done
fi
if wants arm32; then
    if command -v qemu-arm >/dev/null && command -v arm-linux-gnueabihf-gcc >/dev/null; then
        check arm-32-linux "qemu-arm -cpu cortex-a9" "${arm32[@]}"
    else echo "arm: arm-32-linux is not run: it takes gcc-arm-linux-gnueabihf and qemu-arm"; fi
fi
if wants goldens; then
    if command -v aarch64-linux-gnu-g++ >/dev/null; then
        for layout in "${layouts[@]}"; do goldens "$layout" "${models[@]}"; done
    else echo "arm: golden cases are not run: no aarch64-linux-gnu-g++; install g++-aarch64-linux-gnu"; fi
fi
if wants full; then
    for list in tests/problems/*_full.txt; do check arm-64-linux "qemu-aarch64 -cpu ${models[0]}" "@$list"; done
fi
exit $result
