"""Makes the emulator in .venv ten times faster, by compiling it for this very Python (run by venv.sh).

Its wheel serves every Python from 3.11 on, so it may only use the part of Python's C interface that never
changes, and pays for that at every emulated instruction. The same sources without that restriction behave the
same. What is left of Python in the loop over the instructions is taken out by emulator.patch, beside this
file; host_tests/chip/test_adapter_compiled.py holds the result to the emulator's plain Python. Only speed is
at stake here: whatever is missing or goes wrong is told in one line, and the emulator stays as it came.

Read `main` for the order of things. The wheel that was built is kept in build/emulator/, for the next .venv.
"""

import hashlib
import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "rp2040py"
PATCH = Path(__file__).with_suffix(".patch")
# For no other Python and no other patch: the name of the wheel will claim more.
ABI = str(sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag)
WHEELS = ROOT / "build/emulator" / f"{ABI}-{hashlib.sha256(PATCH.read_bytes()).hexdigest()[:8]}"
LOG = ROOT / "build/emulator/build.log"
# Present while a compiler or headers are missing, so that venv.sh asks again: they may be there next time.
LACKING = ROOT / ".venv/.emulator-lacks"
RETRY = "to try again: rm .venv/.ready; make setup"


def is_rebuilt() -> bool:
    """Whether the installed emulator is one that was built here, with the patch as it is now."""
    origin = importlib.metadata.distribution(PACKAGE).read_text("direct_url.json")
    return origin is not None and f"/build/emulator/{WHEELS.name}/" in json.loads(origin)["url"]


def lacks() -> str | None:
    """What this machine lacks to compile an extension of this Python, or None."""
    compiler = shlex.split(os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc"))
    paths = sysconfig.get_paths()
    if not Path(paths["include"], "Python.h").is_file():
        return f"there is no {paths['include']}/Python.h (Debian's package python3-dev)"
    includes = [f"-I{paths['include']}", f"-I{paths['platinclude']}"]
    try:
        command = [*compiler, *includes, "-E", "-x", "c", "-include", "Python.h", os.devnull]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return f"the C compiler `{compiler[0]}` does not work (Debian's package build-essential)"
    return None


def is_complete(wheel: Path) -> bool:
    """Whether every module of the emulator that can be compiled was: its build leaves out what fails."""
    names = zipfile.ZipFile(wheel).namelist()
    sources = {name.removesuffix(".pyx") for name in names if name.endswith(".pyx")}
    compiled = {name.partition(".")[0] for name in names if name.endswith(".so")}
    return bool(sources) and sources == compiled


def run(command: list[str], cwd: Path | None = None, **environment: str) -> None:
    """Runs a command; what it says goes to build/emulator/build.log."""
    with LOG.open("a") as log:
        print("$", shlex.join(command), file=log, flush=True)
        said = {"stdout": log, "stderr": subprocess.STDOUT}
        subprocess.run(command, check=True, cwd=cwd, env={**os.environ, **environment}, **said)


def pip(*words: str, **environment: str) -> None:
    """Runs pip; what it says goes to build/emulator/build.log."""
    command = [sys.executable, "-m", "pip", words[0], "--disable-pip-version-check", *words[1:]]
    run(command, None, PIP_USER="0", **environment)


def build(version: str) -> None:
    """Builds a wheel of that version, patched, into WHEELS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch = ("--no-deps", "--no-binary", PACKAGE, "--dest", name, f"{PACKAGE}=={version}")
        pip("download", *fetch, RP2040PY_SKIP_NATIVE_BUILD="1")  # pip looks into it; compiling comes below
        (archive,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder)
        source = folder / f"{PACKAGE}-{version}"
        run(["patch", "--strip=1", "--fuzz=0", "--input", str(PATCH)], source)
        # The emulator's build asks for the restricted interface by a definition on the command line, which
        # beats a -U there; a header read before the source comes later than both.
        header = folder / "whole_interface.h"
        header.write_text("#undef Py_LIMITED_API\n")
        flags = f"{os.environ.get('CFLAGS', '')} -include {shlex.quote(str(header))}".strip()
        pip("wheel", "--no-deps", "--wheel-dir", str(WHEELS), str(source), CFLAGS=flags)


def main() -> None:
    """Builds and installs, or says in one line why not."""
    LACKING.unlink(missing_ok=True)
    if is_rebuilt():
        return
    as_it_came = "setup: the emulator stays as it came, a tenth as fast"
    if reason := lacks():
        LACKING.write_text(reason + "\n")
        print(f"{as_it_came}: {reason}", file=sys.stderr)
        return
    version = importlib.metadata.version(PACKAGE)  # as pyproject.toml pins it
    try:
        WHEELS.mkdir(parents=True, exist_ok=True)
        LOG.write_text("")
        if not [*WHEELS.glob(f"{PACKAGE}-{version}-*.whl")]:
            print("setup: compiling the emulator for this Python (a minute or so)", flush=True)
            build(version)
        (wheel,) = WHEELS.glob(f"{PACKAGE}-{version}-*.whl")
        if not is_complete(wheel):
            wheel.unlink()
            raise ValueError("not all of it was compiled")
        pip("install", "--quiet", "--no-deps", "--force-reinstall", str(wheel))
    except (OSError, ValueError, subprocess.CalledProcessError, zipfile.BadZipFile):
        # Once, not at every make: a build that fails takes its time.
        print(f"{as_it_came}: build/emulator/build.log says why ({RETRY})", file=sys.stderr)


if __name__ == "__main__":
    main()
