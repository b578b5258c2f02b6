"""What is owed and committed, by hand; and prescriptions that the reader must not let through."""

import pytest
from thecal.dose import prescription
from thecal.dose.course import CLINICIAN, PATIENT
from thecal.dose.delivery import Delivery
from thecal.dose.remainder import Remainder
from thecal.dose.schedule import Schedule
from thecal_model.rig import reference

MECHANISM = reference().mechanism()
ONE = MECHANISM.grains_per_step
SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}


def grains_of(nl_h, ticks=1):
    """A whole number: 1 nL/h is a whole number of grains per tick."""
    steps, grains = MECHANISM.grains_per_tick(nl_h, 1)
    return (steps * ONE + grains) * ticks


def running(rate_nl_h=6_000_000, most_nl_h=120_000_000, kvo_nl_h=0):
    delivery = Delivery(MECHANISM)
    delivery.begin(100)
    owed = delivery.owed
    owed.most_steps, owed.most_grains = MECHANISM.grains_per_tick(most_nl_h, 1)
    owed.kvo_steps, owed.kvo_grains = MECHANISM.grains_per_tick(kvo_nl_h, 1)
    schedule = Schedule()
    schedule.put(0, *MECHANISM.grains_per_tick(rate_nl_h, 1))
    owed.follow(schedule, 0, True)
    delivery.advance(1)  # the start counts from the end of its tick
    return delivery


@pytest.mark.req("LIM-04")
def test_what_is_committed_is_all_that_is_owed_and_not_made_and_all_of_the_boluses():
    """6 mL/h: 16/3 microsteps a tick. 17 001 nL are 544.032 microsteps, 31 nL are 0.992."""
    delivery = running()
    delivery.advance(3)
    made = 100
    assert delivery.committed_grains(made) == grains_of(6_000_000, 3) == 16 * ONE
    assert delivery.committed_grains(made + 16) == 0
    assert delivery.committed_grains(made + 17) == 0, "what is made beforehand is no credit"
    delivery.begin_bolus(CLINICIAN, (17_001, 1), (1_000_000, 1))
    delivery.begin_bolus(PATIENT, (31, 1), (1_000_000, 1))
    boluses = 17_001 * ONE * 3_200 // 100_000 + 31 * ONE * 3_200 // 100_000
    assert delivery.committed_grains(made) == 16 * ONE + boluses
    # As the boluses flow, all of them stays committed until they are through.
    delivery.advance(1)
    assert delivery.committed_grains(made) == grains_of(6_000_000, 4) + boluses


@pytest.mark.req("DOSE-12", "DOSE-07")
def test_a_bolus_is_slowed_to_the_room_that_the_basal_leaves_and_keeps_its_volume():
    delivery = running(6_000_001, 7_000_000)
    delivery.begin_bolus(CLINICIAN, (100_000, 1), (6_500_000, 1))
    flow = delivery.owed.boluses[CLINICIAN]
    assert flow.rate_steps * ONE + flow.rate_grains == grains_of(999_999)
    ticks = 0
    while delivery.advance(1) < 0:
        ticks += 1
    # 0.1 mL at 0.999999 mL/h are 3 600.0036 ticks
    assert ticks == 3_600
    owed = delivery.owed.basal.steps * ONE + delivery.owed.basal.grains
    assert owed == grains_of(6_000_001, ticks + 1) + 3_200 * ONE


@pytest.mark.req("DOSE-12")
def test_keep_vein_open_lowers_a_basal_and_never_raises_it():
    for rate_nl_h, kvo_nl_h, flows_nl_h in ((6_000_000, 5_999_999, 5_999_999), (5_000, 5_001, 5_000)):
        owed = running(rate_nl_h, kvo_nl_h=kvo_nl_h).owed
        owed.kvo = True
        owed.set_rates()
        assert owed.basal.rate_steps * ONE + owed.basal.rate_grains == grains_of(flows_nl_h)


@pytest.mark.req("DOSE-01")
@pytest.mark.parametrize(
    ("position", "grains", "executed", "kept"),
    [
        (10, 7, 10, (0, 7)),
        (10, 7, 11, (-1, 7)),  # an edge that came before all of it was owed
        (10, 7, 13, (-3, 7)),  # the motor ran on
        (10, 7, 7, (0, 7)),  # whole steps that were not made are given up
        (10, 0, 110, (-100, 0)),
        (10, 5, 111, (-1, 5)),  # never ordered: nothing that the next dose makes up for
    ],
)
def test_what_stays_owed_at_a_stop(position, grains, executed, kept):
    remainder = Remainder(ONE, 100)
    remainder.stop_at(position, grains)
    remainder.settle(executed)
    assert (remainder.steps, remainder.grains) == kept
    remainder.settle(executed + 50)
    assert (remainder.steps, remainder.grains) == kept, "what fills the line is no dose"
    remainder.drop()
    assert (remainder.steps, remainder.grains) == (0, 0)


@pytest.mark.req("RES-02", "LIM-03")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"low_nl": 500_000, "empty_nl": 500_001}, "empty_nl: 500.001 uL, must not be above low_nl 500 uL"),
        (
            {"limit": {"volume_nl": 9_000_000, "window_ms": 630_000}},
            "limit.window_ms: 10.5 min, must be whole minutes",
        ),
        (
            {"limit": {"volume_nl": 9_000_000, "window_ms": 540_000}},
            "limit.window_ms: 9 min, must be 10 min to 24 h",
        ),
    ],
)
def test_levels_and_windows_that_make_no_sense_are_refused(change, said):
    with pytest.raises(prescription.PrescriptionError) as caught:
        prescription.parse({**SIX_ML_H, **change}, MECHANISM)
    assert said in str(caught.value)
