"""What goes unwatched is said by hazard, everywhere, and a therapy with a drug names each one (RIG-03)."""

import pytest
from pump_on_desk import SIX_ML_H, PumpOnDesk
from rigs import tables_of
from thecal import rig as rigs
from thecal.rig import UNWATCHED
from thecal_model.rig import NAMES, named

MORPHINE = {
    "mode": "continuous",
    "drug": "morphine",
    "concentration_pg_nl": 20_000,
    "dose_pg_day": 960_000_000,
    "kvo_num": 0,
    "kvo_den": 1,
}


@pytest.mark.req("RIG-03")
@pytest.mark.parametrize("name", NAMES)
def test_hello_and_status_say_what_goes_unwatched(name):
    rig = named(name)
    desk = PumpOnDesk(rig)
    desk.tick()
    hello = desk.ask("hello")
    assert hello["rig"] == name and hello["unwatched"] == rig.unwatched()
    assert (hello["rollers"], hello["uncertainty_nl"]) == (rig.rollers, rig.uncertainty_nl)
    desk.ask("status")
    bits = next(frame for frame in desk.frames if frame["type"] == "status")["unwatched"]
    assert [code for row, (_, code, _) in enumerate(UNWATCHED) if bits >> row & 1] == rig.unwatched()
    assert (bits == 0) == (name == "reference")


@pytest.mark.req("RIG-03", "LIM-10")
@pytest.mark.parametrize("name", NAMES)
def test_a_therapy_with_a_drug_accepts_each_hazard_by_name(name):
    rig = named(name)
    desk = PumpOnDesk(rig)
    desk.tick()
    proposal = desk.ask("program", therapy=MORPHINE)
    soft = proposal["readback"]["soft"]
    unwatched = rig.unwatched()
    *named_before, last = soft
    assert last == "unpaired"
    assert named_before[len(named_before) - len(unwatched) :] == unwatched
    assert all(name.startswith("morphine.") for name in named_before[: len(soft) - 1 - len(unwatched)])
    texts = {code: text for _, code, text in UNWATCHED}
    assert proposal["why"][-1 - len(unwatched) : -1] == [f"{code}: {texts[code]}" for code in unwatched]
    for code in unwatched:
        accept = [accepted for accepted in soft if accepted != code]
        refused = desk.ask("confirm", digest=proposal["digest"], accept=accept)
        assert refused["reason"] == "not_accepted" and code in refused["message"]
    assert desk.pump.regimen.prescription is None
    assert desk.ask("confirm", digest=proposal["digest"], accept=soft)["ok"]
    assert desk.ask("start")["ok"]


@pytest.mark.req("RIG-03")
def test_a_therapy_by_volume_has_no_hazard_to_a_patient_to_name():
    desk = PumpOnDesk(named("bare"))
    desk.tick()
    assert "soft" not in desk.ask("program", therapy=SIX_ML_H)["readback"]


@pytest.mark.req("REC-02", "RIG-01")
@pytest.mark.parametrize(("volume_nl", "named_"), [(9_999, True), (10_000, False)])
def test_a_step_above_a_tenth_of_the_bolus_is_named(volume_nl, named_):
    """A full step of 200 a turn of 200 uL is 1 uL."""
    tables = tables_of(named("reference"))
    tables["motor"]["microsteps"], tables["head"]["nl_per_rev"] = 1, 200_000
    tables["encoder"]["pulses_per_rev"] = 50
    desk = PumpOnDesk(rigs.read(tables))
    desk.tick()
    bolus = {"volume_nl": volume_nl, "duration_ms": 60_000, "lockout_ms": 3_600_000, "max_per_day": 2}
    limit = {"volume_nl": 60_000_000, "window_ms": 86_400_000}
    proposal = desk.ask(
        "program", therapy={**SIX_ML_H, "rate_num": 20_000, "patient_bolus": bolus, "limit": limit}
    )
    assert proposal["readback"].get("soft", []) == ["bolus.step"] * named_
    if named_:
        text = "bolus.step: a microstep gives 1 uL, more than a tenth of the bolus of 9.999 uL"
        assert proposal["why"] == [text]
        refused = desk.ask("confirm", digest=proposal["digest"])
        assert refused["reason"] == "not_accepted" and "bolus.step" in refused["message"]
