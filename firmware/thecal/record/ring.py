"""One ring of sectors: where it stands, what is in it, where the next record goes.

The head is never erased, and no sector is used that was not erased since this boot for the state, as one in
which a command was cut can look blank. The other rings go on in their head sector, but close that place with
zeros first.
"""

from .layout import ERASE, MOST_BAD, PAGE, UNIT


class Ring:
    """`at` is the next free byte of the head sector, its length when it is full."""

    def __init__(self, region, command, number: int, start: int, sectors) -> None:
        self.region = region
        self.command = command
        self.number = number
        self.start = start
        self.sectors = sectors
        self.sector_bytes = region.sector_bytes
        self.head = sectors - 1  # before the first record: the next sector is 0
        self.at = region.sector_bytes
        self.spare = False  # the sector after the head was erased since this boot
        self.sequence = 1
        self.bad = 0  # failures in a row
        self.used = 0  # end of what is not blank in the head sector
        self.closed = False  # the place where a cut may have left something, since this boot
        self.opens = False  # the place last asked for is in the next sector

    def sector_start(self, sector: int) -> int:
        """Offset of a sector."""
        return self.start + sector * self.sector_bytes

    def next(self):
        """The sector after the head."""
        return self.head + 1 if self.head + 1 < self.sectors else 0

    # --- writing

    def place(self, length: int):
        """Where a record of that length goes, or -1; `opens` says whether it opens the next sector."""
        at = self.at
        if at % PAGE + length > PAGE:
            at += PAGE - at % PAGE
        self.opens = at + length > self.sector_bytes
        if not self.opens:
            return self.sector_start(self.head) + at
        return self.sector_start(self.next()) if self.spare else -1

    def begin(self, part, offset: int, kind: int) -> None:
        """Begin the next record, at the place last asked for."""
        self.command.begin(part, offset, self.number, kind, self.sequence)
        self.command.opens = self.opens

    def erase(self, part, allowed: bool) -> bool:
        """Have the next sector erased, if that is to be done and may be. Whether it is ordered."""
        if self.spare or not allowed:
            return False
        self.command.erase(part, self.sector_start(self.next()), self.sector_bytes)
        return True

    def close(self, part) -> bool:
        """After a boot, zeros over what the last command before it may have left: the rest of its page.
        Whether that is ordered.
        """
        if self.closed or self.at == self.sector_bytes:
            return False
        offset = self.sector_start(self.head) + self.at
        place = offset % PAGE
        command = self.command
        command.program(part, offset, PAGE - place)
        for index in range(place, PAGE):
            command.data[index] = 0
        command.closes = True
        return True

    def heard(self, kind: int, ok: bool) -> bool:
        """What came of a command of this ring. Whether what it carried is booked."""
        command = self.command
        self.bad = 0 if ok else self.bad + 1
        if kind == ERASE:
            self.spare = ok
            if self.bad >= MOST_BAD:
                self.head = self.next()  # leave that sector alone
                self.at = self.sector_bytes
                self.bad = 0
            return False
        if command.opens:
            self.head = self.next()
            self.spare = False
        self.at = command.offset + command.length - self.sector_start(self.head)
        if not ok:
            if command.opens or self.bad >= MOST_BAD:
                self.at = self.sector_bytes  # leave this sector alone
            return False
        if command.closes:
            self.closed = self.at > self.used  # behind zeros there may be what reads as blank now
            return False
        return True

    # --- reading

    def find_head(self):
        """Find where the ring goes on. Returns its sectors that hold records, oldest first."""
        region = self.region
        order = []
        for sector in range(self.sectors):
            at = self.first(sector)
            if at >= 0:
                order.append((region.sequence(at), sector))
        if order:
            oldest = order.index(min(order))
            order = order[oldest:] + order[:oldest]
            # The ring goes round, so they are in order by now; MicroPython's sort is slowest where they are.
            if any(order[index] < order[index - 1] for index in range(1, len(order))):
                order.sort()
        sectors = [sector for _, sector in order]
        if sectors:
            self.head = sectors[-1]
            last = -1
            for at in self.records(self.head, True):
                last = at
            if last >= 0:
                # One is left out: a torn record that reads as valid some day must not have the number of
                # another.
                self.sequence = region.sequence(last) + 2
        return sectors

    def first(self, sector: int):
        """The offset of the first valid record of a sector, -1 without one."""
        start = self.sector_start(sector)
        if self.region.valid(start, start + self.sector_bytes, self.number):
            return start
        if self.region.in_use(start):
            for at in self.records(sector, False):
                return at
        return -1

    def records(self, sector: int, head):
        """The offsets of the valid records of a sector. Of the `head`, finds where its free part begins, and
        counts what is torn.
        """
        region = self.region
        start = self.sector_start(sector)
        at = start
        end = start + self.sector_bytes
        number = self.number
        bad = False
        while at < end:
            units = region.valid(at, end, number)
            if units:
                yield at
                bad = False
                at += units * UNIT
                if head:
                    self.at = self.used = at - start
            else:
                at += UNIT
                if head and not region.blank(at - UNIT, at):
                    self.used = at - start
                    if not bad and not region.zeros(at - UNIT):
                        region.torn += 1
                        bad = True
