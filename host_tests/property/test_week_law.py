"""DOSE-06: a week of up to 7 x 48 steps, all the way: in parts over the link, read back in pages and held
against what was sent by the host's own arithmetic, kept in the flash, restored after a loss of power.

The oracle of the peak over windows looks at every start of a window that matters, and at random ones, with
Fractions; it knows nothing of cursors.
"""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pump_on_bench import PumpOnBench
from test_flex_law import DAY, MECHANISM, WEEK
from thecal.dose import boluses, prescription, program, schedule
from thecal.dose.course import Course
from thecal.record import layout
from thecal.watch import lockout
from thecal_bench.flash_model import WAYS, FlashModel
from thecal_bench.inprocess import HostBench
from thecal_model import programming
from thecal_model.readback import differences

A_DAY = 48
LIMIT = {"volume_nl": 60_000_000, "window_ms": 600_000}
"""Above all that can flow in it, and takes as long to hold against a week as any."""
TICK_MS = 100


@st.composite
def weeks(draw, most_a_day: int = A_DAY) -> list[dict[str, int]]:
    """Steps of a week; most days are full, each has its own times and rates."""
    steps = []
    for day in range(7):
        count = draw(st.sampled_from([most_a_day, most_a_day, most_a_day, draw(st.integers(0, most_a_day))]))
        ticks = draw(st.lists(st.integers(0, DAY - 1), min_size=count, max_size=count, unique=True))
        for tick in ticks:
            rate = Fraction(draw(st.integers(2_000 * 420, 60_000_000 * 420)), 420)
            step = {"at_ms": tick * TICK_MS, "days": 1 << day}
            steps.append({**step, "rate_num": rate.numerator, "rate_den": rate.denominator})
    return steps or [{"at_ms": 0, "rate_num": 2_000, "rate_den": 1}]


def spread(seed: int, count: int = 7 * A_DAY) -> list[dict[str, int]]:
    """The largest week, made of a number: `weeks` would take long to draw it."""
    steps = []
    for index in range(count):
        day, of_day = divmod(index, A_DAY)
        num = 840_000 + (seed * 7_919 + index * 104_729) % 25_000_000_000
        rate = Fraction(num, 420)
        at_ms = of_day * 1_800_000 + (seed + index) % 17_999 * TICK_MS
        steps.append(
            {"at_ms": at_ms, "days": 1 << day, "rate_num": rate.numerator, "rate_den": rate.denominator}
        )
    return steps


def scheduled(steps: list[dict[str, int]]) -> schedule.Schedule:
    return prescription.parse({"mode": "flex", "steps": steps}, MECHANISM).basal


