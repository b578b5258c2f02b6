"""Other boards than the Pico: an image of their own with the same firmware.

`make test-long` builds them: a new one takes a minute or two of processor time, too long for `make test`, and
one of which only the firmware has changed takes some seconds.
"""

import pytest
from image import build, record
from thecal_bench import runner, scenario
from thecal_bench.chip import EmulatedBoard, RawRepl
from thecal_bench.chip.bench import ChipBench
from thecal_bench.chip.nets import load_nets, pins_of
from thecal_bench.inprocess import HostBench
from thecal_model.link import LinkClient

pytestmark = [pytest.mark.chip, pytest.mark.long]

NULL_FUNCTION = 0x1F  # of a GPIO that nothing in the chip has taken (RP2040 data sheet, 2.19.2)
RADIO = (23, 24, 25, 29)


@pytest.fixture(scope="module", params=[board for board in build.boards() if board != build.BOARD])
def built(request):
    board = request.param
    uf2, made = build.uf2_of(board), record.load(build.record_of(board))
    if made is None or not made.is_of(uf2):
        pytest.fail(f"there is no image at {uf2}: run `make image BOARD={board}` first")
    assert made.board == board
    return board


@pytest.mark.req("RIG-07")
def test_the_prompt_of_another_board_names_its_own_pins(built):
    uf2 = build.uf2_of(built)
    assert pins_of(uf2) == build.BOARDS / built / "pins.csv"
    board = EmulatedBoard(uf2)
    board.set_pin("MAINTENANCE", 0)
    board.boot()
    told = RawRepl(board).run(
        "from machine import Pin\nprint(dir(Pin.board), __import__('os').uname().machine)"
    )
    board.close()
    for net in load_nets(pins_of(uf2)):
        assert f"'{net}'" in told
    assert "'LED'" not in told and "Pico W" in told


@pytest.mark.req("RIG-07", "SIM-01", "SIM-02")
def test_another_board_doses_like_cpython_and_leaves_its_radio_alone(built):
    experiment = scenario.load(build.ROOT / "host_tests" / "scenarios" / "between_ticks.toml")
    written = []
    for make in (HostBench, lambda plant: ChipBench(plant, build.uf2_of(built))):
        with make(runner.make_plant(experiment)) as bench:
            result = runner.run_scenario(experiment, bench, LinkClient(bench.send), keep_ledger=True)
            result.finish()
            if isinstance(bench, ChipBench):
                pins = [bench.board.mcu.gpio[gpio] for gpio in RADIO]
                assert {pin.function_select for pin in pins} == {NULL_FUNCTION}
                assert not any(pin.output_enable for pin in pins)
        assert result.expect_failed == 0
        written.append(runner.canonical_records(result))
    assert written[0] == written[1] and written[0].count(b"\n") > 90
