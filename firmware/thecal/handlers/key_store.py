"""The keys of a pump in its flash: found at a boot, and others written in their place (SEC-06).

They are written whole into the journal and in force when they are read back: a cut leaves the old ones or
the new ones. What a request makes of them is `changed`, which says what is wrong with it; nothing here
raises.
"""

from ..link import commands
from ..link.signing import KEY_BYTES, NO_KEY
from ..record.layout import KEYS, PAGE, SERIALS, SOUND, UNIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..link.signing import Keys

KEYS_SERIAL = SERIALS[KEYS]
# Before the keys, so that they take two flash commands, and the last key the second. A command that was
# cut may look as if it had never been, and not so at a later boot: after the first one nothing is whole, and
# after the second one it shows that there was a first.
PADDING_BYTES = PAGE - UNIT - (len(commands.ROLES) - 1) * KEY_BYTES


class KeyStore:
    """Keeps those of the `keys` of the link. `data`: the keys in force, KEY_BYTES for each role; `wanted`:
    those that are being written, none while it is empty. `persistence`: None without a flash.
    """

    def __init__(self, keys: "Keys", persistence) -> None:
        self.keys = keys
        self.persistence = persistence
        self.data = b""
        self.wanted = b""
        self.serial = 0  # of those that are being written; 0 while another slot is

    def restore(self, chip: bytes, chance: bytes) -> None:
        """The keys that the journal holds, and the nonce of this boot. Where it held some and cannot read
        them any more, no key opens the pump: there is the jumper.
        """
        keys = self.keys
        persistence = self.persistence
        if persistence is None:
            keys.begin(0, chip, chance)
            return
        journal = persistence.journal
        slots = journal.slots
        keys.begin(persistence.resets.count + 1 if persistence.was_reset else 0, chip, chance)
        known = journal.words[KEYS_SERIAL]
        serial = slots.newest(KEYS)
        data = slots.read(KEYS, serial) if serial >= known else None
        if data is not None:
            self.data = bytes(data[PADDING_BYTES:])
        keys.use(self.data, known > 0 if data is None else pairs(self.data))
        if data is not None and serial > known:
            if journal.status == SOUND:
                # A cut came when they were written, and may have left them such that they read otherwise some
                # day: they are written once more before anybody may use them, or a snapshot speaks of them.
                self.wanted = self.data
            else:
                journal.words[KEYS_SERIAL] = serial
        keys.open = not keys.paired or not persistence.sound()

    def open(self) -> None:
        """Let signed lines in once the boot is written down, and what keys the flash holds is not to change
        any more by itself.
        """
        journal = self.persistence.journal
        slots = journal.slots
        settled = journal.state.started and not self.wanted and not (slots.torn or slots.closed)
        self.keys.open = journal.failed or settled

    def number(self):
        """That of the keys in force, 0 before the first ones."""
        return self.persistence.journal.words[KEYS_SERIAL] if self.persistence else 0

    def put(self, wanted) -> None:
        """These are to be in force; `go_on` writes them."""
        self.wanted = wanted
        self.serial = 0

    def go_on(self):
        """Once a tick while keys are wanted. Whether they are in force now."""
        persistence = self.persistence
        if persistence is not None:
            if not self.serial:
                if persistence.busy():
                    return False
                persistence.applied(KEYS, (bytes(PADDING_BYTES) + self.wanted,))
                self.serial = persistence.journal.slots.serial
            if persistence.journal.words[KEYS_SERIAL] != self.serial:
                return False
        self.data = self.wanted
        self.wanted = b""
        self.keys.use(self.data, pairs(self.data))
        self.keys.reset_digest = ""
        return True


def pairs(data):
    """Whether a pump with these keys is paired: whether there is one for the service."""
    return data[-KEY_BYTES:] != NO_KEY


def changed(given: dict, data):
    """The keys `data` with those of a request in place of some, and what is wrong with them."""
    found = bytearray(data if data else NO_KEY * len(commands.ROLES))
    for name in given:
        digits = given[name]
        if name not in commands.ROLES:
            return b"", "keys.%s: no role, must be one of %s" % (name[:16], ", ".join(commands.ROLES))
        key = NO_KEY if digits == "" else key_of(digits)
        if key is None or (digits and key == NO_KEY):
            return b"", "keys.%s: must be %d hex digits, not all 0" % (name, 2 * KEY_BYTES)
        at = commands.ROLES.index(name) * KEY_BYTES
        found[at : at + KEY_BYTES] = key
    return bytes(found), ""


def key_of(digits):
    """The key in a text of hex digits, None where it is none."""
    if not isinstance(digits, str) or len(digits) != 2 * KEY_BYTES:
        return None
    for digit in digits:
        if digit not in "0123456789abcdef":
            return None
    return bytes([int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)])