def starts_of(steps: list[dict[str, int]]) -> list[tuple[int, Fraction]]:
    """(tick of the week, grains per tick) of all starts, sorted."""
    found = []
    for step in steps:
        rate = Fraction(step["rate_num"], step["rate_den"])
        grains = rate * MECHANISM.grains_per_nl_h
        found += [
            (day * DAY + step["at_ms"] // TICK_MS, grains)
            for day in range(7)
            if step.get("days", 127) >> day & 1
        ]
    return sorted(found)


def content(starts: list[tuple[int, Fraction]], begin: int, window: int) -> Fraction:
    """What flows from `begin` on in `window` ticks: each piece's overlap with it, this week and the next."""
    total = Fraction(0)
    for index, (start, grains) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else starts[0][0] + WEEK
        for turn in (-WEEK, 0, WEEK):
            overlap = min(end + turn, begin + window) - max(start + turn, begin)
            total += max(overlap, 0) * grains
    return total


@pytest.mark.req("DOSE-06", "LIM-06")
@settings(max_examples=6, deadline=None)
@given(weeks(6), st.integers(6_000, DAY), st.lists(st.integers(0, WEEK - 1), max_size=12))
def test_the_peak_is_that_of_the_fullest_of_all_windows(steps, window, begins):
    """Every window that begins or ends at a start, and random ones: none is fuller, and one is as full."""
    starts = starts_of(steps)
    one = MECHANISM.grains_per_step
    peak = scheduled(steps).peak_grains(window, one)
    edges = [(start + shift) % WEEK for start, _ in starts for shift in (0, -window)]
    contents = [content(starts, begin, window) for begin in edges]
    assert max(contents) == peak
    assert all(content(starts, begin, window) <= peak for begin in begins)


@pytest.mark.req("DOSE-06", "LIM-06")
def test_a_window_that_ends_with_a_fast_step_counts_as_one_that_begins_with_it():
    """10 nL/h but for two hours: the fullest 24 h begin with neither."""
    hour = 36_000
    steps = [
        {"at_ms": 0, "days": 1, "rate_num": 2_000, "rate_den": 1},
        {"at_ms": 10 * 3_600_000, "days": 1, "rate_num": 50_000, "rate_den": 1},
        {"at_ms": 11 * 3_600_000, "days": 1, "rate_num": 2_000, "rate_den": 1},
        {"at_ms": 20 * 3_600_000, "days": 1, "rate_num": 90_000, "rate_den": 1},
        {"at_ms": 21 * 3_600_000, "days": 1, "rate_num": 3_000, "rate_den": 1},
    ]
    per_nl_h = MECHANISM.grains_per_nl_h
    # The fullest 4 h: the hour at 90 000 and 3 h at 3 000 behind it.
    assert scheduled(steps).peak_grains(4 * hour, MECHANISM.grains_per_step) == hour * per_nl_h * 99_000
    # The fullest 12 h hold both: from 10:00 on, with one hour of 3 000.
    assert scheduled(steps).peak_grains(12 * hour, MECHANISM.grains_per_step) == hour * per_nl_h * (
        50_000 + 9 * 2_000 + 90_000 + 3_000
    )
    # The fullest 15 h hold both and end anywhere behind: 4 h of 3 000 beat any of 2 000.
    assert scheduled(steps).peak_grains(15 * hour, MECHANISM.grains_per_step) == hour * per_nl_h * (
        50_000 + 9 * 2_000 + 90_000 + 4 * 3_000
    )


class Desk(PumpOnBench):
    """A pump with a flash."""

    def propose(self, therapy: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = {}
        for arguments in programming.requests(therapy):
            reply = self.ask("program", **arguments)
            assert reply["ok"], reply
        while (first := programming.missing(reply["readback"])) is not None:
            programming.complete(reply, self.ask("readback", **{"from": first}))
        return reply

    def apply(self, therapy: dict[str, Any]) -> dict[str, Any]:
        proposal = self.propose(therapy)
        assert differences(therapy, proposal["readback"]) == []
        reply: dict[str, Any] = {}
        for _ in range(4):  # the one before is still being written
            reply = self.ask("confirm", digest=proposal["digest"])
            if reply["ok"]:
                return proposal
        raise AssertionError(reply)

    def kept(self, number: int) -> list[list[int]]:
        """All steps of a therapy that was applied."""
        answer = self.ask("therapy", number=number)
        steps = answer["steps"]
        while answer["next"] < answer["step_count"]:
            answer = self.ask("therapy", number=number, **{"from": answer["next"]})
            steps += answer["steps"]
        return steps


def read_back(steps: list[dict[str, int]]) -> list[list[int]]:
    found = []
    for step in steps:
        day = step["days"].bit_length() - 1
        found.append([day * 86_400_000 + step["at_ms"], step["rate_num"], step["rate_den"]])
    return sorted(found)


@pytest.mark.req("DOSE-06", "LIM-10", "LIM-11", "REC-01")
def test_the_largest_weeks_come_whole_through_link_flash_and_a_loss_of_power():
    """Three of 336 steps: each read back as it was sent, and all there after the power was cut."""
    desk = Desk()
    sent = [spread(seed) for seed in (1, 2_345, 99_999)]
    for steps in sent:
        desk.apply({"mode": "flex", "steps": steps})
    desk.run(80)  # until the last one is written
    before = desk.pump.regimen.prescription.basal
    desk.reset()
    after = desk.pump.regimen.prescription.basal
    assert after is not before
    for name in ("starts", "rate_steps", "rate_grains"):
        assert getattr(after, name) == getattr(before, name)
    assert desk.pump.regimen.therapies.held == {}, "what the flash has is not in memory"
    for number, steps in enumerate(sent, 1):
        assert desk.kept(number) == read_back(steps)


class TornFlash(FlashModel):
    """`torn`, once it is a list, gets flashes as they would be if the power failed: one from before each
    command, and one from the midst of it.
    """

    torn: list[FlashModel] | None = None

    def program(self, offset: int, data: bytes) -> None:
        self._tear("cut_program", offset, data)
        super().program(offset, data)

    def erase(self, offset: int) -> None:
        self._tear("cut_erase", offset)
        super().erase(offset)

    def _tear(self, how: str, *command: Any) -> None:
        if self.torn is None:
            return
        before, midst = self.fork(), self.fork()
        number = len(self.torn) // 2
        getattr(midst, how)(*command, WAYS[number % len(WAYS)], number)
        self.torn += [before, midst]


@pytest.mark.req("DOSE-06", "LIM-10", "REC-02")
def test_wherever_a_cut_comes_the_largest_week_is_in_force_whole_or_the_one_before_it():
    """While 336 steps are written over a therapy that is in force; and whichever it is can be read back."""
    flash = TornFlash.blank()
    desk = Desk(flash=flash)
    weeks = [spread(seed) for seed in (1, 2_345)]
    desk.apply({"mode": "flex", "steps": weeks[0]})
    desk.run(80)
    proposal = desk.propose({"mode": "flex", "steps": weeks[1]})
    flash.torn = []
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    desk.run(80)
    torn, flash.torn = flash.torn, None
    wanted = [scheduled(steps) for steps in weeks]
    found = Counter()
    for number, cut in enumerate(torn):
        pump = HostBench(flash=cut).pump
        basal = pump.regimen.prescription.basal
        [which] = [index for index, week in enumerate(wanted) if week.starts == basal.starts]
        assert basal.rate_steps == wanted[which].rate_steps
        assert basal.rate_grains == wanted[which].rate_grains
        assert not pump.persistence.therapy_lost
        found[which] += 1
        if number % 30 == 0:
            assert Desk(flash=cut).kept(which + 1) == read_back(weeks[which])
    assert found[0] > 20 and found[1] > 0, found
    assert HostBench(flash=flash).pump.regimen.prescription.basal.starts == wanted[1].starts


@pytest.mark.req("LIM-11")
def test_twelve_of_the_largest_fit_their_slots():
    """The longest head that can be read, and 336 steps."""
    head: dict[str, Any] = {
        "mode": "flex",
        "drug": '"' * 32,
        "concentration_pg_nl": [999_999_999, 9_998],
        "kvo_num": 999_999_999_999_999_999 - 999_999_999_999_999_999 % 2,
        "kvo_den": 499_999_999_999_999_999,
        "limit": {"dose_pg": 10**15, "window_ms": 86_400_000},
        "patient_bolus": dict.fromkeys(prescription.BOLUS_KEYS, 10**18),
        "low_nl": 60_000_000,
        "empty_nl": 60_000_000,
        "on_low": "continue",
        "line_nl": 5_000_000,
        "max_rate_nl_h": 120_000_000,
    }
    therapy = prescription.parse({"mode": "flex", "steps": spread(7)}, MECHANISM)
    packed = program.pack("f" * 8, (1 << 30) - 1, head, therapy)
    count, sectors = layout.SLOTS[layout.THERAPY]
    assert count == 12 and len(therapy.basal) == 336
    assert max(map(len, packed)) <= 2_048, "holes in a heap are no larger (chip/test_memory.py)"
    assert len(b"".join(packed)) <= sectors * layout.SECTOR - layout.UNIT


@settings(max_examples=25, deadline=None)
@pytest.mark.req("DOSE-06", "LIM-11")
@given(weeks(8), st.sampled_from(["", "morphine"]), st.data())
def test_what_is_kept_is_read_again_to_the_grain(steps, drug, data):
    head: dict[str, Any] = {"mode": "flex", "kvo_num": 1, "kvo_den": 1, "low_nl": 2_000_000}
    head["kvo_num"] = 2_000
    if drug:
        head |= {"drug": drug, "concentration_pg_nl": [1, 2]}
    therapy = prescription.parse({**head, "steps": steps}, MECHANISM)
    pieces = program.pack("12345678", 77, head, therapy)
    packed = program.Packed(data.draw(st.sampled_from([pieces, (memoryview(b"".join(pieces)),)])))
    assert (packed.digest, packed.tick_s, packed.head) == ("12345678", 77, head)
    again = packed.read(MECHANISM)
    assert again.readback() == therapy.readback()
    assert program.digest({}, again.basal) == program.digest({}, therapy.basal)
    assert [again.rate_nl_h(index) for index in range(len(again.basal))] == [
        therapy.rate_nl_h(index) for index in range(len(therapy.basal))
    ]


def flawed(**changes) -> bytes:
    """A therapy as it is kept, with something in it that no proposal could have brought."""
    therapy = prescription.parse({"mode": "flex", "steps": spread(3, 60)}, MECHANISM)
    for name, (index, value) in changes.items():
        getattr(therapy.basal, name)[index] = value
    return b"".join(program.pack("12345678", 0, {"mode": "flex"}, therapy))


@pytest.mark.req("REC-05", "DOSE-06")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (flawed(starts=(5, 0)), r"steps\[5\]: not a step of a week"),
        (flawed(starts=(59, WEEK)), r"steps\[59\]: not a step"),
        (flawed(rate_grains=(7, MECHANISM.grains_per_step)), r"steps\[7\]: not a step"),
        (flawed(rate_steps=(7, 30_000)), "steps: .* must be"),
        (flawed()[:-1], "behind its steps"),
        (b"[1,2]\n", "cannot be read"),
        (b"", "cannot be read"),
        (flawed().replace(b"3200", b"3201"), "of another mechanism"),
    ],
)
def test_what_is_kept_and_is_no_therapy_is_said_to_be_none(data, said):
    with pytest.raises(prescription.PrescriptionError, match=said):
        program.Packed((data,)).read(MECHANISM)


