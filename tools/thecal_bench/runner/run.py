"""One run of an experiment: prepared, laid out, run chunk by chunk, judged."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

from thecal.clock import TICK_MS
from thecal.link.commands import ROLES
from thecal.rig import Rig
from thecal.states import STATES
from thecal_model import quantities as q
from thecal_model.link import LinkClient

from thecal_bench.bench import Bench
from thecal_bench.checks import Checks, Evidence
from thecal_bench.plant import Plant
from thecal_bench.run_log import LEDGER_FIELDS, STATUS_PERIOD_TICKS, RunLog
from thecal_bench.runner.commands import Commands
from thecal_bench.runner.findings import Findings, Record, tells_outcome
from thecal_bench.runner.preparation import Preparation
from thecal_bench.runner.proposals import RunError
from thecal_bench.runner.timeline import Timeline
from thecal_bench.runner.truth import Truths
from thecal_bench.scenario import DEFAULT_FILL_NL, Scenario

CHUNK_S = 0.2
"""About how long the board runs, in real time, between two looks at what it said."""

LONGEST_CHUNK_TICKS = 36_000


def make_plant(scenario: Scenario) -> Plant:
    """The plant that the scenario describes."""
    fill_nl = DEFAULT_FILL_NL if scenario.reservoir is None else scenario.reservoir.fill_nl
    return Plant(scenario.plant, seed=scenario.seed, fill_nl=fill_nl, rig=scenario.profile.rig)


class RunResult:
    """One run. Iterate over it for the records; afterwards there are `summary`, `expect_failed`, `log`."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._records = run.records()
        self._summary: Record | None = None

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            if record["type"] == "summary":
                self._summary = record
            yield record

    def finish(self) -> Record:
        """Run to the end without looking at the records; returns the summary."""
        deque(self, maxlen=0)
        return self.summary

    @property
    def summary(self) -> Record:
        """The last record. RunError while the run is not finished."""
        if self._summary is None:
            raise RunError("the run is not finished: there is no summary yet")
        return self._summary

    @property
    def expect_failed(self) -> int:
        """How many expectations did not hold."""
        return self.summary["expect_failed"]

    @property
    def log(self) -> RunLog:
        """What the pump said."""
        return self._run.log


def run_scenario(
    scenario: Scenario,
    bench: Bench,
    link: LinkClient,
    *,
    every_ms: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    keep_ledger: bool = False,
    rig: Rig | None = None,
) -> RunResult:
    """Prepare a run; nothing happens until the result is iterated over.

    `link` sends by `bench.send`; its callbacks and the bench's `on_data` are taken over. `every_ms` asks for
    samples, `progress(at_ms, duration_ms)` is called now and then, `keep_ledger` is for `canonical_records`.
    The pump is first given `rig`, unless that is None: then it has one.
    Iterating raises RunError, and BenchError if the board gives up.
    """
    return RunResult(_Run(scenario, bench, link, every_ms, progress, keep_ledger, rig))


def keys_of(seed: int) -> dict[str, bytes]:
    """The keys of a pump that is paired in an experiment. Who has the file has them: they are for a bench."""
    return {role: hashlib.sha256(f"{seed} {role}".encode()).digest() for role in ROLES}


def canonical_records(result: RunResult) -> bytes:
    """Ledger and events of a finished run from t=0 on, in ticks: the same bytes on every board (SIM-02).

    One JSON object a line, keys sorted, in order of ticks, the events of a tick before its ledger line.
    """
    ledger = result.log.ledger
    if ledger is None:
        raise ValueError("run_scenario was not asked to keep_ledger")
    lines: list[tuple[int, int, Record]] = [
        (event["tick"], 0, {"type": "event", **event}) for event in result.log.events
    ]
    width = 1 + len(LEDGER_FIELDS)
    for at in range(0, len(ledger), width):
        tick, *values = ledger[at : at + width]
        lines.append(
            (tick, 1, {"type": "ledger", "tick": tick, **dict(zip(LEDGER_FIELDS, values, strict=True))})
        )
    lines.sort(key=lambda line: line[:2])
    return b"".join(
        json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n" for *_, line in lines
    )


