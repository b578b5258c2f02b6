"""One line of the serial link: JSON, a space, the CRC-32 of the JSON bytes as 8 hex digits, LF. In a line
that is signed a signature and a space stand before the CRC, which is of both then (`signing`).

`LineReader` turns bytes into request objects and never raises, never grows and never changes anything: what
it cannot understand becomes an `error` with a reason, and the next good line is read as if nothing had been.
How much it does in a tick is bounded, and the rest waits, first in its own buffer, then in that of USB, then
in the host. `FrameWriter` formats frames into one reused buffer without allocating; a frame that does not fit
is dropped whole and counted.
"""

import json
import struct

from ..signals import RX_BYTES
from .parser import BAD_FRAME, MOST_BLANKS, TOO_LARGE, Parser
from .signing import AUTH_WAIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Outputs
    from .signing import Keys


LINE_BYTES = 4096  # longest line, without its LF
# What is done for the link in one tick. One unit is a value of a request with its key; it takes half a
# millisecond on the board, the longest numbers twice that: see host_tests/chip/test_parser_on_chip.py.
WORK_A_TICK = 64
LINE_WORK = 1  # a line, whatever it is
SIGNED_WORK = 4  # and a signature, with its hashes: two milliseconds for a short one
SIGNED_WORK_BYTES = 512  # of JSON are as much again
MOST_NOISE_ANSWERS = 2  # in a tick, to lines that are no request
# Of the lines that wait to be read so many are looked at in a tick, and only short ones: a stop with all that
# it may have is no longer.
MOST_AHEAD = 4
MOST_AHEAD_BYTES = 192  # signed
STATUS_BYTES = 704  # more than the longest status frame, and kept free for it
SHORT_ITEMS = 16  # of an object or a list: it is written whole, which is faster
ANSWER_DEPTH = 3  # an answer, its read-back, the changes in that
BARE_COMMANDS = (b"hello", b"status", b"stop")  # for a person at a terminal: taken without a CRC


def fill_into(buffer, at: int, template, values: dict):
    """Write `template` to buffer[at:], each byte 0 in it replaced by the next of the small integers `values`
    in decimal. Returns the end, -1 if a piece does not fit or a number of 11 characters would not. Allocates;
    the board has one that does not (`drivers/fast_text.py`).
    """
    start = 0
    for value in values:
        end = template.index(b"\0", start)
        at = _put(buffer, at, template[start:end])
        if at < 0 or at + 11 > len(buffer):
            return -1
        at = _put(buffer, at, str(value).encode())
        start = end + 1
    return _put(buffer, at, template[start:])


def _put(buffer, at: int, piece):
    end = at + len(piece)
    if end > len(buffer):
        return -1
    buffer[at:end] = piece
    return end


def _is_short(values: dict) -> bool:
    return not any(isinstance(value, (dict, list)) and len(value) > SHORT_ITEMS for value in values.values())


