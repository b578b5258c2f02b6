"""The desk without a browser: what it knows of a pump, what each button sends, and in which role.

The pump is the firmware's own code at a pty, in a thread; it goes on while nobody waits for it.
"""

import itertools
import os
import pty
import re
import threading
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from head_tables import rig_with
from pump_at_pty import PATIENCE_S, PtyPump, until
from thecal.link.commands import COMMANDS, ROLES
from thecal_bench.balance import BalanceOnPty, BalanceParameters, ModelBalance
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_host import cli, pairing, ports
from thecal_host import log as pump_log
from thecal_host.archive import Archive
from thecal_host.archive.store import place
from thecal_host.cli import desk as cli_desk
from thecal_host.desk import orders, reports, server
from thecal_host.desk.cards import _bolus, _rig
from thecal_host.desk.course import GRAMS, YES, Beaker, Course
from thecal_host.desk.session import Session
from thecal_host.keys import Held, Ring
from thecal_host.pump import Pump, PumpError
from thecal_host.weighing import WeighingError, calibration
from thecal_model.problems import InputError
from thecal_model.quantities import QuantityError
from thecal_model.text import event_text
from typer.main import get_command
from typer.testing import CliRunner

pytestmark = pytest.mark.req("DESK-01")

PLAIN = '[therapy]\nmode = "continuous"\nrate = "6 mL/h"\n'
LIMITED = f'{PLAIN}[therapy.limit]\nvolume = "6 mL"\nwindow = "1 h"\n'
MORPHINE = """[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
[therapy.patient_bolus]
volume = "1 uL"
duration = "5 s"
lockout = "10 min"
max_per_day = 6
[therapy.limit]
dose = "4 mg"
window = "4 h"
"""

TOO_MUCH = """[therapy]
mode = "continuous"
drug = "ziconotide"
concentration = "25 mcg/mL"
dose = "19.3 mcg/day"
"""


@pytest.fixture
def pump():
    with PtyPump() as pump:
        yield pump


@pytest.fixture
def session(pump):
    session = Session(pump.name)
    session.start()
    until(lambda: not session.why)
    yield session
    session.close()


def program(session, text=PLAIN):
    proposal = orders.propose_therapy(session, text)
    orders.confirm(session, proposal, proposal.soft)


def test_it_knows_what_the_pump_tells(session, pump):
    assert session.hello["rig"] == "reference" and session.rig is not None and not session.rig.unwatched()
    assert session.status is not None and session.status["state"] == "STOPPED" and session.kept is None
    program(session)
    orders.start(session)
    until(lambda: session.status["state"] == "RUNNING" and session.kept is not None)
    until(lambda: len(session.points) > 3 and session.points[-1].delivered_nl > 0)
    assert "state: STOPPED to RUNNING" in [event_text(event) for event in session.events]
    assert orders.stop(session) == "The pump is STOPPED."
    assert pump.state == "STOPPED"


def test_a_therapy_needs_each_of_its_soft_limits_by_name(session, pump):
    proposal = orders.propose_therapy(session, MORPHINE)
    assert len(proposal.soft) > 1 and len(proposal.why) == len(proposal.soft)
    for name in proposal.soft:
        with pytest.raises(PumpError, match=name):
            orders.confirm(session, proposal, [other for other in proposal.soft if other != name])
    assert pump.pump_port.bench.pump.regimen.prescription is None
    orders.confirm(session, proposal, proposal.soft)
    until(lambda: session.kept is not None and session.kept["digest"] == proposal.digest)


@pytest.fixture
def sentences(monkeypatch):
    """What the pump said where it refused or denied something."""
    said = []
    check = Pump._check

    def heard(self, cmd, reply):
        if reply.get("ok") is not True or reply.get("granted") is False:
            said.append((cmd, reply["message"]))
        check(self, cmd, reply)

    monkeypatch.setattr(Pump, "_check", heard)
    return said


def confirm_what_is_gone(session):
    old = orders.propose_refill(session, "10 mL")
    orders.propose_refill(session, "20 mL")
    orders.confirm(session, old, [])


