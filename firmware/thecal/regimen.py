"""What is prescribed: the therapy in force, those before it, the drug library that it is held against, and
what follows from a therapy for those who watch over it.
"""

from . import release
from .dose.changes import Changes
from .dose.formulary_data import LIBRARY
from .record.therapies import Therapies
from .smallint import LARGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .dose.line import Line
    from .dose.prescription import Prescription
    from .link.signing import Keys
    from .watch.guard import Guard
    from .watch.limits import WindowLedger
    from .watch.reservoir import Reservoir


def is_barred(therapy: "Prescription", keys: "Keys") -> bool:
    """Whether the release image may not give it: a drug, while the pump has no keys (SEC-06)."""
    return release.RELEASE and bool(therapy.concentration) and not keys.paired


class Regimen:
    """Of one pump; nothing is prescribed yet. `ledger` is the window of what was given."""

    def __init__(
        self, clock: "Clock", line: "Line", ledger: "WindowLedger", guard: "Guard", reservoir: "Reservoir"
    ) -> None:
        self.clock = clock
        self.line = line
        self.ledger = ledger
        self.guard = guard
        self.reservoir = reservoir
        self.persistence = None  # is told what has changed, where there is one
        self.prescription = None
        self.therapies = Therapies()
        self.library = LIBRARY
        self.changes = Changes()

    def put_in_force(self, therapy: "Prescription") -> None:
        """It is the prescription from now on; the flow follows it when it is asked for next."""
        self.prescription = therapy
        self.guard.set_max_rate(therapy.max_rate_nl_h)
        self.set_limit()
        if therapy.limit:
            self.ledger.set_window(therapy.window_ticks, self.clock.tick)
        if self.persistence:
            self.persistence.booking.therapy_changed()
        self.reservoir.set_levels(therapy.low_nl, therapy.empty_nl)
        self.set_reservoir_most()

    def end(self) -> None:
        """Nothing is prescribed any more; the pump is stopped."""
        self.prescription = None
        if self.persistence:
            self.persistence.booking.therapy_changed()

    def set_limit(self) -> None:
        """Tell the guard the limit, in the volume of what leaves the line now."""
        therapy = self.prescription
        limit = therapy.limit if therapy and therapy.limit else (0, 1)
        self.guard.set_limit(*self.line.volume(*limit))

    def set_reservoir_most(self) -> None:
        """Tell the guard where the reservoir is EMPTY."""
        self.guard.reservoir_most = self.reservoir.empty_steps if self.reservoir.known else LARGEST

    def rescale(self, old, new) -> None:
        """From now on all that was given counts in the new drug's steps; concentrations, pg/nL."""
        self.ledger.rescale(old, new)
        if self.persistence:
            self.persistence.rescale(old, new)
            self.persistence.booking.therapy_changed()
