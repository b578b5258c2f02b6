"""What the pages say against what is there: commands, wiring, scenario keys, targets, tests, frames, figures.

A test that fails here names what the text lacks or has too much; the text is then what has to change. Rows of
tables are read by their first cell, so columns may be added.
"""

import re
import tomllib
import zlib
from fractions import Fraction
from pathlib import Path

import pytest
from thecal.clock import TICK_MS
from thecal.dose.prescription import PAGE_STEPS
from thecal.dose.program import MOST_PART_STEPS
from thecal.dose.schedule import MOST_STEPS, MOST_STEPS_A_DAY
from thecal.handlers.keyring import HAND_S
from thecal.handlers.service import MOST_JOG_NL, MOST_JOG_NL_H
from thecal.link import commands, parser, signing
from thecal.link.answers import MOST_STOP_TICKS
from thecal.link.frame import LINE_BYTES, LINE_WORK, WORK_A_TICK
from thecal.link.queue import MOST_WAITING
from thecal.record.events import RECORD_BYTES
from thecal.record.ledger import LEAST_TICKS, QUANTUM_TICKS
from thecal.record.therapies import KEPT
from thecal.signals import QUEUE_SEGMENTS, RX_BYTES, SEGMENT_TICKS
from thecal.watch.alarms import ALARMS, PRIORITIES, RESPONSES
from thecal.watch.occlusion import THRESHOLD_PA
from thecal.watch.stretches import CHANGES_A_DAY
from thecal_bench import quick, scenario
from thecal_bench.benchmarks.motion import STALL_MS
from thecal_bench.benchmarks.occlusion import FALSE_ALARM_H
from thecal_bench.chip.nets import load_nets
from thecal_bench.scenario import format
from thecal_host import cli
from thecal_host.run import DEMO
from thecal_host.sharing import GREETING_TIMEOUT_S
from thecal_model import quantities
from thecal_model.quantities import decimal_text
from thecal_model.rig import reference
from typer.main import get_command

PYTHON = "3.11"  # pyproject.toml; a test below
ROOT = Path(__file__).parents[2]

FIRST = "README.md"
BOARD = "boards/THECAL_PICO/README.md"
OTHER_BOARD = "boards/THECAL_PICO_W/README.md"
COMMAND = "tools/thecal_host/README.md"
LINK = "firmware/thecal/link/README.md"
THREATS = "firmware/thecal/link/THREATS.md"
ALARM = "firmware/thecal/watch/README.md"
CLAIMS = "host_tests/README.md"
EXPERIMENT = "host_tests/scenarios/README.md"
CODE = "firmware/README.md"
CHANGE = "CONTRIBUTING.md"
PAGES = {
    path: (ROOT / path).read_text()
    for path in (FIRST, BOARD, OTHER_BOARD, COMMAND, LINK, THREATS, ALARM, CLAIMS, EXPERIMENT, CODE, CHANGE)
}
README = PAGES[FIRST]
SCENARIOS = PAGES[EXPERIMENT]
every_page = pytest.mark.parametrize("path", PAGES)

# Which GPIO is where on a Pico's pins 1 to 40; -1 is ground or power. Raspberry Pi's pinout of the board.
HEADER = (
    *(0, 1, -1, 2, 3, 4, 5, -1, 6, 7, 8, 9, -1, 10, 11, 12, 13, -1, 14, 15),
    *(16, 17, -1, 18, 19, 20, 21, -1, 22, -1, 26, 27, -1, 28, -1, -1, -1, -1, -1, -1),
)
RIG = reference()
NL_H_OF_A_STEP_A_TICK = Fraction(RIG.nl_per_rev * 3_600_000, RIG.steps_per_rev * TICK_MS)
EFFECTS = {commands.READS: "reads", commands.AT_ONCE: "at once", commands.FLOW: "end of the tick"}


