"""JSON as a request may have it, read strictly, in pieces, with bounded memory; on every interpreter alike.

MicroPython's own `json` takes more than JSON ({1:2}, floats, text after the end) and lets the sender choose
how much memory it takes. Here each bound is a constant, and whatever does not keep to it is refused by name:
a request is an object; keys are texts, each once; numbers are whole; texts are ASCII, as JSON escapes all
else.

A `Parser` reads some members of objects and lists at each call, so that a long request takes several ticks
and none of them long. What it makes of a text: dict, list, str, int, True, False, None.
"""

BAD_FRAME = "bad_frame"  # not a request
TOO_LARGE = "too_large"  # a request, but more than a bound allows

MOST_DEPTH = 6  # objects and lists inside each other; a flex therapy takes four
# Values of all kinds in a request. A flex week in a line of 4 096 bytes has at most 70 steps of 5 values; the
# memory of so many of the largest is in `host_tests/chip/test_parser_on_chip.py`.
MOST_VALUES = 512
# Keys of an object: a therapy has 18. MicroPython looks for one key after the other where it has many.
MOST_KEYS = 32
MOST_DIGITS = 19  # of a number: the largest that any argument may be is 10**18
# Bytes of a text, escapes as they stand there: the longest name of a soft limit has 68.
MOST_TEXT = 128
MOST_BLANKS = 16  # in a row

_BLANKS = (32, 9, 13)
_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS = 34, 92, 44, 58, 45
_ZERO, _NINE = 48, 57
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_ESCAPES = {34: '"', 92: "\\", 47: "/", 98: "\b", 102: "\f", 110: "\n", 114: "\r", 116: "\t"}
_WORDS = ((b"true", True), (b"false", False), (b"null", None))
_NO_CONTAINER = (None,) * MOST_DEPTH


