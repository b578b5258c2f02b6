"""What the pump read back is compared with what was sent, number by number."""

import pytest
from thecal.dose import prescription
from thecal_bench.scenario import parse
from thecal_model.readback import differences
from thecal_model.rig import reference
from thecal_model.therapy import Profile, Therapy

HEAD = (
    'duration = "1 h"\n[profile]\nmax_rate = "60 mL/h"\non_low_reservoir = "kvo"\n[reservoir]\nlow = "2 mL"\n'
)
BOLUS = """
[therapy.patient_bolus]
volume = "10 uL"
duration = "7 min"
lockout = "10050 ms"
max_per_day = 4
[therapy.limit]
volume = "1 mL"
window = "4 h"
"""
THERAPIES = {
    "rate": '[therapy]\nmode = "continuous"\nrate = "6 mL/h"\nkvo = "0.5 mL/h"\n',
    "dose": """
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
[therapy.patient_bolus]
dose = "0.1 mg"
rate = "60 uL/h"
lockout = "4 h"
max_per_day = 4
[therapy.limit]
dose = "3 mg"
window = "24 h"
""",
    "bolus over a time": f'[therapy]\nmode = "continuous"\nrate = "20 uL/h"\n{BOLUS}',
    "flex": """
[therapy]
mode = "flex"
[[therapy.step]]
at = "22:00"
rate = "3 uL/h"
[[therapy.step]]
at = "06:30:10"
days = ["mon", "sun"]
rate = "10 uL/h"
""",
    "flex, once a week": """
[therapy]
mode = "flex"
[[therapy.step]]
at = "06:30"
days = ["tue"]
rate = "10 uL/h"
""",
    "minimum": f'[therapy]\nmode = "minimum"\n{BOLUS.replace("1 mL", "200 uL")}',
    "stopped": '[therapy]\nmode = "stopped"\n',
}


def sent_and_read_back(name):
    scenario = parse(HEAD + THERAPIES[name])
    sent = scenario.therapy.message(scenario.profile)
    return sent, prescription.parse(sent, reference().mechanism()).readback()


@pytest.mark.req("LIM-10")
@pytest.mark.parametrize("name", THERAPIES)
def test_what_the_pump_reads_back_is_what_was_sent(name):
    assert differences(*sent_and_read_back(name)) == []


CHECKED = {
    *("mode", "rate_num", "rate_den", "steps", "kvo_num", "kvo_den", "drug", "concentration_pg_nl"),
    *("max_rate_nl_h", "low_nl", "on_low", "bolus_volume_num", "bolus_volume_den", "bolus_rate_num"),
    *("bolus_rate_den", "lockout_ms", "max_per_day", "limit_num", "limit_den", "window_ms"),
}


@pytest.mark.req("LIM-10")
@pytest.mark.parametrize("name", THERAPIES)
def test_every_other_number_is_a_difference(name):
    sent, readback = sent_and_read_back(name)
    not_sent = {"kvo_num", "kvo_den"} - sent.keys()
    for key in CHECKED & readback.keys() - not_sent:
        for other in others(readback[key]):
            assert differences(sent, {**readback, key: other}), (key, other)


def test_everything_that_is_checked_is_read_back_by_one_of_the_therapies():
    assert set().union(*(sent_and_read_back(name)[1] for name in THERAPIES)) >= CHECKED


def others(value):
    if isinstance(value, int):
        return [value + 1, value * 2 + 1]
    if isinstance(value, str):
        return [value + "x"]
    changed = [[entry if at else [entry[0], entry[1] + 1, *entry[2:]] for at, entry in enumerate(value)]]
    return [value[1:], [*value, value[0]], *changed]


@pytest.mark.parametrize("name", THERAPIES)
def test_what_is_missing_is_a_difference(name):
    sent, readback = sent_and_read_back(name)
    for key in sent.keys() & readback.keys():
        assert differences(sent, {k: v for k, v in readback.items() if k != key})


def test_what_was_not_sent_is_a_difference():
    sent, readback = sent_and_read_back("rate")
    _, with_bolus = sent_and_read_back("bolus over a time")
    more = {key: with_bolus[key] for key in with_bolus.keys() - readback.keys()}
    assert len(differences(sent, {**readback, **more})) == 2


def test_differences_say_what_was_sent_and_what_came_back():
    message = Therapy("minimum").message(Profile())
    assert differences(message, {"mode": "minimum", "rate_num": 2001, "rate_den": 1}) == [
        "the basal should be 2000 nL/h, read back as 2001 nL/h"
    ]
    assert differences(message, {"mode": "minimum", "rate_num": 2001}) == [
        "the read-back is not complete (KeyError: 'rate_den')"
    ]
