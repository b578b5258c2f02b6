"""The largest content of any window of time, from what the plant displaced: the truth behind a limit.

Windows are (t - W, t]. Their content grows only where something is displaced, so it is enough to look there.
`WindowPeak` keeps when the rotor turned within the last window and how much it had displaced by then: every
entry is put in once and taken out once. Drawing back credits nothing. What fills a new line is no dose: it is
left out from the `new_line` to the first start, up to the volume that `exempt` names, and no further.

Where the rotor turns in bulk (in-process), a bulk counts at its end, so windows are seen at the ticks; on the
chip every edge is seen.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from thecal_bench.plant import Plant


class WindowPeak:
    """Watches `plant` from now on, through its `on_turn`."""

    def __init__(self, plant: Plant, window_ns: int) -> None:
        self._plant = plant
        self._window_ns = window_ns
        self._seen_units = plant.units
        self._total_units = 0
        self._gone_units = 0  # displaced before the window that ends now
        self._exempt_units = 0  # still to come that are left out
        self._times_ns: deque[int] = deque()
        self._totals_units: deque[int] = deque()
        self._peak_units = 0
        self.peak_at_ns: int | None = None
        """When the fullest window so far ended; None before anything was displaced."""
        plant.on_turn = self._turned

    def close(self) -> None:
        """Watch no longer."""
        self._plant.on_turn = None

    def exempt(self, volume_nl: int) -> None:
        """Leave out what is displaced from now on, up to so much; 0 for nothing more of it."""
        self._exempt_units = volume_nl * self._plant.units_per_nl

    @property
    def peak_nl(self) -> Fraction:
        """The largest content so far."""
        return Fraction(self._peak_units, self._plant.units_per_nl)

    def _turned(self, at_ns: int) -> None:
        units = self._plant.units
        if units > self._seen_units:
            left_out = min(units - self._seen_units, self._exempt_units)
            self._exempt_units -= left_out
            self._total_units += units - self._seen_units - left_out
        self._seen_units = units
        times_ns, totals_units = self._times_ns, self._totals_units
        begin_ns = at_ns - self._window_ns
        while times_ns and times_ns[0] <= begin_ns:
            times_ns.popleft()
            self._gone_units = totals_units.popleft()
        times_ns.append(at_ns)
        totals_units.append(self._total_units)
        content_units = self._total_units - self._gone_units
        if content_units > self._peak_units:
            self._peak_units, self.peak_at_ns = content_units, at_ns
