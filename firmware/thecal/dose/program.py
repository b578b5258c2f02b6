"""A therapy on its way from the link to where it is kept: in parts, its digest, and as bytes.

Parts. A therapy may be larger than a line of the link. Then it comes as `part` objects instead of one
`therapy`, in order; nothing of it is used until the last one was good:

    {"index": 0, "count": n, "therapy": {...}}      all but the steps; mode flex
    {"index": 1, "count": n, "steps": [...]}        MOST_PART_STEPS steps at most
    ...
    {"index": n - 1, "count": n, "steps": [...]}    the last one completes it

Index 0 begins anew. A part that cannot be taken ends the draft, and so does any other proposal; the message
names part and key. Steps are read as they come and kept as the ten bytes each of a `Schedule`.

Bytes. What the journal keeps of a therapy (LIM-11) is all that was proposed, and when: a line of JSON,
[digest, seconds since first boot, therapy without its steps, calibration, number of the rig], and behind it
the steps of a flex therapy as the arrays of the `Schedule`, in grains of that calibration. `Packed` gives it
back, read by the same `Reader`. They are in pieces, each below 2 kB: a heap that has been in use for long has
no holes for more.
"""

import binascii
import hashlib
import json
from array import array

from .prescription import PrescriptionError, Reader
from .schedule import MOST_STEPS, Schedule
from .text_lines import first_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .mechanism import Mechanism
    from .prescription import Prescription


MOST_PART_STEPS = 24  # as long as a page of a read-back
MOST_PARTS = 1 + MOST_STEPS
HEAD, STEPS = "therapy", "steps"
STEP_WIDTHS = (4, 2, 4)  # of a start, of whole microsteps, of grains
STEP_BYTES = 4 + 2 + 4


class Draft:
    """A therapy of which not all parts have come yet. For each part `open`, `step` for each of its steps,
    `close`; whoever gets a PrescriptionError on the way drops the draft.
    """

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Forget it."""
        self.reader = None
        self.count = 0
        self.next = 0

    def open(self, part, mechanism: "Mechanism"):
        """Begin with a part: its steps. Raises PrescriptionError for what is wrong with its frame."""
        index, count = part.get("index"), part.get("count")
        if type(index) is not int or type(count) is not int or not 0 <= index < count <= MOST_PARTS:
            raise PrescriptionError(["part: index and count must be 0 <= index < count <= %d" % MOST_PARTS])
        name = "part[%d]." % index
        content = HEAD if index == 0 else STEPS
        problems = [
            "%s%s: unknown key" % (name, key[:24]) for key in part if key not in ("index", "count", content)
        ]
        if content not in part:
            problems.append("%s%s: missing" % (name, content))
        if index and self.reader is None:
            problems.append("part.index: %d, begin with 0" % index)
        elif index and (index, count) != (self.next, self.count):
            problems.append(
                "part.index: %d of %d, the next one is %d of %d" % (index, count, self.next, self.count)
            )
        if problems:
            raise PrescriptionError(problems)
        if index:
            return self._steps(part[STEPS], name)
        self._begin(part[HEAD], name, mechanism)
        self.count = count
        return ()

    def _begin(self, head: dict, name: str, mechanism: "Mechanism") -> None:
        self.drop()
        if not isinstance(head, dict) or STEPS in head or head.get("mode") != "flex":
            raise PrescriptionError([name + "therapy: must be an object with mode flex, without steps"])
        self.reader = Reader(head, mechanism)
        self.reader.head()

    def _steps(self, steps: int, name: str):
        if not isinstance(steps, list) or not 0 < len(steps) <= MOST_PART_STEPS:
            raise PrescriptionError(["%ssteps: must be a list of 1 to %d" % (name, MOST_PART_STEPS)])
        return steps

    def step(self, step, number: int) -> None:
        """Read step `number` of the part that is open."""
        self.reader.step(  # pyright: ignore[reportOptionalMemberAccess]  # a part is open
            step, "part[%d].steps[%d]" % (self.next, number)
        )

    def close(self) -> bool:
        """The part is read. Whether it was the last one. Raises PrescriptionError for all that is wrong."""
        self.reader.check()  # pyright: ignore[reportOptionalMemberAccess]  # a part is open
        self.next += 1
        return self.next == self.count


def digest(readback: dict, basal=()):
    """Eight hex digits for a read-back: the start of the SHA-256 of its sorted `key=value` lines, and of all
    of the basal behind them, which may be more than is read back in one frame.
    """
    said = hashlib.sha256(b"")
    join = ""
    for key in sorted(readback):
        said.update(("%s%s=%s" % (join, key, readback[key])).encode())
        join = "\n"
    if len(basal) > 1:
        for values in (basal.starts, basal.rate_steps, basal.rate_grains):
            said.update(bytes(values))
    return binascii.hexlify(said.digest()[:4]).decode()


def pack(digest: str, tick_s: int, head: dict, therapy: "Prescription", rig: int = 0):
    """The bytes to keep of `therapy`, a Prescription under the rig of that number, in pieces; `head` is the
    object that it was read from, without its steps. At most 2 kB and 3.4 kB of steps: all of `head` has been
    read, so it is short.
    """
    text = json.dumps([digest, tick_s, head, _calibration(therapy.mechanism), rig]).encode()
    basal = therapy.basal if therapy.mode == "flex" else Schedule()
    return text, b"\n", bytes(basal.starts), bytes(basal.rate_steps), bytes(basal.rate_grains)


class Packed:
    """What `pack` made, its pieces or, from the flash, one piece that is all of them: `digest`, `tick_s`,
    `head`, `rig`, and `basal`, a Schedule, empty but for a flex therapy. Raises PrescriptionError for bytes
    that are no therapy.
    """

    def __init__(self, pieces) -> None:
        data = pieces[0]
        text = data if len(pieces) > 1 else first_line(data)
        try:
            fields = json.loads(text)
            self.digest, self.tick_s, self.head, self.calibration, self.rig = fields
        except (ValueError, TypeError):
            raise PrescriptionError(["therapy: what is kept of it cannot be read"]) from None
        starts, steps, grains = pieces[2:] if len(pieces) > 1 else _columns(data, len(text) + 1)
        self.basal = basal = Schedule()
        basal.starts = array("i", bytes(starts))
        basal.rate_steps = array("H", bytes(steps))
        basal.rate_grains = array("i", bytes(grains))

    def read(self, mechanism: "Mechanism"):
        """The Prescription again. Raises PrescriptionError where it is not one for this mechanism."""
        reader = Reader(self.head, mechanism)
        reader.head()
        if self.basal:
            if self.calibration != _calibration(mechanism):
                reader.say("calibration: the steps are those of another mechanism")
            reader.take(self.basal)
        return reader.finish()


def _columns(data, at: int):
    """The steps from there on, as the pieces that they were. Raises PrescriptionError."""
    count, rest = divmod(len(data) - at, STEP_BYTES)
    if rest:
        raise PrescriptionError(["therapy: %d bytes behind its steps" % rest])
    columns = []
    for width in STEP_WIDTHS:
        columns.append(data[at : at + width * count])
        at += width * count
    return columns


def _calibration(mechanism: "Mechanism"):
    return [mechanism.nl_per_rev, mechanism.steps_per_rev, mechanism.grains_per_step]
