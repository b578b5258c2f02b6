"""The rig of a pump: ask for it, propose another one, and wait for the pump that it makes.

A rig is confirmed like a therapy, by the digest of what the pump read back, with each hazard that it leaves
unwatched accepted by its code. The pump writes it down, ends its therapy and starts anew: its port may go
away for a moment, and what answers then has passed its self-test on the new rig, or says what failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thecal import rig as wire
from thecal_model.rig import spread
from thecal_model.rig_words import rows

from thecal_host.connection import PortError
from thecal_host.pump import Proposal, Pump, PumpError, Refused

RESTART_TIMEOUT_S = 30.0
"""From the confirmation: the rig is written, the board resets, USB comes back, the self-test runs."""

AGAIN_S = 0.5


@dataclass(frozen=True)
class Kept:
    """The rig that is in force, and its number: how many rigs the pump has been given."""

    number: int
    rig: wire.Rig


def ask(pump: Pump) -> Kept | None:
    """The rig in force; None on a board without one. Raises PumpError for one that cannot be understood."""
    if "no_rig" in pump.hello:
        return None
    reply = pump.ask("rig_kept")
    try:
        return Kept(reply["number"], wire.read(reply["rig"]))
    except (KeyError, wire.RigError) as why:
        raise PumpError(f"the pump's rig is none that this program understands: {why}") from None


def in_force(pump: Pump) -> wire.Rig | None:
    """The rig alone."""
    kept = ask(pump)
    return None if kept is None else kept.rig


def propose(pump: Pump, rig: wire.Rig) -> Proposal:
    """Have a rig read back. Raises PumpError when the read-back is not what was sent."""
    reply = pump.ask("rig", rig=rig.tables)
    digest, readback = reply.get("digest"), reply.get("readback")
    if not isinstance(digest, str) or not isinstance(readback, dict):
        raise PumpError("the pump's answer to `rig` has no digest and read-back; nothing was changed")
    wrong = [key for key, value in spread(rig.tables).items() if readback.get(key) != value]
    if readback.get("soft", []) != rig.unwatched():
        wrong.append("what goes unwatched")
    if wrong:
        raise PumpError(
            "the pump read back another rig than was sent, nothing was changed: " + ", ".join(wrong)
        )
    return pump.proposed(reply)


def readback_rows(rig: wire.Rig, proposal: Proposal) -> list[tuple[str, str]]:
    """What the pump read back of `rig`, which `propose` has found to be the same, in words; then what changes
    against the rig in force.
    """
    said = rows(rig)
    for where, was, now in proposal.readback.get("changes", []):
        said.append(("changes", f"{where}: {_change(where, was, now)}"))
    return [*said, ("digest", proposal.digest)]


def _change(where: str, was: Any, now: Any) -> str:
    if where != "head.table":
        return f"{_value(was)} to {_value(now)}"
    return f"another one of {now} places" if was == now else f"{was} places to {now}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(map(str, value))
    return "not fitted" if value is None else str(value)


def wait(pump: Pump, number: int) -> dict[str, Any]:
    """The hello of the pump once it runs on another rig than that of `number`, its self-test over.

    A port that goes away with the pump is opened again, where the pump has a way to. Raises PumpError where
    nothing comes.
    """
    deadline_s = pump.clock_s() + RESTART_TIMEOUT_S
    while pump.clock_s() < deadline_s:
        try:
            hello = pump.connect()
        except Refused:
            raise
        except PumpError:
            continue  # it has not begun to speak
        except PortError:
            if pump.reopen is None:
                raise
            pump.sleep(AGAIN_S)
            pump.open_again()
            continue
        if hello.get("rig_number", 0) != number and hello["state"] not in ("BOOT", "POST"):
            return hello
        pump.poll(AGAIN_S)
    raise PumpError(
        f"the pump has not come back on its new rig within {RESTART_TIMEOUT_S:.0f} s: look with "
        "`thecal rig show`, and `thecal alarms`"
    )
