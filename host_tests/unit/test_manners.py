"""What a person and a script may expect of every command: exit status, JSON, progress, completion."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pump_port import PumpPort, SilentPort, TalkingPort, tcp_pump_in_use
from rich.console import Console
from thecal_host import cli, progress
from thecal_host.recording import Recorder
from thecal_host.run import DEMO
from typer.main import get_command
from typer.testing import CliRunner

README = Path(cli.__file__).parents[1] / "README.md"
pytestmark = pytest.mark.req("DESK-06")

FAILING = """
duration = "2 s"
[therapy]
mode = "continuous"
rate = "6 mL/h"
[[expect]]
at = "1 s"
what = "state"
value = "RUNNING"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the commands below are given, and an archive of one run."""
    monkeypatch.setenv("THECAL_ARCHIVE", str(tmp_path / "archive.sqlite"))
    monkeypatch.chdir(tmp_path)
    Path("failing.toml").write_text(FAILING)
    Path("good.toml").write_text(FAILING.replace("RUNNING", "STOPPED"))
    Path("bad.toml").write_text(FAILING.replace("6 mL/h", "6"))
    Path("torn.ndjson").write_text('{"type":"header"')
    with Path("empty.ndjson").open("w") as file:
        Recorder(file, {"title": "nothing"}).end()
    return tmp_path


EXITS = [
    # 0: done
    (0, PumpPort, ["status"]),
    (0, PumpPort, ["stop"]),
    (0, PumpPort, ["log"]),
    (0, PumpPort, ["program", "--yes", "good.toml"]),
    (0, PumpPort, ["simulate", "good.toml"]),
    (0, PumpPort, ["runs", "list"]),
    (0, PumpPort, ["--help"]),
    # 1: the pump, the port or an expectation said no
    (1, SilentPort, ["status"]),
    (1, lambda: TalkingPort(ok=True, protocol=1), ["status"]),
    (1, PumpPort, ["start"]),
    (1, PumpPort, ["silence"]),
    (1, PumpPort, ["bolus", "--volume", "5 uL", "--duration", "1 min"]),
    (1, PumpPort, ["therapy", "7"]),
    (1, PumpPort, ["program", "good.toml"]),  # nobody says yes
    (1, PumpPort, ["simulate", "failing.toml"]),
    # 2: a file or an argument makes no sense
    (2, PumpPort, ["no-such-command"]),
    (2, PumpPort, ["status", "--no-such-option"]),
    (2, PumpPort, ["bolus", "--volume", "5", "--duration", "1 min"]),
    (2, PumpPort, ["program", "bad.toml"]),
    (2, PumpPort, ["program", "missing.toml"]),
    (2, PumpPort, ["simulate", "good.toml", "--on", "toaster"]),
    (2, PumpPort, ["report", "torn.ndjson"]),
    (2, PumpPort, ["report", "empty.ndjson"]),
    (2, PumpPort, ["log", "--code", "no_such_event"]),
    (2, PumpPort, ["log", "--check", "missing.log"]),
    (2, PumpPort, ["runs", "show", "99"]),
    (2, PumpPort, ["runs", "export", "99", "x.parquet"]),
    (2, PumpPort, ["record", "no/such/folder/r.ndjson"]),
    (2, PumpPort, ["completion", "csh"]),
]


@pytest.mark.parametrize(("status", "port", "args"), EXITS, ids=[" ".join(args) for _, _, args in EXITS])
def test_exit_status_is_as_documented(run, folder, status, port, args):
    result = run(port(), *args, answer="n\n")
    assert result.exit_code == status, result.output
    if status:
        said = result.stderr or result.output
        assert "Traceback" not in said and len(said) > 20, "nothing says why"


def test_the_page_says_what_each_status_means():
    (told,) = re.findall(r"\*\*Exit status\.\*\* (.*)", README.read_text())
    assert [text.split(" ", 1)[0] for text in re.split("; ", told)] == ["0", "1", "2"]
    assert {status for status, _, _ in EXITS} == {0, 1, 2}


# --- JSON

READS = [
    ["ports"],
    ["status"],
    ["alarms"],
    ["attempts"],
    ["monitor"],
    ["therapy"],
    ["log"],
    ["outcome", "3f2a91c0.17.0"],
    ["rig", "show"],
    ["keys", "list"],
    ["simulate", str(DEMO)],
    ["accuracy", "weights.csv", "--rate", "6 mL/h"],
    ["report", "run.ndjson"],
    ["runs", "list"],
    ["runs", "show", "1"],
    ["runs", "compare", "1", "1"],
]
"""Commands that tell something: each tells it as JSON too."""

TELL_NOTHING = {
    "acknowledge", "begin-anew", "bench", "bolus", "calibrate", "completion", "desk", "gateway",
    "keys export", "keys import", "keys reset", "keys revoke", "keys rotate", "library", "new-line", "pair",
    "patient-bolus", "prime", "program", "record", "refill", "rig check", "rig program", "run",
    "runs delete", "runs export", "set-time", "silence", "start", "stop", "weigh",
}  # fmt: skip
"""Commands that change or write something, and say so."""


def names(group, before=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names(command, f"{name} ")
        else:
            yield before + name


def named(args):
    return " ".join(args[:2]) if args[0] in ("keys", "rig", "runs") else args[0]


def test_every_command_is_one_that_tells_or_one_that_does_not():
    tell = {named(args) for args in READS}
    assert not tell & TELL_NOTHING
    assert set(names(get_command(cli.app))) == tell | TELL_NOTHING


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory):
    """A folder with a record, a scenario, and the archive of one run."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "steady.toml").write_text(
        'duration = "4 min"\n[therapy]\nmode = "continuous"\nrate = "6 mL/h"\n'
        '[[event]]\nat = "0 s"\ndo = "start"\n'
    )
    # Two hours at 6 mL/h of water.
    weights = "".join(f"{30 * i},{0.05 * i:.4f}\n" for i in range(242))
    (folder / "weights.csv").write_text(weights)
    before = os.environ["THECAL_ARCHIVE"]
    os.environ["THECAL_ARCHIVE"] = str(folder / "archive.sqlite")
    try:
        result = CliRunner().invoke(cli.app, ["run", "--on", "host", "--into", str(folder)])
        assert result.exit_code == 0, result.output
        (folder / "record.ndjson").rename(folder / "run.ndjson")
    finally:
        os.environ["THECAL_ARCHIVE"] = before
    return folder


