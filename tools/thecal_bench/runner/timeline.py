"""What is to happen when: commands, and what the world does to the board and to its plant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from thecal.clock import TICK_MS
from thecal_model.therapy import Therapy

from thecal_bench.bench import Bench, NotPossible
from thecal_bench.checks import PATIENT, Bolus
from thecal_bench.line import TONE_HZ, TONE_PA, TONES
from thecal_bench.plant import Plant
from thecal_bench.run_log import RunLog
from thecal_bench.runner.commands import HAND_TICKS, Commands
from thecal_bench.runner.findings import Findings
from thecal_bench.scenario import ON_THE_LINK, ON_THE_WIRES, Event, Scenario


def _set_tone(name: str, plant: Plant, keys: Mapping[str, Any], now_ns: int) -> None:
    amplitude_pa, hz = keys.get("amplitude", TONE_PA[name]), keys.get("frequency", TONE_HZ[name])
    plant.set_tone(name, amplitude_pa, hz, now_ns)


ON_PLANT: dict[str, Callable[[Plant, Mapping[str, Any], int], None]] = {
    "occlude": lambda plant, keys, now_ns: plant.occlude(keys["where"], now_ns),
    "unocclude": lambda plant, keys, now_ns: plant.unocclude(keys["where"], now_ns),
    "stall": lambda plant, keys, now_ns: plant.set_stalled(True),
    "unstall": lambda plant, keys, now_ns: plant.set_stalled(False),
    "free_flow": lambda plant, keys, now_ns: plant.free_flow(keys["rate"], now_ns),
    "air": lambda plant, keys, now_ns: plant.set_air(True),
    "sensor_fault": lambda plant, keys, now_ns: plant.sensor_fault(keys["which"], keys["kind"], now_ns),
    "low_supply": lambda plant, keys, now_ns: plant.set_supply(keys["to"]),
    "height": lambda plant, keys, now_ns: plant.set_height(keys["to"], now_ns),
    **{name: partial(_set_tone, name) for name in TONES},
}
"""What an event of `scenario.ON_THE_PLANT` does to the plant, given its keys and the plant's time."""


def ticks(ms: int) -> int:
    """The first tick at or after `ms`, or ticks that last as long."""
    return -(-ms // TICK_MS)


class Timeline:
    """Lays out the events of a scenario from `begin_tick` on, the device's at t=0."""

    def __init__(
        self, bench: Bench, log: RunLog, findings: Findings, commands: Commands, begin_tick: int
    ) -> None:
        self._bench = bench
        self._log = log
        self._findings = findings
        self._commands = commands
        self._begin = begin_tick

    def lay(self, scenario: Scenario) -> None:
        """Give commands to those who send them, and everything else to the bench, for their ticks."""
        bench, commands, therapy = self._bench, self._commands, scenario.therapy
        for event in scenario.events:
            tick = self._begin + ticks(event.at_ms)
            therapy = event.therapy or therapy
            bolus = None
            if event.asks_for_a_bolus:
                bolus = _bolus_of(event, ticks(event.at_ms), therapy)
                self._findings.boluses.append(bolus)
            if event.do == "pair" and bench.plant is None:
                why = "nobody is there to press its STOP button; `thecal pair` pairs it"
                bench.schedule(tick, partial(self._findings.skipped, event, why, None))
                continue
            if event.do == "power_cut":
                commands.is_dark_from(tick, tick + ticks(event.for_ms))
            if event.do in ON_THE_LINK:
                commands.add(event, tick, bolus)
            else:
                bench.schedule(tick, self._action(event, bolus))
            if event.do == "pair":
                bench.schedule(tick + HAND_TICKS, commands.hand)
                commands.stops(tick + HAND_TICKS, tick + 2 * HAND_TICKS)
            if event.do == "stop" or event.button == "stop":
                commands.stops(tick, tick + (ticks(event.for_ms) if event.button else 0))
            if event.do == "refill" and event.volume_nl is not None and bench.plant is not None:
                bench.schedule(tick, partial(bench.plant.refill, event.volume_nl))

    def _action(self, event: Event, bolus: Bolus | None) -> Callable[[], None]:
        bench = self._bench
        do = {
            "hang": bench.hang,
            "reset": bench.reset,
            "power_cut": lambda: bench.power_cut(ticks(event.for_ms)),
            "host_disconnect": bench.host_disconnect,
            "host_connect": bench.host_connect,
            "press": lambda: bench.press(event.button or "", ticks(event.for_ms)),
            **dict.fromkeys(ON_THE_WIRES, partial(self._disturb, event)),
        }.get(event.do, partial(self._act_on_plant, event))

        def act() -> None:
            try:
                do()
            except NotPossible as why:
                self._findings.skipped(event, str(why), bolus)
            else:
                if event.do.startswith("host_"):
                    self._commands.connected = event.do == "host_connect"
                elif event.do in ("reset", "power_cut"):
                    self._starts_anew(ticks(event.at_ms), event.do)

        return act

    def _starts_anew(self, tick: int, cause: str) -> None:
        self._findings.starts_anew(tick)
        self._findings.records.append({"type": "state", **self._log.start_anew(tick, cause).record()})

    def _disturb(self, event: Event) -> None:
        keys = event.keys
        self._bench.disturb(event.do, keys["which"], keys["for"], keys.get("count", 0))

    def _act_on_plant(self, event: Event) -> None:
        bench, plant = self._bench, self._bench.plant
        if plant is None:
            raise NotPossible("this board has no plant to act on")
        ON_PLANT[event.do](plant, event.keys, bench.now_ns)
        if event.do == "air" and event.for_ms:
            bench.schedule(bench.tick + 1 + ticks(event.for_ms), partial(plant.set_air, False))


def _bolus_of(event: Event, tick: int, therapy: Therapy) -> Bolus:
    """The bolus that `event` asks for while `therapy` is in force."""
    if event.bolus is not None:
        return Bolus(event.at_ms, tick, event.bolus.volume_nl, event.bolus.rate_nl_h)
    volume_nl = rate_nl_h = Fraction(0)
    if therapy.patient_bolus is not None:
        volume_nl = therapy.patient_bolus.volume_in_nl(therapy.concentration_pg_nl)
        rate_nl_h = therapy.patient_bolus.flow_nl_h(therapy.concentration_pg_nl)
    pressed = event.do == "press"
    return Bolus(event.at_ms, tick, int(volume_nl), rate_nl_h, kind=PATIENT, pressed=pressed)
