#!/bin/bash
# Install spikecert for the competition.   install_tool.sh v1
# SPIKECERT_ENV names the environment; without it, .vnncomp beside this script. One that is there already is kept.
set -eu
[ "${1-}" = v1 ] || { echo "version: got '${1-}', expected v1" >&2; exit 1; }
here=$(cd -- "$(dirname -- "$(realpath -- "$0")")" && pwd)
root=$(cd -- "$here/../../.." && pwd)
env=${SPIKECERT_ENV:-$here/.vnncomp}
if ! [ -x "$env/bin/spikecert" ]; then
    "${PYTHON:-python3}" -m venv "$env"
    "$env/bin/pip" install --quiet -c "$root/requirements/constraints.txt" "$root"
fi
"$env/bin/spikecert" --version
