"""The pads of an in-process board, between the rig that the pump was told and the plant's own.

The pump drives DIR and EN as it was told; driver, rotor and buttons take and give levels as the plant's rig
has them. Where the two differ the motor turns the other way, or not at all, as on a bench that is wired
wrongly.
"""

from __future__ import annotations

from thecal.rig import Rig
from thecal.signals import NETS, Inputs

from thecal_bench.plant import Plant

RESTING = {"EN": 1, "DRIVER_FAULT": 1, "BUTTON_PATIENT": 1, "BUTTON_STOP": 1, "MAINTENANCE": 1}
"""Pads with a resistor to 3.3 V, in the chip or outside; all others rest low."""


class Pads:
    """Between a `plant` and a pump that was told the rig `told`."""

    def __init__(self, plant: Plant, told: Rig) -> None:
        self.plant = plant
        self.told = told
        self.rig = rig = plant.rig
        self.turns = 1 if told.dir_forward_high == rig.dir_forward_high else -1
        """The plant's microsteps for one that the pump takes for a forward one."""
        self.driver_hears_enable = told.enable_high == rig.enable_high

    def level(self, net: str, enabled: bool, forward: bool, inputs: Inputs) -> int:
        """Of one of NETS."""
        return self.levels(enabled, forward, inputs) >> NETS.index(net) & 1

    def levels(self, enabled: bool, forward: bool, inputs: Inputs) -> int:
        """Of NETS, a bit each, between two pulses."""
        rig, plant = self.rig, self.plant
        at = dict.fromkeys(NETS, 0) | RESTING
        if self.told.missing:  # nothing is driven: a resistor holds the driver off
            at["EN"] = int(not rig.enable_high)
        else:
            at["DIR"] = int(forward == self.told.dir_forward_high)
            at["EN"] = int(enabled == self.told.enable_high)
        if rig.encoder_pulses_per_rev:
            at["ENCODER"] = plant.encoder_level()
        if rig.has_index:
            at["INDEX"] = plant.index_level()
        there = {
            "AIR": (rig.air_level, plant.air),
            "DRIVER_FAULT": (rig.fault_level, plant.driver_fault),
            "BUTTON_PATIENT": (rig.button_patient_level, inputs.button_patient),
            "BUTTON_STOP": (rig.button_stop_level, inputs.button_stop),
        }
        for net, (level, is_so) in there.items():
            if level is not None:
                at[net] = level if is_so else 1 - level
        return sum(at[net] << number for number, net in enumerate(NETS))
