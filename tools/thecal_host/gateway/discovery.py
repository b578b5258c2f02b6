"""How Home Assistant finds a pump: one retained description of the device and its entities.

The form is Home Assistant's device discovery (2024.11 and later): `device` and `origin`, each entity under
`components` with its `platform` and an id of its own, and two topics that both have to say `online`: the
pump's and the gateway's. Everything here only shows. Nothing has a topic for commands, as Home Assistant can
sign none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thecal.record.events import EVENTS
from thecal.states import STATES

from thecal_host.gateway.topics import ALARMS, AVAILABILITY, EVENT, STATE, Row, Topics
from thecal_host.gateway.view import payload

NAME = "Thecal"

# id, name, unit, device class, state class
_NUMBERS = (
    ("rate_ml_h", "Rate", "mL/h", None, "measurement"),
    ("delivered_ml", "Delivered", "mL", "volume", "total_increasing"),
    ("bolus_left_ml", "Bolus left", "mL", None, "measurement"),
    ("reservoir_ml", "Reservoir", "mL", "volume_storage", "measurement"),
    ("pressure_down_kpa", "Pressure to the patient", "kPa", "pressure", "measurement"),
    ("pressure_up_kpa", "Pressure at the reservoir", "kPa", "pressure", "measurement"),
    ("supply_v", "Motor supply", "V", "voltage", "measurement"),
)


def device(topics: Topics, serial: str, hello: Mapping[str, Any]) -> bytes:
    """The description of one pump."""

    def topic(row: Row) -> str:
        return topics.of(serial, row)

    def value(name: str) -> str:
        return f"{{{{ value_json.{name} }}}}"

    def entity(key: str, platform: str, name: str, row: Row, **more: Any) -> dict[str, Any]:
        given = {name: value for name, value in more.items() if value is not None}
        return {
            "platform": platform,
            "unique_id": f"thecal_{serial}_{key}",
            "name": name,
            "state_topic": topic(row),
            **given,
        }

    components = {
        "state": entity("state", "sensor", "State", STATE, value_template=value("state"), device_class="enum",
                        options=list(STATES)),
        "alarm": entity("alarm", "sensor", "Alarm", STATE, value_template=value("alarm")),
        "problem": entity("problem", "binary_sensor", "Alarm stands", ALARMS, device_class="problem",
                          value_template="{{ 'OFF' if value_json.priority == 'none' else 'ON' }}",
                          json_attributes_topic=topic(ALARMS)),
        "event": entity("event", "event", "Event", EVENT, event_types=[event.name for event in EVENTS], qos=1,
                        value_template="{{ dict(value_json, event_type=value_json.code) | to_json }}"),
    }  # fmt: skip
    for key, name, unit, kind, counts in _NUMBERS:
        components[key] = entity(
            key, "sensor", name, STATE, value_template=value(key), unit_of_measurement=unit,
            device_class=kind, state_class=counts,
        )  # fmt: skip
    return payload(
        {
            "device": {
                "identifiers": [f"thecal_{serial}"],
                "name": f"{NAME} {serial}",
                "manufacturer": NAME,
                "model": f"bench prototype, rig {hello.get('rig', '')}",
                "serial_number": serial,
                "sw_version": str(hello.get("version", "")),
            },
            "origin": {"name": "thecal gateway", "sw_version": str(hello.get("version", ""))},
            "components": components,
            "availability": [{"topic": topics.availability}, {"topic": topic(AVAILABILITY)}],
            "availability_mode": "all",
        }
    )
