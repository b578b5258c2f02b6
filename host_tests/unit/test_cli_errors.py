"""No command ends with a traceback: each is given files, ports, numbers and places that are wrong.

The commands and their parameters come from the program itself, so one that is added is driven too; `RIGHT`
holds an argument that is right for each that must be given. What goes wrong has to be said in one sentence
("thecal: ..."), or in the usage of the option, with exit status 1 or 2.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pump_port import PumpPort, SilentPort
from thecal_host import cli, ports, record, recording
from thecal_host.ports import FoundPort
from thecal_host.pump import Pump
from typer.main import get_command
from typer.testing import CliRunner

PROGRAM = get_command(cli.app)


def all_commands(group, before=""):
    """Each command by its name, one of a group as "rig show"."""
    found = {}
    for name, command in group.commands.items():
        named = f"{before}{name}"
        found |= all_commands(command, f"{named} ") if hasattr(command, "commands") else {named: command}
    return found


COMMANDS = all_commands(PROGRAM)

# Serves until Ctrl-C and simulates for minutes: driven by their own tests, here only with what is wrong.
RIGHT = {
    "command": "3f2a91c0.17.0",
    "file": "FILE",
    "run": "FILE",
    "number": "1",
    "first": "1",
    "second": "1",
    "role": "patient",
    "volume": "10 uL",
    "duration": "1 min",
    "on": "host",
    "balance_port": "/no/balance",
}
FILES = ("file", "run", "check", "therapy", "image", "export", "picture", "page", "folder")

WRITES = ("record", "weigh", "keys export", "runs export")
"""Their `file` is one that is written."""

IN_OTHER_WORDS = ("rig", "temperature")
"""Options of which a refusal names the file, and the water."""

SERVES = "gateway"
"""Waits for pumps and for a broker that are not there yet, and its names may be any text: test_gateway.py."""

DEEP_JSON = '{"type":"header","format":3,"x":' + "[" * 5_000 + "]" * 5_000 + "}\n"
CONTENTS = {
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "deep JSON": DEEP_JSON.encode(),
    "deep TOML": b"a = " + b"[" * 5_000,
    "no such key": b"[therapy]\nmode = 'continuous'\nrat = '1 mL/h'\n",
    "half a line": b'{"type":"header","form',
    "a long line": b"x" * 100_000,
}
PLACES = ("/no/such/folder/file", "/dev/full", "/dev/null/file", "/", ".", "x" * 300, "/proc/none")
JUNK = ("", " ", "-1 mL", "0,5 mL", "1e99 mL", "5", "6 mL/h", "nan", "-", "[/]", "[bold]", "\N{SNOWMAN}")
PORTS = ("/no/such", "/", "/dev/null", "/etc/passwd", "socket://", "socket://localhost:1", "socket://[::1",
         "socket://localhost:99999999999", "socket://\N{SNOWMAN}:1", "x" * 300, "COM999", "[/]")  # fmt: skip


def options_of(name):
    return [parameter for parameter in COMMANDS[name].params if parameter.name not in ("help", "as_json")]


def given_right(name, file, but=None):
    """The arguments that a command cannot do without, with `file` where a file is wanted."""
    arguments = []
    for parameter in options_of(name):
        if parameter.required and parameter.name != but:
            value = RIGHT[parameter.name].replace("FILE", str(file))
            arguments += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return arguments


def with_value(parameter, value):
    return [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]


def check(result, *wanted):
    told = result.output + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert "Traceback" not in told
    assert result.exit_code in (1, 2), told
    assert result.stderr.strip(), "it failed without a word"
    for text in wanted:
        assert text in result.stderr


@pytest.fixture(autouse=True)
def build_the_program_once(monkeypatch):
    """What takes a tenth of a second, and there are a thousand calls."""
    monkeypatch.setattr("typer.testing._get_command", lambda app: PROGRAM)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """`thecal ARGS` in a folder of its own, with a pump that does not answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THECAL_PORT", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("thecal_host.cli.base.Pump", lambda port: Pump(port, port.clock_s))

    def run_command(*args, port=None):
        if port is not None:
            monkeypatch.setattr(ports, "find_ports", lambda: [FoundPort(port.name, "serial", "a", True)])
            monkeypatch.setattr(ports, "open_port", lambda name: port)
        return CliRunner().invoke(cli.app, [str(arg) for arg in args])

    return run_command


