"""What the drug library asks about changes of the dose: when the drug was started, when its dose was changed
last, and which bounds were accepted by name with the therapy in force.

Times are ticks since the first boot. A therapy without a drug (minimum, stopped, one by volume) leaves all of
it as it is: the drug is still the one in the line.
"""

from ..clock import TICKS_PER_S
from .formulary import BOLUS, DOSE_PER_DAY, bounds_of, limit_name

NEVER = -1


class Changes:
    """Of the drug in the line, or of the one that will be (`Line.drug`)."""

    def __init__(self) -> None:
        self.started_tick = NEVER
        self.changed_tick = NEVER
        self.accepted = 0  # a bit for each bound of its entry in the library

    def applied(self, tick: int, other, changed, runs) -> None:
        """A therapy is in force: with another drug, or with another dose of the same; `runs`: the pump is
        running.
        """
        if other:
            self.started_tick = tick if runs else NEVER
            self.changed_tick = NEVER
        elif changed and self.started_tick != NEVER:
            self.changed_tick = tick

    def started(self, tick: int, drug: str) -> None:
        """The pump starts with the therapy in force."""
        if drug and self.started_tick == NEVER:
            self.started_tick = tick

    def accept(self, library: tuple, drug: str, names: tuple) -> None:
        """The therapy in force was confirmed with these bounds, which bind its boluses as well."""
        self.accepted = 0
        bounds = bounds_of(library, drug) if drug else ()
        for number in range(len(bounds)):
            bound = bounds[number]
            if bound[0] in (BOLUS, DOSE_PER_DAY) and limit_name(drug, bound) in names:
                self.accepted |= 1 << number

    def since_s(self, tick: int, then):
        """Whole seconds from one of its ticks to now; None if that never was."""
        return None if then == NEVER else (tick - then) // TICKS_PER_S
