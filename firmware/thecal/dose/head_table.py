"""A head's table (`head`), as volume over steps of the rotor behind its mark.

Volume is in `unit` parts of a microstep. All integers are small; nothing here allocates but the constructor.
"""

from array import array

from ..smallint import LARGEST
from .head import PARTS

MOST_UNITS = 1 << 21  # of a revolution, as parts of a step
MOST_FINE = 256  # parts of a step


class HeadTable:
    """Of a head of so many microsteps per revolution and `rollers`."""

    def __init__(self, steps_per_rev: int, rollers: int, table) -> None:
        self.steps_per_rev = steps_per_rev
        self.rollers = rollers
        self.places = len(table)
        fine = MOST_FINE
        while fine > 1 and steps_per_rev * fine > MOST_UNITS:
            fine >>= 1
        self.pitch_units = steps_per_rev * fine  # volume of a pitch, times `rollers`
        self.unit = fine * rollers
        self.bits = 0  # of a way between two places, in parts of which it is reckoned, that are too fine
        self.place = 0  # where the last search ended
        self._read(table)

    def _read(self, table) -> None:
        """The displaced volume at each place, and the most that it ever was by then."""
        count = len(table)
        raw = [
            (place * PARTS + table[place] * count) * self.pitch_units // (count * PARTS)
            for place in range(count)
        ]
        raw.append(self.pitch_units)
        most = max(raw[:-1]) - self.pitch_units
        envelope = []
        for units in raw:
            most = max(most, units)
            envelope.append(most)
        self.raw = array("i", raw)
        self.most = array("i", envelope)
        ways = [raw[place + 1] - raw[place] for place in range(count)]
        steepest = max(ways) * count
        while max(max(ways), -min(ways)) * (self.steps_per_rev >> self.bits) > LARGEST:
            self.bits += 1
        self.behind_steps = -(-steepest // self.pitch_units)
        self.takes_back = min(ways) < 0

    def units_of(self, steps: int):
        """Volume from a mark to so many steps behind it (any sign)."""
        per_rev = self.steps_per_rev
        phase = steps * self.rollers
        pitch = phase // per_rev
        at = (phase - pitch * per_rev) * self.places
        place = at // per_rev
        raw = self.raw
        units = raw[place]
        units += (raw[place + 1] - units) * (at - place * per_rev >> self.bits) // (per_rev >> self.bits)
        most = self.most[place]
        return pitch * self.pitch_units + (units if units > most else most)

    def steps_at(self, units: int):
        """The last step behind a mark that displaces no more than so much: the inverse."""
        most = self.most
        pitch = units // self.pitch_units
        rest = units - pitch * self.pitch_units
        if rest < most[0]:
            pitch -= 1
            rest += self.pitch_units
        place = self.place
        if most[place] > rest:
            place = 0
        last = self.places - 1
        while place < last and most[place + 1] <= rest:
            place += 1
        self.place = place
        from_units = self.raw[place]
        way = self.raw[place + 1] - from_units
        phase = place * self.steps_per_rev
        if way > 0:
            phase += (rest - from_units) * (self.steps_per_rev >> self.bits) // way << self.bits
        steps = (pitch * self.steps_per_rev + phase // self.places) // self.rollers
        while self.units_of(steps) > units:
            steps -= 1
        while self.units_of(steps + 1) <= units:
            steps += 1
        return steps
