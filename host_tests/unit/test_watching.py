"""What `thecal monitor`, `status` and `therapy` show: units of people, the parts that failed, keys."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from fractions import Fraction
from typing import Any

import pytest
from pump_at_pty import PATIENCE_S, PtyPump, thecal
from pump_port import PumpPort
from thecal.watch import parts
from thecal.watch.alarms import ALARMS
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_host import emulated, keyboard, vitals, watching
from thecal_host.pump import REPLY_TIMEOUT_S, Pump
from thecal_model import rig

STATUS = {
    "type": "status", "seq": 1, "state": "RUNNING", "bolus": "none", "tick": 10, "rate_nl_h": 20_000,
    "owed_steps": 64, "executed_steps": 64, "ordered_steps": 64, "delivered_ul": 2, "bolus_left_nl": 0,
    "reservoir_ul": 18_000, "window_steps": 320, "limit_steps": 6_400, "pressure_down_raw": 609,
    "pressure_up_raw": 400, "supply_raw": 2_400, "encoder_count": 2, "loop_us": 9, "heap_bytes": 9,
    "alarm": -1, "first_cause": -1, "frames_dropped": 0, "bad_lines": 0, "failed": 0,
}  # fmt: skip
HELLO = {"product": "thecal", "version": "1", "protocol": 1, "nl_per_rev": 100_000, "steps_per_rev": 3_200,
         "tick_ms": 100}  # fmt: skip
EMPTY = next(row for row, alarm in enumerate(ALARMS) if alarm.code == "RESERVOIR_EMPTY")


@pytest.mark.req("LNK-04")
def test_a_status_is_told_in_units_of_people():
    rows = dict(vitals.status_rows(HELLO, STATUS, rig=rig.reference()))
    # (609 - 400) x 50 Pa; 2400 x 5 mV; 320 and 6400 microsteps of 31.25 nL
    assert rows["pressure"] == "10.45 kPa down, 0.00 kPa up"
    assert rows["motor supply"] == "12.00 V"
    assert rows["window of the limit"] == "holds 10.000 uL of 200.000 uL"
    # 18 mL less the 0.5 mL at which it stops, at 20 uL/h: 875 h
    assert rows["reservoir"] == "18 mL, empty in 36 days at this rate"
    assert vitals.hours_to_empty(STATUS, empty_nl=1_000_000) == Fraction(17_000_000, 20_000)
    assert not any(name.endswith("_raw") for name in rows)
    # Every other field is there by its name.
    assert {"loop_us", "heap_bytes", "frames_dropped", "bad_lines", "encoder_count"} <= set(rows)


@pytest.mark.parametrize(
    ("changed", "name", "text"),
    [
        ({"reservoir_ul": 0}, "reservoir", "not known"),
        ({"reservoir_ul": 0, "alarm": EMPTY}, "reservoir", "0 nL"),
        ({"rate_nl_h": 0}, "reservoir", "18 mL"),
        ({"rate_nl_h": 1_000_000}, "reservoir", "empty in 17 h"),
        ({"rate_nl_h": 20_000_000}, "reservoir", "empty in 52 min"),
        ({"reservoir_ul": 400}, "reservoir", "empty in 0 min"),
        ({"pressure_up_raw": -1}, "pressure", "10.45 kPa down, no reading up"),
        ({"supply_raw": -1}, "motor supply", "no reading"),
        ({"failed": 1 << parts.PRESSURE_DOWN}, "pressure", "10.45 kPa down (sensor failed), 0.00 kPa up"),
        ({"failed": 1 << parts.PRESSURE_DOWN | 1 << parts.ENCODER}, "failed parts", "encoder"),
        ({"limit_steps": 0}, "window of the limit", "no limit"),
    ],
)
def test_what_is_not_known_or_wrong_is_said(changed, name, text):
    said = dict(vitals.status_rows(HELLO, {**STATUS, **changed}, rig=rig.reference()))[name]
    assert text in said


def test_the_scales_are_those_of_the_plant():
    plant = Plant(PlantParameters(pressure_noise_pa=Fraction(0), adc_e11=False))
    plant.set_supply(7)
    raw = {"pressure_down_raw": plant.adc_pressure_down(0), "pressure_up_raw": plant.adc_pressure_up(0)}
    # 1 kPa of back pressure
    assert vitals.pressures_text({**STATUS, **raw}, plant.rig) == "1.00 kPa down, 0.00 kPa up"
    assert vitals.supply_text(plant.adc_supply(0), plant.rig) == "7.00 V"


@pytest.mark.req("RIG-03")
def test_a_status_says_the_rig_what_is_missing_and_what_goes_unwatched():
    rows = dict(vitals.status_rows(HELLO, {**STATUS, "unwatched": 6143}, rig=rig.named("bare")))
    assert "6143" not in rows.values()
    assert rows["rig"] == "bare, 250 uL a turn, not calibrated by weighing"
    assert rows["pressure"] == rows["motor supply"] == "not fitted"
    assert rows["not watched"].startswith("stall, free flow, rotor infusion") and "air" in rows["not watched"]
    # (400 - 414) x 30.2 Pa
    with_sensor = {**STATUS, "pressure_down_raw": 400}
    rows = dict(vitals.status_rows(HELLO, with_sensor, rig=rig.named("pressure")))
    assert rows["pressure"] == "-0.42 kPa down"
    assert dict(vitals.status_rows(HELLO, STATUS, rig=rig.reference()))["not watched"] == "nothing"
    without = dict(vitals.status_rows({**HELLO, "no_rig": "no rig was ever programmed"}, STATUS))
    assert without["rig"] == "none (no rig was ever programmed): nothing moves"


@pytest.mark.req("LNK-04")
def test_status_and_monitor_name_a_sensor_that_failed(run, therapy_file):
    port = PumpPort()
    run(port, "program", therapy_file, "--yes")
    run(port, "start")
    port.bench._plant.sensor_fault("pressure_down", "open", port.bench.now_ns)
    port.bench.advance_to_tick(port.bench.tick + 100)
    status = run(port, "status").output
    assert re.search("failed parts.*pressure.*down", status) and "sensor failed" in status
    port._looks = 25
    said = run(port, "monitor").output
    assert "SENSOR_FAULT (failed: " in said and "supply 12.00 V" in said and "kPa down" in said


# --- the therapies that it keeps


@pytest.mark.req("LIM-11")
def test_the_therapy_in_force_and_older_ones_are_shown(run, tmp_path, therapy_file):
    port = PumpPort()
    nothing = run(port, "therapy")
    assert nothing.exit_code == 1 and "no therapy was ever confirmed" in nothing.stderr
    other = tmp_path / "other.toml"
    other.write_text(
        "[therapy]\nmode = 'continuous'\nrate = '60 uL/h'\n[reservoir]\nempty = '2 mL'\nlow = '3 mL'\n"
    )
    run(port, "program", therapy_file, "--yes")
    assert run(port, "program", other, "--yes").exit_code == 0
    shown = run(port, "therapy").output
    assert "Therapy 2," in shown and "60 uL/h" in shown and "empty at 2 mL" in shown
    first = run(port, "therapy", "1").output
    assert "Therapy 1," in first and "morphine, 20 mg/mL" in first and "2.4 mg a day" in first
    kept = json.loads(run(port, "therapy", "--json").output)
    assert kept["therapy"]["rate_num"] == 60_000 and kept["digest"] in shown
    gone = run(port, "therapy", "7")
    assert gone.exit_code == 1 and "therapy 7 is not kept: the last 12 are" in gone.stderr
    # Empty is what the therapy in force says.
    run(port, "refill", "--volume", "14 mL", "--yes")
    run(port, "start")
    port.bench.advance_to_tick(port.bench.tick + 10)
    assert "empty in 8 days" in run(port, "status").output  # 12 mL at 60 uL/h: 200 h


@pytest.mark.req("LIM-11", "DOSE-06")
def test_a_week_of_steps_is_shown_whole(run, tmp_path):
    file = tmp_path / "week.toml"
    steps = "".join(
        f'[[therapy.step]]\nat = "{hour:02}:00"\nrate = "{10 + hour} uL/h"\ndays = ["{day}"]\n'
        for day in ("mon", "tue", "wed")
        for hour in range(24)
    )
    file.write_text("[therapy]\nmode = 'flex'\n" + steps)
    port = PumpPort()
    assert run(port, "program", file, "--yes").exit_code == 0
    shown = run(port, "therapy").output
    assert shown.count("from ") == 72 and "wed 23:00" in shown and "33 uL/h" in shown
    kept = json.loads(run(port, "therapy", "--json").output)
    # The same rates at the same hours of three days: one step each.
    assert [(step["at_ms"], step["days"]) for step in kept["therapy"]["steps"]] == [
        (hour * 3_600_000, 0b111) for hour in range(24)
    ]


# --- keys


@pytest.fixture
def runtime_folder(monkeypatch):
    folder = tempfile.mkdtemp(prefix="thecal")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    shutil.rmtree(folder)


class Terminal:
    """`thecal ARGS` at a terminal of its own."""

    def __init__(self, pump, *args):
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "thecal_host.cli", "--port", pump.name, *args],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )  # fmt: skip
        self.shown = ""

    def until(self, text):
        end_s = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < end_s, self.shown
            if select.select([self.ours], [], [], 0.1)[0]:
                said = os.read(self.ours, 65536).decode(errors="replace")
                self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)

    def press(self, key):
        self.shown = ""
        os.write(self.ours, key.encode())

    @property
    def settings(self):
        return termios.tcgetattr(self._theirs)

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.ours)
        os.close(self._theirs)


@pytest.mark.req("LNK-04")
def test_keys_stop_acknowledge_and_quit_and_are_shown(tmp_path, runtime_folder):
    file = tmp_path / "therapy.toml"
    file.write_text("[therapy]\nmode = 'continuous'\nrate = '6 mL/h'\n")
    with PtyPump() as pump:
        for args in (["program", "--yes", str(file)], ["start"]):
            assert thecal(pump, *args).wait(PATIENCE_S) == 0
        terminal = Terminal(pump, "monitor")
        try:
            terminal.until(watching.KEYS)
            assert watching.KEYS == "s stop   a acknowledge   q quit"
            terminal.until("RUNNING")
            terminal.press("x")  # is no key
            terminal.press("s")
            terminal.until("stop: the pump is STOPPED")
            assert pump.state == "STOPPED"
            terminal.press("a")
            terminal.until("acknowledge: the pump is STOPPED")
            terminal.press("q")
            assert terminal.process.wait(PATIENCE_S) == 0
            assert terminal.settings == terminal.before  # echoes and waits for Enter again
        finally:
            terminal.close()


def test_a_pipe_has_no_keys(monkeypatch):
    read_end, write_end = os.pipe()
    os.write(write_end, b"s")
    with os.fdopen(read_end) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        with watching.Keyboard() as keyboard:
            assert not keyboard.there and keyboard.pressed() == ""
    os.close(write_end)


@pytest.mark.req("DESK-06")
def test_a_process_in_the_background_of_a_terminal_reads_no_keys(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        monkeypatch.setattr(os, "tcgetpgrp", lambda file: os.getpgrp() + 1)
        with keyboard.Keyboard() as keys:
            assert not keys.there and termios.tcgetattr(terminal) == before
        monkeypatch.setattr(os, "tcgetpgrp", lambda file: os.getpgrp())
        with keyboard.Keyboard() as keys:
            os.write(ours, b"s")
            monkeypatch.setattr(os, "tcgetpgrp", lambda file: os.getpgrp() + 1)  # Ctrl-Z, and bg
            assert keys.there and keys.pressed() == ""
            monkeypatch.setattr(os, "tcgetpgrp", lambda file: os.getpgrp())
            assert keys.pressed() == "s"
    os.close(ours)


class Pins:
    """A board of which somebody drives pins from outside."""

    def __init__(self):
        self.now_ns = 0
        self.driven = {}

    def set_pin(self, net, level):
        self.driven[net] = level

    def release_pin(self, net):
        del self.driven[net]


class Typed:
    def __init__(self):
        self.keys = ""

    def pressed(self):
        keys, self.keys = self.keys, ""
        return keys


@pytest.mark.req("SIM-01")
def test_keys_of_a_bench_are_a_hand_at_its_pump():
    board: Any = Pins()
    typed: Any = Typed()
    told: list[str] = []
    hands = emulated.Hands(board, rig.reference(), typed, told.append)
    hands.turn()
    assert board.driven == {}
    typed.keys = "sxm"
    hands.turn()
    assert board.driven == {"BUTTON_STOP": 0, "MAINTENANCE": 0}
    board.now_ns += emulated.HELD_NS - 1
    hands.turn()
    assert "BUTTON_STOP" in board.driven
    board.now_ns += 1
    typed.keys = "m"
    hands.turn()
    assert board.driven == {}
    assert told == [
        "The STOP button is pressed.",
        "The MAINTENANCE jumper is fitted.",
        "The MAINTENANCE jumper is off.",
    ]
    bare = emulated.Hands(board, rig.load("bare"), typed, told.append)
    typed.keys = "p"
    bare.turn()
    assert board.driven == {} and told[-1] == "The rig has no patient button."


def test_a_key_whose_answer_does_not_come_says_so():
    port = PumpPort()
    pump = Pump(port, port.clock_s)
    pump.connect()
    pump.client._send = lambda data: None
    sent = watching._Sent(pump)
    assert sent.send("stop") == "stop: sent" and sent.answers() == ""
    port.bench.advance_to_tick(port.bench.tick + int(REPLY_TIMEOUT_S * 10) + 1)
    assert "NO ANSWER" in sent.answers() and sent.answers() == ""
