"""The events of a file: each for itself, then in the order of their times, held against what was before them.

`Events.read` is that order; what an event may depend on is one attribute each, and one method looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal.clock import TICK_MS
from thecal.rig import Rig
from thecal_model import quantities as q
from thecal_model.document import Document
from thecal_model.quantities import MS_PER_HOUR
from thecal_model.therapy import Therapy
from thecal_model.toml_lines import Path

from thecal_bench.scenario.experiment import LINK_LEAD_MS, PRESS_MS, BolusRequest, Event
from thecal_bench.scenario.format import (
    CONFIRMED,
    EVENTS,
    ON_THE_LINK,
    ON_THE_PLANT,
    ON_THE_WIRES,
    UNDOES,
    Key,
)
from thecal_bench.scenario.rigs import rig_of
from thecal_bench.scenario.therapies import Therapies

Values = dict[str, Any]

RESTART_MS = 2000
"""A pump that starts anew is up again by then (REC-04). What it was told before its time it has forgotten."""

PAIRED_MS = 2000
"""A hand has pressed STOP by then, the keys are in force, and what is sent is signed with them."""

APART_TICKS = 2
"""So many ticks must see a button up, or the pump cannot tell two presses from one."""


@dataclass
class _Listed:
    """An event as it stands in the file."""

    at_ms: int
    path: Path
    do: str
    values: Values
    therapy: Therapy | None
    rig: Rig | None = None


class Events:
    """Reads the events of a document."""

    def __init__(self, document: Document, therapies: Therapies, duration_ms: int) -> None:
        self._document = document
        self._therapies = therapies
        self._duration_ms = duration_ms
        self._connected = True
        self._connected_ms = -LINK_LEAD_MS
        self._read_back_ms = -2 * LINK_LEAD_MS
        self._started = "reset", -RESTART_MS - LINK_LEAD_MS  # what the pump starts after, when that is over
        self._paired_ms = -PAIRED_MS - LINK_LEAD_MS  # when it was paired
        self._dark_ms = 0  # until then there is no power
        self._ended_ms: dict[str, int] = {}  # when a button or the air goes away
        self._standing: set[tuple[str, str]] = set()  # what has to be undone

    def read(self, therapy: Therapy | None) -> list[Event]:
        """All events, by their times; `therapy` is in force before the first."""
        events = []
        for listed in sorted(self._listed(), key=lambda one: one.at_ms):  # stable: file order on ties
            bolus = None
            if listed.do == "clinician_bolus":
                concentration_pg_nl = therapy.concentration_pg_nl if therapy else None
                bolus = self._bolus(listed.path, listed.values, concentration_pg_nl)
            elif listed.do == "program":
                therapy = listed.therapy
            elif listed.do == "rig" and "file" in listed.values:
                listed.rig = rig_of(self._document, listed.values["file"])
            elif listed.do == "bridge":
                therapy = listed.therapy = self._therapies.bridged(listed.path, listed.values, therapy)
            self._look_at_power(listed)
            self._look_at_ends(listed)
            self._look_at_undoing(listed)
            self._look_at_host(listed)
            if listed.do in CONFIRMED:
                self._look_at_readback(listed)
            if listed.do in ON_THE_LINK:
                self._look_at_reach(listed)
            if listed.do == "pair":
                self._paired_ms = listed.at_ms
            if listed.do == "rig":
                self._started = listed.do, listed.at_ms  # written down, it is the reason to start anew
            events.append(self._event(listed, bolus))
        return events

    def _listed(self) -> list[_Listed]:
        document, listed = self._document, []
        for path, table in document.tables("event", document.top):
            own = document.kind(table, path, "do", EVENTS)
            if own is None:
                continue
            do = table["do"]
            others = ("do", "therapy") if do == "program" else ("do",)
            keys = {"at": Key(q.parse_time_ms, required=True), **own}
            values = document.values(table, keys, path, others)
            therapy = None
            if do == "program" and "therapy" in table:
                therapy = self._therapies.read(document.table("therapy", table, path), (*path, "therapy"))
            elif do == "program":
                document.problem((*path, "therapy"), "missing; expected a table [event.therapy]")
            if document.in_time(values, path, self._duration_ms):
                listed.append(_Listed(values["at"], path, do, values, therapy))
        return listed

    def _event(self, listed: _Listed, bolus: BolusRequest | None) -> Event:
        do, values = listed.do, listed.values
        own = EVENTS[do] if do in (*ON_THE_PLANT, *ON_THE_WIRES) else {}
        return Event(
            listed.at_ms,
            do,
            self._document.line_of(listed.path),
            bolus,
            listed.therapy,
            values.get("volume") if do in ("refill", "prime") else None,
            values.get("to") if do == "set_time" else None,
            values.get("button"),
            values.get("for", PRESS_MS if do == "press" else 0),
            {name: values[name] for name in own if name in values},
            values.get("accept", ()),
            listed.rig,
        )

    # --- what was before

    def _look_at_power(self, listed: _Listed) -> None:
        at_ms, do = listed.at_ms, listed.do
        if do not in ("reset", "hang", "power_cut"):
            return
        if at_ms < self._dark_ms:
            self._problem(listed, "at", "expected the power to be back from the power_cut before")
        if do == "power_cut":
            self._dark_ms = at_ms + listed.values.get("for", 0)
        if do != "hang":
            self._started = do, max(at_ms, self._dark_ms)

    def _look_at_ends(self, listed: _Listed) -> None:
        at_ms, values = listed.at_ms, listed.values
        if listed.do == "press":
            button, apart_ms = values.get("button", ""), APART_TICKS * TICK_MS
            if at_ms < self._ended_ms.get(button, -apart_ms) + apart_ms:
                self._problem(listed, "at", f"expected {apart_ms} ms or more between two presses")
            self._ended_ms[button] = at_ms + values.get("for", PRESS_MS)
        elif listed.do == "air":
            if at_ms < self._ended_ms.get("air", 0):
                self._problem(listed, "at", "expected the air before it to have passed")
            self._ended_ms["air"] = at_ms + values["for"] if "for" in values else self._duration_ms + 1

    def _look_at_undoing(self, listed: _Listed) -> None:
        do, values = listed.do, listed.values
        if do not in (*UNDOES, *UNDOES.values()) or not set(EVENTS[do]) <= set(values):
            return
        what = UNDOES.get(do, do), values.get("where", "")
        if (what in self._standing) != (do in UNDOES):
            wanted = f"{what[0]} before" if do in UNDOES else f"its end before another {do}"
            self._problem(listed, "do", f"expected {wanted}")
        self._standing ^= {what}

    def _look_at_host(self, listed: _Listed) -> None:
        if listed.do not in ("host_disconnect", "host_connect"):
            return
        connects = listed.do == "host_connect"
        if self._connected == connects:
            before = "disconnected" if self._connected else "connected"
            self._problem(listed, "do", f"expected the host to be {before} until then")
        self._connected, self._connected_ms = connects, listed.at_ms

    def _look_at_readback(self, listed: _Listed) -> None:
        if listed.at_ms < self._read_back_ms + 2 * LINK_LEAD_MS:
            names = " or ".join(CONFIRMED)
            self._problem(listed, "at", f"expected 2 s or more after the last {names}: it is read back")
        self._read_back_ms = listed.at_ms

    def _look_at_reach(self, listed: _Listed) -> None:
        """Whether what is said over the link reaches the pump."""
        at_ms, do = listed.at_ms, listed.do
        cause, started_ms = self._started
        if not self._connected:
            self._problem(listed, "do", f"expected a connected host: no {do} reaches the pump without")
        elif at_ms < self._connected_ms + LINK_LEAD_MS:
            text = "expected 1 s or more after host_connect: it is sent before its time"
            self._problem(listed, "at", text)
        elif self._dark_ms <= at_ms < started_ms + RESTART_MS + LINK_LEAD_MS:
            text = f"expected 3 s or more after {cause}: the pump starts, and it is sent before"
            self._problem(listed, "at", text)
        elif at_ms < self._paired_ms + PAIRED_MS + LINK_LEAD_MS:
            text = "expected 3 s or more after pair: a hand presses STOP, and it is sent before its time"
            self._problem(listed, "at", text)

    def _problem(self, listed: _Listed, key: str, text: str) -> None:
        self._document.problem((*listed.path, key), text)

    # --- a clinician bolus

    def _bolus(self, path: Path, values: Values, concentration_pg_nl: Fraction | None) -> BolusRequest | None:
        """`concentration_pg_nl` is that of the therapy in force: 0 without a drug, None if unknown."""
        table = self._document.top["event"][path[1]]
        complete = True
        for pair in (("volume", "dose"), ("duration", "rate")):
            given = [name for name in pair if name in table]
            if len(given) != 1:
                self._document.problem(
                    (*path, given[1] if given else "do"), f"expected one of {pair[0]} and {pair[1]}"
                )
                complete = False
            complete = complete and given[0] in values
        if not complete:
            return None
        if "dose" in values:
            if not concentration_pg_nl:
                if concentration_pg_nl == 0:
                    text = "expected a volume: no drug and concentration are set"
                    self._document.problem((*path, "dose"), text)
                return None
            volume_nl = int(values["dose"] / concentration_pg_nl)
        else:
            volume_nl = int(values["volume"])
        if volume_nl < 1:
            self._document.problem(
                (*path, "dose" if "dose" in values else "volume"), "expected a volume of 1 nL or more"
            )
            return None
        duration_ms = values.get("duration") or -(-volume_nl * MS_PER_HOUR // values["rate"])
        return BolusRequest(volume_nl, duration_ms)
