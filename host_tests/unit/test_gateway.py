"""What may go from a broker to a pump, the topics, and what Home Assistant is told; without a broker."""

import json
import re

import pytest
from paired import Signer, arguments_of, body, key_of
from pump_on_desk import frame
from thecal.link import commands
from thecal_host.cli.gateway import _place
from thecal_host.gateway import OptionError, discovery, view
from thecal_host.gateway.passing import Kept, Passed, judge
from thecal_host.gateway.topics import DISCOVERY, EVENT, OFFLINE, ONLINE, ROWS, Topics, commands_of
from thecal_model import crc, signing
from thecal_model.link import FRAME_MAX_BYTES

pytestmark = pytest.mark.req("DESK-05", "SEC-02")

SERIAL = "e66118604b5a4a21"
COMMANDS = [command.name for command in commands.COMMANDS]


def request(cmd):
    command = commands.find(cmd)
    assert command is not None
    return body(cmd, **arguments_of(command))


@pytest.fixture
def signer():
    return Signer("ab" * 16, {})


# --- what passes


@pytest.mark.req("SEC-01")
@pytest.mark.parametrize("cmd", COMMANDS)
@pytest.mark.parametrize("role", commands.ROLES)
def test_nothing_unsigned_passes_on_any_topic_whatever_the_command(cmd, role):
    line = frame(request(cmd))
    assert judge(line, False, role) == Kept(
        "not_signed", "nothing unsigned goes to a pump: it is not signed"
    )  # fmt: skip
    for word in (cmd.encode(), cmd.encode() + b"\n", b'{"cmd":"%s"}\n' % cmd.encode(), line[:-1]):
        assert isinstance(judge(word, False, role), Kept), word


@pytest.mark.parametrize("cmd", COMMANDS)
def test_a_signed_frame_passes_byte_for_byte_on_the_topic_of_its_role_and_on_no_other(cmd, signer):
    for role in commands.ROLES:
        line = signer.line(request(cmd), role)
        passed = judge(line, False, role)
        assert isinstance(passed, Passed) and passed.frame == line
        for other in commands.ROLES:
            kept = judge(line, False, other)
            assert other == role or (isinstance(kept, Kept) and kept.code == "role")


def test_a_retained_command_does_not_pass(signer):
    line = signer.line(request("stop"), "patient")
    kept = judge(line, True, "patient")
    assert isinstance(kept, Kept) and kept.code == "retained"


def checked(text):
    return text + b" " + crc.digits(text) + b"\n"


def test_nothing_rides_along_with_a_signed_frame(signer):
    """Each has a signature in it and a CRC that holds, and would be more to a pump than one signed line."""
    line = signer.line(request("start"), "clinician")
    text, _, _ = line.rpartition(b" ")
    signature = text.rpartition(b" ")[2]
    for payload in (
        b"stop\n" + line,
        line + b"stop\n",
        line + line,
        line + b"\n",
        checked(b"stop\n" + text),
        checked(b"stop\r" + text),
        checked(b"\xff" + text),
        checked(text + b"\n" + text),
        checked(b'{"id":1,\n"cmd":"stop"} ' + signature),
        checked(b"stop " + signature),
        checked(b"[] " + signature),
        checked(b'{"id":1} ' + signature),
        checked(b'{"id":"x","cmd":"stop"} ' + signature),
        checked(b"[" * 2000 + b" " + signature),
        line.replace(b" clinician:", b" nobody:"),
        line[:-2] + (b"0" if line[-2:-1] != b"0" else b"1") + b"\n",
        b"",
        b"\n",
    ):
        for role in (*commands.ROLES, "nobody"):
            assert isinstance(judge(payload, False, role), Kept), payload


def test_a_frame_as_long_as_the_link_takes_passes_and_a_longer_one_does_not(signer):
    def line(length):
        return signer.line(b'{"id":1,"cmd":"stop"' + b" " * length + b"}", "patient")

    room = FRAME_MAX_BYTES - len(line(0))
    assert isinstance(judge(line(room), False, "patient"), Passed)
    kept = judge(line(room + 1), False, "patient")
    assert isinstance(kept, Kept) and kept.code == "too_large"


def test_a_frame_names_its_reply(signer):
    passed = judge(signer.line(b'{"id":7,"run":"00000002","cmd":"stop"}', "patient"), False, "patient")
    assert isinstance(passed, Passed) and passed.ids == {"id": 7, "run": "00000002"}
    passed = judge(signer.line(b'{"cmd":"stop"}', "patient"), False, "patient")
    assert isinstance(passed, Passed) and passed.ids == {"id": 0}  # as the pump answers it


