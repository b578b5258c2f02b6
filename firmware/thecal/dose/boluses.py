"""What is on record of the boluses that run: how large each is, where it began, and what it had given when a
reset cut it. Priming and drawing back are boluses of the clinician.

What they owe, tick by tick, is the delivery's.
"""

from .. import plain
from ..smallint import small
from .course import KINDS
from .prescription import MOST_BOLUS_MS, MOST_BOLUS_NL, PrescriptionError
from .units import reduced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .course import Course
    from .mechanism import Mechanism


class Boluses:
    """One of each kind at a time (`delivery.PATIENT`, `CLINICIAN`)."""

    def __init__(self) -> None:
        self.volume_nl = [0] * KINDS  # of each that runs, rounded down; 0 while there is none
        self.from_steps = [0] * KINDS  # where the motor was when it began
        self.given_nl = [0] * KINDS  # by those that a reset cut

    def begin(self, kind: int, volume: tuple, at_steps: int) -> None:
        """One of num/den nL begins at that position."""
        self.volume_nl[kind] = small(volume[0] // volume[1]) or 1
        self.from_steps[kind] = at_steps

    def resume(self, kind: int, volume_nl: int, given_nl: int) -> None:
        """A reset has cut one, which had given so much at most: the basal beside it may be in it as well."""
        self.volume_nl[kind] = volume_nl
        self.given_nl[kind] = min(given_nl, volume_nl)

    def end(self, kind: int) -> int:
        """It is over. Returns its volume, nL; 0 where there was none."""
        volume_nl = self.volume_nl[kind]
        self.volume_nl[kind] = 0
        return volume_nl


def bolus_rate(owed: "Course", mechanism: "Mechanism", volume_nl: int, duration_ms: int):
    """The rate that a clinician bolus asks for, a reduced fraction of nL/h: VTBI/duration, slowed to one that
    the mechanism reaches. Any duration up to 24 h will do, so that it may be far slower than a basal
    (DOSE-08). And that rate, or what the basal of this moment leaves of the profile's `max_rate` (DOSE-12):
    the step of the day that comes next may leave more, or less. Raises PrescriptionError.
    """
    problems = []
    most_nl = min(MOST_BOLUS_NL, mechanism.most_nl)
    if not 0 < volume_nl <= most_nl:
        most = plain.volume(most_nl)
        found = plain.volume(volume_nl, unlike=most)
        problems.append("volume_nl: %s, must be 1 nL to %s" % (found, most))
    if not 0 < duration_ms <= MOST_BOLUS_MS:
        most = plain.time(MOST_BOLUS_MS)
        found = plain.time(duration_ms, unlike=most)
        problems.append("duration_ms: %s, must be 1 ms to %s" % (found, most))
    if problems:
        raise PrescriptionError(problems)
    rate = reduced(volume_nl * 3_600_000, duration_ms)
    most_nl_h = mechanism.max_rate_nl_h()
    rate = mechanism.reachable_below(*(rate if rate[0] <= most_nl_h * rate[1] else (most_nl_h, 1)))
    if rate[0] == 0:
        raise PrescriptionError(["bolus: slower than the pump can flow"])
    one = mechanism.grains_per_step
    steps, grains = owed.most_steps - owed.basal.rate_steps, owed.most_grains - owed.basal.rate_grains
    room = mechanism.rate_nl_h(steps * one + grains, one)
    if room[0] <= 0:
        raise PrescriptionError(["bolus: the basal takes all of max_rate"])
    return rate, room if room[0] * rate[1] < rate[0] * room[1] else rate