def section(text: str, title: str) -> str:
    """What stands under a heading that begins with `title`, up to the next of the same rank or above."""
    match = re.search(rf"^(#+) {re.escape(title)}.*\n", text, re.MULTILINE)
    assert match, f"no section {title}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without headings and rules."""
    lines = text.splitlines()
    found = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not line.startswith("|---") and not following.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def code(cell: str) -> list[str]:
    """The words between back-quotes."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(text: str, *languages: str) -> str:
    """All fenced blocks of these languages."""
    return "".join(
        re.findall(rf"^ *```(?:{'|'.join(languages)})\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    )


@pytest.mark.req("SEC-05")
def test_the_first_screen_forbids_use_on_a_person():
    first_screen = "\n".join(README.splitlines()[:25])
    assert "NEVER FOR USE ON A PERSON" in first_screen
    for path in (FIRST, CLAIMS):
        limits = section(PAGES[path], "Limits")
        assert "physical access" in limits and "no secure boot" in limits


@every_page
def test_every_page_forbids_use_on_a_person_or_leads_to_the_one_that_does(path):
    first_screen = " ".join(" ".join(PAGES[path].splitlines()[:25]).split()).lower()
    assert "never for use on a person" in first_screen


def test_the_first_page_is_two_screens():
    assert len(README.splitlines()) <= 120


@pytest.mark.req("SEC-01")
def test_the_table_of_commands_is_that_of_the_pump():
    text = section(PAGES[LINK], "Commands")
    told = {code(row[0])[0]: (row[1], code(row[2]), row[3]) for row in rows(text)}
    there = {
        command.name: (
            commands.ROLES[command.role],
            [*command.needs, *command.may],
            EFFECTS[command.changes],
        )
        for command in commands.COMMANDS
    }
    assert told == there


@pytest.mark.req("ALM-01")
def test_the_table_of_alarms_is_that_of_the_pump():
    told = [[*code(row[0]), *row[1:]] for row in rows(PAGES[ALARM])]
    there = [
        [
            alarm.code,
            PRIORITIES[alarm.priority],
            alarm.text,
            RESPONSES[alarm.response],
            "yes" if alarm.latching else "no",
            alarm.clears,
        ]
        for alarm in ALARMS
    ]
    assert told == there


def test_the_table_of_wires_is_pins_csv():
    text = section(PAGES[BOARD], "Wiring")
    told = {code(row[0])[0]: (row[1], row[2]) for row in rows(text)}
    nets = load_nets(ROOT / "boards" / "THECAL_PICO" / "pins.csv")
    there = {
        net: (f"GP{gpio}", str(HEADER.index(gpio) + 1) if gpio in HEADER else "on board")
        for net, gpio in nets.items()
    }
    assert told == there


def test_the_scales_of_the_wires_are_those_of_the_code():
    text = section(PAGES[BOARD], "Wiring")
    assert RIG.pressure_down is not None and RIG.supply is not None
    for phrase in (
        f"(code {RIG.pressure_down.zero_code})",
        f"({RIG.pressure_down.num} Pa a code)",
        f"Low below {decimal_text(Fraction(RIG.supply_low_mv, 1000))} V",
        f"off below {decimal_text(Fraction(RIG.supply_critical_mv, 1000))} V",
        f"about {1_000 // RIG.supply.num} codes per volt",
        f"full scale at {RIG.supply.most // 1_000} V",
        f"encoder, {RIG.encoder_pulses_per_rev} pulses a revolution",
        f"head of {decimal_text(Fraction(RIG.nl_per_rev, 1_000_000))} mL a revolution",
    ):
        assert phrase in text, phrase


def test_the_table_of_the_command_line_is_that_of_the_program():
    told = {code(row[0])[0].removeprefix("thecal ") for row in rows(section(PAGES[COMMAND], "All commands"))}
    assert told == set(get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_every_command_line_in_the_text_exists():
    known = get_command(cli.app).commands  # type: ignore[attr-defined]
    text = "".join(blocks(page, "sh", "console") for page in PAGES.values())
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    asked = [line.strip() for line in lines if re.match(r" *thecal \w", line)]
    assert len(asked) > 8
    for line in asked:
        name, *arguments = line.split("#")[0].split()[1:]
        command = known[name]
        if hasattr(command, "commands"):
            command = command.commands[arguments[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        unknown = [word for word in arguments if word.startswith("--") and word not in options]
        assert not unknown, line


@every_page
def test_every_target_of_make_in_the_text_exists(path):
    text = " ".join(PAGES[path].split())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = re.findall(r"`make ([a-z-]+)", text) + re.findall(
        r"^make ([a-z-]+)", blocks(PAGES[path], "sh"), re.MULTILINE
    )
    assert set(asked) <= targets
    assert path != FIRST or {"run", "test", "bench", "bench-quick"} <= set(asked)
    assert path != BOARD or {"flash", "deploy"} <= set(asked)


def claims() -> list[list[str]]:
    """The rows of all claims: what is claimed, by which check, what was measured."""
    return rows(section(PAGES[CLAIMS], "Claims and checks"))


def test_every_test_that_backs_a_claim_exists():
    assert len(claims()) > 30
    for claim, check, _ in claims():
        files = [ROOT / "host_tests" / path for path in re.findall(r"\]\(([^)]+\.py)\)", check)]
        assert files, claim
        source = "".join(path.read_text() for path in files)
        assert re.search(r"^def test_", source, re.MULTILINE), claim
        for test in code(check):
            assert f"def {test}(" in source, test


@pytest.mark.req("PERF-08")
def test_how_many_cases_were_tried_is_what_the_test_says():
    """Rows whose test does not hold its figures itself (by `measured`) say numbers of its source."""
    for claim, check, tried in claims():
        files = re.findall(r"\]\(([^)]+\.py)\)", check)
        source = "".join((ROOT / "host_tests" / path).read_text() for path in files)
        tests = [re.search(rf"def {test}\([^)]*\bmeasured\b", source) for test in code(check)]
        if any(tests) or "](#" in tried:
            continue
        for word in re.findall(r"\d[\d ]*(?= )", tried):
            number = f"{int(word.replace(' ', '')):_}"
            assert re.search(rf"(?<![\w.]){number}(?![\w.])", source), f"{claim}: {word}"


@pytest.mark.req("LNK-01")
def test_every_frame_in_the_text_has_its_crc():
    frames = re.findall(r"^(?:> |< )?(\{.*\}) ([0-9a-f]{8})$", PAGES[LINK], re.MULTILINE)
    assert len(frames) > 5
    for text, crc in frames:
        assert f"{zlib.crc32(text.encode()):08x}" == crc, text


# --- the keys of a scenario


@pytest.mark.req("DOSE-13")
def test_the_units_are_those_of_the_parser():
    kinds = {"mass of drug": "mass", "ratio": ""}
    told = {kinds.get(row[0], row[0]): row[1] for row in rows(section(SCENARIOS, "Quantities and times"))}
    listed = {
        base: [re.findall(r"[^ ,()]+", unit) for unit in re.findall(r"[^,(]+(?:\([^)]*\))?", text)]
        for base, text in told.items()
    }
    assert listed == {base: quantities.spellings(base) for base in (*quantities.BASE, "")}


NESTED = {
    "[[therapy.step]]": format.STEP,
    "[therapy.patient_bolus]": format.PATIENT_BOLUS,
    "[therapy.limit]": format.LIMIT,
}


def keys_told(text: str) -> set[str]:
    return {code(row[0])[0] for row in rows(text)}


@pytest.mark.parametrize("name", scenario.TABLES)
def test_the_keys_of_a_table_are_told(name):
    text = section(SCENARIOS, f"`[{name}]`" if name else "The file").split("\n### ")[0].split("\n`[")[0]
    assert keys_told(text) == set(scenario.TABLES[name])


@pytest.mark.parametrize("name", NESTED)
def test_the_keys_of_a_table_in_the_therapy_are_told(name):
    text = section(SCENARIOS, "`[therapy]`").split(f"`{name}`")[1].split("\n`[")[0]
    assert keys_told(text) == set(NESTED[name])


@pytest.mark.parametrize(
    ("title", "kinds"),
    [("Events", scenario.EVENTS), ("Expectations", scenario.EXPECTS)],
    ids=["events", "expects"],
)
def test_events_and_expectations_are_told_with_their_keys(title, kinds):
    told = {
        code(row[0])[0]: set(re.findall(r"\b[a-z_]+\b", " ".join(code(row[1]))))
        for row in rows(section(SCENARIOS, title))
    }
    assert set(told) == set(kinds)
    same = told.get("delivered", set())
    for name, keys in told.items():
        there = set(kinds[name]) - ({"at"} if title == "Events" else set())
        if name in ("outflow", "ledger"):
            keys = same  # "the same"
        assert keys - {"event", "therapy", "true"} == there, name


def test_modes_states_and_alarms_of_scenarios_are_told():
    mode = next(row for row in rows(SCENARIOS) if code(row[0])[:1] == ["mode"])
    assert {word.strip('"') for word in code(mode[1])} == set(format.MODES)
    states, alarms, *_ = re.findall(r"(?:States|Alarms that can be named):([^.]*)\.", SCENARIOS)
    assert set(code(states)) == set(format.STATES)
    assert set(code(alarms)) == set(scenario.ALARM_CODES)


# --- the numbers in the pages

# Sections whose numbers other tests hold: the claims by what checks them, the wires by the test above.
HELD = {CLAIMS: "Claims and checks", BOARD: "Wiring"}


def demo_text() -> str:
    """What `make run` does, in the words of the first page."""
    demo = tomllib.loads(DEMO.read_text())
    start, bolus, stop = demo["event"]
    return (
        f"{demo['therapy']['rate']} from {start['at']} on, a bolus of {bolus['volume']} over "
        f"{bolus['duration']} at {bolus['at']}, a stop at {stop['at']}"
    )


# Each number in the sentences of all other sections stands in one of these phrases, made from the code.
FIGURES = [
    demo_text(),
    f"tick | {TICK_MS} ms",
    f"in each, {Fraction(6_000_000, NL_H_OF_A_STEP_A_TICK)} steps are owed",
    f"So many steps in {SEGMENT_TICKS * TICK_MS} ms",
    "in two words of 32 bits",
    f"may erase takes up to {STALL_MS} ms there",
    f"a plain threshold of {round(THRESHOLD_PA / 6_894.757)} psi",
    f"one false alarm in 10^{len(str(FALSE_ALARM_H)) - 1} h",
    f"({decimal_text(Fraction(RIG.nl_per_rev, RIG.steps_per_rev))} nL)",
    f"Python {PYTHON}",
    f"up to {(QUEUE_SEGMENTS + 1) * SEGMENT_TICKS * TICK_MS // 1000} s ahead of",
    f"segments of {SEGMENT_TICKS * TICK_MS} ms",
    f"the seconds {quick.SETTLING_SECONDS} to {quick.SECONDS} of either",
    f"At most {LINE_BYTES} bytes a line",
    f"{parser.MOST_VALUES} values, {parser.MOST_KEYS} keys in an object, ",
    f"{parser.MOST_DEPTH} objects and lists",
    f"{parser.MOST_DIGITS} digits in a number",
    f"{parser.MOST_TEXT} bytes in a text",
    f"{RX_BYTES} bytes, up to {-(-WORK_A_TICK // (commands.ANSWER_WORK + LINE_WORK))} requests",
    f"At most {MOST_WAITING} commands wait in all",
    f"{RECORD_BYTES} bytes (",
    f"A tick is {TICK_MS} ms",
    f"one key of {signing.KEY_BYTES} bytes for each role",
    f"is {signing.COUNTER_DIGITS} hex digits, higher",
    f"is the first {signing.MAC_BYTES} bytes, as {2 * signing.MAC_BYTES} hex digits, of the HMAC-SHA-256",
    f"is the {2 * signing.MAC_BYTES} hex digits that",
    f"counters of a boot are 2^{signing.BLOCK_BITS} of their own",
    f"of role and {2 * signing.KEY_BYTES} hex digits",
    f"press STOP within {HAND_S} s",
    f"exact for {CHANGES_A_DAY:_} changes of flow in 24 hours".replace("_", " "),
    f"up to {MOST_STEPS_A_DAY} steps a day",
    f"may have its own: {MOST_STEPS}.",
    f"in parts of {MOST_PART_STEPS} steps",
    f"holds the first {PAGE_STEPS} starts of the week",
    f"{QUANTUM_TICKS * TICK_MS // 1000} s of the fastest flow",
    f"but {LEAST_TICKS * TICK_MS // 1000} s of it at least",
    f"after {MOST_STOP_TICKS * TICK_MS // 1000} s at the latest",
    f"or {MOST_JOG_NL // 1_000_000} mL in all",
    f"of the rotor at {MOST_JOG_NL_H // 1_000_000} mL/h at most, or",
    f"{MOST_JOG_NL_H // 1_000_000} mL/h at most and from STOPPED",
    f"after {GREETING_TIMEOUT_S:g} s opens the serial port past it",
]

# Numbers that are no figures: a name, a count of what is shown beside it, what a person does.
NAMES = [
    "Debian 12", "A therapy of 6 mL/h is confirmed", "About 1 GB",
    "exits with 1 or 2", "exits with 1:",
    "0 done", "1 the pump, the port", "2 a file or an argument", "CRC-32", "any 24 h", "2^30", "31 bits",
    "the last 1 000 events", "the last 1 000 faults", "The last 64 outcomes",
    "counted from 0 in the table", "-1 for none", "60601-1-8", "or 1 uL, whichever is less",
    "55 uL of 1.7 mL", "gives 2 % more",
]  # fmt: skip


def prose(path: str) -> list[str]:
    """The paragraphs, list items and table rows of a page that no other test holds, without code."""
    text = PAGES[path]
    if path in HELD:
        text = text.replace(section(text, HELD[path]), "\n")
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^<!-- figures: .*?^<!-- end of figures", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`]*`", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return [" ".join(part.split()) for part in re.split(r"\n\n|\n *(?=[|-]|\d+\. )", text)]


def test_the_python_that_it_needs_is_that_of_the_package():
    assert f'requires-python = ">={PYTHON}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.req("PERF-08")
@pytest.mark.parametrize("path", [path for path in PAGES if path != EXPERIMENT])
def test_each_number_in_the_text_is_one_of_the_code(path):
    for paragraph in prose(path):
        rest = re.sub(r"^\d+\. ", "", paragraph)
        for phrase in (*FIGURES, *NAMES):
            rest = rest.replace(phrase, "")
        assert not re.search(r"(?<![\w.])\d", rest), f"{rest!r}: no line of FIGURES or NAMES has this number"


def test_no_phrase_is_left_that_no_page_has():
    paragraphs = [paragraph for path in PAGES for paragraph in prose(path)]
    for phrase in (*FIGURES, *NAMES):
        assert any(phrase in paragraph for paragraph in paragraphs), phrase


@pytest.mark.req("LIM-11")
def test_the_number_of_therapies_that_are_kept_is_told():
    assert KEPT == 12 and "last twelve therapies are kept" in " ".join(PAGES[CLAIMS].split())
