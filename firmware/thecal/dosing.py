"""What flows: the therapy in force as the delivery follows it, and the boluses, each told when it begins and
when it ends.

It knows no state and no alarm. `Control` says when a flow begins and ends; what is due by itself (a bolus
that is through) is told to it.
"""

from .dose.boluses import Boluses
from .dose.course import CLINICIAN, KINDS, PATIENT
from .record import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .dose.delivery import Delivery
    from .dose.line import Line
    from .dose.mechanism import Mechanism
    from .teller import Teller
    from .watch.lockout import Lockout


ENDS = (events.PATIENT_BOLUS_END, events.BOLUS_END)
NONE = -1


class Dosing:
    """The flow of one pump."""

    def __init__(
        self,
        mechanism: "Mechanism",
        clock: "Clock",
        position,
        line: "Line",
        delivery: "Delivery",
        regimen,
        lockout: "Lockout",
        teller: "Teller",
    ) -> None:
        self.mechanism = mechanism
        self.clock = clock
        self.position = position
        self.line = line
        self.delivery = delivery
        self.regimen = regimen
        self.lockout = lockout
        self.teller = teller
        self.boluses = Boluses()
        self.other_end = NONE  # the event that ends what runs instead of a dose

    def begin(self, doses) -> None:
        """The motor begins to move at the end of this tick: `doses` what is prescribed, or something else."""
        self.delivery.begin(self.position.executed_steps, doses)
        self.other_end = NONE
        if doses:
            self.line.started()

    def run_motor(self, volume: tuple, rate_nl_h: int, end: int) -> None:
        """So much, nL as a fraction, and nothing else; `end`: the event that will tell its end."""
        owed = self.delivery.owed
        owed.most_steps, owed.most_grains = self.mechanism.grains_per_tick(rate_nl_h, 1)
        self.begin_bolus(CLINICIAN, volume, (rate_nl_h, 1))
        self.other_end = end

    def end(self) -> None:
        """The motor stops: what is not given yet is given up."""
        for kind in range(KINDS):
            self.cut_short(kind, self.given_nl(kind))
        self.delivery.forfeit(self.position.executed_steps)

    def follow_schedule(self, low):
        """Let flow what the therapy in force says now; `low`: the reservoir is LOW. False where it takes the
        time of day, which is not known.
        """
        therapy = self.regimen.prescription
        clock = self.clock
        owed = self.delivery.owed
        owed.most_steps, owed.most_grains = self.mechanism.grains_per_tick(therapy.max_rate_nl_h, 1)
        owed.kvo_steps, owed.kvo_grains = self.mechanism.grains_per_tick(*self.line.volume(*therapy.kvo))
        owed.kvo = therapy.on_low_kvo and low
        owed.follow(self.line.schedule(therapy), clock.week_tick(self.delivery.ahead), clock.known)
        self.delivery.replan = True
        return clock.known or therapy.mode != "flex"

    # --- boluses

    def begin_bolus(self, kind: int, volume: tuple, rate: tuple) -> None:
        """Volume nL at rate nL/h, fractions, from the end of this tick on."""
        self.delivery.begin_bolus(kind, volume, rate)
        self.boluses.begin(kind, volume, self.position.executed_steps)
        self.delivery.replan = True

    def complete(self, kind: int) -> bool:
        """A bolus is through. False if there was none."""
        volume_nl = self._ended(kind)
        if not volume_nl:
            return False
        if self.line.drawn_back():
            self.teller.event(events.DRAW_BACK, volume_nl, 0)
        else:
            self._tell_end(kind, volume_nl, 1)
        return True

    def cut_short(self, kind: int, given_nl: int) -> None:
        """A bolus, if there is one, ends with no more than so much given."""
        volume_nl = self._ended(kind)
        if volume_nl and self.line.drawn_from_steps < 0:
            self._tell_end(kind, min(max(given_nl, 0), volume_nl), 0)

    def cut_draw_back(self) -> bool:
        """A draw-back, if there is one, ends before all is drawn back. False if there was none."""
        drawn_steps = self.line.drawn_from_steps - self.position.executed_steps
        if not self.line.drawn_back():
            return False
        self.teller.event(events.DRAW_BACK, self.mechanism.volume_nl(max(drawn_steps, 0)), 2)
        return True

    def given_nl(self, kind: int):
        """What a bolus that runs has given, nL."""
        return self.mechanism.volume_nl(self.delivery.bolus_owed_steps(kind))

    def _ended(self, kind: int) -> int:
        volume_nl = self.boluses.end(kind)
        if volume_nl and kind == PATIENT:
            self.lockout.end(self.clock.tick + self.delivery.ahead)
        return volume_nl

    def _tell_end(self, kind: int, volume_nl: int, complete) -> None:
        self.teller.event(ENDS[kind] if self.other_end == NONE else self.other_end, volume_nl, complete)
