"""The pump and its senses together: what no scenario can bring about, and what is heard of an alarm.

`outputs.alarm_priority` is what the annunciator shows and `outputs.alarm_sound` whether it is heard; the
patterns themselves are measured at the pins by `host_tests/chip/test_annunciator.py`.
"""

import pytest
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk
from thecal import causes, states
from thecal.link import commands
from thecal.signals import Inputs
from thecal.watch import alarms, parts, resets, senses
from thecal.watch.alarms import HIGH, LOW, MEDIUM
from thecal.watch.button import STUCK_TICKS
from thecal_model.rig import reference

TICK_NS = 100_000_000
MINUTE = 600  # ticks


class Bench(PumpOnBench):
    """With the plant at hand, and a look at what stands."""

    @property
    def plant(self):
        return self.bench._plant

    @property
    def heard(self):
        """(priority shown, whether it is heard), as of the last tick."""
        return self.bench.outputs.alarm_priority, self.bench.outputs.alarm_sound

    @property
    def standing(self):
        return {alarms.ALARMS[row].code for row, stands in enumerate(self.pump.alarms.standing) if stands}

    def press_stop(self):
        self.bench.press("stop", 3)
        self.run(5)


@pytest.fixture
def bench():
    bench = Bench()
    bench.run(20)
    return bench


@pytest.fixture
def halted(bench):
    """Halted by air, which is gone again."""
    bench.start()
    bench.run(10)
    bench.plant.set_air(True)
    bench.run(5)
    bench.plant.set_air(False)
    assert bench.pump.control.state == states.HALTED and bench.standing == {"AIR"}
    return bench


# --- alarms that no scenario can cause


@pytest.mark.req("ALM-01", "ALM-08")
@pytest.mark.parametrize("running", [False, True])
def test_a_driver_that_reports_a_fault_stops_the_pump(bench, running):
    if running:
        bench.start()
        bench.run(50)
    bench.plant.set_driver_fault(True, bench.tick * TICK_NS)
    bench.run(1)
    assert bench.pump.control.state == states.HALTED and bench.standing == {"DRIVER_FAULT"}
    assert not bench.bench.outputs.enable
    bench.ask("acknowledge")
    bench.run(3)
    assert bench.standing == {"DRIVER_FAULT"}, "its cause is still there"
    bench.plant.set_driver_fault(False, bench.tick * TICK_NS)
    bench.run(1)
    assert bench.ask("acknowledge")["state"] == "STOPPED"
    bench.run(10)
    assert bench.standing == set() and bench.pump.control.state == states.STOPPED


