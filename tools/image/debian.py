"""Fetches the sources of the image from Debian, with apt, and leaves the machine's apt as it is.

MicroPython and all it needs are packaged in Debian trixie, so the machine's own mirror has them and apt
checks their signatures. apt is given a configuration of its own in the build folder: another suite, other
lists, another cache. `sources` is the door; what it has fetched once it does not fetch again.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

from . import apt_sources
from .process import BuildError, output, run

SUITE = "trixie"
# Upstream tarballs where there are any (pico-sdk's binary package leaves out tools/pioasm); tinyusb's sources
# come as a binary package.
SOURCE_PACKAGES = ("micropython", "pico-sdk", "mbedtls")
BINARY_PACKAGE = "tinyusb-source"
BINARY_TREE = "usr/src/tinyusb"


@dataclass
class SourcePackage:
    """A package the image is made from, as its record names it."""

    name: str
    version: str
    file: str
    sha256: str


def sources(work: Path, log: Path) -> tuple[dict[str, Path], list[SourcePackage]]:
    """Unpacked trees by package name, and what they are; fetched into `work` unless they are there."""
    listing = work / "sources.json"  # written last: while it is missing nothing here is taken for complete
    trees = {name: work / "src" / name for name in (*SOURCE_PACKAGES, BINARY_PACKAGE)}
    if listing.is_file() and all(tree.is_dir() for tree in trees.values()):
        packages = [SourcePackage(**entry) for entry in json.loads(listing.read_text())]
    else:
        packages = _fetch(work, log)
        shutil.rmtree(work / "src", ignore_errors=True)
        for package in packages:
            _unpack(work / "download" / package.file, trees[package.name])
        partial = listing.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(package) for package in packages], indent=2))
        partial.replace(listing)
    return trees, packages


def _fetch(work: Path, log: Path) -> list[SourcePackage]:
    download = work / "download"
    download.mkdir(parents=True, exist_ok=True)
    options = _private_apt(work, log)
    # apt itself goes on with half a file, and checks the hash of a whole one.
    tarballs = ["source", "--download-only", "--tar-only", *SOURCE_PACKAGES]
    run(f"fetching {', '.join(SOURCE_PACKAGES)}", ["apt-get", *options, *tarballs], log, download)
    run(f"fetching {BINARY_PACKAGE}", ["apt-get", *options, "download", BINARY_PACKAGE], log, download)
    packages = []
    for name in (*SOURCE_PACKAGES, BINARY_PACKAGE):
        show = "show" if name == BINARY_PACKAGE else "showsrc"
        about = output(["apt-cache", *options, show, name])
        version = next((line.split()[1] for line in about.splitlines() if line.startswith("Version:")), "")
        upstream = version.rpartition("-")[0].split(":")[-1]
        files = sorted(download.glob(f"{name}_{upstream}*"))
        if not version or len(files) != 1:
            raise BuildError(
                f"{name} {version or '(no version)'}: expected its file, found {files or 'none'}"
            )
        digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
        packages.append(SourcePackage(name, version, files[0].name, digest))
    return packages


def _private_apt(work: Path, log: Path) -> list[str]:
    """Options that make apt use the machine's mirror with trixie, in `work` alone. The lists are fetched."""
    machine = []
    for path in sorted([Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]):
        if path.suffix == ".sources":
            machine += apt_sources.parse_stanzas(path.read_text(errors="replace"))
        elif path.suffix == ".list" and path.is_file():
            machine += apt_sources.parse_lines(path.read_text(errors="replace"))
    mirrors = apt_sources.candidates(machine)
    if not mirrors:
        raise BuildError(
            "no Debian mirror among this machine's apt sources (/etc/apt/sources.list.d).\n"
            "On another system build from a MicroPython checkout: make image MICROPYTHON_DIR=<checkout>"
        )

    apt = work / "apt"
    for folder in ("sources.d", "lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    configuration = apt / "apt.conf"
    configuration.write_text(f"""\
// Read after the machine's own configuration, so its proxies and certificates hold.
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{apt}/sources.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "{apt}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{apt}/cache";
Dir::Cache::Archives "archives";
APT::Default-Release "";
APT::Sandbox::User "root"; // the build folder need not be open to the user _apt
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Quiet "1";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
""")
    options = [f"--config-file={configuration}"]
    failures = []
    for mirror in mirrors:
        (apt / "sources.d" / f"{SUITE}.sources").write_text(apt_sources.render(mirror, SUITE))
        try:
            run(f"asking the mirror for Debian {SUITE}", ["apt-get", *options, "update"], log, work)
            return options
        except BuildError as error:
            failures.append(f"{' '.join(mirror.uris)}:\n{error}")
    hint = "If a signature could not be checked, upgrade the package debian-archive-keyring."
    raise BuildError("\n".join([*failures, f"no mirror of this machine has Debian {SUITE}. {hint}"]))


def _unpack(archive: Path, tree: Path) -> None:
    """Unpacks a tarball with one top folder, or a .deb of sources; `tree` is whole or not there."""
    unpacking = tree.with_name(tree.name + ".partial")
    shutil.rmtree(unpacking, ignore_errors=True)
    unpacking.mkdir(parents=True)
    if archive.suffix == ".deb":
        subprocess.run(["dpkg", "-x", archive, unpacking], check=True)
        top = unpacking / BINARY_TREE
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacking)
        (top,) = unpacking.iterdir()
    top.rename(tree)
    shutil.rmtree(unpacking, ignore_errors=True)
