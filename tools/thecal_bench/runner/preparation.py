"""Before t=0: a pump that answers and is stopped, its reservoir, its therapy, its clock."""

from __future__ import annotations

import json

from thecal.clock import TICK_MS
from thecal.rig import Rig
from thecal_model import programming
from thecal_model.link import LinkClient
from thecal_model.quantities import MS_PER_WEEK

from thecal_bench.bench import Bench
from thecal_bench.run_log import STATUS_PERIOD_TICKS
from thecal_bench.runner.dialogue import Dialogue
from thecal_bench.runner.findings import Findings, Record
from thecal_bench.runner.proposals import (
    LEAD_TICKS,
    RunError,
    check_readback,
    lead_ticks,
)
from thecal_bench.scenario import Scenario

SETTLE_TICKS = 30
"""From the confirmed therapy to t=0 at least: time to set the clock and to send what acts at t=0."""

CLOCK_LEAD_TICKS = 20
"""So long before t=0 the clock is set, a whole number of seconds."""


class Preparation(Dialogue):
    """What makes a pump ready for a scenario. Each step raises RunError or TherapyRefused."""

    def __init__(self, scenario: Scenario, bench: Bench, link: LinkClient, findings: Findings) -> None:
        super().__init__(bench, link)
        self._scenario = scenario
        self._findings = findings

    def check_rig(self, hello: Record) -> None:
        """A board with a plant of its own runs on what it was told: that must be what the scenario names."""
        wanted = self._scenario.profile.rig
        if wanted is None or self._bench.plant is not None:
            return
        if "no_rig" in hello or self._must("rig_kept")["rig"] != json.loads(json.dumps(wanted.tables)):
            raise RunError(
                f"the pump runs on rig {hello['rig']}, the scenario on {wanted.name}: program that first, "
                "`thecal rig program`"
            )

    def give_rig(self, rig: Rig, hello: Record) -> Record:
        hello = super().give_rig(rig, hello)
        record = {"type": "rig", "at_ms": 0, "name": rig.name, "unwatched": rig.unwatched()}
        self._findings.records.append(record)
        return hello

    def program(self) -> None:
        """Tell it of the reservoir, and have the therapy confirmed."""
        scenario = self._scenario
        if scenario.reservoir is not None:
            self._confirmed("refill", {"volume_nl": scenario.reservoir.fill_nl})
        self._confirmed("program", {"therapy": scenario.therapy.message(scenario.profile)})
        self._findings.therapies.append((0, scenario.therapy))

    def set_clock(self, lost_ticks: int) -> tuple[int, int]:
        """Choose t=0, a tick of a periodic status, and set the clock for it. Gives its tick, and the
        microsteps executed before. The device's own ticks are `lost_ticks` behind: it has started anew.
        """
        bench, scenario = self._bench, self._scenario
        self._link.request("status")
        earliest = bench.tick + SETTLE_TICKS + self._early_ticks()
        begin = -(-(earliest - lost_ticks) // STATUS_PERIOD_TICKS) * STATUS_PERIOD_TICKS + lost_ticks
        week_ms = (scenario.clock_ms - CLOCK_LEAD_TICKS * TICK_MS) % MS_PER_WEEK
        self._must("set_time", week_s=week_ms // 1000, at_tick=begin - CLOCK_LEAD_TICKS - lost_ticks)
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
