"""The control of `make bench`: the same MicroPython, built for its own board RPI_PICO, unchanged.

It boots as everybody's Pico does: the port's `_boot.py` mounts a filesystem (and makes one first, where there
is none), then `main.py` on it is run. Its manifest is less than the port's own: asyncio and the drivers
of micropython-lib, which Debian's sources lack, are left out; none of them runs at boot.

Kept in build/image/stock, and made only when its inputs have changed.
"""

import hashlib
import os

from . import build, record
from .process import run_script

TARGET = build.Target(build.WORK / "stock", "RPI_PICO", manifest=build.WORK / "stock" / "manifest.py")
UF2 = TARGET.work / "rpi-pico.uf2"
MADE_FOR = TARGET.work / "made-for"
MANIFEST = 'freeze("$(PORT_DIR)/modules")\n'


def main() -> None:
    """Builds the UF2 unless it is up to date."""
    TARGET.work.mkdir(parents=True, exist_ok=True)
    with (build.WORK / ".lock").open("w") as lock:
        build.wait_for(lock)
        checkout = os.environ.get("MICROPYTHON_DIR", "")
        toolchain = record.tool_versions()
        listing = record.file_sha256(build.WORK / "sources.json")
        inputs = hashlib.sha256(f"{toolchain}\n{listing}\n{MANIFEST}".encode()).hexdigest()
        made_for = f"{inputs} {record.file_sha256(UF2)}"
        # What a checkout brings in is not hashed: make finds out.
        if not checkout and UF2.is_file() and MADE_FOR.is_file() and MADE_FOR.read_text() == made_for:
            return
        TARGET.log.write_bytes(b"")
        assert TARGET.manifest is not None
        if not TARGET.manifest.is_file() or TARGET.manifest.read_text() != MANIFEST:
            TARGET.manifest.write_text(MANIFEST)
        sources = build.find_sources(checkout, TARGET.log)
        binary = build.compile_target(TARGET, sources, toolchain, inputs)
        partial = UF2.with_suffix(".partial")
        build.write_uf2(TARGET, sources, binary, partial)
        partial.replace(UF2)
        MADE_FOR.write_text("" if checkout else f"{inputs} {record.file_sha256(UF2)}")


if __name__ == "__main__":
    run_script(main)
