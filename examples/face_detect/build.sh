#!/usr/bin/env bash
# Makes the demo's program: packages of PyPI -> weights file; problems.txt -> library; C -> program.
# SPDX-License-Identifier: MIT
# HCONV: the hconv command; HCONV_ENV: the Python environment; FACE_DETECT_BUILD: where to build; CC: the compiler;
# HCONV_TARGET: what to emit for (default: x86-64-linux, all its levels); HCONV_RUNNER: what runs its programs here;
# PICTURES=ppm: pictures are PPM files, without libpng.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
env=${HCONV_ENV:-$root/.env}
hconv=${HCONV:-$root/build/${PRESET:-release}/hconv}
build=${FACE_DETECT_BUILD:-$root/build/face_detect}
read -ra cc <<<"${CC:-cc}"

say() { printf 'demo: %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
now() { date +%s%N; }
step() { # step "what" command...: runs it and says how long it took
    local what=$1 start
    start=$(now)
    shift
    "$@"
    say "$what: $((($(now) - start) / 1000000)) ms"
}

packages() {
    local try stamp=$env/face-detect-requirements.txt
    cmp -s "$here/requirements.txt" "$stamp" && return 0
    for try in 1 2 3; do
        "$env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt" &&
            break
        [ "$try" -lt 3 ] || fail "pip could not install $here/requirements.txt into $env; see the lines above"
        sleep $((try * 5))
    done
    cp "$here/requirements.txt" "$stamp"
}

weights() {
    [ "$build/face_detect.weights" -nt "$here/convert_weights.py" ] &&
        [ "$build/face_detect.weights" -nt "$env/face-detect-requirements.txt" ] && return 0
    "$env/bin/python" "$here/convert_weights.py" -o "$build/face_detect.weights"
}

library() {
    "$hconv" emit "@$here/problems.txt" -o "$build/library" --name face_detect --target "${HCONV_TARGET:-x86-64-linux}" \
        ${HCONV_RUNNER:+--runner "$HCONV_RUNNER"}
}

program() {
    local files=("$here"/{boxes,detect,face_detect,image,nets,support,weights}.c)
    if [ "${PICTURES:-png}" = ppm ]; then files+=("$here/ppm/ppm.c")
    else
        printf '#include <png.h>\n' | "${cc[@]}" -E - >/dev/null 2>&1 || fail "png.h is not here: install libpng-dev"
        files+=("$here/png.c" -lpng)
    fi
    "${cc[@]}" -std=c99 -O2 -Wall -Wextra -pedantic -I"$build/library" -I"$here" "${files[@]}" "$build/library/libface_detect.a" \
        -lm -pthread -o "$build/face_detect"
}

[ -x "$env/bin/python" ] || fail "there is no Python in $env: run scripts/setup.sh, or name another with HCONV_ENV"
[ -x "$hconv" ] || fail "there is no $hconv: run make build, or name the command with HCONV"
mkdir -p "$build"
step "packages (weights, photo)" packages
step "weights converted" weights
step "library of every convolution and linear layer emitted" library
step "program compiled" program