# By command what gives it on the page, each refused by a pump on which nothing is programmed.
REFUSED = {
    "start": orders.start,
    "bolus": lambda session: orders.bolus(session, "1 uL", "1 min"),
    "patient_bolus": orders.patient_bolus,
    "prime": lambda session: orders.prime(session, "10 uL"),
    "new_line": orders.propose_new_line,
    "program": lambda session: orders.propose_therapy(session, TOO_MUCH),
    "confirm": confirm_what_is_gone,
}

# And those that it refuses only to who has not the right key.
REFUSED_A_KEY = {
    "refill": lambda session: orders.propose_refill(session, "20 mL"),
    "acknowledge": orders.acknowledge,
    "audio_pause": orders.silence,
    "set_time": lambda session: orders.set_time(session, "mon 06:30"),
    "disconnected": lambda session: calibrated(session),
}


def calibrated(session):
    course = Course(session, "6 mL/h", 1, 3, 20.0)
    course.start()
    answered(course, iter(()))
    raise PumpError(course.why)


def test_a_refusal_is_the_pumps_own_sentence(session, sentences):
    for cmd, order in REFUSED.items():
        sentences.clear()
        with pytest.raises(PumpError) as shown:
            order(session)
        [(refused, own)] = sentences
        # Where a line of the form is at fault its place stands before it.
        assert refused == cmd and own and own in str(shown.value), (cmd, own, str(shown.value))


@pytest.mark.req("SEC-02")
def test_a_refusal_for_a_key_is_the_pumps_own_sentence_too(session, pump, sentences, tmp_path, monkeypatch):
    monkeypatch.setenv("THECAL_KEYS", str(tmp_path / "keys"))
    with ports.open_port(pump.name) as port:
        clinic = Pump(port)
        clinic.connect()
        pairing.pair(clinic, Ring(), lambda what, within_s: pump.press("stop", 3))
    until(lambda: session.paired and session.keys)
    session.keys = {role: bytes(32) for role in session.keys}
    for cmd, order in REFUSED_A_KEY.items():
        sentences.clear()
        with pytest.raises(PumpError) as shown:
            order(session)
        assert {refused for refused, _ in sentences} == {cmd}
        assert sentences[-1][1] in str(shown.value)


# By what the page asks of a pump the command of `thecal` that does.
BY_COMMAND = {
    **{name: name for name in ("start", "bolus", "prime", "refill", "program", "acknowledge", "log")},
    "patient_bolus": "patient-bolus",
    "new_line": "new-line",
    "audio_pause": "silence",
    "set_time": "set-time",
    "jog": "calibrate",
}


def test_the_page_does_nothing_that_no_command_does_and_each_refusal_was_looked_at():
    sources = [path.read_text() for path in Path(orders.__file__).parent.glob("*.py")]
    given = {name for text in sources for name in re.findall(r'conversation\([\w.]+, "(\w+)"\)', text)}
    commands = getattr(get_command(cli.app), "commands")  # noqa: B009 (a Group of typer's own click)
    assert given == set(BY_COMMAND) and set(BY_COMMAND.values()) < set(commands)
    # Stop waits for no read-back and no key; the log is only read; a calibration jogs, and asks before it.
    assert given - {"log", "jog"} == {*REFUSED, *REFUSED_A_KEY} - {"confirm", "disconnected"}


def test_the_clock_is_set_to_a_time_of_the_week_or_to_that_of_here(session):
    assert orders.set_time(session, "mon 06:30") == "The pump's clock is at mon 06:30."
    until(lambda: "clock: mon 06:30, was not known" in [event_text(event) for event in session.events][-1])
    before = datetime.now()
    said = orders.set_time(session, "")
    assert any(f"clock is at {now:%a} ".lower() in said for now in (before, datetime.now()))
    with pytest.raises(QuantityError, match="06:30"):
        orders.set_time(session, "06:30 o'clock")


def test_a_pump_that_was_never_told_what_hangs_on_its_pins_is_shown():
    with PtyPump(bench=HostBench(flash=blank_flash(None))) as pump:
        session = Session(pump.name)
        session.start()
        try:
            until(lambda: session.status is not None and not session.why)
            assert session.rig is None and "thecal rig program" in _rig(session)[1]
            with pytest.raises(PumpError, match="rig"):
                orders.start(session)
        finally:
            session.close()