PATHS = [(name, p.name) for name in COMMANDS for p in options_of(name) if p.name in FILES]


def parameter_of(name, parameter):
    return next(p for p in options_of(name) if p.name == parameter)


@pytest.mark.parametrize(("name", "parameter"), PATHS)
def test_a_file_that_is_wrong_is_said_in_a_sentence(run, tmp_path, name, parameter):
    sound = tmp_path / "sound.toml"
    sound.write_text("duration = '1 s'\n[therapy]\nmode = 'continuous'\nrate = '1 mL/h'\n")
    if parameter in ("export", "picture", "folder") or name in WRITES:
        return  # what is written is below
    for what, content in CONTENTS.items():
        file = tmp_path / "wrong"
        file.write_bytes(content)
        wrong = with_value(parameter_of(name, parameter), file)
        check(run(*name.split(), *given_right(name, sound, parameter), *wrong, port=SilentPort()), "thecal: ")
        assert what in CONTENTS
    for place in PLACES:
        if place == "/dev/full":
            continue  # reads as zeros for ever: nothing that anybody would name
        wrong = with_value(parameter_of(name, parameter), place)
        check(run(*name.split(), *given_right(name, sound, parameter), *wrong, port=SilentPort()), "thecal: ")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("args", [["record", "--for", "1 s", "--force"], ["log", "--force", "--export"]])
def test_a_place_that_can_not_be_written_is_said_in_a_sentence(run, args, place):
    port = PumpPort()
    port.bench.advance_to_tick(20)
    check(run(*args, place, port=port), "thecal: ", "cannot be written")


@pytest.mark.parametrize("place", [*PLACES, "x.docx", "noending"])
def test_a_picture_that_can_not_be_written_is_said_in_a_sentence(run, tmp_path, place):
    file = record_file(tmp_path)
    place = f"{place}.png" if place.startswith("/no") or place.startswith("x" * 9) else place
    check(run("report", file, "-o", place), "thecal: ", place)


@pytest.mark.parametrize("place", ["/dev/null/run", "/proc/none/run"])
def test_a_folder_that_can_not_be_made_is_said_in_a_sentence(run, place):
    check(run("run", "--on", "host", "--into", place), "thecal: ", "cannot be written")


def test_a_picture_never_overwrites_the_record(run, tmp_path):
    file = record_file(tmp_path).rename(tmp_path / "r.png")
    before = file.read_bytes()
    check(run("report", file, "-o", file), "the record itself")
    assert run("report", file).exit_code == 0 and (tmp_path / "r.png.png").exists()
    assert file.read_bytes() == before


def test_an_output_that_can_not_be_written_is_said_in_a_sentence(run, tmp_path):
    import subprocess

    file = tmp_path / "short.toml"
    file.write_text("duration = '1 s'\n[therapy]\nmode = 'continuous'\nrate = '1 mL/h'\n")
    for args in (["simulate", str(file), "--json"], ["ports"]):
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "thecal_host.cli", *args]
            said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert said.returncode == 2 and "no space is left" in said.stderr and "Traceback" not in said.stderr
        assert "Exception ignored" not in said.stderr


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name != SERVES and any(p.name == "port" for p in options_of(name))]
)
def test_a_port_that_is_wrong_is_said_in_a_sentence(run, tmp_path, name):
    file = tmp_path / "sound.toml"
    file.write_text("[therapy]\nmode = 'continuous'\nrate = '1 mL/h'\n")
    arguments = given_right(name, tmp_path / "new" if name in WRITES else file)
    for port in PORTS:
        check(run("--port", port, *name.split(), *arguments), "thecal: ")
        assert not (tmp_path / "new").exists()


