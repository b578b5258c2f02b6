"""A pump and its keys: pair it, sign for it, give it other keys, take them away.

How to read it: keys are kept as *pending* before they are sent (`keys.Held`), so that nothing is lost where
no answer comes; whether the pump has taken them is found out with a signed question (`settle`), which changes
nothing, and only then are they its keys. `attach` is what every command does first with a paired pump.
"""

from __future__ import annotations

from collections.abc import Callable

from thecal.link.commands import ROLES
from thecal_model import signing

from thecal_host.connection import PortError
from thecal_host.keys import Held, Keys, KeysError, Ring, checked_serial
from thecal_host.pump import Proposal, Pump, PumpError, Refused

# Any request will do to see whether a signature is good; this one is answered in short.
QUESTION = "held"

# Keys are in force, and told by an event, when they were written and read back.
WRITING_S = 5.0
IN_FORCE = "keys"
LOOK_S = 1.0

SERVICE = ROLES[-1]
BUTTON = "press the STOP button of the pump"
JUMPER = "fit the MAINTENANCE jumper of the pump"


def serial_of(pump: Pump) -> str:
    """The serial number by which its keys are kept. KeysError where it says none."""
    if "serial" not in pump.hello:
        raise KeysError(
            f"{pump.port.name} does not say its serial number: flash the image that belongs to this program"
        )
    return checked_serial(pump.hello["serial"])


def attach(pump: Pump, ring: Ring, role: str | None = None) -> Held:
    """Sign from now on with the keys that are held for this pump, in `role` only if one is named. KeysError
    where there is no key of that role.
    """
    if not pump.paired:
        return Held()
    held = settle(pump, ring)
    if role is not None and role not in held.keys:
        raise KeysError(
            f"this computer has no {role} key for pump {serial_of(pump)} (held: {held.roles()}): `thecal "
            "keys import FILE` takes one that was exported for you"
        )
    pump.signer.keys, pump.signer.role = dict(held.keys), role
    return held


def settle(pump: Pump, ring: Ring) -> Held:
    """What is held for a paired pump, once it is known whether it has taken the keys that were pending."""
    serial = serial_of(pump)
    held = ring.get(serial)
    taken = _has_taken(pump, held) if held.pending else None
    if taken is False:
        # They may be on their way into the flash just now, and are not to be forgotten then.
        _wait_until_in_force(pump)
        taken = _has_taken(pump, held)
    if taken is not None:
        held = held.promoted() if taken else held.kept()
        ring.put(serial, held)
    return held


def _has_taken(pump: Pump, held: Held) -> bool | None:
    """Whether the pending keys are in force; None where neither they nor those before are."""
    for role, key in held.pending.items():
        if key and is_good(pump, role, key):
            return True
        if role in held.keys:
            still = is_good(pump, role, held.keys[role])
            # Taken away, if the old one is not good any more; of a new one nothing can be said then.
            return False if still else True if not key else None
    return False if held.whole and any(is_good(pump, *one) for one in held.keys.items()) else None


def is_good(pump: Pump, role: str, key: bytes) -> bool:
    """Whether the pump takes this key for this role."""
    signer = pump.signer
    before, signer.keys, signer.role = (signer.keys, signer.role), {role: key}, role
    try:
        pump.ask(QUESTION)
    except Refused as why:
        if why.code not in ("bad_auth", "not_signed"):
            raise
        return False
    finally:
        signer.keys, signer.role = before
    return True


