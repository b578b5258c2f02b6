#!/bin/sh
# What the machine itself must have before anything can be built: Python with venv, a C compiler, CMake and the Arm
# toolchain. Read the list of `need` lines below: a Debian package, then the test that says whether it is there, so
# that a tool from elsewhere counts too. What is missing is installed with apt-get, as root or by sudo; where that
# cannot be done the packages are named and nothing is changed.
set -eu

missing=
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
have() { command -v "$1"; }
arm_library() { [ -e "$(arm-none-eabi-gcc -print-file-name="$1")" ]; } # a bare name back means: not found

check() {
    missing=
    need python3 have python3
    need python3-venv python3 -c 'import ensurepip, venv'
    need build-essential c++ -E -x c++ -include stdio.h /dev/null
    need cmake have cmake
    need gcc-arm-none-eabi have arm-none-eabi-gcc
    need libnewlib-arm-none-eabi arm_library libc.a
    need libstdc++-arm-none-eabi-newlib arm_library libstdc++.a
}

stop() {
    echo "setup: this machine lacks:$missing" >&2
    echo "setup: $1" >&2
    exit 1
}

check
if [ -n "$missing" ]; then
    have apt-get >/dev/null || stop "these are Debian's package names; install what matches them here, then try again"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif have sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        stop "this user is neither root nor may use sudo; have an administrator run: apt-get install$missing"
    fi
    echo "setup: installing$missing"
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
    # A source that is of no use here may be out of reach: only a failed installation counts.
    $apt update || echo "setup: apt-get update reported errors, trying to install all the same" >&2
    # shellcheck disable=SC2086  # a list of words
    $apt install -y --no-install-recommends $missing || stop "apt-get could not install them (see above)"
    check
    [ -z "$missing" ] || stop "apt-get installed the packages, but their tools are not found on PATH"
fi

python3 - <<'PYTHON'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"setup: {sys.executable} is Python {sys.version.split()[0]}, Thecal needs 3.11 or newer")
PYTHON
