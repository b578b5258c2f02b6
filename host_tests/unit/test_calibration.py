"""The guided calibration, by the pump's own code, on a plant that is 3 % off under a modelled balance."""

import json
from fractions import Fraction

import pytest
from balance_port import BalancePort
from pump_port import CutPort, PumpPort
from thecal import states
from thecal_bench.balance import BalanceParameters, ModelBalance
from thecal_bench.inprocess import HostBench
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_host import rigging
from thecal_host.connection import PortError
from thecal_host.pump import Pump
from thecal_host.weighing import WeighingError, balance, calibration, motion
from thecal_host.weighing.notebook import Begun, Notebook, Plan, Weighing

TRUE_NL_PER_REV = 103_000
SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
OPEN_BEAKER = BalanceParameters(evaporation_g_h=4e-3, drift_g_h=1e-4)


class Desk:
    """A pump 3 % off, its therapy programmed, and a balance of 0.1 mg under its catheter."""

    def __init__(self, seed, parameters=OPEN_BEAKER):
        self.plant = plant = Plant(
            PlantParameters(calibration_error_percent=Fraction(3), pulsation_percent=Fraction(30)), seed=seed
        )
        self.port = CutPort(bench=HostBench(plant))
        self.bench = self.port.bench
        self.model = ModelBalance(plant.outflow_nl, parameters, seed=seed)
        self.balance_port = BalancePort(self.port, self.model)
        self.pump = Pump(self.port, self.port.clock_s)
        self.pump.sleep = self.wait
        self.pump.connect()
        self.pump.confirm(self.pump.propose(SIX_ML_H))
        self.asked = []  # what a person was asked to confirm
        self.balance = balance.SerialBalance(self.balance_port, self.port.clock_s)

    def wait(self, seconds):
        self.bench.advance_to_tick(self.bench.tick + round(10 * seconds))

    def mover(self):
        return motion.Mover(self.pump, 6_000_000, self.asked.append)

    def course(self, notebook):
        scale = calibration.BalanceScale(self.balance, self.wait, self.port.clock_s)
        return calibration.Calibration(notebook, self.mover(), scale, self.wait, lambda _: None)

    def run_a_therapy(self, revolutions, loss_g_h):
        """So far at 6 mL/h, a roller's pitches whole: the volume that the pump counts, and that by weight."""
        scale = calibration.BalanceScale(self.balance, self.wait, self.port.clock_s)
        self.pump.confirm(self.pump.propose(SIX_ML_H))
        before, begun = scale.read(""), self.pump.status()
        self.pump.ask("start")
        self.wait(revolutions * self.pump.hello["nl_per_rev"] / 6_000_000 * 3_600)
        self.pump.ask("stop")
        self.wait(calibration.REST_S)
        after, ended = scale.read(""), self.pump.status()
        lost_g = loss_g_h * (ended["tick"] - begun["tick"]) / 36_000
        came_nl = calibration.Water(20.0).volume_nl(after.grams - before.grams + lost_g)
        steps = ended["executed_steps"] - begun["executed_steps"]
        return float(steps * self.pump.nl_per_step), came_nl

    @property
    def state(self):
        return states.STATES[self.bench.pump.control.state]


def plan(**more):
    return Plan(**{"nl_per_rev": 100_000, "steps_per_rev": 3_200, "revolutions": 10, "rate_nl_h": 6_000_000,
                   "celsius": 20.0, "buoyancy": True, **more})  # fmt: skip


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize("seed", range(5))
def test_the_head_is_found_to_a_five_hundredth(seed, tmp_path):
    desk = Desk(seed)
    notebook = Notebook(tmp_path / "calibration.ndjson", plan())
    course = desk.course(notebook)
    course.prime()
    course.weigh_loss(300)
    assert notebook.loss_g_h == pytest.approx(4e-3 - 1e-4, abs=2 * notebook.loss_error_g_h)
    course.run(3)
    result = calibration.result_of(notebook)
    assert desk.state == "STOPPED"
    assert result.nl_per_rev == pytest.approx(TRUE_NL_PER_REV, rel=0.002)
    assert 0 < result.uncertainty_percent < 0.2
    assert result.change_percent == pytest.approx(3, abs=0.2)
    # The rig is changed in its head alone, and a run on it, by weight, is within the uncertainty it states.
    kept = rigging.ask(desk.pump)
    assert kept is not None
    rig = result.rig(kept.rig)
    differing = {name for name, keys in rig.tables.items() if keys != kept.rig.tables[name]}
    assert differing == {"head"} and rig.tables["head"] == {**kept.rig.tables["head"], **result.head()}
    desk.pump.confirm(rigging.propose(desk.pump, rig))
    assert rigging.wait(desk.pump, kept.number)["nl_per_rev"] == result.nl_per_rev
    said_nl, came_nl = desk.run_a_therapy(10, notebook.loss_g_h or 0.0)
    assert said_nl == pytest.approx(10 * result.nl_per_rev, rel=0.001)
    assert 100 * abs(came_nl / said_nl - 1) < result.uncertainty_percent


