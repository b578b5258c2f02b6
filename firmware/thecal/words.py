"""The critical words (SAFE-07): which numbers the dose depends on, and when each of them is compared.

The table is `NAMES`: four groups of words, each named by its way from the pump. What is kept of them, and how
it is compared, is `watch/twice.py`. A group is compared before the part of the tick that is the first to use
it and kept again as soon as the part that changes it is done; between the two nothing may change it:

    SET      limits, levels, calibration, the state: change by an order, an alarm or a reset only; compared
             at the beginning of the tick
    TIME     clock, steps made, windows: compared at the beginning of the tick, kept once time has passed
    DOSE     what is owed: compared and kept around the passing of a tick of it
    GUARD    the furthest order and how far the next may go: around `watch` and around the orders
    PLAN     what is planned: around the orders

An order from outside may change any of them. Then all groups are compared before it is carried out, and all
are kept when it is done. The number of a word, as the event log gives it, is its place in `NAMES`.
"""

import struct

from .watch.twice import Twice

FLOW = (
    "steps",
    "grains",
    "rate_steps",
    "rate_grains",
    "endless",
    "limit_steps",
    "limit_grains",
    "grains_per_step",
)
COURSE = (
    "active[0]",
    "active[1]",
    "wanted_steps[0]",
    "wanted_steps[1]",
    "wanted_grains[0]",
    "wanted_grains[1]",
    "most_steps",
    "most_grains",
    "kvo_steps",
    "kvo_grains",
    "kvo",
    "week_tick",
    "index",
    "next_start",
)
FLOWS = ("basal", "boluses[0]", "boluses[1]")
COURSE_NAMES = COURSE + tuple([flow + "." + word for flow in FLOWS for word in FLOW])

SET, TIME, DOSE, GUARD, PLAN = range(5)
NAMES = (
    (
        "state",
        "base_steps",
        "drawn_from_steps",
        "clock_offset",
        "clock_known",
        "post_failures",
        "guard.limit_steps",
        "guard.reservoir_most",
        "guard.segment_most[1]",
        "guard.segment_most[2]",
        "guard.nl_per_rev",
        "guard.steps_per_rev",
        "reservoir.known",
        "reservoir.low_steps",
        "reservoir.empty_steps",
        "reservoir.fill_steps",
        "lockout.count",
        "lockout.end_tick",
        "lockout.ended",
        "ledger.window_ticks",
        "ledger.window.bucket_ticks",
        "ledger.window.size",
        "ledger.day.bucket_ticks",
        "ledger.day.size",
        "mechanism.nl_per_rev",
        "mechanism.steps_per_rev",
        "mechanism.grains_per_step",
        "delivery.quarter",
        "bridge.old",
        "bridge.new",
        "prescription.patient_bolus.lockout_ticks",
        "prescription.patient_bolus.max_per_day",
    ),
    (
        "tick",
        "tick_s",
        "tick_ms",
        "board_s",
        "board_ms",
        "executed_steps",
        "ledger_steps",
        "prime_left_steps",
        "bridge.left_steps",
        "ledger.window.total",
        "ledger.window.index",
        "ledger.window.left_ticks",
        "ledger.day.total",
        "ledger.day.index",
        "ledger.day.left_ticks",
    ),
    ("delivery.origin_steps", "delivery.ahead") + tuple(["delivery.owed." + name for name in COURSE_NAMES]),
    ("guard.ordered_steps", "guard.window_most"),
    ("planned_steps",) + tuple(["delivery.planned." + name for name in COURSE_NAMES]),
)
GROUPS = range(len(NAMES))
COURSE_BYTES = 4 * len(COURSE)
FLOW_BYTES = 4 * len(FLOW)


