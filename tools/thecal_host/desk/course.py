"""A calibration that is under way, beside the page that shows it: it asks, and goes on when it is answered.

The course is that of `thecal calibrate` (`weighing`), in a thread and in a conversation of its own. Where the
command would ask at the terminal it leaves a `Question`, which whoever opens the page finds. What was weighed
is in a file beside the archive as soon as it was, so that one that was cut short goes on from there.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from thecal_model.text import volume_text

from thecal_host import rigging
from thecal_host.archive.store import place
from thecal_host.desk import orders
from thecal_host.desk.session import Session
from thecal_host.pairing import serial_of
from thecal_host.pump import Pump, PumpError
from thecal_host.python.amounts import rate_nl_h, time_ms
from thecal_host.readbacks import Proposal
from thecal_host.weighing import WeighingError
from thecal_host.weighing.balance import BAUD, Weight, grams_of, open_balance
from thecal_host.weighing.calibration import (
    BalanceScale,
    Calibration,
    rate_of_use,
    result_of,
    rig_file_lines,
    rows_of,
    what_comes,
)
from thecal_host.weighing.motion import Mover
from thecal_host.weighing.notebook import Notebook, Plan
from thecal_host.weighing.water import loss_g_h, water_g_ml

GRAMS, YES, RIG = "grams", "yes", "rig"


@dataclass(frozen=True)
class Question:
    """What a person is asked: for GRAMS, for a YES (or a no, where that is an answer), or to confirm a RIG
    with `rows` of its read-back.
    """

    kind: str
    text: str
    rows: tuple[tuple[str, str], ...] = ()
    proposal: Proposal | None = None
    may_be_no: bool = False


class Left(Exception):
    """A person has ended it."""


@dataclass(frozen=True)
class Beaker:
    """What stands under the line: the serial port of its balance (none: a person types what it shows), what
    is known to evaporate of it ("1 mg/h"), or how long to weigh that before ("10 min").
    """

    balance: str = ""
    baud: int = BAUD
    evaporation: str = ""
    stopped_for: str = ""


class Course:
    """One calibration of `session`'s pump. `told` is what was said so far, `question` what is asked now."""

    often_s = None  # a person reads the balance

    def __init__(
        self,
        session: Session,
        rate: str,
        revolutions: int,
        weighings: int,
        celsius: float,
        beaker: Beaker | None = None,
    ) -> None:
        water_g_ml(celsius)
        self._session = session
        self._rate_nl_h = None if not rate.strip() else rate_nl_h("rate", rate)
        self._revolutions, self._weighings, self._celsius = revolutions, weighings, celsius
        self._beaker = beaker or Beaker()
        stopped_for = self._beaker.stopped_for.strip()
        self._loss_g_h = loss_g_h("evaporation", self._beaker.evaporation.strip() or None)
        self._stopped_s = time_ms("stopped for", stopped_for) / 1000 if stopped_for else None
        self._ended = threading.Event()
        self._answers: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._go, daemon=True, name="calibration")
        self.told: list[str] = []
        self.question: Question | None = None
        self.result: list[tuple[str, str]] = []
        self.why = ""  # it ended before its end
        self.over = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def answer(self, given: Any) -> None:
        """To the question; None ends the course. WeighingError for what is no weight."""
        question = self.question
        if question is None:
            return
        if question.kind == GRAMS and given is not None:
            given = grams_of(str(given))
        self.question = None
        self._answers.put(given)

    def end(self) -> None:
        """End it where it is asked next, or waits; what turns is for a stop to end."""
        self._ended.set()
        self.answer(None)

    # --- the thread

    def _go(self) -> None:
        try:
            with orders.conversation(self._session, "jog") as pump:
                self._calibrate(pump)
        except Left:
            self.why = "It was ended here."
        except orders.MENDABLE as why:
            self.why = str(why)
        finally:
            self.question, self.over = None, True

    def _ask(self, question: Question) -> Any:
        self.question = question
        if self._ended.is_set():
            raise Left
        given = self._answers.get()
        if given is None:
            raise Left
        return given

    def read(self, what: str) -> Weight:
        """A weight, as `calibration.Scale` gives it."""
        return self._ask(Question(GRAMS, f"Grams that the balance shows, {what}"))

    def _calibrate(self, pump: Pump) -> None:
        kept = rigging.ask(pump)
        if kept is None:
            raise PumpError("the pump has no rig, and moves nothing: see `thecal rig program`")
        head = kept.rig.nl_per_rev, kept.rig.steps_per_rev
        plan = Plan(*head, self._revolutions, rate_of_use(pump, self._rate_nl_h), self._celsius, True)
        path = place().with_name(f"calibration-{serial_of(pump)}.ndjson")
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = self._notebook(path, plan)
        self.told.append(what_comes(plan, self._weighings))
        mover = Mover(pump, plan.rate_nl_h, self._nobody_is_connected)
        wait = self._waiter(pump)
        name, baud = self._beaker.balance.strip(), self._beaker.baud
        with closing(open_balance(name, baud, pump.clock_s)) if name else nullcontext() as balance:
            scale = self if balance is None else BalanceScale(balance, wait, pump.clock_s)
            course = Calibration(notebook, mover, scale, wait, self.told.append)
            try:
                if len(notebook.weighings) < self._weighings:
                    self._prepare(course, notebook)
                    course.settle_loss(self._loss_g_h, self._stopped_s)
                    course.run(self._weighings)
            except BaseException:
                self.told.append(notebook.standing())
                raise
        result = result_of(notebook)
        self.result = rows_of(result)
        self._conclude(pump, rigging.propose(pump, result.rig(kept.rig)), result.rig(kept.rig))
        notebook.close(result.record())
        self._put_away(path)
        self.told += ["For your rig file:", *rig_file_lines(result)]

    def _notebook(self, path: Path, plan: Plan) -> Notebook:
        """What is kept of this calibration; that of another one is put away, if a person says so."""
        try:
            return Notebook(path, plan, "say yes: it is put away then, and this one begins anew")
        except WeighingError as why:
            other = str(why)
        self._ask(Question(YES, other))
        self._put_away(path)
        return Notebook(path, plan)

    def _nobody_is_connected(self, said: dict[str, Any]) -> None:
        may = volume_text(said["jog_nl"])
        self._ask(Question(YES, f"Nobody is connected to this pump. It may deliver {may} then."))

    def _prepare(self, course: Calibration, notebook: Notebook) -> None:
        if notebook.weighings:
            self.told.append(f"{len(notebook.weighings)} weighings are kept; it goes on from there.")
        if notebook.begun is not None:
            text = "A weighing was begun. Has the beaker stood untouched on the balance since?"
            if self._ask(Question(YES, text, may_be_no=True)) != YES:
                notebook.drop_begun()
        if notebook.begun is None:
            self._ask(Question(YES, "The line is full, without air, and its end is in the beaker."))
            self.told.append("One revolution that is not weighed takes up the play.")
            course.prime()

    def _conclude(self, pump: Pump, proposal: Proposal, rig: Any) -> None:
        """Have the pump take it for its head."""
        before = pump.hello.get("rig_number", 0)
        text = "This is the head from now on. The therapy in force ends, and the pump restarts."
        accepted = self._ask(Question(RIG, text, tuple(rigging.readback_rows(rig, proposal)), proposal))
        lacking = [name for name in proposal.soft if name not in accepted]
        if lacking:
            raise WeighingError(f"nothing was confirmed: {', '.join(lacking)} was not accepted by name")
        pump.confirm(proposal)
        hello = rigging.wait(pump, before)
        self.told.append(
            f"Rig {hello['rig_number']}, {hello['rig']}, is in force; the pump is {hello['state']}."
        )

    def _put_away(self, path: Path) -> None:
        os.replace(path, path.with_name(f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}.ndjson"))

    def _waiter(self, pump: Pump) -> Callable[[float], None]:
        """A wait that listens to the pump meanwhile, and to whoever ends the course."""

        def wait(seconds: float) -> None:
            for _ in pump.listen(pump.clock_s() + seconds):
                if self._ended.is_set():
                    raise Left

        return wait


COURSES: dict[str, Course] = {}
"""By the name of the port: the last calibration there."""
