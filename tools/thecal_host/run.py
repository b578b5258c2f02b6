"""`thecal run`: a therapy with a bolus on the emulated board, live, then a summary, a record and a picture.

The experiment is an ordinary scenario (`demo.toml`). `Truth` looks at the plant at every tick, exactly; what
was programmed is computed by the host alone (`record.programmed_by_events`); the picture is drawn from the
record that was written, so anybody can draw it again with `thecal report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console
from thecal_bench.bench import TICK_MS, Bench
from thecal_bench.runner import RunResult, make_plant, run_scenario
from thecal_bench.scenario import Scenario
from thecal_model.link import LinkClient
from thecal_model.text import short_volume

from thecal_host.archive import Keeping, keeping
from thecal_host.experiment import BOARDS, line_of, open_bench, prescription
from thecal_host.files import why_not, writing
from thecal_host.live import LiveView, Reading
from thecal_host.record import PLANT, header, programmed_by_events
from thecal_host.recording import Recorder

DEMO = Path(__file__).with_name("demo.toml")


@dataclass(frozen=True)
class Moment:
    """The plant just before the inputs of a tick are read."""

    tick: int
    displaced_nl: Fraction
    pressure_pa: int


class Truth:
    """Looks at the plant of a bench at every tick from now on. `moments` are those not yet taken away."""

    def __init__(self, bench: Bench) -> None:
        assert bench.plant is not None
        self._bench = bench
        self._plant = bench.plant
        self.moments: list[Moment] = []
        bench.schedule(bench.tick + 1, self._look)

    def _look(self) -> None:
        tick = self._bench.tick + 1
        pressure_pa = round(self._plant.pressure_down_pa(self._bench.now_ns))
        self.moments.append(Moment(tick, self._plant.displaced_nl(), pressure_pa))
        self._bench.schedule(tick + 1, self._look)


class RecordedRun:
    """One scenario on one board, recorded while it runs and shown on the way."""

    def __init__(self, scenario: Scenario, board: str, recorder_path: Path, console: Console) -> None:
        self._scenario = scenario
        self._board = board
        self._path = recorder_path
        self._console = console
        self._prescription = prescription(scenario)
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._start: Moment | None = None
        self.plant = make_plant(scenario)
        self._nl_per_step = self.plant.geometry.step_nl
        self.expects: list[dict[str, Any]] = []
        self.number = 0
        """What the archive calls it."""

    def go(self) -> RunResult:
        """Run to the end. Raises what `open_bench` and the runner raise."""
        scenario = self._scenario
        title = f"{scenario.title} ({BOARDS[self._board]})"
        # As lines the record of the rig says it.
        unwatched = self.plant.rig.unwatched() if self._console.is_terminal else ()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as why:
            raise why_not(self._path.parent, why) from None
        with (
            writing(self._path) as file,
            keeping(BOARDS[self._board]) as kept,
            LiveView(title, self._console, scenario.duration_ms, unwatched=unwatched) as view,
        ):
            view.note(f"starting: {BOARDS[self._board]}")
            # A board that was never told what hangs on its pins: that is the first thing it is told.
            with open_bench(self._board, self.plant, None) as bench:
                head = header(
                    title=title,
                    source=PLANT,
                    nl_per_step=self._nl_per_step,
                    rig=self.plant.rig,
                    tick_ms=TICK_MS,
                    prescription=prescription(scenario, scenario.clock_ms),
                )
                recorder = Recorder(file, head, kept)
                self.number = kept.number
                truth = Truth(bench)
                result = run_scenario(
                    scenario,
                    bench,
                    LinkClient(bench.send),
                    rig=self.plant.rig,
                    progress=lambda _at, _total: self._show(result, truth, recorder, view, kept),
                )
                view.note(f"programming rig {self.plant.rig.name}, then the therapy")
                for record in result:
                    view.note("")
                    self._take(record, recorder, view)
        return result

    def _take(self, record: dict[str, Any], recorder: Recorder, view: LiveView) -> None:
        recorder.write(record)
        if record["type"] == "event":
            self._events.append((record["at_ms"], record))
        if record["type"] == "expect":
            self.expects.append(record)
            return
        line = line_of(record)
        if line is not None:
            view.event(line)

    def _show(
        self, result: RunResult, truth: Truth, recorder: Recorder, view: LiveView, kept: Keeping
    ) -> None:
        kept.turn()
        begin_tick = result.log.begin_tick
        if begin_tick is None:
            return
        moments, truth.moments = truth.moments, []
        for moment in moments:
            if moment.tick < begin_tick:
                continue
            if self._start is None:
                self._start = moment
            at_ms = (moment.tick - begin_tick) * TICK_MS
            if at_ms > self._scenario.duration_ms:
                break
            delivered_nl = moment.displaced_nl - self._start.displaced_nl
            recorder.write(
                {
                    "type": "sample",
                    "at_ms": at_ms,
                    # A microstep of the reference rig is 31.25 nL: picolitres are exact there.
                    "delivered_pl": round(delivered_nl * 1000),
                    "pressure_pa": moment.pressure_pa,
                }
            )
            if moment is moments[-1]:
                view.show(self._reading(at_ms, delivered_nl, moment.pressure_pa, result))

    def _reading(self, at_ms: int, delivered_nl: Fraction, pressure_pa: int, result: RunResult) -> Reading:
        programmed = programmed_by_events(self._prescription, self._events, at_ms)
        programmed_nl = programmed.volume_nl(at_ms)
        return Reading(
            at_ms=at_ms,
            state=result.log.state_at(at_ms // TICK_MS),
            rate_nl_h=programmed.rate_nl_h(at_ms),
            delivered_nl=delivered_nl,
            programmed_nl=programmed_nl,
            error_steps=(delivered_nl - programmed_nl) / self._nl_per_step,
            pressure=f"{pressure_pa / 1000:.2f} kPa",
            bolus=f"{short_volume(programmed.bolus_left_nl)} left" if programmed.bolus_left_nl else "",
        )
