"""Frames that somebody might send, made from the table of commands; under MicroPython and CPython alike.

Right ones, and right ones with types swapped, keys that are no text, deep nests, long digits, floats, keys
that stand twice, characters beyond ASCII, unknown keys, pieces cut out, put in or doubled, lines joined or
without their CRC. The CRC is right of most: what is behind it is to be reached.
"""

# ruff: noqa: UP031 (braces are what the texts here are full of)

from binascii import crc32

from thecal.dose import formulary, library_wire, prescription
from thecal.link.commands import COMMANDS, LISTS, TEXTS


class Draw:
    """Numbers below a bound, the same everywhere (Park and Miller's generator)."""

    def __init__(self, seed):
        self.state = seed * 2_147_483 % 2_147_483_646 + 1
        for _ in range(3):
            self.below(2)

    def below(self, bound):
        self.state = self.state * 48_271 % 2_147_483_647
        return self.state // 7 % bound

    def of(self, choices):
        return choices[self.below(len(choices))]

    def once_in(self, times):
        return self.below(times) == 0


# Values as JSON has them, or almost.
ODD = (
    "0",
    "1",
    "-1",
    "-0",
    "00",
    "1.5",
    "1e3",
    "true",
    "false",
    "null",
    "NaN",
    '""',
    '"x"',
    '"%s%d%n"',
    "{}",
    "[]",
    "{1:2}",
    "{null:0}",
    "[[[[[[[[]]]]]]]]",
    '{"a":{"a":{"a":{"a":{"a":{"a":0}}}}}}',
    '{"a":1,"a":2}',
    "9" * 9,
    "1073741823",
    "1073741824",
    "9" * 19,
    "9" * 20,
    "9" * 400,
    '"\\u0000\\n\\""',
    '"\\ud800"',
    '"\u00e9\u20ac"',
    '"' + "x" * 128 + '"',
    '"' + "x" * 129 + '"',
    "[" + "0," * 60 + "0]",
    '{"stop":"stop","cmd":"stop"}',
)
NAMES = ("morphine", "baclofen", "ziconotide", "saline", "")
NUMBERS = (0, 1, 7, 59, 100, 1_000, 2_000, 5_000, 60_000, 600_000, 3_600_000, 6_000_000, 86_400_000, 1 << 29)


def number(draw):
    return str(draw.of(NUMBERS) + draw.below(3))


def table(draw, keys, value):
    """An object with some of these keys, now and then with one that nobody knows or an odd value."""
    members = []
    for key in keys:
        if draw.below(3):
            members.append('"%s":%s' % (key, draw.of(ODD) if draw.once_in(40) else value(draw, key)))
    if draw.once_in(12):
        members.append("%s:%s" % (draw.of(('"zz"', "1", "[]", '"\\u007a"', "zz", '"mode"')), draw.of(ODD)))
    return "{%s}" % ",".join(members)


def therapy_value(draw, key):
    if key == "mode":
        return '"%s"' % draw.of(prescription.MODES)
    if key == "on_low":
        return '"%s"' % draw.of(prescription.ON_LOW)
    if key == "drug":
        return '"%s"' % draw.of(NAMES)
    if key == "patient_bolus":
        return table(draw, prescription.BOLUS_KEYS, therapy_value)
    if key == "limit":
        return table(draw, prescription.LIMIT_KEYS, therapy_value)
    if key == "steps":
        count = draw.of((0, 1, 2, 3, 24, 60)) if draw.once_in(8) else 2
        steps = [table(draw, prescription.STEP_KEYS, therapy_value) for _ in range(count)]
        if draw.once_in(30):
            steps += ["0"] * draw.of((9, 320, 600))
        return "[%s]" % ",".join(steps)
    return number(draw)


def therapy(draw):
    if draw.once_in(4):
        return '{"mode":"continuous","rate_num":%d,"rate_den":1}' % (2_000 + draw.below(9_000_000))
    if draw.once_in(20):
        return "{%s}" % ",".join(
            ['"%s%d":0' % (chr(97 + index % 26), index) for index in range(draw.below(520))]
        )
    return table(draw, prescription.KEYS, therapy_value)


def part_value(draw, key):
    if key == "name":
        return '"%s"' % draw.of(NAMES)
    if key == "strengths":
        return "[%s]" % ",".join([number(draw) for _ in range(draw.below(9))])
    if key == "source":
        return '"own"'
    if key == "verified":
        return draw.of(("true", "false"))
    if key == "bounds":
        rows = []
        for _ in range(draw.below(12)):
            quantity = draw.of(formulary.QUANTITIES)
            kind = draw.of(formulary.KINDS)
            rows.append('["%s","%s","",%s,"own",true]' % (quantity, kind, number(draw)))
        return "[%s]" % ",".join(rows)
    return draw.of(("1", "1", "0", "2"))


def argument(draw, key):
    if key == "therapy":
        return therapy(draw)
    if key == "part":
        return table(draw, library_wire.DRUG_KEYS + library_wire.PART_KEYS, part_value)
    if key in LISTS:
        return "[%s]" % ",".join([draw.of(('"morphine.unverified"', '"x"')) for _ in range(draw.below(4))])
    if key == "stream":
        return draw.of(('"events"', '"faults"', '"x"'))
    if key in (*TEXTS, "of_run"):
        return draw.of(('"00000000"', '"7fffffff"', '"%s"' % ("f" * 70)))
    return number(draw)


def request(draw, commands, ids):
    """The JSON of one request."""
    row = draw.of(commands)
    members = ['"cmd":"%s"' % row.name]
    if draw.below(8):
        members.append('"id":%d' % next(ids))
        if draw.below(8):
            members.append('"run":"0000000%d"' % draw.below(3))
    for key in row.needs:
        if not draw.once_in(20):
            members.append('"%s":%s' % (key, argument(draw, key)))
    for key in row.may:
        if draw.once_in(2):
            members.append('"%s":%s' % (key, argument(draw, key)))
    if draw.once_in(12):
        members.append('"at_tick":%s' % number(draw))
    if draw.once_in(6):
        index = draw.below(len(members))
        key = members[index][: members[index].index(":")]
        members[index] = "%s:%s" % (key, draw.of(ODD))
    if draw.once_in(20):
        members.append("%s:%s" % (draw.of(('"zz"', "1", "[]", "null", '"cmd"')), draw.of(ODD)))
    return "{%s}" % ",".join(members)


def damaged(draw, text):
    """Cut, doubled or with a character of the grammar put in."""
    at = draw.below(len(text) + 1)
    end = min(len(text), at + draw.below(9))
    return (
        text[:at]
        + draw.of(("", text[at:end] * 2, "{", "}", "[", "]", '"', ",", ":", "\\", "1", " "))
        + text[end:]
    )


def line(draw, commands, ids):
    """One line as bytes, its LF with it."""
    text = request(draw, commands, ids)
    if draw.once_in(4):
        text = damaged(draw, text)
    if draw.once_in(40):
        text += draw.of((" ", "", ",")) + request(draw, commands, ids)
    data = text.encode()
    if draw.once_in(30):
        return data[: draw.below(len(data) + 1)] + draw.of((b"", b"\r\n", b"\n", b" 00000000\n"))
    return data + b" %08x\n" % (crc32(data) & 0xFFFFFFFF)


def harmless():
    """The commands that stop nothing and give nothing to a pump that runs."""
    left = (
        "stop",
        "cancel",
        "acknowledge",
        "confirm",
        "bolus",
        "patient_bolus",
        "prime",
        "set_time",
        "begin_anew",
    )
    return [row for row in COMMANDS if row.name not in left]
