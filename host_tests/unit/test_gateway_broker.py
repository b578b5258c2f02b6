"""The gateway at a real broker: nothing lost and nothing twice when that is killed, and only what is signed
passes. The broker is Debian's mosquitto; the pumps run the firmware's own code in this process.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter

import aiomqtt
import pytest
from at_gateway import LivePump, NumberedBench, Served, unsigned
from mosquitto import Broker, Reader, certify, needs_mosquitto, settle
from paired import PairedBench, body
from pump_at_pty import PtyPump, until
from pump_on_bench import SIX_ML_H
from thecal.link import commands
from thecal_bench.flash_model import blank_flash
from thecal_host import cli
from thecal_host.cli.gateway import PASSWORD
from thecal_host.gateway.broker import believing
from thecal_host.gateway.topics import EVENT
from thecal_model.signing import parts
from typer.testing import CliRunner

pytestmark = [
    pytest.mark.req("DESK-05"),
    needs_mosquitto,
    pytest.mark.skipif(os.name != "posix", reason="signals and ptys"),
]

TOPICS = {role: f"{role}/{{serial}}" for role in commands.ROLES}


@pytest.fixture
def published(monkeypatch):
    """Of each event how often it was given to the broker, and how often that said that it has it."""
    given, taken = Counter(), Counter()
    publish = aiomqtt.Client.publish

    async def counted(self, topic, payload=None, *args, **kwargs):
        which = json.loads(payload or b"") if topic.endswith(f"/{EVENT.name}") else None
        key = which and (which["pump"], which["seq"])
        given[key] += 1
        await publish(self, topic, payload, *args, **kwargs)
        taken[key] += 1

    monkeypatch.setattr(aiomqtt.Client, "publish", counted)
    return given, taken


def numbers(events):
    return [event["seq"] for event in events]


def is_served(reader, pumps):
    return all(reader.said(pump.of("recent")) and reader.said(pump.of("alarms")) for pump in pumps)


# --- events


@pytest.mark.req("LNK-04")
def test_a_broker_that_is_killed_while_eight_pumps_tell_loses_no_event_and_gets_none_twice(
    monkeypatch, tmp_path, published
):
    pumps = [LivePump(f"pump{number}") for number in range(8)]
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port, "reader") as reader,
        Served(monkeypatch, broker.port, pumps),
    ):
        until(lambda: is_served(reader, pumps))
        began = [len(pump.told) for pump in pumps]
        for killed in range(3):
            for pump in pumps:
                pump.happen(1 + killed)
            broker.kill()
            for pump in pumps:
                pump.happen(2)
            broker.start()
            for pump in pumps[::2]:
                pump.happen(1)
        last = [pump.told[-1]["seq"] for pump in pumps]
        until(lambda: [numbers(reader.said(pump.of("recent"))["events"])[-1] for pump in pumps] == last)
        given, taken = published
        for pump, first in zip(pumps, began, strict=True):
            true = pump.told[first:]
            came = reader.all(pump.of("event"))
            once = {event["seq"]: event for event in came}
            # What the broker took and lost before it was on its disk is among the recent ones.
            found = {event["seq"]: event for event in reader.said(pump.of("recent"))["events"]} | once
            assert [
                (event["seq"], event["tick"], event["a"]) for _, event in sorted(found.items())
                if event["seq"] >= true[0]["seq"]
            ] == [(event["seq"], event["tick"], event["a"]) for event in true]  # fmt: skip
            for event in true:
                # Given once, and again only where the broker could not say that it has it.
                which = pump.serial, event["seq"]
                assert taken[which] <= 1 <= given[which]
                assert given[which] == 1 or given[which] > taken[which]
            again = sum(given[which] - 1 for which in given if which and which[0] == pump.serial)
            sent_anew = sum(message.dup for message in reader.messages)
            assert len(came) - len(once) <= again + sent_anew
            assert numbers(came) == sorted(numbers(came)) or again + sent_anew


def test_a_reader_without_a_session_finds_what_a_forgetful_broker_lost_among_the_recent(
    monkeypatch, tmp_path
):
    pump = LivePump("pump0")
    with (
        Broker(tmp_path, keeps=False) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [pump]),
    ):
        until(lambda: is_served(reader, [pump]))
        began = len(pump.told)
        pump.happen(2)
        broker.kill()
        pump.happen(3)
        reader.retained.clear()
        broker.start()
        until(
            lambda: (
                pump.told[-1]["seq"] in numbers((reader.said(pump.of("recent")) or {"events": []})["events"])
            )
        )
        once = {event["seq"] for event in reader.all(pump.of("event"), retained=True)}
        once |= set(numbers(reader.said(pump.of("recent"))["events"]))
        assert once >= set(numbers(pump.told[began:]))
        # What is retained is there again though the broker had forgotten it.
        until(lambda: {"hello", "state", "alarms", "availability"} <= {
            topic.rsplit("/", 1)[1] for topic in reader.retained
        })  # fmt: skip
        assert reader.retained["thecal/gateway/gateway/availability"] == b"online"
        assert "homeassistant/device/thecal_pump0/config" in reader.retained


def test_another_gateway_goes_on_where_the_one_before_it_ended(monkeypatch, tmp_path):
    pump = LivePump("pump0")
    with Broker(tmp_path) as broker, Reader(broker.port) as reader:
        with Served(monkeypatch, broker.port, [pump]):
            until(lambda: is_served(reader, [pump]))
            began = len(pump.told)
            pump.happen(2)
            until(lambda: len(reader.all(pump.of("event"))) == 2)
        until(lambda: reader.retained[pump.of("availability")] == b"offline")
        pump.live(20)
        for _ in range(40):
            pump.order("set_time", week_s=7)
            pump.live(3)
        with Served(monkeypatch, broker.port, [pump]):
            until(lambda: numbers(reader.all(pump.of("event"))) == numbers(pump.told[began:]))


@pytest.mark.req("LNK-05")
def test_what_happens_while_the_line_to_a_pump_is_lost_comes_when_it_is_back(monkeypatch, tmp_path):
    pump, other = LivePump("pump0"), LivePump("pump1")
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [pump, other]),
    ):
        until(lambda: is_served(reader, [pump, other]))
        began = len(pump.told)
        pump.happen(1)
        pump.out = True
        until(lambda: reader.retained[pump.of("availability")] == b"offline")
        assert reader.retained[other.of("availability")] == b"online"
        for _ in range(60):
            pump.order("set_time", week_s=7)
            pump.live(3)
        pump.out = False
        until(lambda: numbers(reader.all(pump.of("event"))) == numbers(pump.told[began:]))
        assert reader.retained[pump.of("availability")] == b"online"
        until(lambda: numbers(reader.said(pump.of("recent"))["events"]) == numbers(pump.told)[-32:])


def test_one_pump_at_two_ports_is_served_once(monkeypatch, tmp_path):
    pump, again = LivePump("pump0"), LivePump("pump0")
    again.name = "the same at another port"
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [pump, again]) as served,
    ):
        until(lambda: is_served(reader, [pump]))
        until(lambda: any("the one at" in note for note in served.notes))


def test_a_pump_that_was_never_told_what_hangs_on_its_pins_is_served(monkeypatch, tmp_path):
    pump = LivePump("pump0", NumberedBench("pump0", flash=blank_flash(None)))
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [pump]),
    ):
        until(lambda: is_served(reader, [pump]) and reader.said(pump.of("state")))
        assert reader.said(pump.of("hello"))["no_rig"]
        state = reader.said(pump.of("state"))
        assert (state["state"], state["supply_v"], state["reservoir_ml"]) == ("STOPPED", None, None)


def test_two_gateways_of_one_name_are_told_of_each_other(monkeypatch, tmp_path):
    with (
        Broker(tmp_path) as broker,
        Served(monkeypatch, broker.port, []) as first,
        Served(monkeypatch, broker.port, []) as second,
    ):
        until(lambda: any("another gateway named gateway" in note for note in first.notes + second.notes))


# --- commands


class _Board(PairedBench):
    def board(self, plant, flash):
        return NumberedBench("pump0")


class Ordered:
    """A paired pump that runs, a gateway with a topic for each role, and a reader."""

    def __init__(self, monkeypatch, folder):
        board = _Board()
        proposal = board.say("clinician", "program", therapy=SIX_ML_H)
        assert board.say("clinician", "confirm", digest=proposal["digest"])["ok"]
        assert board.say("clinician", "start")["ok"]
        self.signer = board.signer
        self.pump = LivePump("pump0", board.bench)
        self.broker = Broker(folder)
        self._monkeypatch = monkeypatch

    def __enter__(self):
        self.broker.start()
        self.reader = Reader(self.broker.port)
        self.start_gateway()
        return self

    def __exit__(self, *_exception):
        self.stop_gateway()
        self.reader.__exit__()
        self.broker.kill()

    def start_gateway(self):
        self._served = Served(self._monkeypatch, self.broker.port, [self.pump], commands=TOPICS)
        begun = self.online()
        self._served.__enter__()
        until(lambda: self.online() > begun and is_served(self.reader, [self.pump]))

    @property
    def notes(self):
        return self._served.notes

    def stop_gateway(self):
        self._served.__exit__()

    def online(self):
        """How often the gateway has come."""
        topic = "thecal/gateway/gateway/availability"
        return sum(
            message.topic == topic and message.payload == b"online" and not message.retain
            for message in list(self.reader.messages)
        )

    def send(self, payload, role, retain=False):
        self.reader.publish(f"{role}/pump0", payload, retain)

    def answers(self, what):
        return self.reader.all(self.pump.of(what))


@pytest.fixture
def ordered(monkeypatch, tmp_path):
    with Ordered(monkeypatch, tmp_path) as world:
        yield world


def lines_of(pump):
    """What came to the pump but the gateway's own questions, which are all unsigned."""
    return [line for line in pump.taken.splitlines(keepends=True) if parts(line[:-1]) is not None]