LOST = PortError("test pump is gone: was it unplugged?")


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize("why", [KeyboardInterrupt, LOST])
def test_an_interruption_loses_nothing_and_leaves_the_pump_stopped(why, tmp_path):
    desk = Desk(1, BalanceParameters(noise_g=0))
    path = tmp_path / "calibration.ndjson"
    notebook = Notebook(path, plan(revolutions=3))

    def plugged_in_again():
        desk.port.cut_after(None)
        return desk.port

    desk.pump.reopen = plugged_in_again
    course = desk.course(notebook)
    course.run(1)
    # Of three minutes one and a half have passed.
    desk.bench.schedule(desk.bench.tick + 900, lambda: desk.port.cut_after(0, why))
    with pytest.raises((KeyboardInterrupt, motion.Cut)) as cut:
        course.run(3)
    assert desk.state == "STOPPED"
    if why is LOST:
        assert "was it unplugged?\nIt was reached again, and is STOPPED." in str(cut.value)
    # A line that was being written is no harm either.
    with path.open("a") as file:
        file.write('{"type": "weigh')
    again = Notebook(path, plan(revolutions=3))
    assert again.resumed and len(again.weighings) == 1
    assert again.begun is not None and again.begun == notebook.begun
    moved = desk.pump.status()["executed_steps"] - again.begun.steps
    assert 4_000 < moved < 5_600
    desk.course(again).run(3)
    assert [weighing.steps for weighing in again.weighings] == [9_600] * 3
    whole = Notebook(path, plan(revolutions=3))
    assert whole.weighings == again.weighings and whole.begun is None
    result = calibration.result_of(whole)
    assert result.nl_per_rev == pytest.approx(TRUE_NL_PER_REV, rel=0.001)


@pytest.mark.req("CAL-01")
def test_a_pump_that_cannot_be_reached_any_more_comes_to_rest_by_itself():
    desk = Desk(1)

    def nothing():
        raise PortError("there is no port")

    desk.pump.reopen = nothing
    desk.bench.schedule(desk.bench.tick + 100, lambda: desk.port.cut_after(0, LOST))
    with pytest.raises(motion.Cut, match="IT MAY STILL TURN, and cannot be reached .*STOP button"):
        desk.mover().turn_to(3_200)
    assert desk.state == "JOGGING"
    desk.wait(60)
    assert desk.state == "STOPPED"


@pytest.mark.req("CAL-01")
def test_each_confirmation_is_for_ten_revolutions_and_a_stop_is_not_turned_on_from():
    desk = Desk(1)
    mover = desk.mover()
    mover.turn_to(3_200)
    mover.turn_to(6_400)
    assert [said["jog_steps"] for said in desk.asked] == [32_000]
    mover.turn_to(6_400 + 35_200)
    assert len(desk.asked) == 3
    assert desk.pump.status()["executed_steps"] == 6_400 + 35_200
    desk.bench.schedule(desk.bench.tick + 300, lambda: desk.bench.press("stop", 3))
    with pytest.raises(motion.Cut, match="somebody has stopped the pump"):
        mover.turn_to(6_400 + 35_200 + 9_600)
    assert desk.pump.status()["executed_steps"] < 6_400 + 35_200 + 3_200