class _Run:
    """One experiment on one board."""

    def __init__(
        self,
        scenario: Scenario,
        bench: Bench,
        link: LinkClient,
        every_ms: int | None,
        progress: Callable[[int, int], object] | None,
        keep_ledger: bool,
        rig: Rig | None,
    ) -> None:
        self.log = RunLog(keep_ledger)
        self._scenario = scenario
        self._rig = rig
        self._is_given_one = False
        self._bench = bench
        self._link = link
        self._findings = Findings(scenario.clock_ms)
        self._progress = progress
        self._every_ticks = None if every_ms is None else max(1, -(-every_ms // TICK_MS))
        self._end = -(-scenario.duration_ms // TICK_MS)
        self._step_nl = Fraction(0)
        self._hello_id = 0  # of the question after a boot, or new keys, while there is no answer
        bench.on_data = link.feed
        link.signer = bench.signer
        link.on_event = self._on_event
        link.on_status = self.log.status

    def records(self) -> Iterator[Record]:
        """Everything, from power-on to the summary."""
        scenario, bench = self._scenario, self._bench
        begin = self._prepare()
        if scenario.assumes_the_line:
            line = q.show(scenario.profile.line_nl or 0, q.VOLUME, "uL")
            said = f"no therapy.line: the pump is told that the line holds {line}, as the plant's does"
            yield {"type": "note", "at_ms": 0, "message": said}
        checks = Checks(scenario, self._end)
        Timeline(bench, self.log, self._findings, self._commands, begin).lay(scenario)
        self._truths.watch(sorted({*checks.truth_ticks, self._end}), self._every_ticks)
        wanted = sorted({*checks.status_ticks, self._end})
        for tick in wanted:
            self.log.want_status(tick)
        self._commands.ask_status(wanted)
        for _ in self._chunks(begin):
            yield from self._drain()
            if self._progress is not None:
                self._progress(max(0, bench.tick - begin) * TICK_MS, scenario.duration_ms)
        for _ in range(1 + bench.slack_ticks):
            if self._commands.connected and (self.log.waits_for(self._end) or self._commands.open):
                bench.advance_to_tick(bench.tick + 1)
        yield from self._drain()
        yield from self._warnings()
        failed = 0
        for record in checks.judge(self._evidence()):
            failed += record["ok"] is False
            yield record
        yield self._summary(failed)

    def _prepare(self) -> int:
        """Up to t=0; gives its tick, the device's."""
        scenario, bench, findings = self._scenario, self._bench, self._findings
        preparation = Preparation(scenario, bench, self._link, findings)
        hello = preparation.meet()
        preparation.check_rig(hello)
        if self._rig is not None:
            self._is_given_one = True
            hello = preparation.give_rig(self._rig, hello)
            self._is_given_one = False
        self._step_nl = Fraction(hello["nl_per_rev"], hello["steps_per_rev"])
        # What is told of a new line before t=0 counts then.
        preparation.program()
        begin, executed_steps = preparation.set_clock(self.log.lost_ticks)
        self._commands = Commands(bench, self._link, self.log, findings, scenario.profile, begin)
        self._commands.keys = keys_of(scenario.seed)
        self._truths = Truths(bench, findings, scenario.therapy.limit, begin, self._end)
        self.log.begin(begin, executed_steps, self._end)
        bench.on_data = self._on_data
        return begin

    def _chunks(self, begin_tick: int) -> Iterator[None]:
        """Run to the end, with a pause now and then."""
        bench, end = self._bench, begin_tick + self._end
        chunk = STATUS_PERIOD_TICKS
        while bench.tick < end:
            self._commands.send()
            stop = min(end, bench.tick + chunk, self._commands.next_tick())
            before, started_s = bench.tick, time.perf_counter()
            bench.advance_to_tick(stop)
            took_s = time.perf_counter() - started_s
            if stop - before == chunk:
                # Only how often we look, never what happens, depends on the real time it takes.
                longer = int(chunk * min(2.0, CHUNK_S / max(took_s, 1e-6)))
                chunk = max(1, min(LONGEST_CHUNK_TICKS, longer))
            yield

    # --- what the pump says

    def _on_data(self, data: bytes) -> None:
        if not any(frame.get("type") == "reply" for frame in self._link.feed(data)):
            return
        hello = self._link.reply(self._hello_id)
        if hello is not None:
            self._hello_id = 0
            self._bench.signer.hear(hello)
        self._commands.read_replies()

    def _on_event(self, frame: Record) -> None:
        log, records = self.log, self._findings.records
        if frame["code"] == "boot" and (log.begin_tick is not None or self._is_given_one):
            log.lost_ticks = self._bench.tick - frame["tick"]
            self._hello_id = self._link.request("hello")  # for the number of the boot
        elif frame["code"] == "keys":
            self._hello_id = self._link.request("hello")
        alarms, states = len(log.alarms), len(log.states)
        event = log.event(frame)
        if event is None:
            return
        records.append({"type": "event", "at_ms": event["tick"] * TICK_MS, **event})
        for alarm in log.alarms[alarms:]:
            records.append({"type": "alarm", **alarm.record()})
        for change in log.states[states:]:
            records.append({"type": "state", **change.record()})
        if event["code"] == "new_line":
            # What the pump was told of, not what it says: it judges the pump. At t=0 it is said before.
            self._truths.exempt(self._scenario.line_nl(self._findings.therapies[-1][1]))
        elif event["code"] == "state" and STATES[event["b"]] == "RUNNING":
            self._truths.exempt(0)
        if tells_outcome(event):
            self._commands.read_replies()
        self._findings.logged(event)

    # --- what came of it

    def _drain(self) -> Iterator[Record]:
        records = self._findings.records
        while records:
            record = records.popleft()
            if record["type"] == "sample":
                # Taken just before its tick; the state is that after it.
                record["state"] = self.log.state_at(record["at_ms"] // TICK_MS)
            yield record

    def _warnings(self) -> Iterator[Record]:
        link = self._link
        lost = {
            "frames lost": link.gaps,
            "CRC errors": link.crc_errors,
            "lines that are no frame": link.bad_frames,
            "commands without an answer": self._commands.unanswered(),
        }
        for what, count in lost.items():
            if count:
                yield {"type": "warning", "message": f"{count} {what} between pump and host"}

    def _nl_per_step(self) -> Fraction:
        """Of the pump at the end, which counts all that it has made in the microsteps of its last rig."""
        rig = self._findings.rig
        return self._step_nl if rig is None else Fraction(rig.nl_per_rev, rig.steps_per_rev)

    def _evidence(self) -> Evidence:
        findings, truths = self._findings, self._truths
        return Evidence(
            self.log,
            None if self._bench.plant is None else truths.at,
            self._nl_per_step(),
            findings.boluses,
            findings.therapies,
            findings.clocks,
            self._bench.slack_ticks,
            truths.peak_nl,
            truths.peak_tick,
            findings.astray_tick,
            tuple(findings.refusals),
        )

    def _summary(self, failed: int) -> Record:
        end, log, plant, peak_nl = self._end, self.log, self._bench.plant, self._truths.peak_nl
        truth = self._truths.at.get(end)
        executed_steps = log.steps_at(end)
        return {
            "type": "summary",
            "duration_ms": self._scenario.duration_ms,
            "delivered_nl": None if plant is None or truth is None else round(truth.displaced_nl),
            "outflow_nl": None if plant is None or truth is None else round(truth.outflow_nl),
            "ledger_nl": None if executed_steps is None else round(executed_steps * self._nl_per_step()),
            "commanded_steps": log.steps_at(end, "ordered_steps"),
            "executed_steps": executed_steps,
            "window_peak_nl": None if peak_nl is None else round(peak_nl),
            "boluses": [bolus.record() for bolus in self._findings.boluses],
            "alarms": [alarm.record() for alarm in log.alarms],
            "states": [change.record() for change in log.states if change.tick <= end],
            "resets": log.resets,
            "soft_limits": self._findings.soft_limits,
            "pressure_peak_pa": None if plant is None else round(plant.pressure_peak_pa()),
            "expect_failed": failed,
        }