@pytest.mark.req("SEC-02", "SEC-01")
def test_a_signed_frame_goes_through_byte_for_byte_and_its_reply_is_published(ordered):
    line = ordered.signer.line(body("stop"), "patient")
    ordered.send(line, "patient")
    until(lambda: ordered.answers("reply"))
    (reply,) = ordered.answers("reply")
    assert reply["ok"] and reply["state"] == "STOPPED" and "unsigned" not in reply
    assert lines_of(ordered.pump) == [line]
    # Whoever signs the next one finds the counter in the hello that was published since.
    until(lambda: int(ordered.reader.said(ordered.pump.of("hello"))["counters"]["patient"], 16)
          == ordered.signer.counters["patient"])  # fmt: skip
    start = ordered.signer.line(body("start"), "clinician")
    ordered.send(start, "clinician")
    until(lambda: len(ordered.answers("reply")) == 2)
    assert ordered.answers("reply")[1]["state"] == "RUNNING"
    ordered.send(start, "clinician")  # again: the pump says what that is
    until(lambda: len(ordered.answers("reply")) == 3)
    assert ordered.answers("reply")[2]["error"] == "replayed"
    assert lines_of(ordered.pump) == [line, start, start]


@pytest.mark.req("SEC-02")
def test_nothing_unsigned_gets_to_the_pump_and_it_runs_on(ordered):
    sent = 0
    for command in commands.COMMANDS:
        for payload in (unsigned(command.name), command.name.encode() + b"\n"):
            ordered.send(payload, "service" if sent % 2 else "observer")
            sent += 1
    until(lambda: len(ordered.answers("refused")) == sent)
    assert {said["error"] for said in ordered.answers("refused")} == {"not_signed"}
    assert not lines_of(ordered.pump)
    asked = {json.loads(line.rsplit(b" ", 1)[0])["cmd"] for line in ordered.pump.taken.splitlines() if line}
    assert asked <= {"hello", "rig_kept", "alarms", "log"}
    assert ordered.reader.said(ordered.pump.of("state"))["state"] == "RUNNING"
    assert not ordered.answers("reply")


