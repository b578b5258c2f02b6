"""OCC-01, SAFE-02: a fault says which part failed and how, wherever one looks, until acknowledged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk
from thecal import states
from thecal.watch import alarms, parts, senses
from thecal.watch.motion import Motion
from thecal_bench.plant import Plant
from thecal_model.rig import reference
from thecal_model.text import event_text, parts_text

TICK_NS = 100_000_000


class Bench(PumpOnBench):
    """With a look at what it says has failed."""

    @property
    def plant(self) -> Plant:
        return self.bench._plant

    def harm(self, which: str, kind: str) -> None:
        self.plant.sensor_fault(which, kind, self.tick * TICK_NS)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Part and kind of each event of a part that failed."""
        return [(parts.PARTS[a], parts.KINDS[b]) for _, _, a, b in self.of("part_failed")]

    @property
    def shown(self) -> list[str]:
        """The names in a status frame of now."""
        status = self.client.last_status
        assert status is not None
        return parts.names(status["failed"])


def noisy(which: str):
    return lambda bench: bench.harm(which, "noise")


def wired(which: str, kind: str):
    return lambda bench: bench.harm(which, kind)


def driver(bench: Bench) -> None:
    bench.plant.set_driver_fault(True, bench.tick * TICK_NS)


FAULTS = [
    *((wired(which, kind), which, kind) for which in parts.PARTS[7:10] for kind in ("open", "short")),
    *((wired(which, "stuck"), which, "stuck") for which in ("pressure_down", "pressure_up")),
    (noisy("index"), "index", "extra"),
    (wired("index", "open"), "index", "missing"),
    (wired("step_sense", "open"), "step_sense", "missing"),
    (driver, "driver", "failed"),
]


@pytest.mark.req("OCC-01", "ALM-01", "MOT-02")
@pytest.mark.parametrize(("harm", "part", "kind"), FAULTS)
def test_a_part_that_fails_is_named_in_log_status_and_answer_until_acknowledged(harm, part, kind):
    bench = Bench()
    bench.start()
    bench.run(20)
    harm(bench)
    bench.run(1_300)
    assert bench.pump.control.state == states.HALTED
    assert bench.told[0] == (part, kind)
    part_at = next(at for at, event in enumerate(bench.events) if event[1] == "part_failed")
    alarm_at = next(at for at, event in enumerate(bench.events) if event[1] == "alarm")
    assert part_at + 1 == alarm_at and bench.events[alarm_at][2] in (alarms.SENSOR_FAULT, alarms.DRIVER_FAULT)
    assert part in bench.shown
    assert [part, kind] in bench.ask("alarms")["failed"]
    bench.reset()
    bench.run(10)
    assert part in bench.shown, "the alarm is latched, so is what it is about"


@pytest.mark.req("OCC-01")
def test_what_is_sound_again_is_named_until_acknowledged_and_what_is_not_is_found_again():
    bench = Bench()
    bench.start()
    bench.harm("pressure_up", "open")
    bench.run(20)
    bench.harm("supply", "short")
    bench.run(20)
    bench.harm("pressure_up", "clear")
    bench.run(50)
    assert bench.told == [("pressure_up", "open"), ("supply", "short")]
    assert bench.shown == ["pressure_up", "supply"]
    bench.ask("acknowledge")
    bench.run(12)
    assert bench.shown == ["supply"] and bench.told[2:] == [("supply", "short")]
    assert bench.ask("alarms")["failed"] == [["supply", "short"]]
    bench.harm("supply", "clear")
    bench.run(50)
    bench.ask("acknowledge")
    bench.run(12)
    assert bench.shown == [] and bench.ask("alarms")["failed"] == []


@pytest.mark.req("SAFE-02", "OCC-01")
@pytest.mark.parametrize(
    ("field", "code", "part", "kind"),
    [
        ("pressure_down_raw", 0, parts.PRESSURE_DOWN, parts.SHORT),
        ("pressure_up_raw", 4_095, parts.PRESSURE_UP, parts.OPEN),
        ("supply_raw", 0, parts.SUPPLY, parts.SHORT),
        ("supply_raw", -1, parts.SUPPLY, parts.STALE),
        ("pressure_down_raw", 4_085, parts.PRESSURE_DOWN, parts.RANGE),
    ],
)
def test_a_self_test_names_the_sensor_and_how_it_fails(field, code, part, kind):
    desk = PumpOnDesk()
    desk.tick(**{field: code})
    assert ("post_failed", part, kind) in desk.events
    assert ("alarm", alarms.POST_FAILED, 1) in desk.events and "part_failed" not in str(desk.events)
    assert desk.ask("alarms")["failed"] == [[parts.PARTS[part], parts.KINDS[kind]]]
    for _ in range(60):
        desk.tick()
    desk.ask("acknowledge")
    desk.program()
    said = f"the self-test has failed ({parts.PARTS[part]}): see to it, then reset the pump"
    assert desk.ask("start")["message"] == said
    assert desk.ask("alarms")["failed"][0][0] == parts.PARTS[part], "until a reset has found it sound"