@pytest.mark.req("PERF-05")
def test_a_head_with_a_table_says_whether_it_is_evened_out(session):
    until(lambda: session.status is not None and session.rig is not None)
    assert "its flow" not in _rig(session)[1]
    session.rig = rig_with([0, 1_000, 2_000, 1_000, 0, -1_000, -2_000, -1_000])
    assert "its flow: counts as uniform: its phase is not known, until" in _rig(session)[1]


def test_a_bolus_that_is_denied_says_why(session):
    program(session, LIMITED)
    orders.start(session)
    with pytest.raises(PumpError, match=r"limit of 6 mL, with this bolus .*\(max_dose\)"):
        orders.bolus(session, "1 mL", "1 min")
    until(lambda: session.alarms["alarms"] == [["MAX_DOSE", "LOW"]])
    assert "STOPPED" not in orders.acknowledge(session)
    until(lambda: not session.alarms["alarms"])


def test_what_is_wrong_in_the_form_is_said_with_its_line(session):
    with pytest.raises(InputError, match="the therapy:3: therapy.rate"):
        orders.propose_therapy(session, PLAIN.replace("6 mL/h", "6 mL"))


def test_the_lockout_runs_down_from_the_end_of_the_patients_bolus(session):
    program(session, MORPHINE)
    orders.start(session)
    assert session.lockout_left_ms is None
    assert "Granted" in orders.patient_bolus(session)
    until(lambda: session.lockout_left_ms is not None)
    ended_ms = next(event["tick"] * 100 for event in session.events if event["code"] == "patient_bolus_end")
    until(lambda: session.lockout_left_ms < 590_000)
    left_ms, now_ms = session.lockout_left_ms, session.points[-1].at_ms
    assert abs(left_ms + now_ms - ended_ms - 600_000) <= 1_000  # the two may be of two statuses
    with pytest.raises(PumpError, match="lockout"):
        orders.patient_bolus(session)


def test_who_comes_later_knows_of_the_lockout_too(session, pump):
    program(session, MORPHINE)
    orders.start(session)
    orders.patient_bolus(session)
    until(lambda: session.lockout_left_ms is not None)
    later = Session(pump.name)
    later.start()
    try:
        until(lambda: not later.why)
        assert later.bolus_end_tick == session.bolus_end_tick
    finally:
        later.close()


def test_refill_and_new_line_are_read_back_before_they_count(session):
    proposal = orders.propose_refill(session, "20 mL")
    assert proposal.readback == {"refill_nl": 20_000_000}
    told = session.status["tick"]
    until(lambda: session.status["tick"] > told)
    assert session.status["reservoir_ul"] == 0
    orders.confirm(session, proposal, [])
    until(lambda: session.status["reservoir_ul"] == 20_000)
    program(session, f'{PLAIN}line = "200 uL"\n')
    with pytest.raises(PumpError, match="new_line"):
        orders.prime(session, "10 uL")
    proposal = orders.propose_new_line(session)
    orders.confirm(session, proposal, [])
    assert orders.prime(session, "190 uL") == "The pump is PRIMING."
    until(lambda: session.status["state"] == "PRIMING")
    assert _bolus(session)[0].startswith("priming: ")


def test_a_stop_waits_for_nobody(session, monkeypatch):
    """Another order hangs between its question and its answer."""
    program(session)
    orders.start(session)
    asked, go_on = threading.Event(), threading.Event()
    ask = Pump.ask

    def slow(self, cmd, **args):
        if cmd == "refill":
            asked.set()
            assert go_on.wait(PATIENCE_S)
        return ask(self, cmd, **args)

    monkeypatch.setattr(Pump, "ask", slow)
    other = threading.Thread(target=orders.propose_refill, args=(session, "20 mL"))
    other.start()
    assert asked.wait(PATIENCE_S)
    assert orders.stop(session) == "The pump is STOPPED."
    go_on.set()
    other.join(PATIENCE_S)