@pytest.mark.parametrize("args", READS, ids=[named(args) for args in READS])
def test_what_is_told_is_told_as_json_too(run, kept_run, monkeypatch, args):
    monkeypatch.setenv("THECAL_ARCHIVE", str(kept_run / "archive.sqlite"))
    monkeypatch.setenv("XDG_DATA_HOME", str(kept_run))
    monkeypatch.chdir(kept_run)
    port = PumpPort(looks=60 if args == ["monitor"] else None)
    if args == ["therapy"]:
        assert run(port, "program", "--yes", "steady.toml").exit_code == 0
    result = run(port, *args, "--json")
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    # Of keys there are none here.
    assert found or args == ["keys", "list"]
    assert all(isinstance(one, dict) and one for one in found)


# --- progress


def test_progress_on_a_terminal_has_the_time_left():
    with io.StringIO() as file:
        console = Console(force_terminal=True, width=100, file=file)
        with progress.progress_bar("a day", console, console) as tell:
            for done in range(0, 60, 10):
                tell(done, 100)
        shown = file.getvalue()
    assert "a day" in shown and re.search(r"50 %.*\d:\d\d:\d\d", shown)


LONG = [
    (["simulate", str(DEMO)], "demo.toml"),
    (["accuracy", "steady.toml"], "steady.toml on the plant"),
    (["log"], "log, events"),
    (["runs", "export", "1", "x.csv", "--force"], "run 1"),
]


@pytest.mark.parametrize(("args", "what"), LONG, ids=[named(args) for args, _ in LONG])
def test_what_takes_long_says_how_far_it_is_and_how_long_it_still_takes(
    run, kept_run, monkeypatch, args, what
):
    monkeypatch.setattr(progress, "PLAIN_PROGRESS_S", 0.0)
    monkeypatch.setenv("THECAL_ARCHIVE", str(kept_run / "archive.sqlite"))
    monkeypatch.chdir(kept_run)
    # Of a run as short as this one no trumpet curve is made; it was run all the same.
    result = run(PumpPort(), *args)
    assert re.search(rf"^{re.escape(what)}: \d+ % after \d+ s, \d+ s left$", result.stderr, re.MULTILINE)


# --- a second client


def test_a_second_client_is_told_that_the_pump_is_in_use():
    with tcp_pump_in_use() as name:
        result = CliRunner().invoke(cli.app, ["--port", name, "status"])
    assert result.exit_code == 1 and "is in use: another program" in result.stderr


# --- completion


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/thecal.sh"),
        ("zsh", ".zfunc/_thecal"),
        ("fish", ".config/fish/completions/thecal.fish"),
    ],
)
def test_completion_is_installed_for_a_shell_by_a_command(home, shell, file):
    shown = CliRunner().invoke(cli.app, ["completion", shell, "--show"])
    assert shown.exit_code == 0 and list(home.iterdir()) == []
    result = CliRunner().invoke(cli.app, ["completion", shell])
    assert result.exit_code == 0 and file in result.output.replace("\n", "")
    script = (home / file).read_text()
    assert script.strip() == shown.output.strip() and "_THECAL_COMPLETE" in script
    # Twice is once.
    assert CliRunner().invoke(cli.app, ["completion", shell]).exit_code == 0
    for path in home.glob(".*rc"):
        lines = path.read_text().split()
        assert len(lines) == len(set(lines))


@pytest.fixture
def command(home):
    """A folder with `thecal`, as the set-up installs it, of these sources."""
    path = home / "bin" / "thecal"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nfrom thecal_host.cli import main\nmain()\n")
    path.chmod(0o755)
    return path.parent


def asked(command, kept_run, **environment):
    known = {**os.environ, "PATH": f"{command}:{os.environ['PATH']}", **environment}
    return known | {"THECAL_ARCHIVE": str(kept_run / "archive.sqlite")}


def test_bash_completes_commands_and_numbers_of_runs(command, kept_run):
    assert CliRunner().invoke(cli.app, ["completion", "bash"]).exit_code == 0
    said = [
        ". ~/.bashrc",
        "COMP_WORDS=(thecal ru); COMP_CWORD=1; _thecal_completion thecal; echo ${COMPREPLY[@]}",
        "COMP_WORDS=(thecal runs show ''); COMP_CWORD=3; _thecal_completion thecal; echo ${COMPREPLY[@]}",
    ]
    bash = shutil.which("bash")
    assert bash
    environment = asked(command, kept_run)
    result = subprocess.run([bash, "-c", "\n".join(said)], capture_output=True, text=True, env=environment)
    assert result.stdout.splitlines() == ["run runs", "1"], result.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_answered(command, kept_run, shell):
    more = {"_THECAL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "thecal sta"}
    environment = asked(command, kept_run, **more, _TYPER_COMPLETE_FISH_ACTION="get-args")
    result = subprocess.run(["thecal"], capture_output=True, text=True, env=environment)
    assert "start" in result.stdout and "status" in result.stdout and "stop" not in result.stdout
