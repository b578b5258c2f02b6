"""What may be programmed: each refusal of the validator is caused once, alone, in the words of the field.

The other side, therapies that are taken and what they do, is in test_therapy.py.
"""

import inspect
import re

import pytest
from thecal.dose import prescription
from thecal.dose.prescription import PrescriptionError
from thecal_model.rig import reference

BASAL = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
DRUG = {"drug": "morphine", "concentration_pg_nl": 20}
LIMIT = {"volume_nl": 26_500_000, "window_ms": 14_400_000}
PRESS = {"volume_nl": 1_000, "rate_num": 6_000, "rate_den": 1, "lockout_ms": 600_000, "max_per_day": 4}
PATIENT = {**BASAL, "patient_bolus": PRESS, "limit": LIMIT}
STEP = {"at_ms": 0, "rate_num": 6_000_000, "rate_den": 1}


def flex(*steps):
    return {"mode": "flex", "steps": list(steps)}


def press(**changes):
    return {**PATIENT, "patient_bolus": {**PRESS, **changes}}


def without(values, *keys):
    return {key: value for key, value in values.items() if key not in keys}


REFUSED = [
    ({**BASAL, "speed": 3}, "speed: unknown key"),
    ({**BASAL, "mode": "fast"}, "mode: fast, must be one of continuous, flex, minimum, stopped"),
    ({**BASAL, "max_rate_nl_h": 1_999}, "max_rate_nl_h: 1.999 uL/h, must be 2 uL/h to 120 mL/h"),
    ({**BASAL, "rate_num": "6"}, "rate_num: 6, must be a whole number from 0 to "),
    ({**BASAL, "rate_num": 1_999}, "rate: 1.999 uL/h, must be 2 uL/h to 120 mL/h"),
    ({**BASAL, "rate_num": 30_000, "rate_den": 11}, "cannot be delivered exactly, the nearest that can is"),
    ({**BASAL, **DRUG, "dose_pg_day": 5_000_000_000}, "rate_num: give a dose or a rate, not both"),
    ({"mode": "continuous", "dose_pg_day": 5}, "dose_pg_day: a dose needs a drug and its concentration"),
    ({**BASAL, "concentration_pg_nl": 20}, "drug: None, must be a name of 1 to 32 characters"),
    ({**BASAL, **DRUG, "drug": "x" * 33}, "must be a name of 1 to 32 characters"),
    ({**BASAL, **DRUG, "concentration_pg_nl": 0}, "concentration_pg_nl: 0, must be "),
    ({**BASAL, "kvo_num": 1_000, "kvo_den": 1}, "kvo: 1 uL/h, must be 2 uL/h to 120 mL/h"),
    (
        {**BASAL, "kvo_num": 6_000_001, "kvo_den": 1},
        "kvo: 6.000001 mL/h, must not be above the basal rate 6 mL/h",
    ),
    ({"mode": "flex"}, "steps: flex needs a list of them"),
    (flex(), "steps: flex needs a list of them"),
    (flex(0), "steps[0]: must be an object"),
    (flex({**STEP, "at_ms": 50}), "steps[0].at_ms: 50, must be a multiple of 100 ms"),
    (flex({**STEP, "days": 128}), "steps[0].days: 128, must be 1 to 127"),
    (flex(STEP, STEP), "steps[1].at_ms: 0 stands twice on day 1 of the week"),
    (flex(*({**STEP, "at_ms": 100 * n} for n in range(49))), "steps[48].at_ms: day 1 has 48 steps already"),
    ({**PATIENT, "patient_bolus": 4}, "patient_bolus: must be an object"),
    (press(speed=3), "patient_bolus.speed: unknown key"),
    (press(volume_nl=0), "patient_bolus.volume_nl: 0 nL, must be 1 nL to 60 mL"),
    (press(dose_pg=4), "patient_bolus.volume_nl: give a dose or a volume, not both"),
    (
        {**PATIENT, "patient_bolus": {**without(PRESS, "volume_nl"), "dose_pg": 4}},
        "patient_bolus.dose_pg: a dose needs a drug and its concentration",
    ),
    (
        {**PATIENT, **DRUG, "patient_bolus": {**without(PRESS, "volume_nl"), "dose_pg": 1_200_000_020}},
        "patient_bolus.dose_pg: 60.000001 mL, must be at most 60 mL",
    ),
    (press(duration_ms=60_000), "patient_bolus.rate_num: give a duration or a rate, not both"),
    (press(max_per_day=97), "patient_bolus.max_per_day: 97, must be 1 to 96"),
    (press(lockout_ms=86_400_001), "patient_bolus.lockout_ms: "),
    (press(rate_num=115_000_000), "patient_bolus.rate: 115 mL/h on top of the basal is above max_rate_nl_h"),
    (without(PATIENT, "limit"), "limit: a therapy with patient boluses must have one"),
    ({**BASAL, "limit": {**LIMIT, "window_ms": 600_100}}, "limit.window_ms: 10.002 min, must be whole min"),
    ({**BASAL, "limit": {**LIMIT, "window_ms": 599_999}}, "limit.window_ms: "),
    ({**BASAL, "low_nl": 400_000}, "empty_nl: 500 uL, must not be above low_nl 400 uL"),
    ({**BASAL, "low_nl": 1_000, "empty_nl": 1_001}, "empty_nl: 1.001 uL, must not be above low_nl 1 uL"),
    ({**BASAL, "line_nl": 5_000_001}, "line_nl: 5.000001 mL, must be 0 nL to 5 mL"),
    ({**BASAL, "on_low": "stop"}, "on_low: stop, must be one of continue, kvo"),
]


def refusals(therapy):
    with pytest.raises(PrescriptionError) as refused:
        prescription.parse(therapy, reference().mechanism())
    return refused.value.problems


@pytest.mark.req("DOSE-04", "DOSE-06", "LIM-01", "LIM-12", "RES-02")
@pytest.mark.parametrize(("therapy", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_each_thing_that_is_wrong_is_said(therapy, said):
    assert any(said in problem for problem in refusals(therapy)), refusals(therapy)


@pytest.mark.req("LIM-10")
def test_no_sentence_of_the_validator_is_without_its_case():
    """Each text given to `say`, its variable parts aside, stands in a refusal above."""
    source = inspect.getsource(prescription.Reader)
    texts = [
        text
        for call in re.findall(r"self\.say\((.*?)\n(?!\s*[%(]|\s+\")", source, re.DOTALL)
        for text in re.findall(r'"([^"]*[a-z ]{6,}[^"]*)"', call)
    ]
    assert len(texts) >= 25
    said = [problem for therapy, _ in REFUSED for problem in refusals(therapy)]
    for text in texts:
        if text == "%s: not a step of a week" or "steps[%d]: not a step" in text:
            continue  # of a therapy that was kept: test_week_law.py
        pattern = ".*".join(re.escape(part) for part in re.split(r"%[sd]", text))
        assert any(re.search(pattern, problem) for problem in said), text


def test_what_is_just_within_the_bounds_is_taken():
    mechanism = reference().mechanism()
    for therapy in (
        {**BASAL, "low_nl": 500_000, "empty_nl": 500_000},
        {**BASAL, "rate_num": 2_000},
        {**BASAL, "rate_num": 120_000_000},
        {**BASAL, "kvo_num": 6_000_000, "kvo_den": 1},
        press(max_per_day=96),
        press(rate_num=114_000_000),
        flex(*({**STEP, "at_ms": 100 * n} for n in range(48))),
    ):
        prescription.parse(therapy, mechanism)