# Not `accept`: the names of soft limits, of which only the pump knows which there are.
TEXTS = [
    (name, p.name)
    for name in COMMANDS
    if name != SERVES
    for p in options_of(name)
    if p.name not in (*FILES, "port", "balance_port", "accept") and not getattr(p, "is_flag", False)
]


@pytest.mark.parametrize(("name", "parameter"), TEXTS)
def test_an_argument_that_is_wrong_is_said_in_a_sentence(run, tmp_path, name, parameter):
    file = tmp_path / "sound.toml"
    file.write_text("duration = '1 s'\n[therapy]\nmode = 'continuous'\nrate = '1 mL/h'\n")
    for junk in JUNK:
        if (name, parameter, junk) in {("log", "since", "5"), ("log", "until", "5"), ("bench", "speed", "5"),
                                       ("bench", "tcp", "5"), ("desk", "at", "5"), ("log", "last", "5"),
                                       ("therapy", "number", "5"), ("set-time", "time", ""),
                                       ("calibrate", "rate", "6 mL/h"), ("calibrate", "revolutions", "5"),
                                       ("calibrate", "weighings", "5"), ("calibrate", "temperature", "5"),
                                       }:  # fmt: skip
            continue  # these make sense
        right = given_right(name, tmp_path / "new" if name in WRITES else file, parameter)
        result = run(
            *name.split(), *right, *with_value(parameter_of(name, parameter), junk), port=SilentPort()
        )
        check(result)
        assert result.exit_code == 2, junk
        option = parameter_of(name, parameter)
        if option.param_type_name == "option" and parameter not in IN_OTHER_WORDS:
            assert option.opts[0] in result.stderr, "it does not say which option"


# --- records


def record_file(folder: Path) -> Path:
    """A record of twelve seconds of a pump, with its end."""
    path = folder / "r.ndjson"
    bench = PumpPort().bench
    with path.open("w") as file:
        head = {
            "title": "t", "source": record.COUNTED_PULSES, "nl_per_step": [125, 4], "tick_ms": 100,
            "prescription": {
                "clock_ms": None, "max_rate_nl_h": None, "kvo_on_low": False, "boluses": [],
                "therapies": [{"at_ms": 0, "steps": [[0, 1_000_000, 1]], "kvo_nl_h": [0, 1],
                               "concentration_pg_nl": 0, "patient_bolus": None, "limit": None}],
            },
        }  # fmt: skip
        recorder = recording.Recorder(file, head)
        status = {"type": "status", "state": "STOPPED", "bolus": "none", "owed_steps": 0, "executed_steps": 0}
        for second in range(12):
            recorder.write({**status, "seq": second, "tick": bench.tick + 10 * second})
        recorder.end()
    return path


def test_a_whole_record_is_whole(tmp_path):
    assert recording.load(record_file(tmp_path)).problems == []


@pytest.mark.req("LNK-04")
@pytest.mark.parametrize("cut", [*range(1, 60), 400, 700])
def test_a_record_that_was_cut_off_says_where(run, tmp_path, cut):
    file = record_file(tmp_path)
    whole = file.read_text()
    file.write_text(whole[:-cut])
    loaded = recording.load(file)
    torn = not whole[:-cut].endswith("\n")
    number = whole[:-cut].count("\n") + torn
    (problem,) = loaded.problems
    assert problem.startswith(f"{file}:{number}: ")
    assert ("this line is torn" in problem) if torn else ("has no end" in problem)


def test_report_draws_what_is_there_of_a_torn_record_and_ends_with_1(run, tmp_path):
    file = record_file(tmp_path)
    file.write_text(file.read_text()[:-50])
    result = run("report", file)
    check(result, f"{file}:13: this line is torn")
    assert result.exit_code == 1 and (tmp_path / "r.png").exists()