@pytest.mark.req("DESK-02", "DESK-03")
def test_everything_is_kept_as_record_keeps_it(session):
    program(session)
    orders.start(session)
    until(lambda: session.status["state"] == "RUNNING")
    number = session.turn_over()
    until(lambda: session.run == number + 1)
    with Archive() as archive:
        run = next(run for run in archive.runs() if run.number == number)
        text = archive.text(number)
    assert run.how == "end" and '"code":"therapy"' in text and '"type":"status"' in text
    # The therapy of the event, which the recording asks for by itself, and the desk too.
    assert '"therapy":{"mode":"continuous"' in text
    # A page can be made of it, though no therapy was in force as it began.
    page = reports.html_of_run(number)
    assert "number 1, confirmed" in page and "6 mL/h" in page and "Incomplete" not in page
    assert "Not checked: its pump is not at this desk" in page


@pytest.mark.req("DESK-03", "REC-06")
def test_a_report_is_held_against_the_log_of_its_pump(session, monkeypatch):
    program(session)
    orders.start(session)
    until(lambda: session.status["state"] == "RUNNING")
    number = session.turn_over()
    page = reports.html_of_run(number, [session])
    assert "Each event goes on from the one before it: no edit, no gap." in page
    assert "held against the log" in page and "is not in the log" not in page
    read = pump_log.read

    def edited(*args):
        log = read(*args)
        log.entries[0] = log.entries[0][:-5] + b"\x55" + log.entries[0][-4:]
        return log

    monkeypatch.setattr(pump_log, "read", edited)
    page = reports.html_of_run(number, [session])
    assert "no edit, no gap" not in page and "was edited" in page


def test_the_desk_finds_pumps_that_come_later_and_each_keeps_its_number(monkeypatch):
    found = []
    monkeypatch.setattr(server, "LOOK_S", 0.05)
    monkeypatch.setattr(ports, "find_ports", lambda: list(found))
    with PtyPump() as one, PtyPump() as other:
        found += [ports.FoundPort(one.name, "serial", "a pump", True)]
        found += [ports.FoundPort("/dev/modem", "serial", "something else", False)]
        desk = server.Desk()
        desk.start()
        try:
            assert [session.name for session in desk.sessions.values()] == [one.name]
            found.insert(0, ports.FoundPort(other.name, "serial", "a pump", True))
            until(lambda: len(desk.sessions) == 2)
            assert {number: session.name for number, session in desk.sessions.items()} == {
                1: one.name,
                2: other.name,
            }
            until(lambda: not any(session.why for session in desk.sessions.values()))
        finally:
            desk.close()
    assert all(session.why == "the desk is closed" for session in desk.sessions.values())


def test_without_its_package_the_command_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cli_desk, "find_spec", lambda name: None)
    result = CliRunner().invoke(cli.app, ["desk"])
    assert result.exit_code == 2 and "`make desk` brings it" in result.stderr


def test_a_bench_that_does_not_boot_says_why():
    with pytest.raises(PumpError, match="does not boot: .*no_such_rig"), server.bench("no_such_rig"):
        raise AssertionError("there is no such rig")


# --- in which role


@pytest.mark.req("SEC-01")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_was_named_may_what_the_table_of_commands_says(role, session):
    session.role = role
    for command in COMMANDS:
        may = command.name == "stop" or command.role <= ROLES.index(role)
        assert (orders.why_not(session, command.name) == "") == may, command.name
    assert orders.stop(session) == "The pump is STOPPED."


@pytest.mark.req("SEC-01", "SEC-02")
def test_a_paired_pump_obeys_the_key_that_is_here_and_the_desk_sends_nothing_else(
    pump, tmp_path, monkeypatch
):
    monkeypatch.setenv("THECAL_KEYS", str(tmp_path / "keys"))
    ring = Ring()
    with ports.open_port(pump.name) as port:
        clinic = Pump(port)
        clinic.connect()
        pairing.pair(clinic, ring, lambda what, within_s: pump.press("stop", 3))
        serial = pairing.serial_of(clinic)
    session = Session(pump.name)
    session.start()
    try:
        until(lambda: not session.why)
        program(session, MORPHINE)
        orders.start(session)
    finally:
        session.close()
    ring.put(serial, Held({"patient": ring.get(serial).keys["patient"]}))
    session = Session(pump.name)
    session.start()
    try:
        until(lambda: not session.why)
        assert "Granted" in orders.patient_bolus(session)
        with pytest.raises(PumpError, match="nothing was sent: .*no clinician key"):
            orders.bolus(session, "1 uL", "1 min")
        assert orders.stop(session) == "The pump is STOPPED."  # signed, else it says so
    finally:
        session.close()


