"""One experiment, checked and frozen: what the runner runs.

Quantities are exact (`Fraction`, units in the names); times are whole milliseconds from the start of the
experiment. `within` of an expectation widens `value`, `at_most`, `at_least` and `at` alike; where it is not
given the runner takes one tick and one microstep. The volume or the rate of a clinician bolus may fall
between the whole nanolitres and milliseconds that the link carries: `BolusRequest` rounds the volume down and
the duration up, once. What is prescribed or poured in is never rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from thecal.rig import Rig
from thecal_model.quantities import MS_PER_HOUR
from thecal_model.therapy import Profile, Therapy

from thecal_bench.parameters import PlantParameters

DEFAULT_FILL_NL = 20_000_000
"""What the plant's reservoir holds where the file does not say; the pump then does not know it either."""

PRESS_MS = 500
"""How long a button is pressed where `for` is not given: about as long as a finger does."""

LINK_LEAD_MS = 1000
"""The runner sends a command this long before its time, so the host must be connected by then. A therapy is
read back in between, so two of them are at least twice as far apart."""


@dataclass(frozen=True)
class Reservoir:
    """The reservoir as it is at the start."""

    fill_nl: int = DEFAULT_FILL_NL


@dataclass(frozen=True)
class BolusRequest:
    """A bolus as the link takes it: whole nanolitres (rounded down) in whole milliseconds (rounded up)."""

    volume_nl: int
    duration_ms: int

    @property
    def rate_nl_h(self) -> Fraction:
        return Fraction(self.volume_nl * MS_PER_HOUR, self.duration_ms)


@dataclass(frozen=True)
class Event:
    """Something that is done at a time. What follows `line` belongs to one kind of event each:

    `bolus` to `clinician_bolus`, `therapy` to `program` and `bridge` (all of what is programmed again),
    `volume_nl` to `refill` and `prime`, `week_ms` (time since Monday 00:00) to `set_time`, `button` to
    `press`, `for_ms` to `press`, `power_cut` and `air` (0: for good), `accept` (bounds of the drug library by
    name) to `clinician_bolus`, `rig` to `rig`. `keys` are those of an event that acts on the plant or on a
    wire.
    """

    at_ms: int
    do: str
    line: int
    bolus: BolusRequest | None = None
    therapy: Therapy | None = None
    volume_nl: int | None = None
    week_ms: int | None = None
    button: str | None = None
    for_ms: int = PRESS_MS
    keys: Mapping[str, Any] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    rig: Rig | None = None

    @property
    def asks_for_a_bolus(self) -> bool:
        """Whether a `bolus` expectation may be about it."""
        return self.do in ("patient_bolus", "clinician_bolus") or self.button == "patient"


@dataclass(frozen=True)
class Expect:
    """Something that is to be found. `value` is nL, for `state` a name, for `resets` a count, for `unwatched`
    the hazards by their codes.
    """

    what: str
    line: int
    at_ms: int | None = None
    within_nl: Fraction | None = None
    within_ms: int | None = None
    value: Fraction | str | int | tuple[str, ...] | None = None
    at_most_nl: Fraction | None = None
    at_least_nl: Fraction | None = None
    granted: bool | None = None
    reason: str | None = None
    why: str | None = None
    code: str | None = None
    never: bool = False


@dataclass(frozen=True)
class Scenario:
    """One experiment. The pump is told of the reservoir before t=0; None if the file does not speak of it."""

    path: str
    title: str
    duration_ms: int
    therapy: Therapy
    profile: Profile = Profile()
    clock_ms: int = 0
    seed: int = 1
    reservoir: Reservoir | None = None
    plant: PlantParameters = PlantParameters()
    events: tuple[Event, ...] = ()
    expects: tuple[Expect, ...] = ()
    therapy_line: int = 0  # of the file; 0 for none

    @property
    def assumes_the_line(self) -> bool:
        """Whether the pump is told of a line that the file leaves to the plant."""
        therapies = [self.therapy, *(event.therapy for event in self.events if event.therapy is not None)]
        return self.profile.line_nl is not None and any(therapy.line_nl is None for therapy in therapies)

    def line_nl(self, therapy: Therapy) -> int:
        """The dead volume that the pump is told of with `therapy`."""
        return (self.profile.line_nl or 0) if therapy.line_nl is None else therapy.line_nl