@pytest.mark.req("SEC-02")
def test_a_frame_on_the_topic_of_another_role_and_a_retained_one_are_not_passed_on(ordered):
    line = ordered.signer.line(body("stop"), "clinician")
    for role in ("observer", "patient", "service"):
        ordered.send(line, role)
    ordered.send(line, "clinician", retain=True)
    until(lambda: len(ordered.answers("refused")) == 4)
    assert [said["error"] for said in ordered.answers("refused")] == ["role", "role", "role", "retained"]
    ordered.reader.publish("clinician/pump9", line)  # of a pump that is not here
    assert not lines_of(ordered.pump)
    ordered.send(line, "clinician")
    until(lambda: ordered.answers("reply"))
    assert lines_of(ordered.pump) == [line]


@pytest.mark.req("SEC-02")
def test_a_command_that_the_broker_kept_comes_to_no_gateway(ordered):
    """Retained, or sent while the gateway was away: a bolus must not come late."""
    for retain in (True, False):
        ordered.stop_gateway()
        ordered.send(ordered.signer.line(body("stop"), "patient"), "patient", retain)
        ordered.start_gateway()
    ordered.broker.kill()
    ordered.broker.start()
    until(lambda: sum("connected" in note for note in ordered.notes) == 2)
    settle()
    assert not lines_of(ordered.pump) and not ordered.answers("reply")


