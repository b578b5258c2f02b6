"""What is on record of the boluses that run: how large each is, where it began, and what it had given when a
reset cut it. Priming and drawing back are boluses of the clinician.

What they owe, tick by tick, is the delivery's.
"""

from ..smallint import small
from .delivery import KINDS


class Boluses:
    """One of each kind at a time (`delivery.PATIENT`, `CLINICIAN`)."""

    def __init__(self):
        self.volume_nl = [0] * KINDS  # of each that runs, rounded down; 0 while there is none
        self.from_steps = [0] * KINDS  # where the motor was when it began
        self.given_nl = [0] * KINDS  # by those that a reset cut

    def begin(self, kind, volume, at_steps):
        """One of num/den nL begins at that position."""
        self.volume_nl[kind] = small(volume[0] // volume[1]) or 1
        self.from_steps[kind] = at_steps

    def resume(self, kind, volume_nl, given_nl):
        """A reset has cut one, which had given so much at most: the basal beside it may be in it as well."""
        self.volume_nl[kind] = volume_nl
        self.given_nl[kind] = min(given_nl, volume_nl)

    def end(self, kind):
        """It is over. Returns its volume, nL; 0 where there was none."""
        volume_nl = self.volume_nl[kind]
        self.volume_nl[kind] = 0
        return volume_nl