@pytest.mark.req("LNK-04")
def test_a_line_that_was_taken_out_is_missed(run, tmp_path):
    file = record_file(tmp_path)
    lines = file.read_text().splitlines(keepends=True)
    for index in range(2, len(lines) - 1):
        file.write_text("".join(lines[:index] + lines[index + 1 :]))
        problems = recording.load(file).problems
        if index < len(lines) - 2:
            assert f"{file}:{index + 1}: 1 of type status are missing before this one" in problems
        assert any(f"{len(lines) - 1} of the {len(lines)} lines" in problem for problem in problems)


@pytest.mark.req("LNK-04")
def test_a_sample_that_was_taken_out_of_a_scenarios_run_is_missed(run, tmp_path):
    scenario = tmp_path / "short.toml"
    scenario.write_text("duration = '5 s'\n[therapy]\nmode = 'continuous'\nrate = '6 mL/h'\n")
    lines = run("simulate", scenario, "--json", "--every", "100 ms").stdout.splitlines(keepends=True)
    file = tmp_path / "run.ndjson"
    file.write_text("".join(lines))
    assert recording.load(file).problems == []
    file.write_text("".join(lines[:20] + lines[25:]))
    (problem,) = recording.load(file).problems
    assert f"{len(lines) - 5} of the {len(lines)} lines that were written are there" in problem
    assert run("report", file).exit_code == 1


@pytest.mark.req("LNK-04")
@pytest.mark.parametrize("cut", [0, 1, 30])
def test_records_that_were_joined_are_refused_with_the_line(run, tmp_path, cut):
    file = record_file(tmp_path)
    text = file.read_text()
    number = text[: len(text) - cut].count("\n") + 1
    file.write_text(text[: len(text) - cut] + text)
    result = run("report", file)
    check(result, f"{file}:{number}: ")
    assert result.exit_code == 2 and not (tmp_path / "r.png").exists()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]), st.just({}), st.just([0, 0])
)


@pytest.mark.req("LNK-04")
@pytest.mark.parametrize("displaced", [[], [0], [0, 0], [0, 1], [-1, 32]])
def test_a_record_of_microsteps_that_displace_nothing_is_refused(tmp_path, displaced):
    file = record_file(tmp_path)
    head, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(head) | {"nl_per_step": displaced}), *rest, ""]))
    with pytest.raises(recording.RecordError, match="is no record of a run"):
        record.run_of(file)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_record_it_is_read_or_refused(tmp_path_factory, data):
    """One value anywhere in a sound record is another one, or gone."""
    file = record_file(tmp_path_factory.mktemp("record"))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    place = lines[data.draw(st.integers(0, 3))]
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(VALUES)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        run = record.run_of(file)
    except recording.RecordError as why:
        assert str(file) in str(why)
    else:
        from thecal_host.report import summary_rows

        assert summary_rows(run)
    os.unlink(file)


# --- --help


def shown(*args):
    """What `--help` prints, without frames and line breaks."""
    result = CliRunner().invoke(cli.app, [*args, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert result.exit_code == 0
    return " ".join(result.output.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_shows_every_word_of_every_option_and_every_default(name):
    command = PROGRAM if name is None else COMMANDS[name]
    text = shown(*(name or "").split())
    for word in (command.help or "").split():
        assert word in text, word
    for parameter in command.params:
        told = getattr(parameter, "help", None)
        if told:
            assert " ".join(told.split()) in text, told
        show = getattr(parameter, "show_default", None)
        default = show if isinstance(show, str) else parameter.default
        if default and not getattr(parameter, "is_flag", False) and parameter.name != "help":
            told = f"({default})" if isinstance(show, str) else str(default)
            assert f"[default: {told}]" in text, parameter.name