@pytest.mark.req("SEC-02")
def test_without_a_topic_that_is_named_nothing_is_taken(monkeypatch, tmp_path):
    pump = LivePump("pump0")
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [pump], commands={"patient": "patient/{serial}"}),
    ):
        until(lambda: is_served(reader, [pump]))
        for topic in ("clinician/pump0", "thecal/pump/pump0/command", pump.of("reply")):
            reader.publish(topic, unsigned("stop"))
        reader.publish("patient/pump0", unsigned("stop"))
        until(lambda: reader.all(pump.of("refused")))
        assert len(reader.all(pump.of("refused"))) == 1


def test_a_command_to_a_pump_that_is_away_is_told_so_and_does_not_wait_for_it(ordered):
    ordered.pump.out = True
    until(lambda: ordered.reader.retained[ordered.pump.of("availability")] == b"offline")
    ordered.send(ordered.signer.line(body("stop"), "patient"), "patient")
    until(lambda: ordered.answers("refused"))
    assert ordered.answers("refused")[0]["error"] == "no_pump"
    ordered.pump.out = False
    until(lambda: ordered.reader.retained[ordered.pump.of("availability")] == b"online")
    settle()
    assert not lines_of(ordered.pump)


# --- the command


@pytest.fixture
def runtime_folder(monkeypatch):
    """A short path: that of a Unix socket may have 107 bytes."""
    folder = tempfile.mkdtemp(prefix="thecal")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("number", "pump_says"), [(signal.SIGKILL, b"online"), (signal.SIGTERM, b"offline")])
def test_a_gateway_that_ends_is_told_as_away_however_it_ends(runtime_folder, tmp_path, number, pump_says):
    availability = "thecal/gateway/ward/availability"
    with Broker(tmp_path) as broker, Reader(broker.port) as reader, PtyPump() as pump:
        place = f"127.0.0.1:{broker.port}"
        command = [sys.executable, "-m", "thecal_host.cli", "gateway", "--mqtt", place, "--name", "ward"]
        process = subprocess.Popen([*command, "--port", pump.name], stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: any(topic.endswith("/recent") for topic in reader.retained))
            assert reader.retained[availability] == b"online"
        finally:
            process.send_signal(number)
            said = process.communicate()[1]
        assert process.returncode == (0 if number == signal.SIGTERM else -number), said
        until(lambda: reader.retained[availability] == b"offline")
        (pump_topic,) = [
            topic for topic in reader.retained if topic.endswith("/availability") and "/pump/" in topic
        ]
        # The will is the gateway's alone: a pump counts as there only if both say so.
        assert reader.retained[pump_topic] == pump_says