@pytest.mark.req("SAFE-02")
@pytest.mark.parametrize("part", [parts.RAM, parts.IMAGE, parts.DRIVER, parts.BUZZER])
def test_what_the_drivers_found_is_named_by_the_same_table(part):
    desk = PumpOnDesk()
    desk.inputs.post_failures = 1 << part
    desk.tick()
    assert ("post_failed", part, parts.FAILED) in desk.events
    assert desk.ask("alarms")["failed"] == [[parts.PARTS[part], "failed"]]


@pytest.mark.req("SAFE-08")
@pytest.mark.parametrize("running", [False, True])
def test_an_image_that_is_found_damaged_later_halts_the_pump_and_is_told_once(running):
    bench = PumpOnBench()
    bench.program()
    if running:
        bench.ask("start")
    bench.run(20)
    assert bench.pump.control.state == (states.RUNNING if running else states.STOPPED)
    bench.bench.inputs.post_failures |= 1 << parts.IMAGE
    bench.run(5)
    assert bench.pump.control.state == states.HALTED
    assert [(a, b) for _, _, a, b in bench.of("post_failed")] == [(parts.IMAGE, parts.FAILED)]
    assert bench.pump.alarms.standing[alarms.POST_FAILED]


@pytest.mark.req("MOT-02", "OCC-01")
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("off_pulses", [0, 2, 3, -2, -3])
def test_pulses_and_marks_that_differ_are_laid_to_the_one_that_the_steps_gainsay(off_pulses, missing):
    """The rotor made `off_pulses` more than the motor when the marks are found wrong."""
    motion = Motion(3_200, 100, 100_000, 730)
    for tick in range(1, 50):
        assert motion.look(tick, 32 * tick, tick, 0, True, 32 * tick) == -1
    encoder = 50 + off_pulses
    if missing:
        motion.index_known, motion.index_encoder = True, encoder - 110
        row = motion.look(50, 1_600, encoder, 0, True, 1_600)
    else:
        motion.index_known, motion.index_encoder = True, encoder - 90
        row = motion.look(50, 1_600, encoder, 1, True, 1_600)
    agrees = abs(off_pulses) <= 2
    if agrees:
        assert row == alarms.SENSOR_FAULT
    part = parts.INDEX if agrees else parts.ENCODER
    assert motion.failed_part == part
    assert motion.failed_kind == (parts.MISSING if missing == agrees else parts.EXTRA)


@pytest.mark.req("OCC-01")
def test_every_part_and_kind_has_words():
    for part, name in enumerate(parts.PARTS):
        assert name.replace("_", " ") in parts_text(1 << part)
        for code in ("part_failed", "post_failed"):
            for kind in range(len(parts.KINDS)):
                said = event_text({"code": code, "a": part, "b": kind})
                assert name.replace("_", " ") in said and parts.KINDS[kind] in said
    assert parts_text(0) == "none"
    assert parts_text(1 << parts.SUPPLY | 1 << parts.RAM) == "ram, supply"


# --- a sensor is noisy against what it measures

RIPPLE_CODES = senses.SUPPLY_RIPPLE_MV // 5


def supply() -> senses.Senses:
    return senses.Senses(reference())


@pytest.mark.req("OCC-01", "SAFE-09")
@given(
    st.integers(2_000, 3_000),
    st.lists(st.integers(0, RIPPLE_CODES), min_size=1, max_size=80),
    st.integers(2, 40),
)
def test_no_ripple_of_a_sound_supply_is_taken_for_a_broken_sensor(low_code, pattern, times):
    reading = supply().supply
    assert reading is not None
    for tick in range(len(pattern) * times):
        assert reading.update(low_code + pattern[tick % len(pattern)], tick)
    assert reading.good() and reading.fault == 0


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize("above_codes", [1, 200])
def test_a_supply_that_swings_further_than_it_can_is_a_broken_sensor(above_codes):
    reading = supply().supply
    assert reading is not None
    for tick in range(3 * 64 + 3):
        reading.update(2_400 + tick % 2 * (RIPPLE_CODES + above_codes), tick)
    assert reading.fault == parts.NOISE


@pytest.mark.req("SAFE-09", "ALM-01")
@given(st.integers(1_900, 2_300), st.lists(st.integers(0, RIPPLE_CODES), min_size=20, max_size=60))
def test_a_supply_that_ripples_about_its_levels_is_told_of_once_in_five_seconds(low_code, pattern):
    watch = supply()
    assert watch.supply is not None
    changed = [-math.inf]
    for tick in range(600):
        before = watch.supply_low
        watch.supply.update(low_code + pattern[tick % len(pattern)], tick)
        watch._supply_critical()
        if watch.supply_low != before:
            if not watch.supply_low:
                assert tick - changed[-1] >= 50
            changed.append(tick)
    assert len(changed) <= 1 + 2 * (600 // 50 + 1)
