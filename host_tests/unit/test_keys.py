"""Where keys are kept: in the key ring of the system if there is one, else in files of the user alone."""

import json
import os
import stat
import subprocess
import sys

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.errors import KeyringLocked
from thecal.link.commands import ROLES
from thecal_host import keys
from thecal_host.files import FileError
from thecal_host.keys import FileStore, Held, KeyringStore, KeysError, Ring
from thecal_model.signing import new_key

SERIAL, OTHER = "e66118604b5a4a21", "0123456789abcdef"
SOME = {role: bytes([number]) * 32 for number, role in enumerate(ROLES, 1)}


class MemoryKeyring(KeyringBackend):
    """A key ring that works."""

    priority = 5  # type: ignore[assignment]
    name = "memory"  # type: ignore[assignment]

    def __init__(self):
        self.kept = {}
        self.locked = False

    def _look(self):
        if self.locked:
            raise KeyringLocked("it is locked")

    def get_password(self, service, username):
        self._look()
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self._look()
        self.kept[service, username] = password

    def delete_password(self, service, username):
        self._look()
        del self.kept[service, username]


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A user account of its own, without a key ring."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv(keys.PLACE, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield tmp_path
    keyring.set_keyring(before)


@pytest.fixture(params=["file", "key ring"])
def ring(request, home):
    if request.param == "key ring":
        keyring.set_keyring(MemoryKeyring())
    found = Ring()
    assert ("memory" in found.where) == (request.param == "key ring")
    return found


@pytest.mark.req("SEC-06")
def test_what_is_put_is_there_again(ring):
    assert ring.pumps() == {} and ring.get(SERIAL) == Held()
    held = Held(SOME, {"patient": b"", "service": new_key()})
    ring.put(SERIAL, held)
    ring.put(OTHER, Held({}, SOME, whole=True))
    again = Ring()
    assert again.get(SERIAL) == held and list(again.pumps()) == sorted([SERIAL, OTHER])
    assert again.get(OTHER) == Held({}, SOME, whole=True)
    ring.put(SERIAL, Held())
    assert list(Ring().pumps()) == [OTHER]
    ring.put(SERIAL, Held())  # nothing to be taken away


@pytest.mark.req("SEC-06")
def test_pending_keys_replace_those_of_their_roles_or_all():
    new = {"patient": b"", "clinician": new_key()}
    taken = Held(SOME, new).promoted()
    assert taken == Held({**{r: SOME[r] for r in ("observer", "service")}, "clinician": new["clinician"]})
    assert Held(SOME, new).kept() == Held(SOME)
    assert Held(SOME, {"service": new["clinician"]}, whole=True).promoted() == Held(
        {"service": new["clinician"]}
    )


@pytest.mark.req("SEC-06")
@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring])
def test_a_key_ring_that_forgets_is_none(home, backend):
    keyring.set_keyring(backend())
    ring = Ring()
    ring.put(SERIAL, Held(SOME))
    assert str(home) in ring.where and Ring().get(SERIAL) == Held(SOME)


@pytest.mark.req("SEC-06")
def test_a_ring_that_keeps_nothing_is_noticed(home, monkeypatch):
    backend = MemoryKeyring()
    monkeypatch.setattr(backend, "set_password", lambda service, username, password: None)
    with pytest.raises(KeysError, match="did not keep"):
        Ring([KeyringStore(backend)]).put(SERIAL, Held(SOME))


@pytest.mark.req("SEC-06")
def test_keys_of_files_go_into_a_key_ring_that_came_later(home):
    Ring().put(SERIAL, Held(SOME))
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    ring = Ring()
    assert ring.get(SERIAL) == Held(SOME) and list(ring.pumps()) == [SERIAL]
    ring.put(SERIAL, Held({"service": SOME["service"]}))
    assert list(home.rglob("*.json")) == [] and ("thecal", SERIAL) in backend.kept
    assert ring.get(SERIAL).roles() == "service"


