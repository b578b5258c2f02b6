"""The file of a calibration: what was weighed is in it as soon as it was, so an interruption loses nothing.

One JSON object a line. The first says under what conditions it is made (`Plan`), then come `loss` (what
evaporated with the pump stopped), `begun` (a weighing whose first reading was taken, and the pump's steps and
tick then) and `weighing`, and in the end `result`. A line that is not whole was being written when something
ended, and is taken off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thecal_host.weighing import WeighingError, lines

FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """The conditions of a calibration: the head by the rig in force, and how it is weighed."""

    nl_per_rev: int
    steps_per_rev: int
    revolutions: int
    rate_nl_h: int
    celsius: float
    buoyancy: bool


@dataclass(frozen=True)
class Begun:
    """A weighing that has begun: the first reading, and the pump's steps and tick then."""

    before_g: float
    steps: int
    tick: int
    resolution_g: float


@dataclass(frozen=True)
class Weighing:
    """One weighing: so many steps between two readings that were `seconds` apart."""

    steps: int
    before_g: float
    after_g: float
    seconds: float
    resolution_g: float


class Notebook:
    """What is known of a calibration. `resumed` is whether the file was there before; `or_else` is said to a
    person where it is that of another calibration.
    """

    def __init__(self, path: Path, plan: Plan, or_else: str = lines.OR_ELSE) -> None:
        self.path = path
        self.plan = plan
        self._or_else = or_else
        self.weighings: list[Weighing] = []
        self.begun: Begun | None = None
        self.loss_g_h: float | None = None
        self.loss_error_g_h = 0.0
        self._head: dict[str, Any] = {}
        self.resumed = path.exists()
        if self.resumed:
            self._read()
        else:
            self._write({"type": "calibration", "format": FORMAT, **asdict(plan)})

    def standing(self) -> str:
        """How far it is, and how it goes on."""
        kept = f"{len(self.weighings)} weighings are kept in {self.path}"
        return f"{kept}: the same calibration goes on from there"

    def begin(self, begun: Begun) -> None:
        """The first reading of a weighing."""
        self.begun = begun
        self._write({"type": "begun", **asdict(begun)})

    def drop_begun(self) -> None:
        """The weighing that had begun cannot be ended: somebody touched the beaker."""
        self.begun = None
        self._write({"type": "dropped"})

    def add(self, weighing: Weighing) -> None:
        """The second reading; the weighing is whole."""
        self.begun = None
        self.weighings.append(weighing)
        self._write({"type": "weighing", **asdict(weighing)})

    def set_loss(self, loss_g_h: float, error_g_h: float = 0.0) -> None:
        """What evaporates, with its uncertainty at 95 %."""
        self.loss_g_h, self.loss_error_g_h = loss_g_h, error_g_h
        self._write({"type": "loss", "g_h": loss_g_h, "error_g_h": error_g_h})

    def close(self, result: dict[str, Any]) -> None:
        """The calibration is over: nothing is added to this file any more."""
        self._write({"type": "result", **result})

    def _write(self, record: dict[str, Any]) -> None:
        lines.append(self.path, record)
        lines.sync(self.path)

    def _read(self) -> None:
        if lines.read(self.path, self._take, f"a calibration: {self._or_else}"):
            lines.check_same(self.path, self._head, asdict(self.plan), self._or_else)
        else:
            self._write({"type": "calibration", "format": FORMAT, **asdict(self.plan)})

    def _take(self, record: dict[str, Any], number: int) -> None:
        kind = record.pop("type")
        if (number == 1) != (kind == "calibration"):
            raise ValueError(kind)
        if kind == "calibration":
            if record.pop("format") != FORMAT:
                raise ValueError(FORMAT)
            self._head = record
        elif kind == "loss":
            self.loss_g_h, self.loss_error_g_h = float(record["g_h"]), float(record["error_g_h"])
        elif kind == "begun":
            self.begun = Begun(**record)
        elif kind == "dropped":
            self.begun = None
        elif kind == "weighing":
            self.begun = None
            self.weighings.append(Weighing(**record))
        elif kind == "result":
            raise WeighingError(f"{self.path}: holds a calibration that is over: {self._or_else}")
        else:
            raise ValueError(kind)
