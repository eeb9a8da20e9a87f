#!/usr/bin/env bash
# Sets up what hconv needs: Debian packages, and a private Python environment with the pinned Halide and CMake.
# SPDX-License-Identifier: MIT
# Run again at any time: it does only what is missing. HCONV_ENV names another folder for the environment.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
env=${HCONV_ENV:-$root/.env}
python=${PYTHON:-python3}
stamp=$env/hconv-requirements.txt

needed=(g++ binutils llvm libcli11-dev nlohmann-json3-dev libpng-dev zlib1g-dev libgtest-dev libxxhash-dev libsqlite3-dev)
wanted=(libbenchmark-dev gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
    llvm-19 qemu-user abigail-tools pkg-config clang libclang-rt-dev) # without them some tests are skipped

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# A command that talks to the network: three tries, then its exit status.
retry() {
    local try
    for try in 1 2; do
        "$@" && return 0
        say "'$1' failed; trying again in $((try * 5)) s"
        sleep $((try * 5))
    done
    "$@"
}

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | cut -c1-2)" = ii ] || printf '%s ' "$name"
    done
}

debian_packages() {
    local missing optional as_root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        [ -e "$stamp" ] || say "no Debian packages here: provide what these hold yourself: ${needed[*]}; optional: ${wanted[*]}"
        return 0
    fi
    missing=$(missing_packages "${needed[@]}")
    optional=$(missing_packages "${wanted[@]}")
    [ -n "$missing$optional" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
        elif [ -n "$missing" ]; then
            fail "these Debian packages are missing: $missing- install them with: sudo apt-get install $missing$optional"
        else
            [ -e "$stamp" ] || say "optional Debian packages are not here: $optional- some tests will be skipped"
            return 0
        fi
    else
        as_root=(env DEBIAN_FRONTEND=noninteractive)
    fi
    say "installing Debian packages: $missing$optional"
    retry "${as_root[@]}" apt-get update -qq || say "apt-get update failed; going on with the old lists"
    # shellcheck disable=SC2086 # lists of names
    if [ -n "$missing" ]; then
        retry "${as_root[@]}" apt-get install -y -qq --no-install-recommends $missing >&2 ||
            fail "apt-get could not install: $missing- install them and run again"
    fi
    for package in $optional; do
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$package" >&2 ||
            say "optional package $package could not be installed; the tests that use it will be skipped"
    done
}

python_environment() {
    cmp -s "$root/requirements.txt" "$stamp" && [ -x "$env/bin/cmake" ] && return 0
    command -v "$python" >/dev/null || fail "$python is not on the PATH: install Python 3.9 or newer"
    if ! "$env/bin/python" -m pip --version >/dev/null 2>&1; then
        "$python" -c 'import venv, ensurepip' 2>/dev/null ||
            fail "$python cannot make environments (its venv lacks ensurepip): install python3-venv, for example with: apt-get install python3-venv"
        say "making the Python environment $env"
        "$python" -m venv --clear "$env" || fail "$python -m venv $env failed"
    fi
    say "installing $(grep -v '^#' "$root/requirements.txt" | tr '\n' ' ')(about 120 MB, once)"
    retry "$env/bin/python" -m pip install --disable-pip-version-check --progress-bar off -r "$root/requirements.txt" ||
        fail "pip could not install requirements.txt into $env; see the lines above"
    cp "$root/requirements.txt" "$stamp.new" && mv "$stamp.new" "$stamp"
    say "ready: $env"
}

mkdir -p "$env" || fail "cannot write to $env; set HCONV_ENV to a folder that can be written"
if command -v flock >/dev/null; then
    exec 9>"$env.lock"
    flock 9
fi
debian_packages
python_environment
