"""Commands about keys: pair the pump, change a key or revoke it, take all away (SEC-06). And what is told of
lines that are not signed as they should be (SEC-03).

Keys are written whole into the journal and in force when they are read back: a cut leaves the old ones or
the new ones. `pair` waits for a hand at the pump, `reset_keys` needs one: whoever has only the cable can do
neither. The jumper is a hand where it was open when that was asked for and is fitted then: one that somebody
forgot is none. `active` says whether there is anything to be done without a request; `step` does it, once a
tick.
"""

from .. import states
from ..causes import KEYS_WAIT, NO_HAND, NOT_KEPT, NOT_STOPPED, PAIRED, UNPAIRED, Refused
from ..clock import TICKS_PER_MIN, TICKS_PER_S
from ..link import commands
from ..link.session import refusal, reply_to
from ..link.signing import KEY_BYTES, NO_KEY
from ..record import events
from ..record.layout import KEYS, PAGE, SERIALS, SOUND, UNIT
from ..watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..link.signing import Keys
    from ..rig import Rig
    from .denials import Denials

HAND_S = 30  # SEC-06
KEYS_SERIAL = SERIALS[KEYS]
# Before the keys, so that they take two flash commands, and the last key the second. A command that was
# cut may look as if it had never been, and not so at a later boot: after the first one nothing is whole, and
# after the second one it shows that there was a first.
PADDING_BYTES = PAGE - UNIT - (len(commands.ROLES) - 1) * KEY_BYTES

# What becomes of other keys: none are wanted; they wait for a hand, or for another slot to be written; they
# are being written.
NOTHING, FOR_HAND, FOR_SLOT, WRITTEN = range(4)


