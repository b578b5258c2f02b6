"""Where frames of the pump are missing from a run, by their numbers.

Each type of telemetry is numbered on its own (`seq`). One that jumps ahead lost frames on the link; one that
goes back means that the pump was restarted, and nobody knows what it told meanwhile.
"""

from __future__ import annotations

from typing import Any

LINK, RESTART = "link", "restart"


class Gaps:
    """Looks at each line of one run."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._last = (1, 0)

    def look(
        self, record: dict[str, Any], number: int, now_ns: int
    ) -> list[tuple[int, str, int | None, int]]:
        """What is missing before this line: (line before it, kind, frames, host's time of that line)."""
        before, self._last = self._last, (number, now_ns)
        kind, seq = record["type"], record.get("seq")
        if kind not in ("status", "event") or type(seq) is not int:
            return []
        last = self._seen.get(kind)
        self._seen[kind] = seq
        after, from_ns = before[0], before[1] or now_ns
        if last is None or seq == last + 1:
            return []
        if seq > last:
            return [(after, LINK, seq - last - 1, from_ns)]
        # Status and event both begin anew: once is enough.
        self._seen = {kind: seq}
        return [(after, RESTART, None, from_ns)]
