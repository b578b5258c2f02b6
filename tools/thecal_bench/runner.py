"""Runs a `Scenario` on any `Bench` and says what came of it, record by record.

How to read it: `run_scenario` gives a `RunResult`; iterating over it runs the experiment. `_Run` is one run:
`_prepare` (hello, refill, program, read-back, confirm, choose t=0, set the clock), `_timeline` (what is to
happen when), then the loop in `records`. A `_Command` gets to the pump in time: each is sent about a second
early with the tick at which it acts, so the tick is exact on every board. What the pump says is kept by
`run_log.RunLog`, what was expected is judged by `checks.Checks`, `window.WindowPeak` watches the plant.

After a reset the pump's ticks are behind those of the world by what passed while it hung, had no power,
started, and since its last record: the event `boot` tells by how much, and commands are sent for its ticks.
Everything else here counts the world's. What is due while the power is cut is not sent.

What became of a bolus that was asked for over the link its reply says; of one that was asked for with the
button only the pump's log can tell.

t=0 is a tick on which the pump also sends its periodic status. Plant truth is read just before the inputs
of a tick are, through `Bench.schedule`.

Records are plain dicts of integers and texts with a `type`: `event` (as the pump logged it), `state`,
`bolus`, `alarm`, `refused` (a command the pump did not take, with its sentence), `soft_limit` (of a therapy,
confirmed by the runner), `skipped` (what this board can not do), `sample`, `note` (what the experiment adds
to its file), `warning`, `expect`, and `summary` last. `*_ms` count from t=0.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from thecal.causes import CAUSES, TABLE
from thecal.link.commands import COMMANDS
from thecal.states import STATES
from thecal_model import programming
from thecal_model import quantities as q
from thecal_model.link import LinkClient, LinkError
from thecal_model.quantities import MS_PER_HOUR, MS_PER_WEEK
from thecal_model.readback import differences
from thecal_model.therapy import Therapy

from thecal_bench.bench import TICK_MS, TICK_NS, Bench, NotPossible
from thecal_bench.checks import CLINICIAN, PATIENT, Bolus, Checks, Evidence, Refusal, Truth
from thecal_bench.plant import MECHANISMS, NS_PER_MS, Plant
from thecal_bench.run_log import LEDGER_FIELDS, STATUS_PERIOD_TICKS, RunLog
from thecal_bench.scenario import CONFIRMED, DEFAULT_FILL_NL, LINK_LEAD_MS, ON_THE_LINK, Event, Scenario
from thecal_bench.window import WindowPeak

Record = dict[str, Any]

LEAD_TICKS = LINK_LEAD_MS // TICK_MS
"""How long before its tick a command is sent."""

PROPOSE_TICKS = LEAD_TICKS // 2
"""How long before its tick a new therapy is proposed, so that the read-back can be confirmed in time."""

SHORT_WEEK = 24
"""Starts of steps in a week, with which a therapy is proposed and read back in PROPOSE_TICKS."""

FRAME_TICKS = 6
"""What a frame of a longer one takes at most."""

STEP_TICKS = 2
"""And how many ticks four of its steps take in all, to be looked at and to be read back."""

LATEST_TICKS = 2
"""How long before its tick a command is sent at the latest: a change of flow is taken up a tick ahead."""

MOST_HELD = 8
"""Commands that the pump holds back at a time (`thecal.link.session`)."""

HELLO_TICKS = 10
HELLO_TRIES = 10
REPLY_TICKS = 60
SETTLE_TICKS = 30
"""From the confirmed therapy to t=0 at least: time to set the clock and to send what acts at t=0."""

CLOCK_LEAD_TICKS = 20
"""So long before t=0 the clock is set, a whole number of seconds."""

STARTS = {"bolus_start": CLINICIAN, "patient_bolus_start": PATIENT}
ENDS = {"bolus_end": CLINICIAN, "patient_bolus_end": PATIENT}
"""Events that a bolus makes, and whose it is."""

ON_PLANT: dict[str, Callable[[Plant, Mapping[str, Any], int], None]] = {
    "occlude": lambda plant, keys, now_ns: plant.occlude(keys["where"], now_ns),
    "unocclude": lambda plant, keys, now_ns: plant.unocclude(keys["where"], now_ns),
    "stall": lambda plant, keys, now_ns: plant.set_stalled(True),
    "unstall": lambda plant, keys, now_ns: plant.set_stalled(False),
    "free_flow": lambda plant, keys, now_ns: plant.free_flow(keys["rate"], now_ns),
    "air": lambda plant, keys, now_ns: plant.set_air(True),
    "sensor_fault": lambda plant, keys, now_ns: plant.sensor_fault(keys["which"], keys["kind"], now_ns),
    "low_supply": lambda plant, keys, now_ns: plant.set_supply(keys["to"]),
}
"""What an event of `scenario.ON_THE_PLANT` does to the plant, given its keys and the plant's time."""

