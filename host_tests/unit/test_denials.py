"""LIM-15: every reason of the table, caused on the in-process pump, and what is said of it on every way."""

import re

import pytest
from paired import PairedBench, Signer, body, key_of, keys_of
from pump_on_bench import SIX_ML_H, PumpOnBench
from thecal import causes, plain, states
from thecal.dose import library_wire
from thecal.link.commands import COMMANDS, ROLES
from thecal.watch import alarms, parts
from thecal_bench.flash_model import blank_flash
from thecal_model.rig import named
from thecal_model.text import event_text

BOLUS = {"volume_nl": 1_000_000, "duration_ms": 60_000, "lockout_ms": 60_000, "max_per_day": 2}
LIMIT = {"volume_nl": 40_000_000, "window_ms": 14_400_000}
BACLOFEN = {
    "mode": "continuous",
    "drug": "baclofen",
    "concentration_pg_nl": 500,
    "dose_pg_day": 300_000_000,
    "line_nl": 200_000,
}
SHORT = {"volume_nl": 1_000, "duration_ms": 1_000}


@pytest.fixture
def desk():
    return PumpOnBench()


def with_patient_bolus(desk, **therapy):
    desk.start(patient_bolus=BOLUS, limit=LIMIT, **therapy)


def halt(desk):
    """By an alarm that stands no more."""
    desk.pump.critical.before_change()
    desk.pump.control.raise_alarm(alarms.RESERVOIR_EMPTY)
    desk.pump.control.clear_alarm(alarms.RESERVOIR_EMPTY)
    desk.pump.critical.words.keep_all()
    desk.run(2)
    assert desk.pump.control.state == states.HALTED


def count_ends(desk):
    def look(*_):
        desk.pump.watching.counts.ended = True

    desk.pump.watching.counts.look = look
    desk.run(2)
    assert desk.ask("acknowledge")["ok"]


def not_running(desk):
    desk.program()
    return desk.ask("bolus", **SHORT)


def not_prescribed(desk):
    desk.start()
    return desk.ask("patient_bolus")


def bridge(desk):
    desk.confirm(BACLOFEN)
    desk.new_line()
    assert desk.ask("start")["ok"]
    desk.run(20)
    desk.confirm({**BACLOFEN, "concentration_pg_nl": 2_000})
    assert desk.pump.line.bridge
    return desk.ask("bolus", **SHORT)


def bolus_active(desk):
    desk.start()
    assert desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)["granted"]
    return desk.ask("bolus", **SHORT)


def lockout(desk):
    with_patient_bolus(desk)
    assert desk.ask("patient_bolus")["granted"]
    desk.run(650)
    return desk.ask("patient_bolus")


def max_per_day(desk):
    with_patient_bolus(desk)
    for _ in range(2):
        assert desk.ask("patient_bolus")["granted"]
        desk.run(1_250)
    return desk.ask("patient_bolus")


def library(desk):
    desk.confirm(BACLOFEN)
    assert desk.ask("start")["ok"]
    return desk.ask("bolus", volume_nl=10_000_000, duration_ms=600_000)  # 5 mg


def max_dose(desk):
    with_patient_bolus(desk)
    return desk.ask("bolus", volume_nl=39_000_000, duration_ms=3_600_000)


def reservoir(desk):
    desk.refill(2_000_000)
    desk.start()
    return desk.ask("bolus", volume_nl=1_600_000, duration_ms=60_000)


def prescription(desk):
    return desk.ask("program", therapy={"mode": "continuous", "rate_num": 2_500, "rate_den": 3})


def already_running(desk):
    desk.start()
    return desk.ask("start")


def not_stopped(desk):
    desk.start(line_nl=1_000)
    return desk.ask("prime", volume_nl=1_000)


def not_acknowledged(desk):
    desk.start()
    halt(desk)
    return desk.ask("start")


def empty(desk):
    desk.program(low_nl=3_000_000, empty_nl=2_000_000)
    desk.refill(1_000_000)
    return desk.ask("start")


def self_test_failed(desk):
    desk.program()
    desk.pump.critical.before_change()
    desk.pump.control.failures = 1 << parts.BUZZER
    desk.pump.critical.words.keep_all()
    return desk.ask("start")


def library_damaged(desk):
    desk.program()
    version, drugs, crc = desk.pump.regimen.library
    desk.pump.regimen.library = (version, drugs, crc ^ 1)
    return desk.ask("start")


