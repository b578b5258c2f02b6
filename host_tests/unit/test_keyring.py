"""handlers/keyring.py: how a pump gets its keys, others, and none (SEC-06)."""

import pytest
from paired import PairedBench, PairedDesk, Signer, body, key_of, keys_of
from pump_on_bench import ANSWER_TICKS, PumpOnBench
from thecal import release
from thecal.causes import UNPAIRED
from thecal.clock import TICKS_PER_S
from thecal.link.commands import COMMANDS, ROLES
from thecal.record.journal import Journal
from thecal.record.layout import KEYS, SERIALS
from thecal.watch.alarms import LOOP_FAULT
from thecal_bench import flash_model
from thecal_bench.plant import Plant
from thecal_model.rig import named, reference

MORPHINE = {
    "mode": "continuous",
    "drug": "morphine",
    "concentration_pg_nl": 1_000,
    "rate_num": 5_000,
    "rate_den": 1,
}
PAIRING_TICKS = 30 * TICKS_PER_S


@pytest.fixture
def bench() -> PumpOnBench:
    return PumpOnBench()


@pytest.mark.req("SEC-06")
def test_a_pump_is_paired_by_its_stop_button_and_a_reset_does_not_undo_it(bench):
    assert bench.ask("hello")["paired"] is False
    reply = bench.ask("pair", keys=keys_of())
    assert reply["ok"] and (reply["within_s"], reply["by"]) == (30, "button")
    bench.run(50)
    assert bench.ask("hello")["paired"] is False, "nobody has pressed it"
    bench.bench.press("stop", 3)
    bench.run(ANSWER_TICKS)
    assert bench.ask("hello")["paired"] is True
    assert [event[1:] for event in bench.of("keys")] == [("keys", 1, 0b1111)]
    bench.reset()
    assert bench.ask("hello")["paired"] is True
    assert bench.ask("set_time", week_s=1)["error"] == "not_signed"


@pytest.mark.req("SEC-06")
def test_nothing_changes_where_nobody_presses_it_in_time_and_it_is_denied(bench):
    bench.ask("pair", keys=keys_of())
    bench.run(PAIRING_TICKS + 1)
    assert bench.of("denied")
    bench.bench.press("stop", 3)
    bench.run(ANSWER_TICKS)
    assert bench.ask("hello")["paired"] is False


@pytest.mark.req("SEC-06", "ALM-05")
def test_a_press_that_stops_a_pump_that_was_started_meanwhile_pairs_nothing(bench):
    bench.program()
    bench.ask("pair", keys=keys_of())
    bench.ask("start")
    bench.bench.press("stop", 3)
    bench.run(ANSWER_TICKS)
    hello = bench.ask("hello")
    assert (hello["paired"], hello["state"]) == (False, "STOPPED")


@pytest.mark.req("SEC-06")
def test_where_no_button_is_fitted_the_jumper_is_the_hand():
    bench = PumpOnBench(Plant(rig=named("bare")))
    bench.bench.jumper = True
    assert bench.ask("pair", keys=keys_of())["reason"] == "no_hand", "one that somebody forgot is none"
    bench.bench.jumper = False
    assert bench.ask("pair", keys=keys_of())["by"] == "jumper"
    bench.run(20)
    assert bench.ask("hello")["paired"] is False
    bench.bench.jumper = True
    bench.run(ANSWER_TICKS)
    assert bench.ask("hello")["paired"] is True


@pytest.mark.req("SEC-06")
@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "service"),
        (keys_of("observer", "patient", "clinician"), "service"),
        ({"service": "00" * 32}, "service"),
        ({"service": "ab" * 31}, "64 hex digits"),
        ({"service": "AB" * 32}, "64 hex digits"),
        ({"service": 5}, "64 hex digits"),
        ({**keys_of(), "nurse": "ab" * 32}, "nurse"),
    ],
)
def test_keys_that_are_none_are_refused_and_named(bench, keys, says):
    reply = bench.ask("pair", keys=keys)
    assert reply["error"] == "bad_argument" and says in reply["message"]
    bench.bench.press("stop", 3)
    bench.run(ANSWER_TICKS)
    assert bench.ask("hello")["paired"] is False


@pytest.mark.req("SEC-06")
def test_a_running_or_a_paired_pump_is_not_paired(bench):
    bench.start()
    assert bench.ask("pair", keys=keys_of())["reason"] == "not_stopped"
    bench = PairedBench()
    assert bench.ask("pair", keys=keys_of())["error"] == "not_signed"
    assert bench.say("service", "pair", keys=keys_of(pump="other"))["reason"] == "paired"