def pair(pump: Pump, ring: Ring, please: Callable[[str, int], object]) -> Held:
    """Give an unpaired pump keys of this computer; `please` is told what a hand must do, within how many
    seconds. Raises PumpError, KeysError; nothing has changed then, or it says what is not known.
    """
    serial = serial_of(pump)
    if pump.paired:
        held = attach(pump, ring)
        if held.keys:
            raise KeysError(f"pump {serial} is paired already, and its keys are here: {held.roles()}")
        raise KeysError(
            f"pump {serial} was paired by another computer: have a key exported there (`thecal keys export "
            "ROLE FILE`) and import it; who has lost all keys fits the MAINTENANCE jumper (`thecal keys "
            "reset`)"
        )
    new = {role: signing.new_key() for role in ROLES}
    before = ring.get(serial)
    ring.put(serial, Held(before.keys, new, whole=True))
    try:
        reply = pump.ask("pair", keys=_digits(new))
        please(JUMPER if reply.get("by") == "jumper" else BUTTON, reply["within_s"])
        paired = _wait_for_a_hand(pump, reply["within_s"] + WRITING_S)
    except Refused:
        ring.put(serial, before)
        raise
    except (PumpError, PortError) as why:
        raise PumpError(_not_known(why)) from None
    if not paired:
        ring.put(serial, before)
        raise PumpError("no hand was at the pump in time: it is not paired, and nothing has changed")
    for role, key in new.items():
        if not is_good(pump, role, key):
            raise PumpError(
                f"the pump says that it is paired, but does not take the {role} key that it was given: did "
                "somebody else pair it just now? The MAINTENANCE jumper helps (`thecal keys reset`)"
            )
    held = settle(pump, ring)
    pump.signer.keys = dict(held.keys)
    return held


def _wait_for_a_hand(pump: Pump, seconds: float) -> bool:
    until_s = pump.clock_s() + seconds
    while pump.clock_s() < until_s:
        again_s = pump.clock_s() + LOOK_S
        while pump.clock_s() < again_s:
            pump.poll(0.1)
        if pump.connect().get("paired") is True:
            return True
    return False


def change(pump: Pump, ring: Ring, new: Keys) -> Held:
    """Give the pump these keys instead of those of their roles; b"" takes one away. It must be `attach`ed,
    and the service key be here. Raises PumpError, KeysError.
    """
    serial = serial_of(pump)
    if not pump.paired:
        raise KeysError(f"pump {serial} is not paired: `thecal pair` comes first")
    held = ring.get(serial)
    if SERVICE not in held.keys:
        raise KeysError(
            f"only who has the {SERVICE} key of pump {serial} may change its keys, and it is not here (held: "
            f"{held.roles()})"
        )
    ring.put(serial, Held(held.keys, new))
    failed: Exception | None = None
    try:
        pump.ask("keys", keys=_digits(new))
        _wait_until_in_force(pump)
    except (PumpError, PortError) as why:
        failed = why
    # The answer alone does not tell: it may be lost, and the key that signed it gone.
    try:
        held = settle(pump, ring)
    except (PumpError, PortError) as why:
        raise PumpError(_not_known(failed or why)) from None
    if held.pending:
        raise PumpError(_not_known(failed or "the pump takes neither the old keys nor the new ones"))
    pump.signer.keys = dict(held.keys)
    if any(held.keys.get(role, b"") != key for role, key in new.items()):
        raise failed or PumpError(
            "the pump has not taken the new keys, though it said so; they are as they were"
        )
    return held


def propose_reset(pump: Pump) -> Proposal:
    """Have it read back that all keys go; the MAINTENANCE jumper must be fitted then, before it is confirmed.

    Refused unless STOPPED.
    """
    pump.signer.keys = {}  # whoever has them needs no reset, and what is left of them may be wrong
    reply = pump.ask("reset_keys")
    return pump.proposed(reply)


def reset(pump: Pump, ring: Ring, proposal: Proposal) -> None:
    """Confirm that; then no key of this pump is good for anything, and none is kept."""
    serial = serial_of(pump)
    pump.confirm(proposal)
    _wait_until_in_force(pump)
    if pump.connect().get("paired") is not False:
        raise PumpError("the pump still says that it is paired: look with `thecal log`")
    ring.put(serial, Held())


def _wait_until_in_force(pump: Pump) -> None:
    """Until the pump tells of other keys, or would have told."""
    for frames in pump.listen(pump.clock_s() + WRITING_S):
        if any(frame.get("code") == IN_FORCE for frame in frames):
            return


def _digits(keys: Keys) -> dict[str, str]:
    return {role: key.hex() for role, key in keys.items()}


def _not_known(why: Exception | str) -> str:
    return (
        f"{why}\nWhether the pump has taken the new keys is not known. They are kept: the next command that "
        "reaches the pump finds out"
    )
