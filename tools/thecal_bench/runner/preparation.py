"""Before t=0: a pump that answers and is stopped, its reservoir, its therapy, its clock."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from thecal.clock import TICK_MS
from thecal_model import programming
from thecal_model.link import LinkClient, LinkError
from thecal_model.quantities import MS_PER_WEEK

from thecal_bench.bench import Bench
from thecal_bench.run_log import STATUS_PERIOD_TICKS
from thecal_bench.runner.findings import Findings, Record
from thecal_bench.runner.proposals import (
    LEAD_TICKS,
    RunError,
    TherapyRefused,
    check_readback,
    lead_ticks,
)
from thecal_bench.scenario import Scenario

HELLO_TICKS = 10
HELLO_TRIES = 10
REPLY_TICKS = 60
SETTLE_TICKS = 30
"""From the confirmed therapy to t=0 at least: time to set the clock and to send what acts at t=0."""

CLOCK_LEAD_TICKS = 20
"""So long before t=0 the clock is set, a whole number of seconds."""


class Preparation:
    """What makes a pump ready for a scenario. Each step raises RunError or TherapyRefused."""

    def __init__(self, scenario: Scenario, bench: Bench, link: LinkClient, findings: Findings) -> None:
        self._scenario = scenario
        self._bench = bench
        self._link = link
        self._findings = findings

    def meet(self) -> Fraction:
        """Wait until the pump answers and is stopped; gives what one of its microsteps displaces, nL."""
        bench = self._bench
        bench.advance_to_tick(max(0, bench.tick))
        hello = None
        latest = bench.tick + HELLO_TRIES * HELLO_TICKS
        # The self-test of a pump that has just been switched on takes some ticks.
        while bench.tick < latest and (hello is None or hello["state"] in ("BOOT", "POST")):
            hello = self._ask("hello", HELLO_TICKS)
        if hello is None:
            raise RunError(f"no pump answers `hello` in {HELLO_TRIES * HELLO_TICKS * TICK_MS // 1000} s")
        if hello["state"] != "STOPPED":
            raise RunError(
                f"the pump is {hello['state']}, an experiment begins with it STOPPED: stop it first"
            )
        return Fraction(hello["nl_per_rev"], hello["steps_per_rev"])

    def program(self) -> None:
        """Tell it of the reservoir, and have the therapy confirmed."""
        scenario = self._scenario
        if scenario.reservoir is not None:
            self._confirmed("refill", {"volume_nl": scenario.reservoir.fill_nl})
        self._confirmed("program", {"therapy": scenario.therapy.message(scenario.profile)})
        self._findings.therapies.append((0, scenario.therapy))

    def set_clock(self) -> tuple[int, int]:
        """Choose t=0, a tick of a periodic status, and set the clock for it. Gives its tick, the device's,
        and the microsteps executed before.
        """
        bench, scenario = self._bench, self._scenario
        self._link.request("status")
        earliest = bench.tick + SETTLE_TICKS + self._early_ticks()
        begin = -(-earliest // STATUS_PERIOD_TICKS) * STATUS_PERIOD_TICKS
        week_ms = (scenario.clock_ms - CLOCK_LEAD_TICKS * TICK_MS) % MS_PER_WEEK
        self._must("set_time", week_s=week_ms // 1000, at_tick=begin - CLOCK_LEAD_TICKS)
        bench.advance_to_tick(begin - LEAD_TICKS - 1)
        status = self._link.last_status
        if status is None:
            raise RunError("the pump answers, but sends no status")
        return begin, status["executed_steps"]

    def _early_ticks(self) -> int:
        """So much longer before t=0, for therapies that are long and change soon."""
        early = 0
        for event in self._scenario.events:
            if event.therapy is not None:
                lead = lead_ticks(event.therapy, self._scenario.profile)
                early = max(early, lead - event.at_ms // TICK_MS)
        return early

    def _ask(self, cmd: str, ticks: int, **args: Any) -> Record | None:
        number = self._link.request(cmd, **args)
        for _ in range(ticks):
            self._bench.advance_to_tick(self._bench.tick + 1)
            reply = self._link.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        return None

    def _must(self, cmd: str, **args: Any) -> Record:
        what = {"program": "the therapy", "confirm": "what it read back"}.get(cmd, f"`{cmd}`")
        try:
            reply = self._ask(cmd, REPLY_TICKS, **args)
        except LinkError as why:
            raise TherapyRefused(f"{self._place_of(cmd)}{what} cannot be sent: {why}") from None
        if reply is None:
            raise RunError(f"the pump does not answer `{cmd}`")
        if not reply["ok"]:
            why = reply.get("message") or reply.get("error")
            raise TherapyRefused(f"{self._place_of(cmd)}the pump refuses {what}: {why}")
        return reply

    def _place_of(self, cmd: str) -> str:
        """Where the scenario says what is sent."""
        path, line = self._scenario.path, self._scenario.therapy_line
        return f"{path}:{line}: " if cmd == "program" and line else ""

    def _confirmed(self, cmd: str, args: Record) -> None:
        proposal: Record = {}
        for arguments in programming.requests(args["therapy"]) if "therapy" in args else [args]:
            proposal = self._must(cmd, **arguments)
        while (first := programming.missing(proposal["readback"])) is not None:
            programming.complete(proposal, self._must("readback", **{"from": first}))
        check_readback(args, proposal["readback"])
        self._must("confirm", digest=proposal["digest"], **self._findings.accepted(proposal, 0, cmd))