CHUNK_S = 0.2
"""About how long the board runs, in real time, between two looks at what it said."""


class RunError(Exception):
    """The experiment can not be run: no answer, or the pump is not in a state to begin. Says what to do."""


class TherapyRefused(RunError):
    """The pump refuses the therapy of the scenario; the message holds its reasons."""


def make_plant(scenario: Scenario) -> Plant:
    """The plant that the scenario describes."""
    geometry = MECHANISMS[scenario.profile.mechanism]
    fill_nl = DEFAULT_FILL_NL if scenario.reservoir is None else scenario.reservoir.fill_nl
    return Plant(scenario.plant, geometry, scenario.seed, fill_nl)


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
) -> RunResult:
    """Prepare a run; nothing happens until the result is iterated over.

    `link` sends by `bench.send`; its callbacks and the bench's `on_data` are taken over. `every_ms` asks for
    samples, `progress(at_ms, duration_ms)` is called now and then, `keep_ledger` is for `canonical_records`.
    Iterating raises RunError, and BenchError if the board gives up.
    """
    return RunResult(_Run(scenario, bench, link, every_ms, progress, keep_ledger))


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


@dataclass
class _Command:
    """A command on its way: waiting, proposed (what is read back only), or asked."""

    event: Event
    tick: int  # at which it acts, the device's
    bolus: Bolus | None = None
    earliest_tick: int = 0  # before which it must not be sent
    proposal_id: int | None = None  # of the last of its frames
    frames: int = 0  # of the proposal, sent so far
    draft: Record | None = None  # what was read back so far
    proposal: Record | None = None  # with all of its read-back
    refused: bool = False
    request_id: int | None = None


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
    ) -> None:
        self.scenario = scenario
        self.bench = bench
        self.link = link
        self.log = RunLog(keep_ledger)
        self._progress = progress
        self._every_ticks = None if every_ms is None else max(1, -(-every_ms // TICK_MS))
        self._fresh: deque[Record] = deque()
        self._end = -(-scenario.duration_ms // TICK_MS)
        self._begin = 0  # the device's tick at t=0
        self._connected = True
        self._start = Truth(0, Fraction(0), 0.0)
        self._truths: dict[int, Truth] = {}
        self._sampled_nl = Fraction(0)
        self._boluses: list[Bolus] = []
        self._refusals: list[Refusal] = []
        self._soft_limits = 0  # that were confirmed
        self._flowing: dict[str, Bolus] = {}
        self._astray_tick: int | None = None  # from here on the board does not do what the scenario says
        self._therapies: list[tuple[int, Therapy]] = []  # (tick, therapy) confirmed
        self._clocks = [(0, scenario.clock_ms)]  # (tick, time of the week) set
        self._window: WindowPeak | None = None
        self._credit_nl = 0  # of a line that was new at t=0
        self._commands: deque[_Command] = deque()
        self._open: list[_Command] = []
        self._stops: list[tuple[int, int]] = []  # at which tick, and from which on a start is taken again
        self._dark: list[tuple[int, int]] = []  # there is no power from a tick on, until another
        self._asks: deque[int] = deque()  # ticks for which a status is to be asked
        self._step_nl = Fraction(0)
        self._waits = False  # for the answer to a frame of a long proposal
        bench.on_data = self._on_data
        link.on_event = self._on_event
        link.on_status = self.log.status

    # --- the run

    def records(self) -> Iterator[Record]:
        """Everything, from power-on to the summary."""
        self._prepare()
        if self.scenario.assumes_the_line:
            line = q.show(self.scenario.profile.line_nl or 0, q.VOLUME, "uL")
            said = f"no therapy.line: the pump is told that the line holds {line}, as the plant's does"
            yield {"type": "note", "at_ms": 0, "message": said}
        checks = Checks(self.scenario, self._end)
        self._timeline(checks)
        bench, end = self.bench, self._begin + self._end
        chunk = STATUS_PERIOD_TICKS
        while bench.tick < end:
            self._send()
            stop = min(end, bench.tick + chunk, self._next_send())
            before, started_s = bench.tick, time.perf_counter()
            bench.advance_to_tick(stop)
            took_s = time.perf_counter() - started_s
            if stop - before == chunk:
                # Only how often we look, never what happens, depends on the real time it takes.
                chunk = max(1, min(36_000, int(chunk * min(2.0, CHUNK_S / max(took_s, 1e-6)))))
            yield from self._drain()
            if self._progress is not None:
                self._progress(max(0, bench.tick - self._begin) * TICK_MS, self.scenario.duration_ms)
        for _ in range(1 + self.bench.slack_ticks):
            if self._connected and (self.log.waits_for(self._end) or self._open):
                bench.advance_to_tick(bench.tick + 1)
        yield from self._drain()
        yield from self._warnings()
        failed = 0
        for record in checks.judge(self._evidence()):
            failed += record["ok"] is False
            yield record
        yield self._summary(failed)

    def _on_data(self, data: bytes) -> None:
        if any(frame.get("type") == "reply" for frame in self.link.feed(data)):
            self._read_replies()

    def _on_event(self, frame: Record) -> None:
        if frame["code"] == "boot" and self.log.begin_tick is not None:
            self.log.lost_ticks = self.bench.tick - frame["tick"]
        alarms, states = len(self.log.alarms), len(self.log.states)
        event = self.log.event(frame)
        if event is None:
            return
        self._fresh.append({"type": "event", "at_ms": event["tick"] * TICK_MS, **event})
        for alarm in self.log.alarms[alarms:]:
            self._fresh.append({"type": "alarm", **alarm.record()})
        for change in self.log.states[states:]:
            self._fresh.append({"type": "state", **change.record()})
        code = event["code"]
        if code == "new_line":
            # What the pump was told of, not what it says: it judges the pump. At t=0 it is said before.
            self._exempt(self.scenario.line_nl(self._therapies[-1][1]))
        elif code == "state" and STATES[event["b"]] == "RUNNING":
            self._exempt(0)
        if code in STARTS:
            bolus = self._logged(STARTS[code], event["tick"], granted=True)
            if bolus is not None:
                bolus.volume_nl = event["a"]
                self._flowing[STARTS[code]] = bolus
        elif code in ENDS and ENDS[code] in self._flowing:
            bolus = self._flowing.pop(ENDS[code])
            bolus.volume_nl = event["a"]
            if bolus.ended_tick is None:
                bolus.ended_tick = event["tick"]
        elif code == "denied" and COMMANDS[event["a"]].name == "patient_bolus":
            bolus = self._logged(PATIENT, event["tick"], granted=False)
            if bolus is not None and bolus.pressed:
                bolus.reason = CAUSES[event["b"]]
                bolus.message = TABLE[event["b"]][1]
        else:
            return
        if bolus is not None and bolus.pressed and code not in ENDS:
            bolus.granted = code in STARTS
            self._fresh.append(_told(bolus))

    def _exempt(self, volume_nl: int) -> None:
        self._credit_nl = volume_nl
        if self._window is not None:
            self._window.exempt(volume_nl)

    def _logged(self, kind: str, tick: int, *, granted: bool) -> Bolus | None:
        """The bolus whose outcome the pump logs at that tick: what came over the link before the button."""
        self._read_replies()
        waiting = [b for b in self._boluses if b.kind == kind and b.tick <= tick and not b.logged]
        answered = [b for b in waiting if not b.pressed and b.answered and b.granted == granted]
        found = answered or [bolus for bolus in waiting if bolus.pressed]
        if not found:
            return None
        found[0].logged = True
        return found[0]

    def _drain(self) -> Iterator[Record]:
        while self._fresh:
            record = self._fresh.popleft()
            if record["type"] == "sample":
                # Taken just before its tick; the state is that after it.
                record["state"] = self.log.state_at(record["at_ms"] // TICK_MS)
            yield record

    def _warnings(self) -> Iterator[Record]:
        link = self.link
        lost = {
            "frames lost": link.gaps,
            "CRC errors": link.crc_errors,
            "lines that are no frame": link.bad_frames,
        }
        lost["commands without an answer"] = len(self._open) + len(self._commands)
        for what, count in lost.items():
            if count:
                yield {"type": "warning", "message": f"{count} {what} between pump and host"}

    def _evidence(self) -> Evidence:
        return Evidence(
            self.log,
            None if self.bench.plant is None else self._truths,
            self._step_nl,
            self._boluses,
            self._therapies,
            self._clocks,
            self.bench.slack_ticks,
            None if self._window is None else self._window.peak_nl,
            self._peak_tick(),
            self._astray_tick,
            tuple(self._refusals),
        )

    def _peak_tick(self) -> int:
        """The tick up to which the fullest window lasts; 0 where there is none."""
        if self._window is None or self._window.peak_at_ns is None:
            return 0
        return -((self._start.now_ns - self._window.peak_at_ns) // TICK_NS)

    def _summary(self, failed: int) -> Record:
        end, log, plant = self._end, self.log, self.bench.plant
        truth = self._truths.get(end)
        executed_steps = log.steps_at(end)
        return {
            "type": "summary",
            "duration_ms": self.scenario.duration_ms,
            "delivered_nl": None if plant is None or truth is None else round(truth.displaced_nl),
            "outflow_nl": None if plant is None or truth is None else round(truth.outflow_nl),
            "ledger_nl": None if executed_steps is None else round(executed_steps * self._step_nl),
            "commanded_steps": log.steps_at(end, "ordered_steps"),
            "executed_steps": executed_steps,
            "window_peak_nl": None if self._window is None else round(self._window.peak_nl),
            "boluses": [bolus.record() for bolus in self._boluses],
            "alarms": [alarm.record() for alarm in log.alarms],
            "states": [change.record() for change in log.states if change.tick <= end],
            "resets": log.resets,
            "soft_limits": self._soft_limits,
            "pressure_peak_pa": None if plant is None else round(plant.pressure_peak_pa()),
            "expect_failed": failed,
        }

    # --- before t=0

    def _prepare(self) -> None:
        bench = self.bench
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
        self._step_nl = Fraction(hello["nl_per_rev"], hello["steps_per_rev"])
        scenario = self.scenario
        if scenario.reservoir is not None:
            volume_nl = scenario.reservoir.fill_nl
            self._confirmed("refill", {"volume_nl": volume_nl})
        therapy = scenario.therapy
        self._confirmed("program", {"therapy": therapy.message(scenario.profile)})
        self._therapies.append((0, therapy))
        self.link.request("status")
        earliest = bench.tick + SETTLE_TICKS + self._early_ticks()
        self._begin = -(-earliest // STATUS_PERIOD_TICKS) * STATUS_PERIOD_TICKS
        week_ms = (scenario.clock_ms - CLOCK_LEAD_TICKS * TICK_MS) % MS_PER_WEEK
        clock_tick = self._begin - CLOCK_LEAD_TICKS
        self._must("set_time", week_s=week_ms // 1000, at_tick=clock_tick)
        bench.advance_to_tick(self._begin - LEAD_TICKS - 1)
        status = self.link.last_status
        if status is None:
            raise RunError("the pump answers, but sends no status")
        self.log.begin(self._begin, status["executed_steps"], self._end)

    def _early_ticks(self) -> int:
        """So much longer before t=0, for therapies that are long and change soon."""
        early = 0
        for event in self.scenario.events:
            if event.therapy is not None:
                early = max(early, self._lead_ticks(_Command(event, 0)) - event.at_ms // TICK_MS)
        return early

    def _ask(self, cmd: str, ticks: int, **args: Any) -> Record | None:
        number = self.link.request(cmd, **args)
        for _ in range(ticks):
            self.bench.advance_to_tick(self.bench.tick + 1)
            reply = self.link.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        return None

    def _must(self, cmd: str, **args: Any) -> Record:
        what = {"program": "the therapy", "confirm": "what it read back"}.get(cmd, f"`{cmd}`")
        try:
            reply = self._ask(cmd, REPLY_TICKS, **args)
        except LinkError as why:
            raise TherapyRefused(f"{what} can not be sent: {why}") from None
        if reply is None:
            raise RunError(f"the pump does not answer `{cmd}`")
        if not reply["ok"]:
            raise TherapyRefused(f"the pump refuses {what}: {reply.get('message') or reply.get('error')}")
        return reply

    def _confirmed(self, cmd: str, args: Record) -> None:
        proposal: Record = {}
        for arguments in programming.requests(args["therapy"]) if "therapy" in args else [args]:
            proposal = self._must(cmd, **arguments)
        while (first := programming.missing(proposal["readback"])) is not None:
            programming.complete(proposal, self._must("readback", **{"from": first}))
        _check_readback(args, proposal["readback"])
        self._must("confirm", digest=proposal["digest"], **self._accepted(proposal, 0, cmd))

    # --- what is to happen

    def _timeline(self, checks: Checks) -> None:
        bench, begin = self.bench, self._begin
        bench.schedule(begin, self._at_begin)
        therapy = self.scenario.therapy
        for event in self.scenario.events:
            tick = begin - (-event.at_ms // TICK_MS)
            therapy = event.therapy or therapy
            bolus = self._bolus_of(event, tick - begin, therapy) if event.asks_for_a_bolus else None
            if bolus is not None:
                self._boluses.append(bolus)
            if event.do == "power_cut":
                self._dark.append((tick, tick + _ticks(event.for_ms)))
            if event.do in ON_THE_LINK:
                self._commands.append(_Command(event, tick, bolus, self._after_stops(tick)))
            else:
                bench.schedule(tick, self._action(event, bolus))
            if event.do == "stop" or event.button == "stop":
                self._stops.append((tick, tick + (_ticks(event.for_ms) if event.button else 0)))
            if event.do == "refill" and event.volume_nl is not None and bench.plant is not None:
                bench.schedule(tick, partial(bench.plant.refill, event.volume_nl))
        for tick in sorted({*checks.truth_ticks, self._end}):
            bench.schedule(begin + tick, self._keeper(tick))
        wanted = sorted({*checks.status_ticks, self._end})
        for tick in wanted:
            self.log.want_status(tick)
        self._asks.extend(wanted)
        if self._every_ticks is not None:
            bench.schedule(begin + self._every_ticks, self._sample)
        bench.schedule(begin + self._end, self._at_end)

    def _after_stops(self, tick: int) -> int:
        """When a command for `tick` may be sent: a stop, or the STOP button, cancels what waits when its time
        comes, and while the button is held down nothing that starts is taken.
        """
        earliest_tick = 0
        for stop, free in self._stops:
            earliest_tick = max(earliest_tick, stop - 1, min(free - 1, tick - LATEST_TICKS))
        return earliest_tick

    def _bolus_of(self, event: Event, tick: int, therapy: Therapy) -> Bolus:
        """The bolus that `event` asks for while `therapy` is in force."""
        if event.bolus is not None:
            return Bolus(event.at_ms, tick, event.bolus.volume_nl, event.bolus.rate_nl_h)
        volume_nl = rate_nl_h = Fraction(0)
        if therapy.patient_bolus is not None:
            volume_nl = therapy.patient_bolus.volume_in_nl(therapy.concentration_pg_nl)
            rate_nl_h = therapy.patient_bolus.flow_nl_h(therapy.concentration_pg_nl)
        pressed = event.do == "press"
        return Bolus(event.at_ms, tick, int(volume_nl), rate_nl_h, kind=PATIENT, pressed=pressed)

    def _action(self, event: Event, bolus: Bolus | None) -> Callable[[], None]:
        bench = self.bench
        do = {
            "hang": bench.hang,
            "reset": bench.reset,
            "power_cut": lambda: bench.power_cut(_ticks(event.for_ms)),
            "host_disconnect": bench.host_disconnect,
            "host_connect": bench.host_connect,
            "press": lambda: bench.press(event.button or "", _ticks(event.for_ms)),
        }.get(event.do, partial(self._act_on_plant, event))

        def act() -> None:
            try:
                do()
            except NotPossible as why:
                self._fresh.append({"type": "skipped", "at_ms": event.at_ms, "do": event.do, "why": str(why)})
                if bolus is not None:
                    bolus.skipped = True
                elif self._astray_tick is None:
                    self._astray_tick = -(-event.at_ms // TICK_MS)
            else:
                if event.do.startswith("host_"):
                    self._connected = event.do == "host_connect"
                elif event.do in ("reset", "power_cut"):
                    self._starts_anew(_ticks(event.at_ms), event.do)

        return act

    def _starts_anew(self, tick: int, cause: str) -> None:
        """The pump is gone, and a bolus has ended; what was given of it, it says when it is back."""
        for bolus in self._flowing.values():
            bolus.ended_tick = tick
        self._fresh.append({"type": "state", **self.log.start_anew(tick, cause).record()})

    def _act_on_plant(self, event: Event) -> None:
        bench, plant = self.bench, self.bench.plant
        if plant is None:
            raise NotPossible("this board has no plant to act on")
        ON_PLANT[event.do](plant, event.keys, bench.now_ns)
        if event.do == "air" and event.for_ms:
            bench.schedule(bench.tick + 1 - (-event.for_ms // TICK_MS), partial(plant.set_air, False))

    def _truth(self) -> Truth:
        plant = self.bench.plant
        if plant is None:
            return Truth(0, Fraction(0), 0.0)
        now_ns = self.bench.now_ns
        return Truth(now_ns, plant.displaced_nl(), plant.outflow_nl(now_ns))

    def _at_begin(self) -> None:
        self._start = self._truth()
        limit, plant = self.scenario.therapy.limit, self.bench.plant
        if limit is not None and plant is not None:
            self._window = WindowPeak(plant, limit.window_ms * NS_PER_MS)
            self._window.exempt(self._credit_nl)

    def _at_end(self) -> None:
        if self._window is not None:
            self._window.close()

    def _keeper(self, tick: int) -> Callable[[], None]:
        def keep() -> None:
            self._truths[tick] = self._truth().since(self._start)

        return keep

    def _sample(self) -> None:
        assert self._every_ticks is not None
        tick = self.bench.tick + 1 - self._begin
        sample: Record = {
            "type": "sample",
            "at_ms": tick * TICK_MS,
            "delivered_nl": None,
            "rate_nl_h": None,
            "pressure_pa": None,
            "state": None,
            "reservoir_nl": None,
        }
        plant = self.bench.plant
        if plant is not None:
            delivered_nl = plant.displaced_nl() - self._start.displaced_nl
            hours = Fraction(self._every_ticks * TICK_MS, MS_PER_HOUR)
            sample["delivered_nl"] = round(delivered_nl)
            sample["rate_nl_h"] = round((delivered_nl - self._sampled_nl) / hours)
            sample["pressure_pa"] = round(plant.pressure_down_pa(self.bench.now_ns))
            sample["reservoir_nl"] = round(plant.reservoir_nl())
            self._sampled_nl = delivered_nl
        self._fresh.append(sample)
        if tick + self._every_ticks <= self._end:
            self.bench.schedule(self._begin + tick + self._every_ticks, self._sample)

    # --- commands

    def _send(self) -> None:
        """Send what is due; in order, so that commands for one tick act in the order of the file."""
        now = self.bench.tick
        self._waits = self._connected and self._propose_early()
        while self._commands and self._connected:
            command = self._commands[0]
            if command.tick - LEAD_TICKS > now:
                break
            if self._is_dark(command.tick):
                if command.tick > now:
                    break
                self._not_heard(command)
                self._commands.popleft()
                continue
            if command.earliest_tick > now:
                break
            held = sum(other.tick > now for other in self._open)
            if held >= MOST_HELD - 1 and command.tick - LATEST_TICKS > now:
                break  # a later look will do
            event = command.event
            if event.do in CONFIRMED:
                if not self._send_proposal(command):
                    break
            elif event.bolus is not None:
                bolus = event.bolus
                args: Record = {"volume_nl": bolus.volume_nl, "duration_ms": bolus.duration_ms}
                if event.accept:  # as the scenario says, and never by itself (LIM-14)
                    args["accept"] = list(event.accept)
                self._request(command, "bolus", **args)
            elif event.week_ms is not None:
                self._request(command, "set_time", week_s=event.week_ms // 1000)
            elif event.do == "prime":
                self._request(command, "prime", volume_nl=event.volume_nl)
            else:
                self._request(command, event.do)
            self._commands.popleft()
        while self._asks and self._begin + self._asks[0] - 1 <= now:
            tick = self._device_tick(self._begin + self._asks.popleft())
            if self._connected and tick % STATUS_PERIOD_TICKS and not self._is_dark(now + 1):
                self.link.request("status")

    def _is_dark(self, tick: int) -> bool:
        return any(first <= tick < end for first, end in self._dark)

    def _not_heard(self, command: _Command) -> None:
        answer = {"error": "not_sent", "message": "there is no power, nobody hears it"}
        if command.bolus is None:
            self._refused(command, answer)
        else:
            self._answered(command.bolus, {"ok": False, **answer})

    def _send_proposal(self, command: _Command) -> bool:
        """Propose, later confirm; True when there is nothing more to be sent for it."""
        self._propose(command)
        if command.refused:
            return True
        proposal = command.proposal
        if proposal is None:
            # A pump that does not answer must not hold up the rest for ever.
            return self.bench.tick > command.tick + LEAD_TICKS
        event = command.event
        _check_readback(self._sent_of(command), proposal["readback"])
        accepted = self._accepted(proposal, event.at_ms, event.do)
        self._request(command, "confirm", digest=proposal["digest"], **accepted)
        return True

    def _sent_of(self, command: _Command) -> Record:
        """What is proposed: the arguments of the command, a therapy in one piece."""
        event = command.event
        if event.therapy is not None:
            return {"therapy": event.therapy.message(self.scenario.profile)}
        return {} if event.volume_nl is None else {"volume_nl": event.volume_nl}

    def _lead_ticks(self, command: _Command) -> int:
        """How long before its tick a command is sent. A long therapy takes many frames and ticks."""
        therapy = command.event.therapy
        weekly = 0 if therapy is None else sum(len(step.starts_ms()) for step in therapy.steps)
        if weekly <= SHORT_WEEK:
            return LEAD_TICKS
        assert therapy is not None
        frames = len(programming.requests(therapy.message(self.scenario.profile)))
        return LEAD_TICKS + frames * FRAME_TICKS + weekly * STEP_TICKS // 4

    def _propose(self, command: _Command) -> None:
        """The next frame of a proposal, once the last one was answered, until `proposal` is complete."""
        if command.proposal is not None or command.refused:
            return
        cmd = "program" if command.event.therapy is not None else command.event.do
        sent = self._sent_of(command)
        frames = programming.requests(sent["therapy"]) if cmd == "program" else [sent]
        reply = None if command.proposal_id is None else self.link.reply(command.proposal_id)
        if command.proposal_id is not None and (reply is None or "held" in reply):
            return
        if reply is not None and not reply["ok"]:
            self._refused(command, reply)
            command.refused = True
            return
        if command.draft is not None and reply is not None:
            programming.complete(command.draft, reply)
        elif reply is not None and command.frames == len(frames):
            command.draft = reply
        try:
            if command.draft is None:
                when = {}
                if self._lead_ticks(command) == LEAD_TICKS:
                    when = {"at_tick": self._device_tick(command.tick - PROPOSE_TICKS)}
                command.proposal_id = self.link.request(cmd, **when, **frames[command.frames])
                command.frames += 1
            elif (first := programming.missing(command.draft["readback"])) is not None:
                command.proposal_id = self.link.request("readback", **{"from": first})
            else:
                command.proposal = command.draft
        except LinkError as why:
            self._refused(command, {"error": "not_sent", "message": str(why)})
            command.refused = True

    def _propose_early(self) -> bool:
        """Go on with the first of the proposals that are to come, if it needs more time than others. Whether
        it waits for an answer.
        """
        command = next((command for command in self._commands if command.event.do in CONFIRMED), None)
        if command is None or command.tick - self._lead_ticks(command) > self.bench.tick:
            return False
        if self._lead_ticks(command) == LEAD_TICKS or self._is_dark(self.bench.tick + 1):
            return False
        self._propose(command)
        return command.proposal is None and not command.refused

    def _request(self, command: _Command, cmd: str, **args: Any) -> None:
        command.request_id = self.link.request(cmd, at_tick=self._device_tick(command.tick), **args)
        self._open.append(command)

    def _device_tick(self, tick: int) -> int:
        """What the pump calls that tick."""
        return tick - self.log.lost_ticks

    def _next_send(self) -> int:
        """Up to which tick the board may run before `_send` has something to do."""
        soonest = [1 << 62]
        if self._commands:
            command = self._commands[0]
            soonest.append(max(command.tick - LEAD_TICKS, self.bench.tick + 1))
        for command in self._commands:
            if command.event.do in CONFIRMED:
                if self._waits or command.tick - self._lead_ticks(command) > self.bench.tick:
                    soonest.append(max(command.tick - self._lead_ticks(command), self.bench.tick + 1))
                break
        if self._asks:
            soonest.append(max(self._begin + self._asks[0] - 1, self.bench.tick + 1))
        return min(soonest)

    def _read_replies(self) -> None:
        still_open = []
        for command in self._open:
            assert command.request_id is not None
            reply = self.link.reply(command.request_id)
            if reply is None or "held" in reply:
                still_open.append(command)
            elif command.bolus is not None:
                self._answered(command.bolus, reply)
            elif not reply["ok"]:
                self._refused(command, reply)
            elif command.event.therapy is not None:
                self._therapies.append((command.tick - self._begin, command.event.therapy))
            elif command.event.week_ms is not None:
                self._clocks.append((command.tick - self._begin, command.event.week_ms))
        self._open = still_open

    def _answered(self, bolus: Bolus, reply: Record) -> None:
        bolus.answered = True
        if reply["ok"] and reply["granted"]:
            bolus.granted = True
        else:
            bolus.reason = reply.get("reason") or reply.get("error")
            bolus.message = reply.get("message", "")
        self._fresh.append(_told(bolus))

    def _refused(self, command: _Command, reply: Record) -> None:
        refusal = Refusal(command.event.at_ms, reply.get("reason", reply["error"]), reply.get("message", ""))
        self._refusals.append(refusal)
        self._fresh.append(
            {
                "type": "refused",
                "at_ms": refusal.at_ms,
                "do": command.event.do,
                "error": reply["error"],
                "reason": refusal.reason,
                "message": refusal.message,
            }
        )

    def _accepted(self, proposal: Record, at_ms: int, do: str) -> Record:
        """What a confirmation says beside the digest: the soft limits, which the runner confirms by itself,
        tells one by one and counts.
        """
        soft = proposal["readback"].get("soft")
        if not soft:
            return {}
        told = {"type": "soft_limit", "at_ms": at_ms, "do": do}
        why = dict(zip(soft, proposal.get("why", ()), strict=False))
        for name in soft:
            self._soft_limits += 1
            self._fresh.append({**told, "name": name, "message": why.get(name, name)})
        return {"accept": soft}


def _told(bolus: Bolus) -> Record:
    """What came of a bolus, and if it was denied, the sentence that said so: the pump's own, or, of a button
    that was pressed, what the reason in its log means.
    """
    return {"type": "bolus", **bolus.record(), **({"message": bolus.message} if bolus.message else {})}


def _ticks(ms: int) -> int:
    """The first tick at or after `ms`, or ticks that last as long."""
    return -(-ms // TICK_MS)


def _check_readback(sent: Record, readback: Record) -> None:
    """RunError where the pump understood otherwise what it is to confirm."""
    if "therapy" in sent:
        differ = differences(sent["therapy"], readback)
    elif "volume_nl" not in sent:
        differ = [] if "new_line_nl" in readback else ["no volume of a new line"]
    else:
        volume_nl, understood_nl = sent["volume_nl"], readback.get("refill_nl")
        differ = [f"refill of {volume_nl} nL, read back as {understood_nl}"] * (volume_nl != understood_nl)
    if differ:
        raise RunError(f"the pump read back something else than was sent: {'; '.join(differ)}")
