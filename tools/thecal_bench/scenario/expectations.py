"""The expectations of a file, held against its events and its therapy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thecal_model.document import Document
from thecal_model.therapy import Therapy
from thecal_model.toml_lines import Path

from thecal_bench.scenario.experiment import Event, Expect
from thecal_bench.scenario.format import EXPECTS, ON_THE_LINK, VOLUME_EXPECTED, VOLUMES

Values = dict[str, Any]


class Expectations:
    """Reads the expectations of a document whose events are known."""

    def __init__(
        self, document: Document, duration_ms: int, events: Sequence[Event], therapy: Therapy | None
    ) -> None:
        self._document = document
        self._duration_ms = duration_ms
        self._therapy = therapy
        listed = document.top.get("event", [])
        self._complete = isinstance(listed, list) and len(events) == len(listed)
        self._asked_ms = {event.at_ms for event in events if event.asks_for_a_bolus}
        self._told_ms = {event.at_ms for event in events if event.do in ON_THE_LINK}
        self._poured = "reservoir" in document.top or any(event.do == "refill" for event in events)

    def read(self) -> list[Expect]:
        """All of them, in the order of the file."""
        document, expects = self._document, []
        for path, table in document.tables("expect", document.top):
            keys = document.kind(table, path, "what", EXPECTS)
            if keys is None:
                continue
            values = document.values(table, keys, path, ("what",))
            if not document.in_time(values, path, self._duration_ms):
                continue
            self._look(table, path, values)
            expects.append(self._expect(table["what"], path, values))
        return expects

    def _look(self, table: Mapping[str, Any], path: Path, values: Values) -> None:
        what, problem = table["what"], self._document.problem
        at_ms = values.get("at") if self._complete else None
        if what == "bolus" and at_ms is not None and at_ms not in self._asked_ms:
            problem((*path, "at"), "expected the time of an event that asks for a bolus")
        if what == "refused" and at_ms is not None and at_ms not in self._told_ms:
            problem((*path, "at"), "expected the time of an event that tells the pump something")
        if EXPECTS[what] is VOLUME_EXPECTED:
            self._look_at_bounds(table, path)
        if what == "alarm" and ("at" in table) == ("never" in table):
            problem((*path, "code"), "expected either at, or never = true")
        if what == "reservoir" and self._complete and not self._poured:
            problem((*path, "what"), "expected a [reservoir] or a refill: the pump knows of none")
        if what == "window_peak" and self._therapy is not None and self._therapy.limit is None:
            problem((*path, "what"), "expected a [therapy.limit]: it says how long a window is")

    def _expect(self, what: str, path: Path, values: Values) -> Expect:
        volume = what in VOLUMES
        return Expect(
            what,
            self._document.line_of(path),
            at_ms=values.get("at"),
            within_nl=values.get("within") if volume else None,
            within_ms=None if volume else values.get("within"),
            value=values.get("value"),
            at_most_nl=values.get("at_most"),
            at_least_nl=values.get("at_least"),
            granted=values.get("granted"),
            reason=values.get("reason"),
            why=values.get("why"),
            code=values.get("code"),
            never=values.get("never", False),
        )

    def _look_at_bounds(self, table: Mapping[str, Any], path: Path) -> None:
        given = [name for name in ("value", "at_most", "at_least") if name in table]
        if not given:
            text = "expected one of value, at_most and at_least in this table"
            self._document.problem((*path, "what"), text)
        if "value" in given and len(given) > 1:
            self._document.problem((*path, given[1]), "expected either value, or at_most and at_least")