@pytest.mark.req("SEC-06", "SEC-02")
def test_a_key_is_changed_and_another_revoked_while_the_pump_runs():
    bench = PairedBench()
    other = keys_of("clinician", pump="other")
    assert bench.say("service", "keys", keys={**other, "patient": ""})["ok"]
    bench.run(ANSWER_TICKS)
    assert bench.of("keys")[-1][2:] == (2, 0b1101)
    for _ in range(2):
        assert bench.say("clinician", "set_time", week_s=1)["error"] == "bad_auth"
        assert bench.say("patient", "audio_pause")["error"] == "bad_auth"
        hello = bench.ask("hello")
        assert set(hello["counters"]) == {"observer", "clinician", "service"}
        new = Signer(hello["nonce"], hello["counters"], "other")
        assert bench.send(new.line(body("set_time", week_s=1), "clinician"))["ok"]
        bench.reset()
        bench.meet()


@pytest.mark.req("SEC-06")
def test_the_last_key_that_opens_a_pump_is_not_revoked():
    bench = PairedBench()
    reply = bench.say("service", "keys", keys={"service": ""})
    assert reply["error"] == "bad_argument" and "service" in reply["message"]
    assert bench.say("service", "keys", keys=keys_of("service", pump="other"))["ok"]
    bench.run(ANSWER_TICKS)
    assert bench.say("service", "probe")["error"] == "bad_auth"


@pytest.mark.req("SEC-06")
def test_keys_go_by_a_hand_at_the_pump_and_nothing_else_does():
    bench = PairedBench()
    made = bench.pump.log.count
    proposal = bench.ask("reset_keys")
    assert proposal["readback"] == {"reset_keys": 1}
    assert bench.ask("confirm", digest=proposal["digest"])["reason"] == "no_hand"
    assert bench.say("service", "confirm", digest=proposal["digest"])["reason"] == "no_hand"
    assert bench.ask("hello")["paired"] is True
    bench.bench.jumper = True
    assert bench.ask("confirm", digest="00000000")["error"] == "not_signed"
    assert bench.ask("confirm", digest=proposal["digest"])["ok"]
    bench.run(ANSWER_TICKS)
    for _ in range(2):
        assert bench.ask("hello")["paired"] is False
        assert bench.of("keys")[-1][2:] == (2, 0)
        assert bench.pump.log.count > made, "the log stays"
        assert bench.ask("set_time", week_s=1)["ok"]
        bench.reset()


@pytest.mark.req("SEC-06")
def test_a_jumper_that_somebody_forgot_is_no_hand():
    """Over the cable alone a pump that was left with its jumper fitted is neither opened nor given keys."""
    bench = PairedBench()
    bench.bench.jumper = True
    for _ in range(2):
        bench.ask("stop")
        proposal = bench.ask("reset_keys")
        assert proposal["reason"] == "no_hand"
        assert bench.say("service", "reset_keys")["reason"] == "no_hand"
        assert bench.ask("hello")["paired"] is True
        bench.reset()
        bench.meet()


@pytest.mark.req("SEC-06")
def test_the_confirmation_of_something_else_needs_its_signature_all_the_same():
    bench = PairedBench()
    bench.ask("reset_keys")
    bench.bench.jumper = True
    refill = bench.say("clinician", "refill", volume_nl=1_000_000)
    assert bench.ask("confirm", digest=refill["digest"])["error"] == "not_signed"


@pytest.mark.req("SEC-01")
def test_a_confirmation_needs_the_role_of_what_was_proposed():
    bench = PairedBench()
    service = bench.say("service", "disconnected")
    for role, error in (("", "not_signed"), ("patient", "role"), ("clinician", "role")):
        refused = bench.say(role, "confirm", digest=service["digest"])
        assert refused["error"] == error and "service" in refused["message"]
    refill = bench.say("clinician", "refill", volume_nl=1_000_000)
    assert bench.say("patient", "confirm", digest=refill["digest"])["error"] == "role"
    assert bench.say("clinician", "confirm", digest=refill["digest"])["ok"]
    service = bench.say("service", "disconnected")
    assert bench.say("service", "confirm", digest=service["digest"])["ok"]