class Keyring:
    """Carries them out for the `keys` of the link. `persistence`: None without a flash. `jumper`: whether the
    MAINTENANCE jumper was fitted when the last request came.
    """

    COMMANDS = ("pair", "keys", "reset_keys")

    def __init__(
        self, keys: "Keys", rig: "Rig", persistence, denials: "Denials", proposals, control: "Control"
    ) -> None:
        self.keys = keys
        self.rig = rig
        self.persistence = persistence
        self.denials = denials
        self.proposals = proposals
        self.control = control
        self.active = False
        self.jumper = False
        self.data = b""  # the keys in force, KEY_BYTES for each role
        self.wanted = b""  # and those that are to be
        self.phase = NOTHING
        self.until_tick = 0  # a hand is waited for
        self.readback = {}
        self.serial = 0  # of those that are being written
        self.tell_tick = 0  # of bad signatures the next may be told

    # --- at boot

    def restore(self, chip: bytes, chance: bytes) -> None:
        """The keys that the journal holds, and the nonce of this boot. Where it held some and can not read
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
        keys.use(self.data, known > 0 if data is None else self._pairs(self.data))
        if data is not None and serial > known:
            journal.words[KEYS_SERIAL] = serial
            if journal.status == SOUND and not persistence.busy():
                # A cut came when they were written, and may have left them such that they read otherwise some
                # day: they are written once more before anybody may use them.
                slots.begin(KEYS, (bytes(data),))
        keys.open = not keys.paired or not persistence.sound()
        self.active = True

    # --- once a tick

    def step(self) -> bool:
        """What is to be done without a request. Whether the pump is paired now and was not before."""
        was_paired = self.keys.paired
        tick = self.control.clock.tick
        if not self.keys.open:
            journal = self.persistence.journal
            slots = journal.slots
            # The boot is written down, and what keys the flash holds is not to change any more by itself.
            settled = journal.state.started and slots.kind != KEYS and not slots.torn
            self.keys.open = journal.failed or settled
        if self.phase == FOR_HAND:
            if self.jumper:
                self.by_hand(False)
            if self.phase == FOR_HAND and tick >= self.until_tick:
                self._deny()
        if self.phase == FOR_SLOT:
            self._write()
        if self.phase == WRITTEN and self.persistence.journal.words[KEYS_SERIAL] == self.serial:
            self._use()
        if self.keys.bad or self.keys.unsigned_stops:
            self.tell_bad()
        else:
            self.active = self.phase != NOTHING or not self.keys.open
        return self.keys.paired and not was_paired

    def asks_for_jumper(self):
        """Whether it is waited for."""
        return self.phase == FOR_HAND and not self._has_button()

    def by_hand(self, button) -> None:
        """Somebody has pressed STOP, or fitted the jumper: what waits for that goes on."""
        if self.phase != FOR_HAND or button != self._has_button():
            return
        if self.control.state != states.STOPPED:
            self._deny()
        else:
            self.phase = FOR_SLOT

    def tell_bad(self) -> None:
        """Signatures that do not hold came, or an unsigned stop: an alarm, and the log once a minute."""
        keys = self.keys
        control = self.control
        tick = control.clock.tick
        control.raise_alarm(alarms.BAD_AUTH)
        self.active = True
        if tick >= self.tell_tick:
            control.teller.event(events.BAD_AUTH, keys.bad, keys.unsigned_stops)
            keys.bad = keys.unsigned_stops = 0
            self.tell_tick = tick + TICKS_PER_MIN

    def unsigned_stop(self, request: dict):
        """One has ended the flow. It is told, and silences nothing."""
        self.keys.unsigned_stops += 1
        self.tell_bad()
        answer = reply_to(request)
        answer["ok"] = True
        answer["state"] = states.STATES[self.control.state]
        answer["unsigned"] = True
        return answer

    # --- commands

    def do_pair(self, request: dict):
        """The first keys."""
        if self.keys.paired:
            raise Refused(PAIRED, "the pump is paired: its keys are changed with `keys`, signed")
        self.denials.check_stopped()
        self._check_free()
        wanted, problem = self._changed(request["keys"], NO_KEY * len(commands.ROLES))
        if not problem and not self._pairs(wanted):
            problem = "keys: service is missing: without its key nobody could change one"
        if problem:
            return refusal(request, "bad_argument", problem)
        if not self._has_button():
            self._check_jumper(False)
        self.wanted = wanted
        self.phase = FOR_HAND
        self.until_tick = self.control.clock.tick + HAND_S * TICKS_PER_S
        self.active = True
        return {"within_s": HAND_S, "by": "button" if self._has_button() else "jumper"}

    def do_keys(self, request: dict):
        """Other keys for some roles, or none any more."""
        if not self.keys.paired:
            raise Refused(UNPAIRED, "the pump is unpaired: it gets its first keys with `pair`")
        self._check_free()
        wanted, problem = self._changed(request["keys"], self.data)
        if not problem and not self._pairs(wanted):
            problem = "keys.service: may be changed, not revoked: nobody could change a key any more"
        if problem:
            return refusal(request, "bad_argument", problem)
        self._want(wanted)
        return {}

    def do_reset_keys(self, request: dict):
        """No keys at all, whoever wants it by a hand at the pump."""
        self._check_reset()
        self._check_jumper(False)
        self.readback = {"reset_keys": self.serial_in_force()}
        answer = self.proposals.propose(self)
        self.keys.reset_digest = answer["digest"]
        return answer

    # As a proposal (`proposals`), which takes the keys away.
    soft = ()
    basal = ()
    therapy = None

    def ready(self, persistence, meant) -> bool:
        """At any time."""
        return True

    def apply(self, digest: str) -> None:
        """That was confirmed."""
        self._check_reset()
        self._check_jumper(True)
        self.keys.reset_digest = ""
        self._want(NO_KEY * len(commands.ROLES))

    def serial_in_force(self):
        """The number of the keys in force, 0 before the first ones."""
        return self.persistence.journal.words[KEYS_SERIAL] if self.persistence else 0

    # --- within

    def _has_button(self):
        return self.rig.has("button_stop")

    def _check_free(self) -> None:
        if self.phase != NOTHING:
            raise Refused(KEYS_WAIT, "other keys wait for a hand at the pump, or are being written")
        if self.persistence is not None and not self.persistence.writes():
            raise Refused(NOT_KEPT, "keys can not be written down: the journal is out of order")

    def _check_jumper(self, fitted: bool) -> None:
        if self.jumper != fitted:
            raise Refused(
                NO_HAND,
                "fit the MAINTENANCE jumper now, while the pump is on"
                if fitted
                else "take the MAINTENANCE jumper off first, and fit it when the pump has answered",
            )

    def _check_reset(self) -> None:
        if not self.keys.paired:
            raise Refused(UNPAIRED, "the pump is unpaired: there are no keys to be taken away")
        # A halted pump too: without a key nobody can acknowledge what halted it.
        if self.control.state not in (states.STOPPED, states.HALTED):
            raise Refused(NOT_STOPPED, "stop the pump first")
        self._check_free()

    def _pairs(self, data):
        """Whether a pump with these keys is paired: whether there is one for the service."""
        return data[-KEY_BYTES:] != NO_KEY

    def _changed(self, given: dict, data):
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

    def _want(self, wanted) -> None:
        self.wanted = wanted
        self.phase = FOR_SLOT
        self._write()
        self.active = True

    def _write(self) -> None:
        persistence = self.persistence
        if persistence is None:
            self._use()
        elif not persistence.busy():
            persistence.applied(KEYS, (bytes(PADDING_BYTES) + self.wanted,))
            self.serial = persistence.journal.slots.serial
            self.phase = WRITTEN

    def _use(self) -> None:
        self.phase = NOTHING
        self.data = self.wanted
        self.wanted = b""
        self.keys.use(self.data, self._pairs(self.data))
        self.keys.reset_digest = ""
        held = 0
        for role in range(len(commands.ROLES)):
            held |= (self.keys.pads[role] is not None) << role
        self.control.teller.event(events.KEYS, self.serial_in_force(), held)

    def _deny(self) -> None:
        self.phase = NOTHING
        self.wanted = b""
        self.denials.deny("pair", NO_HAND)


def key_of(digits):
    """The key in a text of hex digits, None where it is none."""
    if not isinstance(digits, str) or len(digits) != 2 * KEY_BYTES:
        return None
    for digit in digits:
        if digit not in "0123456789abcdef":
            return None
    return bytes([int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)])