ACCOUNT = ("ward", "not a good one")


def gateway_to(broker, *args, host="127.0.0.1"):
    """What the command says that ends because the broker does not want it."""
    place = f"{host}:{broker.port}"
    said = CliRunner().invoke(cli.app, ["gateway", "--mqtt", place, "--port", "nowhere", *args])
    assert said.exit_code == 1, said.output
    return said.stderr


@pytest.mark.parametrize("given", [None, ("ward", "another one"), ("nobody", ACCOUNT[1])])
def test_a_gateway_that_the_broker_does_not_let_in_says_so_and_ends(tmp_path, monkeypatch, given):
    with Broker(tmp_path, anybody=False, account=ACCOUNT) as broker:
        if given is not None:
            monkeypatch.setenv(PASSWORD, given[1])
        assert "--user" in gateway_to(broker, *(() if given is None else ("--user", given[0])))


def test_with_an_account_over_an_encrypted_line_a_pump_is_served(runtime_folder, tmp_path):
    with (
        Broker(tmp_path, anybody=False, account=ACCOUNT, encrypted=True) as broker,
        Reader(broker.port, account=ACCOUNT, ca=broker.ca) as reader,
        PtyPump() as pump,
    ):
        command = [sys.executable, "-m", "thecal_host.cli", "--port", pump.name, "gateway"]
        command += ["--mqtt", f"127.0.0.1:{broker.port}", "--user", ACCOUNT[0], "--tls", "--ca", broker.ca]
        environment = {**os.environ, PASSWORD: ACCOUNT[1]}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                until(lambda: any(topic.endswith("/recent") for topic in reader.retained))
            finally:
                process.terminate()
                said = process.communicate()[1]
        assert process.returncode == 0 and "connected to the broker" in said, said


def test_a_broker_whose_certificate_is_of_nobody_that_is_believed_is_not_spoken_to(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    certify(other)
    with Broker(tmp_path, encrypted=True) as broker:
        for args in (("--ca", str(other / "ca.pem")), ()):
            said = gateway_to(broker, "--tls", *args)
            assert "a certificate that is not believed" in said and "--ca" in said
        assert "'localhost'" in gateway_to(broker, "--tls", "--ca", str(broker.ca), host="localhost")


@pytest.mark.parametrize("encrypted", [False, True])
def test_where_one_encrypts_and_the_other_does_not_it_is_asked_whether(monkeypatch, tmp_path, encrypted):
    with (
        Broker(tmp_path, encrypted=encrypted) as broker,
        Served(monkeypatch, broker.port, [], tls=None if encrypted else believing(None)) as served,
    ):
        until(lambda: served.notes)
    asked = "does it want --tls?" if encrypted else f"does it encrypt at port {broker.port}?"
    assert "is away, trying again" in served.notes[0] and served.notes[0].endswith(asked)


def test_what_makes_no_sense_is_said_before_anything_is_opened():
    for args, word in (
        (["--mqtt", "broker:x"], "--mqtt"),
        (["--mqtt", "broker", "--command", "nurse=x/{serial}"], "--command"),
        (["--mqtt", "broker", "--name", "a/b"], "--name"),
        (["--mqtt", "broker", "--ca", "x"], "--ca"),
        (["--mqtt", "broker", "--tls", "--ca", "no/such/file"], "--ca"),
        (["--mqtt", "broker", "--tls", "--ca", __file__], "PEM"),
    ):
        said = CliRunner().invoke(cli.app, ["gateway", *args])
        assert said.exit_code == 2 and word in said.stderr, said.stderr
