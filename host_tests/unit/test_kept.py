"""REC-01: every name that a reset keeps, one by one: set to what no new pump has, lost with the power, found.

`KEPT` says for each filled field of the journal how the pump is changed by hand, and where that is found
again after a reset. The pump is at rest and nothing else changes, so a field that does not by itself make a
record is found out, too. A field that is neither here nor in `ELSEWHERE` is one that nobody tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from thecal import states
from thecal.dose.line import Bridge
from thecal.record import layout
from thecal.watch import alarms
from thecal.watch.resets import MOST_RESETS

POSITION = 96_000  # a place that the motor has come to: 3 mL
BOOKED = 107  # 2 s of 6 mL/h, for a start; they count as made after a cut
BOOKED_NL = 3_343


def _set(path: str, value: Any) -> Callable[[Any], None]:
    *way, last = path.split(".")

    def change(pump: Any) -> None:
        for name in way:
            pump = getattr(pump, name)
        setattr(pump, last, value)

    return change


def _get(path: str) -> Callable[[Any], Any]:
    def get(pump: Any) -> Any:
        for name in path.split("."):
            pump = getattr(pump, name)
        return pump

    return get


def plain(path: str, value: Any) -> tuple[Callable[[Any], None], Callable[[Any], Any], Any]:
    return _set(path, value), _get(path), value


STANDING = (alarms.AIR, alarms.RESERVOIR_EMPTY, alarms.MAX_DOSE)  # latching and not, HIGH and LOW


def alarm(pump: Any) -> None:
    for row in STANDING:
        pump.alarms.set(row)


def standing(pump: Any) -> Any:
    return [pump.alarms.standing[row] for row in STANDING]


def refill(pump: Any) -> None:
    pump.reservoir.refill(17_000_000, 64_000)


def bridge(pump: Any) -> None:
    pump.line.bridge = Bridge(640, 500, 1_000)


def bolus(kind: int) -> tuple[Callable[[Any], None], Callable[[Any], Any], Any]:
    """One that runs; a reset cuts it and says how much had been given, at most."""

    def begin(pump: Any) -> None:
        pump.control.dosing.boluses.volume_nl[kind] = 40_000
        pump.control.dosing.boluses.from_steps[kind] = POSITION - 320

    def told(pump: Any) -> Any:
        code = ("patient_bolus_end", "bolus_end")[kind]
        return [event[2:] for event in pump.desk.of(code)]

    return begin, told, [(10_000 + BOOKED_NL, 0)]


def strike(pump: Any) -> None:
    struck = pump.alarms
    struck.struck = alarms.STALL
    struck.strike_tick[alarms.STALL] = 700
    struck.strike_before_tick[alarms.STALL] = 300


def strikes(pump: Any) -> Any:
    struck = pump.alarms
    return struck.struck, struck.strike_tick[alarms.STALL], struck.strike_before_tick[alarms.STALL]


def lockout(pump: Any) -> None:
    pump.lockout.end(12_345)


def resets(pump: Any) -> None:
    pump.startup.resets.count = MOST_RESETS
    for index in range(MOST_RESETS):
        pump.startup.resets.ticks[index] = 100 + index


def occluded(pump: Any) -> None:
    pump.senses.down.resume(1_600, 3)


KEPT: dict[str, tuple[Callable[[Any], None], Callable[[Any], Any], Any]] = {
    "state": (_set("control.state", states.HALTED), _get("control.state"), states.HALTED),
    "resets": (resets, _get("startup.resets.count"), MOST_RESETS + 1),
    "boot_tick_1": (resets, lambda pump: list(pump.startup.resets.ticks)[1:], [101, 102, 103]),
    "alarms": (alarm, standing, [True] * 3),
    "first_cause": plain("alarms.first_cause", alarms.STALL),
    "alarms_stopped": plain("alarms.stopped_bits", 1 << alarms.STALL),
    "failed_parts": plain("senses.failed.bits", 5),
    "strike_tick": (strike, strikes, (alarms.STALL, 700, 300)),
    "fill_nl": (refill, _get("reservoir.fill_nl"), 17_000_000),
    "filled_at_steps": (refill, _get("reservoir.filled_at_steps"), 64_000),
    "line_empty": plain("line.empty", False),
    "credit_end_steps": (_set("line.credit_steps", 320), _get("line.credit_steps"), 320 - BOOKED),
    "bridge_end_steps": (bridge, _get("line.bridge.left_steps"), 640 - BOOKED),
    "bridge_old": (bridge, _get("line.bridge.old"), 500),
    "bridge_new": (bridge, _get("line.bridge.new"), 1_000),
    "drawn_from_steps": (_set("line.drawn_from_steps", POSITION), lambda pump: pump.found_from, POSITION),
    "least_steps": plain("line.least_steps", POSITION - 99),
    "drug_started": plain("regimen.changes.started_tick", 77),
    "dose_changed": plain("regimen.changes.changed_tick", 88),
    "bounds_accepted": plain("regimen.changes.accepted", 5),
    "bolus_nl_0": bolus(0),
    "bolus_nl_1": bolus(1),
    "lockout_end_tick": (lockout, lambda pump: (pump.lockout.ended, pump.lockout.end_tick), (True, 12_345)),
    "occlusion_nl_kpa": (occluded, lambda pump: pump.senses.down.compliance_nl_kpa(), 3),
    "occlusion_base_16": (occluded, lambda pump: pump.senses.down.base_16, 1_600),
}

WITH_OTHERS = {
    # What goes with every step or tick, or with a record of its own, need not make one by itself.
    "rotor_pulses": plain("senses.motion.pulses", 4_321),
    "denials": (
        lambda pump: [pump.lockout.deny(pump.clock.tick) for _ in range(3)],
        lambda pump: (pump.lockout.denied_count, pump.lockout.denied_in_last_day(pump.clock.tick)),
        (3, 3),
    ),
    "grants": (
        lambda pump: pump.lockout.grant(pump.clock.tick),
        lambda pump: (pump.lockout.count, pump.lockout.in_last_day(pump.clock.tick)),
        (1, 1),
    ),
    "dose_steps": (_set("position.dose_steps", POSITION), _get("position.dose_steps"), POSITION + BOOKED),
}

ELSEWHERE = {
    **dict.fromkeys(("tick", "executed_steps", "reserved_steps"), "each step of test_pump_power_cuts.py"),
    **dict.fromkeys(("boot_tick_0", "boot_tick_2", "boot_tick_3"), "with boot_tick_1"),
    **dict.fromkeys(("strike_alarm", "strike_before_tick"), "with strike_tick"),
    **dict.fromkeys(("bolus_from_steps_0", "bolus_from_steps_1"), "with bolus_nl_0 and 1"),
    "grant_tick": "test_journal_law.py",
    **dict.fromkeys(
        ("mark_steps", "mark_before_steps", "mark_behind_steps", "mark_by_table"), "test_kept_phase.py"
    ),
    "keys_serial": "test_keyring.py",
    **dict.fromkeys(("therapy_serial", "library_serial", "drug_serial"), "test_persistence.py"),
    **dict.fromkeys(
        ("calibration_serial", "nl_per_rev", "steps_per_rev", "pulses_per_rev"), "test_rigging.py"
    ),
    **dict.fromkeys(
        (
            "rescales",
            "rescale_num",
            "rescale_den",
            "rescale_dose_steps",
            "rescale_open_steps",
            "rescale_sequence",
        ),
        "test_journal_law.py",
    ),
}


def aged_desk() -> PumpOnBench:
    """Idle and stopped at POSITION, with everything written."""
    desk = PumpOnBench()
    desk.program()
    desk.run(40)
    pump = desk.pump
    for name in ("executed_steps", "entered_steps", "base_steps"):
        setattr(pump.position, name, POSITION)
    pump.guard.rest(POSITION)
    pump.critical.words.keep_all()
    desk.run(40)
    return desk


def cut(desk: PumpOnBench, change: Callable[[Any], None]) -> Any:
    """The pump after `change` and a cut, as it is before its first tick, but for what that tells."""
    desk.pump.critical.before_change()
    change(desk.pump)
    desk.pump.critical.settle()
    desk.run(4)
    desk.bench.power_cut(1)
    pump = desk.bench.pump
    pump.desk = desk
    pump.found_from = pump.line.drawn_from_steps
    pump.control.state = pump.control.found_state
    return pump


@pytest.mark.req("REC-01")
@pytest.mark.parametrize("name", KEPT)
def test_what_changes_alone_is_written_at_once_and_found_after_a_cut(name):
    change, get, wanted = KEPT[name]
    desk = aged_desk()
    virgin = get_or_none(get, desk)
    pump = cut(desk, change)
    if name.startswith(("bolus", "resets")):
        pump.control.state = states.BOOT
        desk.run(20)
    assert get(pump) == wanted
    assert virgin != wanted, "it would have been so anyway"


def get_or_none(get: Callable[[Any], Any], desk: PumpOnBench) -> Any:
    desk.pump.desk = desk
    desk.pump.found_from = desk.pump.line.drawn_from_steps
    try:
        return get(desk.pump)
    except AttributeError:
        return None  # no bridge


@pytest.mark.req("REC-01")
@pytest.mark.parametrize("name", WITH_OTHERS)
def test_what_is_written_with_others_is_found_after_a_cut(name):
    change, get, wanted = WITH_OTHERS[name]
    desk = aged_desk()

    def both(pump: Any) -> None:
        change(pump)
        pump.alarms.set(alarms.AIR)

    assert get(cut(desk, both)) == wanted


@pytest.mark.req("REC-01")
def test_every_field_is_tested_or_it_is_said_where():
    filled = set(layout.FIELDS)
    assert filled == set(KEPT) | set(WITH_OTHERS) | set(ELSEWHERE)
    assert not (set(KEPT) | set(WITH_OTHERS)) & set(ELSEWHERE)
    assert len(alarms.ALARMS) <= 30, "a bit for each in one small integer"


@pytest.mark.req("ALM-06", "REC-01")
def test_a_reset_makes_no_strike_of_an_alarm_that_stood_before_the_last_start():
    """MAX_DOSE stood when the pump was started: no stop that follows is because of it."""
    desk = aged_desk()

    def stood(pump: Any) -> None:
        alarm(pump)
        pump.alarms.raised_bits = pump.alarms.stopped_bits = 0

    pump = cut(desk, stood)
    assert standing(pump) == [True] * 3
    assert pump.alarms.raised_bits == pump.alarms.stopped_bits == 0


DRUG = {
    "mode": "continuous",
    "drug": "morphine",
    "concentration_pg_nl": 10_000,
    "rate_num": 100_000,
    "rate_den": 1,
}


@pytest.mark.req("REC-05", "DOSE-10")
def test_a_drug_in_the_line_that_can_not_be_named_any_more_is_a_fault_and_no_other_drug_follows_it():
    desk = PumpOnBench()
    desk.confirm(DRUG)
    desk.run(60)
    assert desk.ask("start")["ok"]
    desk.run(30)
    desk.ask("stop")
    desk.confirm({"mode": "minimum"})
    desk.run(60)
    journal = desk.pump.persistence.journal
    serial = journal.words[layout.DRUG_SERIAL]
    assert 0 < serial < journal.words[layout.SERIALS[layout.THERAPY]], "another therapy is in force"
    start = journal.slots._start(layout.THERAPY, journal.slots.serials[layout.THERAPY].index(serial))
    desk.bench.flash.image[start + 40] ^= 0xFF
    desk.reset()
    assert desk.pump.alarms.standing[alarms.JOURNAL_FAULT]
    assert desk.pump.regimen.prescription.mode == "minimum" and desk.pump.line.drug == "?"


@pytest.mark.req("REC-01", "LIM-03", "LIM-13")
def test_wherever_a_cut_comes_the_unit_of_what_was_given_is_that_of_the_therapy_in_force():
    """100 uL of 10 mg/mL are 50 of 20 mg/mL. The power goes so many ticks after the confirmation."""
    found = set()
    for ticks in range(24):
        desk = PumpOnBench()
        desk.confirm({**DRUG, "rate_num": 6_000_000})
        desk.run(60)
        assert desk.ask("start")["ok"]
        desk.run(600)
        desk.ask("stop")
        desk.run(5)
        given = desk.pump.ledger.content_steps()
        assert desk.ask("confirm", digest=desk.ask("new_line")["digest"])["ok"]
        proposal = desk.ask("program", therapy={**DRUG, "rate_num": 6_000_000, "concentration_pg_nl": 20_000})
        accept = proposal["readback"].get("soft", [])
        desk.client.request("confirm", digest=proposal["digest"], accept=accept)
        desk.run(ticks)
        desk.bench.power_cut(1)
        pump = desk.bench.pump
        concentration = pump.regimen.prescription.concentration[0]
        found.add(concentration)
        least = given if concentration == 10_000 else given // 2
        assert least <= pump.ledger.content_steps() <= least + 2 * BOOKED + 2, ticks
    assert found == {10_000, 20_000}
