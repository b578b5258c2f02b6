#!/bin/sh
# Makes .venv with the packages of pyproject.toml and this project itself, editable; the emulator among them is
# compiled anew, see emulator.py. With an extra of pyproject.toml as its argument it installs that too. Can be broken
# off and run again.
# Package index, proxy and certificates are those of the machine's own pip settings.
set -eu
cd "$(dirname "$0")/../.."
extra=${1:-}
ready=.venv/.ready${extra:+-$extra}

mkdir -p build
if command -v flock >/dev/null; then # two makes at once: the second waits, then finds nothing to do
    exec 9>build/.setup.lock
    flock 9
fi
if [ "$ready" -nt pyproject.toml ] && [ "$ready" -nt tools/setup/emulator.patch ] &&
    [ "$(cat .venv/.place)" = "$PWD" ]; then
    [ ! -e .venv/.emulator-lacks ] || .venv/bin/python tools/setup/emulator.py
    exit 0
fi

quiet=--quiet
# A venv holds absolute paths, so one that was moved, or that was never finished, is made anew.
if [ "$(cat .venv/.place 2>/dev/null)" != "$PWD" ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    echo "setup: making .venv and installing the packages of pyproject.toml (a minute or so)"
    quiet=
    rm -rf .venv
    python3 -m venv .venv
    echo "$PWD" >.venv/.place
else
    echo "setup: bringing .venv up to date with pyproject.toml"
fi
# shellcheck disable=SC2086  # no word, or one
PIP_USER=0 .venv/bin/python -m pip install --disable-pip-version-check $quiet --editable ".${extra:+[$extra]}"
.venv/bin/python tools/setup/emulator.py
touch .venv/.ready "$ready"
