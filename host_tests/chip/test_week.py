"""DOSE-06 on the chip: the largest week, tick by tick: how long its checks take, and what memory is left."""

import pytest

pytestmark = pytest.mark.chip

TURN_US = 65_000
"""What may be done of a proposal in one tick: a third of it is left for the pump itself."""

WEEK = """
import gc, time, micropython
from thecal import app, states
a = app.App()
p = a.pump
while p.control.state != states.STOPPED:
    a.wait()
    a.tick()
a.stepper.enable(False)
p.reservoir.refill(40000000, p.position.executed_steps)
p.critical.words.keep_all()
programming = p.handlers.programming
proposing = programming.proposing
PARTS = 1 + 336 // 24
worst = {}
def go(part):
    proposing.begin({"part": part})
    answer = None
    number = 0
    while answer is None:
        before = time.ticks_us()
        answer = proposing.go_on()
        took = time.ticks_diff(time.ticks_us(), before)
        number += 1
        if took > worst.get(part["index"], (0, 0))[0]:
            worst[part["index"]] = (took, number)
    return answer
def steps(first):
    made = []
    for index in range(first, first + 24):
        day, of_day = divmod(index, 48)
        made.append({"at_ms": of_day * 1800000 + index * 100, "days": 1 << day,
                     "rate_num": 840001 + index * 104729, "rate_den": 420})
    return made
gc.collect()
free = gc.mem_free()
least = free
for round in range(ROUNDS):
    head = {"mode": "flex", "drug": "morphine", "concentration_pg_nl": 1000,
            "limit": {"volume_nl": 10000000, "window_ms": 86400000},
            "patient_bolus": {"volume_nl": 5000, "duration_ms": 60000, "lockout_ms": 0, "max_per_day": 96}}
    go({"index": 0, "count": PARTS, "therapy": head})
    for number in range(1, PARTS):
        answer = go({"index": number, "count": PARTS, "steps": steps((number - 1) * 24)})
    before = time.ticks_us()
    programming.proposals.last.apply(answer["digest"])
    applied = time.ticks_diff(time.ticks_us(), before)
    p.critical.words.keep_all()
    programming.proposals.last = answer = None
    for _ in range(60):  # until it is written
        a.wait()
        a.tick()
    gc.collect()
    least = min(least, gc.mem_free())
micropython.kbd_intr(3)
print()
print("worst", max(worst.values()), "apply", applied, "free", free, "least", least,
      "count", p.regimen.therapies.count, "steps", len(p.regimen.prescription.basal))
"""


@pytest.mark.req("DOSE-06", "LIM-11")
@pytest.mark.parametrize("rounds", [1, pytest.param(13, marks=pytest.mark.long)])
def test_the_largest_week_fits_the_memory_and_no_tick_takes_long(pump_prompt, rounds):
    printed = pump_prompt.run(f"ROUNDS = {rounds}" + WEEK, limit_ms=120_000 * rounds)
    last = printed.strip().splitlines()[-1]
    words = last.replace("(", "").replace(")", "").replace(",", "").split()
    said = dict(zip(words[3::2], map(int, words[4::2]), strict=True))
    assert said["count"] == rounds and said["steps"] == 336, last
    assert int(words[1]) <= TURN_US, last
    assert said["apply"] < TURN_US, last
    assert said["free"] - said["least"] < 16_000, last