@pytest.mark.req("CAL-01")
def test_an_alarm_ends_the_weighing_and_is_named(tmp_path):
    desk = Desk(1)
    desk.bench.schedule(desk.bench.tick + 300, lambda: desk.plant.set_driver_fault(True, desk.bench.now_ns))
    with pytest.raises(motion.Cut, match="the pump is HALTED, alarm DRIVER_FAULT"):
        desk.course(Notebook(tmp_path / "c.ndjson", plan())).run(3)


def notebook_of(path, volumes_nl, **more):
    notebook = Notebook(path, plan(**more))
    grams_per_nl = 1 / calibration.Water(notebook.plan.celsius, notebook.plan.buoyancy).volume_nl(1.0)
    for volume_nl in volumes_nl:
        notebook.add(Weighing(32_000, 5.0, 5.0 + 10 * volume_nl * grams_per_nl, 600.0, 1e-4))
    return notebook


@pytest.mark.req("CAL-01")
def test_the_result_is_that_of_a_worked_example(tmp_path):
    found = calibration.result_of(notebook_of(tmp_path / "a.ndjson", [102_000, 103_000, 104_000]))
    # Mean 103 uL, s = 1 uL, t = 4.303 for two degrees of freedom: 4.303 / sqrt(3) = 2.4843 uL.
    assert (found.nl_per_rev, found.uncertainty_nl) == (103_000, 2_485)
    assert found.head() == {"nl_per_rev": 103_000, "uncertainty_nl": 2_485}
    assert found.change_percent == pytest.approx(3.0)
    rows = dict(calibration.rows_of(found))
    assert rows["new volume"] == "103 uL a revolution"
    assert rows["uncertainty"] == "2.485 uL, 2.413 % (expanded, at 95 %: Student's t)"
    # Three weighings that are all the same say no less than the balance's digit does.
    same = calibration.result_of(notebook_of(tmp_path / "b.ndjson", [103_000] * 3))
    assert same.uncertainty_nl in (10, 11, 12)
    with pytest.raises(WeighingError, match="2 weighings"):
        calibration.result_of(notebook_of(tmp_path / "c.ndjson", [103_000] * 2))


@pytest.mark.req("CAL-01")
def test_the_volume_is_one_that_the_pump_can_reckon_with():
    assert calibration.nearest_nl_per_rev(103_000.4, 3_200) == 103_000
    # A revolution of 1 021 microsteps, a prime: only multiples of it make a nL/h exact.
    assert calibration.nearest_nl_per_rev(999_983.0, 1_021) == 979 * 1_021
    with pytest.raises(WeighingError, match="nothing that the pump can reckon with: nl_per_rev is"):
        calibration.nearest_nl_per_rev(1e12, 3_200)


@pytest.mark.req("CAL-01")
def test_a_file_of_another_calibration_is_not_gone_on_with(tmp_path):
    path = tmp_path / "a.ndjson"
    notebook = notebook_of(path, [103_000])
    notebook.begin(Begun(5.0, 100, 7, 1e-4))
    with pytest.raises(WeighingError, match=r"was begun with revolutions 10, this one has 5: .*--file"):
        Notebook(path, plan(revolutions=5))
    with pytest.raises(WeighingError, match=r"was begun with nl_per_rev 100000, this one has 103000"):
        Notebook(path, plan(nl_per_rev=103_000))
    notebook.close({})
    with pytest.raises(WeighingError, match="holds a calibration that is over"):
        Notebook(path, plan())
    path.write_text(json.dumps({"type": "calibration"}) + "\n")
    with pytest.raises(WeighingError, match=r"a.ndjson:1: is no line of a calibration"):
        Notebook(path, plan())
    path.write_text("seconds,grams\n")
    with pytest.raises(WeighingError, match=r"a.ndjson:1: is no line of a calibration"):
        Notebook(path, plan())


def desk_with_port(looks=None):
    desk = Desk(1, BalanceParameters(noise_g=0))
    desk.port = CutPort(looks, desk.bench)
    return desk