def three_strikes(desk):
    desk.program()
    last: dict = {}
    for _ in range(4):
        last = desk.ask("start")
        if last["ok"]:
            halt(desk)
            desk.ask("acknowledge")
    return last


def history(desk):
    desk.start()
    desk.run(600)
    desk.ask("stop")
    desk.program(rate_num=6_000, limit={"volume_nl": 60_000, "window_ms": 3_600_000})
    return desk.ask("start")


def not_accepted(desk):
    proposal = desk.ask("program", therapy=BACLOFEN)
    return desk.ask("confirm", digest=proposal["digest"])


def no_new_line(desk):
    desk.program(line_nl=1_000)
    return desk.ask("prime", volume_nl=1_000)


def cancelled(desk):
    desk.program()
    number = desk.client.request("start", at_tick=desk.tick + 100)
    desk.run(3)
    assert desk.ask("stop")["ok"]
    return desk.client.reply(number)


def stop_held(desk):
    desk.program()
    desk.bench.inputs.button_stop = True
    return desk.ask("start")


def count_end(desk):
    desk.program()
    count_ends(desk)
    return desk.ask("start")


def not_rested(desk):
    desk.program()
    desk.reset()
    count_ends(desk)
    return desk.ask("begin_anew")


def drug_in_line(desk):
    desk.confirm(BACLOFEN)
    assert desk.ask("start")["ok"]
    desk.run(20)
    assert desk.ask("stop")["ok"]
    return desk.ask("disconnected")


def no_rig(desk):
    desk.bench.flash.image[:] = blank_flash(None).image
    desk.reset()
    return desk.ask("start")


def bad_rig(desk):
    return desk.ask("rig", rig={**named("reference").tables, "head": {"nl_per_rev": 0}})


def alarm_stands(desk):
    desk.program()
    desk.pump.alarms.set(alarms.AIR)
    without = {name: table for name, table in named("reference").tables.items() if name != "air"}
    return desk.ask("rig", rig=without)


def paired(desk):
    """Its answer to another pairing that the service signs."""
    keyring = desk.pump.handlers.keyring
    keyring.store.data = b"".join(map(key_of, ROLES))
    keyring.keys.use(keyring.store.data, True)
    signer = Signer(keyring.keys.nonce.decode(), keyring.keys.counters())
    return PairedBench.send(desk, signer.line(body("pair", keys=keys_of()), "service"))


def no_hand(desk):
    paired(desk)
    return desk.ask("confirm", digest=desk.ask("reset_keys")["digest"])


def keys_wait(desk):
    assert desk.ask("pair", keys=keys_of())["ok"]
    return desk.ask("pair", keys=keys_of())


CAUSED = {
    "paired": (paired, "the pump is paired: its keys are changed with"),
    "unpaired": (lambda desk: desk.ask("keys", keys={}), "it gets its first keys with"),
    "no_hand": (no_hand, "fit the MAINTENANCE jumper"),
    "keys_wait": (keys_wait, "wait for a hand at the pump"),
    "not_running": (not_running, "the pump is STOPPED: start it first"),
    "not_prescribed": (not_prescribed, "the therapy in force provides for no patient bolus"),
    "bridge": (bridge, "the line still holds 200.0"),
    "bolus_active": (bolus_active, "a clinician bolus is flowing, with "),
    "lockout": (lockout, "the lockout of 60 s has another "),
    "max_per_day": (max_per_day, "2 patient boluses in the last 24 h, at most 2 a day"),
    "library": (library, "baclofen.bolus.high.screening: 5 mg is above 100 mcg (unverified)"),
    "max_dose": (max_dose, "a window of 4 h would hold more than its limit of 40 mL"),
    "reservoir": (reservoir, "EMPTY is at 500 uL: that is not enough for this bolus of 1.6 mL"),
    "prescription": (prescription, "rate: 0.833 uL/h, must be 2 uL/h to "),
    "already_running": (already_running, "the pump is RUNNING already"),
    "not_stopped": (not_stopped, "the pump is RUNNING: stop it first"),
    "not_acknowledged": (not_acknowledged, "no alarm holds it any more: acknowledge comes next"),
    "no_therapy": (lambda desk: desk.ask("start"), "no therapy with a flow is programmed"),
    "empty": (empty, "the reservoir is EMPTY: refill it"),
    "self_test_failed": (self_test_failed, "the self-test has failed (buzzer)"),
    "library_damaged": (library_damaged, "the drug library is damaged"),
    "three_strikes": (three_strikes, "the third start after the same alarm"),
    "history": (history, "with what was given already the therapy could start in "),
    "not_proposed": (lambda desk: desk.ask("confirm", digest="12345678"), "12345678 is not that of the last"),
    "not_accepted": (not_accepted, "not confirmed: baclofen."),
    "no_new_line": (no_new_line, "confirm a new line first"),
    "journal_in_use": (lambda desk: desk.ask("begin_anew"), "the journal is virgin: it is gone on with"),
    "not_kept": (lambda desk: desk.ask("therapy", number=9), "9 is not kept, the last is 0"),
    "cancelled": (cancelled, "stop"),
    "stop_held": (stop_held, "the STOP button is held down"),
    "count_end": (count_end, "a count has come to its end"),
    "not_rested": (not_rested, "not for a day"),
    "drug_in_line": (drug_in_line, "baclofen may be in the line"),
    "no_rig": (no_rig, "the pump has no rig (no rig was ever programmed): say what hangs on its pins first"),
    "bad_rig": (bad_rig, "head.nl_per_rev is 0, must be a whole number from 1000 to"),
    "alarm_stands": (alarm_stands, "air: must stay while AIR stands"),
    "connected": (lambda desk: desk.ask("jog", steps=1, rate_nl_h=1), "that no patient is connected"),
}
NOT_LOGGED = ("not_kept",)
"""A question."""

