"""What came of a run so far: records to be handed out, boluses, refusals, what was confirmed.

What became of a bolus that was asked for over the link its reply says; of one that was asked for with the
button only the pump's log can tell.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from thecal.causes import CAUSES, TABLE
from thecal.clock import TICK_MS
from thecal.handlers.judge import UNPAIRED
from thecal.link.commands import COMMANDS
from thecal.rig import Rig
from thecal_model.therapy import Therapy

from thecal_bench.checks import CLINICIAN, PATIENT, Bolus, Refusal
from thecal_bench.scenario import Event

Record = dict[str, Any]

STARTS = {"bolus_start": CLINICIAN, "patient_bolus_start": PATIENT}
ENDS = {"bolus_end": CLINICIAN, "patient_bolus_end": PATIENT}
"""Events that a bolus makes, and whose it is."""


def tells_outcome(event: Record) -> bool:
    """Whether it says what became of a bolus: replies that came before it are read first."""
    return event["code"] in STARTS or _denies_patient(event)


def _denies_patient(event: Record) -> bool:
    return event["code"] == "denied" and COMMANDS[event["a"]].name == "patient_bolus"


class Findings:
    """Filled while the run goes on; times are ticks from t=0."""

    def __init__(self, clock_ms: int) -> None:
        self.records: deque[Record] = deque()  # to be handed out
        self.boluses: list[Bolus] = []
        self.refusals: list[Refusal] = []
        self.soft_limits = 0  # that were confirmed
        self.rig: Rig | None = None  # that the pump was given while the experiment went on
        self.astray_tick: int | None = None  # from here on the board does not do what the scenario says
        self.therapies: list[tuple[int, Therapy]] = []  # (tick, therapy) confirmed
        self.clocks = [(0, clock_ms)]  # (tick, time of the week) set
        self._flowing: dict[str, Bolus] = {}
        self._told_unpaired = False

    # --- what the pump said

    def logged(self, event: Record) -> None:
        """An event of the pump, see `tells_outcome`."""
        code = event["code"]
        if code in STARTS:
            bolus = self._of(STARTS[code], event["tick"], granted=True)
            if bolus is not None:
                bolus.volume_nl = event["a"]
                self._flowing[STARTS[code]] = bolus
        elif code in ENDS and ENDS[code] in self._flowing:
            bolus = self._flowing.pop(ENDS[code])
            bolus.volume_nl = event["a"]
            if bolus.ended_tick is None:
                bolus.ended_tick = event["tick"]
        elif _denies_patient(event):
            bolus = self._of(PATIENT, event["tick"], granted=False)
            if bolus is not None and bolus.pressed:
                bolus.reason = CAUSES[event["b"]]
                bolus.message = TABLE[event["b"]][1]
        else:
            return
        if bolus is not None and bolus.pressed and code not in ENDS:
            bolus.granted = code in STARTS
            self._tell(bolus)

    def _of(self, kind: str, tick: int, *, granted: bool) -> Bolus | None:
        """The bolus whose outcome the pump logs at that tick: what came over the link before the button."""
        waiting = [b for b in self.boluses if b.kind == kind and b.tick <= tick and not b.logged]
        answered = [b for b in waiting if not b.pressed and b.answered and b.granted == granted]
        found = answered or [bolus for bolus in waiting if bolus.pressed]
        if not found:
            return None
        found[0].logged = True
        return found[0]

    def answered(self, bolus: Bolus, reply: Record) -> None:
        """What the pump answered to one who asked for a bolus."""
        bolus.answered = True
        if reply["ok"] and reply["granted"]:
            bolus.granted = True
        else:
            bolus.reason = reply.get("reason") or reply.get("error")
            bolus.message = reply.get("message", "")
        self._tell(bolus)

    def _tell(self, bolus: Bolus) -> None:
        """A record of it, and if it was denied, the sentence that said so: the pump's own, or, of a button
        that was pressed, what the reason in its log means.
        """
        message = {"message": bolus.message} if bolus.message else {}
        self.records.append({"type": "bolus", **bolus.record(), **message})

    def refused(self, event: Event, reply: Record) -> None:
        """A command that the pump did not take."""
        refusal = Refusal(event.at_ms, reply.get("reason", reply["error"]), reply.get("message", ""))
        self.refusals.append(refusal)
        self.records.append(
            {
                "type": "refused",
                "at_ms": refusal.at_ms,
                "do": event.do,
                "error": reply["error"],
                "reason": refusal.reason,
                "message": refusal.message,
            }
        )

    def accepted(self, proposal: Record, at_ms: int, do: str) -> Record:
        """What a confirmation says beside the digest: the soft limits, which the runner confirms by itself,
        tells one by one and counts. That the pump is unpaired, as a bench's is, is told once.
        """
        soft = proposal["readback"].get("soft")
        if not soft:
            return {}
        told = {"type": "soft_limit", "at_ms": at_ms, "do": do}
        why = dict(zip(soft, proposal.get("why", ()), strict=False))
        for name in soft:
            if name == UNPAIRED:
                if self._told_unpaired:
                    continue
                self._told_unpaired = True
            self.soft_limits += 1
            self.records.append({**told, "name": name, "message": why.get(name, name)})
        return {"accept": soft}

    # --- what happened to it

    def skipped(self, event: Event, why: str, bolus: Bolus | None) -> None:
        """An event that this board cannot have; `bolus` is what it would have asked for."""
        self.records.append({"type": "skipped", "at_ms": event.at_ms, "do": event.do, "why": why})
        if bolus is not None:
            bolus.skipped = True
        elif self.astray_tick is None:
            self.astray_tick = -(-event.at_ms // TICK_MS)

    def starts_anew(self, tick: int) -> None:
        """The pump is gone, and a bolus has ended; what was given of it, it says when it is back."""
        for bolus in self._flowing.values():
            bolus.ended_tick = tick
