"""The patient's button on the pin of the emulated board: a bolus, then a denial with its reason."""

import pytest
from forked import from_boot
from rig import STEPS_PER_NL
from thecal import causes

pytestmark = pytest.mark.chip


@pytest.mark.req("LIM-01", "LIM-02", "LIM-07", "SIM-01")
@from_boot
def test_the_first_press_gives_a_bolus_and_the_next_a_denial_with_its_reason(rig):
    """2 uL at 12 mL/h take 0.6 s; then lockout. The motor makes the bolus, no step for the denied press."""
    therapy = {
        "mode": "continuous",
        "rate_num": 2_000,
        "rate_den": 1,
        "patient_bolus": {
            "volume_nl": 2_000,
            "rate_num": 12_000_000,
            "rate_den": 1,
            "lockout_ms": 3_600_000,
            "max_per_day": 4,
        },
        "limit": {"volume_nl": 3_000_000, "window_ms": 86_400_000},
    }
    rig.ask("confirm", digest=rig.ask("program", therapy=therapy)["digest"])
    rig.ask("start")

    def press() -> None:
        rig.board.set_pin("BUTTON_PATIENT", 0)
        rig.run_ticks(3)
        rig.board.release_pin("BUTTON_PATIENT")
        rig.run_ticks(12)

    press()
    made = len(rig.edges.rising)
    assert made == 2_000 * STEPS_PER_NL
    press()
    assert len(rig.edges.rising) == made
    said = [(event["code"], event["a"], event["b"]) for event in rig.client.events]
    assert ("patient_bolus_start", 2_000, 12_000_000) in said
    assert ("patient_bolus_end", 2_000, 1) in said
    denied = [event for event in said if event[0] == "denied"]
    assert [causes.CAUSES[reason] for _, _, reason in denied] == ["lockout"]
    assert rig.ask("attempts")["denied_last_day"] == 1


@pytest.mark.req("LIM-04", "MOT-05")
@from_boot
def test_the_prediction_of_a_full_window_fits_into_its_tick(rig):
    """A history looked through for a press while the motor runs: no tick is merged by it."""
    therapy = {
        "mode": "continuous",
        "rate_num": 5_000_000,
        "rate_den": 1,
        "patient_bolus": {
            "volume_nl": 10_000,
            "rate_num": 20_000_000,
            "rate_den": 1,
            "lockout_ms": 0,
            "max_per_day": 96,
        },
        "limit": {"volume_nl": 121_000_000 // 3, "window_ms": 28_800_000},
    }
    rig.ask("confirm", digest=rig.ask("program", therapy=therapy)["digest"])
    rig.ask("start")
    rig.run_ticks(5)
    events = len(rig.client.events)
    assert rig.ask("patient_bolus")["granted"]
    rig.run_ticks(5)
    assert "merged" not in [event["code"] for event in rig.client.events[events:]]
    assert max(status["loop_us"] for status in rig.statuses) < 100_000
    assert rig.worst_edge_cycles() <= 16
