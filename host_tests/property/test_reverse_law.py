"""MOT-03: whatever is ordered and happens, the motor goes backward only while a line is drawn back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pump_on_bench import POST_TICKS, PumpOnBench
from thecal import states
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.plant import Plant

MOST_BACK = 1_664  # steps: 52 uL
TICK_NS = 100_000_000

THERAPY = {
    "rate_num": 3_000_000,
    "line_nl": 20_000,
    "patient_bolus": {
        "volume_nl": 20_000,
        "duration_ms": 3_000,
        "lockout_ms": 5_000,
        "max_per_day": 96,
    },
    "limit": {"volume_nl": 5_000_000, "window_ms": 3_600_000},
}
COMMANDS = {
    "start": {},
    "stop": {},
    "acknowledge": {},
    "patient_bolus": {},
    "bolus": {"volume_nl": 30_000, "duration_ms": 10_000},
    "prime": {"volume_nl": 20_000},
    "audio_pause": {},
}
WORLD = ("occlude", "unocclude", "stall", "unstall", "air", "no air", "free flow", "no free flow", "reset")
acts = st.one_of(
    st.sampled_from([*COMMANDS, "jog", *WORLD]),
    st.sampled_from(["occlude", "acknowledge", "start", "unocclude"]),
    st.integers(1, 300),
)


class Witness(PumpOnBench):
    """Sees every tick's orders, and what they led to."""

    def __init__(self) -> None:
        self.plant = Plant()
        super().__init__(self.plant)
        self.drawn = 0
        self.reversed_ticks = 0
        self.attend()

    def attend(self) -> None:
        decide = self.pump.decide
        self.before_steps = self.pump.position.executed_steps

        def witnessed(inputs, outputs):
            state = self.pump.control.state
            decide(inputs, outputs)
            back = self.before_steps - self.pump.position.executed_steps
            self.before_steps = self.pump.position.executed_steps
            if outputs.reverse:
                self.reversed_ticks += 1
                assert self.pump.control.state == states.DRAW_BACK
                assert outputs.enable and outputs.target_count
            if back > 0:
                # Steps of the tick before: the motor was drawing back then, and may have been stopped since.
                assert state == states.DRAW_BACK
                self.drawn += back
                assert self.drawn <= MOST_BACK
            if self.pump.control.state == states.RUNNING:
                self.drawn = 0
                assert not outputs.reverse

        self.pump.decide = witnessed

    def happen(self, what: str) -> None:
        now_ns = self.tick * TICK_NS
        if what == "reset":
            self.bench.reset()
            self.attend()
            self.run(BOOT_TICKS + POST_TICKS)
        elif what in ("occlude", "unocclude"):
            getattr(self.plant, what)("downstream", now_ns)
        elif what in ("stall", "unstall"):
            self.plant.set_stalled(what == "stall")
        elif what in ("air", "no air"):
            self.plant.set_air(what == "air")
        else:
            self.plant.free_flow(6_000_000 if what == "free flow" else 0, now_ns)


@pytest.mark.req("MOT-03")
@settings(max_examples=40, deadline=None)
@given(st.lists(acts, max_size=25))
@example(["start", 300, "occlude", 300, "acknowledge", 1, "stop", 20, "unocclude", "start", 100])
@example(
    ["start", 300, "occlude", 300, "acknowledge", 1, "reset", 20, "start", 50, "acknowledge", "start", 50]
)
@example(["jog", 100, "occlude", 200, "acknowledge", "jog", 3, "acknowledge", "jog", "start", 50])
@example(["start", 100, "occlude", 300, "acknowledge", "start", "start", 300, "acknowledge", "bolus", 100])
def test_the_motor_goes_back_only_while_a_line_is_drawn_back(course):
    desk = Witness()
    desk.run(20)
    desk.program(**THERAPY)
    for act in course:
        if isinstance(act, int):
            desk.run(act)
        elif act == "jog":
            proposal = desk.ask("disconnected")
            if proposal["ok"] and desk.ask("confirm", digest=proposal["digest"])["ok"]:
                desk.ask("jog", steps=1_600, rate_nl_h=6_000_000)
        elif act in COMMANDS:
            desk.ask(act, **COMMANDS[act])
        else:
            desk.happen(act)
            desk.run(1)
    desk.run(20)


@pytest.mark.req("MOT-03")
def test_the_witness_has_something_to_see():
    desk = Witness()
    desk.run(20)
    desk.program(**THERAPY)
    desk.ask("start")
    desk.run(300)
    desk.happen("occlude")
    desk.run(300)
    assert desk.pump.control.state == states.HALTED
    desk.ask("acknowledge")
    desk.run(20)
    assert desk.reversed_ticks and desk.drawn > 16
