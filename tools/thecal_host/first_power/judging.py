"""How far a rotor went for so many microsteps, and what in the rig explains a difference."""

from __future__ import annotations

import math
from fractions import Fraction

from thecal.rig import Rig

from thecal_host.first_power import Finding, Verdict

AGREE_PULSES = 2
"""As the pump itself has it (MOT-02)."""

AGREE_PART = Fraction(1, 5)
"""What somebody who looks at a mark may be off by. The least mistake in microsteps is a factor of two."""

MOST_OFF = 1.3
"""A power of two explains what is no further from it than by this factor."""

DRIVER = (
    "look at the motor supply, the driver's current limit and the motor's two coils; and at EN: "
    "the rig says that the driver is on while EN is {on}, so if it holds the shaft at the wrong time write "
    '[driver] enable = "{other}"'
)


def level_name(level: int) -> str:
    """As rig files have it."""
    return "high" if level else "low"


def still(rig: Rig) -> Finding:
    """A motor that did not move."""
    on = int(rig.enable_high)
    do = DRIVER.format(on=level_name(on), other=level_name(1 - on))
    return Finding("motor", Verdict.WRONG, "it was told to turn, and the rotor stands", do)


def by_pulses(rig: Rig, steps: int, pulses: int) -> Finding:
    """So many pulses of the encoder came for so many microsteps."""
    due = Fraction(steps * rig.encoder_pulses_per_rev, rig.steps_per_rev)
    says = f"{pulses} pulses of the encoder for {float(due):.1f} due"
    if abs(pulses - due) <= AGREE_PULSES:
        return Finding("turn", Verdict.GOOD, says)
    # The pump stops a rotor that is off by more than this at once: half a pulse either way counts then.
    turned = max(pulses + (Fraction(1, 2) if pulses < due else -Fraction(1, 2)), Fraction(0))
    do = _explained(rig, turned / due, "pulses_per_rev of the encoder")
    return Finding("turn", Verdict.WRONG, says, do)


def by_eye(rig: Rig, share: Fraction, turns: Fraction) -> Finding:
    """The mark went by `turns` where `share` of one was due."""
    says = f"the mark went {float(turns):.3g} turns for {share} due"
    if abs(turns - share) <= AGREE_PART * share:
        return Finding("turn", Verdict.GOOD, says)
    return Finding("turn", Verdict.WRONG, says, _explained(rig, abs(turns) / share, "full_steps"))


def _explained(rig: Rig, ratio: Fraction, other: str) -> str:
    """What to write where the rotor went `ratio` times as far as the rig says."""
    far = f"the rotor goes {float(ratio):.2g} times as far as the rig says: "
    now = rig.tables["motor"]["microsteps"]
    if ratio == 0:
        return f"nothing turned: see the motor, and {other}"
    power = round(math.log2(now / ratio))
    wanted = 2 ** max(power, 0)
    close = wanted != now and max(wanted * ratio / now, now / (wanted * ratio)) <= MOST_OFF
    if close:
        return (
            f"{far}the driver is set to 1/{wanted} step, the rig to 1/{now}; "
            f"write [motor] microsteps = {wanted}, or set the driver to 1/{now}"
        )
    return f"{far}look at [motor] microsteps (now {now}), gear, and {other}"