@pytest.mark.req("DOSE-06", "LIM-10")
def test_a_part_out_of_turn_ends_the_draft_and_says_where():
    desk = Desk()
    steps = spread(11, 100)
    parts = programming.requests({"mode": "flex", "steps": steps})
    assert len(parts) == 6

    def send(part: dict[str, Any]) -> str:
        reply = desk.ask("program", **part)
        return "" if reply["ok"] else reply["message"]

    def changed(number: int, **keys: Any) -> dict[str, Any]:
        return {"part": {**parts[number]["part"], **keys}}

    assert "begin with 0" in send(parts[1])
    assert send(parts[0]) == send(parts[1]) == ""
    assert "3 of 6, the next one is 2 of 6" in send(parts[3])
    assert "begin with 0" in send(parts[2]), "a bad part ends the draft"
    assert send(parts[0]) == send(parts[1]) == ""
    bad = [*steps[24:40], {**steps[40], "at_ms": 7, "speed": 1}, *steps[41:48]]
    said = send(changed(2, steps=bad))
    assert "part[2].steps[16].speed: unknown key" in said and "part[2].steps[16].at_ms: 7" in said
    assert "begin with 0" in send(parts[3])
    assert "steps: must be a list of 1 to 24" in (send(parts[0]) or send(changed(1, steps=[])))
    assert "steps: must be a list" in (send(parts[0]) or send(changed(1, steps=steps[:25])))
    assert "steps: flex needs a list" in send(changed(0, count=1))
    assert "index and count" in send(changed(0, index=-1))
    assert "part[0].therapy: must be" in send(changed(0, therapy={"mode": "minimum"}))
    assert "part[1].extra: unknown key" in (send(parts[0]) or send(changed(1, extra=1)))
    # Any other proposal ends it as well.
    assert send(parts[0]) == send(parts[1]) == ""
    assert send({"therapy": {"mode": "minimum"}}) == ""
    assert "begin with 0" in send(parts[2])
    assert "a therapy or a part" in send({"therapy": {"mode": "minimum"}, **parts[0]})
    assert "a therapy or a part" in send({})
    for part in parts:
        assert send(part) == ""
    assert desk.pump.regimen.prescription is None, "nothing is in force before it is confirmed"