class OffBy(PumpOnDesk):
    """6 mL/h, 16/3 steps a tick, on a motor that drifts to `off_steps` from where it ought to be."""

    def __init__(self):
        super().__init__()
        self.run()
        self.ticks = -1  # the flow begins with the next tick
        self.off_steps = 0
        self.off_now = 0

    def go(self, ticks):
        """Until an alarm stands, at most so long; how long it took."""
        for gone in range(ticks):
            if self.standing:
                return gone
            self.ticks += 1
            self.off_now += (self.off_steps > self.off_now) - (self.off_steps < self.off_now)
            self.tick(executed_steps=self.ticks * 16 // 3 + self.off_now, queue_free=self.ticks % 2)
        return ticks

    @property
    def standing(self):
        return {alarms.ALARMS[row].code for row, stands in enumerate(self.pump.alarms.standing) if stands}


@pytest.mark.req("SAFE-10", "ALM-01", "ALM-08")
@pytest.mark.parametrize(
    ("off_steps", "code", "state"),
    [(36, "OVER_INFUSION", states.HALTED), (-36, "UNDER_INFUSION", states.RUNNING)],
)
def test_a_motor_that_is_off_for_five_minutes_is_told(off_steps, code, state):
    desk = OffBy()
    desk.go(100)
    desk.off_steps = off_steps
    # A step a tick: beyond the tolerance of 32 in the 33rd tick.
    assert desk.go(6 * MINUTE) == pytest.approx(33 + 5 * MINUTE, abs=3)
    assert desk.standing == {code} and desk.pump.control.state == state


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("off_steps", [30, -30])
def test_a_motor_that_is_off_by_less_than_a_pitch_is_borne(off_steps):
    desk = OffBy()
    desk.go(100)
    desk.off_steps = off_steps
    assert desk.go(12 * MINUTE) == 12 * MINUTE
    assert desk.standing == set() and desk.pump.control.state == states.RUNNING


@pytest.mark.req("RES-04", "ALM-01")
def test_a_head_that_is_worn_is_told_and_runs_on_over_a_reset_too(bench):
    bench.start()
    bench.pump.senses.motion.pulses = 100_000 * 100 - 2
    bench.run(5)
    assert bench.standing == set()
    bench.run(20)
    assert bench.standing == {"SERVICE_DUE"} and bench.pump.control.state == states.RUNNING
    bench.reset()
    assert bench.standing == {"SERVICE_DUE", "AUTO_RESUMED"}


@pytest.mark.req("ALM-01", "SAFE-01")
def test_a_self_test_that_failed_keeps_the_motor_off():
    desk = PumpOnDesk()
    desk.inputs.post_failures = 1 << parts.BUZZER
    desk.tick()
    assert desk.pump.control.state == states.HALTED and desk.pump.alarms.standing[alarms.POST_FAILED]
    assert not desk.outputs.enable and desk.outputs.alarm_priority == HIGH
    assert desk.ask("acknowledge")["state"] == "STOPPED"
    desk.program()
    assert desk.ask("start")["message"] == "the self-test has failed (buzzer): see to it, then reset the pump"
    assert not desk.outputs.enable


@pytest.mark.req("ALM-08", "DOSE-11")
def test_a_pump_that_was_forgotten_is_told_low_and_then_high():
    half_a_day = 12 * 60 * MINUTE
    desk = PumpOnDesk()
    desk.tick()
    desk.program()
    begun = desk.pump.control.stopped_tick

    def go_to(tick):
        desk.tick(ticks=begun + tick - desk.at_tick)
        return desk.outputs.alarm_priority, desk.outputs.alarm_sound

    assert go_to(half_a_day) == (-1, False)
    assert go_to(half_a_day + 1) == (LOW, True)
    desk.ask("audio_pause")
    assert go_to(half_a_day + 100) == (LOW, False)
    assert go_to(2 * half_a_day - 9) == (LOW, True)
    desk.ask("audio_pause")
    assert go_to(2 * half_a_day) == (LOW, False)
    assert go_to(2 * half_a_day + 1) == (HIGH, True), "it is heard though a pause is running"
    assert desk.ask("alarms")["alarms"] == [["LONG_STOP", "HIGH"]]
    assert desk.ask("start")["ok"]
    assert desk.outputs.alarm_priority == -1 and desk.pump.control.state == states.RUNNING


# --- the supply


@pytest.mark.req("SAFE-09")
@pytest.mark.parametrize("mv_per_tick", [1, 20, 100])
def test_a_supply_that_sags_is_told_first_and_the_motor_is_off_while_it_still_holds(bench, mv_per_tick):
    bench.start()
    bench.run(20)
    supply_mv = 12_000
    low_mv = None
    while bench.bench.outputs.enable:
        supply_mv -= mv_per_tick
        bench.plant.set_supply(supply_mv / 1_000)
        bench.run(1)
        if low_mv is None and "SUPPLY_LOW" in bench.standing:
            low_mv = supply_mv
            assert bench.heard == (LOW, True) and bench.pump.control.state == states.RUNNING
    assert low_mv is not None and 10_800 > low_mv >= 10_795 - 3 * mv_per_tick
    assert 9_600 > supply_mv >= 9_595 - 3 * mv_per_tick
    assert bench.standing == {"SUPPLY_LOW", "SUPPLY_CRITICAL"} and bench.pump.control.state == states.HALTED


# --- what is heard


@pytest.mark.req("ALM-02", "ALM-04")
def test_a_pause_over_the_link_silences_for_two_minutes_and_the_light_goes_on(halted):
    assert halted.heard == (HIGH, True)
    assert halted.ask("audio_pause")["paused"] is True
    assert halted.heard == (HIGH, False)
    assert halted.ask("audio_pause")["paused"] is False, "none is prolonged"
    paused_tick = halted.of("audio_pause")[0][0]
    halted.run(paused_tick + 2 * MINUTE - 1 - halted.tick)
    assert halted.heard == (HIGH, False)
    halted.run(1)
    assert halted.heard == (HIGH, True)
    assert [event[2:] for event in halted.of("audio_pause")] == [(1, 0), (0, 0)]


@pytest.mark.req("ALM-04")
def test_what_is_as_urgent_and_new_is_heard_at_once_in_a_pause(halted):
    halted.ask("audio_pause")
    halted.run(10)
    halted.plant.set_supply(10.5)
    halted.run(5)
    assert "SUPPLY_LOW" in halted.standing and halted.heard == (HIGH, False), "less urgent"
    halted.plant.set_driver_fault(True, halted.tick * TICK_NS)
    halted.run(3)
    assert "DRIVER_FAULT" in halted.standing and halted.heard == (HIGH, True)


@pytest.mark.req("ALM-05")
@pytest.mark.parametrize("by", ["link", "button"])
def test_a_stop_silences_in_every_state_and_a_high_alarm_is_heard_again_within_ten_seconds(halted, by):
    def stop():
        halted.ask("stop") if by == "link" else halted.press_stop()

    halted.ask("audio_pause")
    halted.run(10)
    stop()
    assert halted.pump.control.state == states.HALTED and halted.heard == (HIGH, False)
    halted.run(100)
    assert halted.heard == (HIGH, True), "the pause has been cancelled as well"
    assert halted.standing == {"AIR"}


@pytest.mark.req("ALM-05")
@pytest.mark.parametrize("by", ["link", "button"])
def test_a_stop_ends_the_flow_and_the_sound_of_what_is_low(bench, by):
    bench.start()
    bench.run(20)
    bench.plant.set_supply(10.5)
    bench.run(5)
    assert bench.heard == (LOW, True) and bench.pump.control.state == states.RUNNING
    bench.ask("stop") if by == "link" else bench.press_stop()
    assert bench.pump.control.state == states.STOPPED and not bench.bench.outputs.enable
    assert bench.heard == (LOW, False)
    bench.run(MINUTE)
    assert bench.heard == (LOW, False)
    before = bench.executed_nl
    bench.run(10)
    assert bench.executed_nl == before


@pytest.mark.req("ALM-05")
def test_while_the_stop_button_is_held_down_nothing_starts():
    desk = PumpOnDesk()
    desk.run()
    desk.tick(button_stop=True)
    assert desk.pump.control.state == states.STOPPED
    assert desk.ask("start")["error"] == "stop_held"
    assert desk.events == [("denied", commands.COMMANDS.find("start"), causes.STOP_HELD)]
    assert desk.ask("start", at_tick=desk.at_tick + 20)["error"] == "stop_held"
    desk.tick(button_stop=False)
    for _ in range(30):
        desk.tick()
    assert desk.pump.control.state == states.STOPPED
    assert desk.ask("start")["ok"] and desk.pump.control.state == states.RUNNING


@pytest.mark.req("ALM-01", "ALM-05")
def test_a_stop_button_held_for_a_minute_is_an_alarm_until_it_is_released():
    desk = PumpOnDesk()
    desk.tick()
    desk.tick(button_stop=True)
    for _ in range(STUCK_TICKS - 1):
        desk.tick()
    assert not desk.pump.alarms.standing[alarms.STOP_HELD]
    desk.tick()
    assert desk.pump.alarms.standing[alarms.STOP_HELD]
    desk.tick(button_stop=False)
    assert not desk.pump.alarms.standing[alarms.STOP_HELD]


@pytest.mark.req("ALM-02", "ALM-07")
def test_the_host_is_told_what_stands_in_order_and_what_came_first(halted):
    halted.plant.set_supply(9.0)
    halted.run(5)
    told = halted.ask("alarms")
    assert told["alarms"] == [["AIR", "HIGH"], ["SUPPLY_CRITICAL", "HIGH"], ["SUPPLY_LOW", "LOW"]]
    assert told["first_cause"] == "AIR"
    halted.plant.set_supply(12.0)
    halted.run(50)
    halted.ask("acknowledge")
    told = halted.ask("alarms")
    assert (told["alarms"], told["first_cause"]) == ([], "")
    assert MEDIUM not in halted.heard


# --- one sense at a time


class Feel:
    """`Senses` and an `Inputs` of a sound pump, turned by hand."""

    def __init__(self):
        self.senses = senses.Senses(reference())
        self.inputs = Inputs()
        self.tick = 0

    def look(self, moving=True, delivering=True, supply_raw=2_400, **inputs):
        self.tick += 1
        self.inputs.pressure_down_raw = self.inputs.pressure_up_raw = 400 + self.tick % 2
        self.inputs.supply_raw = supply_raw
        for name, value in inputs.items():
            setattr(self.inputs, name, value)
        self.senses.read(self.inputs, self.tick)
        return self.senses.look(self.inputs, self.tick, 1, 0, 0, moving, delivering)


@pytest.mark.req("ALM-08")
def test_air_counts_while_a_dose_flows_and_not_while_the_line_is_filled():
    feel = Feel()
    assert [feel.look(delivering=False, air=True) for _ in range(20)] == [-1] * 20
    assert [feel.look(air=True) for _ in range(3)] == [-1, -1, alarms.AIR]


@pytest.mark.req("SAFE-09", "OCC-01")
def test_a_supply_that_was_not_sampled_is_not_judged():
    feel = Feel()
    assert [feel.look(supply_raw=1_900) for _ in range(2)] == [-1, -1]
    assert [feel.look(supply_raw=-1) for _ in range(4)] == [-1] * 4
    assert feel.look(supply_raw=1_900) == alarms.SUPPLY_CRITICAL


@pytest.mark.req("ALM-01", "ALM-08")
def test_acknowledging_takes_away_what_latches_and_nothing_that_still_is_so():
    desk = PumpOnDesk()
    desk.tick()
    desk.program()
    standing = desk.pump.alarms.standing
    lasting = [row for row, alarm in enumerate(alarms.ALARMS) if not alarm.latching]
    for row in range(len(alarms.ALARMS)):
        desk.pump.control.raise_alarm(row)
    desk.ask("acknowledge")
    cleared = [desk.pump.alarms.standing[row] for row in lasting]
    # Those whose cause is looked at in every tick are gone with it; the others wait for what clears them.
    for row in (alarms.RESERVOIR_EMPTY, alarms.RESERVOIR_LOW, alarms.CLOCK_LOST):
        assert standing[row], alarms.ALARMS[row].code
    assert any(cleared) and not any(standing[row] for row in range(len(standing)) if row not in lasting)


@pytest.mark.req("SAFE-04", "SAFE-09")
def test_the_numbers_of_resets_and_supply_are_those_that_were_decided():
    assert (resets.MOST_RESETS, resets.WINDOW_TICKS) == (4, 6_000)
    felt = senses.Senses(reference())
    assert (felt.supply_low_mv, felt.supply_back_mv, felt.supply_critical_mv) == (10_800, 11_100, 9_600)


@pytest.mark.req("OCC-02", "ALM-08")
def test_an_inlet_that_is_closed_is_told_while_the_motor_moves_until_it_begins_anew():
    feel = Feel()

    def look(codes, moving=True):
        feel.tick += 1
        feel.inputs.pressure_down_raw = 400 + feel.tick % 2
        feel.inputs.pressure_up_raw = 400 - codes + feel.tick % 2
        feel.inputs.supply_raw = 2_400
        feel.senses.read(feel.inputs, feel.tick)
        return feel.senses.look(feel.inputs, feel.tick, 1, 0, 0, moving, moving)

    assert {look(0) for _ in range(20)} == {-1}
    assert alarms.OCCLUSION_UP in {look(300) for _ in range(20)}, "15 kPa below the room's"
    assert {look(0, moving=False) for _ in range(30)} == {-1}
    assert look(0) == alarms.OCCLUSION_UP, "it stands until the motor begins anew"
    feel.senses.begin(0)
    assert {look(0) for _ in range(20)} == {-1}
