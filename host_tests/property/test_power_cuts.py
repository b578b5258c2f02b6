"""The power fails before, during and after every flash command, and again during the recovery from that.

The workload of `SCRIPT` programs, primes nothing, runs basals from 5 uL/h to 60 mL/h, gives boluses, refills,
changes the unit of the dose, floods the log; it turns every ring over but the history's. Whatever is cut: the
recovered state is the one before the command or the one after it, the position is never below what was
delivered and above it by at most one quantum, no window holds less than was given in it, no grant, no event
that was booked and nothing programmed is lost.
"""

from __future__ import annotations

import random

import pytest
from pump_on_flash import (
    FAULTS,
    LOG_CAPACITY,
    ML_H,
    SECTOR_BYTES,
    SECTORS,
    UL_H,
    Command,
    Device,
    World,
)
from thecal.record import journal as jn
from thecal.record import layout
from thecal.record.events import RECORD_BYTES
from thecal.record.ledger import Ledger
from thecal_bench.flash_model import WAYS, FlashModel


def text(number: int, length: int) -> bytes:
    return random.Random(number).randbytes(length)


def script() -> dict[int, list[tuple]]:
    """What happens in which tick."""
    events: dict[int, list[tuple]] = {}

    def at(tick: int, *action) -> None:
        events.setdefault(tick, []).append(action)

    at(3, "blob", layout.CALIBRATION, text(1, 60))
    at(20, "blob", layout.LIBRARY, text(2, 1_500))
    at(60, "blob", layout.THERAPY, text(3, 300))
    at(80, "refill", 40_000_000)
    at(100, "flow", 60 * ML_H)
    for number in range(60):
        start = 200 + 150 * number
        at(start, "bolus", 10_000 + number)
        at(start, "flow", (60 if number % 2 else 90) * ML_H)
        at(start + 60, "bolus_end")
        at(start + 60, "flow", (60, 1, 7, 30)[number % 4] * ML_H)
        if number % 3 == 0:
            at(start + 31, "denied")
        if number % 5 == 0:
            at(start + 90, "fault", number // 5)
        if number % 7 == 0:
            at(start + 93, "blob", layout.THERAPY, text(10 + number, 250 + 10 * number))
        if number % 4 == 2:
            at(start + 120, "events", 25)
        if number in (20, 45):
            at(start + 70, "rescale", 10_000, 7_003)
    at(9_300, "refill", 20_000_000)
    at(9_350, "blob", layout.LIBRARY, text(4, 2_000))
    at(9_400, "flow", 0)
    at(9_500, "flow", 5 * UL_H)
    for number in range(25):
        at(9_700 + 1_200 * number, "denied")
        at(9_750 + 1_200 * number, "bolus", number)
        at(9_750 + 1_200 * number, "flow", 1_000 * UL_H)
        at(9_800 + 1_200 * number, "bolus_end")
        at(9_800 + 1_200 * number, "flow", (5, 100, 300)[number % 3] * UL_H)
    return events


SCRIPT = script()
SCRIPT_TICKS = 9_500 + 1_200 * 25


def run_script(device: Device, ticks: int = SCRIPT_TICKS) -> None:
    while device.world.tick < ticks:
        actions: list[tuple] = []
        # An erase takes several ticks, whose actions come with the next.
        for tick in range(device.acted_tick + 1, device.tick_now + 1):
            actions += SCRIPT.get(tick, ())
        device.acted_tick = device.tick_now
        device.tick(tuple(actions))


class Workload:
    """The script without a cut: its commands, and the truth."""

    def __init__(self, device_class: type[Device] = Device, ticks: int = SCRIPT_TICKS) -> None:
        self.commands: list[Command] = []
        self.world = World()
        self.flash = FlashModel(SECTORS, SECTOR_BYTES)
        self.device = device_class(self.flash, self.world, self.commands)
        run_script(self.device, ticks)


def do(flash: FlashModel, command: Command) -> None:
    if command.kind == layout.PROGRAM:
        flash.program(command.offset, command.data)
    else:
        flash.erase(command.offset)


def cut(flash: FlashModel, command: Command, way: str, seed: int) -> None:
    if command.kind == layout.PROGRAM:
        flash.cut_program(command.offset, command.data, way, seed)
    else:
        flash.cut_erase(command.offset, way, seed)


def world_at(world: World, command: Command) -> World:
    """The truth when the command was cut, at its latest."""
    moved = world.moved_steps[: command.moves]
    return World(
        command.tick,
        moved[-1] if moved else 0,
        world.moved_ticks[: command.moves],
        moved,
        list(world.ratios),
        list(world.grants),
        dict(world.blobs),
        dict(world.events),
    )


def check_recovered(device: Device, world: World, command: Command, earlier: Command | None = None) -> None:
    """The laws, on a device that has just booted after a cut in `command`, and in `earlier` before that."""
    journal = device.journal
    recovered = device.recovered
    if command.before is None:
        assert recovered == (command.after if journal.status == layout.SOUND else blank_words())
    else:
        assert journal.status == layout.SOUND
        assert recovered in (command.before, command.after), different(recovered, command)
    reserved = recovered[layout.RESERVED]
    assert command.moving_to <= reserved <= command.executed + command.quantum
    history = device.history
    granted = recovered[layout.GRANTS]
    assert history.granted == granted
    for number in range(max(0, granted - layout.MOST_GRANTS), granted):
        assert history.grants[number % layout.MOST_GRANTS] == world.grants[number]
    check_windows(device, device.world, command)
    check_log(device, world, command, earlier)
    for kind in range(3):
        serial = recovered[layout.SERIALS[kind]]
        if serial:
            assert bytes(journal.slots.read(kind, serial) or b"") == world.blobs[kind, serial]


def blank_words() -> tuple[int, ...]:
    return tuple(jn.Journal().words)


def different(recovered: tuple[int, ...], command: Command) -> str:
    assert command.before and command.after
    return ", ".join(
        f"{name}: {got}, was {before} then {after}"
        for name, got, before, after in zip(
            layout.FIELDS, recovered, command.before, command.after, strict=True
        )
        if got not in (before, after)
    )


def check_windows(device: Device, world: World, command: Command) -> None:
    ratios = device.recovered[layout.RESCALES]
    held = 0
    for age in range(min(len(device.history.minutes), command.tick // 600 + 2)):
        held += device.history.minutes[age]
        truth = world.given(command.tick - 600 * age, ratios)
        assert held >= truth, f"the last {age} minutes hold {held}, {truth} were given"
    if not ratios:
        assert sum(device.history.minutes) == device.recovered[layout.RESERVED]


def check_log(device: Device, world: World, command: Command, earlier: Command | None) -> None:
    count = device.recovered_events
    # Up to seven events are written at a time, and each of them may be lost. What was cut the first time may
    # still read either way.
    unsure = set(range(command.events_booked, command.events))
    if earlier:
        unsure |= set(range(earlier.events_booked, earlier.events))
    sure = command.events_booked
    while sure - 1 in unsure:
        sure -= 1
    assert sure <= count <= command.events
    for number in range(max(0, count - LOG_CAPACITY), count):
        at = number % LOG_CAPACITY * RECORD_BYTES
        booted = device.log[at : at + RECORD_BYTES] != world.events[number]
        assert not booted or number in unsure or number + LOG_CAPACITY == count  # where the boot's event is


def check_faults(device: Device, world: World, count: int) -> None:
    """Of the events up to `count`, the last faults all stand in the ring of faults too."""
    journal = device.journal
    faults = [event for n, event in sorted(world.events.items()) if n < count and event[10] in FAULTS][-30:]
    image = device.flash.image
    if faults:
        first = int.from_bytes(faults[0][:4], "little")
        kept = [bytes(image[at : at + RECORD_BYTES]) for at in journal.faults.kept(first)]
        assert kept[: len(faults)] == faults


def go_on(device: Device, ticks: int = 12) -> None:
    """After a boot: the motor runs again as soon as the boot is booked; until all is written."""
    started = False
    journal = device.journal
    for number in range(100):
        actions: tuple = ()
        if journal.state.started and not started:
            started = True
            actions = (("flow", 30 * ML_H),)
        device.tick(actions)
        if number >= ticks and all(
            stream.cursor == journal.log_count for stream in (journal.events, journal.faults)
        ):
            return
    raise AssertionError("the log is not written within 10 s of a boot")


def found_again(device: Device) -> jn.Journal:
    """What another boot would find."""
    journal = device.new_journal(bytearray(RECORD_BYTES * LOG_CAPACITY))
    journal.recover(bytes(device.flash.image))
    return journal


def check_again(device: Device) -> None:
    """What is booked is what another boot would find."""
    journal = found_again(device)
    assert tuple(journal.words) == device.booked
    assert device.world.steps + device.over == device.executed <= journal.words[layout.RESERVED]


def survives(device: Device, command: Command) -> None:
    """What a device that has booted after a cut must still be able to do."""
    go_on(device)
    check_again(device)
    check_faults(device, device.world, command.events_booked)


def every_cut(flash: FlashModel, commands: list[Command], chosen, then) -> int:
    """Cut in every command of those that begin on `flash` which `chosen` (of its number) takes, in every way;
    hand each broken flash to `then`. Returns the number of cuts.
    """
    flash = flash.fork()
    cuts = 0
    for number, command in enumerate(commands):
        if chosen(number):
            for way in ("", *WAYS):
                broken = flash.fork()
                if way:
                    cut(broken, command, way, 10 * number)
                broken.power_on(number)
                then(broken, command)
                cuts += 1
        do(flash, command)
    return cuts


def cut_once(workload: Workload, chosen, device_class: type[Device] = Device) -> int:
    """Every cut, and what comes after it."""

    def boot(broken: FlashModel, command: Command) -> None:
        device = device_class(broken, world_at(workload.world, command))
        check_recovered(device, device.world, command)
        survives(device, command)

    return every_cut(FlashModel(SECTORS, SECTOR_BYTES), workload.commands, chosen, boot)


def cut_twice(workload: Workload, chosen, device_class: type[Device] = Device) -> int:
    """Every cut, and every cut of what the device writes after it until it runs and its log is written."""
    cuts = 0

    def boot(broken: FlashModel, first: Command) -> None:
        nonlocal cuts
        commands: list[Command] = []
        device = device_class(broken.fork(), world_at(workload.world, first), commands)
        check_recovered(device, device.world, first)
        go_on(device)
        cuts += every_cut(
            broken,
            commands,
            lambda number: True,
            lambda again, second: boot_again(again, device, first, second),
        )

    def boot_again(again: FlashModel, device: Device, first: Command, second: Command) -> None:
        world = world_at(workload.world, first)
        last = device_class(again, world)
        if second.before == device.recovered and last.recovered in (first.before, first.after):
            # Nothing had been booked yet, so a record that was half written may still read either way.
            check_recovered(last, world, first)
            return
        last.world = world_at(device.world, second)
        check_recovered(last, last.world, second, first)

    every_cut(FlashModel(SECTORS, SECTOR_BYTES), workload.commands, chosen, boot)
    return cuts


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload()


def test_the_workload_is_what_it_claims_to_be(workload):
    journal = workload.device.journal
    assert len(workload.commands) >= 2_000
    state, history, events, faults = (part.ring.sectors for part in journal.parts[: layout.FAULTS + 1])
    erases = workload.flash.erases
    assert min(erases[:state]) >= 10
    assert min(erases[state + history : state + history + events]) >= 2  # the log wraps around
    assert min(erases[state + history + events : state + history + events + faults]) >= 1
    assert {kind for kind, serial in workload.world.blobs} == {0, 1, 2}
    assert journal.torn == journal.failures == 0


@pytest.mark.req("REC-01", "REC-02", "REC-05")
def test_a_cut_recovers_to_the_state_before_or_after(workload, capsys, measured):
    """A seeded tenth of all commands."""
    chance = random.Random(5)
    chosen = {chance.randrange(len(workload.commands)) for _ in range(len(workload.commands) // 10)}
    cuts = cut_once(workload, chosen.__contains__)
    measured(cuts)
    with capsys.disabled():
        print(f"\n{cuts} cut points, in {len(chosen)} of {len(workload.commands)} commands")


@pytest.mark.long
@pytest.mark.req("REC-01", "REC-02", "REC-05")
def test_every_cut_recovers_to_the_state_before_or_after(workload, capsys):
    cuts = cut_once(workload, lambda number: True)
    with capsys.disabled():
        print(f"\n{cuts} cut points, in all of {len(workload.commands)} commands")


@pytest.mark.req("REC-01", "REC-02", "REC-05")
def test_a_second_cut_while_it_recovers_changes_nothing(workload, capsys, measured):
    """A seeded sample of the first cuts, with all second ones."""
    chance = random.Random(6)
    chosen = {chance.randrange(len(workload.commands)) for _ in range(40)}
    cuts = cut_twice(workload, chosen.__contains__)
    measured(cuts)
    with capsys.disabled():
        print(f"\n{cuts} pairs of cut points, the first in {len(chosen)} commands")


SHARDS = 8


@pytest.mark.long
@pytest.mark.req("REC-01", "REC-02", "REC-05")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_second_cut_while_it_recovers_changes_nothing(workload, capsys, shard):
    cuts = cut_twice(workload, lambda number: number % SHARDS == shard)
    with capsys.disabled():
        print(f"\n{cuts} pairs of cut points, the first in every {SHARDS}th of the commands")


# --- the laws catch what they are for


class BookedAfterMotion(Ledger):
    """Writes down what was moved, when it has been."""

    def heard(self):
        self.booked_steps = 1 << 29

    def step(self, tick, executed_steps, ordered_steps, dose_steps, moving):
        if executed_steps >= self.journal.words[layout.RESERVED]:
            super().step(tick, executed_steps, executed_steps, dose_steps, moving)


class UncheckedJournal(jn.Journal):
    """Believes records without their CRC."""

    def __init__(self, *layout_of):
        super().__init__(*layout_of)
        self.region.valid = self._plausible

    def _plausible(self, at, end, number):
        kind, units, ring = self.region.image[at : at + 3]
        plausible = ring == number and 0 < kind < len(layout.KINDS) and units == layout.KINDS[kind][0]
        return units if plausible and at + units * layout.UNIT <= end else 0


class OldestJournal(jn.Journal):
    """Takes the older of two sectors for the newer one."""

    def __init__(self, *layout_of):
        super().__init__(*layout_of)
        for part in (self.state, self.history_writer, self.outcome_writer):
            part.ring.find_head = lambda find=part.ring.find_head: list(reversed(find()))


class TrustingJournal(jn.Journal):
    """Goes on writing where a cut may have left weak bits."""

    kept_at: int

    def recover(self, image):
        recover_state = self.state.recover

        def noting() -> bool:
            found = recover_state()
            self.kept_at = self.state.ring.at
            return found

        self.state.recover = noting
        super().recover(image)
        self.state.ring.at = self.kept_at


class ForgetfulJournal(jn.Journal):
    """Keeps the number of boluses and the last one, and no more."""

    def __init__(self, *layout_of):
        super().__init__(*layout_of)
        grant = self.history_writer.grant

        def forgetting(tick: int) -> int:
            ticket = grant(tick)
            self.history_writer.grant_ticket = 0
            return ticket

        self.history_writer.grant = forgetting


class HastyJournal(jn.Journal):
    """Writes into the history before the snapshot that it belongs to is booked."""

    def __init__(self, *layout_of):
        super().__init__(*layout_of)
        order = self.history_writer.order

        def hasty(erase_allowed: bool) -> bool:
            kept = self.state.saved_ticket
            self.state.saved_ticket = self.state.save_ticket
            ordered = order(erase_allowed)
            self.state.saved_ticket = kept
            return ordered

        self.history_writer.order = hasty

    def order(self, erase_allowed):
        due = self.state.started and self.history_writer.rescale_ticket
        if self.command.kind == layout.NOTHING and due:
            self.history_writer.order(erase_allowed)
        super().order(erase_allowed)


class LenientJournal(jn.Journal):
    """Counts as written what the read-back denies."""

    def heard(self, done, ok):
        super().heard(done, True)


def device_with(**parts) -> type[Device]:
    return type("Faulty", (Device,), parts)


class ShortQueue(Device):
    """Orders three ticks ahead, and says that this covers an erase."""

    ahead_ticks = 3

    def _queue_covers(self) -> bool:
        return True


class AdoptedUnwritten(Device):
    """Puts a therapy in force before it is written."""

    def _confirm(self) -> None:
        journal = self.journal
        if journal.slots.kind >= 0 and journal.slots.at > 0:
            data = self.confirming.pop(0)[1]
            kind = journal.slots.kind
            self.world.blobs[kind, journal.slots.adopt()] = data
            journal.state.save()
        else:
            super()._confirm()


PLANTED = {
    "booked after motion": device_with(ledger_class=BookedAfterMotion),
    "CRC not checked": device_with(journal_class=UncheckedJournal),
    "older of two": device_with(journal_class=OldestJournal),
    "boluses forgotten": device_with(journal_class=ForgetfulJournal),
    "history before snapshot": device_with(journal_class=HastyJournal),
    "erase while the queue is short": ShortQueue,
    "adopted unwritten": AdoptedUnwritten,
}


@pytest.mark.req("REC-01", "REC-02", "REC-05", "MOT-05")
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(fault):
    with pytest.raises(AssertionError):
        workload = Workload(PLANTED[fault], 3_400)
        chance = random.Random(7)
        changes = range(3_270, 3_280)  # of the unit

        def chosen(number: int) -> bool:
            return chance.random() < 0.3 or workload.commands[number].tick in changes

        cut_once(workload, chosen, PLANTED[fault])


@pytest.mark.req("REC-05")
def test_trust_in_a_place_that_a_cut_may_have_hit_is_caught():
    faulty = device_with(journal_class=TrustingJournal)
    workload = Workload(faulty, 1_000)
    with pytest.raises(AssertionError):
        cut_twice(workload, lambda number: number % 3 == 0, faulty)


@pytest.mark.req("REC-02", "REC-05")
def test_a_write_that_the_read_back_denies_books_nothing():
    """The flash spoils a bit of every 7th command, in a place that the CRC covers. Whatever is ordered is
    booked in what another boot would find. A journal that takes the driver's word for it is caught.
    """

    class Spoiling(Device):
        may_starve = True

        def give(self, kind: int, offset: int, data: bytes) -> None:
            if self.world.tick > 100:
                assert found_again(self).words[layout.RESERVED] >= self.ordered
            super().give(kind, offset, data)
            if kind == layout.PROGRAM and self.flash.commands % 7 == 0:
                self.flash.image[offset + 12] ^= 1

    Workload(Spoiling, 1_200)
    with pytest.raises(AssertionError):
        Workload(type("Blind", (Spoiling,), {"journal_class": LenientJournal}), 1_200)