def _pack_set(pump, into):
    guard = pump.guard
    reservoir = pump.reservoir
    lockout = pump.lockout
    ledger = pump.ledger
    window = ledger.window
    day = ledger.day
    mechanism = pump.mechanism
    bridge = pump.bridge
    bolus = pump.prescription.patient_bolus if pump.prescription else None
    struct.pack_into(
        "<32i",
        into,
        0,
        ~pump.state,
        ~pump.base_steps,
        ~pump.drawn_from_steps,
        ~pump.clock_offset,
        not pump.clock_known,
        ~pump.post_failures,
        ~guard.limit_steps,
        ~guard.reservoir_most,
        ~guard.segment_most[1],
        ~guard.segment_most[2],
        ~guard.nl_per_rev,
        ~guard.steps_per_rev,
        not reservoir.known,
        ~reservoir.low_steps,
        ~reservoir.empty_steps,
        ~reservoir.fill_steps,
        ~lockout.count,
        ~lockout.end_tick,
        not lockout.ended,
        ~ledger.window_ticks,
        ~window.bucket_ticks,
        ~window.size,
        ~day.bucket_ticks,
        ~day.size,
        ~mechanism.nl_per_rev,
        ~mechanism.steps_per_rev,
        ~mechanism.grains_per_step,
        ~pump.delivery.quarter,
        ~bridge.old if bridge else 0,
        ~bridge.new if bridge else 0,
        ~bolus.lockout_ticks if bolus else 0,
        ~bolus.max_per_day if bolus else 0,
    )


def _pack_time(pump, into):
    window = pump.ledger.window
    day = pump.ledger.day
    struct.pack_into(
        "<15i",
        into,
        0,
        ~pump.tick,
        ~pump.tick_s,
        ~pump.tick_ms,
        ~pump.board_s,
        ~pump.board_ms,
        ~pump.executed_steps,
        ~pump.ledger_steps,
        ~pump.prime_left_steps,
        ~pump.bridge.left_steps if pump.bridge else 0,
        ~window.total,
        ~window.index,
        ~window.left_ticks,
        ~day.total,
        ~day.index,
        ~day.left_ticks,
    )


def _pack_course(course, into, offset):
    wanted_steps = course.wanted_steps
    wanted_grains = course.wanted_grains
    struct.pack_into(
        "<14i",
        into,
        offset,
        not course.active[0],
        not course.active[1],
        ~wanted_steps[0],
        ~wanted_steps[1],
        ~wanted_grains[0],
        ~wanted_grains[1],
        ~course.most_steps,
        ~course.most_grains,
        ~course.kvo_steps,
        ~course.kvo_grains,
        not course.kvo,
        ~course.week_tick,
        ~course.index,
        ~course.next_start,
    )
    offset += COURSE_BYTES
    _pack_flow(course.basal, into, offset)
    _pack_flow(course.boluses[0], into, offset + FLOW_BYTES)
    _pack_flow(course.boluses[1], into, offset + 2 * FLOW_BYTES)


def _pack_flow(flow, into, offset):
    struct.pack_into(
        "<8i",
        into,
        offset,
        ~flow.steps,
        ~flow.grains,
        ~flow.rate_steps,
        ~flow.rate_grains,
        not flow.endless,
        ~flow.limit_steps,
        ~flow.limit_grains,
        ~flow.grains_per_step,
    )


def _pack_dose(pump, into):
    delivery = pump.delivery
    struct.pack_into("<2i", into, 0, ~delivery.origin_steps, ~delivery.ahead)
    _pack_course(delivery.owed, into, 8)


def _pack_guard(pump, into):
    struct.pack_into("<2i", into, 0, ~pump.guard.ordered_steps, ~pump.guard.window_most)


def _pack_plan(pump, into):
    struct.pack_into("<i", into, 0, ~pump.planned_steps)
    _pack_course(pump.delivery.planned, into, 4)


PACKERS = (_pack_set, _pack_time, _pack_dose, _pack_guard, _pack_plan)


class Words:
    """The second copies of the critical words of `pump`. Once they are not `trusted` any more nothing is
    compared or kept: there is nothing right to be kept.
    """

    def __init__(self, pump):
        self.trusted = True
        self.pump = pump
        self.copies = [Twice(len(names)) for names in NAMES]

    def agree(self, group):
        """Whether both copies of all words of a group say the same."""
        if not self.trusted:
            return True
        copy = self.copies[group]
        PACKERS[group](self.pump, copy.now)
        return copy.agrees()

    def keep(self, group):
        """The words of a group were changed, by whom it is right."""
        if self.trusted:
            PACKERS[group](self.pump, self.copies[group].kept)

    def keep_all(self):
        """Any word was changed, by whom it is right."""
        for group in GROUPS:
            self.keep(group)

    def differing(self, group):
        """The numbers of the words of a group that differed when it was compared last."""
        first = sum([len(names) for names in NAMES[:group]])
        return [first + number for number in self.copies[group].differing()]


def name(number):
    """The name of a word, for people."""
    for names in NAMES:
        if number < len(names):
            return names[number]
        number -= len(names)
    raise IndexError("no critical word has the number %d" % number)
