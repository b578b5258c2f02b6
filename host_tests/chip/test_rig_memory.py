"""The largest rig beside the largest weeks: the board's heap holds them, with some of it taken away."""

import pytest
from largest import RIG, week
from pump_port import PumpPort
from thecal import rig as rigs
from thecal_bench.chip.bench import ChipBench
from thecal_bench.plant import Plant
from thecal_host import rigging
from thecal_host.pump import Pump
from thecal_model import programming

pytestmark = [pytest.mark.chip, pytest.mark.long]

SPARE_BYTES = 8 * 1024
"""That are left to spare."""

TIGHT = """
from thecal import app
class Tight(app.App):
    def __init__(self):
        super().__init__()
        self.ballast = [bytearray(496) for _ in range(BYTES // 512)]
app.App = Tight
app.run()
"""


def proposed(pump, therapy):
    """The answer to the last part of it; its pages are not asked for."""
    return [pump.ask("program", **arguments) for arguments in programming.requests(therapy)][-1]


@pytest.mark.req("RIG-01", "RIG-02", "DOSE-06", "LNK-02")
def test_the_largest_rig_is_proposed_and_confirmed_beside_the_largest_weeks(image):
    """One week is in force and another one proposed when the rig comes."""
    rig = rigs.read(RIG)
    with ChipBench(Plant(), image, f"BYTES = {SPARE_BYTES}{TIGHT}") as bench:
        bench.advance_to_tick(12)
        port = PumpPort(bench=bench)
        pump = Pump(port, port.clock_s)
        pump.connect()
        in_force = proposed(pump, week())
        pump.ask("confirm", digest=in_force["digest"], accept=in_force["readback"]["soft"])
        bench.advance_to_tick(bench.tick + 40)  # until it is written
        proposed(pump, week(more=1))
        proposal = rigging.propose(pump, rig)
        assert len(proposal.readback["changes"]) == sum(map(len, rig.tables.values())) - 1
        assert pump.status()["state"] == "STOPPED" and pump.ask("alarms")["alarms"] == []
        resets = bench.board.resets
        pump.confirm(proposal)
        bench.board.run_until(lambda: bench.board.resets > resets, 5_000, "the restart")
