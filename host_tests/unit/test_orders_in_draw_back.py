"""What is ordered while a blocked line is drawn back: answered at once, and nothing of it starts afterwards.

A draw-back takes 9 s at the 20 mL/h of this profile, and hours at the rates of some.
"""

from __future__ import annotations

import pytest
from blocked_line import Blocked
from pump_on_bench import NL_PER_STEP, SIX_ML_H
from thecal import states

STORED_NL = 50_000
PROFILE = {
    "max_rate_nl_h": 20_000_000,
    "line_nl": 100_000,
    "patient_bolus": {
        "volume_nl": 5_000,
        "rate_num": 50_000,
        "rate_den": 1,
        "lockout_ms": 0,
        "max_per_day": 9,
    },
    "limit": {"volume_nl": 60_000_000, "window_ms": 600_000},
}


def drawing_back(monkeypatch, **therapy) -> Blocked:
    """More than it holds, out of a line that was opened before."""
    desk = Blocked(100, **therapy)
    desk.opened()
    monkeypatch.setattr(desk.pump.senses, "stored_nl", lambda: STORED_NL)
    return desk


@pytest.fixture
def desk(monkeypatch) -> Blocked:
    desk = drawing_back(monkeypatch, **PROFILE)
    assert desk.ask("acknowledge")["state"] == "DRAW_BACK"
    return desk


def ends(desk: Blocked) -> None:
    while desk.pump.control.state == states.DRAW_BACK:
        desk.run(10)


@pytest.mark.req("LIM-01", "LIM-15", "OCC-05")
@pytest.mark.parametrize(
    ("cmd", "arguments", "reason"),
    [
        ("start", {}, "not_stopped"),
        ("prime", {"volume_nl": 1_000}, "not_stopped"),
        ("jog", {"steps": 10, "rate_nl_h": 100_000}, "not_stopped"),
        ("bolus", {"volume_nl": 1_000, "duration_ms": 60_000}, "not_running"),
        ("patient_bolus", {}, "not_running"),
        ("set_time", {"week_s": 100}, None),
        ("audio_pause", {}, None),
    ],
)
def test_what_would_flow_is_refused_at_once_and_never_comes(desk, cmd, arguments, reason):
    before = desk.pump.position.executed_steps
    begun = desk.tick
    reply = desk.ask(cmd, **arguments)
    assert reply.get("reason") == reason and desk.tick - begun <= 6
    if reason is not None:
        assert "the pump is DRAW_BACK" in reply["message"]
    assert desk.pump.control.state == states.DRAW_BACK
    ends(desk)
    assert desk.pump.control.state == states.STOPPED
    assert [event[2:] for event in desk.of("draw_back")] == [(STORED_NL, 1), (STORED_NL, 0)]
    drawn_steps = desk.pump.line.least_steps + 52_000 // NL_PER_STEP - desk.pump.position.executed_steps
    assert abs(drawn_steps - STORED_NL // NL_PER_STEP) <= 1
    rested = desk.pump.position.executed_steps
    desk.run(600)
    assert desk.pump.control.state == states.STOPPED and desk.pump.position.executed_steps == rested
    assert rested < before


@pytest.mark.req("OCC-05", "DOSE-10")
@pytest.mark.parametrize("mode", ["stopped", "minimum", "slower"])
def test_a_therapy_is_taken_at_once_and_what_is_drawn_back_is_what_is_told(desk, mode):
    """Its largest rate is a tenth of that with which the line is drawn back."""
    therapy = {"mode": mode, "max_rate_nl_h": 2_000_000}
    if mode == "slower":
        therapy = {**SIX_ML_H, **PROFILE, "rate_num": 20_000, "max_rate_nl_h": 2_000_000}
        del therapy["patient_bolus"]
    begun = desk.tick
    from_steps = desk.pump.line.drawn_from_steps
    desk.confirm(therapy)
    assert desk.tick - begun <= 40 and desk.pump.control.state == states.DRAW_BACK
    ends(desk)
    desk.run(10)
    assert desk.of("draw_back")[-1][2:] == (STORED_NL, 0)
    assert abs(from_steps - desk.pump.position.executed_steps - STORED_NL // NL_PER_STEP) <= 1


@pytest.mark.req("DOSE-10", "LIM-15")
def test_a_change_of_concentration_waits_for_its_end_and_says_so(monkeypatch):
    drug = {"drug": "baclofen", "concentration_pg_nl": 500, "line_nl": 100_000}
    desk = drawing_back(monkeypatch, max_rate_nl_h=20_000_000, **drug)
    other = {**SIX_ML_H, **drug, "rate_num": 100_000, "concentration_pg_nl": 1_000}
    proposal = desk.ask("program", therapy=other)
    assert desk.ask("acknowledge")["state"] == "DRAW_BACK"
    accept = proposal["readback"]["soft"]
    refused = desk.ask("confirm", digest=proposal["digest"], accept=accept)
    assert refused["message"] == "concentration_pg_nl: the pump is DRAW_BACK; stop it, or wait for its end"
