"""A therapy on its way from a request to its read-back: read, held against all that limits it, and read back,
a slice at a time over as many ticks as it takes.

One at a time. `begin` with a request, then `go_on` once a tick until it gives the answer; nothing is changed
before that, so `forget` is all that a stop has to do.
"""

from ..clock import TICKS_PER_DAY
from ..dose import formulary, prescription, program
from .proposals import TherapyProposal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.line import Line
    from ..dose.mechanism import Mechanism
    from ..dose.prescription import Prescription
    from ..forecast import Forecast


# What is done in a tick, in slices of some 3 ms each on the board (host_tests/chip/test_week.py).
SLICES_A_TICK = 10
WINDOWS_A_SLICE = 4  # of those that are looked at for a peak
LONG = False  # yielded before a slice that takes up to 50 ms: it has a tick of its own


class Proposing:
    """Reads what is proposed, one therapy at a time."""

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        line: "Line",
        forecast: "Forecast",
        judge,
        applying,
        proposals,
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.line = line
        self.forecast = forecast
        self.judge = judge
        self.applying = applying
        self.proposals = proposals
        self.control = control
        self.draft = program.Draft()  # a therapy of which some parts have come
        self.slices = None

    def forget(self) -> None:
        """What was begun is over, and so is what comes in parts."""
        self.slices = None
        self.draft.drop()

    def begin(self, request: dict) -> None:
        """Start with a `program` request."""
        if "part" in request:
            self.slices = self._part(request["part"])
        else:
            self.slices = self._whole(request["therapy"])

    def go_on(self):
        """This tick's slices. The answer, or None while there is none. Raises PrescriptionError, and nothing
        is left of what was begun.
        """
        answer = None
        try:
            left = SLICES_A_TICK
            while answer is None and left > 0:
                answer = next(self.slices)  # pyright: ignore[reportArgumentType]
                left -= 1
                if answer is LONG:
                    answer = None
                    break
        except prescription.PrescriptionError:
            self.forget()
            raise
        if answer is not None:
            self.slices = None
        return answer

    # --- slices: each yields None, at last the answer

    def _whole(self, head: dict):
        """A therapy that came in one frame."""
        self.draft.drop()
        reader = prescription.Reader(head, self.mechanism)
        reader.head()
        yield
        for number, step in enumerate(reader.steps()):
            reader.step(step, "steps[%d]" % number)
            yield
        for answer in self._weigh(reader):
            yield answer

    def _part(self, part):
        """One part of a therapy; the last one completes it."""
        draft = self.draft
        steps = draft.open(part, self.mechanism)
        yield
        for number, step in enumerate(steps):
            draft.step(step, number)
            yield
        if not draft.close():
            yield {"complete": False}
            return
        reader = draft.reader
        draft.drop()
        for answer in self._weigh(reader):
            if answer:
                answer["complete"] = True
            yield answer

    def _weigh(self, reader):
        """Hold what was read against all that limits it, and read it back."""
        one = self.mechanism.grains_per_step
        therapy = reader.finish()
        long = len(therapy.basal) > prescription.PAGE_STEPS
        line = self.line
        bridge = line.bridge_under(therapy)
        yield
        for _ in self._find_peaks(therapy):
            yield
        self.forecast.check_steady_limit(therapy)
        yield
        soft = self.judge.soft_limits(therapy)
        if long:
            yield LONG
            therapy.basal.week_grains(one)  # is asked for next
            yield LONG
        readback = therapy.readback()
        entry = formulary.find(self.regimen.library, therapy.drug) if therapy.concentration else None
        if entry and not entry[5]:
            readback["approved"] = 0
        if soft:
            readback["soft"] = [name for name, _ in soft]
        if long:
            yield LONG
        if bridge and bridge.left_steps and therapy.basal and long:
            yield LONG
            schedule = bridge.schedule(therapy)
            yield LONG
            schedule.week_grains(one)
            yield LONG
        if self.forecast.reservoir.known and therapy.basal:
            for ticks in self.forecast.find_low(therapy, bridge):
                if ticks is None:
                    yield
                else:
                    readback["low_in_h"] = ticks * 24 // TICKS_PER_DAY
        if bridge and bridge.left_steps:
            if long:
                yield LONG
            week_tick = self.control.clock.week_tick(1) if self.control.clock.known else -1
            leaving = line.concentration if bridge is not line.bridge else line.leaving()
            readback.update(bridge.readback(therapy, leaving, week_tick))
        head = {key: reader.therapy[key] for key in reader.therapy if key != "steps"}
        proposal = TherapyProposal(self.applying, therapy, head, readback, bridge)
        answer = self.proposals.propose(proposal)
        if soft:
            answer["why"] = ["%s: %s" % (name, text) for name, text in soft]
        yield answer

    def _find_peaks(self, therapy: "Prescription"):
        """What the checks ask for and takes long: the fullest window, and day, of the week."""
        windows = [(therapy.basal, therapy.window_ticks)] if therapy.limit else []
        if therapy.concentration:
            windows.append((therapy.basal, TICKS_PER_DAY))
            if self.regimen.prescription:
                windows.append((self.regimen.prescription.basal, TICKS_PER_DAY))
        for basal, window_ticks in windows:
            if not basal:
                continue
            one = self.mechanism.grains_per_step
            for number, _ in enumerate(basal.find_peak(window_ticks, one)):
                if (number + 1) % WINDOWS_A_SLICE == 0:
                    yield
