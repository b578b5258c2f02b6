"""The steps without the motor: sensors at rest, supply, sounder, buttons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from thecal.rig import Rig, Scale
from thecal_model.asking import Ask, Onlooker

from thecal_host.first_power import Finding, Verdict
from thecal_host.first_power.judging import level_name
from thecal_host.pump import Pump

RESTS_PA = 10_000
"""A metre of water. With the line open at both ends and the pump at rest no sensor feels more."""

AGREE_V = 0.5
"""By so much a meter and the divider may differ."""

PRESS_S = 30.0
"""So long somebody has to press a button, and then to let go of it."""

HOW = {
    "open": "nothing drives the pin: look at the sensor's wire and supply",
    "short": "the pin is at one of its ends: look for a short, and at the sensor's supply",
    "stuck": "it does not change at all, as no sensor stands still: look at its wire",
    "range": "beyond what the rig calls plausible: look at zero, slope, least and most",
    "noise": "it jumps: look at its ground, and at a wire without contact",
}
"""What to look at, by how a part has failed (`thecal.watch.parts.KINDS`)."""


class Senses:
    """The senses of one pump, told `rig`; `failed` is what it says of its parts."""

    def __init__(self, pump: Pump, rig: Rig, onlooker: Onlooker, failed: Mapping[str, str]) -> None:
        self.pump = pump
        self.rig = rig
        self.onlooker = onlooker
        self.failed = failed

    def check(self) -> Iterator[Finding]:
        """Part by part; none depends on another."""
        pins = self.pump.ask("probe")
        yield self._pressure("pressure_down", self.rig.pressure_down, pins)
        yield self._pressure("pressure_up", self.rig.pressure_up, pins)
        yield self._fault(pins["levels"])
        yield self._air(pins["levels"])
        yield self._supply(pins["adc"])
        yield self._sounder()
        yield self._button("STOP", self.rig.button_stop_level, Ask.PRESS_STOP)
        yield self._button("PATIENT", self.rig.button_patient_level, Ask.PRESS_PATIENT)

    def _pressure(self, part: str, scale: Scale | None, pins: Mapping[str, Any]) -> Finding:
        if scale is None:
            return Finding(part, Verdict.NOT_FITTED)
        code = pins["adc"][part.upper()]
        pa = (code - scale.zero_code) * scale.num // scale.den
        says = f"{pa / 1000:+.2f} kPa (code {code})"
        if part in self.failed:
            return self._failed(part, says)
        if not scale.least <= pa <= scale.most:
            return Finding(part, Verdict.WRONG, says, HOW["range"])
        if abs(pa) > RESTS_PA:
            do = f"with the line open it should be near 0: zero is at code {code} then, not {scale.zero_code}"
            return Finding(part, Verdict.WRONG, says, do)
        return Finding(part, Verdict.GOOD, says)

    def _failed(self, part: str, says: str) -> Finding:
        how = self.failed[part]
        do = HOW.get(how, "look at its wiring") + "; then reset the pump, which tests itself again"
        return Finding(part, Verdict.WRONG, f"{says}; the self-test says: {how}", do)

    def _fault(self, levels: Mapping[str, int]) -> Finding:
        level = self.rig.fault_level
        if level is None:
            return Finding("driver fault", Verdict.NOT_FITTED)
        if levels["DRIVER_FAULT"] != level:
            return Finding("driver fault", Verdict.GOOD, f"none: {level_name(1 - level)}")
        other = level_name(1 - level)
        do = f'is the driver hot, or short of supply? If all is well write [driver.fault] level = "{other}"'
        return Finding("driver fault", Verdict.WRONG, f"the driver says {level_name(level)}, a fault", do)

    def _air(self, levels: Mapping[str, int]) -> Finding:
        level = self.rig.air_level
        if level is None:
            return Finding("air", Verdict.NOT_FITTED)
        sees = levels["AIR"] == level
        if self.onlooker.yes(Ask.AIR, "Is there air in the air detector now?") == sees:
            return Finding("air", Verdict.GOOD, "it sees air" if sees else "it sees none")
        do = f'look at its wire; where it is right write [sense.air] level = "{level_name(1 - level)}"'
        return Finding("air", Verdict.WRONG, f"it sees {'air' if sees else 'none'}, and that is not so", do)

    def _supply(self, codes: Mapping[str, int]) -> Finding:
        scale = self.rig.supply
        if scale is None:
            return Finding("supply", Verdict.NOT_FITTED)
        code = codes["SUPPLY"]
        volts = code * scale.num / scale.den / 1000
        says = f"{volts:.2f} V (code {code})"
        if "supply" in self.failed:
            return self._failed("supply", says)
        meter = float(
            self.onlooker.number(Ask.VOLTS, "What does a meter show at the motor supply, in volts?")
        )
        if abs(meter - volts) > AGREE_V:
            do = (
                f"write a [sense.supply] divider {volts / meter:.3g} times as large"
                if meter
                else "switch it on"
            )
            return Finding("supply", Verdict.WRONG, f"{says}, and {meter:g} V by the meter", do)
        if volts * 1000 < self.rig.supply_low_mv:
            return Finding("supply", Verdict.WRONG, says, f"low is below {self.rig.supply_low_mv / 1000:g} V")
        return Finding("supply", Verdict.GOOD, says)

    def _sounder(self) -> Finding:
        if not self.rig.has_sounder:
            return Finding("sounder", Verdict.NOT_FITTED)
        if "buzzer" in self.failed:
            do = "run a wire back from the sounder's input to BUZZER_SENSE, or write [sounder] sensed = false"
            return Finding("sounder", Verdict.WRONG, "no tone came back at the self-test", do)
        if self.rig.sounder_sensed:
            return Finding("sounder", Verdict.GOOD, "its tone came back at the self-test")
        text = "Plug the board in again where need be: does the sounder tick once as it starts?"
        if self.onlooker.yes(Ask.SOUND, text):
            return Finding("sounder", Verdict.GOOD, "heard")
        return Finding("sounder", Verdict.WRONG, "not heard", "look at its transistor and its wire to BUZZER")

    # --- buttons

    def _button(self, name: str, level: int | None, ask: Ask) -> Finding:
        part = f"{name} button"
        if level is None:
            return Finding(part, Verdict.NOT_FITTED)
        net = f"BUTTON_{name}"
        table = "button.stop" if name == "STOP" else "button.patient"
        if self.pump.ask("probe")["levels"][net] == level:
            do = f'let go of it; if nobody presses write [{table}] level = "{level_name(1 - level)}"'
            return Finding(part, Verdict.WRONG, f"{level_name(level)} at rest, which is pressed", do)
        self.onlooker.please(ask, f"Press the {name} button now, hold it for two seconds, and let go.")
        if not self._comes_to(net, level):
            return Finding(
                part, Verdict.WRONG, f"not seen in {PRESS_S:g} s", "look at its wire, and at its ground"
            )
        if not self._comes_to(net, 1 - level):
            return Finding(
                part, Verdict.WRONG, f"still pressed after {PRESS_S:g} s", "it sticks, or is shorted"
            )
        return Finding(part, Verdict.GOOD, "pressed and let go")

    def _comes_to(self, net: str, level: int) -> bool:
        pump = self.pump
        until_s = pump.clock_s() + PRESS_S
        while pump.clock_s() < until_s:
            if pump.ask("probe")["levels"][net] == level:
                return True
            pump.poll(0.2)
        return False