class LineReader:
    """Bytes in, requests out. Once a tick `take_in` what has come, then `next` until it is None with an empty
    `error`. Only so much is done in a tick; what is left waits, in order.
    """

    def __init__(self, crc, keys: "Keys") -> None:
        self.crc = crc
        self.keys = keys
        self.data = bytearray(LINE_BYTES + RX_BYTES)
        self.view = memoryview(self.data)
        self.start = 0  # of the line that is read next ...
        self.looked = 0  # ... which has no end before this
        self.stop = 0  # of the line that is being read: where its LF is
        self.fill = 0  # end of what has come
        self.overlong = False  # the beginning of the line was thrown away
        self.digits = bytearray(8)
        self.parser = Parser()
        self.parsing = False
        self.ahead_parser = Parser()
        self.ahead_digits = bytearray(8)
        self.scanned = 0  # before this no line is left to be looked at ahead of its turn
        self.found_at = -1  # where the last one begins that was found so; -1 once it is read
        self.bare = False  # the line that is parsed has no CRC
        self.work = 0  # that is left in this tick
        self.answers = 0  # to noise that are left in this tick
        self.error = ""  # why the last line was refused ...
        self.message = ""
        self.number = 0  # ... and its `id`, 0 where that is not known
        self.bad_lines = 0

    def room(self):
        """How many bytes `take_in` has room for."""
        free = len(self.data) - self.fill
        return free if self.parsing else free + self.start

    def take_in(self, data, length: int) -> None:
        """A new tick, in which data[:length] has come. Bytes beyond `room` are lost, as one bad line."""
        self.work = WORK_A_TICK
        self.answers = MOST_NOISE_ANSWERS
        if not length:
            return
        if self.start and not self.parsing:
            left = self.fill - self.start
            self.view[:left] = self.view[self.start : self.fill]
            self.looked -= self.start
            self.scanned = max(self.scanned - self.start, 0)
            self.found_at = max(self.found_at - self.start, -1)
            self.start = 0
            self.fill = left
        fits = min(length, len(self.data) - self.fill)
        self.view[self.fill : self.fill + fits] = memoryview(data)[:fits]
        self.fill += fits
        if fits < length:
            self.bad_lines += 1

    def spend(self, work) -> None:
        """Something was done for the link that is worth so much of what may be done in a tick."""
        self.work -= work

    def next(self):
        """The next request, a dict with a text `cmd`, or None: `error` says why a line was refused, and is
        empty when no more is read in this tick.
        """
        self.error = ""
        keys = self.keys
        while self.work > 0 and (self.parsing or self._find_line()):
            # Of a flood of bad signatures each is dropped here, in few steps; one in a second is answered.
            if (
                keys.tries <= 0
                and keys.wait_told
                and not (self.parsing or self.overlong)
                and keys.drops(self.data, self.start, self.stop)
            ):
                self.work -= LINE_WORK
                keys.bad += 1
                self.bad_lines += 1
                self.start = self.stop + 1
                continue
            request = self._parse() if self.parsing else self._read_line()
            if request is not None or self.error:
                return request
        return None

    def _find_line(self) -> bool:
        """Whether a whole line has come."""
        stop = self.data.find(b"\n", self.looked, self.fill)
        if stop >= 0:
            self.stop = stop
            self.looked = stop + 1
            return True
        self.looked = self.fill
        if self.fill - self.start > LINE_BYTES:
            self.overlong = True
            self.start = self.fill
        return False

    def _line_is_read(self) -> None:
        self.start = self.stop + 1
        self.parsing = False

    def _read_line(self):
        """A bare word as a request; None for a line that is blank, refused or to be parsed."""
        self.work -= LINE_WORK
        keys = self.keys
        data = self.data
        start = self.start
        end = self.stop
        if self.overlong or end - start > LINE_BYTES:
            self.overlong = False
            self._line_is_read()
            return self._refuse(TOO_LARGE, "a line has at most %d bytes" % LINE_BYTES)
        end = self._without_blanks(start, end)
        length = end - start
        if length == 0:
            return self._line_is_read()
        if keys.tries <= 0 and keys.drops(data, start, end):
            keys.bad += 1
            self.start = self.stop + 1
            if keys.wait_told:
                self.bad_lines += 1
                return None
            keys.wait_told = True  # one in a second is answered
            self.number = self._number_in(start, end)
            return self._refuse(AUTH_WAIT, "signatures did not hold: try again in a second")
        keys.forget()
        for word in BARE_COMMANDS:
            if length == len(word) and data[start:end] == word:
                self._line_is_read()
                return {"cmd": word.decode()}
        self.bare = data[end - 1] == 125  # a closing brace: no CRC
        if not self.bare:
            if length < 11 or data[end - 9] != 32:
                self._line_is_read()
                return self._refuse(BAD_FRAME, "no CRC at the end of the line")
            if not self._crc_fits(start, end, self.digits):
                self._line_is_read()
                return self._refuse("bad_crc", "the CRC is not that of the line")
            end = self._without_signature(start, end - 9)
        self.parser.begin(data, start, end)
        self.parsing = True
        return None

    def _without_signature(self, start: int, end: int):
        """The end of the JSON of a line; what signature is behind it is judged. `digits` are of the JSON
        alone then.
        """
        keys = self.keys
        at = keys.find(self.data, start, end) if self.data[end - 1] != 125 else -1
        if at < 0:
            return end
        self.work -= SIGNED_WORK + (at - start) // SIGNED_WORK_BYTES
        keys.judge(self.data, start, at, end)
        self.crc(self.data, start, at, self.digits)
        return at

    def _number_in(self, start: int, end: int):
        """The `id` of a line that is not parsed, 0 where it is not at hand."""
        at = self.data.find(b'"id":', start, end) + 5
        number = 0
        while at > 4 and 48 <= self.data[at] <= 57 and number < 100_000_000:
            number = 10 * number + self.data[at] - 48
            at += 1
        return number

    def _without_blanks(self, start: int, end: int):
        """The end of a line without the blanks there."""
        data = self.data
        least = max(start, end - MOST_BLANKS)
        while end > least and data[end - 1] in (13, 32):
            end -= 1
        return end

    def _crc_fits(self, start: int, end: int, digits) -> bool:
        """Whether the line's CRC is that of its text; it is left in `digits`."""
        self.crc(self.data, start, end - 9, digits)
        return self.data[end - 8 : end].lower() == digits

    def _parse(self):
        """The request of the line, when it is read; else None."""
        parser = self.parser
        before = parser.count
        done = parser.work(self.work)
        self.work -= parser.count - before + 1
        if not done:
            self.work = 0
            return None
        self._line_is_read()
        request = parser.request
        self.number = parser.number
        parser.forget()
        if parser.error or request is None:
            return self._refuse(parser.error, parser.message, self.bare)
        if not isinstance(request.get("cmd"), str):
            return self._refuse(BAD_FRAME, "cmd: must be a text", self.bare)
        if self.bare and request["cmd"].encode() not in BARE_COMMANDS:
            return self._refuse("bad_crc", "%s needs a CRC" % request["cmd"][:32])
        return request

    # --- ahead of their turn

    def find_ahead(self, word, accepts):
        """Whether among the lines that wait there is one that has not been found yet, with `word`, bytes, in
        it, whose request `accepts` takes. It stays where it is, and is read when it is its turn.
        """
        data = self.data
        fill = self.fill
        found = False
        at = max(self.scanned, self.looked if self.parsing else self.start)
        for _ in range(MOST_AHEAD):
            at = data.find(word, at, fill)
            end = data.find(b"\n", at, fill) if at >= 0 else -1
            if end < 0:
                self.scanned = data.rfind(b"\n", 0, fill) + 1
                return found
            begin = data.rfind(b"\n", 0, at) + 1
            if not (self.overlong and begin <= self.start):
                request = self._request_ahead(begin, end)
                if request is not None and accepts(request):
                    self.found_at = begin
                    found = True
            at = end + 1
        self.scanned = at
        return found

    def before_found(self) -> bool:
        """Whether the line that was read last came before one that was found ahead of its turn."""
        return self.start <= self.found_at

    def _request_ahead(self, start: int, end: int):
        """The request of a short line, None for any other that may be right."""
        data = self.data
        end = self._without_blanks(start, end)
        if end - start > MOST_AHEAD_BYTES:
            return None
        text = data[start:end]
        if text in BARE_COMMANDS:
            return {"cmd": text.decode()}
        bare = text[-1:] == b"}"
        if not bare:
            if len(text) < 11 or text[-9] != 32 or not self._crc_fits(start, end, self.ahead_digits):
                return None
            end -= 9
            signature = self.keys.find(data, start, end)
            end = signature if signature >= 0 else end
        parser = self.ahead_parser
        parser.begin(data, start, end)
        done = parser.work(WORK_A_TICK)
        request = parser.request
        parser.forget()
        if not done or parser.error or request is None or not isinstance(request.get("cmd"), str):
            return None
        return None if bare and request["cmd"].encode() not in BARE_COMMANDS else request

    def _refuse(self, error: str, message: str, is_noise: bool = True) -> None:
        """Of the lines that nobody may have meant as a request only some are answered in a tick."""
        self.bad_lines += 1
        if is_noise:
            if error != AUTH_WAIT:
                self.number = 0
            if self.answers == 0:
                return
            self.answers -= 1
        self.error = error
        self.message = message


