"""What was executed in the last day, exact to the microstep and the tick, as stretches of constant rate.

The history is told tick by tick how many steps were executed and keeps nothing but that: it knows no
prescription and no order. What a motor executes at a constant rate is a digital straight line: at the end of
each tick the count is floor((a u + m) / b), u ticks after the beginning, for some whole numbers a, b and m.
A stretch is such a line. While the next count still lies on one, the stretch grows; when none can hold all
counts any more, the next one begins. Found so, greedily, there are as few stretches as there can be, since
any part of a digital line is one; and each reproduces every count that it was made of. No rate that is kept
is rounded, because none is kept: a and b are what the counts themselves say.

A unit is a tick, since every step is made when it is due (`drivers/segment.py`), wherever the motor's
segments end.

Memory. A stretch takes 3, 6 or 10 bytes, by its length. They lie in 68 blocks of 256 bytes, oldest first,
each byte twice (SAFE-07), with what each block holds in all: 36 448 bytes for both copies, enough for 2 000
changes of flow in 24 h by any rates. When the blocks are full before the day is over, the stretches of the
oldest block become one LUMP that counts as if all had been executed in its last tick: too long, by at most
what flowed in the block, and never too short. Nothing allocates after construction, but in that case.
"""

from ..smallint import LARGEST, small
from .growing import MOST_UNIT_STEPS, Open
from .twice import PairedCounts

CHANGES_A_DAY = 2_000  # of flow, by any rates, that are kept exactly (LIM-03)
DAY_UNITS = 864_000
AHEAD_TICKS = 12  # the motor is ordered up to ten ticks ahead, and judged against the window at that time
KEPT_UNITS = DAY_UNITS + AHEAD_TICKS
MINUTE_UNITS = 600

BLOCK = 256
BLOCKS = 68
MOST_LUMPS = 24
EPOCHS = 8

# Kinds of records, and how many bytes each takes. ENDS: the rest of the block is empty. MANY: one unit, with
# many steps. LUMP: nothing until the last unit; MINUTE: a LUMP of a minute. LINE, LONG: a digital line. EVEN:
# one of the same count in every unit. OPEN is the stretch that still grows.
ENDS, MANY, LUMP, MINUTE, LINE, LONG, EVEN, OPEN = range(8)
BYTES = (1, 5, 8, 3, 6, 10, 3)
# The numbers of a LINE have nine bits: the last one of each lies in the byte of the kind, above it.
LINE_UNITS = 511
KIND = 7


class Record:
    """One record, decoded: `units` long, `steps` in all. Of a line its b, its a as whole * b + a, and m; of
    others the last unit's steps in `m`.
    """

    def __init__(self) -> None:
        self.kind = LUMP
        self.units = 0
        self.whole = 0
        self.a = 0
        self.b = 1
        self.m = 0

    def steps(self):
        """In all of it."""
        return self.upto(self.units)

    def upto(self, units: int):
        """Steps in its first so many units."""
        if self.kind == LUMP:
            return self.m if units == self.units else 0
        return self.whole * units + (self.a * units + self.m) // self.b


