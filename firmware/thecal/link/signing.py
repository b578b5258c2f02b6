"""Who signed a line: HMAC-SHA-256 under a role's key, over the nonce of this boot, a counter and the JSON.

A signed line is `JSON SP role:counter:mac SP crc`. The counter has 16 hex digits, the MAC is the first 16
bytes of the HMAC as 32, of `thecal-link-1 LF nonce LF role:counter LF JSON`. `Keys.find` says where the
signature of a line begins, `Keys.judge` whether it holds; what may be done in a role is `session`'s.

Why no line acts twice: within a boot a role's counter only rises, and the counters of a boot are a block of
their own, which begins at the number of the boot in the journal, so none that an earlier boot took is taken
again. Nothing needs to be written for a command. The nonce is of this boot alone, whatever becomes of the
journal. Before the number of the boot is in the flash (`open`) nothing that is signed is taken.

Keys have 32 bytes, and are in force as `use` was given them. Nothing here raises.
"""

import hashlib
from binascii import hexlify, unhexlify

KEY_BYTES = 32
BLOCK_BYTES = 64  # of SHA-256
MAC_BYTES = 16
CHIP_BYTES = 8  # of the number of the board: a shorter one is filled up
NO_KEY = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # in the image, as a constant
LABEL = b"thecal-link-1\n"

UNSIGNED = -1
AUTH_WAIT = "auth_wait"
CRC_DIGITS = 9  # and the space before them
COUNTER_DIGITS = 16
BLOCK_BITS = 34  # counters of a boot: more than a line in each microsecond of an hour
SIGNATURE_DIGITS = COUNTER_DIGITS + 1 + 2 * MAC_BYTES  # counter:mac

# Of signatures that do not hold so many are looked at, and then one in each second: a flood of them is not to
# cost more of the loop than the dose has to spare (host_tests/chip/test_signed_on_chip.py).
MOST_BAD = 4


def pads_of(key: bytes):
    """What HMAC hashes before the message and before the inner hash, for a key of 64 bytes at most."""
    key = key + bytes(BLOCK_BYTES - len(key))
    return bytes([value ^ 0x36 for value in key]), bytes([value ^ 0x5C for value in key])


def hmac(pads, parts):
    """The HMAC-SHA-256 of all `parts`, 32 bytes."""
    inner = hashlib.sha256(pads[0])
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(pads[1])
    outer.update(inner.digest())
    return outer.digest()


def same(one, other) -> bool:
    """Whether two MACs are the same. How long that takes does not tell where they differ."""
    differ = len(one) ^ len(other)
    for index in range(min(len(one), len(other))):
        differ |= one[index] ^ other[index]
    return differ == 0


def nonce_of(chip: bytes, boot: int, chance: bytes):
    """The nonce of a boot, 32 hex digits: by the chip's number, the journal's of the boot, and by chance."""
    return hexlify(hashlib.sha256(chip + b"%d" % boot + chance).digest()[:MAC_BYTES])