# --- the guided calibration


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A pump that turns faster than time goes, with its session; the beaker needs no rest."""
    monkeypatch.setattr(calibration, "REST_S", 0.1)
    monkeypatch.setenv("THECAL_ARCHIVE", str(tmp_path / "archive.sqlite"))
    with PtyPump(tick_s=0.001) as pump:
        session = Session(pump.name)
        session.start()
        until(lambda: not session.why)
        yield session
        session.close()


def answered(course, grams):
    """Answer what is asked with a yes, and each reading with what follows; the questions."""
    asked = []
    while True:
        until(lambda: course.over or course.question is not None)
        if course.over:
            return asked
        question = course.question
        asked.append((question.kind, question.text))
        course.answer(
            next(grams) if question.kind == GRAMS else question.proposal.soft if question.rows else YES
        )


@pytest.mark.req("CAL-01")
def test_a_calibration_asks_for_each_weight_and_changes_the_head_when_it_is_confirmed(quick):
    course = Course(quick, "6 mL/h", 1, 3, 20.0)
    course.start()
    readings = itertools.accumulate([50.0] + 3 * [0.10272, 0.0])
    asked = answered(course, (f"{grams:.4f}" for grams in readings))
    assert course.why == "" and [kind for kind, _ in asked].count(GRAMS) == 6
    assert any("Nobody is connected" in text for _, text in asked)
    until(lambda: quick.hello["rig_number"] == 2 and not quick.why)
    assert quick.hello["nl_per_rev"] == pytest.approx(103_000, rel=0.001)
    assert dict(course.result)["change"].startswith("+3.0")


@pytest.mark.req("CAL-01")
def test_a_calibration_that_is_ended_changes_nothing_and_goes_on_from_there(quick):
    course = Course(quick, "6 mL/h", 1, 3, 20.0)
    course.start()
    until(lambda: course.question is not None)
    course.answer(YES)  # the line is full
    until(lambda: course.question is not None)
    course.answer(YES)  # nobody is connected
    until(lambda: course.question is not None)
    with pytest.raises(WeighingError, match="expected a weight"):
        course.answer("heavy")
    course.answer("50.0000")
    until(lambda: course.question is not None)
    course.answer(None)
    until(lambda: course.over)
    assert "ended here" in course.why and quick.hello["rig_number"] == 1
    again = Course(quick, "6 mL/h", 1, 3, 20.0)
    again.start()
    until(lambda: again.question is not None)
    asked = again.question
    assert asked is not None and asked.may_be_no and "untouched" in asked.text
    again.answer(None)
    until(lambda: again.over)


@pytest.fixture
def weighed(monkeypatch, tmp_path):
    """A quick pump that gives 3 % more than its rig says, over a balance at a port; that port's name."""
    monkeypatch.setattr(calibration, "REST_S", 0.1)
    monkeypatch.setattr(calibration, "BETWEEN_S", 0.01)
    monkeypatch.setenv("THECAL_ARCHIVE", str(tmp_path / "archive.sqlite"))
    plant = Plant(PlantParameters(calibration_error_percent=Fraction(3)))
    bench = HostBench(plant)
    model = ModelBalance(plant.outflow_nl, BalanceParameters(noise_g=0.0))
    balance = BalanceOnPty(model, lambda: bench.now_ns)
    with PtyPump(bench=bench, tick_s=0.001, beside=balance.turn) as pump:
        session = Session(pump.name)
        session.start()
        until(lambda: not session.why)
        yield session, balance.path
        session.close()
    balance.close()


@pytest.mark.req("CAL-01")
def test_a_calibration_reads_a_balance_at_a_port_and_asks_for_no_weight(weighed):
    session, balance = weighed
    course = Course(session, "6 mL/h", 2, 3, 20.0, Beaker(balance, stopped_for="1 s"))
    course.start()
    asked = answered(course, iter(()))
    assert course.why == "" and GRAMS not in [kind for kind, _ in asked]
    assert any("to see what evaporates" in said for said in course.told)
    until(lambda: session.hello["rig_number"] == 2 and not session.why)
    assert session.hello["nl_per_rev"] == pytest.approx(103_000, rel=0.003)
    assert "mg/h, added again" in dict(course.result)["evaporation"]


