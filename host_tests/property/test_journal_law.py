"""Laws of the memory that need no cut: the quantum, the last day's doses, and bits that flip."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pump_on_flash import LOG_CAPACITY, ML_H, SECTOR_BYTES, UL_H, Device, World, is_fault
from pump_on_flash import SECTORS as SMALL_SECTORS
from small_ints import SmallInt
from thecal.record import journal as jn
from thecal.record import layout
from thecal.record.events import RECORD_BYTES
from thecal.record.ledger import Ledger
from thecal_bench.flash_model import FlashModel, crc_into
from thecal_model.rig import reference

HEAD = reference().mechanism()
STEPS_PER_UL = 32


@pytest.mark.req("REC-02")
@given(rate_nl_h=st.integers(2_000, 120_000_000), most=st.integers(1, 5_000))
def test_the_quantum_is_a_minute_or_a_microlitre_but_two_seconds_at_least(rate_nl_h, most):
    ledger = Ledger(jn.Journal(crc_into), SmallInt(most))
    rate_steps, rate_grains = HEAD.grains_per_tick(rate_nl_h, 1)
    ledger.set_flow(SmallInt(rate_steps), SmallInt(rate_grains), SmallInt(HEAD.grains_per_step))
    a_tick = Fraction(rate_nl_h * HEAD.steps_per_rev, HEAD.nl_per_rev * 36_000)
    assert ledger.quantum_steps == max(min(floor(600 * a_tick), most), ceil(20 * a_tick), 1)
    # A reservation that was asked for in time is booked before the orders come to its end, and leaves room.
    assert 14 * a_tick - 1 < ledger.lead_steps <= 14 * a_tick < ledger.quantum_steps


class FullDevice(Device):
    """With the layout of the board."""

    ring_sectors = layout.RING_SECTORS
    slots = layout.SLOTS


@pytest.mark.req("MOT-05", "REC-06")
def test_a_flood_of_events_makes_no_step_late():
    """An event in each tick at the fastest flow: the device raises as soon as the motor finds no order."""
    device = Device(FlashModel(SMALL_SECTORS, SECTOR_BYTES), World(), [])
    for tick in range(3_000):
        device.tick((("events", 1),) + ((("flow", 120 * ML_H),) if tick == 60 else ()))
    erased = [command.offset for command in device.commands or () if command.kind == layout.ERASE]
    assert len([offset for offset in erased if offset < device.journal.parts[layout.HISTORY].ring.start]) > 10
    assert device.journal.events.cursor > device.journal.log_count - 8
    assert device.world.steps > 2_900 * 106


SECTORS = sum(layout.RING_SECTORS) + sum(count * each for count, each in layout.SLOTS)


@pytest.mark.req("REC-01")
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_the_last_day_is_remembered_over_any_boots(seed):
    """Some 60 hours, so that the ring of the history turns over, with boots now and then."""
    chance = random.Random(seed)
    flash, world = FlashModel(SECTORS), World()
    device = FullDevice(flash, world)
    journal = device.journal
    doses: list[tuple[int, int]] = []  # (tick, steps), on the device's scale
    dose = executed = tick = 0

    def turn() -> None:
        journal.heard(device.done, device.ok)
        journal.order(True)
        if journal.command.kind != layout.NOTHING:
            device._obey()
        else:
            device.done = False

    for _ in range(10):
        turn()
    for _ in range(3_600):
        tick += chance.choice((600, 600, 600, 1, 37, 1_800))
        steps = chance.choice((0, 1, 2, 5, 1_000))
        executed += steps
        dose += steps
        if steps:
            doses.append((tick, steps))
        device.ledger.step(tick, executed, executed, dose, chance.random() < 0.5)
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            turn()
        if chance.random() < 0.004:
            while (
                journal.history_writer.minute_pending
                or journal.state.ledger_ticket != journal.state.ledgered_ticket
            ):
                turn()
            device = FullDevice(flash, world)
            journal = device.journal
            lost = journal.words[layout.EXECUTED] - executed
            assert lost >= 0
            # The device's time goes on from where the journal left it, as in `Persistence.restore`.
            tick = journal.words[layout.TICK]
            doses = [(min(at, tick), steps) for at, steps in doses]
            if lost:
                doses.append((tick, lost))
            executed = dose = journal.words[layout.EXECUTED]
            for _ in range(10):
                turn()
    while (
        journal.history_writer.minute_pending or journal.state.ledger_ticket != journal.state.ledgered_ticket
    ):
        turn()
    minutes = FullDevice(flash, world).history.minutes
    held = 0
    for age in range(0, layout.DAY_MINUTES):
        held += minutes[age]
        given_steps = sum(steps for at, steps in doses if at > tick - 600 * age)
        assert held >= given_steps
    # And not more than a day and what the records were late.
    most = sum(steps for at, steps in doses if at > tick - 600 * (layout.DAY_MINUTES + 60))
    assert held <= most + device.quantum


def busy_device() -> Device:
    flash, world = FlashModel(SECTORS), World()
    device = FullDevice(flash, world, [])
    for tick in range(2_500):
        actions: list[tuple] = []
        if tick in (10, 900):
            actions.append(("blob", layout.THERAPY, random.Random(tick).randbytes(400)))
        if tick in (100, 1_400):
            actions.append(("flow", 60 * ML_H if tick == 100 else 100 * UL_H))
        if tick % 200 == 50:
            actions += [("bolus", tick), ("events", 3)]
        device.tick(tuple(actions))
    return device


BUSY = busy_device()
USED = [index for index, byte in enumerate(BUSY.flash.image) if byte != 0xFF]
NEWEST_SNAPSHOT = max(
    (
        at
        for at in range(0, layout.RING_SECTORS[layout.STATE] * SECTOR_BYTES, layout.UNIT)
        if tuple(BUSY.flash.image[at : at + 3])
        == (layout.SNAPSHOT, layout.KINDS[layout.SNAPSHOT][0], layout.STATE)
    ),
    key=lambda at: struct.unpack_from(layout.HEAD, BUSY.flash.image, at)[4],
)


def ledger_of(fields: tuple[int, ...]) -> tuple[int, ...]:
    return fields[: layout.LEDGER_FIELDS]


def others_of(fields: tuple[int, ...]) -> tuple[int, ...]:
    """All but the ledger's and the grants', each of which has a record of its own."""
    others = list(fields)
    del others[max(layout.GRANTS, layout.GRANT_TICK)], others[min(layout.GRANTS, layout.GRANT_TICK)]
    return tuple(others[layout.LEDGER_FIELDS :])


@pytest.mark.req("REC-05")
@settings(deadline=None)
@given(flips=st.lists(st.tuples(st.sampled_from(USED), st.integers(0, 7)), min_size=1, max_size=3))
@example(flips=[(NEWEST_SNAPSHOT, 0)])  # the one before it is older than the last grant
def test_a_flipped_bit_costs_a_record_at_most_and_is_never_believed(flips):
    assert BUSY.commands is not None
    booked = {command.after for command in BUSY.commands} | {command.before for command in BUSY.commands}
    image = bytearray(BUSY.flash.image)
    for at, bit in flips:
        image[at] ^= 1 << bit
    journal = jn.Journal(crc_into, bytearray(RECORD_BYTES * LOG_CAPACITY), LOG_CAPACITY, is_fault)
    journal.recover(image)
    assert journal.status == layout.SOUND
    recovered = tuple(journal.words)
    if bytes(image) == bytes(BUSY.flash.image):
        assert recovered == BUSY.booked
    # Ledger fields and the rest may be of different ages if a snapshot was hit, but both were booked. Boluses
    # that the history has count in any case.
    assert ledger_of(recovered) in {ledger_of(fields) for fields in booked if fields}
    assert others_of(recovered) in {others_of(fields) for fields in booked if fields}
    grants = BUSY.world.grants
    assert recovered[layout.GRANTS] <= len(grants)
    assert recovered[layout.GRANT_TICK] == grants[recovered[layout.GRANTS] - 1]
    for number, at in enumerate(journal.events.kept(0)):
        assert bytes(image[at : at + RECORD_BYTES]) in BUSY.world.events.values(), number
