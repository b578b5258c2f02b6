#!/bin/sh
# Installs MicroPython's type stubs, as pinned in pyproject.toml, into build/typings.
set -eu
cd "$(dirname "$0")/../.."

pins=$(.venv/bin/python -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["typings"])')
rm -rf build/typings
# shellcheck disable=SC2086  # a list of words
PIP_USER=0 .venv/bin/python -m pip install --disable-pip-version-check --quiet --target build/typings $pins
touch build/typings/.ready
