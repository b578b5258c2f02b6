"""`thecal calibrate --pulsation`, by the pump's own code, on a plant that pulsates under a modelled balance;
and the flow with the table that it finds.
"""

import json
from dataclasses import replace

import pytest
from balance_port import BalancePort
from pump_on_bench import PumpOnBench
from pump_port import CutPort
from test_evenness import head, true_table
from thecal import rig as wire
from thecal import states
from thecal_bench.balance import BalanceParameters, ModelBalance
from thecal_bench.inprocess import HostBench
from thecal_bench.parameters import REFERENCE
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench, evenness
from thecal_host import rigging
from thecal_host.connection import PortError
from thecal_host.pump import Pump
from thecal_host.weighing import WeighingError, balance, motion
from thecal_host.weighing.pulsation import NotSupported
from thecal_host.weighing.trace import Setting, Trace
from thecal_model import rig as rigs

TENTH = BalanceParameters(evaporation_g_h=4e-3, drift_g_h=1e-4)
HUNDREDTH = replace(TENTH, resolution_g=1e-5, noise_g=1e-5)
SINE, ROLLER = head(pulsation=40), head(pulsation=40, dip=150)


class Desk:
    """A pump on a plant, and a balance under its catheter."""

    def __init__(self, parameters, of_balance=TENTH, rig=None, seed=1):
        self.plant = plant = Plant(parameters, seed=seed, angle_steps=2_345, rig=rig)
        self.port = CutPort(bench=HostBench(plant))
        self.bench = self.port.bench
        model = ModelBalance(plant.outflow_nl, of_balance, seed=seed)
        self.balance = balance.SerialBalance(BalancePort(self.port, model), self.port.clock_s)
        self.pump = Pump(self.port, self.port.clock_s)
        self.pump.sleep = self.wait
        self.pump.connect()

    def wait(self, seconds):
        self.bench.advance_to_tick(self.bench.tick + round(10 * seconds))

    @property
    def state(self):
        return states.STATES[self.bench.pump.control.state]


@pytest.fixture
def calibrate(run, tmp_path, monkeypatch):
    """`thecal calibrate --pulsation` at a desk."""

    def call(desk, *args, **more):
        monkeypatch.setattr("thecal_host.weighing.balance.open_balance", lambda *_: desk.balance)
        args = ("--balance", "/dev/b", "--file", tmp_path / "p.ndjson", *args)
        return run(desk.port, "calibrate", "--pulsation", *args, **more)

    return call


def with_table(table):
    tables = rigs.reference().tables
    return wire.read({**tables, "head": {**tables["head"], "table": table}})


class OnEdges(PumpOnBench):
    """A pump whose steps are written down."""

    bench: EdgeBench

    def board(self, plant, flash):
        return EdgeBench(plant, flash=flash)


def flow_of(parameters, table, rate_nl_h):
    """How even the flow is, over a pitch and a little, once the pump knows its phase to a step."""
    plant = Plant(parameters, rig=with_table(table), angle_steps=2_345)
    pump = OnEdges(plant)
    pump.start(rate_num=500_000)
    # Two marks, and the one that is to come within a revolution.
    pump.run(int(2.4 * 7_200))
    pump.ask("stop")
    pump.start(rate_num=rate_nl_h)
    pump.run(600)
    from_ns = pump.bench.now_ns
    pitch_ticks = 1_200_000_000 // rate_nl_h
    pump.run(int(1.1 * pitch_ticks))
    bench = pump.bench
    first = next(number for number, at_ns in enumerate(bench.edges_ns) if at_ns > from_ns)
    status = pump.client.last_status
    assert status is not None and status["compensated"] == bool(table)
    positions = [2_345 + position for position in bench.positions[first:]]
    return evenness(bench.edges_ns[first:], positions, parameters, REFERENCE, table)


def last_line(path):
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.req("PERF-05", "CAL-02")
@pytest.mark.parametrize(
    "parameters, of_balance, size", [(SINE, TENTH, 64), (ROLLER, HUNDREDTH, 128)], ids=["sine", "roller"]
)
def test_a_table_is_found_and_the_flow_is_even(parameters, of_balance, size, calibrate, tmp_path):
    desk = Desk(parameters, of_balance)
    told = calibrate(desk, "--yes")
    assert told.exit_code == 0, told.output
    assert desk.state == "STOPPED"
    said = " ".join(told.output.split())
    assert "12 roller pitches at 500 uL/h, 240 s each, 48:00.0; and at 2 mL/h, 60 s each, 12:00.0" in said
    assert "Rig 2, reference, is in force" in said and f"{size} entries from" in said
    assert "takes back" in said if parameters is ROLLER else "80 % of the mean" in said
    result = last_line(tmp_path / "p.ndjson")
    kept = rigging.ask(desk.pump)
    assert kept is not None
    table = list(kept.rig.table)
    assert result["type"] == "result" and result["table"] == table and len(table) == size
    assert result["line_s"] == pytest.approx(1.8, abs=0.2)
    true = true_table(parameters, size)
    for rate_nl_h in (500_000, 20_000):
        plain, even, best = (flow_of(parameters, each, rate_nl_h) for each in ([], table, true))
        assert even.flow < plain.flow / 20 and even.outflow < plain.outflow / 20
        assert even.flow < result["left"]
        assert best.flow < plain.flow / 50
        if parameters is ROLLER:
            # The dip itself is what it is: so many steps, crossed in a fraction of a second.
            assert even.dip is not None and even.dip.steps == 150
            assert even.windows > 0.8 * even.all_windows


