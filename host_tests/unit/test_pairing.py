"""`thecal pair` and `thecal keys` on the pump's own code: who may give what, from where, over what losses.

In this process first, at a port whose cable may be pulled, then as processes at a pty, in another HOME.
"""

import json
import os
import shutil
import tempfile
from functools import partial

import pytest
from pump_at_pty import PATIENCE_S, PtyPump, thecal
from signed_port import (
    SignedPort,
    as_a_fresh_account,
    paired_programmed_and_refused,
    serial_of,
)
from signed_port import account as account
from signed_port import therapy as therapy
from thecal.link.commands import ROLES
from thecal_host import keys, pairing, rigging, serial_bench
from thecal_host.keys import FileStore, Held, KeysError
from thecal_host.pump import Pump, PumpError, Refused
from thecal_host.watching import _Sent
from thecal_host.weighing.motion import stop_again
from thecal_model import signing
from thecal_model.link import encode

RATE = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}


def met(port, ring=None, role=None):
    """A conversation with the pump, with the keys of a ring."""
    pump = Pump(port, port.clock_s)
    pump.reopen, pump.sleep = port.reopen, port.sleep
    pump.connect()
    if ring is not None:
        pairing.attach(pump, ring, role)
    return pump


def paired(port, ring):
    pump = met(port)
    pairing.pair(pump, ring, lambda what, within_s: None)
    port.sent.clear()
    return pump


# --- the whole way, as people go it


@pytest.mark.req("SEC-02", "SEC-06")
def test_pair_program_as_clinician_bolus_as_patient_and_each_is_refused_under_the_others_key(
    run, account, therapy
):
    paired_programmed_and_refused(run, SignedPort(), account, therapy)


@pytest.mark.req("SEC-01", "SEC-02", "SEC-06")
def test_a_fresh_account_reads_and_stops_and_with_the_patients_key_asks_for_a_bolus(
    run, account, therapy, tmp_path
):
    account("clinic")
    port = SignedPort()
    for args in (["pair"], ["program", therapy, "--yes"]):
        assert run(port, *args).exit_code == 0
    as_a_fresh_account(run, port, account, therapy, tmp_path)
    account("home")
    port.bench.advance_to_tick(port.bench.tick + 4000)  # beyond the lockout
    account("clinic")
    for args in (["acknowledge"], ["start"]):
        assert run(port, *args).exit_code == 0
    account("home")
    assert run(port, "patient-bolus").exit_code == 0


@pytest.mark.req("SEC-06")
def test_nobody_at_the_pump_leaves_it_unpaired_and_keeps_nothing(run, account):
    ring = account("clinic")
    port = SignedPort(hand=None)
    said = run(port, "pair")
    assert said.exit_code == 1 and "no hand was at the pump in time" in said.stderr
    assert not port.paired and ring.pumps() == {}
    port.hand = 20
    assert run(port, "pair").exit_code == 0
    again = run(port, "pair")
    assert again.exit_code == 1 and "is paired already, and its keys are here" in again.stderr
    account("other")
    again = run(port, "pair")
    assert again.exit_code == 1 and "was paired by another computer" in again.stderr


@pytest.mark.req("SEC-06")
def test_a_running_pump_is_not_paired(run, account, therapy):
    ring = account("clinic")
    port = SignedPort()
    assert run(port, "program", therapy, "--yes").exit_code == 0
    assert run(port, "start").exit_code == 0
    said = run(port, "pair")
    assert said.exit_code == 1 and not port.paired and ring.pumps() == {}


# --- answers that are lost


@pytest.mark.req("SEC-06", "REC-03")
@pytest.mark.parametrize("pressed", [True, False])
def test_keys_whose_answer_was_lost_are_kept_until_the_pump_tells(account, pressed):
    ring = account("clinic")
    port = SignedPort(hand=20 if pressed else None)
    pump = met(port)
    port.cut_at, port.away = "pair", 10_000
    with pytest.raises(PumpError, match="is not known. They are kept"):
        pairing.pair(pump, ring, lambda what, within_s: None)
    held = ring.get(serial_of(ring))
    assert held.pending.keys() == set(ROLES) and held.keys == {} and held.whole
    assert port.paired == pressed
    port.away = 0
    port.reopen()
    port.sleep(40)
    pump = met(port, ring)
    if pressed:
        assert ring.get(serial_of(ring)) == Held(held.pending)
        assert pump.ask("audio_pause")["ok"] is True
    else:
        pump.ask("audio_pause")
        port.hand = 20
        pairing.pair(pump, ring, lambda what, within_s: None)
        assert ring.get(serial_of(ring)).keys.keys() == set(ROLES)


