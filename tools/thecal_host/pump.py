"""A conversation with one pump over an open port: connect, ask, program, listen.

`Pump` owns the time that the link client does not know: it reads the port until an answer is there or the
wait is over. Every failure is a `PumpError` whose message says what to do next. A request that changes
something is sent once, never again on its own: a bolus whose reply was lost must not be given twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from thecal.dose import prescription
from thecal.rig import Rig
from thecal_model import programming
from thecal_model.kept import joined
from thecal_model.link import PROTOCOL_VERSION, LinkClient, needs_id
from thecal_model.quantities import CONCENTRATION, of_message, show
from thecal_model.readback import differences
from thecal_model.text import clock_text, mass_text, rate_text, volume_text

from thecal_host.connection import Port
from thecal_host.pharmacy import Library

# A reply leaves in the tick (100 ms) that read the request; an emulated board under load is slower.
REPLY_TIMEOUT_S = 5.0

# Then the pump is asked what became of it.
OUTCOME_TIMEOUT_S = 2.0
OUTCOMES = {
    "waiting": "it waits and is still to be carried out",
    "done": "asked again, the pump says that it has been carried out",
    "denied": "asked again, the pump says that it was denied",
    "refused": "asked again, the pump says that it was refused",
    "cancelled": "asked again, the pump says that a stop cancelled it",
    "cut": "the pump was reset: it may have been carried out or not, and will not be any more; look with "
    "`thecal status`",
    "unknown": "the pump does not know of it: it was not carried out",
}
"""What is told of a command whose reply was lost."""
HELLO_TIMEOUT_S = 4.0

# While waiting, ask for hello again this often: the first may have met a board that was still booting.
HELLO_AGAIN_S = 1.0

H_PER_DAY = 24


class PumpError(Exception):
    """The pump did not do what was asked. The message says why and what to do."""


class Refused(PumpError):
    """The pump said no; `code` is its code."""

    def __init__(self, cmd: str, code: str, message: str) -> None:
        super().__init__(f"the pump refuses `{cmd}`: {message or code}")
        self.code = code
        self.cmd = cmd
        self.message = message


@dataclass(frozen=True)
class Proposal:
    """A therapy, a drug library or a refill as the pump understood it; nothing is changed until its digest is
    confirmed.
    """

    digest: str
    readback: dict[str, Any]
    why: tuple[str, ...] = ()
    """What each soft limit is about that the confirmation accepts."""

    @property
    def soft(self) -> list[str]:
        """The soft limits that the confirmation must accept by name."""
        return self.readback.get("soft", [])


def week_time(second_of_week: int) -> str:
    """A second of the week as people say it: `mon 06:00`."""
    day, second = divmod(second_of_week, 86_400)
    hour, second = divmod(second, 3_600)
    return f"{('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')[day]} {hour:02}:{second // 60:02}"


def readback_rows(proposal: Proposal, now: datetime | None = None) -> list[tuple[str, str]]:
    """A read-back for a person to check: name and value, with the units one thinks in.

    The refill date (RES-03) is the earliest at which LOW can come, every permitted bolus taken, if the
    therapy starts `now`.
    """
    said = proposal.readback
    rows = [("mode", str(said["mode"]))]
    if "drug" in said:
        strength = show(of_message(said["concentration_pg_nl"]), CONCENTRATION, "mg/mL")
        rows.append(("drug", f"{said['drug']}, {strength}"))
        if said.get("approved") == 0:
            rows.append(("approved", "not for this use"))
        rows.append(("dose", f"{mass_text(said['daily_pg'])} a day"))
    if "rate_num" in said:
        rows.append(("rate", rate_text(Fraction(said["rate_num"], said["rate_den"]))))
    for start_ms, num, den in said.get("steps", []):
        rows.append((f"from {week_time(start_ms // 1000)}", rate_text(Fraction(num, den))))
    rows.append(("volume", f"{volume_text(said['daily_nl'])} a day"))
    rows += _bridge_rows(said)
    if said.get("line_nl"):
        rows.append(("line", f"{volume_text(said['line_nl'])} of tubing and catheter"))
    if said.get("kvo_num"):
        rows.append(("keep vein open", rate_text(Fraction(said["kvo_num"], said["kvo_den"]))))
    rows.append(("at most", rate_text(said["max_rate_nl_h"])))
    if "bolus_volume_num" in said:
        volume = Fraction(said["bolus_volume_num"], said["bolus_volume_den"])
        rate = rate_text(Fraction(said["bolus_rate_num"], said["bolus_rate_den"]))
        rows.append(("patient bolus", f"{volume_text(volume)} at {rate}"))
        often = f"{said['lockout_ms'] / 60_000:g} min after the last, {said['max_per_day']} a day"
        rows.append(("not before", often))
    if "limit_num" in said:
        limit = volume_text(Fraction(said["limit_num"], said["limit_den"]))
        rows.append(("limit", f"{limit} in any {said['window_ms'] / 3_600_000:g} h"))
    low, empty = volume_text(said["low_nl"]), volume_text(said["empty_nl"])
    rows.append(("reservoir", f"low at {low}, empty at {empty}"))
    if "low_in_h" in said:
        date = (now or datetime.now()) + timedelta(hours=said["low_in_h"])
        rows.append(("refill", f"by {date:%Y-%m-%d %H}:00, in {said['low_in_h'] / H_PER_DAY:.1f} days"))
    if "steps_per_tick_num" in said:
        steps = Fraction(said["steps_per_tick_num"], said["steps_per_tick_den"])
        rows.append(("microsteps per tick", f"{steps} ({float(steps):.6g})"))
    for text in proposal.why:
        rows.append(("soft limit", text))
    rows.append(("digest", proposal.digest))
    return rows


def _bridge_rows(said: dict[str, Any]) -> list[tuple[str, str]]:
    """How long the old drug still flows, and at what rate."""
    if "bridge_left_nl" not in said:
        return []
    old = show(of_message(said["bridge_pg_nl"]), CONCENTRATION, "mg/mL")
    text = f"{volume_text(said['bridge_left_nl'])} of {old} leave the line first"
    if "bridge_s" in said:
        text += f": {clock_text(said['bridge_s'] * 1_000)} of flow"
    rows = [("bridge", text)]
    if "bridge_rate_num" in said:
        rows.append(("meanwhile", rate_text(Fraction(said["bridge_rate_num"], said["bridge_rate_den"]))))
    if "bridge_times_num" in said:
        times = Fraction(said["bridge_times_num"], said["bridge_times_den"])
        for start_ms, num, den in said.get("steps", []):
            when = week_time(start_ms // 1000)
            rows.append((f"meanwhile from {when}", rate_text(Fraction(num, den) * times)))
    return rows


def kept_rows(kept: dict[str, Any], rig: Rig) -> list[tuple[str, str]]:
    """A therapy that a pump on `rig` keeps, for a person, by the firmware's own reader. Raises PumpError."""
    try:
        understood = prescription.parse(kept["therapy"], rig.mechanism())
        readback = understood.readback()
        if "step_count" in readback:
            readback["steps"] = [
                step
                for first in range(0, readback["step_count"], prescription.PAGE_STEPS)
                for step in understood.steps_from(first)
            ]
    except prescription.PrescriptionError as why:
        raise PumpError(f"therapy {kept['number']} is none that this program understands: {why}") from None
    return readback_rows(Proposal(kept["digest"], readback))