@pytest.mark.req("PERF-05", "CAL-01")
def test_an_interruption_loses_nothing_and_the_same_command_goes_on(calibrate, tmp_path):
    desk = Desk(SINE, HUNDREDTH)
    path = tmp_path / "p.ndjson"
    args = ("--rate", "1.5 mL/h", "--pitches", 10)
    desk.port.cut_after(6_000)
    first = calibrate(desk, *args, "--yes")
    assert first.exit_code == 1, first.output
    said = " ".join(first.output.split())
    assert "interrupted; the pump is STOPPED;" in said
    weighed = float(said.split("STOPPED; ")[1].split()[0])
    assert 2 < weighed < 10 and "pitches at 1.5 mL/h and 0.0 pitches at 6 mL/h are kept in" in said
    # A line that was being written is no harm.
    with path.open("a") as file:
        file.write('{"type": "read')
    before = path.read_text().count('"reading"')
    no = calibrate(desk, *args, answer="y\ny\nn\n")
    assert no.exit_code == 1 and "the pump keeps the rig it has" in no.output, no.output
    # It went on: what is there now is what was missing, in two stretches at the slow rate.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    rates = [line["rate_nl_h"] for line in lines if line["type"] == "stretch"]
    assert rates == [1_500_000, 1_500_000, 6_000_000]
    assert sum(line["type"] == "reading" for line in lines) > before + 1_000
    # To say yes after all takes no other weighing.
    yes = calibrate(desk, *args, answer="y\n")
    assert yes.exit_code == 0 and "For your rig file:" in yes.output, yes.output
    true = true_table(SINE, 64)
    found = last_line(path)
    assert max(abs(a - b) for a, b in zip(found["table"], true, strict=True)) < 3 * found["error"]
    again = calibrate(desk, *args)
    assert again.exit_code == 2


@pytest.mark.req("PERF-05", "CAL-01")
def test_a_head_that_needs_no_table_gets_none(calibrate, tmp_path):
    desk = Desk(head(), HUNDREDTH)
    told = calibrate(desk, "--rate", "1.5 mL/h", "--pitches", 10, "--yes")
    assert told.exit_code == 2 and "this head needs no table" in told.output, told.output
    assert desk.pump.connect()["rig_number"] == 1 and desk.state == "STOPPED"
    assert last_line(tmp_path / "p.ndjson")["type"] != "result"


@pytest.mark.req("PERF-05", "CAL-01")
def test_what_a_weighing_needs_is_said(calibrate, run, tmp_path):
    args = ("--rate", "1.5 mL/h", "--pitches", 10)
    for rig, message in (
        (rigs.load("bare"), "rig bare has no index mark"),
        (with_table(true_table(SINE, 64)), "has a table of its head already"),
    ):
        told = calibrate(Desk(SINE, rig=rig), *args)
        assert told.exit_code == 2 and message in " ".join(told.output.split()), told.output
    desk = Desk(SINE)
    for more, message in (
        (["--rate", "2 mL/h"], "is too fast to see how the flow pulsates, at most 1.5 mL/h"),
        (["--evaporation", "1 mg/h"], "tells by itself what evaporates"),
        (["--pitches", "9"], "greater than or equal to 10"),
    ):
        told = calibrate(desk, *more)
        assert told.exit_code == 2 and message in " ".join(told.output.split()), told.output
    told = run(desk.port, "calibrate", "--pulsation", "--file", tmp_path / "q.ndjson")
    assert told.exit_code == 2 and "name its port with --balance" in told.output
    told = calibrate(desk, *args, answer="n\n")
    assert told.exit_code == 1 and "nothing was turned" in told.output
    told = calibrate(desk, *args, "--temperature", 21)
    assert told.exit_code == 2 and "was begun with celsius 20.0, this one has 21.0" in told.output


