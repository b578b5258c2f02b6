"""Rigs on the emulated chip: a board that was never told of one is given it and runs for a minute."""

import pytest
from rig_run import TICK_MS, check, run_a_minute
from thecal_bench.chip.bench import ChipBench
from thecal_model import rig

pytestmark = pytest.mark.chip

QUICK = ("bare", "geared")
"""Nothing but a driver, everything floating; and a driver whose EN and DIR are the other way round."""
READ_MS = 5
"""From the beginning of a tick until its inputs are read."""


@pytest.mark.req("RIG-01", "RIG-02", "RIG-03", "RIG-04", "RIG-05", "SAFE-01")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in rig.NAMES]
)
def test_a_minute_on_every_rig_on_the_chip(image, name):
    check(run_a_minute(name, lambda plant: ChipBench(plant, image=image, rig=None), TICK_MS, READ_MS))
