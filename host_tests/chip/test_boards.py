"""Other boards than the Pico: an image of their own with the same firmware.

`make test-long` builds them: a new one takes a minute or two of processor time, too long for `make test`, and
one of which only the firmware has changed takes some seconds.
"""

from pathlib import Path

import images
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


OTHERS = [board for board in build.boards() if board != build.BOARD]


def built(board: str, release: bool = False) -> Path:
    """The UF2 of that board; the test fails, with the way to build it, if there is none."""
    uf2, made = build.uf2_of(board, release), record.load(build.record_of(board, release))
    if made is None or not made.is_of(uf2):
        pytest.fail(f"there is no image at {uf2}: run `make image BOARD={board} RELEASE={release:d}` first")
    assert (made.board, made.release) == (board, release)
    return uf2


@pytest.mark.req("RIG-07")
@pytest.mark.parametrize("name", OTHERS)
def test_the_prompt_of_another_board_names_its_own_pins(name):
    uf2 = built(name)
    assert pins_of(uf2) == build.BOARDS / name / "pins.csv"
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
@pytest.mark.parametrize("release", [False, True], ids=[images.BENCH, images.RELEASE])
@pytest.mark.parametrize("name", OTHERS)
def test_another_board_doses_like_cpython_and_leaves_its_radio_alone(name, release):
    uf2 = built(name, release)
    experiment = scenario.load(build.ROOT / "host_tests" / "scenarios" / "between_ticks.toml")
    written = []
    for make in (HostBench, lambda plant: ChipBench(plant, uf2)):
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


@pytest.mark.req("RIG-07", "SEC-04")
@pytest.mark.parametrize("name", OTHERS)
def test_the_release_image_of_another_board_has_no_prompt_with_the_jumper_either(name):
    """The same keys get one from the board's other image."""
    said = {}
    for release in (False, True):
        board = EmulatedBoard(built(name, release))
        board.set_pin("MAINTENANCE", 0)
        heard = said[release] = bytearray()
        board.on_data = heard.extend
        board.boot()
        for _ in range(5):
            board.send(b"\r\x03\x03\r\nprint(7*191)\r\n")
            board.run_for_ms(200)
        board.close()
    assert b">>>" in said[False] and b"1337" in said[False]
    assert b'"type":"status"' in said[True]
    assert not any(mark in said[True] for mark in (b">>>", b"1337", b"MicroPython", b"Traceback"))