def test_the_gateway_holds_no_key():
    """Whether a signature holds is the pump's to say: one by another key passes."""
    line = signing.sign(b'{"cmd":"stop"}', "patient", 1, "ab" * 16, key_of("patient", "another")) + b"\n"
    assert isinstance(judge(line, False, "patient"), Passed)


# --- topics


def test_a_topic_is_for_one_role_and_names_one_pump():
    topics = Topics(commands=commands_of(["clinician=ward/{serial}/orders", "patient=bed/{serial}"]))
    assert topics.filters() == {"clinician": "ward/+/orders", "patient": "bed/+"}
    assert topics.command_to("ward/abc/orders") == ("clinician", "abc")
    assert topics.command_to("bed/abc") == ("patient", "abc")
    for other in ("ward/abc", "ward/abc/orders/x", "ward/abc/other", "x/abc/orders", "bed"):
        assert topics.command_to(other) is None
    assert Topics().filters() == {}


@pytest.mark.parametrize(
    "given",
    [
        ["clinician"],
        ["nurse=ward/{serial}"],
        ["clinician=ward/orders"],
        ["clinician=ward/{serial}x"],
        ["clinician={serial}/{serial}"],
        ["clinician=ward/+/{serial}"],
        ["clinician=ward/{serial}/#"],
        ["clinician=a/{serial}", "clinician=b/{serial}"],
        ["clinician=a/{serial}", "patient=a/{serial}"],
    ],
)
def test_a_topic_that_cannot_be_one_is_refused(given):
    with pytest.raises(OptionError, match="--command: "):
        commands_of(given)


def test_what_the_gateway_publishes_is_no_topic_for_commands():
    for row in ROWS:
        with pytest.raises(OptionError, match="itself publishes"):
            Topics(commands=commands_of([f"patient=thecal/pump/{{serial}}/{row.name}"]))
    for gateway, prefix, discovered in (
        ("a/b", "x", "x"),
        ("a", "a/+", "x"),
        ("a", "", "x"),
        ("a", "x", "x/#"),
    ):
        with pytest.raises(OptionError):
            Topics(gateway, prefix, discovered)


def test_where_a_broker_is():
    assert _place("broker", False) == ("broker", 1883)
    assert _place("broker", True) == ("broker", 8883)
    assert _place("broker:99", True) == ("broker", 99)
    assert _place("[::1]:99", False) == _place("::1", False)[:1] + (99,)
    for wrong in ("", ":99", "broker:", "broker:x", "broker:0", "broker:65536"):
        with pytest.raises(OptionError, match="--mqtt"):
            _place(wrong, False)


# --- payloads

HELLO = {"version": "0.1.0", "rig": "reference"}
EVENT_FRAME = {"type": "event", "seq": 4, "tick": 126, "code": "state", "a": 2, "b": 3, "executed_steps": 0}


def test_an_event_is_known_again_by_what_was_published():
    data = view.event(SERIAL, EVENT_FRAME)
    said = json.loads(data)
    assert (said["pump"], said["seq"], said["text"]) == (SERIAL, 4, "state: STOPPED to RUNNING")
    assert view.event_in(data) == EVENT_FRAME
    for other in (b"", b"x", b"[]", b"{}", b"7", b'"text"', b"[" * 5000):
        assert view.event_in(other) is None


def test_alarms_are_told_with_the_most_urgent_priority():
    said = json.loads(
        view.alarms({"alarms": [["AIR", "HIGH"], ["SUPPLY_LOW", "LOW"]], "first_cause": "AIR", "failed": []})
    )
    assert said["priority"] == "HIGH" and said["first_cause"] == "AIR"
    assert said["alarms"][0] == {"priority": "HIGH", "code": "AIR", "text": "there is air in the line"}
    assert json.loads(view.alarms({"alarms": [], "first_cause": "", "failed": []}))["priority"] == "none"


def rendered(entity, data):
    """What Home Assistant makes of a payload by the template of an entity."""
    jinja2 = pytest.importorskip("jinja2", reason="`make desk` brings jinja2")
    world = jinja2.Environment()
    world.filters["to_json"] = json.dumps
    return world.from_string(entity["value_template"]).render(value_json=json.loads(data))


