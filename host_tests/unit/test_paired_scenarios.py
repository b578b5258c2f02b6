"""The event `pair` of a scenario: from then on the runner signs what it sends, over a reset too."""

import re

import pytest
from pump_port import PumpPort
from test_runner import event, of_type, run
from thecal import release
from thecal.link.commands import COMMANDS, OBSERVER
from thecal_bench import scenario
from thecal_bench.inprocess import HostBench
from thecal_bench.runner import TherapyRefused, make_plant, run_scenario
from thecal_host import ports
from thecal_host.serial_bench import SerialBench
from thecal_model import signing
from thecal_model.link import LinkClient
from thecal_model.problems import InputError

HEAD = 'duration = "40 s"\n[therapy]\nmode = "continuous"\nrate = "6 mL/h"\n'
START = event("0 s", "start")
PAIR = event("1 s", "pair")
DRUG = """
[[event]]
at = "10 s"
do = "program"
[event.therapy]
mode = "continuous"
drug = "baclofen"
concentration = "500 mcg/mL"
dose = "240 mcg/day"
"""
CHANGES = {row.name for row in COMMANDS if row.role > OBSERVER}


class Listened(HostBench):
    """Keeps the lines that are sent."""

    def __init__(self, plant):
        super().__init__(plant)
        self.sent = []

    def send(self, data):
        self.sent.append(data[:-1])
        super().send(data)


@pytest.mark.req("SEC-02", "SEC-06")
def test_what_changes_something_is_signed_from_the_pairing_on_and_for_each_boot():
    later = event("6 s", "start") + event("12 s", "reset") + event("20 s", "stop")
    experiment = scenario.parse(HEAD + PAIR + later)
    bench = Listened(make_plant(experiment))
    records, result = run(experiment, bench)
    assert of_type(records, "refused") == of_type(records, "warning") == []
    commands = [(re.search(rb'"cmd":"(\w+)"', line), signing.parts(line)) for line in bench.sent]
    given = [(found[1].decode(), signed) for found, signed in commands if found]
    names = [cmd for cmd, _ in given]
    after = given[names.index("pair") + 1 :]
    roles = [(cmd, signed and signed.role) for cmd, signed in after if cmd in CHANGES]
    assert roles == [("start", "clinician"), ("stop", "patient")]
    start, stop = (signed for cmd, signed in after if cmd in CHANGES)
    assert start and stop and stop.counter - start.counter > 1 << 30, "a block of each boot"
    assert [state["state"] for state in of_type(records, "state")][-2:] == ["RUNNING", "STOPPED"]
    assert not any(alarm["code"] == "BAD_AUTH" for alarm in result.summary["alarms"])


@pytest.mark.req("SEC-06")
def test_a_pump_that_runs_is_not_paired_and_no_hand_stops_it():
    records, result = run(HEAD + START + PAIR)
    (refused,) = of_type(records, "refused")
    assert refused["reason"] == "not_stopped"
    assert result.summary["states"][-1]["state"] == "RUNNING"


@pytest.mark.req("SEC-06")
@pytest.mark.parametrize("is_release", [False, True])
def test_a_drug_asks_for_no_acceptance_of_a_pump_that_is_paired(monkeypatch, is_release):
    monkeypatch.setattr(release, "RELEASE", is_release)
    records, _ = run(HEAD + PAIR + DRUG)
    assert of_type(records, "refused") == []
    assert not [record for record in of_type(records, "soft_limit") if record["name"] == "unpaired"]
    records, _ = run(HEAD + DRUG)
    assert bool(of_type(records, "refused")) == is_release
    names = [record["name"] for record in of_type(records, "soft_limit")]
    assert ("unpaired" in names) != is_release
    if is_release:
        with pytest.raises(TherapyRefused, match="pair it first"):
            run('duration = "1 s"\n' + DRUG[DRUG.index("[event.") :].replace("event.", ""))


@pytest.mark.req("SEC-06")
def test_nobody_pairs_a_real_pump_with_the_keys_of_a_file(monkeypatch):
    port = PumpPort()
    monkeypatch.setattr(ports, "open_port", lambda name: port)
    bench = SerialBench("test pump", port.clock_s)
    experiment = scenario.parse(HEAD + PAIR + event("5 s", "start"))
    records = list(run_scenario(experiment, bench, LinkClient(bench.send)))
    (skipped,) = of_type(records, "skipped")
    assert skipped["do"] == "pair" and "`thecal pair` pairs it" in skipped["why"]
    assert not port.bench.pump.host.session.keys.paired
    assert of_type(records, "state")[-1]["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + PAIR + event("3 s", "start"), "expected 3 s or more after pair: a hand presses STOP"),
        (HEAD + PAIR + '[profile]\nrig = "bare"\n', "it has no button stop, by which it is paired"),
        (HEAD + PAIR.replace('"pair"', '"pair"\nfor = "1 s"'), "unknown key"),
    ],
)
def test_what_no_pairing_can_be_is_said(text, told):
    with pytest.raises(InputError, match=told):
        scenario.parse(text)