@pytest.mark.req("SEC-06", "REC-03")
@pytest.mark.parametrize("deaf", [True, False])
@pytest.mark.parametrize("roles", [("service",), ("patient",), ROLES])
def test_new_keys_whose_answer_was_lost_are_those_in_force(account, deaf, roles):
    ring = account("clinic")
    port = SignedPort()
    pump = paired(port, ring)
    before = ring.get(serial_of(ring)).keys
    new = {role: signing.new_key() for role in roles}
    port.cut_at, port.deaf, port.away = "keys", deaf, 2
    if deaf:
        with pytest.raises(PumpError, match="was not carried out"):
            pairing.change(pump, ring, new)
        assert ring.get(serial_of(ring)) == Held(before)
    else:
        assert pairing.change(pump, ring, new) == Held({**before, **new})
        assert ring.get(serial_of(ring)) == Held({**before, **new})
    pump.ask("audio_pause")
    pairing.change(met(port, ring), ring, {"observer": signing.new_key()})


@pytest.mark.req("SEC-06", "REC-03")
def test_a_line_that_stays_lost_leaves_both_keys_until_the_pump_tells(account):
    ring = account("clinic")
    port = SignedPort()
    pump = paired(port, ring)
    new = {"service": signing.new_key()}
    port.cut_at, port.away = "keys", 10_000
    with pytest.raises(PumpError, match="is not known. They are kept"):
        pairing.change(pump, ring, new)
    held = ring.get(serial_of(ring))
    assert held.pending == new and held.keys["service"] != new["service"]
    port.away = 0
    port.reopen()
    met(port, ring)
    assert ring.get(serial_of(ring)) == Held({**held.keys, **new})


# --- other keys, and none


@pytest.mark.req("SEC-02", "SEC-06")
def test_a_rotated_and_a_revoked_key_are_good_for_nothing(run, account, tmp_path):
    account("clinic")
    port = SignedPort()
    assert run(port, "pair").exit_code == 0
    file = tmp_path / "patient.key"
    run(port, "keys", "export", "patient", file)
    home = account("home")
    run(port, "keys", "import", file)
    assert run(port, "silence").stderr.startswith("thecal: nothing was silenced")
    ring = account("clinic")
    rotated = run(port, "keys", "rotate", "patient")
    assert rotated.exit_code == 0 and "New keys are in force for patient" in rotated.output
    account("home")
    assert "does not take this computer's key" in run(port, "silence").stderr
    account("clinic")
    file.unlink()
    run(port, "keys", "export", "patient", file)
    account("home")
    other = run(port, "keys", "import", file)
    assert other.exit_code == 1 and "--force replaces it" in other.stderr
    assert run(port, "keys", "import", "--force", file).exit_code == 0
    assert "refuses" not in run(port, "silence").stderr
    account("clinic")
    assert run(port, "keys", "revoke", "patient").exit_code == 0
    assert ring.get(serial_of(ring)).roles() == "observer, clinician, service"
    account("home")
    assert "does not take this computer's key" in run(port, "silence").stderr
    assert home.get(serial_of(ring)).keys.keys() == {"patient"}
    account("clinic")
    refused = run(port, "keys", "revoke", "service")
    assert refused.exit_code == 1 and "cannot be taken away" in refused.stderr
    assert run(port, "keys", "rotate").exit_code == 0  # all of them, the patient's too
    listed = run(port, "keys", "list").output
    assert serial_of(ring) in listed and "patient" in listed
    assert not any(key.hex() in listed for key in ring.get(serial_of(ring)).keys.values())
    wrong = run(port, "keys", "export", "doctor", tmp_path / "x")
    assert wrong.exit_code == 2 and "expected one of" in wrong.stderr