@pytest.mark.req("CAL-01")
def test_the_dialogue_with_typed_weights(run, tmp_path):
    desk = desk_with_port()
    path = tmp_path / "c.ndjson"
    left = run(desk.port, "calibrate", "--file", path, "--revolutions", 1, answer="y\ny\n10.0000\n")
    assert left.exit_code == 1 and "0 weighings are kept in" in left.output
    path.unlink()
    args = ("calibrate", "--file", path, "--revolutions", 2, "--temperature", "21.5")
    # One weight is mistyped and asked for again.
    typed = "10,0\n10.0000\n10.2055\n10.2055\n10.4110\n10.4110\n10.6166\n"
    result = run(desk.port, *args, answer="y\ny\n" + typed + "n\n")
    assert result.exit_code == 1 and "the pump keeps the rig it has" in result.output
    assert "3 weighings of about 200 uL at 6 mL/h, which take 2:00.0 each" in result.output
    assert 'expected a weight in grams, as in "12.3456", found "10,0"' in result.output
    assert "Grams that the balance shows, weighing 2 of 3, before" in result.output
    words = " ".join(result.output.split())
    assert "change │ +3.0" in words and "volume in force │ 100 uL a revolution" in words
    # The weighings are kept: to say yes after all takes no other ones.
    agreed = run(desk.port, *args, answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert '[head]\n  volume_per_rev = "103.092 uL"\n  uncertainty = "73 nL"' in agreed.output
    assert "Rig 2, reference, is in force; the pump is STOPPED." in agreed.output
    again = run(desk.port, *args)
    assert again.exit_code == 2 and "is over: name another file with --file" in again.output


@pytest.mark.req("CAL-01")
def test_the_dialogue_with_a_balance_is_interrupted_and_goes_on(run, tmp_path, monkeypatch):
    desk = desk_with_port(looks=1_900)
    path = tmp_path / "c.ndjson"
    monkeypatch.setattr("thecal_host.weighing.balance.open_balance", lambda *_: desk.balance)
    args = ("calibrate", "--file", path, "--yes", "--balance", "/dev/b", "--stopped-for", "1 min")
    args += ("--revolutions", 3)
    first = run(desk.port, *args)
    assert first.exit_code == 1, first.output
    assert "interrupted; the pump is STOPPED; 0 weighings are kept in" in first.output
    assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == [
        "calibration",
        "loss",
        "begun",
    ]
    second = run(desk.port, *args)
    assert second.exit_code == 0, second.output
    assert "holds 0 weighings; it goes on from there" in second.output
    found = json.loads(path.read_text().splitlines()[-1])
    assert found["nl_per_rev"] == pytest.approx(TRUE_NL_PER_REV, rel=0.001)
    assert desk.state == "STOPPED"


@pytest.mark.req("CAL-01")
def test_what_a_calibration_needs_is_said(run, tmp_path, monkeypatch):
    path = tmp_path / "c.ndjson"
    bare = PumpPort()
    bare.bench.advance_to_tick(30)
    result = run(bare, "calibrate", "--file", path)
    assert result.exit_code == 1 and "no continuous therapy is in force" in result.output
    desk = desk_with_port()
    Pump(desk.port, desk.port.clock_s).ask("start")
    result = run(desk.port, "calibrate", "--file", path)
    assert result.exit_code == 1 and "the pump is RUNNING: a calibration begins with" in result.output
    Pump(desk.port, desk.port.clock_s).ask("stop")
    result = run(desk.port, "calibrate", "--file", path, answer="n\n")
    assert result.exit_code == 1 and "nothing was turned" in result.output
    result = run(desk.port, "calibrate", "--file", tmp_path / "fast.ndjson", "--rate", "60 mL/h", "--yes")
    assert result.exit_code == 1 and "turns at 6 mL/h at most, not at 60 mL/h" in result.output
    assert not (tmp_path / "fast.ndjson").exists()
    for args, message in (
        (["--temperature", "-1"], "from 0 to 40 C"),
        (["--rate", "0 mL/h"], "--rate: expected whole nanolitres an hour, 1 nL/h to"),
        (["--evaporation", "1 mg"], "expected a mass of drug per time"),
        (["--balance", "/dev/none"], "there is no port /dev/none"),
    ):
        result = run(desk.port, "calibrate", "--file", path, *args)
        assert result.exit_code in (1, 2) and message in result.output, result.output
