"""The pump head over the phase of its rollers: steps of the rotor to and from the volume that they displace.

Everything else counts volume, in microsteps of a head that displaces uniformly (`mechanism`); so the dose,
the windows and the ledger count what flows. A rig's table (`head.table`) says by how much the head is ahead
of that at each of its N places in a roller pitch, in 1/`PARTS` of what a pitch displaces, linear between
them. Here it becomes rotor steps: a step is due when what it displaces is owed; that evens pulsation out.

Where the head takes back, the volume counted stands still from where that begins until it has all come again
(the envelope of the table): all steps between are due at once, and the motor crosses as fast as it may.

The phase comes from the index mark. A tick says only between which steps a mark came; each mark that agrees
with the one before, a revolution ago, narrows that. The table is used (`follow`) while the phase is known to
1/64 of a pitch and no more than a revolution old (one that takes back once a second mark agreed), while the
pump doses forward, and below a sixteenth of the motor's greatest rate: the steps of a segment are even, so
within one the flow follows the table's mean. Else the head counts as uniform, and nothing jumps where one
changes into the other.

Units: `counted` is a count of rotor steps; volume is in `unit` parts of a microstep, where small parts count.
All integers are small; nothing here allocates but the constructor.
"""

from array import array

from ..smallint import LARGEST

PARTS = 100_000
LEAST_PLACES, MOST_PLACES = 8, 128
MOST_EXCESS = 20_000  # parts of a pitch, from the least to the largest place of a table
MOST_FLOW = 3  # times the mean, forward; so a step is three mean steps at most
MOST_BACK = 4  # and backward
END_STEPS_PER_REV = 1 << 20
MOST_UNITS = 1 << 21  # of a revolution, as parts of a step
MOST_FINE = 256  # parts of a step
WIDTH_PART = 64  # of a pitch: a phase that is known no better is not
JITTER_STEPS = 2  # of the mark
SLACK_PART = 50  # of a revolution, within which the next mark must come
FAST_PART = 16  # of the motor's greatest rate


def ripple_steps(table, steps_per_rev: int, rollers: int) -> int:
    """So many steps the rotor is ahead of the volume at the most, over any way; 0 without a table."""
    if not table:
        return 0
    return (max(table) - min(table)) * steps_per_rev // (PARTS * rollers) + 3


class Head:
    """A head of so many microsteps per revolution, `rollers` and a `table`, which may be empty."""

    def __init__(self, steps_per_rev: int, rollers: int, table=()) -> None:
        self.steps_per_rev = steps_per_rev
        self.rollers = rollers
        self.ripple_steps = ripple_steps(table, steps_per_rev, rollers)
        fine = 1
        if table:
            fine = MOST_FINE
            while fine > 1 and steps_per_rev * fine > MOST_UNITS:
                fine >>= 1
        self.pitch_units = steps_per_rev * fine  # volume of a pitch, times `rollers`
        self.unit = fine * rollers
        self.places = len(table)
        self.bits = 0  # of a way between two places, in parts of which it is reckoned, that are too fine
        self.raw = self.most = array("i")
        self.takes_back = False
        self.behind_steps = 0  # what is displaced may be so far behind what is owed: a step of the rotor
        if table:
            self._read(table)
        # Uniform: volume is `counted` less `shift`, and `part` units more, which no count shows.
        self.compensates = False
        self.shift = 0
        self.part = 0
        # By the table: at `turn_at`, a mark, the volume was `turn_steps` and `turn_part` units.
        self.turn_at = 0
        self.turn_steps = 0
        self.turn_part = 0
        # The mark came when between `low` and `high` steps were counted, both included.
        self.seen_marks = 0
        self.marked = False
        self.low = self.high = 0
        self.agreed = 0
        self.place = 0  # where the last search in the table ended

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

    # --- the table

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

    # --- counts and volume

    def volume_at(self, counted: int):
        """The volume when so many steps are counted, whole microsteps."""
        if not self.compensates:
            return counted - self.shift
        return self.turn_steps + (self.units_of(counted - self.turn_at) + self.turn_part) // self.unit

    def units_from_turn(self, steps: int, part: int):
        """A volume, as `units_of` has it for the present turn."""
        return (steps - self.turn_steps) * self.unit + part - self.turn_part

    def counted_at(self, units: int):
        """The last count of steps at which no more than that is displaced."""
        return self.turn_at + self.steps_at(units)

    # --- the phase

    def look(self, before: int, counted: int, marks: int) -> None:
        """`marks` of the index now; the steps counted a tick before, and now."""
        new = marks - self.seen_marks
        self.seen_marks = marks
        if new == 0:
            return
        if new != 1 or counted < before:  # backward a mark begins where it ends forward
            self.marked = False
            return
        # A step that was made between the two readings may have brought it.
        low = before
        high = counted + 1
        agreed = 0
        if self.marked:
            low = max(low, self.low + self.steps_per_rev)
            high = min(high, self.high + self.steps_per_rev)
            agreed = self.agreed + 1 if self.agreed < LARGEST else LARGEST
            if low > high + JITTER_STEPS:
                low = before
                high = counted + 1
                agreed = 0
            elif low > high:
                low, high = high, low
        self.marked = True
        self.low = low
        self.high = high
        self.agreed = agreed

    def known(self, counted: int):
        """Whether the phase is known well enough, and not of long ago."""
        if not self.marked or (self.high - self.low) * self.rollers * WIDTH_PART > self.steps_per_rev:
            return False
        return counted - self.high <= self.steps_per_rev + self.steps_per_rev // SLACK_PART

    def phase_steps(self, counted: int):
        """Steps since the last mark, -1 while the phase is not known."""
        return counted - (self.low + self.high >> 1) if self.known(counted) else -1

    def follow(self, counted: int, wanted) -> bool:
        """Use the table where it is `wanted` and may be used, or count as uniform. True where that changed:
        all that is ordered is to be ordered anew.
        """
        wanted = wanted and (self.agreed or not self.takes_back) and self.known(counted)
        if not self.compensates:
            if wanted:
                self._compensate(counted)
            return self.compensates
        if not wanted:
            self._count_uniform(counted)
            return True
        while counted - self.turn_at >= self.steps_per_rev:
            self.turn_at += self.steps_per_rev
            self.turn_steps += self.steps_per_rev
        off = (self.turn_at - self.low) % self.steps_per_rev
        if off <= self.high - self.low:
            return False
        self._count_uniform(counted)
        self._compensate(counted)
        return True

    def _compensate(self, counted: int) -> None:
        self.turn_at = self.low + self.high >> 1
        units = self.part - self.units_of(counted - self.turn_at)
        whole = units // self.unit
        self.turn_steps = counted - self.shift + whole
        self.turn_part = units - whole * self.unit
        self.compensates = True

    def _count_uniform(self, counted: int) -> None:
        units = self.units_of(counted - self.turn_at) + self.turn_part
        whole = units // self.unit
        self.shift = counted - self.turn_steps - whole
        self.part = units - whole * self.unit
        self.compensates = False