@pytest.mark.req("SEC-06")
def test_who_has_lost_all_keys_needs_a_hand_at_the_jumper(run, account):
    ring = account("clinic")
    port = SignedPort()
    assert run(port, "pair").exit_code == 0
    serial = serial_of(ring)
    account("elsewhere")
    refused = run(port, "keys", "reset", "--yes")
    assert refused.exit_code == 1 and "jumper" in refused.stderr and port.paired
    port.fits = True
    unsure = run(port, "keys", "reset", answer="n\n")
    assert unsure.exit_code == 1 and "the keys stay in force" in unsure.output and port.paired
    account("clinic")
    done = run(port, "keys", "reset", answer="y\n")
    assert done.exit_code == 0, done.output + done.stderr
    assert f"Pump {serial} is unpaired" in done.output and not port.paired
    assert ring.pumps() == {}
    assert {role for cmd, role in port.roles_of("reset_keys", "confirm")} == {None}
    port.fits = port.bench.jumper = False
    assert "not paired" in run(port, "status").output
    assert run(port, "pair").exit_code == 0 and port.paired


# --- a pump that knows another nonce or counter by now


@pytest.mark.req("SEC-02", "REC-03")
def test_after_a_reset_the_same_request_is_signed_anew(account):
    ring = account("clinic")
    port = SignedPort()
    pump = paired(port, ring)
    nonce = pump.signer.nonce
    port.bench.power_cut(5)
    port.sleep(6)
    port._data.clear()  # it has not heard that the pump booted
    pump.client.boot = None
    assert pump.ask("audio_pause")["ok"] is True
    assert port.roles_of("audio_pause", "hello") == [
        ("audio_pause", "patient"), ("hello", None), ("audio_pause", "patient"),
    ]  # fmt: skip
    assert pump.signer.nonce != nonce
    # One that names the boot is over with it.
    port.bench.power_cut(5)
    port.sleep(6)
    with pytest.raises(Refused, match="it has restarted since"):
        pump.ask("start")


@pytest.mark.req("SEC-02")
def test_two_programs_in_one_role_both_come_through(account):
    ring = account("clinic")
    port = SignedPort()
    paired(port, ring)
    one, other = met(port, ring), met(port, ring)
    for _ in range(3):
        assert other.ask("audio_pause")["ok"] is True
        assert other.ask("audio_pause")["ok"] is True
        assert one.ask("audio_pause")["ok"] is True


@pytest.mark.req("SEC-03")
def test_a_command_waits_out_a_storm_of_wrong_signatures(account):
    ring = account("clinic")
    port = SignedPort()
    pump = paired(port, ring)
    body = json.dumps({"id": 1, "run": "00000001", "cmd": "audio_pause"}, separators=(",", ":")).encode()
    for count in range(20):
        counter = pump.signer._counters["patient"] + 1 + count
        port.bench.send(signing.sign(body, "patient", counter, pump.signer.nonce, bytes(32)) + b"\n")
    port.bench.advance_to_tick(port.bench.tick + 1)
    assert pump.ask("audio_pause")["ok"] is True
    # Not looked at in that second, and signed anew in the next.
    assert set(port.roles_of("audio_pause")[1:]) == {("audio_pause", "patient")}


@pytest.mark.req("SEC-02")
def test_a_hello_whose_counters_jump_is_not_believed(account):
    ring = account("clinic")
    port = SignedPort()
    pump = paired(port, ring)
    hello = dict(pump.hello)
    hello["counters"] = {**hello["counters"], "service": "f" * 16}
    with pytest.raises(ValueError, match="the counter of service jumps"):
        pump.signer.hear(hello)


