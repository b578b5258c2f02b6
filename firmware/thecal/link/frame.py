"""One line of the serial link: JSON, a space, the CRC-32 of the JSON bytes as 8 hex digits, LF.

`LineReader` turns bytes into request objects and never raises, never grows and never changes anything: what
it can not understand becomes an `error` with a reason, and the next good line is read as if nothing had been.
`FrameWriter` formats frames into one reused buffer without allocating; a frame that does not fit is dropped
whole and counted.

The CRC is kept as two 16-bit halves, because a 32-bit integer is a heap object on the board.
"""

import json
import struct
from array import array

LINE_BYTES = 4096  # longest request: a flex week with all its steps
MOST_DEPTH = 6  # nesting of a request; bounds the parser's stack
BARE_COMMANDS = (b"hello", b"status", b"stop")  # for a person at a terminal: taken without a CRC

LOW_TABLE = array("H", bytes(512))
HIGH_TABLE = array("H", bytes(512))


def _fill_tables():
    for index in range(256):
        low = index
        high = 0
        for _ in range(8):
            carry = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if carry:  # polynomial 0xEDB88320, as in zlib and Ethernet
                low ^= 0x8320
                high ^= 0xEDB8
        LOW_TABLE[index] = low
        HIGH_TABLE[index] = high


_fill_tables()


def crc_into(data, start, end, digits):
    """CRC-32 of data[start:end] as 8 lower-case hex digits into the bytearray `digits`. Allocates nothing."""
    low = 0xFFFF
    high = 0xFFFF
    low_table = LOW_TABLE
    high_table = HIGH_TABLE
    for index in range(start, end):
        slot = (low ^ data[index]) & 0xFF
        low = (low >> 8 | (high & 0xFF) << 8) ^ low_table[slot]
        high = high >> 8 ^ high_table[slot]
    low ^= 0xFFFF
    high ^= 0xFFFF
    for place in range(4):
        shift = 12 - 4 * place
        digits[place] = _hex_digit(high >> shift & 15)
        digits[place + 4] = _hex_digit(low >> shift & 15)


def _hex_digit(value):
    return 48 + value if value < 10 else 87 + value


class LineReader:
    """Collects bytes into lines. `feed` byte ranges, then take requests with `next_request` until it returns
    None.
    """

    def __init__(self, crc=crc_into):
        self.crc = crc
        self.line = bytearray(LINE_BYTES)
        self.length = 0
        self.overlong = False
        self.digits = bytearray(8)
        self.error = ""  # why the last line was refused
        self.bad_lines = 0

    def read(self, data, start, end):
        """Take bytes up to and including the next LF, which completes a line. Returns the index after it, or
        -1 if there is none.
        """
        line = self.line
        length = self.length
        for index in range(start, end):
            byte = data[index]
            if byte == 10:
                self.length = length
                return index + 1
            if length < LINE_BYTES:
                line[length] = byte
                length += 1
            else:
                self.overlong = True
        self.length = length
        return -1

    def take(self):
        """The completed line as a request (a dict with a text `cmd`), or None with `error` set (empty for a
        blank line).
        """
        length = self.length
        overlong = self.overlong
        self.length = 0
        self.overlong = False
        self.error = ""
        while length and self.line[length - 1] in (13, 32):
            length -= 1
        if length == 0 and not overlong:
            return None
        request = self._refuse("bad_frame") if overlong else self._understand(length)
        if request is None:
            self.bad_lines += 1
        return request

    def _understand(self, length):
        text = bytes(memoryview(self.line)[:length])
        if text in BARE_COMMANDS:
            return {"cmd": text.decode()}
        bare = text[-1] == 125  # a closing brace: no CRC
        if not bare:
            if length < 11 or text[-9] != 32:
                return self._refuse("bad_frame")
            self.crc(text, 0, length - 9, self.digits)
            if text[-8:].lower() != self.digits:
                return self._refuse("bad_crc")
            text = text[:-9]
        if not _shallow(text):
            return self._refuse("bad_frame")
        try:
            request = json.loads(text.decode())
        except ValueError:  # malformed JSON and bytes that are not UTF-8 alike
            return self._refuse("bad_frame")
        if not isinstance(request, dict) or not isinstance(request.get("cmd"), str) or _has_float(request):
            return self._refuse("bad_frame")
        if bare and request["cmd"].encode() not in BARE_COMMANDS:
            return self._refuse("bad_crc")
        return request

    def _refuse(self, error):
        self.error = error


def _shallow(text):
    depth = 0
    for byte in text:
        if byte in (91, 123):
            depth += 1
            if depth > MOST_DEPTH:
                return False
        elif byte in (93, 125):
            depth -= 1
    return True


def _has_float(value):
    if isinstance(value, dict):
        return any(_has_float(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_float(item) for item in value)
    return isinstance(value, float)


class Text:
    """A constant piece of a frame, with what `struct` needs to copy it without allocating."""

    def __init__(self, text):
        self.data = text.encode()
        self.length = len(self.data)
        self.format = "%ds" % self.length


class FrameWriter:
    """Formats frames into `outputs.tx`. A frame is `begin`, then pieces, then `end`."""

    def __init__(self, crc=crc_into):
        self.crc = crc
        self.dropped = 0  # frames for which there was no room
        self.buffer = bytearray(0)
        self.frame_start = 0
        self.at = 0
        self.fits = True
        self.digits = bytearray(16)

    def room(self, outputs, length):
        """Whether a frame of `length` bytes fits behind what is still to be sent."""
        return outputs.tx_start == outputs.tx_end or outputs.tx_end + length <= len(outputs.tx)

    def begin(self, outputs):
        """Start a frame behind what is still to be sent."""
        if outputs.tx_start == outputs.tx_end:
            outputs.tx_start = 0
            outputs.tx_end = 0
        self.buffer = outputs.tx
        self.frame_start = outputs.tx_end
        self.at = outputs.tx_end
        self.fits = True

    def text(self, piece):
        """Append a `Text`."""
        end = self.at + piece.length
        if end > len(self.buffer):
            self.fits = False
        else:
            struct.pack_into(piece.format, self.buffer, self.at, piece.data)
            self.at = end

    def number(self, value):
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

    def end(self, outputs):
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

    def send_object(self, outputs, value):
        """A whole frame from a dict; allocates, for replies only."""
        self.begin(outputs)
        self.text(Text(json.dumps(value, separators=(",", ":"))))
        return self.end(outputs)
