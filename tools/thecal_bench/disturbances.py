"""What wires pick up and contacts do while all that they lead to is sound: the one table of it.

    event    what a pin sees

    spikes   the other level for `SPIKE_NS`, so many times, at random within a span
    bounce   for a span after each change of its level the new one and the old one in turn, `BOUNCE_NS` each:
             a contact
    tremble  the same with `TREMBLE_NS`: a comparator whose input crosses its threshold slowly

Each begins and ends with the true level. Lengths and times are drawn from the seed. Own choice, all of it: a
motor driver that chops rings for fractions of a microsecond, contacts bounce for up to some milliseconds.

Only a board with pins can be disturbed: the emulated chip is. What the firmware makes of it there is nothing,
`host_tests/chip/test_noise.py` and the cycle model of `pulse_filter` say. So to a board without pins, whose
counts are the plant's own, such an event happens and changes nothing.
"""

from __future__ import annotations

from thecal.rig import Rig

PINS = ("step_sense", "encoder", "index", "air", "driver_fault", "button_patient", "button_stop")
"""Inputs that give levels. What a spike does to an analogue input is one sample of `sensor_faults`' noise."""

SPIKES, BOUNCE, TREMBLE = KINDS = ("spikes", "bounce", "tremble")

SPIKE_NS = (20, 500)
BOUNCE_NS = (20_000, 1_000_000)
TREMBLE_NS = (200, 50_000)


def disturbed(rig: Rig, pin: str) -> bool:
    """Whether a rig has a wire to that pin."""
    if pin == "step_sense":
        return not rig.step_at_pad
    return ("fault" if pin == "driver_fault" else pin) in rig.tables