@pytest.mark.req("SEC-02", "REC-03")
def test_a_line_that_was_held_back_is_good_for_nothing_once_its_outcome_was_asked_for(run, account):
    """Whoever is in the cable keeps it, lets everything else pass, and delivers it when nobody expects it."""
    ring = account("clinic")
    port = SignedPort()
    paired(port, ring)
    pump = met(port, ring)
    pump.ask("confirm", digest=pump.ask("program", therapy={**RATE})["digest"])
    pump.ask("start")
    send, kept = port.bench.send, []

    def hold_back(data):
        for line in data.splitlines(keepends=True):
            (kept.append if b'"cmd":"bolus"' in line else send)(line)

    port.bench.send = hold_back
    with pytest.raises(PumpError, match="the pump does not know of it: it was not carried out"):
        pump.ask("bolus", volume_nl=20_000, duration_ms=20_000)
    assert len(kept) == 1 and signing.parts(kept[0][:-1])
    port.bench.send = send
    told = len(pump.client.events)
    port.bench.send(kept[0])
    port.sleep(2)
    pump.poll(0)
    assert [event["code"] for event in pump.client.events[told:]] == ["alarm", "bad_auth"]
    # Nobody's keys are worn by that: the next one is good.
    assert pump.ask("bolus", volume_nl=20_000, duration_ms=20_000)["granted"] is True
    port.sent.clear()
    asked = run(port, "outcome", f"{pump.client.run}.{pump.client.last_id}.0")
    assert asked.exit_code == 0 and "Of `bolus`: it has been carried out." in asked.output
    assert [role for _, role in port.roles_of("outcome")] == list(ROLES), "it may have been given in each"


# --- what opens a pump for longer than a command signs as each command does

SCENARIO = """
duration = "10 s"
[therapy]
mode = "continuous"
rate = "6 mL/h"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "3 s"
do = "clinician_bolus"
volume = "5 uL"
duration = "5 s"
[[event]]
at = "9 s"
do = "stop"
[[expect]]
what = "bolus"
at = "3 s"
granted = true
[[expect]]
what = "ledger"
value = "20 uL"
"""


@pytest.mark.req("SEC-02")
def test_a_scenario_at_the_port_of_a_paired_pump_is_signed(run, account, tmp_path, monkeypatch):
    port = SignedPort()
    paired(port, account("clinic"))
    on_its_clock = partial(serial_bench.SerialBench, clock_s=port.clock_s)
    monkeypatch.setattr(serial_bench, "SerialBench", on_its_clock)
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO)
    done = run(port, "simulate", file, "--on", "/dev/pump")
    assert done.exit_code == 0, done.output + done.stderr
    given = port.roles_of("program", "confirm", "set_time", "start", "bolus", "stop")
    assert {role for cmd, role in given if cmd != "stop"} == {"clinician"} and ("stop", "patient") in given
    assert len(given) == 6 and "BAD_AUTH" not in done.output
    as_service = run(port, "--role", "service", "simulate", file, "--on", "/dev/pump")
    assert as_service.exit_code == 0 and ("start", "service") in port.roles_of("start")
    account("other")
    refused = run(port, "simulate", file, "--on", "/dev/pump")
    assert refused.exit_code == 1 and "this computer has no key for it" in refused.stderr
    assert port.roles_of("program") == []


@pytest.mark.req("SEC-02", "CAL-01")
def test_a_pump_that_turns_and_is_reached_again_gets_a_signed_stop(account):
    port = SignedPort()
    paired(port, account("clinic"))
    pump = met(port, account("clinic"))
    pump.ask("confirm", digest=pump.ask("program", therapy={**RATE})["digest"])
    pump.ask("start")
    port.sent.clear()
    assert stop_again(pump) == "It was reached again, and is STOPPED."
    assert port.roles_of("stop") == [("stop", "patient")]


class RestartingPort(SignedPort):
    """It goes away when the pump starts anew, and comes back where it is opened again."""

    @property
    def bench(self):
        return self._bench

    @bench.setter
    def bench(self, bench):
        self._bench = bench
        reset = bench.reset

        def goes_away():
            reset()
            self.gone = True

        bench.reset = goes_away

    def close(self):
        self.gone = False


@pytest.mark.req("SEC-02", "RIG-02")
def test_a_paired_pump_comes_back_on_its_new_rig_though_its_port_went_away(run, account, monkeypatch):
    port = RestartingPort()
    paired(port, account("clinic"))
    monkeypatch.setattr(rigging, "AGAIN_S", 0)
    done = run(port, "rig", "program", "lab", "--yes")
    assert done.exit_code == 0, done.output + done.stderr
    assert "lab, is in force; the pump is STOPPED" in done.output
    assert run(port, "rig", "program", "reference", "--yes").exit_code == 0


# --- a stop comes through, whatever becomes of its signature