RAW = re.compile(r"\d+/\d+ nL|\d{4,} (nL|ms)\b|nL/h")
"""Numbers as nobody writes them."""


@pytest.mark.req("LIM-15")
def test_every_reason_of_the_table_is_caused_here():
    assert set(CAUSED) == {name for name, text in causes.TABLE if text}
    assert len(set(causes.CAUSES)) == len(causes.CAUSES)


@pytest.mark.req("LIM-15", "LIM-07")
@pytest.mark.parametrize("name", list(CAUSED))
def test_a_refusal_says_its_first_true_cause_in_words(desk, name):
    cause, words = CAUSED[name]
    reply = cause(desk)
    assert reply.get("granted") is False or not reply["ok"], reply
    assert name in (reply.get("reason"), reply.get("error")), reply
    said = reply["message"]
    assert words in said and not RAW.search(said), said
    assert not any(said.startswith(f"{command.name}: {command.name}") for command in COMMANDS)
    assert not said.startswith(("start:", "prime:", "bolus:", "begin_anew:", "acknowledge:")), said
    desk.run(2)
    number = causes.CAUSES.index(name)
    logged = [event for event in desk.client.events if event["code"] == "denied" and event["b"] == number]
    assert bool(logged) == (name not in NOT_LOGGED)
    for event in logged:
        assert causes.TABLE[number][1] in event_text(event) and name in event_text(event)


@pytest.mark.req("LIM-02")
def test_the_reasons_of_a_bolus_stand_in_the_order_in_which_they_are_looked_at():
    assert causes.CAUSES[causes.NOT_RUNNING : causes.RESERVOIR + 1] == (
        "not_running",
        "not_prescribed",
        "bridge",
        "bolus_active",
        "lockout",
        "max_per_day",
        "library",
        "max_dose",
        "reservoir",
    )


@pytest.mark.req("LIM-02", "LIM-15")
def test_of_several_reasons_for_a_patients_bolus_the_first_is_said(desk):
    """All that can be true together, taken away one after the other."""
    slow = {"rate_num": 6_000}
    desk.refill(3_000_000)
    desk.program(**slow, patient_bolus={**BOLUS, "max_per_day": 1}, limit={**LIMIT, "volume_nl": 30_000_000})

    def reason():
        return desk.ask("patient_bolus")["reason"]

    assert reason() == "not_running"
    assert desk.ask("start")["ok"]
    assert desk.ask("patient_bolus")["granted"]
    assert reason() == "bolus_active"
    desk.run(650)
    assert reason() == "lockout"
    desk.run(600)
    assert reason() == "max_per_day"
    # 1 mL was given, 1 mL is left above EMPTY: 1.5 mL fit neither the limit of 2 mL nor the reservoir
    more = {**BOLUS, "volume_nl": 1_500_000}
    desk.program(**slow, patient_bolus=more, limit={**LIMIT, "volume_nl": 2_000_000})
    assert reason() == "max_dose"
    desk.program(**slow, patient_bolus=more, limit=LIMIT)
    assert reason() == "reservoir"
    desk.refill(3_000_000)
    assert desk.ask("patient_bolus")["granted"]
    desk.program()
    assert reason() == "not_prescribed"