@pytest.mark.req("PERF-05", "CAL-01")
def test_a_mark_that_does_not_come_and_steps_that_are_too_coarse_are_said(calibrate, tmp_path):
    desk = Desk(SINE)
    desk.plant.sensor_fault("index", "stuck", desk.bench.now_ns)
    told = calibrate(desk, "--yes")
    assert told.exit_code == 1 and "the pump is HALTED, alarm SENSOR_FAULT" in told.output, told.output
    (tmp_path / "p.ndjson").unlink()
    tables = rigs.reference().tables
    motor, encoder = {**tables["motor"], "microsteps": 1}, {"pulses_per_rev": 50}
    coarse = wire.read({**tables, "motor": motor, "encoder": encoder})
    desk = Desk(SINE, rig=coarse)
    told = calibrate(desk, "--yes")
    assert told.exit_code == 2 and "a pitch of 66 steps may be too coarse" in told.output, told.output
    assert desk.state == "STOPPED"


SETTING = Setting(100_000, 3_200, 3, 500_000, 2_000_000, 20.0, True)


def trace_of(path, phases, steps=None):
    """Of statuses once a second, at 500 uL/h."""
    trace = Trace(path, SETTING, 0.1)
    trace.begin(500_000)
    for second, phase in enumerate(phases):
        counted = int(second * 40 / 9) if steps is None else steps[second]
        status = {"tick": 10 * second, "executed_steps": counted, "phase_steps": phase}
        trace.add_status(1_000.0 + second, status)
        trace.add_reading(1_000.3 + second, second * 1.4e-4)
    return trace


@pytest.mark.req("PERF-05", "CAL-01")
def test_a_phase_that_is_not_known_or_moves_is_refused(tmp_path):
    count = [int(second * 40 / 9) for second in range(900)]
    good = [(steps + 700) % 3_200 for steps in count]
    (stretch,) = trace_of(tmp_path / "a", good).stretches()
    assert stretch.pitches == pytest.approx(899 * 40 / 9 * 3 / 3_200, abs=0.01)
    # At the first reading, 0.3 s after the first status, the phase is 700 steps and a third.
    assert stretch.phases[0] % 3 == pytest.approx(701 * 3 / 3_200, abs=0.002)
    lost = [*good[:500], *[-1] * 400]
    late = [*[-1] * 200, *good[200:]]
    slipped = [*good[:500], *((phase + 60) % 3_200 for phase in good[500:])]
    missed = [steps + 700 for steps in count]
    trace_of(tmp_path / "late", late).stretches()
    for number, (phases, message) in enumerate((
        ([-1] * 900, "the pump never knew its phase"),
        (lost, "the pump lost its index mark on the way"),
        (slipped, "the index mark moved by 60 steps"),
        (missed, "steps without an index mark, a revolution has 3200"),
    )):  # fmt: skip
        with pytest.raises(NotSupported, match=message):
            trace_of(tmp_path / str(number), phases).stretches()
    uneven = [min(steps, 2_000) if second < 600 else steps for second, steps in enumerate(count)]
    phases = [(steps + 700) % 3_200 for steps in uneven]
    with pytest.raises(NotSupported, match="steps off an even turn"):
        trace_of(tmp_path / "uneven", phases, uneven).stretches()
    with pytest.raises(NotSupported, match="does not say at which phase"):
        trace_of(tmp_path / "old", []).add_status(0.0, {"tick": 0, "executed_steps": 0})


@pytest.mark.req("CAL-01")
def test_a_file_that_holds_something_else_is_left_alone(tmp_path):
    path = tmp_path / "x.ndjson"
    path.write_text('{"type": "calibration", "format": 1}\n')
    with pytest.raises(WeighingError, match="x.ndjson:1: is no line of such a weighing"):
        Trace(path, SETTING, 0.1)
    assert path.read_text().count("\n") == 1


@pytest.mark.req("CAL-01")
def test_a_lost_line_leaves_the_pump_stopped_and_says_how_far_it_is(calibrate):
    desk = Desk(SINE)

    def plugged_in_again():
        desk.port.cut_after(None)
        return desk.port

    desk.pump.reopen = plugged_in_again
    mover = motion.Mover(desk.pump, 6_000_000, lambda said: None)
    seen = []
    mover.look = seen.extend
    desk.bench.schedule(desk.bench.tick + 100, lambda: desk.port.cut_after(0, PortError("gone")))
    with pytest.raises(motion.Cut, match="It was reached again, and is STOPPED"):
        mover.turn_to(3_200, 3_000_000)
    assert desk.state == "STOPPED"
    statuses = [frame for frame in seen if frame["type"] == "status"]
    assert len(statuses) > 5 and statuses[-1]["executed_steps"] < 400
