"""The pump head over the phase of its rollers: steps of the rotor to and from the volume that they displace.

Everything else counts volume, in microsteps of a head that displaces uniformly (`mechanism`); so the dose,
the windows and the ledger count what flows. A rig's table (`head.table`) says by how much the head is ahead
of that at each of its N places in a roller pitch, in 1/`PARTS` of what a pitch displaces, linear between
them. Here it becomes rotor steps: a step is due when what it displaces is owed; that evens pulsation out.

Where the head takes back, the volume counted stands still from where that begins until it has all come again
(the envelope of the table): all steps between are due at once, and the motor crosses as fast as it may.

The phase comes from the index mark. A tick says only between which steps a mark came; each mark that agrees
with the one before, a revolution ago, narrows that. It is kept over a reset, wider by what was booked and may
not have been made. The table is used (`follow`) while the phase is known to
1/64 of a pitch and no more than a revolution old (one that takes back once a second mark agreed), while the
pump doses forward, and below a sixteenth of the motor's greatest rate: the steps of a segment are even, so
within one the flow follows the table's mean. Else the head counts as uniform, and nothing jumps where one
changes into the other.

Units: `counted` is a count of rotor steps; volume is in `unit` parts of a microstep, where small parts count.
All integers are small; nothing here allocates but the constructor.
"""

from ..smallint import LARGEST

PARTS = 100_000
LEAST_PLACES, MOST_PLACES = 8, 128
MOST_EXCESS = 20_000  # parts of a pitch, from the least to the largest place of a table
MOST_FLOW = 3  # times the mean, forward; so a step is three mean steps at most
MOST_BACK = 4  # and backward
END_STEPS_PER_REV = 1 << 20
WIDTH_PART = 64  # of a pitch: a phase that is known no better is not
JITTER_STEPS = 2  # of the mark
SLACK_PART = 50  # of a revolution, within which the next mark must come
FAST_PART = 16  # of the motor's greatest rate


def ripple_steps(table, steps_per_rev: int, rollers: int) -> int:
    """So many steps the rotor is ahead of the volume at the most, over any way; 0 without a table."""
    if not table:
        return 0
    return (max(table) - min(table)) * steps_per_rev // (PARTS * rollers) + 3


def _same(count: int) -> int:
    """A uniform head's step displaces a step."""
    return count


class Head:
    """A head of so many microsteps per revolution, `rollers` and a `table`, which may be empty."""

    def __init__(self, steps_per_rev: int, rollers: int, table=()) -> None:
        self.steps_per_rev = steps_per_rev
        self.rollers = rollers
        self.ripple_steps = ripple_steps(table, steps_per_rev, rollers)
        self.unit = rollers  # so many of them are the volume of a microstep
        self.places = len(table)
        self.behind_steps = 0  # what is displaced may be so far behind what is owed: a step of the rotor
        self.takes_back = False
        self.quantum_steps = LARGEST  # of what may not have been made the phase bears so many steps
        self.units_of = self.steps_at = _same  # from steps of the rotor to units, and back
        if table:
            from .head_table import HeadTable  # a rig without one has no room for it

            evened = HeadTable(steps_per_rev, rollers, table)
            self.unit = evened.unit
            self.behind_steps = evened.behind_steps
            self.takes_back = evened.takes_back
            # The mark is within two steps, what counts as displaced within `behind_steps` (`Motion.evened`).
            width_steps = steps_per_rev // (WIDTH_PART * rollers)
            self.quantum_steps = max(width_steps - 3 * self.behind_steps - 5, 1)
            self.units_of = evened.units_of
            self.steps_at = evened.steps_at
        # Uniform: volume is `counted` less `shift`, and `part` units more or less, which no count shows.
        self.compensates = False
        self.shift = 0
        self.part = 0
        # By the table: at `turn_at`, a mark, the volume was `turn_steps` and `turn_part` units.
        self.turn_at = 0
        self.turn_steps = 0
        self.turn_part = 0
        # The mark came when between `low` and `high` steps were counted, both included.
        self.marked = False
        self.low = self.high = 0
        self.agreed = 0

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

    def look(self, before: int, counted: int, new: int) -> None:
        """So many `new` marks of the index came; the steps counted a tick before, and now."""
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
        if not self.marked or not self.known_after(0):
            return False
        return counted - self.high <= self.steps_per_rev + self.steps_per_rev // SLACK_PART

    def known_after(self, steps: int):
        """Whether the phase would be known well enough still, were so many steps made or not."""
        return (self.high - self.low + steps) * self.rollers * WIDTH_PART <= self.steps_per_rev

    def mark_steps(self):
        """The volume about when the mark came, whole microsteps."""
        return self.turn_steps if self.compensates else self.low - self.shift

    def mark_before_steps(self):
        """So many steps of the rotor before that it came at the most."""
        return (self.turn_at - self.low) % self.steps_per_rev if self.compensates else 0

    def resume(self, counted: int, unsure_steps: int, mark_steps: int, before: int, behind: int, by_table):
        """Go on after a reset, from a volume of `counted`, of which the last `unsure_steps` may not have been
        made. The mark came from so many steps `before` to so many `behind` the volume `mark_steps`.
        """
        most = counted - mark_steps
        least = most - unsure_steps
        if by_table:
            most = self.steps_at((most + self.behind_steps + 1) * self.unit - 1)
            least = self.steps_at((least - self.behind_steps - 1) * self.unit) + 1
        self.marked = True
        self.low = counted - most - before
        self.high = counted - least + behind

    def phase_steps(self, counted: int):
        """Steps since the last mark, -1 while the phase is not known."""
        return counted - (self.low + self.high >> 1) if self.known(counted) else -1

    def follow(self, counted: int, wanted, executed: int) -> bool:
        """Use the table where it is `wanted` and may be used, or count as uniform. True where that changed:
        all that is ordered is to be ordered anew. `executed` is what counts as displaced by now, a part of
        the rotor's next step included.
        """
        wanted = wanted and (self.agreed or not self.takes_back) and self.known(counted)
        if not self.compensates:
            if wanted:
                self._compensate(counted)
            return self.compensates
        if not wanted:
            self._count_uniform(counted, executed)
            return True
        while counted - self.turn_at >= self.steps_per_rev:
            self.turn_at += self.steps_per_rev
            self.turn_steps += self.steps_per_rev
        off = (self.turn_at - self.low) % self.steps_per_rev
        if off <= self.high - self.low:
            return False
        self._count_uniform(counted, executed)
        self._compensate(counted)
        return True

    def _compensate(self, counted: int) -> None:
        self.turn_at = self.low + self.high >> 1
        units = self.part - self.units_of(counted - self.turn_at)
        whole = units // self.unit
        self.turn_steps = counted - self.shift + whole
        self.turn_part = units - whole * self.unit
        self.compensates = True

    def _count_uniform(self, counted: int, executed: int) -> None:
        units = self.units_of(counted - self.turn_at) + self.turn_part
        whole = max(units // self.unit, executed - self.turn_steps)
        self.shift = counted - self.turn_steps - whole
        self.part = units - whole * self.unit
        self.compensates = False