@pytest.mark.req("SEC-06", "ALM-05")
def test_a_stop_whose_signature_does_not_hold_stops(account):
    ring = account("clinic")
    port = SignedPort()
    paired(port, ring)
    pump = met(port, ring)
    pump.signer.keys = {role: bytes(31) + b"\1" for role in ROLES}
    assert pump.ask("stop")["state"] == "STOPPED"
    port.sent.clear()
    sent = _Sent(pump)
    assert sent.send("stop") == "stop: sent"
    said = ""
    for _ in range(40):
        pump.poll(0.1)
        said = said or sent.answers()
    assert said == "stop: the pump is STOPPED"


@pytest.mark.req("ALM-05")
def test_a_stop_does_not_wait_for_a_key_ring_that_is_locked(run, account, monkeypatch):
    account("clinic")
    port = SignedPort()
    assert run(port, "pair").exit_code == 0

    def locked(self, name):
        raise KeysError("it is locked")

    monkeypatch.setattr(FileStore, "load", locked)
    stopped = run(port, "stop")
    assert stopped.exit_code == 0 and "STOPPED" in stopped.output and "without a signature" in stopped.stderr
    asks_for_a_password = lambda self, name: __import__("time").sleep(60)  # noqa: E731
    monkeypatch.setattr(FileStore, "load", asks_for_a_password)
    stopped = run(port, "stop")
    assert stopped.exit_code == 0 and "does not answer" in stopped.stderr
    monkeypatch.setattr(FileStore, "load", locked)
    assert "it is locked" in run(port, "start").stderr


def test_a_pump_without_a_serial_number_is_not_paired(account):
    ring = account("clinic")
    pump = met(SignedPort())
    del pump.hello["serial"]
    with pytest.raises(KeysError, match="does not say its serial number"):
        pairing.pair(pump, ring, lambda what, within_s: None)


def test_the_keys_of_one_pump_are_not_offered_to_another(account):
    ring = account("clinic")
    paired(SignedPort(), ring)
    other = SignedPort()
    paired(other, account("other"))
    pump = met(other)
    pump.hello["serial"] = "0123456789abcdef"
    assert pairing.attach(pump, ring) == Held() and pump.signer.keys == {}
    assert encode({"id": 1}) and len(ring.pumps()) == 1


# --- as processes, each in an account of its own


@pytest.fixture
def homes(monkeypatch):
    """Folders of users who share this machine, and their runtime folder, whose path must be short."""
    folder = tempfile.mkdtemp(prefix="thecal")
    for name in ("XDG_DATA_HOME", keys.PLACE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{folder}/run")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.req("SEC-02", "SEC-06")
def test_in_another_home_the_exported_key_is_good_for_a_bolus_and_nothing_more(homes, therapy):
    with PtyPump() as pump:

        def call(home, *args):
            os.makedirs(f"{homes}/{home}", exist_ok=True)
            process = thecal(pump, *args, env={**os.environ, "HOME": f"{homes}/{home}"})
            said, wrong = process.communicate(timeout=2 * PATIENCE_S)
            return process.returncode, said + wrong

        pairing_process = thecal(pump, "pair", env={**os.environ, "HOME": f"{homes}/clinic"})
        assert pairing_process.stdout is not None
        assert "press the STOP button" in pairing_process.stdout.readline()
        pump.press("stop", 3)
        said, wrong = pairing_process.communicate(timeout=2 * PATIENCE_S)
        assert pairing_process.returncode == 0 and "Paired: pump" in said, wrong
        for args in (
            ["program", str(therapy), "--yes"],
            ["start"],
            ["keys", "export", "patient", f"{homes}/key"],
        ):
            status, said = call("clinic", *args)
            assert status == 0, said
        assert pump.state == "RUNNING"
        status, said = call("home", "patient-bolus")
        assert status == 1 and "has no key for that" in said
        assert call("home", "keys", "import", f"{homes}/key")[0] == 0
        status, said = call("home", "patient-bolus")
        assert status == 0 and "Granted" in said
        status, said = call("home", "start")
        assert status == 1 and "needs the role clinician" in said
        status, said = call("home", "stop")
        assert (status, said) == (0, "The pump is STOPPED.\n") and pump.state == "STOPPED"
        (kept,) = [os.path.join(at, name) for at, _, names in os.walk(f"{homes}/home") for name in names]
        assert os.stat(kept).st_mode & 0o777 == 0o600
