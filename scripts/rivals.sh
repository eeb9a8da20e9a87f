#!/usr/bin/env bash
# bench/rivals.py in an environment of its own, .env/rivals: PyTorch, OpenVINO, ONNX Runtime and oneDNN (some gigabytes, once).
# SPDX-License-Identifier: MIT
# Arguments go to bench/rivals.py; HCONV_RIVALS_PYTHON names a Python that has all of bench/requirements.txt instead.
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --help "* | *" -h "*) exec "${PYTHON:-python3}" bench/rivals.py --help ;; esac  # without gigabytes first
environment=${HCONV_ENV:-.env}/rivals
python=${HCONV_RIVALS_PYTHON:-$environment/bin/python}
if [ -z "${HCONV_RIVALS_PYTHON:-}" ] && ! cmp -s bench/requirements.txt "$environment/requirements.txt"; then
    "${PYTHON:-python3}" -m venv --clear "$environment"
    "$python" -m pip install --disable-pip-version-check --progress-bar off -r bench/requirements.txt
    cp bench/requirements.txt "$environment/requirements.txt"
fi
if [ -z "${HCONV_RIVALS_PYTHON:-}" ] && ! cmp -s bench/requirements-onednn.txt "$environment/requirements-onednn.txt"; then
    "$python" -m pip install --disable-pip-version-check --progress-bar off -r bench/requirements-onednn.txt ||
        echo "rivals.sh: oneDNN could not be installed; the others take part" >&2
    cp bench/requirements-onednn.txt "$environment/requirements-onednn.txt"
fi
exec "$python" bench/rivals.py "$@"