@pytest.mark.req("LIM-02", "LIM-15")
def test_of_several_reasons_for_a_clinicians_bolus_the_first_is_said(desk):
    """150 mcg above the library's 100; 300 uL above a limit of 200 uL, and above the 200 uL that are left."""
    desk.refill(700_000)
    desk.confirm({**BACLOFEN, "limit": {"volume_nl": 200_000, "window_ms": 14_400_000}, "low_nl": 600_000})
    bolus = {"volume_nl": 300_000, "duration_ms": 60_000}
    assert desk.ask("bolus", **bolus)["reason"] == "not_running"
    assert desk.ask("start")["ok"]
    denied = desk.ask("bolus", **bolus)
    assert denied["reason"] == "library"
    assert desk.ask("bolus", **bolus, accept=denied["bounds"])["reason"] == "max_dose"
    desk.confirm({**BACLOFEN, "low_nl": 600_000})
    assert desk.ask("bolus", **bolus, accept=denied["bounds"])["reason"] == "reservoir"
    desk.refill(20_000_000)
    assert desk.ask("bolus", **bolus, accept=denied["bounds"])["granted"]
    assert desk.ask("bolus", **bolus)["reason"] == "bolus_active"


@pytest.mark.req("LIM-15")
def test_a_press_says_why_not_in_the_log(desk):
    desk.start()
    desk.bench.inputs.button_patient = True
    desk.run(3)
    [denied] = [event for event in desk.client.events if event["code"] == "denied"]
    assert event_text(denied) == "denied: patient_bolus, not_prescribed (no patient bolus is prescribed)"


@pytest.mark.req("LIM-14")
def test_a_clinician_bolus_beyond_a_bound_is_denied_until_it_is_accepted_by_name(desk):
    """150 mcg where the library asks above 100; 300 + 3 x 150 mcg in a day where it asks above 700."""
    desk.confirm(BACLOFEN)
    assert desk.ask("start")["ok"]
    bolus = {"volume_nl": 300_000, "duration_ms": 60_000}  # 150 mcg of 500 mcg/mL
    denied = desk.ask("bolus", **bolus)
    assert (denied["granted"], denied["reason"]) == (False, "library")
    assert denied["bounds"] == ["baclofen.bolus.high.screening"]
    assert denied["message"].startswith(
        "baclofen.bolus.high.screening: 150 mcg is above 100 mcg (unverified)"
    )
    assert not desk.ask("bolus", **bolus, accept=["baclofen.bolus.high"])["granted"]
    assert desk.ask("bolus", **bolus, accept=denied["bounds"])["granted"]
    assert desk.of("soft_limits")[-1][2:] == (1, desk.pump.regimen.library[0])
    desk.run(610)
    # the day holds the first one: with two more it is 300 + 450 mcg
    assert desk.ask("bolus", **bolus, accept=denied["bounds"])["granted"]
    desk.run(610)
    third = desk.ask("bolus", **bolus, accept=denied["bounds"])
    assert third["bounds"] == ["baclofen.dose_per_day.high.cerebral"]


@pytest.mark.req("LIM-14")
def test_a_hard_bound_holds_a_clinician_bolus_as_well(desk):
    """2.4 mcg/day of ziconotide, and 17 mcg at once: above 19.2 mcg in a day."""
    desk.confirm(
        {"mode": "continuous", "drug": "ziconotide", "concentration_pg_nl": 25, "dose_pg_day": 2_400_000}
    )
    assert desk.ask("start")["ok"]
    denied = desk.ask("bolus", volume_nl=680_000, duration_ms=60_000)
    assert denied["bounds"] == ["ziconotide.dose_per_day.maximum"]
    assert "is above 19.2 mcg/day" in denied["message"]
    assert desk.ask("bolus", volume_nl=660_000, duration_ms=60_000)["granted"]


