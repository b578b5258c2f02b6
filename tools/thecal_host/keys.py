"""The keys of pumps that this user holds, and where they are kept.

They are in the system's key ring where there is one (`keyring`), else in files that only this user may read,
in the user's data folder; or in files of the folder that `THECAL_KEYS` names. `Ring` hides which. A pump is
known by its serial number; `Held` is what is kept of one: a key of each role, and the keys that were sent and
of which it is not known yet whether the pump has taken them. `write_key` and `read_key` are files with one
key, for another person. No message here has a key in it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from thecal.link.commands import ROLES
from thecal_model import signing

from thecal_host.files import FileError, check_new, why_not

PLACE = "THECAL_KEYS"
SERVICE_NAME = "thecal"
INDEX = "pumps"
FORMAT = 1
KEY_FILE = "thecal key"

_SERIAL = re.compile(r"[0-9a-f]{16}")


class KeysError(Exception):
    """Keys that cannot be read, written or used; the message says which, and what to do."""


Keys = dict[str, bytes]
"""A key by its role; one that is taken away has none, b""."""


@dataclass(frozen=True)
class Held:
    """What is kept of one pump. `pending` was sent; `whole` says that it then replaces all `keys`."""

    keys: Keys = field(default_factory=dict)
    pending: Keys = field(default_factory=dict)
    whole: bool = False

    def promoted(self) -> Held:
        """The pump has taken what was pending."""
        keys = self.pending if self.whole else {**self.keys, **self.pending}
        return Held({role: keys[role] for role in ROLES if keys.get(role)})

    def kept(self) -> Held:
        """It has not."""
        return Held(self.keys)

    def roles(self) -> str:
        """The roles, for people."""
        return ", ".join(role for role in ROLES if role in self.keys) or "none"


class Store(Protocol):
    """Where texts are kept, each under the serial number of a pump. Raises KeysError."""

    where: str

    def names(self) -> list[str]: ...

    def load(self, name: str) -> str | None: ...

    def save(self, name: str, text: str) -> None: ...

    def drop(self, name: str) -> None: ...


class FileStore:
    """A file of each pump in a folder; nobody else may read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = f"files of yours in {folder}"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def load(self, name: str) -> str | None:
        path = self._path(name)
        try:
            with path.open(encoding="ascii") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                    raise KeysError(
                        f"others may read {path}: `chmod 600 {path}`; if somebody has, `thecal keys rotate`"
                    )
                return file.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as why:
            raise KeysError(f"{path}: cannot be read: {why}") from None

    def save(self, name: str, text: str) -> None:
        path = self._path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # 0600 from the start; whole under its name or not at all, whatever happens on the way.
            number, beside = tempfile.mkstemp(dir=self._folder, prefix=f".{name}")
            try:
                with os.fdopen(number, "w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, path)
            except BaseException:
                os.unlink(beside)
                raise
        except OSError as why:
            raise KeysError(str(why_not(path, why))) from None

    def drop(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


class KeyringStore:
    """The key ring of the system. It can list nothing, so a text of its own lists the pumps."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.where = f"the key ring of the system ({backend.name})"

    def names(self) -> list[str]:
        try:
            found = json.loads(self.load(INDEX) or "[]")
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise KeysError(f"{self.where}: its list of pumps cannot be read")
        return found

    def load(self, name: str) -> str | None:
        return self._call(self._backend.get_password, SERVICE_NAME, name)

    def save(self, name: str, text: str) -> None:
        self._call(self._backend.set_password, SERVICE_NAME, name, text)
        self._list({*self.names(), name})

    def drop(self, name: str) -> None:
        if self.load(name) is not None:
            self._call(self._backend.delete_password, SERVICE_NAME, name)
            self._list({*self.names()} - {name})

    def _list(self, names: set[str]) -> None:
        if names != set(self.names()):
            self._call(self._backend.set_password, SERVICE_NAME, INDEX, json.dumps(sorted(names)))

    def _call(self, method: Any, *arguments: str) -> Any:
        from keyring.errors import KeyringError

        try:
            return method(*arguments)
        except KeyringError as why:
            raise KeysError(f"{self.where} does not answer: is it locked? ({why})") from None


def stores() -> list[Store]:
    """Where keys are looked for; the first is where they are written."""
    named = os.environ.get(PLACE)
    if named:
        return [FileStore(Path(named))]
    from platformdirs import user_data_path

    files = FileStore(user_data_path("thecal", appauthor=False) / "keys")
    backend = _real_backend()
    return [files] if backend is None else [KeyringStore(backend), files]


def _real_backend() -> Any:
    """The key ring, None where there is none: one that fails has priority 0, the null one forgets all."""
    try:
        import keyring
        from keyring.backends import null
    except ImportError:
        return None
    backend = keyring.get_keyring()
    return None if backend.priority <= 0 or isinstance(backend, null.Keyring) else backend


class Ring:
    """The keys of all pumps, by serial number. Raises KeysError."""

    def __init__(self, places: list[Store] | None = None) -> None:
        self._stores = stores() if places is None else places
        self.where = self._stores[0].where

    def pumps(self) -> dict[str, Held]:
        """All that is held."""
        names = dict.fromkeys(name for store in self._stores for name in store.names())
        return {name: self.get(name) for name in sorted(names)}

    def get(self, serial: str) -> Held:
        """What is held of one pump; nothing of one that is not known."""
        for store in self._stores:
            text = store.load(checked_serial(serial))
            if text is not None:
                return _held(text, serial, store.where)
        return Held()

    def put(self, serial: str, held: Held) -> None:
        """Keep this of a pump, and see that it is there. Nothing is kept where there is no key."""
        first, *others = self._stores
        if held.keys or held.pending:
            text = json.dumps(
                {
                    "format": FORMAT,
                    "keys": {role: key.hex() for role, key in held.keys.items()},
                    "pending": {role: key.hex() for role, key in held.pending.items()},
                    "whole": held.whole,
                }
            )
            first.save(checked_serial(serial), text)
            if first.load(serial) != text:
                raise KeysError(f"{first.where} did not keep what was written into it")
        else:
            first.drop(checked_serial(serial))
        for other in others:
            other.drop(serial)


def checked_serial(serial: Any) -> str:
    """KeysError where it is no serial number of a pump."""
    if not isinstance(serial, str) or _SERIAL.fullmatch(serial) is None:
        raise KeysError(f"{serial!r} is no serial number of a pump: expected 16 hex digits")
    return serial


def _held(text: str, serial: str, where: str) -> Held:
    try:
        said = json.loads(text)
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']!r}")
        keys = {role: signing.key_of(key) for role, key in said["keys"].items()}
        pending = {role: signing.key_of(key) if key else b"" for role, key in said["pending"].items()}
        if not {*keys, *pending} <= set(ROLES):
            raise ValueError("a role that there is not")
        return Held(keys, pending, said["whole"] is True)
    except (LookupError, TypeError, ValueError, AttributeError) as why:
        raise KeysError(f"what is kept of pump {serial} in {where} cannot be read ({why})") from None


# --- a key for another person


def write_key(path: Path, serial: str, role: str, key: bytes, force: bool) -> None:
    """A file with one key, which only this user may read. FileError."""
    check_new(path, force)
    text = json.dumps({"type": KEY_FILE, "format": FORMAT, "pump": serial, "role": role, "key": key.hex()})
    try:
        if force:
            path.unlink(missing_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(text + "\n")
    except OSError as why:
        raise why_not(path, why) from None


def read_key(path: Path) -> tuple[str, str, bytes]:
    """Serial number, role and key of such a file. FileError."""
    try:
        said = json.loads(path.read_text(encoding="ascii"))
        if said["type"] != KEY_FILE or said["format"] != FORMAT or said["role"] not in ROLES:
            raise ValueError
        return checked_serial(said["pump"]), said["role"], signing.key_of(said["key"])
    except OSError as why:
        raise FileError(f"{path}: cannot be read: {why.strerror}") from None
    except (LookupError, TypeError, ValueError, RecursionError, KeysError):
        raise FileError(f"{path}: is no key: expected a file that `thecal keys export` has written") from None