@pytest.mark.req("SEC-06")
def test_a_locked_key_ring_is_said_and_no_file_is_written_instead(home):
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    backend.locked = True
    for act in (lambda: Ring().get(SERIAL), lambda: Ring().put(SERIAL, Held(SOME)), lambda: Ring().pumps()):
        with pytest.raises(KeysError, match="is it locked"):
            act()
    assert list(home.rglob("*.json")) == []


# --- files


@pytest.mark.req("SEC-06")
def test_nobody_else_may_read_the_files(home):
    old = os.umask(0)
    try:
        Ring().put(SERIAL, Held(SOME))
        file = home / "given.key"
        keys.write_key(file, SERIAL, "patient", SOME["patient"], force=False)
        keys.write_key(file, SERIAL, "patient", SOME["patient"], force=True)
    finally:
        os.umask(old)
    (kept,) = home.rglob(f"{SERIAL}.json")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent, file)] == [0o600, 0o700, 0o600]
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]  # nothing beside it
    kept.chmod(0o640)
    with pytest.raises(KeysError, match="others may read .*chmod 600"):
        Ring().get(SERIAL)


@pytest.mark.req("SEC-06")
def test_a_write_that_fails_leaves_what_was_there(home, monkeypatch):
    Ring().put(SERIAL, Held(SOME))

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeysError, match="no space is left"):
        Ring().put(SERIAL, Held({}, SOME))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    assert FileStore(home / "thecal" / "keys").names() == [SERIAL]
    assert Ring([FileStore(home / "thecal" / "keys")]).get(SERIAL) == Held(SOME)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format":2,"keys":{},"pending":{},"whole":false}', '{"format":1}',
     '{"format":1,"keys":{"root":"%s"},"pending":{},"whole":false}' % ("0" * 64),
     '{"format":1,"keys":{"patient":"00"},"pending":{},"whole":false}'],
)  # fmt: skip
def test_what_is_damaged_is_said_with_its_place(home, text):
    folder = home / "keys"
    folder.mkdir()
    (folder / f"{SERIAL}.json").write_text(text)
    (folder / f"{SERIAL}.json").chmod(0o600)
    with pytest.raises(KeysError, match=f"pump {SERIAL} in .* cannot be read"):
        Ring([FileStore(folder)]).get(SERIAL)


@pytest.mark.parametrize("serial", ["", "../../../etc/x", "E66118604B5A4A21", None, 7])
def test_no_other_name_than_a_serial_number_makes_a_file(home, serial):
    with pytest.raises(KeysError, match="no serial number"):
        Ring().put(serial, Held(SOME))


# --- a key for another person


@pytest.mark.req("SEC-06")
def test_a_file_holds_one_key_and_no_other(home):
    file = home / "patient.key"
    keys.write_key(file, SERIAL, "patient", SOME["patient"], force=False)
    assert keys.read_key(file) == (SERIAL, "patient", SOME["patient"])
    assert not any(SOME[role].hex() in file.read_text() for role in ROLES if role != "patient")
    with pytest.raises(FileError, match="there already"):
        keys.write_key(file, SERIAL, "patient", SOME["patient"], force=False)


@pytest.mark.parametrize(
    "changed", [{"type": "x"}, {"format": 2}, {"role": "root"}, {"key": "00"}, {"pump": "1"}]
)
def test_what_is_no_key_file_is_said(home, changed):
    file = home / "patient.key"
    keys.write_key(file, SERIAL, "patient", SOME["patient"], force=False)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(FileError, match="is no key"):
        keys.read_key(file)
    with pytest.raises(FileError, match="cannot be read"):
        keys.read_key(home / "none")


def test_help_waits_for_no_key_ring():
    code = (
        "import sys; from typer.testing import CliRunner; from thecal_host import cli;"
        "assert CliRunner().invoke(cli.app, ['keys', '--help']).exit_code == 0;"
        "print([m for m in ('keyring', 'secretstorage') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
