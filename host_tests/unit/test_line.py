"""dose/line.py in a whole pump with a flash: what a new line gives credit for (DOSE-09), what flows while an
old drug leaves the line (DOSE-10), and what a draw-back that was cut short leaves behind (OCC-05).

Numbers are worked out by hand: a microstep is 31.25 nL, so 32 of them are a microlitre. The same as a law:
`property/test_line_machine.py`.
"""

from __future__ import annotations

import copy
from fractions import Fraction

import pytest
from pump_on_bench import SIX_ML_H, PumpOnBench
from thecal import states
from thecal.dose.line import Bridge
from thecal.record.layout import place_of
from thecal.watch import alarms
from thecal_host.vitals import status_rows
from thecal_model.readback import differences

LINE_NL = 200_000
LINE_STEPS = 6_400
LIMIT = {"volume_nl": 1_200_000, "window_ms": 600_000}
BACLOFEN = {"mode": "continuous", "drug": "baclofen", "line_nl": LINE_NL}
# 72 mg/day (a bench, no patient) are 6 mL/h of 500 mcg/mL and 1.5 mL/h of 2000.
WEAK = {**BACLOFEN, "concentration_pg_nl": 500, "dose_pg_day": 72_000_000_000}
STRONG = {**WEAK, "concentration_pg_nl": 2_000}
ML_H = 1_000_000


class Bench(PumpOnBench):
    """A pump with a flash, and its line."""

    def power_cycle(self) -> None:
        self.bench.reset()
        self.run(15)

    @property
    def line(self):
        return self.pump.line

    def propose(self, therapy: dict) -> dict:
        return self.ask("program", therapy=therapy)

    def refusal(self, therapy: dict) -> str:
        proposal = self.propose(therapy)
        assert not proposal["ok"], proposal
        return proposal["message"]

    def prime(self, volume_nl: int) -> dict:
        """Prime it and wait for the end."""
        reply = self.ask("prime", volume_nl=volume_nl)
        while self.pump.control.state == states.PRIMING:
            self.run(1)
        self.run(5)
        return reply

    @property
    def rate_nl_h(self) -> int:
        return self.pump.status.rate_nl_h()

    @property
    def in_window(self) -> int:
        return self.pump.ledger.content_steps()


@pytest.fixture
def desk() -> Bench:
    """With a line of 200 uL and 6 mL/h by volume, stopped."""
    found = Bench()
    found.program(line_nl=LINE_NL, limit=LIMIT)
    found.run(60)  # written down
    return found


# --- credit


@pytest.mark.req("DOSE-09")
def test_a_virgin_pump_primes_nothing(desk):
    refused = desk.ask("prime", volume_nl=1_000)
    assert not refused["ok"] and refused["reason"] == "no_new_line" and "new_line" in refused["message"]
    assert desk.pump.position.executed_steps == 0


@pytest.mark.req("DOSE-09", "LIM-15")
def test_a_line_that_no_therapy_names_is_refused_by_that_name():
    desk = Bench()
    assert "line_nl" in desk.ask("prime", volume_nl=1_000)["message"]
    assert "line_nl" in desk.ask("new_line")["message"]
    desk.program()
    refused = desk.ask("prime", volume_nl=1_000)
    assert "no therapy says how much the line holds" in refused["message"]


@pytest.mark.req("DOSE-09")
def test_a_new_line_is_read_back_and_nothing_is_changed_before_its_confirm(desk):
    proposal = desk.ask("new_line")
    assert proposal["readback"] == {"new_line_nl": LINE_NL}
    assert desk.line.credit_steps == 0
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    assert desk.line.credit_steps == LINE_STEPS
    assert desk.of("new_line")[-1][2] == LINE_NL


@pytest.mark.req("DOSE-09")
def test_only_a_stopped_pump_has_a_new_line(desk):
    proposal = desk.ask("new_line")
    assert desk.ask("start")["ok"]
    assert "RUNNING" in desk.ask("new_line")["message"]
    assert not desk.ask("confirm", digest=proposal["digest"])["ok"], "proposed while it was stopped"
    assert desk.line.credit_steps == 0