@pytest.mark.req("DOSE-06", "ALM-05")
def test_a_stop_forgets_what_is_being_looked_at_and_what_came_of_it():
    desk = Desk()
    desk.apply({"mode": "minimum"})
    parts = programming.requests({"mode": "flex", "steps": spread(5), "limit": LIMIT})
    for part in parts[:-1]:
        assert desk.ask("program", **part)["ok"]
    last = desk.client.request("program", **parts[-1])
    desk.run(6)
    assert desk.pump.host.working is not None and desk.client.reply(last) is None
    assert desk.ask("stop")["ok"]
    assert (desk.client.reply(last) or {})["error"] == "cancelled"
    assert desk.pump.host.working is None and desk.pump.handlers.programming.proposing.slices is None
    assert "begin with 0" in desk.ask("program", **parts[1])["message"]
    assert not desk.ask("readback", **{"from": 0})["ok"]


@pytest.mark.req("LIM-10", "LIM-01")
def test_what_is_about_proposals_waits_for_one_in_the_making_and_a_press_does_not():
    desk = Desk()
    bolus = {"volume_nl": 1_000, "rate_num": 60_000, "rate_den": 1, "lockout_ms": 0, "max_per_day": 9}
    desk.confirm(
        {
            **{"mode": "continuous", "rate_num": 60_000, "rate_den": 1, "patient_bolus": bolus},
            "limit": LIMIT,
        }
    )
    assert desk.ask("start")["ok"]
    parts = programming.requests({"mode": "flex", "steps": spread(5), "limit": LIMIT})
    for part in parts[:-1]:
        assert desk.ask("program", **part)["ok"]
    last = desk.client.request("program", **parts[-1])
    desk.run(5)
    assert desk.client.reply(last) is None
    press = desk.client.request("patient_bolus")
    late = desk.client.request("confirm", digest="00000000")
    desk.run(3)
    assert (desk.client.reply(press) or {})["granted"]
    assert desk.client.reply(late) is None and desk.client.reply(last) is None
    desk.run(60)
    assert (desk.client.reply(last) or {})["complete"]
    assert "digest" in (desk.client.reply(late) or {})["message"]


