"""SAFE-07: every bit of every critical word flipped at every part of the loop, in a pump that runs a bolus.

Each case restarts from one and the same running pump on the in-process board, flips one bit before one part
of one tick, and lets the pump run on until the untouched twin's bolus is long through. The law is of the
plant, not of the pump's own counts: at no time has the head displaced more than the untouched twin's would
have, or the limit allows, and one second of what was commanded (MOT-04).

What became of a flip is counted: detected (MEMORY_FAULT and the motor off), another alarm (which halted the
motor first), harmless (not a step is different from the twin's), neither (the flow is another one, within the
law).
"""

import copy
import copyreg
import random
from collections import Counter

import pytest
from pump_on_bench import ForgetfulOnBench
from thecal import states, words
from thecal.record import events
from thecal.watch import alarms

BITS = 31  # of a small integer on the board
PARTS = ("decide", "_dose_part", "_link_part", "_watch_part", "_motion_part")
"""A bit is flipped before each of these: before the tick, and between its parts (time, dose, link, watch,
motion)."""

RATE_NL_H = 6_000_000
BOLUS_NL_H = 54_000_000
BOLUS = {"volume_nl": 30_000, "rate_num": BOLUS_NL_H, "rate_den": 1, "lockout_ms": 60_000, "max_per_day": 3}
WEAK = {"mode": "continuous", "drug": "baclofen", "line_nl": 500_000, "dose_pg_day": 72_000_000_000}
LIMIT = {"volume_nl": 1_100_000, "window_ms": 600_000}
STEPS_PER_REV, NL_PER_REV = 3_200, 100_000
BOLUS_TICKS = 20
TICKS = (0, 1, 2, BOLUS_TICKS, BOLUS_TICKS + 1)
"""The tick that grants the bolus, two while it flows, and those about its end."""
LAST_TICK = 40
SLACK_STEPS = (RATE_NL_H + BOLUS_NL_H) * STEPS_PER_REV // (NL_PER_REV * 3_600) + 1

copyreg.pickle(memoryview, lambda view: (memoryview, (view.obj,)))  # of the same copy of what it shows

NAMES = [words.name(number) for number in range(words.FIRST[-1])]


def flipped(value, bit):
    """A small integer of the board with one bit changed; a flag has one bit."""
    if isinstance(value, bool):
        return (not value) if bit == 0 else value
    pattern = (value & (1 << BITS) - 1) ^ 1 << bit
    return pattern - (1 << BITS) if pattern >> BITS - 1 else pattern


def flip(pump, name, bit):
    """Change one bit of the word `name`; False if there is no such word now, or nothing changed."""
    owner = pump
    *way, last = name.split(".")
    for part in way:
        owner = _get(owner, part)
        if owner is None:
            return False
    value = _get(owner, last)
    changed = flipped(value, bit)
    field, _, index = last.partition("[")
    if index:
        getattr(owner, field)[int(index[:-1])] = changed
    else:
        setattr(owner, field, changed)
    return changed != value


def _get(owner, part):
    field, _, index = part.partition("[")
    value = getattr(owner, field)
    return value[int(index[:-1])] if index else value


def before_a_bolus():
    """In the next tick the patient asks for a bolus."""
    runner = ForgetfulOnBench()
    runner.run(3)
    runner.refill(20_000_000)
    runner.start(
        rate_num=RATE_NL_H,
        max_rate_nl_h=60_000_000,
        limit=LIMIT,
        patient_bolus=BOLUS,
    )
    runner.run(5)
    runner.client.request("patient_bolus")
    return runner


def in_a_bridge():
    """The line holds the drug of before, a quarter as strong, which flows four times as fast."""
    runner = ForgetfulOnBench()
    runner.run(3)
    runner.refill(20_000_000)
    runner.confirm({**WEAK, "concentration_pg_nl": 500})
    assert runner.ask("start")["ok"]
    runner.run(5)
    runner.confirm({**WEAK, "concentration_pg_nl": 2_000})
    runner.run(5)
    assert runner.pump.line.bridge.left_steps > 0
    return runner


class Base:
    """A running pump, and what an untouched one does from there."""

    def __init__(self, runner):
        runner.bench.on_data = _ignore
        self.bench = runner.bench
        self.tick = runner.tick
        self.twin = self.run(None, 0, "", 0)[0]

    def run(self, name, bit, part, tick):
        """(steps of the plant at each tick, the pump, whether something was flipped)."""
        bench = copy.deepcopy(self.bench)
        pump = bench.pump
        done = []

        def before(whole):
            def flip_first(*arguments):
                if not done and bench.tick == self.tick + 1 + tick:
                    done.append(flip(pump, name, bit))
                return whole(*arguments)

            return flip_first

        if name:
            setattr(pump, part, before(getattr(pump, part)))
        steps = []
        for _ in range(LAST_TICK):
            try:
                bench.advance_to_tick(bench.tick + 1)
            except Exception:  # what the loop on the board does: `App.fault`
                bench.motor.halt(bench._at_cycles)
                bench._enabled = False
                pump.fail()
            steps.append(bench._plant.steps_seen)
        return steps, pump, bool(done and done[0])


def _ignore(data):
    pass


