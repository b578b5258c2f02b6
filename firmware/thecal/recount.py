"""What was counted under one rig, in the steps of the next one.

A rig is in force from one boot to the next. The journal says in which unit its numbers are (`nl_per_rev`,
`steps_per_rev`, `pulses_per_rev`), and at the first boot under another rig `recount` turns all of them at
once, in memory; the first snapshot writes them down, the unit with them. So a cut finds the old numbers in
the old unit or the new ones in the new, and turns the old ones again, with the same result. Where rounding is
needed it is against the patient's risk:

    position, dose   what was made and what of it was dose keep their nL, rounded up to a step. What was
                     reserved counts as made, as after any reset
    window           each minute of the last day keeps its nL, rounded up, by the same change of unit in the
                     history as after a change of drug (`record/history.py`)
    reservoir        what was taken since it was filled keeps its nL, rounded up: LOW and EMPTY come early
    credit           what a new line still takes without a dose, rounded down
    bridge           the old drug that is still in the line, rounded up: it flows as slowly for a step more
    draw-back        how far it may still go back, rounded down; one that is under way counts as begun here
    bolus            one that a cut ended had given so much, rounded up
    pulses           revolutions of the rotor, rounded down to a pulse, or what stands for it
    phase            of the rotor: not known until its next mark
    fraction         part of a step that was owed: gone with the therapy, which a change of rig ends
    flow             what was booked, lockouts and alarms are no steps
"""

from .record.layout import CALIBRATION, DOSE, EXECUTED, RESERVED, SERIALS, place_of
from .smallint import LARGEST, bounded_ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record.journal import Journal
    from .rig import Rig

NL_PER_REV = place_of("nl_per_rev")
STEPS_PER_REV = place_of("steps_per_rev")
PULSES_PER_REV = place_of("pulses_per_rev")
PULSES = place_of("rotor_pulses")
FILLED_AT = place_of("filled_at_steps")
CREDIT_END = place_of("credit_end_steps")
BRIDGE_END = place_of("bridge_end_steps")
DRAWN_FROM = place_of("drawn_from_steps")
LEAST = place_of("least_steps")
MARK = place_of("mark_steps")
BOLUS_FROM = (place_of("bolus_from_steps_0"), place_of("bolus_from_steps_1"))
NONE = -1  # a position that is none


def step_ratio(was: "Rig", now: "Rig"):
    """How many steps of the one are a step of the other, as `steps_up` takes it."""
    return bounded_ratio(was.nl_per_rev * now.steps_per_rev, was.steps_per_rev * now.nl_per_rev)


def steps_up(steps: int, ratio: tuple):
    """So many steps, as steps of another rig, rounded up; `LARGEST` at most."""
    return min(-(-steps * ratio[0] // ratio[1]), LARGEST)


def recount(journal: "Journal", rig: "Rig") -> None:
    """Bring the fields and the history of `journal`, which has recovered, into the steps of `rig`; where that
    only stands for one, all stays as it is.
    """
    words = journal.words
    was = words[NL_PER_REV], words[STEPS_PER_REV], words[PULSES_PER_REV]
    now = rig.nl_per_rev, rig.steps_per_rev, rig.wear_pulses_per_rev
    journal.found_rig_number = words[SERIALS[CALIBRATION]]
    journal.rig_number = rig.serial
    if rig.missing:
        return  # nor is the number of one that cannot be read given again: therapies have it
    if words[SERIALS[CALIBRATION]] != rig.serial:
        words[MARK] = NONE
    words[SERIALS[CALIBRATION]] = rig.serial
    words[NL_PER_REV], words[STEPS_PER_REV], words[PULSES_PER_REV] = now
    if was[2]:
        words[PULSES] = min(words[PULSES] * now[2] // was[2], LARGEST)
    ratio = bounded_ratio(was[0] * now[1], was[1] * now[0]) if was[0] else (1, 1)
    if ratio[0] != ratio[1]:
        _recount_steps(journal, ratio)


def _recount_steps(journal: "Journal", ratio: tuple) -> None:
    words = journal.words
    at = words[RESERVED]
    was_dose = words[DOSE] + at - words[EXECUTED]
    now = steps_up(at, ratio)
    words[FILLED_AT] = now - steps_up(at - words[FILLED_AT], ratio)
    for index in BOLUS_FROM:
        words[index] = now - steps_up(at - words[index], ratio)
    for index in (DRAWN_FROM, LEAST):
        if words[index] != NONE:
            words[index] = now - max(at - words[index], 0) * ratio[0] // ratio[1]
    if words[CREDIT_END]:
        credit = max(words[CREDIT_END] - at, 0) * ratio[0] // ratio[1]
        words[CREDIT_END] = min(now + credit, LARGEST)
    if words[BRIDGE_END]:
        words[BRIDGE_END] = min(now + steps_up(max(words[BRIDGE_END] - at, 0), ratio), LARGEST)
    words[DOSE] = steps_up(was_dose, ratio)
    words[EXECUTED] = words[RESERVED] = journal.state.booked_steps = now
    journal.history_writer.recount(journal.history, ratio[0], ratio[1], words[DOSE], was_dose)
