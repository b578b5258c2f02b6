"""A therapy, held against the drug library (LIM-08) and what the rig does not watch (RIG-03)."""

from .. import plain
from ..clock import TICKS_PER_DAY
from ..dose import formulary
from ..dose.prescription import PrescriptionError
from ..regimen import is_barred
from ..rig import UNWATCHED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..clock import Clock
    from ..dose.mechanism import Mechanism
    from ..dose.prescription import Prescription
    from ..link.signing import Keys
    from ..rig import Rig


UNPAIRED = "unpaired"
UNPAIRED_TEXT = "the pump is unpaired: whoever reaches its port may change the therapy"
STEPS_A_BOLUS = 10  # at least, or a confirmation names it


class Judge:
    """Judges therapies beside the one in force."""

    def __init__(self, rig: "Rig", mechanism: "Mechanism", regimen, keys: "Keys", clock: "Clock") -> None:
        self.rig = rig
        self.mechanism = mechanism
        self.regimen = regimen
        self.keys = keys
        self.clock = clock

    def soft_limits(self, therapy: "Prescription"):
        """What a confirmation has to accept, as (name, text): of a therapy with a drug the soft limits of the
        library that it breaks, each hazard that goes unwatched, and that the pump is unpaired (SEC-06); of
        any a step too large for its bolus. Raises for hard limits, in the release image if it is unpaired.
        """
        soft = self._coarse_step(therapy)
        if not therapy.concentration:
            return soft
        problems, broken = formulary.judge(
            self.regimen.library, therapy.drug, therapy.concentration, **self._doses(therapy)
        )
        unpaired = [] if self.keys.paired else [(UNPAIRED, UNPAIRED_TEXT)]
        if is_barred(therapy, self.keys):
            problems = problems + ["drug: %s; pair it first" % UNPAIRED_TEXT]
        if problems:
            raise PrescriptionError(problems)
        unwatched = [(code, text) for part, code, text in UNWATCHED if not self.rig.has(part)]
        return broken + soft + unwatched + unpaired

    def _coarse_step(self, therapy: "Prescription"):
        """REC-02: where a microstep, which is the least that is given, is a large part of the bolus."""
        bolus = therapy.patient_bolus
        mechanism = self.mechanism
        step = mechanism.nl_per_rev, mechanism.steps_per_rev
        if not bolus or step[0] * STEPS_A_BOLUS * bolus.volume[1] <= bolus.volume[0] * step[1]:
            return []
        text = "a microstep gives %s, more than a tenth of the bolus of %s"
        return [("bolus.step", text % (plain.volume(*step), plain.volume(*bolus.volume)))]

    def changes_dose(self, therapy: "Prescription") -> bool:
        """Whether another dose of the drug is in force with `therapy` than now."""
        old = self.regimen.prescription
        if not old or not old.concentration or not therapy.concentration:
            return False
        before, after = self._daily_pg(old), self._daily_pg(therapy)
        return before[0] * after[1] != after[0] * before[1]

    def _doses(self, therapy):
        """The doses of a therapy in pg, as fractions, for the drug library."""
        num, den = therapy.concentration
        doses = {"daily": self._daily_pg(therapy)}
        bolus = therapy.patient_bolus
        if bolus:
            each = (bolus.volume[0] * num, bolus.volume[1] * den)
            daily = doses["daily"]
            doses["bolus"] = each
            doses["most_daily"] = (
                daily[0] * each[1] + bolus.max_per_day * each[0] * daily[1],
                daily[1] * each[1],
            )
        if therapy.limit:
            doses["limit"] = (therapy.limit[0] * num, therapy.limit[1] * den)
        old = self.regimen.prescription
        if old and old.drug == therapy.drug and old.concentration and old.basal:
            doses["previous"] = self._daily_pg(old)
            changes = self.regimen.changes
            doses["since_change_s"] = changes.since_s(self.clock.tick, changes.changed_tick)
            doses["since_start_s"] = changes.since_s(self.clock.tick, changes.started_tick)
        return doses

    def _daily_pg(self, therapy):
        """The most that the basal gives in any 24 hours."""
        if not therapy.basal:
            return (0, 1)
        one = self.mechanism.grains_per_step
        peak = therapy.basal.peak_grains(TICKS_PER_DAY, one)
        return (
            peak * self.mechanism.nl_per_rev * therapy.concentration[0],
            self.mechanism.steps_per_rev * one * therapy.concentration[1],
        )
