"""The steps with the motor: is the shaft free, EN, STEP and its way back, direction, turn, encoder, index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal.handlers.service import MOST_JOG_NL_H
from thecal.rig import Rig
from thecal_model.asking import Ask, Onlooker
from thecal_model.text import failed_text

from thecal_host.first_power import Finding, Verdict
from thecal_host.first_power.judging import by_eye, by_pulses, level_name, still
from thecal_host.pump import Pump, PumpError

LONGEST_MIN = 2
"""A turn that takes longer at the fastest rate is not made whole."""

FIRST_PART = 10
"""The first motion is this part of it: enough to see which way it goes."""


class NotDisconnected(PumpError):
    """Somebody may be connected: nothing is moved."""


@dataclass(frozen=True)
class Moved:
    """What came of a jog."""

    ordered: int
    counted: int
    pulses: int
    marks: int
    en: int
    alarms: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


class Motor:
    """The motor of one pump, told `rig`."""

    def __init__(self, pump: Pump, rig: Rig, onlooker: Onlooker) -> None:
        self.pump = pump
        self.rig = rig
        self.onlooker = onlooker
        self.on_level = int(rig.enable_high)
        self.allowed = 0
        self.rate_nl_h = min(MOST_JOG_NL_H, pump.hello["max_rate_nl_h"])
        divisor = 1
        while rig.nl_per_rev * 60 > self.rate_nl_h * LONGEST_MIN * divisor:
            divisor *= 2
        self.share = Fraction(1, divisor)
        self.steps = rig.steps_per_rev // divisor

    def probe(self) -> dict[str, Any]:
        """What the pins say."""
        return self.pump.ask("probe")

    # --- at rest

    def shaft(self) -> Finding:
        """Nothing is to move before this is good."""
        off = level_name(1 - self.on_level)
        if self.probe()["levels"]["EN"] == self.on_level:
            return Finding(
                "shaft", Verdict.WRONG, f"EN is {level_name(self.on_level)} while the pump holds it {off}",
                "cut the motor supply; EN is shorted, or wired to another pin",
            )  # fmt: skip
        text = "Motor supply on, pump at rest. Turn the shaft by a hair with two fingers: is it free?"
        if self.onlooker.yes(Ask.SHAFT_FREE, text):
            return Finding("shaft", Verdict.GOOD, f"free while EN is {off}")
        return Finding(
            "shaft", Verdict.WRONG, f"the driver holds the motor while EN is {off}, which the rig calls off",
            f"cut the motor supply; where the driver is on while EN is {off} write "
            f'[driver] enable = "{off}", else EN does not reach it; and a resistor of 4.7 kOhm must hold EN '
            "off while the board is in reset",
        )  # fmt: skip

    def stop_pressed(self) -> bool:
        """Whether the STOP button keeps the pump from moving."""
        return self.probe()["levels"]["BUTTON_STOP"] == self.rig.button_stop_level

    # --- moving

    def check(self) -> Iterator[Finding]:
        """Step by step, until something is wrong that all that follows depends on."""
        self._disconnect()
        self.onlooker.please(Ask.MARK, "Put a mark on the rotor, where you can see it. The motor will turn.")
        first = self.jog(max(self.steps // FIRST_PART, 1))
        for finding in self._first(first):
            yield finding
            if finding.verdict is Verdict.WRONG:
                return
        second = self.jog(self.steps - first.ordered)
        both = Moved(
            first.ordered + second.ordered, first.counted + second.counted, first.pulses + second.pulses,
            first.marks + second.marks, second.en, second.alarms, second.failed,
        )  # fmt: skip
        yield from self._whole(both)

    def _first(self, moved: Moved) -> Iterator[Finding]:
        yield self._en(moved)
        yield self._step(moved)
        if self.rig.encoder_pulses_per_rev:
            if moved.pulses == 0:
                yield self._no_pulse()
            elif moved.alarms:
                yield by_pulses(self.rig, moved.counted, abs(moved.pulses))
        elif not self.onlooker.yes(Ask.MOVED, "Has the rotor moved?"):
            yield still(self.rig)
        if moved.alarms:
            yield self._alarmed(moved)
        yield self._direction()

    def _whole(self, moved: Moved) -> Iterator[Finding]:
        rig = self.rig
        if rig.encoder_pulses_per_rev:
            turn = by_pulses(rig, moved.counted, moved.pulses)
        else:
            text = f"By how many turns has the mark gone in all? {self.share} would be right."
            turn = by_eye(rig, self.share, self.onlooker.number(Ask.TURNS, text))
        yield turn
        if turn.verdict is Verdict.GOOD and moved.alarms:
            yield self._alarmed(moved)
        if not rig.encoder_pulses_per_rev:
            yield Finding("encoder", Verdict.NOT_FITTED)
        elif turn.verdict is Verdict.GOOD:
            yield Finding("encoder", Verdict.GOOD, turn.says)
        yield self._index(moved)

    def _index(self, moved: Moved) -> Finding:
        if not self.rig.has_index:
            return Finding("index", Verdict.NOT_FITTED)
        if self.share < 1:
            says = "a whole turn of this head takes too long here; its first one in use is watched"
            return Finding("index", Verdict.NOT_TRIED, says)
        if moved.marks == 1:
            return Finding("index", Verdict.GOOD, "one mark in a turn")
        do = "look at its wire, and at the distance between mark and switch"
        return Finding("index", Verdict.WRONG, f"{moved.marks} marks in a turn", do)

    def _en(self, moved: Moved) -> Finding:
        level = level_name(moved.en)
        if moved.en == self.on_level:
            return Finding("EN", Verdict.GOOD, f"{level} while it turns")
        do = "the pump drives it, and it does not follow: EN is shorted, or wired to another pin"
        return Finding("EN", Verdict.WRONG, f"{level} while it turns", do)

    def _step(self, moved: Moved) -> Finding:
        """A jog that an alarm ended made fewer steps than it was to make."""
        way = "the chip's own pad" if self.rig.step_at_pad else "the wire to STEP_SENSE"
        says = f"{moved.counted} of {moved.ordered} pulses came back by {way}"
        if moved.counted > moved.ordered:
            do = "spikes are counted: lead the wire away from the motor's, ground it well"
            return Finding("STEP", Verdict.WRONG, says, do)
        if ("step_sense", "missing") in moved.failed or (moved.counted < moved.ordered and not moved.alarms):
            do = "run a wire from the driver's STEP pin, at the driver's end, to STEP_SENSE"
            if self.rig.step_at_pad:
                do = "STEP is shorted, or wired to another output"
            return Finding("STEP", Verdict.WRONG, says, do)
        return Finding("STEP", Verdict.GOOD, says)

    def _no_pulse(self) -> Finding:
        if not self.onlooker.yes(Ask.MOVED, "The encoder has given no pulse. Has the rotor moved?"):
            return still(self.rig)
        now = self.rig.tables["motor"]["microsteps"]
        do = (
            "look at its supply and its wire; an open-collector output needs 4.7 kOhm to 3.3 V; if all is "
            f"right, the driver's microsteps are finer than the rig's 1/{now}: see what it is set to"
        )
        return Finding("encoder", Verdict.WRONG, "the rotor moved, and no pulse came", do)

    def _direction(self) -> Finding:
        if self.onlooker.yes(Ask.FORWARD, "Did the rotor go from inlet to outlet?"):
            return Finding("direction", Verdict.GOOD, "from inlet to outlet")
        other = level_name(0 if self.rig.dir_forward_high else 1)
        return Finding(
            "direction", Verdict.WRONG, "the rotor goes from outlet to inlet",
            f'write [driver] dir_forward = "{other}", or swap the two wires of one coil, power off',
        )  # fmt: skip

    def _alarmed(self, moved: Moved) -> Finding:
        failed = f" ({failed_text(moved.failed)})" if moved.failed else ""
        do = "`thecal alarms` says more; mend it, `thecal acknowledge`, and check again"
        return Finding("motor", Verdict.WRONG, f"stopped by {', '.join(moved.alarms)}{failed}", do)

    # --- the jog

    def jog(self, steps: int) -> Moved:
        """Turn, and wait until the pump rests again. Whatever ends it early leaves it STOPPED."""
        pump = self.pump
        before = self.probe()["counts"]
        while self.allowed < steps:
            self._disconnect()
        self.allowed = pump.ask("jog", steps=steps, rate_nl_h=self.rate_nl_h)["left_steps"]
        try:
            en = self.probe()["levels"]["EN"]
            while pump.status()["state"] == "JOGGING":
                pump.poll(0.2)
        except BaseException:
            pump.ask("stop")
            raise
        pump.status()  # a tick later all that it made is counted
        after = self.probe()["counts"]
        said = pump.ask("alarms")
        stopped = tuple(code for code, _ in said["alarms"]) if said["state"] == "HALTED" else ()
        return Moved(
            steps, after["steps"] - before["steps"], after["encoder"] - before["encoder"],
            after["index"] - before["index"], en, stopped, tuple((part, how) for part, how in said["failed"]),
        )  # fmt: skip

    def _disconnect(self) -> None:
        proposal = self.pump.propose_disconnected()
        text = "Is no patient connected, no animal, and does the outlet end in a beaker of water?"
        if not self.onlooker.yes(Ask.DISCONNECTED, text):
            raise NotDisconnected("then nothing is moved; disconnect the line and check again")
        self.pump.confirm(proposal)
        self.allowed = proposal.readback["jog_steps"]
