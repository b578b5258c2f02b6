"""The drug library on its way: from a pharmacy's file, or over the link one drug at a time.

Wire form, `{"version": n, "drugs": [drug, ...]}` with each drug a table of `name`, `strengths`, `source`,
`verified`, `bounds` and `approved`, the bounds as lists in the order above, as is a concentration that is a
fraction. It is longer than a line of the link, so it comes one drug at a time: a part is a drug's table with
`version`, `index` (0, 1, ...) and `count` added. Index 0 begins anew, the last one completes the library;
nothing of it is used until it is confirmed.

In the journal it is a line of JSON, [version, CRC], and one for each drug. Either way a drug is read by
itself, and each of its words is in memory once: the largest library would not fit otherwise.
"""

import json

from ..problems import Problems, shown
from .formulary import CONCENTRATION, KINDS, PERCENTS, QUANTITIES, TIMES, below, seal, written
from .text_lines import lines
from .units import CONCENTRATION_TEXT, concentration_of

MOST_VERSION = 0x3FFFFFFF
MOST_DRUGS = 32
# Of its text in the journal. A slot holds more (record/layout.py), but the heap no more than one in
# force and another one on its way (host_tests/chip/test_memory.py). A drug of five bounds takes about 500.
MOST_BYTES = 6_000
MOST_STRENGTHS = 6
MOST_BOUNDS = 16
MOST_NAME = 32
MOST_USE = 12
MOST_SOURCE = 48
MOST_PG = 10**15
MOST_PERCENT = 1_000  # of a change: eleven times the dose
MOST_S = 31 * 86_400  # between two changes: a month

DRUG_KEYS = ("name", "strengths", "source", "verified", "bounds", "approved")
PART_KEYS = ("version", "index", "count")
CRC_DIGITS = 9  # more than stand for the 0 of a library without a CRC


