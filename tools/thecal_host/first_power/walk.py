"""The way through first power-on: what comes after what, and what is not tried once something is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from thecal.rig import Rig
from thecal_model.asking import Onlooker
from thecal_model.text import failed_text

from thecal_host.first_power import Finding, Verdict
from thecal_host.first_power.motor import Motor
from thecal_host.first_power.senses import Senses
from thecal_host.pump import Pump, PumpError

REST = ("STOPPED", "HALTED")


def walk(pump: Pump, rig: Rig, onlooker: Onlooker) -> Iterator[Finding]:
    """Check a pump that was told `rig`, part by part. The pump is STOPPED afterwards, or an alarm holds it.

    Raises PumpError, and moves nothing, for a pump that is not at rest, or that an alarm holds which a
    self-test has not raised; Refused where it moves nothing for another reason, such as a drug in its line.
    """
    said = pump.ask("alarms")
    if said["state"] not in REST:
        first = "wait a moment" if said["state"] in ("BOOT", "POST") else "`thecal stop` comes first"
        raise PumpError(f"the pump is {said['state']}: {first}")
    codes = [code for code, _ in said["alarms"]]
    if said["state"] == "HALTED" and "POST_FAILED" not in codes:
        raise PumpError(f"the pump is HALTED ({', '.join(codes)}): `thecal acknowledge` comes first")
    motor = Motor(pump, rig, onlooker)
    shaft = motor.shaft()
    yield shaft
    if shaft.verdict is not Verdict.GOOD:
        yield Finding("motor", Verdict.NOT_TRIED, "nothing is moved before the shaft is free")
    elif motor.stop_pressed():
        yield Finding("motor", Verdict.NOT_TRIED, "the STOP button is held down, or its level is wrong")
    elif said["state"] == "HALTED":
        failed = failed_text(said["failed"])
        yield Finding("motor", Verdict.NOT_TRIED, f"the self-test has failed ({failed}), so nothing moves")
    else:
        yield from motor.check()
    # What was found wrong on the way is the motor's news, not that of a sensor at rest.
    yield from Senses(pump, rig, onlooker, dict(said["failed"])).check()
