"""Who holds whom: the parts of a pump know what they need, none of them the pump; and what fits a head."""

from __future__ import annotations

import inspect
from array import array
from pathlib import Path
from types import BuiltinMethodType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk
from thecal.pump import Pump

PLAIN = (int, str, bytes, bytearray, float, array, memoryview, ModuleType, type(None), type)


def within(thing: Any) -> list[tuple[str, Any]]:
    """What a thing holds, whatever it is called there."""
    if isinstance(thing, PLAIN):
        return []
    if isinstance(thing, dict):
        return [(f"[{key!r}]", value) for key, value in thing.items()]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [(f"[{number}]", value) for number, value in enumerate(thing)]
    if isinstance(thing, (MethodType, BuiltinMethodType)):
        return [(".__self__", thing.__self__)]
    if isinstance(thing, FunctionType):
        return [(f".{number}", cell.cell_contents) for number, cell in enumerate(thing.__closure__ or ())]
    if isinstance(thing, GeneratorType):
        return list(thing.gi_frame.f_locals.items()) if thing.gi_frame else []
    return [(f".{name}", value) for name, value in getattr(thing, "__dict__", {}).items()]


def ways_to_a_pump(pump: Pump) -> list[str]:
    """The way to each pump that is met from a part of this one."""
    found = []
    seen: dict[int, Any] = {id(pump): pump}  # held, so that no number is given twice
    open_ends = [("pump" + name, part) for name, part in within(pump)]
    while open_ends:
        way, part = open_ends.pop()
        if isinstance(part, Pump):
            found.append(way)
        elif id(part) not in seen:
            seen[id(part)] = part
            open_ends.extend((way + name, other) for name, other in within(part))
    assert len(seen) > 400, "hardly anything was looked at"
    return found


@pytest.mark.req("SAFE-06")
def test_no_part_of_a_pump_holds_it_under_whatever_name():
    desk = PumpOnDesk()
    desk.run()
    bench = PumpOnBench()
    bench.start()
    bench.client.request("program", therapy={"mode": "minimum"})
    bench.run(3)
    for pump in (desk.pump, bench.pump):
        assert ways_to_a_pump(pump) == []


@pytest.mark.parametrize(
    "hold",
    [
        lambda pump: setattr(pump.control, "owner", pump),
        lambda pump: pump.handlers.by_name.update(x=pump),
        lambda pump: setattr(pump.host, "say", pump.report),
        lambda pump: setattr(pump.host, "say", lambda: pump),
    ],
)
def test_one_that_does_is_found(hold):
    pump = PumpOnDesk().pump
    hold(pump)
    assert ways_to_a_pump(pump)


def test_the_pump_is_small():
    assert len(Path(inspect.getfile(Pump)).read_text().splitlines()) <= 300
    assert len(vars(PumpOnBench().pump)) <= 25
