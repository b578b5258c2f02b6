"""Reads the machine's own apt sources, to know by which mirror it reaches Debian. Pure text in, text out.

Both formats are read: stanzas (`*.sources`) and single lines (`*.list`). `candidates` picks what looks like
Debian's main archive, best first; `render` writes such a source again for another suite, with its mirror and
its keys.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

DEBIAN_SUITES = frozenset(
    ["stable", "oldstable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke"]
)
# What goes along to the private source: whom to trust and how strictly, as the machine's owner has set it.
KEPT_OPTIONS = ("Signed-By", "Trusted", "Check-Valid-Until", "Check-Date")
ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(\s+\S+)*)\s*"
)


@dataclass
class AptSource:
    """One source of binary packages; `options` has the deb822 names."""

    uris: list[str]
    suites: list[str]
    components: list[str]
    options: dict[str, str] = field(default_factory=dict)


def parse_stanzas(text: str) -> list[AptSource]:
    """Sources of a deb822 file, those switched off left out."""
    sources = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                fields[name] += "\n" + line  # a key block, or a list that goes on
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false")
        if enabled and "deb" in fields.get("types", "").split():
            options = {kept: fields[kept.lower()] for kept in KEPT_OPTIONS if kept.lower() in fields}
            uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
            sources.append(AptSource(uris, suites, fields.get("components", "").split(), options))
    return sources


def parse_lines(text: str) -> list[AptSource]:
    """Sources of a one-line file (`deb [options] uri suite component ...`)."""
    sources = []
    for line in text.splitlines():
        match = ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if not match:
            continue
        pairs = [pair.split("=", 1) for pair in (match["options"] or "").split() if "=" in pair]
        given = {name: value for name, value in pairs}
        options = {kept: given[kept.lower()] for kept in KEPT_OPTIONS if kept.lower() in given}
        sources.append(AptSource([match["uri"]], [match["suite"]], match["components"].split(), options))
    return sources


def candidates(sources: Iterable[AptSource]) -> list[AptSource]:
    """Sources that may be Debian's main archive, the likeliest first, each mirror once."""
    found: dict[tuple[str, ...], AptSource] = {}
    for source in sources:
        uris = tuple(uri for uri in source.uris if not uri.startswith("cdrom:"))
        if uris and "main" in source.components and DEBIAN_SUITES.intersection(source.suites):
            found.setdefault(uris, AptSource(list(uris), source.suites, source.components, source.options))

    def unlikely(source: AptSource) -> int:
        by_key = "debian-archive" in source.options.get("Signed-By", "")
        by_name = any(uri.rstrip("/").endswith("/debian") for uri in source.uris)
        return -(2 * by_key + by_name)

    return sorted(found.values(), key=unlikely)


def render(source: AptSource, suite: str) -> str:
    """The same mirror as a stanza for `suite`, with source packages, without indexes nobody reads."""
    fields = {
        "Types": "deb deb-src",
        "URIs": " ".join(source.uris),
        "Suites": suite,
        "Components": "main",
        "Targets": "Packages Sources",
        **source.options,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())