@pytest.mark.req("DOSE-09", "LIM-10")
@pytest.mark.parametrize("moves", ["runs and is halted", "is primed"])
def test_a_line_that_was_new_when_it_was_read_back_is_not_when_something_has_gone_through_it(desk, moves):
    desk.new_line()
    desk.run(5)
    proposal = desk.ask("new_line")
    if moves == "is primed":
        assert desk.prime(LINE_NL)["ok"]
    else:
        assert desk.ask("start")["ok"]
        desk.run(100)
        desk.bench.plant.air = True
        desk.run(20)
        assert desk.pump.control.state == states.HALTED
        desk.bench.plant.air = False
        assert desk.ask("acknowledge")["ok"]
        desk.run(60)
    assert desk.pump.control.state == states.STOPPED
    refused = desk.ask("confirm", digest=proposal["digest"])
    assert not refused["ok"] and refused["reason"] == "not_proposed"
    assert "since the read-back" in refused["message"] and desk.line.credit_steps == 0
    desk.new_line()
    assert desk.line.credit_steps == LINE_STEPS


@pytest.mark.req("DOSE-09", "LIM-03")
def test_every_forward_step_uses_credit_up_and_only_what_is_left_may_be_primed(desk):
    desk.new_line()
    assert desk.prime(150_000)["ok"]
    assert desk.line.credit_steps == LINE_STEPS - 4_800
    refused = desk.ask("prime", volume_nl=60_000)
    assert "50 uL" in refused["message"] and refused["reason"] == "prescription"
    assert desk.prime(50_000)["ok"]
    assert desk.line.credit_steps == 0 and desk.in_window == 0
    assert desk.ask("prime", volume_nl=1)["reason"] == "no_new_line"
    assert desk.pump.position.executed_steps == LINE_STEPS


@pytest.mark.req("DOSE-09", "DOSE-12", "LIM-05")
@pytest.mark.parametrize("other", [{"line_nl": 20_000}, {"line_nl": 0}, {"max_rate_nl_h": 10_000_000}])
def test_another_therapy_ends_a_prime_and_what_it_gave_is_told_as_it_was(desk, other):
    """At 60 mL/h 200 uL take 12 s. With the therapy a shorter line, or a motor that may turn no faster than a
    sixth of that, is in force.
    """
    desk.new_line()
    assert desk.ask("prime", volume_nl=LINE_NL)["ok"]
    desk.run(20)
    desk.program(**{"line_nl": LINE_NL, **other})
    assert desk.pump.control.state == states.STOPPED
    desk.run(200)
    made = desk.pump.position.executed_steps
    [(_, _, told_nl, complete)] = desk.of("prime_end")
    assert not complete and 0 < made < LINE_STEPS
    assert abs(told_nl - desk.executed_nl) <= 1_700, "a tick of 60 mL/h"
    assert desk.in_window == 0, "it was all on credit"
    assert not desk.of("alarm") and not desk.of("limited")


@pytest.mark.req("DOSE-09", "LIM-03")
def test_the_volume_of_a_prime_hides_no_step_beyond_it(desk):
    """Steps behind a prime of 100 uL are on the credit of the line, those behind the line are dose."""
    desk.new_line()
    desk.prime(100_000)
    pump = desk.pump
    for steps, in_window in ((3_100, 0), (100, 0), (7, 7)):
        pump.position.entered_steps -= steps
        pump.ledger.advance(1, pump.position.enter(pump.line))
        assert desk.in_window == in_window


@pytest.mark.req("DOSE-09", "LIM-03")
def test_the_first_start_ends_the_credit_and_every_step_from_it_on_is_dose(desk):
    desk.new_line()
    desk.ask("prime", volume_nl=LINE_NL)
    desk.run(10)
    desk.ask("stop")
    desk.run(5)
    primed = desk.pump.position.executed_steps
    assert 0 < primed < LINE_STEPS and desk.line.credit_steps == LINE_STEPS - primed
    assert desk.ask("start")["ok"]
    assert desk.line.credit_steps == 0
    desk.run(300)
    assert desk.in_window == desk.pump.position.executed_steps - primed > 1_000
    desk.ask("stop")
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"


@pytest.mark.req("DOSE-09")
def test_neither_a_refill_nor_a_longer_line_gives_credit_and_a_shorter_one_takes_it(desk):
    desk.new_line()
    desk.prime(100_000)
    desk.refill(20_000_000)
    desk.program(line_nl=500_000, limit=LIMIT)
    assert desk.line.credit_steps == 3_200
    desk.program(line_nl=50_000, limit=LIMIT)
    assert desk.line.credit_steps == 1_600
    desk.program(line_nl=500_000, limit=LIMIT)
    assert desk.line.credit_steps == 1_600