class Text:
    """A constant piece of a frame, with what `struct` needs to copy it without allocating."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.length = len(self.data)
        self.format = "%ds" % self.length


class FrameWriter:
    """Formats frames into `outputs.tx`. A frame is `begin`, then pieces, then `end`."""

    def __init__(self, crc) -> None:
        self.crc = crc
        self.fill = fill_into
        self.dropped = 0  # frames for which there was no room
        self.buffer = bytearray(0)
        self.frame_start = 0
        self.at = 0
        self.json_end = 0
        self.fits = True
        self.digits = bytearray(16)

    def room(self, outputs: "Outputs", length: int) -> bool:
        """Whether a frame of `length` bytes fits behind what is still to be sent."""
        return outputs.tx_start == outputs.tx_end or outputs.tx_end + length <= len(outputs.tx)

    def begin(self, outputs: "Outputs") -> None:
        """Start a frame behind what is still to be sent."""
        if outputs.tx_start == outputs.tx_end:
            outputs.tx_start = 0
            outputs.tx_end = 0
        self.buffer = outputs.tx
        self.frame_start = outputs.tx_end
        self.at = outputs.tx_end
        self.fits = True

    def text(self, piece) -> None:
        """Append a `Text`."""
        end = self.at + piece.length
        if end > len(self.buffer):
            self.fits = False
        else:
            struct.pack_into(piece.format, self.buffer, self.at, piece.data)
            self.at = end

    def number(self, value) -> None:
        """Append a small integer in decimal."""
        if self.at + 11 > len(self.buffer):
            self.fits = False
            return
        buffer = self.buffer
        at = self.at
        if value < 0:
            buffer[at] = 45
            at += 1
            value = -value
        count = 1
        rest = value // 10
        while rest:
            rest //= 10
            count += 1
        self.at = at + count
        while count:
            count -= 1
            rest = value // 10
            buffer[at + count] = 48 + value - 10 * rest
            value = rest

    def numbers(self, template, values) -> None:
        """Append a text with a number in place of each of its bytes 0: the small integers in the array
        `values`.
        """
        at = self.fill(self.buffer, self.at, template, values)
        if at < 0:
            self.fits = False
        else:
            self.at = at

    def end(self, outputs: "Outputs") -> bool:
        """Close the frame with its CRC. Returns False, and counts, if there was no room for all of it."""
        if not self.fits or self.at + 10 > len(self.buffer):
            self.dropped += 1
            return False
        buffer = self.buffer
        at = self.at
        self.crc(buffer, self.frame_start, at, self.digits)
        buffer[at] = 32
        for place in range(8):
            buffer[at + 1 + place] = self.digits[place]
        buffer[at + 9] = 10
        outputs.tx_end = at + 10
        return True

    def send_object(self, outputs: "Outputs", value: dict):
        """A whole frame from a dict; allocates, for replies only, and where it is long piece by piece: no
        answer may need much memory in one place. One that would be longer than a line may be is replaced by
        TOO_LARGE with the same `id`.
        """
        self.begin(outputs)
        self._value(value, ANSWER_DEPTH)
        length = self.at - self.frame_start + 10
        if length > LINE_BYTES or (not self.fits and len(self.buffer) - self.frame_start > LINE_BYTES):
            self.begin(outputs)
            message = "the answer is longer than a line may be, %d bytes" % LINE_BYTES
            refused = {"type": "reply", "id": value["id"], "ok": False, "error": TOO_LARGE}
            refused["message"] = message
            self._value(refused, ANSWER_DEPTH)
        self.json_end = self.at
        return self.end(outputs)

    def sent_json(self, most: int):
        """The bytes of the last object that was sent, b"" if it has more than `most`, or found no room."""
        if not self.fits or self.json_end - self.frame_start > most:
            return b""
        return self.buffer[self.frame_start : self.json_end]

    def send_json(self, outputs: "Outputs", data):
        """Those bytes once more."""
        self.begin(outputs)
        self._bytes(data)
        return self.end(outputs)

    def _value(self, value, depth: int) -> None:
        """What has long objects or lists in it, piece by piece, and lists of lists; what is deeper whole."""
        if depth and isinstance(value, dict) and not _is_short(value):
            lead = "{"
            for key in value:
                self._bytes(('%s"%s":' % (lead, key)).encode())
                self._value(value[key], depth - 1)
                lead = ","
            self._bytes(b"}")
        elif depth and value and isinstance(value, list) and isinstance(value[0], list):
            lead = b"["
            for item in value:
                self._bytes(lead)
                self._value(item, 0)
                lead = b","
            self._bytes(b"]")
        else:
            self._bytes(json.dumps(value, separators=(",", ":")).encode())

    def _bytes(self, data) -> None:
        end = self.at + len(data)
        if end > len(self.buffer):
            self.fits = False
        else:
            self.buffer[self.at : end] = data
            self.at = end
