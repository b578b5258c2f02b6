"""REC-01 to REC-05: the whole pump on a modelled flash, its power failing in any flash command.

`Life` is one pump from its first boot on: it follows a script of programming, basal, boluses, denials, a
refill, a change of concentration and stops, through every cut. What the motor really did is known to the
bench and to no memory of the pump. After each cut the pump that boots must say no less than the truth and at
most a quantum more, be in the state before or after, keep its lockout and its history, and never go on with a
bolus. An erase takes 400 ms here, as at worst on the board, and must starve no motor.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from head_tables import exact_steps, rig_with, tables
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from thecal import states
from thecal.dose import program
from thecal.dose.course import PATIENT
from thecal.persistence import Persistence
from thecal.record.events import CAPACITY, EVENTS
from thecal.record.layout import KINDS
from thecal.record.ledger import QUANTUM_TICKS, Ledger
from thecal.record.region import Region
from thecal.startup import Startup
from thecal.watch.lockout import MOST_A_DAY
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.displacement import table_of
from thecal_bench.flash_model import WAYS, FlashModel, PowerCut
from thecal_bench.inprocess import HostBench
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient

DRUG = {"mode": "continuous", "drug": "hydromorphone", "line_nl": 20_000, "max_rate_nl_h": 60_000_000}
BOLUS = {"volume_nl": 150_000, "rate_num": 30_000_000, "rate_den": 1, "lockout_ms": 60_000, "max_per_day": 3}
LIMIT = {"volume_nl": 3_000_000, "window_ms": 600_000}
FIRST = {**DRUG, "concentration_pg_nl": 1_000, "rate_num": 6_000_000, "rate_den": 1}
SECOND = {**FIRST, "rate_num": 12_000_000, "patient_bolus": BOLUS, "limit": LIMIT}
THIRD = {**SECOND, "concentration_pg_nl": 1_300, "rate_num": 9_000_000}

SINE = PlantParameters(pulsation_percent=Fraction(40))
START = REFERENCE.steps_per_rev - 100  # within the first 20 s

# (ticks to wait, command, arguments)
SCRIPT: list[tuple[int, str, dict[str, Any]]] = [
    (3, "refill", {"volume_nl": 20_000_000}),
    (3, "program", FIRST),
    (3, "start", {}),
    (80, "program", SECOND),
    (30, "patient_bolus", {}),
    (60, "patient_bolus", {}),  # denied: one is running
    (200, "patient_bolus", {}),  # denied: lockout
    (620, "patient_bolus", {}),
    (40, "stop", {}),
    (30, "start", {}),
    (50, "bolus", {"volume_nl": 60_000, "duration_ms": 60_000}),
    (640, "program", THIRD),
    (200, "refill", {"volume_nl": 19_000_000}),
    (300, "patient_bolus", {}),
    (900, "stop", {}),
    (20, "start", {}),
    (1_500, "stop", {}),
]


ERASE_US = 400_000
STARTS = ("patient_bolus_start", "bolus_start")


class CutFlash(FlashModel):
    """The power fails in command `cut_at`, in the given way, or right before or after it."""

    cut_at = -1
    way = "before"
    seed = 0
    erasing = False  # since this was last asked

    def stall_us(self, turn: int) -> int:
        """For how long the loop stood still after its last turn."""
        erased, self.erasing = self.erasing, False
        return ERASE_US if erased else 0

    def power_fails(self) -> None:
        """It has, where `way` says."""

    def program(self, offset: int, data: bytes) -> None:
        if self.commands == self.cut_at:
            self.cut_at = -1
            if self.way in WAYS:
                self.cut_program(offset, data, self.way, self.seed)
            elif self.way == "after":
                super().program(offset, data)
            raise PowerCut
        super().program(offset, data)

    def erase(self, offset: int) -> None:
        self.erasing = True
        if self.commands == self.cut_at:
            self.cut_at = -1
            if self.way in WAYS:
                self.cut_erase(offset, self.way, self.seed)
            elif self.way == "after":
                super().erase(offset)
            raise PowerCut
        super().erase(offset)


class Life:
    """One pump, its script and what is true of it."""

    script = SCRIPT

    def __init__(self, plant: Plant | None = None) -> None:
        self.flash = CutFlash.blank(plant.rig if plant else "reference")
        self.bench = HostBench(plant, flash=self.flash, lateness_us=self.flash.stall_us)
        self.most_tick = 0
        self.boot_events = 0  # events made before the last boot
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.cuts: list[tuple[int, str, int]] = []
        self.grants: list[int] = []
        self.applied = [-1]  # therapies that may be in force
        self.over_steps = 0  # what the pump counts and the motor did not do
        # A lower flow's reservation is a record of its own, which takes its time.
        self.quanta_steps: deque[int] = deque(maxlen=20)

    @property
    def pump(self) -> Any:
        return self.bench.pump

    def true_steps(self) -> int:
        """What was made."""
        return self.bench.motor.executed_steps(self.bench._at_cycles)

    def run(self, cuts: list[tuple[int, str, int]]) -> None:
        """The script, with the power failing in these commands: (number, way, seed), ascending."""
        self.cuts = list(cuts)
        self._arm()
        for wait, cmd, arguments in self.script:
            self._advance(wait)
            if cmd == "program":
                self._confirm(cmd, True, therapy=arguments)
            elif cmd == "refill":
                self._confirm(cmd, False, **arguments)
            else:
                reply = self._ask(cmd, **arguments)
                if cmd == "patient_bolus" and reply and reply.get("granted"):
                    self.grants.append(self.pump.clock.tick)
        self._advance(50)
        assert "starved" not in events_of(self)

    def _arm(self) -> None:
        if self.cuts:
            self.flash.cut_at, self.flash.way, self.flash.seed = self.cuts.pop(0)

    def _advance(self, ticks: int) -> bool:
        """False if the power failed meanwhile; the pump has booted again then."""
        sound = True
        end = self.bench.tick + ticks
        while self.bench.tick < end:
            self.quanta_steps.append(self.pump.persistence.booking.ledger.quantum_steps)
            try:
                self.bench.advance_to_tick(self.bench.tick + 1)
            except PowerCut:
                sound = False
                self._boot()
            if any(self.pump.delivery.owed.active):
                assert set(STARTS) & set(events_of(self, self.boot_events)), "a bolus that nobody asked for"
        return sound

    def _boot(self) -> None:
        before = self.pump
        self.quanta_steps.append(
            before.persistence.booking.ledger.quantum_steps
        )  # the tick may have changed it
        assert "starved" not in events_of(self), "an erase came while too little was ordered"
        ended = before.lockout.end_tick if before.lockout.ended else -1
        granted, active = before.lockout.count, before.delivery.owed.active[0]
        self.flash.power_on(self.bench.tick)
        self._arm()
        self.bench.reset()
        after = self.pump
        self.boot_events = after.log.count
        over_steps = after.position.executed_steps - self.true_steps()
        assert over_steps >= 0, f"{-over_steps} steps were made and forgotten"
        # A record that a cut left half written may be believed at one boot and not at the next.
        most_steps = self.over_steps + max(self.quanta_steps) + 1
        assert over_steps <= most_steps, f"{over_steps} steps too many"
        self.over_steps = over_steps
        # Time never runs ahead of the time with power; the record that is torn now may be read after the next
        # cut, if that comes before the first snapshot.
        before_tick, after_tick = before.clock.tick, after.clock.tick
        self.most_tick = max(self.most_tick, before_tick)
        assert after_tick <= self.most_tick and before_tick <= after_tick + QUANTUM_TICKS + 60
        therapy = after.regimen.therapies.count - 1
        assert therapy in self.applied, f"therapy {therapy} is in force, it was one of {self.applied}"
        self.applied = [therapy]
        # Lockout: what was granted is counted, and its lockout runs from the boot at the latest.
        granted_now = granted > 0 and before.lockout.grants[(granted - 1) % MOST_A_DAY] > before_tick
        assert after.lockout.count >= granted - granted_now
        if ended >= 0 and not active:
            # An end that was not written yet comes, and the lockout with it, in the first tick.
            known = after.lockout.ended and after.lockout.end_tick == ended
            assert known or after.control.dosing.boluses.volume_nl[PATIENT] > 0, "a lockout was forgotten"
        self._advance(BOOT_TICKS)  # nobody hears a command before

    def _ask(self, cmd: str, **arguments: Any) -> dict[str, Any] | None:
        number = self.client.request(cmd, **arguments)
        for _ in range(60):
            if not self._advance(1):
                return None
            reply = self.client.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        raise AssertionError(f"no answer to {cmd}")

    def _confirm(self, cmd: str, new: bool, **arguments: Any) -> None:
        """Until it is confirmed: a clinician whose pump fell silent asks what it has, and does it again."""
        for _ in range(6):
            proposal = self._ask(cmd, **arguments)
            if proposal is None or not proposal["ok"]:
                continue
            if new:
                self.applied = sorted({self.applied[-1], self.pump.regimen.therapies.count})
            accept = proposal["readback"].get("soft", [])
            reply = self._ask("confirm", digest=proposal["digest"], accept=accept)
            if reply is not None and reply["ok"]:
                break
            if reply is not None:
                self.applied = [self.pump.regimen.therapies.count - 1]


def events_of(life: Life, first: int = 0) -> list[str]:
    """What the log holds, from event `first` on."""
    log = life.pump.log
    return [EVENTS[log.record(n)[3]].name for n in range(max(first, log.count - CAPACITY), log.count)]


@pytest.fixture(scope="module")
def whole() -> Life:
    """The script without a cut."""
    life = Life()
    life.run([])
    return life


def test_the_script_does_what_it_is_there_for(whole):
    assert whole.flash.commands > 250
    assert sum(whole.flash.erases) > 4
    assert len(whole.grants) == 3
    assert whole.pump.control.state == states.STOPPED and whole.over_steps == 0
    assert whole.pump.position.executed_steps == whole.true_steps()
    assert program.Packed(whole.pump.regimen.therapies.get(whole.pump.regimen.therapies.count)).head == THIRD


def a_cut(commands: int, seed: int) -> tuple[int, str, int]:
    chance = random.Random(seed)
    return chance.randrange(commands), chance.choice(("before", *WAYS, "after")), seed


@pytest.mark.req("REC-01", "REC-02", "REC-03", "REC-05", "LIM-02", "RES-01", "DOSE-10")
@pytest.mark.parametrize("seed", range(60))
def test_a_cut_in_any_flash_command_forgets_nothing(whole, seed):
    life = Life()
    life.run([a_cut(whole.flash.commands, seed)])
    assert "fault" not in events_of(life)


@pytest.mark.req("REC-01", "REC-02", "REC-05")
@pytest.mark.parametrize("seed", range(60))
def test_a_second_cut_during_the_recovery_forgets_nothing(whole, seed):
    number, way, _ = a_cut(whole.flash.commands, seed)
    life = Life()
    life.run([(number, way, seed), (number + 1 + seed % 6, WAYS[seed % len(WAYS)], seed)])
    assert "fault" not in events_of(life)


class LifeOfTable(Life):
    """A head of which the `table` is known, at a third of the rates; its mark comes early."""

    script = [
        (wait, cmd, {**arguments, "rate_num": arguments["rate_num"] // 3} if cmd == "program" else arguments)
        for wait, cmd, arguments in SCRIPT
    ]

    def __init__(self, table: list[int]) -> None:
        self.table = table
        self.given: Any = Fraction(0)
        self.seen_steps = 0
        self.compensated_ticks = 0
        super().__init__(Plant(SINE, rig=rig_with(self.table), angle_steps=START))
        self.was = (False, 0)

    def follow(self) -> None:
        """What was made since this was asked last, by the table where that was in force."""
        made = super().true_steps()
        compensates, turn_at = self.was
        if compensates:
            ends = [exact_steps(self.table, 3_200, 3, at - turn_at) for at in (self.seen_steps, made)]
            self.given += ends[1] - ends[0]
            self.compensated_ticks += 1
        else:
            self.given += made - self.seen_steps
        self.seen_steps = made
        head, base = self.pump.position.head, self.pump.position.base_steps
        self.was = (head.compensates, head.turn_at - base + self.origin_steps)

    @property
    def origin_steps(self) -> int:
        """Where the motor stood when the pump that runs began to count."""
        return self.bench._origin_steps

    def true_steps(self) -> int:
        self.follow()
        return int(self.given)

    def _advance(self, ticks: int) -> bool:
        sound = True
        for _ in range(ticks):
            sound = super()._advance(1) and sound
            self.follow()
        return sound


cuts = st.tuples(st.integers(0, 249), st.sampled_from(["before", *WAYS, "after"]), st.integers(0, 999))


def lived_through(table: list[int], cut: tuple[int, str, int]) -> None:
    """The phase is known at most cuts, and at none after a boot: the head counts as uniform then."""
    life = LifeOfTable(table)
    life.run([cut])
    assert life.compensated_ticks > 300 or life.pump.position.head.takes_back


@pytest.mark.req("REC-01", "REC-02", "PERF-05", "DOSE-01")
@given(st.just(table_of(SINE, REFERENCE)) | tables(), cuts)
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_a_cut_forgets_nothing_of_what_the_head_displaced(table, cut):
    lived_through(table, cut)


@pytest.mark.long
@pytest.mark.req("REC-01", "REC-02", "PERF-05", "DOSE-01")
@given(tables(), cuts)
@settings(max_examples=1_000, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_no_cut_forgets_anything_of_what_any_head_displaced(table, cut):
    lived_through(table, cut)


# --- planted faults: what the laws above are there to catch


def written_after_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, step = Persistence.begin, Ledger.step

    def booked(persistence: Persistence, inputs: Any) -> int:
        begin(persistence, inputs)
        persistence.booking.ledger.booked_steps = 1 << 29
        return 1 << 29

    def behind(ledger: Ledger, tick: int, executed: int, ordered: int, dose: int, _: bool) -> None:
        step(ledger, tick, executed, ordered, dose, False)

    monkeypatch.setattr(Persistence, "begin", booked)
    monkeypatch.setattr(Ledger, "step", behind)


def crc_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def valid(region: Region, at: int, end: int, number: int) -> int:
        kind, units, ring = region.image[at : at + 3]
        return units if ring == number and 0 < kind < len(KINDS) and units == KINDS[kind][0] else 0

    monkeypatch.setattr(Region, "valid", valid)


def after_restore(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    restore = Persistence.restore

    def changed(persistence: Persistence) -> None:
        restore(persistence)
        change(persistence)

    monkeypatch.setattr(Persistence, "restore", changed)


def lockout_not_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    after_restore(monkeypatch, lambda persistence: persistence.lockout.__init__())


def position_not_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    after_restore(monkeypatch, lambda persistence: persistence.position.resume(0, 0))


def bolus_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_post = Startup._leave_post

    def leave_and_go_on(startup: Startup) -> None:
        leave_post(startup)
        dosing = startup.control.dosing
        therapy = startup.regimen.prescription
        bolus = therapy and therapy.patient_bolus
        if startup.control.state == states.RUNNING and bolus and dosing.lockout.ended:
            dosing.delivery.begin_bolus(PATIENT, bolus.volume, bolus.rate)

    monkeypatch.setattr(Startup, "_leave_post", leave_and_go_on)


def erased_while_the_queue_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thecal.motion.QUEUE_SEGMENTS", 1)
    monkeypatch.setattr("thecal_bench.inprocess.QUEUE_SEGMENTS", 1)


@pytest.mark.req("REC-01", "REC-02", "REC-03", "REC-05", "LIM-02", "MOT-05")
@pytest.mark.parametrize(
    "plant",
    [
        written_after_motion,
        crc_not_checked,
        lockout_not_restored,
        position_not_restored,
        bolus_resumed,
        erased_while_the_queue_is_short,
    ],
)
def test_a_planted_fault_is_caught(plant, monkeypatch):
    """By the very cuts that the pump as it is survives (`test_a_cut_in_any_flash_command_...`)."""
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(60):
            # Nonsense that is believed may end in what no array holds before anything can be asserted of it.
            with suppress(OverflowError, ValueError):
                Life().run([a_cut(300, seed)])


@pytest.mark.long
@pytest.mark.req("REC-01", "REC-02", "REC-03", "REC-05")
def test_a_cut_in_every_flash_command_forgets_nothing(whole):
    for number in range(whole.flash.commands):
        for way in ("before", *WAYS, "after"):
            Life().run([(number, way, number)])
