"""The machine's apt sources in all their forms: which mirror is taken, and what goes along with it."""

from image import apt_sources
from image.apt_sources import AptSource

CONTAINER = """\
Types: deb
# as published
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/tool.gpg] https://tool.example/apt bookworm main
deb http://mirror.example/debian/ bookworm main contrib  # the mirror
deb-src http://mirror.example/debian/ bookworm main
deb http://flat.example/ ./
"""


def test_stanzas_become_the_same_mirror_with_another_suite():
    (chosen,) = apt_sources.candidates(apt_sources.parse_stanzas(CONTAINER))
    assert apt_sources.render(chosen, "trixie") == (
        "Types: deb deb-src\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: trixie\n"
        "Components: main\n"
        "Targets: Packages Sources\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


def test_single_lines_are_read_and_others_ranked_behind_debian():
    found = apt_sources.candidates(apt_sources.parse_lines(ONE_LINE))
    assert [source.uris for source in found] == [
        ["http://mirror.example/debian/"],
        ["https://tool.example/apt"],
    ]
    assert found[0].options == {}
    assert found[1].options == {"Signed-By": "/etc/apt/keyrings/tool.gpg"}


def test_a_key_written_into_the_stanza_goes_along():
    text = (
        "Types: deb deb-src\nURIs: https://mirror.example/debian\nSuites: stable\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQENBF\n"
        " -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = apt_sources.parse_stanzas(text)
    again = apt_sources.parse_stanzas(apt_sources.render(source, "trixie"))
    assert again[0].options == source.options
    assert source.options["Signed-By"].count("\n") == 4


def test_owners_say_on_dates_goes_along():
    (source,) = apt_sources.parse_lines("deb [check-valid-until=no] http://old.example/debian bookworm main")
    assert "Check-Valid-Until: no\n" in apt_sources.render(source, "trixie")


def test_what_cannot_serve_is_left_out():
    stanzas = apt_sources.parse_stanzas(
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb-src\nURIs: http://sources.example/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nURIs: http://node.example/\nSuites: nodistro\nComponents: main\n"
    )
    disc = AptSource(["cdrom:[Debian]/"], ["bookworm"], ["main"])
    assert apt_sources.candidates([*stanzas, disc]) == []