class Malformed(Exception):
    """What is wrong with a text: BAD_FRAME or TOO_LARGE, and a sentence. Does not leave `Parser.work`."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


class Parser:
    """`begin` with the bytes, `work` until it is True; then `request` is the object, or None with `error` and
    `message`. `number` is the request's `id`, of a refused one as far as it was read; 0 without.
    """

    def __init__(self) -> None:
        self.data = b""
        self.start = 0
        self.at = 0
        self.end = 0
        # The objects and lists that are open, the outermost first.
        self.holders = list(_NO_CONTAINER)  # type: list
        self.depth = 0
        self.fresh = False  # the innermost was opened just now
        self.count = 0
        self.request = None
        self.error = ""
        self.message = ""

    def begin(self, data, start: int, end: int) -> None:
        """The text is data[start:end]; it must not move until it is read."""
        self.data = data
        self.start = self.at = start
        self.end = end
        self.depth = 0
        self.count = 0
        self.request = None
        self.error = ""

    @property
    def number(self):
        """The `id` of the request."""
        number = self.request.get("id") if self.request else 0
        return number if type(number) is int else 0

    def forget(self) -> None:
        """Let go of what was read."""
        self.request = None
        for depth in range(MOST_DEPTH):
            self.holders[depth] = None

    def work(self, most: int) -> bool:
        """Read on, at most `most` members. True when there is no more to be read."""
        try:
            if self.request is None:
                self._open_request()
            while most > 0 and self.depth > 0:
                self._member()
                most -= 1
            if self.depth > 0:
                return False
            if self.at < self.end and self._byte(False) >= 0:
                raise self._bad("text after the end of the object")
        except Malformed as problem:
            self.error = problem.error
            self.message = problem.message
        return True

    # --- within

    def _bad(self, text: str) -> Malformed:
        return Malformed(BAD_FRAME, "byte %d: %s" % (self.at - self.start, text))

    def _open_request(self) -> None:
        if self._byte() != _OPEN_OBJECT:
            raise self._bad("a request is an object")
        self.request = {}
        self._open(self.request)

    def _open(self, holder) -> None:
        if self.depth == MOST_DEPTH:
            raise Malformed(TOO_LARGE, "at most %d objects and lists inside each other" % MOST_DEPTH)
        self.holders[self.depth] = holder
        self.depth += 1
        self.fresh = True
        self.at += 1

    def _byte(self, needed=True):
        """The next byte that is no blank; not taken yet. -1 at the end, if none is needed."""
        data = self.data
        at = self.at
        if at < self.end and data[at] > 32:  # as good as always
            return data[at]
        end = min(self.end, at + MOST_BLANKS + 1)
        while at < end:
            byte = data[at]
            if byte not in _BLANKS:
                self.at = at
                return byte
            at += 1
        blanks = at - self.at
        self.at = at
        if blanks > MOST_BLANKS:
            raise Malformed(TOO_LARGE, "at most %d blanks in a row" % MOST_BLANKS)
        if needed:
            raise self._bad("the line ends too soon")
        return -1

    def _member(self) -> None:
        """The next member of what is open, up to its value or the beginning of that, or its end."""
        holder = self.holders[self.depth - 1]
        in_list = isinstance(holder, list)
        byte = self._byte()
        if byte == (_CLOSE_LIST if in_list else _CLOSE_OBJECT):
            self.depth -= 1
            self.fresh = False
            self.at += 1
            return
        if not self.fresh:
            if byte != _COMMA:
                raise self._bad("a comma or an end is missing")
            self.at += 1
            byte = self._byte()
        self.count += 1
        if self.count > MOST_VALUES:
            raise Malformed(TOO_LARGE, "at most %d values in a request" % MOST_VALUES)
        self.fresh = False
        if in_list:
            holder.append(self._value(byte))
            return
        if byte != _QUOTE:
            raise self._bad("a key must be a text")
        key = self._text()
        if len(holder) == MOST_KEYS:
            raise Malformed(TOO_LARGE, "at most %d keys in an object" % MOST_KEYS)
        if key in holder:
            raise self._bad("the key %s stands twice" % key[:24])
        if self._byte() != _COLON:
            raise self._bad("a colon is missing")
        self.at += 1
        holder[key] = self._value(self._byte())

    def _value(self, byte: int):
        """The value that begins with `byte`, here; an object or a list is opened."""
        if byte == _QUOTE:
            return self._text()
        if byte in (_OPEN_OBJECT, _OPEN_LIST):
            value = {} if byte == _OPEN_OBJECT else []
            self._open(value)
            return value
        if byte == _MINUS or _ZERO <= byte <= _NINE:
            return self._whole()
        for word, value in _WORDS:
            if self.data[self.at : self.at + len(word)] == word and self.at + len(word) <= self.end:
                self.at += len(word)
                return value
        raise self._bad("a value is missing")

    def _whole(self) -> int:
        data = self.data
        start = self.at
        first = start + 1 if data[start] == _MINUS else start
        most = min(self.end, first + MOST_DIGITS + 1)
        at = first
        while at < most and _ZERO <= data[at] <= _NINE:
            at += 1
        if at - first > MOST_DIGITS:
            raise Malformed(TOO_LARGE, "at most %d digits in a number" % MOST_DIGITS)
        if at == first or (data[first] == _ZERO and at > first + 1):
            raise self._bad("not a number")
        if at < self.end and data[at] in b".eE":
            raise self._bad("a number must be whole")
        self.at = at
        return int(data[start:at].decode())

    def _text(self):
        """The text that begins with the quote here."""
        start = self.at + 1
        most = min(self.end, start + MOST_TEXT + 1)
        stop = self.data.find(b'"', start, most)
        piece = self.data[start : most if stop < 0 else stop]
        if len(piece) > 0 and not 32 <= min(piece) <= max(piece) <= 126:
            raise self._bad("a text must be ASCII")
        if piece.find(b"\\") >= 0:
            return self._escaped_text(start, most)
        if stop < 0:
            raise self._no_quote(most)
        self.at = stop + 1
        return piece.decode()

    def _no_quote(self, most: int) -> Malformed:
        if most < self.end:
            return Malformed(TOO_LARGE, "at most %d bytes in a text" % MOST_TEXT)
        self.at = most
        return self._bad("a text without an end")

    def _escaped_text(self, at: int, most: int):
        data = self.data
        found = []
        while at < most:
            byte = data[at]
            self.at = at
            if byte == _QUOTE:
                self.at = at + 1
                return "".join(found)
            if not 32 <= byte <= 126:
                raise self._bad("a text must be ASCII")
            at += 1
            if byte != _BACKSLASH:
                found.append(chr(byte))
                continue
            if at == most:
                break
            if data[at] == 117:  # \u
                found.append(self._unicode(at + 1))
                at += 5
            elif data[at] in _ESCAPES:
                found.append(_ESCAPES[data[at]])
                at += 1
            else:
                raise self._bad("an unknown escape")
        raise self._no_quote(most)

    def _unicode(self, at: int):
        """The character of four hex digits. Half of a pair is none by itself, and no text here needs one."""
        code = 0
        for index in range(at, at + 4):
            digit = b"0123456789abcdef".find(self.data[index : index + 1].lower()) if index < self.end else -1
            if digit < 0:
                raise self._bad("an unknown escape")
            code = code << 4 | digit
        if 0xD800 <= code <= 0xDFFF:
            raise self._bad("an unknown escape")
        return chr(code)
