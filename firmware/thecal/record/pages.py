"""The log in pages, as the link tells it. Whoever has all pages has a chain: the CRC of each entry goes on
from that of the one before, so an edit or a gap shows.
"""

from binascii import hexlify

from .layout import EVENTS, FAULTS

STREAMS = ("events", "faults")
RINGS = (EVENTS, FAULTS)

# An entry is 64 digits, a page with its frame 1.7 kB: a fifth of what waits for the host at most (8 kB). Its
# making fits into a tick, a collection of garbage included; a chip test measures that.
PAGE_ENTRIES = 24


def page(journal, stream, start: int):
    """The entries of stream number `stream` of `STREAMS` from the event `start` on (any whole number), at
    most PAGE_ENTRIES of them, as the link's answer. `entries`: 28 bytes and their CRC each, in hex. `seed`:
    the CRC that the first one goes on from. `first`: the oldest event kept. `made`: the events ever made.
    `next`: from where to ask on; `made` when there is no more. Allocates.
    """
    ring = RINGS[stream]
    made = journal.log_count
    first = following = made
    for number, _, _ in journal.entries(ring, 0):
        first = number
        break
    seed = b""
    found = []
    for number, entry, before in journal.entries(ring, start):
        if len(found) == PAGE_ENTRIES:
            following = number
            break
        seed = seed or before
        found.append(entry)
    return {
        "stream": STREAMS[stream],
        "entries": hexlify(b"".join(found)).decode(),
        "seed": hexlify(seed).decode(),
        "first": first,
        "next": following,
        "made": made,
    }
