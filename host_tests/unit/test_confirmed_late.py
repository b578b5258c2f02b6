"""A therapy that fitted when it was read back, and is confirmed when it does no more (LIM-08, LIM-10)."""

from __future__ import annotations

import pytest
from pump_on_bench import ForgetfulOnBench
from thecal.dose import formulary

BACLOFEN = {"mode": "continuous", "drug": "baclofen", "concentration_pg_nl": 500}


def dose(mcg_day: int) -> dict:
    return {**BACLOFEN, "dose_pg_day": mcg_day * 1_000_000}


@pytest.mark.req("LIM-08", "LIM-10")
def test_a_start_between_read_back_and_confirmation_is_judged():
    """No change in the first day: true of the second dose only once the first one has started."""
    desk = ForgetfulOnBench()
    desk.confirm(dose(300))
    proposal = desk.ask("program", therapy=dose(310))
    accept = proposal["readback"]["soft"]
    assert "baclofen.first_change.low" not in accept
    assert desk.ask("start")["ok"]
    before = desk.pump.regimen.prescription
    refused = desk.ask("confirm", digest=proposal["digest"], accept=accept)
    assert not refused["ok"] and refused["reason"] == "prescription"
    assert refused["message"].startswith("baclofen.first_change.low: 0 s is below 24 h (unverified)")
    assert "propose it again" in refused["message"]
    assert desk.pump.regimen.prescription is before and desk.pump.control.state == 3
    again = desk.ask("program", therapy=dose(310))
    assert "baclofen.first_change.low" in again["readback"]["soft"]
    assert desk.ask("confirm", digest=again["digest"], accept=again["readback"]["soft"])["ok"]


@pytest.mark.req("LIM-08")
def test_a_hard_bound_of_time_refuses_at_the_confirmation():
    desk = ForgetfulOnBench()
    name, strengths, source, verified, bounds, approved = desk.pump.regimen.library[1][0]
    hard = tuple(
        (quantity, "minimum", use, value, source, True) if quantity == "first_change" else bound
        for bound in bounds
        for quantity, _, use, value, source, _ in [bound]
    )
    drugs = ((name, strengths, source, verified, hard, approved), *desk.pump.regimen.library[1][1:])
    desk.pump.regimen.library = formulary.seal(9, drugs)
    desk.confirm(dose(300))
    proposal = desk.ask("program", therapy=dose(310))
    assert desk.ask("start")["ok"]
    refused = desk.ask("confirm", digest=proposal["digest"], accept=proposal["readback"]["soft"])
    assert refused["reason"] == "prescription"
    assert refused["message"] == "baclofen.first_change.minimum: 0 s is below 24 h (secondary sources)"
