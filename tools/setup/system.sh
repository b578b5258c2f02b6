#!/bin/sh
# What the machine itself must have before anything can be built: Python with venv, a C compiler, CMake and the Arm
# toolchain. Read the list of `need` lines below: a Debian package, then the test that says whether it is there, so
# that a tool from elsewhere counts too. What is missing is installed with apt-get, as root or by sudo; where that
# cannot be done the packages are named and nothing is changed. What only makes things faster is a `want` line: it
# is asked for once, before .venv is made, and nothing stops for lack of it.
# With an extra of pyproject.toml as its argument it also asks for what that wants.
set -eu
cd "$(dirname "$0")/../.."
extra=${1:-}

missing=
wanted=
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
want() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || wanted="$wanted $package"
}
have() { command -v "$1"; }
arm_library() { [ -e "$(arm-none-eabi-gcc -print-file-name="$1")" ]; } # a bare name back means: not found
broker() { have mosquitto || [ -x /usr/sbin/mosquitto ]; }
python_headers() { # counted as there for a Python that is not Debian's: the package would not help it
    python3 - <<'PYTHON'
import os, sys, sysconfig
sys.exit(sys.prefix == "/usr" and not os.path.isfile(sysconfig.get_path("include") + "/Python.h"))
PYTHON
}

check() {
    missing=
    wanted=
    need python3 have python3
    need python3-venv python3 -c 'import ensurepip, venv'
    need build-essential c++ -E -x c++ -include stdio.h /dev/null
    need cmake have cmake
    need gcc-arm-none-eabi have arm-none-eabi-gcc
    need libnewlib-arm-none-eabi arm_library libc.a
    need libstdc++-arm-none-eabi-newlib arm_library libstdc++.a
    [ -e .venv/.ready ] || want python3-dev python_headers
    [ -e .venv/.ready ] || want patch have patch # for the emulator, see emulator.py
    [ -e .venv/.ready ] || want pypy3 have pypy3 # long in-process runs, see tools/thecal_bench/pypy
    [ "$extra" != desk ] || [ -e .venv/.ready-desk ] || want mosquitto broker # tests of the gateway
    [ "$extra" != desk ] || [ -e .venv/.ready-desk ] || want openssl have openssl # its broker's certificate
    [ "$extra" != desk ] || [ -e .venv/.ready-desk ] || want chromium have chromium # tests of the desk's pages
    [ "$extra" != desk ] || [ -e .venv/.ready-desk ] || want chromium-driver have chromedriver
}

stop() {
    echo "setup: this machine lacks:$missing" >&2
    echo "setup: $1" >&2
    exit 1
}

may_install() { # as root, or by sudo, which asks for a password only where there is no way round it
    have apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif have sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -n "$missing" ] && [ -t 0 ]; }; }; then
        as_root=sudo
    else
        return 1
    fi
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
}

check
if [ -n "$missing" ] && ! may_install; then
    have apt-get >/dev/null || stop "these are Debian's package names; install what matches them here, then try again"
    stop "this user is neither root nor may use sudo; have an administrator run: apt-get install$missing$wanted"
fi
if [ -n "$missing$wanted" ] && may_install; then
    echo "setup: installing$missing$wanted"
    # A source that is of no use here may be out of reach: only a failed installation counts.
    $apt update || echo "setup: apt-get update reported errors, trying to install all the same" >&2
    for packages in "$missing" "$wanted"; do
        # shellcheck disable=SC2086  # a list of words
        [ -z "$packages" ] || $apt install -y --no-install-recommends $packages ||
            [ "$packages" = "$wanted" ] || stop "apt-get could not install them (see above)"
    done
    check
    [ -z "$missing" ] || stop "apt-get installed the packages, but their tools are not found on PATH"
fi

python3 - <<'PYTHON'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"setup: {sys.executable} is Python {sys.version.split()[0]}, Thecal needs 3.11 or newer")
PYTHON