@pytest.mark.req("CAL-01")
def test_a_calibration_ends_while_it_waits_for_the_balance(weighed):
    session, balance = weighed
    course = Course(session, "6 mL/h", 1, 3, 20.0, Beaker(balance, stopped_for="1 h"))
    course.start()
    for _ in range(2):
        until(lambda: course.question is not None)
        course.answer(YES)
    until(lambda: any("to see what evaporates" in said for said in course.told))
    course.end()
    until(lambda: course.over)
    assert course.why == "It was ended here." and session.hello["rig_number"] == 1


@pytest.mark.req("CAL-01")
def test_a_balance_that_is_silent_or_not_there_is_named(quick, tmp_path):
    missing = str(tmp_path / "no-balance")
    ours, theirs = pty.openpty()
    for name in (missing, os.ttyname(theirs)):
        course = Course(quick, "6 mL/h", 1, 3, 20.0, Beaker(name))
        course.start()
        answered(course, iter(()))
        assert name in course.why and quick.hello["rig_number"] == 1
    os.close(ours)
    os.close(theirs)


@pytest.mark.req("CAL-01")
def test_a_calibration_that_was_begun_otherwise_is_put_away_if_a_person_says_so(quick):
    course = Course(quick, "6 mL/h", 1, 3, 20.0)
    course.start()
    until(lambda: course.question is not None)
    course.answer(None)
    until(lambda: course.over)
    again = Course(quick, "6 mL/h", 2, 3, 20.0)
    again.start()
    until(lambda: again.question is not None)
    asked = again.question
    assert asked is not None and "begun with revolutions 1, this one has 2" in asked.text
    again.answer(YES)
    until(lambda: again.question is not None)
    again.answer(None)
    until(lambda: again.over)
    assert len(list(place().parent.glob("calibration-*.ndjson"))) == 2


def test_what_evaporates_has_a_unit(session):
    with pytest.raises(QuantityError, match="1 mg"):
        Course(session, "6 mL/h", 1, 3, 20.0, Beaker(evaporation="1 mg"))


def test_a_stop_ends_what_a_calibration_turns(quick):
    course = Course(quick, "6 mL/h", 10, 3, 20.0)
    course.start()
    for _ in range(2):
        until(lambda: course.question is not None)
        course.answer(YES)
    until(lambda: quick.status["state"] == "JOGGING")
    assert orders.stop(quick) == "The pump is STOPPED."
    until(lambda: course.over)
    assert "somebody has stopped the pump" in course.why


@pytest.mark.req("LNK-05", "DESK-02")
def test_what_happened_without_a_line_is_known_when_it_is_back_and_the_gap_is_kept(tmp_path):
    link = tmp_path / "pump"
    with PtyPump(link) as pump:
        session = Session(str(link))
        session.start()
        try:
            until(lambda: not session.why)
            program(session, MORPHINE)
            orders.start(session)
            orders.patient_bolus(session)
            until(lambda: (session.status or {})["bolus"] == "patient")
            pump.unplug()
            until(lambda: "the line is lost" in session.why)
            begun, lockout = pump.pump_port.bench.tick, pump.pump_port.bench.pump.handlers.denials.lockout
            until(lambda: lockout.ended and pump.pump_port.bench.tick > begun + 50)
            assert pump.state == "RUNNING"
            pump.plug()
            until(lambda: not session.why)
            until(lambda: session.bolus_end_tick is not None)
            number = session.turn_over()
        finally:
            session.close()
    with Archive() as archive:
        text = archive.text(number)
    assert text.count('"type":"gap"') == 1 and '"code":"patient_bolus_end"' in text


def test_a_pump_that_is_not_there_is_named_and_tried_again(tmp_path):
    link = tmp_path / "pump"
    session = Session(str(link))
    session.start()
    try:
        until(lambda: str(link) in session.why)
        with pytest.raises(ports.PortError):
            orders.stop(session)
        with PtyPump(link):
            until(lambda: not session.why)
            assert session.status is not None
    finally:
        session.close()