class History:
    """The blocks, and the stretch that still grows. Told unit by unit."""

    def __init__(self) -> None:
        self.bytes = bytearray(BLOCKS * BLOCK)
        self.mirror = bytearray(BLOCKS * BLOCK)
        blank = b"\xff" * BLOCK
        for block in range(BLOCKS):
            self.mirror[block * BLOCK : block * BLOCK + BLOCK] = blank
        self.units = PairedCounts(BLOCKS)  # in each block ...
        self.steps = PairedCounts(BLOCKS)
        self.epochs = PairedCounts(BLOCKS)  # ... and in which unit they are counted:
        self.weights = PairedCounts(EPOCHS)  # what a step of each weighs, see `limits`
        self.sound = True
        self.open = Open()
        self.closing = Record()
        self.turned = True
        self.first = 0  # block
        self.head = 0  # byte at which the next record begins
        self.held_units = 0  # in all blocks
        self.closed_at = 0  # the record of the last stretch that ended
        self.moved = False  # what a reader knew of the oldest blocks does not hold any more
        self._next = 0
        self.begin()

    def begin(self) -> None:
        """A day without a step."""
        self.open.begin()
        self.first = 0
        self.head = 0
        self.held_units = 0
        self.moved = True
        for epoch in range(EPOCHS):
            self.weights.set(epoch, 1)
        self._open_block(0, 0)
        self.append_lump(KEPT_UNITS, 0)

    # --- to be told

    def tell(self, steps: int) -> None:
        """Executed in the next unit. Who does this in every tick lets the stretch grow himself, as here."""
        if not self.open.grow(steps):
            self.begin_next(steps)

    def begin_next(self, steps: int) -> None:
        """Executed in the next unit, which the stretch cannot take."""
        self.close()
        if steps > MOST_UNIT_STEPS:
            self._put_number(self._room(MANY, 1, steps) + 1, steps, 4)
        else:
            self.open.grow(steps)

    def rest(self, units: int) -> None:
        """So many units without a step."""
        self.close()
        self.append_lump(units, 0)

    def close(self) -> None:
        """End the stretch that grows."""
        stretch = self.open
        units = stretch.units
        if units == 0:
            return
        b = stretch.b
        whole = stretch.a // b
        a = stretch.a % b
        m = stretch.phase()
        steps = stretch.steps
        stretch.begin()
        self.append_line(units, steps, whole, a, b, m)

    def append_line(self, units: int, steps: int, whole, a: int, b: int, m: int) -> None:
        """A stretch of so many units and steps: whole * u + (a * u + m) // b after u of them; a, m < b."""
        if b == 1 and units < 256:
            at = self._room(EVEN, units, steps)
            self._put(at + 1, whole)
            self._put(at + 2, units)
        elif units <= LINE_UNITS:
            at = self._room(LINE, units, steps)
            self._put(at, LINE | (units >> 8) << 3 | (a >> 8) << 4 | (b >> 8) << 5 | (m >> 8) << 6)
            self._put(at + 1, whole)
            self._put(at + 2, units & 255)
            self._put(at + 3, a & 255)
            self._put(at + 4, b & 255)
            self._put(at + 5, m & 255)
        else:
            at = self._room(LONG, units, steps)
            self._put(at + 1, whole)
            self._put_number(at + 2, units, 2)
            self._put_number(at + 4, a, 2)
            self._put_number(at + 6, b, 2)
            self._put_number(at + 8, m, 2)
        self.closed_at = at

    def append_lump(self, units: int, steps: int) -> None:
        """So many units, with all steps in the last one. No stretch grows."""
        if units == 0:
            return
        if units == MINUTE_UNITS and steps < 65_536:
            self._put_number(self._room(MINUTE, units, steps) + 1, steps, 2)
            return
        at = self._room(LUMP, units, steps)
        self._put_number(at + 1, units, 3)
        self._put_number(at + 4, steps, 4)

    def append_minutes(self, minutes, age):
        """LUMPs of the minutes from `minutes[age]` down to the last but one, as many as fit into a block and
        are above 0 and below 65 536. Returns the age of the next one.
        """
        if self.head % BLOCK + BYTES[MINUTE] >= BLOCK:
            self._next_block(self.epoch_at(self.head))
        own, mirror, first, at, total = self.bytes, self.mirror, age, self.head, 0
        last = at - at % BLOCK + BLOCK - BYTES[MINUTE]
        while at < last and age > 0 and 0 < minutes[age] < 65_536:
            steps = minutes[age]
            own[at], own[at + 1], own[at + 2] = MINUTE, steps & 255, steps >> 8
            mirror[at], mirror[at + 1], mirror[at + 2] = 255 - MINUTE, 255 - (steps & 255), 255 - (steps >> 8)
            total += steps
            age -= 1
            at += BYTES[MINUTE]
        self._put(at, ENDS)
        self.units.add(self.head // BLOCK, (first - age) * MINUTE_UNITS)
        self.steps.add(self.head // BLOCK, total)
        self.held_units += (first - age) * MINUTE_UNITS
        self.head = at
        self.turned = True
        return age

    def new_epoch(self, epoch: int, weight: int) -> None:
        """What comes from now on is counted in another unit, of that weight: in a block of its own."""
        self.close()
        self.weights.set(epoch, weight)
        self._next_block(epoch)

    # --- blocks

    def _room(self, kind: int, units: int, steps: int):
        """Where a record of that kind goes; its kind and what it holds are written down."""
        if self.head % BLOCK + BYTES[kind] >= BLOCK:  # the last byte of a block is always ENDS
            self._next_block(self.epoch_at(self.head))
        at = self.head
        block = at // BLOCK
        self.head = at + BYTES[kind]
        self.units.add(block, units)
        self.steps.add(block, steps)
        self.held_units += units
        self._put(at, kind)
        self._put(self.head, ENDS)
        self.turned = True
        return at

    def _next_block(self, epoch: int) -> None:
        self._forget()
        block = after(self.head // BLOCK)
        if block == self.first:
            self._merge()
        self._open_block(block, epoch)

    def _open_block(self, block: int, epoch: int) -> None:
        self.units.set(block, 0)
        self.steps.set(block, 0)
        self.epochs.set(block, epoch)
        self.head = block * BLOCK
        self._put(self.head, ENDS)
        self.turned = True

    def _forget(self) -> None:
        """Let blocks go that are older than a day, one or two at a time."""
        for _ in range(2):
            units = self.units.counts[self.first]
            if self.first == self.head // BLOCK or self.held_units - units < KEPT_UNITS:
                return
            self.units.look(self.first)
            self.held_units -= units
            following = after(self.first)
            if self.epochs.counts[self.first] != self.epochs.counts[following]:
                self.moved = True
            self.first = following

    def _merge(self) -> None:
        """Free the oldest block: what it and the next hold is known by LUMPs from now on, in the next."""
        old = self.first
        block = after(old)
        lumps = [self._weighed(lump, old, block) for lump in self._lumps_of(old)]
        lumps.extend(self._lumps_of(block))
        held = self.held_units - self.units.counts[old] - self.units.counts[block]
        total = self.held_units
        while len(lumps) > 1 and total - lumps[0][0] >= KEPT_UNITS:
            total -= lumps.pop(0)[0]
        while len(lumps) > MOST_LUMPS:
            # The two neighbours that are the shortest together.
            spans = [lumps[index][0] + lumps[index + 1][0] for index in range(len(lumps) - 1)]
            index = spans.index(min(spans))
            units, steps = lumps.pop(index)
            lumps[index] = (lumps[index][0] + units, lumps[index][1] + steps)
        head = self.head
        self.first = block
        self._open_block(block, self.epochs.counts[block])
        for units, steps in lumps:
            self.append_lump(units, small(min(steps, LARGEST)))
        self.head = head
        self.held_units = small(held + sum([units for units, _ in lumps]))
        self.moved = True

    def _weighed(self, lump, old, block):
        """What lies in block `old` in the unit of another one, rounded up."""
        weight = self.weights.counts[self.epochs.counts[old]]
        other = self.weights.counts[self.epochs.counts[block]]
        return lump if weight == other else (lump[0], -(-lump[1] * weight // other))

    def _lumps_of(self, block: int):
        """Those that a block consists of, or itself as one."""
        lumps = []
        record = self.closing
        at = block * BLOCK
        while self.load(record, at):
            if record.kind != LUMP:
                return [(small(self.units.counts[block]), small(self.steps.counts[block]))]
            lumps.append((record.units, record.m))
            at += BYTES[self.bytes[at] & KIND]
        return lumps

    # --- to be read

    def load(self, record, at: int) -> bool:
        """Decode the record at that byte. False if the block ends there."""
        own = self.bytes
        mirror = self.mirror
        high = own[at] >> 3
        kind = own[at] & KIND
        if kind > EVEN or (high and kind != LINE):
            self.sound = False
            kind = ENDS
        end = at + BYTES[kind]
        byte = at
        while byte < end:
            if own[byte] + mirror[byte] != 255:
                self.sound = False
            byte += 1
        record.b = 1
        record.a = record.m = record.whole = 0
        if kind == ENDS:
            return False
        if kind >= LINE:
            record.kind = LINE
            record.whole = own[at + 1]
            if kind == LINE:
                record.units = own[at + 2] | (high & 1) << 8
                record.a = own[at + 3] | (high & 2) << 7
                record.b = own[at + 4] | (high & 4) << 6 or 1  # a flipped bit is found by who compares it
                record.m = own[at + 5] | (high & 8) << 5
            elif kind == EVEN:
                record.units = own[at + 2]
            else:
                record.units = own[at + 2] | own[at + 3] << 8
                record.a = own[at + 4] | own[at + 5] << 8
                record.b = own[at + 6] | own[at + 7] << 8 or 1
                record.m = own[at + 8] | own[at + 9] << 8
        elif kind == MANY:
            record.kind = LUMP
            record.units = 1
            record.m = self._number(at + 1, 4)
        else:
            record.kind = LUMP
            record.units = MINUTE_UNITS if kind == MINUTE else self._number(at + 1, 3)
            record.m = self._number(at + 1, 2) if kind == MINUTE else self._number(at + 4, 4)
        return True

    def load_open(self, record) -> None:
        """The stretch that still grows, as far as it has."""
        stretch = self.open
        record.kind = OPEN
        record.units = stretch.units
        record.b = stretch.b
        record.whole = stretch.a // stretch.b
        record.a = stretch.a % stretch.b
        record.m = stretch.phase()

    def following(self, at: int):
        """The byte at which the record after the one at `at` begins, over the end of a block."""
        at += BYTES[self.bytes[at] & KIND]
        if at != self.head and self.bytes[at] == ENDS:
            return self.beginning_after(at // BLOCK)
        return at

    def beginning_after(self, block: int):
        """The byte at which the record after a block begins."""
        at = after(block) * BLOCK
        while at != self.head and self.bytes[at] == ENDS:
            at = after(at // BLOCK) * BLOCK
        return at

    def epoch_at(self, at: int):
        """That in which the steps of the record there are counted."""
        return self.epochs.counts[at // BLOCK]

    def weight_at(self, at: int):
        """What a step of that record weighs."""
        return self.weights.counts[self.epochs.counts[at // BLOCK]]

    def behind(self, units: int):
        """Where what was executed in the last so many units begins: the byte of a record, and how many units
        later. And what all from that byte on weighs.
        """
        head_block = self.head // BLOCK
        left = self.held_units + self.open.units - units
        block = self.first
        at = -1
        weight = self.open.steps * self.weight_at(self.head)
        while True:
            if at < 0:
                if block != head_block and left >= self.units.counts[block]:
                    left -= self.units.counts[block]
                else:
                    at = block * BLOCK
            if at >= 0:
                self.steps.look(block)
                weight += self.steps.counts[block] * self.weight_at(block * BLOCK)
            self.units.look(block)
            if block == head_block:
                break
            block = after(block)
        if at != self.head and self.bytes[at] == ENDS:
            at = self.beginning_after(at // BLOCK)
        return at, left, weight

    def behind_block(self, block: int):
        """Units and weight of all that was kept behind a block."""
        units = self.open.units
        weight = self.open.steps * self.weight_at(self.head)
        while block != self.head // BLOCK:
            block = after(block)
            units += self.units.counts[block]
            weight += self.steps.counts[block] * self.weight_at(block * BLOCK)
        return units, weight

    def epochs_used(self):
        """From the oldest to the newest."""
        used = []
        block = self.first
        while True:
            epoch = self.epochs.counts[block]
            if epoch not in used:
                used.append(epoch)
            if block == self.head // BLOCK:
                return used
            block = after(block)

    def adopt(self, epoch: int, other) -> None:
        """What was counted in one epoch is in another one from now on."""
        for block in range(BLOCKS):
            if self.epochs.counts[block] == epoch:
                self.epochs.set(block, other)

    def _number(self, at: int, width: int):
        value = 0
        while width:
            width -= 1
            value = value << 8 | self.bytes[at + width]
        return value if value <= LARGEST else LARGEST

    def _put(self, at: int, value) -> None:
        self.bytes[at] = value
        self.mirror[at] = 255 - value

    def _put_number(self, at: int, value, width: int) -> None:
        while width:
            self._put(at, value & 255)
            value >>= 8
            at += 1
            width -= 1

    def look_at_next(self) -> None:
        """Compare four more bytes with their second copies, one after the other: 7 min for all."""
        at = self._next
        own = self.bytes
        mirror = self.mirror
        if (
            own[at] + mirror[at] != 255
            or own[at + 1] + mirror[at + 1] != 255
            or own[at + 2] + mirror[at + 2] != 255
            or own[at + 3] + mirror[at + 3] != 255
        ):
            self.sound = False
        at += 4
        self._next = at if at < BLOCKS * BLOCK else 0

    def believed(self):
        """Whether all that was looked at agreed with its second copy."""
        own = self.sound and self.open.points.sound
        return own and self.units.sound and self.steps.sound and self.epochs.sound and self.weights.sound


def after(block: int):
    """The block behind one."""
    return block + 1 if block + 1 < BLOCKS else 0