@pytest.fixture(scope="module")
def base():
    found = Base(before_a_bolus())
    assert found.twin[-1] - found.twin[0] > BOLUS["volume_nl"] * STEPS_PER_REV // NL_PER_REV
    return found


@pytest.fixture(scope="module")
def bridged():
    return Base(in_a_bridge())


def judge(base, name, bit, part, tick):
    """What became of a flip, or None if there was nothing to flip; asserts the law."""
    steps, pump, happened = base.run(name, bit, part, tick)
    if not happened:
        return None
    case = f"bit {bit} of {name} before {part} of tick {tick}"
    over = max(made - due for made, due in zip(steps, base.twin, strict=True))
    assert over <= SLACK_STEPS, f"{case}: {over} steps too many, {SLACK_STEPS} are allowed"
    codes = [pump.log.record(number)[3:5] for number in range(pump.log.count)]
    if (events.ALARM, alarms.MEMORY_FAULT) in codes:
        assert pump.control.state == states.HALTED, case
        assert steps[-1] == steps[min(tick + 3, LAST_TICK - 1)], f"{case}: detected, and the motor moved on"
        return "detected"
    if pump.control.state == states.HALTED:
        return "another alarm"
    return "harmless" if steps == base.twin else "neither"


def campaign(base, cases):
    count = Counter(judge(base, *case) for case in cases)
    del count[None]
    total = count.total()
    print(f"\n{total} flips: " + ", ".join(f"{what} {n / total:.2%}" for what, n in count.most_common()))
    return count


ALL = [(name, bit, part, tick) for name in NAMES for bit in range(BITS) for part in PARTS for tick in TICKS]
BRIDGE = [case for case in ALL if case[0].startswith("line.bridge")]


@pytest.mark.req("SAFE-07", "MOT-04")
@pytest.mark.parametrize("sample", [400, pytest.param(len(ALL), marks=pytest.mark.long)])
def test_no_flipped_bit_of_a_critical_word_delivers_too_much(base, sample, measured):
    count = campaign(base, random.Random(7).sample(ALL, sample))
    assert count["neither"] < 0.01 * count.total()
    if sample < len(ALL):
        found = count["detected"] + count["another alarm"]
        measured(count.total(), *(100 * part / count.total() for part in (found, count["harmless"])))


@pytest.mark.req("SAFE-07", "DOSE-10")
@pytest.mark.parametrize("sample", [60, pytest.param(len(BRIDGE), marks=pytest.mark.long)])
def test_no_flipped_bit_of_a_bridge_delivers_too_much(bridged, sample):
    count = campaign(bridged, random.Random(8).sample(BRIDGE, sample))
    assert count["neither"] == 0


@pytest.mark.req("SAFE-07")
def test_every_critical_word_is_compared_and_named(base, bridged):
    """One bit of each, before the tick: the motor rests from that tick on, and the log says which word."""
    for number, name in enumerate(NAMES):
        place = bridged if name.startswith("line.bridge") else base
        steps, pump, happened = place.run(name, 0, "decide", 1)
        assert happened, f"{name} is not there in this pump"
        codes = [pump.log.record(entry)[3:5] for entry in range(pump.log.count)]
        assert (events.WORD, number) in codes, name
        assert (events.ALARM, alarms.MEMORY_FAULT) in codes, name
        assert steps[1] == steps[-1], f"{name}: the motor moved after the tick in which it changed"


@pytest.mark.req("SAFE-07")
def test_after_a_fault_of_the_memory_nothing_starts_before_a_reset(base):
    _, pump, _ = base.run("guard.limit_steps", 4, "decide", 0)
    assert pump.control.failures
    assert pump.handlers.carry_out({"cmd": "acknowledge"})["state"] == "STOPPED"
    for cmd in ({"cmd": "start"}, {"cmd": "prime", "volume_nl": 10}):
        reply = pump.handlers.carry_out(cmd)
        assert not reply["ok"] and "words" in reply["message"], cmd


@pytest.mark.req("SAFE-07")
def test_a_flipped_byte_of_the_history_is_found_within_minutes_and_when_it_is_used(base):
    bench = copy.deepcopy(base.bench)
    history = bench.pump.ledger.history
    history.bytes[len(history.bytes) // 2] ^= 1 << 4
    bench.advance_to_tick(bench.tick + len(history.bytes) // 4 + 1)
    assert bench.pump.alarms.standing[alarms.MEMORY_FAULT]
    for change in (byte_of_a_record, steps_of_a_block, leaving_steps, leaning_point):
        bench = copy.deepcopy(base.bench)
        change(bench.pump.ledger)
        bench.pump.ledger.recount()
        bench.advance_to_tick(bench.tick + 60)
        assert bench.pump.alarms.standing[alarms.MEMORY_FAULT], change.__name__


def byte_of_a_record(ledger):
    ledger.history.bytes[1] ^= 1


def steps_of_a_block(ledger):
    ledger.history.steps.counts[0] += 5


def leaving_steps(ledger):
    ledger.recount = lambda: None
    ledger.leaving.counts[3] += 1


def leaning_point(ledger):
    ledger.history.open.points.counts[0] ^= 1