@pytest.mark.req("LIM-14", "REC-01")
def test_what_was_accepted_with_the_therapy_holds_for_boluses_over_a_reset(desk):
    """950 mcg/day was accepted with the therapy, above 700 and 800; the bound on a bolus was not."""
    desk.confirm({**BACLOFEN, "dose_pg_day": 960_000_000})
    assert desk.ask("start")["ok"]
    bolus = {"volume_nl": 30_000, "duration_ms": 60_000}  # 15 mcg
    assert desk.ask("bolus", **bolus)["granted"]
    desk.run(700)
    desk.reset()
    assert desk.pump.control.state == states.RUNNING
    assert desk.ask("bolus", **bolus)["granted"], "of the day's bounds none is new"
    desk.run(700)
    over = desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)  # 50 mcg
    assert over["bounds"] == ["baclofen.dose_per_day.high"]


@pytest.mark.req("LIM-08", "REC-01")
def test_a_change_of_dose_soon_after_the_start_or_the_last_one_asks_also_over_a_reset(desk):
    def asked(dose_mcg):
        reply = desk.ask("program", therapy={**BACLOFEN, "dose_pg_day": dose_mcg * 1_000_000})
        return [name for name in reply["readback"]["soft"] if "change" in name]

    desk.confirm(BACLOFEN)
    assert asked(306) == [], "it was never started: a slip of the pen may be mended"
    assert desk.ask("start")["ok"]
    desk.run(50)
    assert asked(306) == ["baclofen.first_change.low"]
    assert asked(300) == [], "the same dose"
    desk.confirm({**BACLOFEN, "dose_pg_day": 306_000_000})
    desk.run(50)
    desk.reset()
    assert asked(312) == ["baclofen.change_interval.low", "baclofen.first_change.low"]
    desk.pump.regimen.changes.started_tick -= 864_000
    desk.pump.regimen.changes.changed_tick -= 864_000
    assert asked(312) == []


@pytest.mark.req("LIM-08")
def test_a_drug_that_is_not_approved_for_it_says_so_in_the_read_back(desk):
    therapy = {"mode": "continuous", "drug": "hydromorphone", "concentration_pg_nl": 10_000}
    reply = desk.ask("program", therapy={**therapy, "dose_pg_day": 2_400_000_000})
    assert reply["readback"]["approved"] == 0
    assert "approved" not in desk.ask("program", therapy=BACLOFEN)["readback"]


@pytest.mark.req("LIM-08", "LIM-09")
def test_a_library_that_is_too_long_is_refused_by_name(desk):
    wire = library_wire.to_wire(desk.pump.regimen.library)["drugs"][0]
    for index in range(library_wire.MOST_DRUGS):
        part = {
            **wire,
            "name": f"drug-{index}",
            "version": 9,
            "index": index,
            "count": library_wire.MOST_DRUGS,
        }
        reply = desk.ask("library", part=part)
        if not reply["ok"]:
            assert f"longer than the {library_wire.MOST_BYTES} bytes" in reply["message"] and index > 4
            return
    raise AssertionError("all drugs were taken")


@pytest.mark.req("LIM-15")
def test_quantities_are_written_as_people_write_them():
    for said, text in (
        (plain.rate(2_500, 3), "0.833 uL/h"),
        (plain.rate(6_000_000, 7), "857.143 uL/h"),
        (plain.rate(999_999_999, 1_000, "1 mL/h"), "1000 uL/h"),
        (plain.rate(120_000_001, 1, "120 mL/h"), "120.000001 mL/h"),
        (plain.volume(0), "0 nL"),
        (plain.volume(125, 4), "31.25 nL"),
        (plain.volume(500_343), "500.343 uL"),
        (plain.volume(26_500_000), "26.5 mL"),
        (plain.mass(5_200_000_000), "5.2 mg"),
        (plain.mass(19_200_000), "19.2 mcg"),
        (plain.mass(7), "7 pg"),
        (plain.time(100), "0.1 s"),
        (plain.time(119_900), "119.9 s"),
        (plain.time(750_000), "12.5 min"),
        (plain.time(14_400_000), "4 h"),
        (plain.time(259_200_000), "3 days"),
        (plain.seconds(301), "5 min 1 s"),
        (plain.seconds(93_600), "1 d 2 h"),
        (plain.seconds(0), "0 s"),
        (plain.percent(100, 3), "33.333 %"),
        (plain.decimal(-5, 2), "-2.5"),
        (plain.decimal(-1, 10_000), "0"),
    ):
        assert said == text
    assert SIX_ML_H["rate_num"] == 6_000_000 and plain.rate(6_000_000) == "6 mL/h"