@pytest.mark.req("SEC-06")
def test_a_halted_pump_whose_keys_are_lost_is_opened_by_the_jumper():
    bench = PairedBench()
    bench.say("clinician", "set_time", week_s=1)
    bench.pump.control.raise_alarm(LOOP_FAULT)
    bench.pump.critical.settle()
    assert bench.ask("hello")["state"] == "HALTED"
    proposal = bench.ask("reset_keys")
    bench.bench.jumper = True
    assert bench.ask("confirm", digest=proposal["digest"])["ok"]
    bench.run(ANSWER_TICKS)
    assert bench.ask("acknowledge")["ok"]


@pytest.mark.req("SEC-06", "REC-05")
def test_keys_that_can_not_be_read_any_more_open_nothing_but_to_a_hand():
    bench = PairedBench()
    slots = bench.pump.persistence.journal.slots
    start = slots._start(KEYS, 0)
    for slot in range(slots.layout[KEYS][0]):
        place = start + slot * slots.region.sector_bytes + 40
        bench.bench.flash.image[place] ^= 1
    bench.reset()
    hello = bench.ask("hello")
    assert hello["paired"] is True and hello["counters"] == {}
    assert bench.ask("set_time", week_s=1)["error"] == "not_signed"
    assert bench.say("service", "probe")["error"] == "bad_auth"
    proposal = bench.ask("reset_keys")
    bench.bench.jumper = True
    assert bench.ask("confirm", digest=proposal["digest"])["ok"]
    bench.run(ANSWER_TICKS)
    assert bench.ask("hello")["paired"] is False


@pytest.mark.req("SEC-06", "REC-05")
def test_a_journal_that_is_begun_anew_keeps_the_keys():
    bench = PairedBench()
    words = bench.pump.persistence.journal.words
    assert words[SERIALS[KEYS]] == 1
    flash = bench.bench.flash
    journal = Journal(flash_model.crc_into)
    journal.recover(flash.image)
    length = journal.slots.standing_start
    flash.image[:length] = b"\xff" * length
    bench.reset()
    assert bench.ask("hello")["paired"] is True
    bench.meet()
    assert bench.say("service", "probe")["ok"]


@pytest.mark.req("SEC-06")
def test_an_unpaired_pump_asks_for_a_drug_to_be_accepted_and_the_release_image_refuses_it(bench, monkeypatch):
    proposal = bench.ask("program", therapy=MORPHINE)
    assert proposal["readback"]["soft"][-1] == "unpaired" and "unpaired" in proposal["why"][-1]
    refused = bench.ask("confirm", digest=proposal["digest"])
    assert refused["reason"] == "not_accepted" and "unpaired" in refused["message"]
    monkeypatch.setattr(release, "RELEASE", True)
    refused = bench.ask("program", therapy=MORPHINE)
    assert refused["reason"] == "prescription" and "pair it first" in refused["message"]
    assert bench.ask("program", therapy={"mode": "continuous", "rate_num": 5_000, "rate_den": 1})["ok"]
    monkeypatch.setattr(release, "RELEASE", False)
    paired = PairedBench()
    soft = paired.say("clinician", "program", therapy=MORPHINE)["readback"]["soft"]
    assert soft == proposal["readback"]["soft"][:-1]


@pytest.mark.req("SEC-06")
def test_a_release_that_lost_its_keys_starts_no_drug(bench, monkeypatch):
    bench.confirm(MORPHINE)
    monkeypatch.setattr(release, "RELEASE", True)
    assert bench.ask("start")["reason"] == "unpaired"
    monkeypatch.setattr(release, "RELEASE", False)
    assert bench.ask("start")["ok"]


@pytest.mark.req("SEC-06")
def test_a_release_that_lost_its_keys_resumes_no_drug(bench, monkeypatch):
    bench.confirm(MORPHINE)
    assert bench.ask("start")["ok"]
    bench.run(50)
    monkeypatch.setattr(release, "RELEASE", True)
    bench.reset()
    assert bench.ask("status")["state"] == "STOPPED"
    start = [command.name for command in COMMANDS].index("start")
    assert (start, UNPAIRED) in [event[2:] for event in bench.of("denied")]
    monkeypatch.setattr(release, "RELEASE", False)
    assert bench.ask("start")["ok"]
    bench.reset()
    assert bench.ask("status")["state"] == "RUNNING"


@pytest.mark.req("SEC-06")
def test_a_pump_without_a_flash_has_its_keys_until_it_is_off():
    desk = PairedDesk()
    assert desk.say("service", "keys", keys=keys_of("patient", pump="other"))["ok"]
    assert desk.say("patient", "audio_pause")["error"] == "bad_auth"


def test_the_keys_of_these_tests_differ():
    assert len({key_of(role, pump) for role in ROLES for pump in ("", "other")}) == 8
    assert reference().has("button_stop")