def test_home_assistant_is_told_of_a_device_that_only_shows():
    topics = Topics(gateway="ward", commands={"clinician": "ward/{serial}"})
    said = json.loads(discovery.device(topics, SERIAL, HELLO))
    assert set(said) == {"device", "origin", "components", "availability", "availability_mode"}
    assert said["device"]["identifiers"] == [f"thecal_{SERIAL}"] and said["origin"]["name"]
    # Both have to be there: a gateway that dies says nothing of its pumps.
    assert said["availability_mode"] == "all"
    assert [row["topic"] for row in said["availability"]] == [
        "thecal/gateway/ward/availability", f"thecal/pump/{SERIAL}/availability"
    ]  # fmt: skip
    entities = said["components"].values()
    assert all(entity["platform"] in ("sensor", "binary_sensor", "event") for entity in entities)
    assert len({entity["unique_id"] for entity in entities}) == len(entities)
    published = {topics.of(SERIAL, row) for row in ROWS}
    assert {entity["state_topic"] for entity in entities} <= published
    assert not any("command" in key for entity in entities for key in entity)


# What Home Assistant takes, from its own schemas (components/mqtt/schemas.py, sensor.py, binary_sensor.py,
# event.py): for what is not in there it drops the entity, or all of the device. By platform which keys must
# be there and which may; by device class of a sensor its units and state classes (sensor/const.py).
DEVICE_KEYS = {
    "identifiers", "connections", "manufacturer", "model", "name", "hw_version", "serial_number",
    "sw_version", "via_device", "suggested_area", "configuration_url",
}  # fmt: skip
COMMON_KEYS = {"platform", "unique_id", "name", "state_topic"}, {
    "value_template", "qos", "encoding", "json_attributes_topic", "json_attributes_template", "icon",
    "entity_category", "enabled_by_default", "device_class",
}  # fmt: skip
PLATFORM_KEYS = {
    "sensor": (set(), {"unit_of_measurement", "state_class", "options", "expire_after"}),
    "binary_sensor": (set(), {"payload_on", "payload_off", "off_delay", "expire_after"}),
    "event": ({"event_types"}, set()),
}
SENSOR_CLASSES = {
    "volume": ({"mL", "L"}, {"total", "total_increasing"}),
    "volume_storage": ({"mL", "L"}, {"measurement"}),
    "pressure": ({"kPa", "hPa", "Pa", "bar"}, {"measurement"}),
    "voltage": ({"V", "mV"}, {"measurement"}),
}


def test_the_description_is_one_that_home_assistant_takes():
    topics = Topics()
    said = [json.loads(discovery.device(topics, serial, HELLO)) for serial in (SERIAL, "f00d")]
    for description in said:
        device = description["device"]
        assert set(device) <= DEVICE_KEYS and device["identifiers"] and device["name"]
        assert all(isinstance(text, str) for key, text in device.items() if key != "identifiers")
        assert set(description["origin"]) <= {"name", "sw_version", "support_url"}
        assert description["origin"]["name"]
        for row in description["availability"]:
            # Its own words for there and away are those of the gateway.
            assert set(row) == {"topic"} and (ONLINE, OFFLINE) == (b"online", b"offline")
        for key, entity in description["components"].items():
            must, may = PLATFORM_KEYS[entity["platform"]]
            must, may = must | COMMON_KEYS[0], may | COMMON_KEYS[1]
            assert must <= set(entity) <= must | may, key
            if entity["platform"] == "sensor":
                judge_sensor(entity)
    assert said[0]["components"]["problem"]["device_class"] == "problem"
    # Levels of a topic, and ids over all pumps.
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topics.of(SERIAL, DISCOVERY))
    ids = [entity["unique_id"] for description in said for entity in description["components"].values()]
    assert len(ids) == len(set(ids)) and said[0]["device"]["identifiers"] != said[1]["device"]["identifiers"]


def judge_sensor(entity):
    """The rules of a sensor's classes."""
    kind = entity.get("device_class")
    if kind == "enum":
        assert entity["options"] and not {"unit_of_measurement", "state_class"} & set(entity)
    elif kind is not None:
        units, counts = SENSOR_CLASSES[kind]
        assert entity["unit_of_measurement"] in units and entity["state_class"] in counts
    assert ("options" in entity) == (kind == "enum")
    assert ("state_class" in entity) == ("unit_of_measurement" in entity)


def test_the_templates_find_what_is_published():
    said = json.loads(discovery.device(Topics(), SERIAL, HELLO))["components"]
    event = json.loads(rendered(said["event"], view.event(SERIAL, EVENT_FRAME)))
    assert event["event_type"] == "state" and event["seq"] == 4
    assert event["event_type"] in said["event"]["event_types"]
    assert said["event"]["state_topic"] == Topics().of(SERIAL, EVENT)
    stands = view.alarms({"alarms": [["AIR", "HIGH"]], "first_cause": "AIR", "failed": []})
    assert rendered(said["problem"], stands) == "ON"
    assert rendered(said["problem"], view.alarms({"alarms": []})) == "OFF"
