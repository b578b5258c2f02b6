"""Commands about keys: pair the pump, change a key or revoke it, take all away (SEC-06). And what is told of
lines that are not signed as they should be (SEC-03).

`pair` waits for a hand at the pump, `reset_keys` needs one: whoever has only the cable can do neither. The
jumper is a hand where it was open when that was asked for and is fitted then: one that somebody forgot is
none. `active` says whether there is anything to be done without a request; `step` does it, once a tick. How
keys come into the flash is `key_store`'s.
"""

from .. import states
from ..causes import KEYS_WAIT, NO_HAND, NOT_KEPT, NOT_STOPPED, PAIRED, UNPAIRED, Refused
from ..clock import TICKS_PER_MIN, TICKS_PER_S
from ..link import commands
from ..link.session import refusal, reply_to
from ..link.signing import NO_KEY
from ..record import events
from ..watch import alarms
from .key_store import KeyStore, changed, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..link.signing import Keys
    from ..rig import Rig
    from .denials import Denials

HAND_S = 30  # SEC-06


class Keyring:
    """Carries them out for the `keys` of the link. `persistence`: None without a flash. `jumper`: whether the
    MAINTENANCE jumper was fitted when bytes came last, or in the last tick in which keys waited.
    """

    COMMANDS = ("pair", "keys", "reset_keys")

    def __init__(
        self, keys: "Keys", rig: "Rig", persistence, denials: "Denials", proposals, control: "Control"
    ) -> None:
        self.keys = keys
        self.store = KeyStore(keys, persistence)
        self.rig = rig
        self.persistence = persistence
        self.denials = denials
        self.proposals = proposals
        self.control = control
        self.active = False
        self.jumper = False
        self.first = b""  # keys that wait for a hand, none while it is empty
        self.until_tick = 0  # they do
        self.readback = {}
        self.tell_tick = 0  # of bad signatures the next may be told

    def restore(self, chip: bytes, chance: bytes) -> None:
        """The keys and the nonce of this boot."""
        self.store.restore(chip, chance)
        self.active = self.persistence is not None

    # --- once a tick

    def step(self) -> bool:
        """What is to be done without a request. Whether the pump is paired now and was not before."""
        was_paired = self.keys.paired
        tick = self.control.clock.tick
        if not self.keys.open:
            self.store.open()
        if self.first and self.jumper:
            self.by_hand(False)
        if self.first and tick >= self.until_tick:
            self._deny()
        if self.store.wanted:
            self._go_on()
        if self.keys.bad or self.keys.unsigned_stops:
            self.tell_bad()
        else:
            self.active = bool(self.first or self.store.wanted) or not self.keys.open
        return self.keys.paired and not was_paired

    def asks_for_jumper(self):
        """Whether it is waited for."""
        return bool(self.first) and not self._has_button()

    def by_hand(self, button) -> None:
        """Somebody has pressed STOP, or fitted the jumper: what waits for that goes on."""
        if not self.first or button != self._has_button():
            return
        if self.control.state != states.STOPPED:
            self._deny()
        else:
            self.store.put(self.first)
            self.first = b""

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
        wanted, problem = changed(request["keys"], b"")
        if not problem and not pairs(wanted):
            problem = "keys: service is missing: without its key nobody could change one"
        if problem:
            return refusal(request, "bad_argument", problem)
        if not self._has_button():
            self._check_jumper(False)
        self.first = wanted
        self.until_tick = self.control.clock.tick + HAND_S * TICKS_PER_S
        self.active = True
        return {"within_s": HAND_S, "by": "button" if self._has_button() else "jumper"}

    def do_keys(self, request: dict):
        """Other keys for some roles, or none any more."""
        if not self.keys.paired:
            raise Refused(UNPAIRED, "the pump is unpaired: it gets its first keys with `pair`")
        self._check_free()
        wanted, problem = changed(request["keys"], self.store.data)
        if not problem and not pairs(wanted):
            problem = "keys.service: may be changed, not revoked: nobody could change a key any more"
        if problem:
            return refusal(request, "bad_argument", problem)
        self._want(wanted)
        return {}

    def do_reset_keys(self, request: dict):
        """No keys at all, whoever wants it by a hand at the pump."""
        self._check_reset()
        self._check_jumper(False)
        self.readback = {"reset_keys": self.store.number()}
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

    # --- within

    def _has_button(self):
        return self.rig.has("button_stop")

    def _check_free(self) -> None:
        if self.first or self.store.wanted:
            raise Refused(KEYS_WAIT, "other keys wait for a hand at the pump, or are being written")
        if self.persistence is not None and not self.persistence.writes():
            raise Refused(NOT_KEPT, "keys cannot be written down: the journal is out of order")

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

    def _want(self, wanted) -> None:
        self.store.put(wanted)
        self._go_on()
        self.active = True

    def _go_on(self) -> None:
        if self.store.go_on():
            held = 0
            for role in range(len(commands.ROLES)):
                held |= (self.keys.pads[role] is not None) << role
            self.control.teller.event(events.KEYS, self.store.number(), held)

    def _deny(self) -> None:
        self.first = b""
        self.denials.deny("pair", NO_HAND)
