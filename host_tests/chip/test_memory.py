"""The largest of everything: the board's heap holds them beside each other, in holes as a long use leaves."""

import pytest
from largest import RIG, library, week
from pump_port import PumpPort
from thecal import rig as rigs
from thecal_bench.chip.bench import ChipBench
from thecal_bench.plant import Plant
from thecal_host import rigging
from thecal_host.pump import Pump
from thecal_model import programming

pytestmark = [pytest.mark.chip, pytest.mark.long]

HOLE_BYTES = 3 * 1024
"""No piece of free memory is larger when the first command comes: the longest answers take 2.5 kB."""
WALL_BYTES = 512

IN_HOLES = """
import gc
from thecal import app
class InHoles(app.App):
    def __init__(self):
        super().__init__()
        gc.collect()
        holes = []
        self.walls = []
        try:
            while True:
                holes.append(bytearray(HOLE_BYTES - 16))
                self.walls.append(bytearray(WALL_BYTES - 16))
        except MemoryError:
            pass
app.App = InHoles
app.run()
"""


@pytest.fixture
def bench(image):
    with ChipBench(Plant(), image, f"{HOLE_BYTES = }\n{WALL_BYTES = }{IN_HOLES}") as bench:
        bench.advance_to_tick(12)
        yield bench


@pytest.fixture
def pump(bench):
    port = PumpPort(bench=bench)
    pump = Pump(port, port.clock_s)
    pump.connect()
    return pump


def proposed(pump, therapy):
    """The answer to the last part of it; its pages are not asked for."""
    return [pump.ask("program", **arguments) for arguments in programming.requests(therapy)][-1]


def confirm(bench, pump, answer):
    pump.ask("confirm", digest=answer["digest"], accept=answer["readback"].get("soft", []))
    bench.advance_to_tick(bench.tick + 40)  # until it is written


@pytest.mark.req("RIG-01", "RIG-02", "DOSE-06", "LNK-02")
def test_the_largest_rig_is_proposed_and_confirmed_beside_the_largest_weeks(bench, pump):
    """One week is in force and another one proposed when the rig comes."""
    rig = rigs.read(RIG)
    confirm(bench, pump, proposed(pump, week()))
    proposed(pump, week(more=1))
    proposal = rigging.propose(pump, rig)
    assert len(proposal.readback["changes"]) == sum(map(len, rig.tables.values())) - 1
    assert pump.status()["state"] == "STOPPED" and pump.ask("alarms")["alarms"] == []
    resets = bench.board.resets
    pump.confirm(proposal)
    bench.board.run_until(lambda: bench.board.resets > resets, 5_000, "the restart")


@pytest.mark.req("LIM-08", "LIM-09", "LNK-02")
def test_the_largest_library_gives_way_to_another_one_and_is_found_after_a_reset(bench, pump):
    for version in (9, 10):
        wire = library(version)
        answer = {}
        for index, drug in enumerate(wire["drugs"]):
            part = {**drug, "version": version, "index": index, "count": len(wire["drugs"])}
            answer = pump.ask("library", part=part)
        confirm(bench, pump, answer)
    bench.board.set_pin("MAINTENANCE", 1)  # the pump itself, without the walls
    bench.reset()
    bench.advance_to_tick(bench.tick + 20)
    pump.connect()
    assert pump.ask("alarms")["alarms"] == []
    therapy = {"mode": "continuous", "drug": "d6", "concentration_pg_nl": 1_002}
    answer = pump.ask("program", therapy={**therapy, "rate_num": 2_000, "rate_den": 1})
    assert "d6.concentration.minimum.a: 1.002 mg/mL is below 1.004 mg/mL (unverified)" in answer["why"]