class Keys:
    """Of one pump: one for each role of `names` at most. `role` and `problem` are of the line last judged:
    who signed it, UNSIGNED for nobody, and why a signature does not hold, as the `error` of an answer.
    """

    def __init__(self, names) -> None:
        self.names = names
        self.pads = [None] * len(names)  # type: list
        self.paired = False
        self.open = True
        self.nonce = b""
        self.serial = b""  # by which a host keeps the keys of this pump, 16 hex digits
        self.highest = [b""] * len(names)  # counter that each role has used
        self.most = b""  # that this boot takes
        self.role = UNSIGNED
        self.problem = ""
        self.reset_digest = ""  # of a reset of the keys that a hand at the pump may confirm
        self.proposed_by = 0  # role that the last proposal needed, and so does its confirmation
        self.second = 0
        self.tries = MOST_BAD  # left now
        self.wait_told = False  # in this second
        self.bad = 0  # signatures that did not hold and are not told yet ...
        self.unsigned_stops = 0  # ... and stops
        self.begin(0, b"", b"")

    def begin(self, boot: int, chip: bytes, chance: bytes) -> None:
        """A boot of that number."""
        self.nonce = nonce_of(chip, boot, chance)
        self.serial = hexlify((chip + bytes(CHIP_BYTES))[:CHIP_BYTES])
        first = b"%016x" % (boot << BLOCK_BITS)
        for role in range(len(self.names)):
            self.highest[role] = first
        self.most = b"%016x" % ((boot + 1 << BLOCK_BITS) - 1)

    def use(self, data, paired: bool) -> None:
        """These are in force: KEY_BYTES for each role, NO_KEY for none."""
        self.paired = paired
        for role in range(len(self.names)):
            key = bytes(data[role * KEY_BYTES : (role + 1) * KEY_BYTES])
            self.pads[role] = pads_of(key) if key and key != NO_KEY else None

    def counters(self):
        """The highest counter of each role with a key, by its name."""
        roles = [role for role in range(len(self.names)) if self.pads[role]]
        return {self.names[role]: self.highest[role].decode() for role in roles}

    # --- a line

    def forget(self) -> None:
        """A new line, which nobody has signed yet."""
        self.role = UNSIGNED
        self.problem = ""

    def find(self, data, start: int, end: int):
        """The end of the JSON of data[start:end] if a signature is behind it, else -1."""
        counter = end - SIGNATURE_DIGITS
        if counter <= start or data[counter - 1] != 58 or data[counter + COUNTER_DIGITS] != 58:
            return -1
        for name in self.names:
            at = counter - 2 - len(name)
            if at > start and data[at] == 32 and data[at + 1 : counter - 1] == name.encode():
                return at
        return -1

    def drops(self, data, start: int, end: int):
        """Whether a line, its CRC at the end, is not looked at: signed, no stop, and too many signatures
        did not hold.
        """
        colon = end - CRC_DIGITS - 2 * MAC_BYTES - 1
        counter = colon - COUNTER_DIGITS
        if counter <= start or data[colon] != 58 or data[counter - 1] != 58:
            return False
        return data.find(b"stop", start, counter) < 0

    def pass_time(self, second: int) -> None:
        """It is that second now."""
        if second != self.second:
            self.tries = min(self.tries + second - self.second, MOST_BAD)
            self.second = second
            self.wait_told = False

    def judge(self, data, start: int, at: int, end: int) -> None:
        """Who signed data[start:at], with what `find` has found behind it, into `role` and `problem`."""
        if not self.paired or self.tries <= 0:
            self.problem = AUTH_WAIT if self.paired else "unpaired"
            self.bad += self.paired
            return
        counter_at = end - SIGNATURE_DIGITS
        counter = bytes(data[counter_at : counter_at + COUNTER_DIGITS])
        role = self.names.index(bytes(data[at + 1 : counter_at - 1]).decode())
        self.problem = self._problem(data, start, at, end, role, counter)
        if self.problem:
            self.tries -= 1
            self.bad += 1
        else:
            self.highest[role] = counter
            self.role = role

    def _problem(self, data, start: int, at: int, end: int, role: int, counter):
        said = data[end - 2 * MAC_BYTES : end]
        mac = b""
        try:
            mac = unhexlify(bytes(said))
            written_so = hexlify(mac) == said and hexlify(unhexlify(counter)) == counter
        except ValueError:
            written_so = False
        if not written_so or not self.pads[role]:
            return "bad_auth"
        if not self.highest[role] < counter <= self.most:
            return "replayed"
        view = memoryview(data)
        signed = view[at + 1 : at + 1 + len(self.names[role]) + 1 + COUNTER_DIGITS]
        found = hmac(self.pads[role], (LABEL, self.nonce, b"\n", signed, b"\n", view[start:at]))
        return "" if same(found[:MAC_BYTES], mac) else "bad_auth"
