"""The table of the critical words (SAFE-07): their names, by their way from the pump, and the same once more
to write the complement of each. What for, says `words.py`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .dose.course import Course


# Of a course: what changes with time; what changes when it takes another turn, by an order or by itself; and
# what there is to know of its boluses, compared while there is one.
RUNNING = (
    ("", ("week_tick", "due_steps", "part")),
    ("basal", ("steps", "grains")),
    ("boluses[0]", ("steps", "grains")),
    ("boluses[1]", ("steps", "grains")),
)
TURN = (
    ("active", (0, 1)),
    ("", ("most_steps", "most_grains", "kvo_steps", "kvo_grains", "kvo", "index", "next_start")),
    ("", ("flow_steps", "flow_grains", "flow", "shift")),
    ("basal", ("rate_steps", "rate_grains", "grains_per_step")),
    ("boluses[0]", ("grains_per_step",)),
    ("boluses[1]", ("grains_per_step",)),
)
BOLUSES = (
    ("wanted_steps", (0,)),
    ("wanted_grains", (0,)),
    ("boluses[0]", ("rate_steps", "rate_grains", "limit_steps", "limit_grains", "endless")),
    ("wanted_steps", (1,)),
    ("wanted_grains", (1,)),
    ("boluses[1]", ("rate_steps", "rate_grains", "limit_steps", "limit_grains", "endless")),
)
COURSE = RUNNING + TURN + BOLUSES
WITH_TIME = (13, 11, 11, 5)  # so many of a group change with time: the first
BEFORE_BOLUSES, OF_BOLUSES = 29, 14  # words of DOSE and of PLAN

TIME, DOSE, PLAN, HISTORY = range(4)
OF_TIME = (
    ("clock", ("tick", "tick_s", "tick_ms", "board_s", "board_ms")),
    ("position", ("executed_steps", "entered_steps")),
    ("line", ("credit_steps",)),
    ("line.bridge", ("left_steps",)),
    ("ledger", ("content", "part", "turn", "early_steps")),
    ("control", ("state",)),
    ("position", ("base_steps",)),
    ("line", ("drawn_from_steps",)),
    ("clock", ("week_offset", "known")),
    ("control", ("failures",)),
    ("guard", ("limit_steps", "reservoir_most")),
    ("guard.segment_most", (1, 2)),
    ("guard", ("nl_per_rev", "steps_per_rev")),
    ("reservoir", ("known", "low_steps", "empty_steps", "fill_steps")),
    ("lockout", ("count", "end_tick", "ended")),
    ("ledger", ("window_ticks",)),
    ("mechanism", ("nl_per_rev", "steps_per_rev", "grains_per_step")),
    ("delivery", ("quarter",)),
    ("line.bridge", ("old", "new")),
    ("regimen.prescription.patient_bolus", ("lockout_ticks", "max_per_day")),
    ("delivery.remainder", ("steps", "grains", "settled")),
    ("line", ("least_steps",)),
    ("regimen.changes", ("accepted",)),
    ("position.head", ("compensates", "shift", "turn_at", "turn_steps", "turn_part")),
    ("guard", ("lead_steps",)),
)
OF_DOSE = (("delivery", ("origin_steps", "ahead")),)
OF_PLAN = (
    ("motion", ("planned_steps",)),
    ("guard", ("ordered_steps",)),
)
OF_HISTORY = (
    ("ledger.history.open", ("units", "steps", "remainder")),
    ("ledger.reader", ("unit", "rest")),
    ("ledger.history.open", ("a", "b")),
    ("ledger.history", ("first", "head", "held_units")),
    ("ledger", ("parts", "epoch")),
    ("ledger.reader", ("at", "weight")),
    ("ledger.reader.record", ("kind", "units", "whole", "a", "b", "m")),
    ("ledger", ("mixed", "excess")),
)
# All words by their numbers: the way from the pump to where the ways of some begin, and those.
PARTS = (
    ("", OF_TIME),
    ("", OF_DOSE),
    ("delivery.owed", COURSE),
    ("", OF_PLAN),
    ("delivery.planned", COURSE),
    ("", OF_HISTORY),
)
GROUPS = range(4)
FIRST = (0, 52, 95, 138, 160)  # number of each group's first word, and how many there are
OPTIONAL = (8, 37, 38, 39, 40)  # words of what there is only now and then
# What follows is the table once more, word by word: a loop over names takes ten times as long. What is
# written is each word's complement, to keep it or to compare it with what is kept.
# `host_tests/unit/test_bit_flips.py` holds it against the table.


def write_clock(words, kept) -> None:
    ledger = words.ledger
    line = words.line
    kept[0] = ~words.clock.tick
    kept[1] = ~words.clock.tick_s
    kept[2] = ~words.clock.tick_ms
    kept[3] = ~words.clock.board_s
    kept[4] = ~words.clock.board_ms
    kept[5] = ~words.position.executed_steps
    kept[6] = ~words.position.entered_steps
    kept[7] = ~line.credit_steps
    kept[9] = ~ledger.content
    kept[10] = ~ledger.part
    kept[11] = ~ledger.turn
    kept[12] = ~ledger.early_steps


def write_set(words, kept) -> None:
    guard = words.guard
    reservoir = words.reservoir
    lockout = words.lockout
    ledger = words.ledger
    mechanism = words.delivery.mechanism
    line = words.line
    remainder = words.delivery.remainder
    head = words.position.head
    kept[13] = ~words.control.state
    kept[14] = ~words.position.base_steps
    kept[15] = ~line.drawn_from_steps
    kept[16] = ~words.clock.week_offset
    kept[17] = not words.clock.known
    kept[18] = ~words.control.failures
    kept[19] = ~guard.limit_steps
    kept[20] = ~guard.reservoir_most
    kept[21] = ~guard.segment_most[1]
    kept[22] = ~guard.segment_most[2]
    kept[23] = ~guard.nl_per_rev
    kept[24] = ~guard.steps_per_rev
    kept[25] = not reservoir.known
    kept[26] = ~reservoir.low_steps
    kept[27] = ~reservoir.empty_steps
    kept[28] = ~reservoir.fill_steps
    kept[29] = ~lockout.count
    kept[30] = ~lockout.end_tick
    kept[31] = not lockout.ended
    kept[32] = ~ledger.window_ticks
    kept[33] = ~mechanism.nl_per_rev
    kept[34] = ~mechanism.steps_per_rev
    kept[35] = ~mechanism.grains_per_step
    kept[36] = ~words.delivery.quarter
    kept[41] = ~remainder.steps
    kept[42] = ~remainder.grains
    kept[43] = not remainder.settled
    kept[44] = ~line.least_steps
    kept[45] = ~words.regimen.changes.accepted
    kept[46] = not head.compensates
    kept[47] = ~head.shift
    kept[48] = ~head.turn_at
    kept[49] = ~head.turn_steps
    kept[50] = ~head.turn_part
    kept[51] = ~guard.lead_steps


def write_optional(words, kept) -> None:
    """Of TIME what there is only now and then."""
    bridge = words.line.bridge
    bolus = words.regimen.prescription.patient_bolus if words.regimen.prescription else None
    kept[8] = ~bridge.left_steps if bridge else 0
    kept[37] = ~bridge.old if bridge else 0
    kept[38] = ~bridge.new if bridge else 0
    kept[39] = ~bolus.lockout_ticks if bolus else 0
    kept[40] = ~bolus.max_per_day if bolus else 0


def write_running(course: "Course", kept) -> None:
    basal = course.basal
    patient = course.boluses[0]
    clinician = course.boluses[1]
    kept[2] = ~course.week_tick
    kept[3] = ~course.due_steps
    kept[4] = ~course.part
    kept[5] = ~basal.steps
    kept[6] = ~basal.grains
    kept[7] = ~patient.steps
    kept[8] = ~patient.grains
    kept[9] = ~clinician.steps
    kept[10] = ~clinician.grains


def write_turn(course: "Course", kept) -> None:
    basal = course.basal
    patient = course.boluses[0]
    clinician = course.boluses[1]
    kept[11] = not course.active[0]
    kept[12] = not course.active[1]
    kept[13] = ~course.most_steps
    kept[14] = ~course.most_grains
    kept[15] = ~course.kvo_steps
    kept[16] = ~course.kvo_grains
    kept[17] = not course.kvo
    kept[18] = ~course.index
    kept[19] = ~course.next_start
    kept[20] = ~course.flow_steps
    kept[21] = ~course.flow_grains
    kept[22] = ~course.flow
    kept[23] = ~course.shift
    kept[24] = ~basal.rate_steps
    kept[25] = ~basal.rate_grains
    kept[26] = ~basal.grains_per_step
    kept[27] = ~patient.grains_per_step
    kept[28] = ~clinician.grains_per_step


def write_boluses(course: "Course", kept) -> None:
    patient = course.boluses[0]
    clinician = course.boluses[1]
    kept[0] = ~course.wanted_steps[0]
    kept[1] = ~course.wanted_grains[0]
    kept[2] = ~patient.rate_steps
    kept[3] = ~patient.rate_grains
    kept[4] = ~patient.limit_steps
    kept[5] = ~patient.limit_grains
    kept[6] = not patient.endless
    kept[7] = ~course.wanted_steps[1]
    kept[8] = ~course.wanted_grains[1]
    kept[9] = ~clinician.rate_steps
    kept[10] = ~clinician.rate_grains
    kept[11] = ~clinician.limit_steps
    kept[12] = ~clinician.limit_grains
    kept[13] = not clinician.endless


def write_history_clock(words, kept) -> None:
    stretch = words.ledger.history.open
    reader = words.ledger.reader
    kept[0] = ~stretch.units
    kept[1] = ~stretch.steps
    kept[2] = ~stretch.remainder
    kept[3] = ~reader.unit
    kept[4] = ~reader.rest


def write_history_turn(words, kept) -> None:
    ledger = words.ledger
    history = ledger.history
    stretch = history.open
    reader = ledger.reader
    record = reader.record
    kept[5] = ~stretch.a
    kept[6] = ~stretch.b
    kept[7] = ~history.first
    kept[8] = ~history.head
    kept[9] = ~history.held_units
    kept[10] = ~ledger.parts
    kept[11] = ~ledger.epoch
    kept[12] = ~reader.at
    kept[13] = ~reader.weight
    kept[14] = ~record.kind
    kept[15] = ~record.units
    kept[16] = ~record.whole
    kept[17] = ~record.a
    kept[18] = ~record.b
    kept[19] = ~record.m
    kept[20] = not ledger.mixed
    kept[21] = ~ledger.excess