@pytest.mark.req("DOSE-09")
def test_a_prime_ends_with_its_credit_though_the_line_is_no_whole_number_of_steps():
    """200.03 uL are 6400.96 steps, which would be rounded up to one more."""
    desk = Bench()
    desk.program(line_nl=200_030, limit=LIMIT)
    desk.new_line()
    assert desk.prime(200_030)["ok"]
    assert desk.pump.position.executed_steps == 6_400 and desk.in_window == 0
    assert desk.pump.control.state == states.STOPPED


@pytest.mark.req("DOSE-09", "REC-01")
def test_credit_outlasts_a_loss_of_power_less_what_was_booked(desk):
    desk.new_line()
    desk.prime(100_000)
    desk.run(60)
    quantum = desk.pump.persistence.booking.ledger.quantum_steps
    desk.power_cycle()
    left = desk.line.credit_steps
    assert 3_200 - quantum <= left <= 3_200
    assert left == max(LINE_STEPS - desk.pump.position.executed_steps, 0), "what is booked counts as used"
    assert desk.ask("prime", volume_nl=LINE_NL)["reason"] == "prescription"
    desk.prime(left * 125 // 4)
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"
    desk.power_cycle()
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"
    assert desk.bench.motor.executed_steps(desk.bench._at_cycles) <= LINE_STEPS


@pytest.mark.req("DOSE-09", "REC-01", "REC-02")
def test_a_prime_that_a_loss_of_power_cuts_has_used_its_quantum(desk):
    desk.new_line()
    desk.ask("prime", volume_nl=LINE_NL)
    desk.run(60)
    made = desk.bench.motor.executed_steps(desk.bench._at_cycles)
    desk.power_cycle()
    assert desk.pump.control.state == states.STOPPED
    assert desk.line.credit_steps <= LINE_STEPS - made
    assert desk.of("prime_end")[-1][3] == 0


# --- bridge


@pytest.fixture
def bridged() -> Bench:
    """6 mL/h of the weak drug for a while, then the strong one: 200 uL of the weak are still in the line."""
    found = Bench()
    found.confirm(WEAK)
    assert found.ask("start")["ok"]
    found.run(100)
    found.confirm(STRONG)
    # 16/3 steps a tick have left it until what was confirmed is written down, and answered.
    assert LINE_STEPS - 64 < found.line.bridge.left_steps < LINE_STEPS
    return found


@pytest.mark.req("DOSE-10", "LIM-03")
@pytest.mark.parametrize(("old", "new", "weigh"), [(500, 2_000, 10 + 20), (4, 1, 10 + 2), (3, 2, 10 + 4)])
def test_what_comes_behind_the_old_drug_weighs_what_it_holds_rounded_up(old, new, weigh):
    """Ten steps of the old one, and five of the new."""
    bridge = Bridge(12, old, new)
    assert bridge.step(2) == 2 and bridge.left_steps == 10
    assert bridge.step(15) == weigh and bridge.left_steps == 0
    assert bridge.step(0) == 0


@pytest.mark.req("DOSE-10")
@pytest.mark.parametrize(
    ("dose_mg", "rate_nl_h"), [(36, 3 * ML_H), (72, 6 * ML_H), (144, 12 * ML_H), (18, 1_500_000)]
)
def test_what_is_prescribed_acts_at_once_by_the_concentration_that_leaves(bridged, dose_mg, rate_nl_h):
    therapy = {**STRONG, "dose_pg_day": dose_mg * 10**9}
    proposal = bridged.propose(therapy)
    readback = proposal["readback"]
    left_nl = bridged.line.bridge.left_steps * 125 // 4
    assert (readback["bridge_rate_num"], readback["bridge_rate_den"]) == (rate_nl_h, 1)
    assert readback["bridge_pg_nl"] == 500
    assert abs(readback["bridge_left_nl"] - left_nl) <= 2 * rate_nl_h // 36_000 + 32 * 2_000
    assert abs(readback["bridge_s"] - Fraction(readback["bridge_left_nl"] * 3_600, rate_nl_h)) <= 1
    assert differences(therapy, readback) == []
    bridged.confirm(therapy)
    assert bridged.rate_nl_h == rate_nl_h
    before = bridged.pump.position.executed_steps
    bridged.run(100)
    assert abs((bridged.pump.position.executed_steps - before) * 125 * 90 - rate_nl_h) <= 125 * 90 * 6


@pytest.mark.req("DOSE-10", "DOSE-11")
def test_a_minimum_is_a_volume_of_whatever_leaves_and_needs_no_drug(bridged):
    for therapy in (
        {"mode": "minimum"},
        {"mode": "minimum", "drug": "baclofen", "concentration_pg_nl": 2_000},
    ):
        bridged.confirm({**therapy, "line_nl": LINE_NL})
        assert bridged.rate_nl_h == 2_000 and bridged.line.bridge
    bridged.confirm(STRONG)
    assert bridged.rate_nl_h == 6 * ML_H


@pytest.mark.req("DOSE-10", "DOSE-11")
def test_a_stopped_therapy_stops_a_pump_that_runs_and_leaves_the_bridge(bridged):
    bridged.confirm({"mode": "stopped"})
    assert bridged.pump.control.state == states.STOPPED
    left = bridged.line.bridge.left_steps
    bridged.run(50)
    assert bridged.line.bridge.left_steps <= left
    bridged.confirm(STRONG)
    assert bridged.ask("start")["ok"] and bridged.rate_nl_h == 6 * ML_H


@pytest.mark.req("DOSE-10")
@pytest.mark.parametrize(
    "between", [{"mode": "stopped"}, {"mode": "minimum"}, {"mode": "minimum", "line_nl": 5}]
)
def test_a_bridge_opens_though_the_therapy_before_was_stopped_or_minimum(between):
    desk = Bench()
    desk.confirm(WEAK)
    desk.ask("start")
    desk.run(50)
    desk.confirm(between)
    desk.ask("stop")
    desk.confirm(STRONG)
    assert desk.line.bridge.left_steps == LINE_STEPS + 1
    desk.ask("start")
    assert desk.rate_nl_h == 6 * ML_H


@pytest.mark.req("DOSE-10")
def test_nothing_is_bridged_in_a_line_that_nothing_has_flowed_through():
    desk = Bench()
    desk.confirm(WEAK)
    desk.confirm(STRONG)
    assert desk.line.bridge is None
    desk.ask("start")
    desk.run(20)
    desk.ask("stop")
    desk.new_line()
    desk.confirm(WEAK)
    assert desk.line.bridge is None and desk.line.empty


@pytest.mark.req("DOSE-10")
def test_another_drug_waits_for_a_new_line(bridged):
    other = {**STRONG, "drug": "morphine", "concentration_pg_nl": 10_000}
    assert "baclofen" in bridged.refusal(other) and "new_line" in bridged.refusal(other)
    assert "last change" in bridged.refusal({**STRONG, "concentration_pg_nl": 1_000})
    volume = {**SIX_ML_H, "line_nl": LINE_NL}
    assert "old drug has not left the line" in bridged.refusal(volume)
    bridged.ask("stop")
    proposal = bridged.ask("new_line")
    assert proposal["readback"]["new_line_nl"] == LINE_NL
    assert 190_000 < proposal["readback"]["bridge_ends_nl"] <= 200_100
    assert bridged.ask("confirm", digest=proposal["digest"])["ok"]
    assert bridged.line.bridge is None and bridged.of("bridge")[-1][3] == 0
    bridged.confirm(other)
    assert bridged.line.bridge is None and bridged.line.drug == "morphine"


@pytest.mark.req("DOSE-10", "DOSE-01")
def test_a_new_line_drops_the_part_of_a_step_that_was_owed():
    desk = Bench()
    desk.start(rate_num=1_000_000, line_nl=LINE_NL)
    desk.run(33)
    desk.ask("stop")
    desk.run(5)
    remainder = desk.pump.delivery.remainder
    assert remainder.steps or remainder.grains
    desk.new_line()
    assert (remainder.steps, remainder.grains) == (0, 0)


@pytest.mark.req("DOSE-10", "DOSE-04")
def test_a_dose_that_no_rate_can_give_with_the_old_drug_is_refused_with_the_highest_that_fits(bridged):
    """20 mL/h of 500 mcg/mL are 240 mg in a day."""
    capped = {**STRONG, "max_rate_nl_h": 20 * ML_H}
    message = bridged.refusal({**capped, "dose_pg_day": 241 * 10**9})
    assert "240 mg/day" in message and "20 mL/h" in message
    bridged.confirm({**capped, "dose_pg_day": 240 * 10**9})
    assert bridged.rate_nl_h == 20 * ML_H


@pytest.mark.req("DOSE-10", "DOSE-04")
def test_a_bridge_may_be_slower_than_any_basal_and_loses_less_than_a_grain():
    """2001 nL/h of 700 mcg/mL are 1400 7/10 nL/h of 1000: 588 294 grains of 1/420 nL/h x 1 tick exactly."""
    desk = Bench()
    weak = {"mode": "continuous", "drug": "hydromorphone", "concentration_pg_nl": 1_000, "line_nl": 1_000}
    desk.confirm({**weak, "rate_num": 60_000, "rate_den": 1})
    desk.ask("start")
    desk.run(100)
    therapy = {**weak, "concentration_pg_nl": 701, "rate_num": 2_001, "rate_den": 1}
    proposal = desk.propose(therapy)
    exact = Fraction(2_001 * 701, 1_000)
    said = Fraction(proposal["readback"]["bridge_rate_num"], proposal["readback"]["bridge_rate_den"])
    assert exact - Fraction(1, 420) < said <= exact and said != exact
    assert differences(therapy, proposal["readback"]) == []
    desk.confirm(therapy)
    assert desk.rate_nl_h == int(exact) < 2_000


@pytest.mark.req("DOSE-10", "DOSE-06")
def test_the_steps_of_a_day_are_converted_one_by_one(bridged):
    steps = [
        {"at_ms": 0, "dose_pg_day": 36_000_000_000},
        {"at_ms": 43_200_000, "dose_pg_day": 72_000_000_000},
    ]
    therapy = {key: value for key, value in STRONG.items() if key != "dose_pg_day"}
    therapy.update(mode="flex", steps=steps)
    bridged.ask("set_time", week_s=43_200 - 10)
    proposal = bridged.propose(therapy)
    readback = proposal["readback"]
    assert (readback["bridge_times_num"], readback["bridge_times_den"]) == (4, 1)
    assert differences(therapy, readback) == []
    # The last seconds of 3 mL/h, then 6 mL/h.
    to_noon = Fraction(3 * ML_H, 3_600) * 10
    wanted_s = 10 + (readback["bridge_left_nl"] - to_noon) * 3_600 / (6 * ML_H)
    assert abs(readback["bridge_s"] - wanted_s) <= 2
    bridged.confirm(therapy)
    assert bridged.rate_nl_h == 3 * ML_H
    bridged.run(120)
    assert bridged.rate_nl_h == 6 * ML_H


@pytest.mark.req("DOSE-10", "DOSE-12")
def test_kvo_converts_and_never_raises_a_minimum(bridged):
    """2 uL/h of the strong drug weigh as much as 8 uL/h of what leaves; a minimum gives 2 uL/h of it."""
    kvo = {"kvo_num": 2_000, "kvo_den": 1, "on_low": "kvo", "low_nl": 19_000_000, "empty_nl": 0}
    bridged.confirm({**STRONG, **kvo})
    bridged.refill(18_000_000)
    bridged.run(5)
    assert bridged.pump.alarms.standing[alarms.RESERVOIR_LOW]
    assert bridged.rate_nl_h == 8_000
    bridged.confirm({"mode": "minimum", "drug": "baclofen", "concentration_pg_nl": 2_000, **kvo})
    assert bridged.rate_nl_h == 2_000


@pytest.mark.req("DOSE-10", "LIM-05")
def test_the_limit_of_a_patient_converts_while_the_old_drug_leaves(bridged):
    """3.2 mL of the strong drug weigh as much as 12.8 mL of the weak one: 409 600 steps, then 102 400."""
    bridged.confirm({**STRONG, "limit": {"volume_nl": 3_200_000, "window_ms": 600_000}})
    assert bridged.pump.guard.limit_steps == 409_600
    while bridged.line.bridge:
        bridged.run(20)
    assert bridged.pump.guard.limit_steps == 102_400


@pytest.mark.req("DOSE-10", "LIM-03")
@pytest.mark.parametrize(("concentration", "times"), [(2_000, Fraction(1, 4)), (500, Fraction(4))])
@pytest.mark.parametrize("way", ["no line", "new line"])
def test_a_change_of_concentration_counts_what_was_given_by_its_mass(concentration, times, way):
    """With no dead volume it has cleared at once; in a new line there is nothing to clear."""
    desk = Bench()
    before = {**(WEAK if concentration == 2_000 else STRONG), "line_nl": 0, "limit": LIMIT}
    desk.confirm({**before, "dose_pg_day": 10**10})
    desk.ask("start")
    desk.run(300)
    desk.ask("stop")
    desk.run(10)
    given = desk.in_window
    assert given > 50
    if way == "new line":
        desk.new_line()
    after = {**before, "concentration_pg_nl": concentration, "dose_pg_day": 10**10}
    desk.confirm(after)
    assert desk.line.bridge is None
    assert given * times <= desk.in_window < given * times + 1
    desk.run(60)
    desk.power_cycle()
    # Counted anew by the minute, and what was booked counts as given.
    booked = desk.pump.persistence.booking.ledger.quantum_steps
    assert given * times <= desk.in_window <= given * times + 2 + booked + 60


@pytest.mark.req("DOSE-10")
def test_a_line_programmed_in_a_bridge_shortens_nothing_and_a_draw_back_lengthens_it(bridged):
    left = bridged.line.bridge.left_steps
    bridged.confirm({**STRONG, "line_nl": 10})
    assert left - 400 < bridged.line.bridge.left_steps
    left = bridged.line.bridge.left_steps
    bridged.line.moved(-70)
    assert bridged.line.bridge.left_steps == left + 70


@pytest.mark.req("DOSE-10", "REC-01")
def test_a_bridge_and_what_the_line_holds_outlast_a_loss_of_power(bridged):
    bridged.confirm({"mode": "minimum"})
    bridged.run(80)
    left = bridged.line.bridge.left_steps
    end = bridged.pump.position.executed_steps + left
    bridged.power_cycle()
    assert bridged.pump.control.state == states.RUNNING and bridged.rate_nl_h == 2_000
    bridge = bridged.line.bridge
    assert (bridge.old, bridge.new) == (1, 4)
    assert bridged.pump.position.executed_steps + bridge.left_steps == end, (
        "where it ends is a place in the line"
    )
    assert (bridged.line.drug, bridged.line.concentration) == ("baclofen", (2_000, 1))
    assert "last change" in bridged.refusal({**STRONG, "concentration_pg_nl": 1_000})
    assert "baclofen" in bridged.refusal({**STRONG, "drug": "morphine", "concentration_pg_nl": 10_000})
    bridged.confirm(STRONG)
    assert bridged.rate_nl_h == 6 * ML_H


@pytest.mark.req("DOSE-10", "REC-01")
@pytest.mark.parametrize("ticks", range(0, 30, 2))
def test_a_loss_of_power_while_a_bridge_opens_finds_the_old_therapy_or_the_bridge(ticks):
    desk = Bench()
    desk.confirm(WEAK)
    desk.ask("start")
    desk.run(100)
    proposal = desk.propose(STRONG)
    desk.client.request("confirm", digest=proposal["digest"], accept=proposal["readback"].get("soft", []))
    desk.run(ticks)
    desk.power_cycle()
    assert desk.rate_nl_h == 6 * ML_H
    strong = desk.pump.regimen.prescription.concentration == (2_000, 1)
    assert bool(desk.line.bridge) == strong == (desk.line.concentration == (2_000, 1))


@pytest.mark.req("DOSE-09", "DOSE-10", "LNK-04")
def test_the_status_says_what_the_line_holds_and_so_does_the_command(bridged):
    def status() -> dict:
        bridged.run(12)
        found = bridged.client.last_status
        assert found is not None
        return found

    hello = bridged.ask("hello")
    left_nl = status()["bridge_left_nl"]
    assert 150_000 < left_nl <= LINE_NL + 32
    assert "drug of before" in dict(status_rows(hello, status()))["line"]
    bridged.ask("stop")
    bridged.new_line()
    assert (status()["bridge_left_nl"], status()["line_credit_nl"]) == (0, LINE_NL)
    assert dict(status_rows(hello, status()))["line"] == "new, 200 uL to fill"
    bridged.ask("start")
    assert dict(status_rows(hello, status()))["line"] == "full"


# --- a draw-back that is cut short


@pytest.fixture
def blocked() -> Bench:
    """6 mL/h into a blocked line, halted."""
    found = Bench()
    found.start()
    found.run(100)
    assert found.bench.plant is not None
    found.bench.plant.occlude("downstream", found.bench.now_ns)
    found.run(100)
    assert found.pump.control.state == states.HALTED
    return found


def stored_nl(desk: Bench) -> float:
    assert desk.bench.plant is not None
    return desk.bench.plant.stored_nl(desk.bench.now_ns)


def acknowledged(desk: Bench) -> None:
    assert desk.ask("acknowledge")["ok"]
    while desk.pump.control.state == states.DRAW_BACK:
        desk.run(1)
    desk.run(5)


def for_a_second(plant, desk: Bench) -> None:
    """The motor's driver fails."""
    plant.set_driver_fault(True, desk.bench.now_ns)
    desk.run(10)
    plant.set_driver_fault(False, desk.bench.now_ns)


CUTS = {
    "reset": lambda desk: desk.power_cycle(),
    "stop": lambda desk: desk.ask("stop"),
    "alarm": lambda desk: for_a_second(desk.bench.plant, desk),
}


@pytest.mark.req("OCC-05", "REC-04")
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_a_draw_back_that_is_cut_short_leaves_the_alarm_and_the_rest_is_drawn_next_time(blocked, cut, ticks):
    assert stored_nl(blocked) > 5_000
    assert blocked.ask("acknowledge")["state"] == "DRAW_BACK"
    assert not blocked.pump.alarms.standing[alarms.OCCLUSION_DOWN]
    blocked.run(ticks)
    wanted_nl = blocked.of("draw_back")[-1][2]
    before = stored_nl(blocked)
    CUTS[cut](blocked)
    blocked.run(30)
    assert blocked.pump.control.state == states.HALTED
    assert blocked.pump.alarms.standing[alarms.OCCLUSION_DOWN]
    _, _, drawn_nl, how = blocked.of("draw_back")[-1]
    assert how == 2 and 0 <= drawn_nl <= wanted_nl
    assert not blocked.ask("start")["ok"]
    assert 1_500 < stored_nl(blocked) <= before
    acknowledged(blocked)
    assert blocked.pump.control.state == states.STOPPED
    assert abs(stored_nl(blocked)) <= 300
    assert blocked.of("draw_back")[-1][3] == 0


@pytest.mark.req("OCC-05", "REC-04")
def test_a_loss_of_power_before_the_draw_back_leaves_it_to_be_done(blocked):
    before = stored_nl(blocked)
    blocked.power_cycle()
    assert blocked.pump.control.state == states.HALTED
    blocked.run(30)
    acknowledged(blocked)
    assert abs(stored_nl(blocked)) <= 300 < before
    blocked.bench.plant.unocclude("downstream", blocked.bench.now_ns)
    blocked.run(50)
    assert blocked.ask("start")["ok"]


@pytest.mark.req("OCC-05", "RES-01")
def test_what_is_drawn_back_is_counted_back_over_a_loss_of_power(blocked):
    blocked.ask("acknowledge")
    blocked.run(2)
    blocked.power_cycle()
    made = blocked.bench.motor.executed_steps(blocked.bench._at_cycles)
    # The last record may be two ticks old, 53 steps each.
    assert made <= blocked.pump.position.executed_steps <= made + 3 * 54


@pytest.mark.req("DOSE-09", "OCC-05")
def test_a_draw_back_gives_no_credit_back(desk):
    desk.new_line()
    desk.prime(100_000)
    left = desk.line.credit_steps
    desk.line.moved(-500)
    assert desk.line.credit_steps == left
    words = desk.pump.persistence.journal.words
    desk.run(5)
    assert words[place_of("credit_end_steps")] == desk.pump.position.executed_steps + left


# --- the host's arithmetic


@pytest.mark.req("DOSE-10", "LIM-10")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bridge_rate_num", 6 * ML_H + 1),
        ("bridge_rate_num", 6 * ML_H - 2),
        ("bridge_pg_nl", 2_000),
        ("bridge_pg_nl", 501),
        ("bridge_s", 60),
        ("bridge_s", 200),
        ("bridge_left_nl", None),
    ],
)
def test_the_host_sees_a_bridge_that_is_read_back_wrong(bridged, key, value):
    readback = copy.deepcopy(bridged.propose(STRONG)["readback"])
    assert differences(STRONG, readback) == []
    if value is None:
        del readback[key]
    else:
        readback[key] = value
    assert differences(STRONG, readback)