class Draft:
    """A library on its way over the link. Nothing of it is used until the last part was good."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.version = 0
        self.count = 0
        self.drugs = []
        self.words = {}  # that were in it so far
        self.bytes = 0  # that they take in the journal, about

    def take(self, part):
        """Read one part. Returns (library, problems): the library when it is complete, else None; after a
        problem it has to begin again with index 0.
        """
        problems = Problems()
        if not isinstance(part, dict):
            self._forget()
            return None, ["part: must be an object"]
        version = _whole(part, "version", 1, MOST_VERSION, problems)
        count = _whole(part, "count", 1, MOST_DRUGS, problems)
        index = _whole(part, "index", 0, MOST_DRUGS - 1, problems)
        if index == 0:
            self._forget()
            self.version, self.count = version or 0, count or 0
        elif index is not None and index != len(self.drugs):
            problems.append("index: %d, the next one is %d" % (index, len(self.drugs)))
        elif (version, count) != (self.version, self.count):
            problems.append(
                "version, count: %s, %s, the first part said %d, %d"
                % (version, count, self.version, self.count)
            )
        drug = _drug(part, DRUG_KEYS + PART_KEYS, "", problems)
        _new_name(drug, self.drugs, problems)
        if not problems:
            self.bytes += len(json.dumps(drug)) + 2
            if self.bytes + len(json.dumps([self.version, 0])) + CRC_DIGITS > MOST_BYTES:
                problems.append("library: longer than the %d bytes that the pump keeps" % MOST_BYTES)
        if problems:
            self._forget()
            return None, problems.told()
        self.drugs.append(frozen(drug, self.words))
        if len(self.drugs) < self.count:
            return None, []
        library = seal(self.version, self.drugs)
        self._forget()
        return library, []


def from_wire(wire):
    """A whole library from its wire form: (library, problems), the library None if there are any."""
    problems = []
    if not isinstance(wire, dict):
        return None, ["library: must be an object"]
    _keys(wire, ("version", "drugs"), "", problems)
    version = _whole(wire, "version", 1, MOST_VERSION, problems)
    found = []
    tables = _list(wire, "drugs", 1, MOST_DRUGS, "", problems)
    for index in range(len(tables)):
        prefix = "drugs[%d]" % index
        if isinstance(tables[index], dict):
            drug = _drug(tables[index], DRUG_KEYS, prefix + ".", problems)
            _new_name(drug, found, problems)
            found.append(drug)
        else:
            problems.append(prefix + ": must be an object")
    return (None, problems) if problems else (seal(version, found), problems)


def to_wire(library: tuple):
    """The wire form of a library."""
    return {
        "version": library[0],
        "drugs": [
            {
                "name": drug[0],
                "strengths": [_listed(strength) for strength in drug[1]],
                "source": drug[2],
                "verified": drug[3],
                "bounds": [[_listed(value) for value in bound] for bound in drug[4]],
                "approved": drug[5],
            }
            for drug in library[1]
        ],
    }


def _listed(value):
    """A tuple as the list that JSON makes of it."""
    return list(value) if isinstance(value, tuple) else value


def _drug(table, known, prefix: str, problems):
    _keys(table, known, prefix, problems)
    name = table.get("name")
    if not is_name(name):
        problems.append(
            "%sname: %s, must be 1 to %d of a-z, 0-9, - and _, a letter first"
            % (prefix, shown(name), MOST_NAME)
        )
        name = None
    strengths = _list(table, "strengths", 0, MOST_STRENGTHS, prefix, problems)
    marketed = []
    for index in range(len(strengths)):
        where = "%sstrengths[%d]" % (prefix, index)
        strength = _concentration(strengths[index], where, problems)
        if strength is not None and strength in marketed:
            problems.append("%s: %s stands twice" % (where, shown(strengths[index])))
        marketed.append(strength)
    source = table.get("source")
    _check_text(source, 1, MOST_SOURCE, prefix + "source", problems)
    verified = table.get("verified")
    _check_flag(verified, prefix + "verified", problems)
    bounds = []
    rows = _list(table, "bounds", 0, MOST_BOUNDS, prefix, problems)
    for index in range(len(rows)):
        _bound(rows[index], bounds, "%sbounds[%d]" % (prefix, index), problems)
    approved = table.get("approved")
    _check_flag(approved, prefix + "approved", problems)
    return (name, tuple(marketed), source, verified, tuple(bounds), approved)


def _bound(row: int, bounds, prefix: str, problems: list) -> None:
    """Read one bound and add it to `bounds`, if it can be told from them and agrees with them."""
    if not isinstance(row, (list, tuple)) or len(row) != 6:
        problems.append(prefix + ": must be [quantity, kind, use, value, source, verified]")
        return
    before = len(problems)
    quantity, kind, use, value, source, verified = row
    if quantity not in QUANTITIES:
        problems.append(
            "%s.quantity: %s, must be one of %s" % (prefix, shown(quantity), ", ".join(QUANTITIES))
        )
    if kind not in KINDS:
        problems.append("%s.kind: %s, must be one of %s" % (prefix, shown(kind), ", ".join(KINDS)))
    if use != "" and not is_name(use, MOST_USE):
        problems.append(
            '%s.use: %s, must be "" or 1 to %d of a-z, 0-9, - and _' % (prefix, shown(use), MOST_USE)
        )
    if quantity == CONCENTRATION:
        value = _concentration(value, prefix + ".value", problems)
    else:
        _check_whole(value, 1, most_of(quantity), prefix + ".value", problems)
    _check_text(source, 1, MOST_SOURCE, prefix + ".source", problems)
    _check_flag(verified, prefix + ".verified", problems)
    if len(problems) > before:
        return
    for other in bounds:
        if other[0] != quantity or other[2] != use:
            continue
        if other[1] == kind:
            problems.append("%s: %s.%s stands twice" % (prefix, quantity, kind))
            return
        elif below(other[3], value) != (KINDS.index(other[1]) < KINDS.index(kind)) and other[3] != value:
            problems.append(
                "%s.value: %s.%s is %s, must not contradict %s, which is %s"
                % (prefix, quantity, kind, written(value), other[1], written(other[3]))
            )
    bounds.append((quantity, kind, use, value, source, verified))


def most_of(quantity):
    """The largest whole number that a bound on `quantity` may have."""
    return MOST_PERCENT if quantity in PERCENTS else MOST_S if quantity in TIMES else MOST_PG


def _new_name(drug, drugs, problems) -> None:
    for other in drugs:
        if drug[0] is not None and other[0] == drug[0]:
            problems.append("name: %s stands twice" % drug[0])


def _keys(table, known, prefix: str, problems: list) -> None:
    for key in sorted(table):
        if key not in known:
            problems.append("%s%s: unknown key" % (prefix, shown(key)))


class Packed:
    """The bytes to keep of a library, in pieces: its lines. Each is made when it is asked for."""

    def __init__(self, library) -> None:
        self.version, self.drugs, self.crc = library

    def __len__(self) -> int:
        return 1 + len(self.drugs)

    def __getitem__(self, index: int) -> bytes:
        if index == 0:
            return json.dumps((self.version, self.crc)).encode()
        return ("\n" + json.dumps(self.drugs[index - 1])).encode()


def unpack(data):
    """The library again that `Packed` wrote."""
    rest = lines(data)
    version, crc = json.loads(next(rest))
    words = {}
    return version, tuple(frozen(json.loads(line), words) for line in rest), crc


def frozen(value, words: dict):
    """`value` with tuples for its lists, and for each text the one in `words` that is like it, or it is put
    there.
    """
    if isinstance(value, (list, tuple)):
        return tuple([frozen(item, words) for item in value])
    return words.setdefault(value, value) if isinstance(value, str) else value


def _whole(table, key: str, least: int, most: int, problems):
    value = table.get(key)
    return value if _check_whole(value, least, most, key, problems) else None


def _check_whole(value, least: int, most: int, where: str, problems: list) -> bool:
    if type(value) is int and least <= value <= most:
        return True
    problems.append("%s: %s, must be a whole number from %d to %d" % (where, shown(value), least, most))
    return False


def _concentration(value, where: str, problems: list):
    """A concentration in its one form, a whole number or (num, den), or None after saying what is wrong."""
    found = concentration_of(value)
    if found is None:
        problems.append("%s: %s, must be %s" % (where, shown(value), CONCENTRATION_TEXT))
        return None
    return found[0] if found[1] == 1 else found


def _check_text(value, least: int, most: int, where: str, problems: list) -> None:
    if isinstance(value, str) and least <= len(value) <= most:
        for character in value:
            if not 32 <= ord(character) <= 126:
                break
        else:
            return
    problems.append("%s: must be a text of %d to %d ASCII characters" % (where, least, most))


def _check_flag(value, where: str, problems: list) -> None:
    if type(value) is not bool:
        problems.append("%s: %s, must be true or false" % (where, shown(value)))


def _list(table, key: str, least: int, most: int, prefix: str, problems: list):
    value = table.get(key)
    if isinstance(value, (list, tuple)) and least <= len(value) <= most:
        return value
    problems.append("%s%s: must be a list of %d to %d" % (prefix, key, least, most))
    return []


def is_name(value, most: int = MOST_NAME):
    """Whether a value can be the name of a drug or of a use: no spaces, dots or capitals."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not "a" <= value[0] <= "z":
        return False
    return all("a" <= each <= "z" or "0" <= each <= "9" or each in "-_" for each in value)
