"""SIM-02: one experiment, three machines, the same ledger and event bytes."""

from pathlib import Path

import pytest
from images import BENCH, RELEASE
from thecal_bench import runner, scenario
from thecal_bench.chip.bench import ChipBench
from thecal_bench.inprocess import HostBench
from thecal_bench.unixport import MicropythonBench
from thecal_model.link import LinkClient

pytestmark = pytest.mark.chip

# 6 mL/h, a bolus on top, one refused, commands between ticks, a stop: no step falls where a loop of
# milliseconds could see it in another tick.
SCENARIOS = Path(__file__).parents[1] / "scenarios"
# Over a cut of the power and a reset: what the pump finds in its flash is the same, and it starts as late.
FILES = {
    "between_ticks": (90, b"bolus_end"),
    "power_cut_in_lockout": (30, b"boot"),
    "reset_in_basal": (30, b"boot"),
    "pair": (60, b'"keys"'),
}
SHORT = ("between_ticks", "power_cut_in_lockout", "reset_in_basal")


@pytest.mark.req("SIM-01", "SIM-02", "REC-01", "REC-02", "REC-04")
@pytest.mark.parametrize(
    ("name", "image"),
    [
        *(pytest.param(name, BENCH, marks=() if name in SHORT else pytest.mark.long) for name in FILES),
        *(pytest.param(name, RELEASE, marks=pytest.mark.long) for name in FILES),
    ],
    indirect=["image"],
)
def test_cpython_the_unix_port_and_the_chip_write_the_same_records(image, name):
    experiment = scenario.load(SCENARIOS / f"{name}.toml")
    written = {}
    for make in (HostBench, MicropythonBench, lambda plant: ChipBench(plant, image)):
        with make(runner.make_plant(experiment)) as bench:
            result = runner.run_scenario(experiment, bench, LinkClient(bench.send), keep_ledger=True)
            result.finish()
        assert result.expect_failed == 0
        written[type(bench).__name__] = runner.canonical_records(result)
    on_host, on_unix_port, on_chip = written.values()
    assert on_host == on_unix_port
    assert on_host == on_chip
    lines, word = FILES[name]
    assert on_host.count(b"\n") > lines and word in on_host
