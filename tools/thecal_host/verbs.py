"""What a pump is told by one request, and the sentence of what came of it.

The same at the command line and on the desk's pages. Each raises PumpError where the pump says no, and what
else `Pump.ask` raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from thecal_model.quantities import MS_PER_DAY
from thecal_model.text import rate_text, volume_text, week_time

from thecal_host.pump import Pump, PumpError


def start(pump: Pump) -> str:
    pump.ask("start")
    return "Started: the pump is RUNNING."


def stop(pump: Pump) -> str:
    reply = pump.ask("stop")
    unsigned = ", by a stop without a signature: it tells that by an alarm" if "unsigned" in reply else ""
    return f"The pump is {reply.get('state', 'STOPPED')}{unsigned}."


def acknowledge(pump: Pump) -> str:
    reply = pump.ask("acknowledge")
    return f"Acknowledged: the pump is {reply.get('state', 'STOPPED')}."


def silence(pump: Pump) -> str:
    if pump.ask("audio_pause").get("paused") is not True:
        raise PumpError("nothing was silenced: no alarm stands, or a pause is running already")
    return "Silent for two minutes; nothing is acknowledged."


def bolus(pump: Pump, volume_nl: int, duration_ms: int, accept: Sequence[str] = ()) -> str:
    """A clinician's; `accept` names bounds of the drug library that it may break."""
    named = {"accept": list(accept)} if accept else {}
    reply = pump.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms, **named)
    if reply.get("outcome") == "done":  # told once more, of a boot that is over
        return f"{volume_text(volume_nl)} were granted; what a reset has cut of it does not come any more."
    _granted(reply)
    rate_nl_h = Fraction(reply["rate_num"], reply["rate_den"])
    return f"Granted: {volume_text(volume_nl)} at {rate_text(rate_nl_h)} on top of the basal rate."


def patient_bolus(pump: Pump) -> str:
    _granted(pump.ask("patient_bolus"))
    return "Granted: the bolus of the therapy."


def _granted(reply: dict[str, Any]) -> None:
    """PumpError, with the pump's own reason, where a bolus is denied."""
    if reply.get("granted") is not True and reply.get("outcome") != "done":
        reason = reply.get("reason") or "no reason given"
        raise PumpError(f"the bolus is denied: {reply.get('message') or reason} ({reason})")


def prime(pump: Pump, volume_nl: int) -> str:
    reply = pump.ask("prime", volume_nl=volume_nl)
    return f"The pump is {reply.get('state', 'PRIMING')}."


def set_time(pump: Pump, week_s: int) -> str:
    """To a time of the week, in seconds since Monday midnight."""
    reply = pump.ask("set_time", week_s=week_s)
    return f"The pump's clock is at {week_time(reply.get('week_s', week_s))}."


def week_s_here() -> int:
    """The time of the week by the host's clock, in seconds since Monday midnight."""
    now = datetime.now()
    return now.weekday() * MS_PER_DAY // 1000 + now.hour * 3_600 + now.minute * 60 + now.second