@pytest.mark.req("LIM-01", "DOSE-08")
def test_as_many_boluses_a_day_may_be_prescribed_as_are_remembered():
    """97 would never be denied: the ring that counts them holds so many."""
    ring = lockout.Lockout()
    assert prescription.MOST_A_DAY == len(ring.grants) == layout.MOST_GRANTS == 96
    bolus = {"volume_nl": 1, "rate_num": 5_000, "rate_den": 1, "lockout_ms": 0, "max_per_day": 97}
    with pytest.raises(prescription.PrescriptionError, match=r"patient_bolus.max_per_day: 97"):
        prescription.parse({"mode": "minimum", "patient_bolus": bolus}, MECHANISM)


@pytest.mark.req("DOSE-04", "DOSE-08")
def test_a_component_may_take_all_that_max_rate_allows():
    fast = {"mode": "continuous", "rate_num": 119_998_000, "rate_den": 1}
    bolus = {"volume_nl": 9, "rate_num": 2_000, "rate_den": 1, "lockout_ms": 0, "max_per_day": 1}
    limit = {"volume_nl": 60_000_000, "window_ms": 600_000}
    therapy = prescription.parse({**fast, "patient_bolus": bolus, "limit": limit}, MECHANISM)
    assert therapy.fastest() == (119_998_000, 1)
    with pytest.raises(prescription.PrescriptionError, match="on top of the basal"):
        prescription.parse({**fast, "patient_bolus": {**bolus, "rate_num": 2_001}, "limit": limit}, MECHANISM)
    slow = {**bolus, "rate_num": 1, "rate_den": 420}  # far below 2 uL/h
    found = prescription.parse({"mode": "minimum", "patient_bolus": slow, "limit": limit}, MECHANISM)
    assert found.patient_bolus is not None and found.patient_bolus.rate == (1, 420)
    rest = prescription.parse({"mode": "minimum"}, MECHANISM)
    owed = Course(MECHANISM.grains_per_step)
    owed.most_steps, owed.most_grains = MECHANISM.grains_per_tick(rest.max_rate_nl_h, 1)
    owed.basal.rate_steps, owed.basal.rate_grains = MECHANISM.grains_per_tick(*rest.fastest())
    asked, slowed = boluses.bolus_rate(owed, MECHANISM, 2_000_000, 60_000)
    assert (asked, slowed) == ((120_000_000, 1), (119_998_000, 1))


@pytest.mark.req("DOSE-06")
def test_requests_of_a_long_therapy_fit_the_line():
    therapy = {"mode": "flex", "steps": spread(12_345)}
    for arguments in programming.requests(therapy):
        assert len(json.dumps({"cmd": "program", "id": 1 << 29, "run": "7" * 8, **arguments})) < 4_000