class Pump:
    """One pump at one port. `hello` holds what it said of itself when it was connected."""

    def __init__(self, port: Port, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self.hello: dict[str, Any] = {}
        self.clock_s = clock_s
        # Ids begin anywhere, so that a late reply to an earlier program is not taken for ours.
        self.client = LinkClient(port.write, first_id=random.randrange(1, 1 << 29))

    def connect(self) -> dict[str, Any]:
        """Say hello until the pump answers; check that both speak the same protocol."""
        # Ends whatever an earlier program may have left half sent.
        self.port.write(b"\n")
        deadline_s = self.clock_s() + HELLO_TIMEOUT_S
        asked: list[int] = []
        reply = None
        while reply is None:
            now_s = self.clock_s()
            if now_s >= deadline_s:
                raise PumpError(self._why_silent())
            asked.append(self.client.request("hello"))
            reply = self._wait(asked, min(deadline_s, now_s + HELLO_AGAIN_S))
        self._check("hello", reply)
        if reply.get("protocol") != PROTOCOL_VERSION:
            raise PumpError(
                f"{self.port.name} speaks protocol {reply.get('protocol')}, this program {PROTOCOL_VERSION}: "
                "flash the image that belongs to this program (`make flash`)"
            )
        self.hello = reply
        self.client.forget_losses()
        return reply

    def poll(self, timeout_s: float) -> list[dict[str, Any]]:
        """The frames that have arrived, waiting at most `timeout_s` for the first bytes."""
        data = self.port.read(timeout_s)
        return self.client.feed(data) if data else []

    def ask(self, cmd: str, **args: Any) -> dict[str, Any]:
        """Send one request and wait for its reply. Raises Refused, or PumpError when none comes."""
        boot = self.client.boot
        request_id = self.client.request(cmd, **args)
        reply = self._wait([request_id], self.clock_s() + REPLY_TIMEOUT_S)
        if reply is None:
            raise PumpError(
                f"no answer to `{cmd}` from {self.port.name} within {REPLY_TIMEOUT_S:.0f} s: "
                + self._what_became_of(cmd, request_id, boot)
            )
        self._check(cmd, reply)
        return reply

    def _what_became_of(self, cmd: str, request_id: int, boot: int | None) -> str:
        """Of a command for `boot` whose reply was lost: the pump keeps the outcomes by ID."""
        if needs_id(cmd):
            named = {} if boot is None else {"of_boot": boot}
            asked = self.client.request("outcome", of_run=self.client.run, of=request_id, **named)
            said = self._wait([asked], self.clock_s() + OUTCOME_TIMEOUT_S) or {}
            if said.get("outcome") in OUTCOMES:
                return OUTCOMES[said["outcome"]]
        return "the pump may have taken it or not; look with `thecal status` before you ask again"

    def propose(self, therapy: dict[str, Any]) -> Proposal:
        """Have a therapy read back. Raises PumpError when the read-back is not what was sent."""
        reply: dict[str, Any] = {}
        for arguments in programming.requests(therapy):
            reply = self.ask("program", **arguments)
        digest, readback = reply.get("digest"), reply.get("readback")
        if not isinstance(digest, str) or not isinstance(readback, dict):
            raise PumpError("the pump's answer to `program` has no digest and read-back; nothing was changed")
        while (first := programming.missing(readback)) is not None:
            try:
                programming.complete(reply, self.ask("readback", **{"from": first}))
            except (programming.ReadbackError, KeyError, TypeError) as why:
                raise PumpError(f"{why}; nothing was changed") from None
        wrong = differences(therapy, readback)
        if wrong:
            raise PumpError(
                "the pump read back another therapy than was sent, nothing was changed: " + "; ".join(wrong)
            )
        return Proposal(digest, readback, tuple(reply.get("why", ())))

    def propose_library(self, library: Library) -> Proposal:
        """Have a drug library read back. Raises PumpError when the read-back is not that of the file."""
        reply: dict[str, Any] = {}
        for part in library.parts():
            reply = self.ask("library", part=part)
        if reply.get("readback") != library.readback():
            raise PumpError("the pump read back another library than was sent; nothing was changed")
        return Proposal(reply["digest"], reply["readback"])

    def propose_refill(self, volume_nl: int) -> Proposal:
        """Have a refill read back."""
        reply = self.ask("refill", volume_nl=volume_nl)
        if reply.get("readback") != {"refill_nl": volume_nl}:
            raise PumpError("the pump read back another volume than was sent; nothing was changed")
        return Proposal(reply["digest"], reply["readback"])

    def propose_new_line(self) -> Proposal:
        """Have it read back how much fills a line that is new or empty. Refused unless STOPPED."""
        reply = self.ask("new_line")
        if not isinstance(reply.get("readback"), dict) or "new_line_nl" not in reply["readback"]:
            raise PumpError("the pump's answer to `new_line` says no volume; nothing was changed")
        return Proposal(reply["digest"], reply["readback"])

    def propose_disconnected(self) -> Proposal:
        """Have it read back that no patient is connected, and how much may be jogged then. Refused unless
        STOPPED, and where a drug may be in the line.
        """
        reply = self.ask("disconnected")
        if not isinstance(reply.get("readback"), dict) or "jog_steps" not in reply["readback"]:
            raise PumpError("the pump's answer to `disconnected` says no steps; nothing was changed")
        return Proposal(reply["digest"], reply["readback"])

    def propose_begin_anew(self) -> Proposal:
        """Have it read back what the flash holds instead of a journal. Refused where it holds one."""
        reply = self.ask("begin_anew")
        return Proposal(reply["digest"], reply["readback"])

    def confirm(self, proposal: Proposal) -> None:
        """Apply what was read back."""
        accept = {"accept": proposal.soft} if proposal.soft else {}
        self.ask("confirm", digest=proposal.digest, **accept)

    def therapy(self, number: int | None = None) -> dict[str, Any] | None:
        """The therapy of a number, or the one in force, as the pump keeps it; None where it keeps none.

        A dict with `number`, `tick_s` (when it was confirmed), `digest` and `therapy`, as in `program`.
        """
        try:
            pages = [self.ask("therapy", **({} if number is None else {"number": number}))]
        except Refused as why:
            if why.code != "refused":
                raise
            return None
        while pages[-1].get("next", 0) < pages[-1].get("step_count", 0):
            pages.append(self.ask("therapy", number=pages[0]["number"], **{"from": pages[-1]["next"]}))
        try:
            return joined(pages)
        except (KeyError, TypeError, ValueError) as why:
            raise PumpError(f"the pump's answer to `therapy` is not whole ({why})") from None

    def empty_nl(self) -> int:
        """The level at which the reservoir counts as empty, of the therapy in force."""
        kept = self.therapy()
        return (
            prescription.EMPTY_NL if kept is None else kept["therapy"].get("empty_nl", prescription.EMPTY_NL)
        )

    def status(self) -> dict[str, Any]:
        """A status frame of now. The pump answers the request with the frame that it also sends by itself."""
        self.client.last_status = None
        self.client.request("status")
        deadline_s = self.clock_s() + REPLY_TIMEOUT_S
        while self.client.last_status is None:
            if self.clock_s() >= deadline_s:
                raise PumpError(
                    f"no status from {self.port.name} within {REPLY_TIMEOUT_S:.0f} s: reset the pump"
                )
            self.poll(0.1)
        return self.client.last_status

    @property
    def nl_per_step(self) -> Fraction:
        """Mean volume of a microstep, from the pump's calibration."""
        return Fraction(self.hello["nl_per_rev"], self.hello["steps_per_rev"])

    @property
    def tick_ms(self) -> int:
        """Length of the pump's tick."""
        return self.hello["tick_ms"]

    def listen(self, until_s: float | None = None) -> Iterator[list[dict[str, Any]]]:
        """Frames as they come, in batches (an empty one at least every 200 ms), until a time or for ever."""
        while until_s is None or self.clock_s() < until_s:
            yield self.poll(0.2)

    def _wait(self, request_ids: list[int], until_s: float) -> dict[str, Any] | None:
        while True:
            for request_id in request_ids:
                reply = self.client.reply(request_id)
                if reply is not None:
                    return reply
            left_s = until_s - self.clock_s()
            if left_s <= 0:
                return None
            self.poll(min(left_s, 0.1))

    def _check(self, cmd: str, reply: dict[str, Any]) -> None:
        if reply.get("ok") is not True:
            raise Refused(cmd, str(reply.get("error", "no reason given")), str(reply.get("message", "")))

    def _why_silent(self) -> str:
        name = self.port.name
        said = b"\n".join([*self.client.noise, self.client.unfinished])
        if b">>>" in said or b"MicroPython" in said:
            return (
                f"{name} answers with a MicroPython prompt, not as a pump: take the MAINTENANCE jumper off "
                "and reset the board, or put the image on it with `make flash`"
            )
        if said.strip():
            return (
                f"{name} answers, but not as a pump; it said {said.strip()[-60:]!r}: is it another "
                "device? `thecal ports` lists what there is"
            )
        return (
            f"no pump answers at {name}: reset it, see that it has the image (`make flash`) and that its "
            "MAINTENANCE jumper is off; `thecal ports` lists what there is"
        )
