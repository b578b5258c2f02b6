"""PERF-05, REC-01: the phase of the rotor over a loss of power in any flash command.

A pump with a head's table finds its mark, stops, and goes on so slowly that the next one is half an hour
away. After each cut the truth, which only the bench knows, lies where the pump says that its mark was; and
where little enough was booked, the pump knows its phase at once and evens out before any mark has come.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from head_tables import rig_with, tables
from hypothesis import given
from hypothesis import strategies as st
from pump_on_bench import SIX_ML_H, PumpOnBench
from test_pump_power_cuts import CutFlash, a_cut
from thecal import states
from thecal.dose.head import Head
from thecal.record.layout import place_of
from thecal.recount import recount
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.displacement import table_of
from thecal_bench.flash_model import WAYS, FlashModel, PowerCut
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench

SINE = PlantParameters(pulsation_percent=Fraction(40))
PER_REV = REFERENCE.steps_per_rev
START = PER_REV - 30  # before the mark
FIND_NL_H, SLOW_NL_H = 500_000, 200_000
TICK_NS = 100_000_000


class Desk(PumpOnBench):
    """On a flash that fails, before the mark. `known` is what was found at each boot."""

    bench: EdgeBench

    def __init__(self, cut: tuple[int, str, int] | None = None) -> None:
        rig = rig_with(table_of(SINE, REFERENCE))
        self.flash = CutFlash.blank(rig)
        if cut:
            self.flash.cut_at, self.flash.way, self.flash.seed = cut
        self.known: list[bool] = []
        self.plant = Plant(SINE, rig=rig, angle_steps=START)
        super().__init__(self.plant, self.flash)

    def board(self, plant: Plant | None, flash: FlashModel | None) -> EdgeBench:
        return EdgeBench(plant, flash=flash, lateness_us=self.flash.stall_us)

    @property
    def head(self) -> Head:
        return self.pump.position.head

    def run(self, ticks: int) -> None:
        end = self.bench.tick + ticks
        while self.bench.tick < end:
            try:
                self.bench.advance_to_tick(self.bench.tick + 1)
            except PowerCut:
                self.flash.power_on(self.bench.tick)
                self.bench.reset()
                self.look()

    def look(self) -> None:
        """A pump that has just booted, its motor at rest."""
        counted = self.pump.position.counted_steps
        since = (START + self.bench.motor.executed_steps(self.bench._at_cycles)) % PER_REV
        self.known.append(self.head.known(counted))
        if self.head.marked:
            assert self.head.low <= counted - since <= self.head.high

    def answer(self, cmd: str, **arguments) -> dict | None:
        """None where it was lost."""
        number = self.client.request(cmd, **arguments)
        for _ in range(60):
            self.run(1)
            reply = self.client.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        return None

    def obey(self, cmd: str) -> None:
        """Until it is answered."""
        while self.answer(cmd) is None:
            pass

    def program(self, **therapy) -> None:
        """Until it is confirmed."""
        confirmed = None
        while not confirmed or not confirmed["ok"]:
            proposal = self.answer("program", therapy={**SIX_ML_H, **therapy})
            if proposal and proposal["ok"]:
                accept = proposal["readback"].get("soft", [])
                confirmed = self.answer("confirm", digest=proposal["digest"], accept=accept)

    def find_mark(self) -> None:
        self.program(rate_num=FIND_NL_H)
        self.obey("start")
        self.run(250)
        self.obey("stop")
        self.program(rate_num=SLOW_NL_H)

    def follow_script(self) -> None:
        self.find_mark()
        for _ in range(3):
            self.obey("start")
            self.run(700)
            self.obey("stop")
            self.run(10)


@pytest.mark.req("PERF-05", "REC-01")
@given(tables(), st.booleans(), st.integers(0, 8), st.integers(0, 3_200), st.data())
def test_the_mark_lies_where_it_was_whatever_of_what_was_booked_was_made(table, follows, width, way, data):
    """Of any table, by it and not, however wide the mark was known and however much was booked."""
    head = Head(PER_REV, 3, table)
    head.marked, head.agreed = True, 1
    head.low, head.high = 1_000, 1_000 + width
    mark = data.draw(st.integers(head.low, head.high))
    begun = head.high + data.draw(st.integers(0, 500))
    head.shift = data.draw(st.integers(-50, 50))
    assert head.follow(begun, follows, head.volume_at(begun)) == follows
    counted = begun + way
    volume = head.volume_at(counted)
    behind = head.behind_steps if follows else 0
    volume += data.draw(st.integers(-behind, behind))
    written = volume - data.draw(st.integers(0, 20))
    booked = volume + data.draw(st.integers(0, 20))
    after = Head(PER_REV, 3, table)
    before = head.mark_before_steps()
    after.resume(booked, booked - written, head.mark_steps(), before, width - before, head.compensates)
    assert after.low <= booked - (counted - mark) <= after.high
    if not follows:
        assert after.high - after.low == width + booked - written


@pytest.fixture(scope="module")
def commands() -> int:
    """Of the flash, in the script without a cut."""
    desk = Desk()
    desk.follow_script()
    return desk.flash.commands


@pytest.mark.req("PERF-05", "REC-01", "REC-02")
@pytest.mark.parametrize("seed", range(20))
def test_after_a_cut_in_any_flash_command_the_mark_was_where_the_pump_says(commands, seed):
    desk = Desk(a_cut(commands, seed))
    desk.follow_script()
    assert len(desk.known) == 1


@pytest.mark.long
@pytest.mark.req("PERF-05", "REC-01", "REC-02")
def test_after_a_cut_in_every_flash_command_the_mark_was_where_the_pump_says(commands):
    known = []
    for number in range(commands):
        for way in ("before", *WAYS, "after"):
            desk = Desk((number, way, number))
            desk.follow_script()
            known += desk.known
    assert 0.5 < sum(known) / len(known) < 1


@pytest.mark.req("PERF-05", "REC-01")
@pytest.mark.parametrize(("finds", "rests"), [(True, False), (True, True), (False, False)])
def test_a_pump_that_lost_power_evens_out_again_before_its_next_mark(finds, rests):
    """Whether it was found in an earlier run, ran or stood still then."""
    desk = Desk()
    if finds:
        desk.find_mark()
    else:
        desk.program(rate_num=SLOW_NL_H)
    desk.obey("start")
    desk.run(400)
    if rests:
        desk.obey("stop")
        desk.run(10)
    marks = desk.plant.index_count
    assert marks == 1
    desk.bench.reset()
    desk.look()
    desk.run(BOOT_TICKS + 10)
    if rests:
        desk.obey("start")
    desk.run(20)
    assert desk.pump.control.state == states.RUNNING and desk.head.compensates
    assert desk.plant.index_count == marks


@pytest.mark.req("PERF-05", "OCC-05")
@pytest.mark.parametrize("ticks", [1, 2, 4, 7, 11, 16])
def test_nothing_is_known_of_what_was_drawn_back(ticks):
    """It is booked when it is made, so after a cut the pump may take the line for fuller than it is."""
    desk = Desk()
    desk.find_mark()
    desk.obey("start")
    desk.plant.occlude("downstream", desk.tick * TICK_NS)
    while desk.pump.control.state != states.HALTED:
        desk.run(1)
    desk.run(10)
    assert desk.head.known(desk.pump.position.counted_steps)
    desk.client.request("acknowledge")
    desk.run(ticks)
    desk.bench.reset()
    desk.look()
    assert desk.known == [False]


@pytest.mark.req("PERF-05", "RIG-02")
def test_another_rig_does_not_know_the_phase():
    desk = Desk()
    desk.find_mark()
    desk.run(20)
    found = desk.pump.persistence.journal
    mark = place_of("mark_steps")
    assert found.words[mark] >= 0
    again = rig_with(table_of(SINE, REFERENCE))
    for number in (0, 1):
        again.serial = found.rig_number + number
        recount(found, again)
        assert (found.words[mark] >= 0) == (number == 0)


@pytest.mark.req("PERF-05", "REC-01")
def test_a_mark_that_came_by_hand_is_kept_too():
    desk = Desk()
    desk.find_mark()
    desk.run(20)
    counted = desk.pump.position.counted_steps
    assert desk.head.high < counted - 50
    desk.plant.index_count += 1
    desk.pump.senses.motion.seen_index += 1  # an alarm would have all written down
    desk.run(20)
    assert desk.pump.alarms.bits == 0
    desk.bench.reset()
    assert desk.head.high - desk.head.low < 20
    assert desk.head.low <= desk.pump.position.counted_steps <= desk.head.high
