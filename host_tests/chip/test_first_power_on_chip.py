"""`thecal rig check` on the image (RIG-06): a pump that was told a wrong rig, on the reference bench."""

import pytest
from pump_port import PumpPort
from thecal_bench.bystander import Bystander
from thecal_bench.chip.bench import ChipBench
from thecal_bench.plant import Plant
from thecal_host.first_power import Verdict
from thecal_host.first_power.walk import walk
from thecal_host.pump import Pump
from thecal_model.asking import Ask
from told import told

pytestmark = pytest.mark.chip

BOOTED_TICKS = 12  # the self-test is over


@pytest.mark.req("RIG-06", "MOT-06", "SIM-01")
@pytest.mark.parametrize(
    ("wrong", "part", "words", "last_asked"),
    [
        ({"driver__enable": 1}, "shaft", 'enable = "low"', Ask.SHAFT_FREE),
        ({"driver__dir_forward": 0}, "direction", 'dir_forward = "high"', Ask.FORWARD),
        ({"motor__microsteps": 8}, "turn", "microsteps = 16", Ask.MARK),  # no question: the encoder tells
    ],
    ids=["enable", "direction", "microsteps"],
)
def test_a_wrong_rig_is_found_on_the_chip(image, wrong, part, words, last_asked):
    rig = told("reference", **wrong)
    plant = Plant()
    with ChipBench(plant, image, rig=rig) as bench:
        bench.advance_to_tick(BOOTED_TICKS)
        bystander = Bystander(bench)
        port = PumpPort(bench=bench)
        pump = Pump(port, port.clock_s)
        pump.connect()
        before = plant.steps_seen  # the self-test's own pulse turns a driver that should be off
        found = next(found for found in walk(pump, rig, bystander) if found.verdict is Verdict.WRONG)
        assert found.part == part and words in found.do
        assert bystander.asked[-1] is last_asked
        assert (plant.steps_seen > before) == (part != "shaft")
