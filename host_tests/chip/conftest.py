"""Boards for the chip tests: the image that is flashed, booted on the emulated RP2040.

`make_board` boots a fresh board, `prompt` a board that stays at MicroPython's prompt because its
MAINTENANCE jumper is fitted. Tests count simulated things only, never wall time. THECAL_IMAGE names
another UF2 than the one `make image` builds; marks of `images` run a test on the release image, too.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import images
import pytest
from thecal_bench.chip import EmulatedBoard, RawRepl
from thecal_bench.chip.plant_wiring import wire_plant, wire_world
from thecal_bench.plant import Plant


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Path:
    """The UF2 under test."""
    return images.found(getattr(request, "param", images.BENCH))


@pytest.fixture
def make_board(image: Path) -> Iterator[Callable[..., EmulatedBoard]]:
    """A function that powers a board; keywords go to EmulatedBoard. `maintenance` fits the jumper."""
    boards: list[EmulatedBoard] = []

    def make(*, maintenance: bool = True, **settings) -> EmulatedBoard:
        board = EmulatedBoard(image, **settings)
        boards.append(board)
        if maintenance:
            board.set_pin("MAINTENANCE", 0)
        return board

    yield make
    for board in boards:
        board.close()


@pytest.fixture
def make_prompt(make_board: Callable[..., EmulatedBoard]) -> Callable[..., RawRepl]:
    """A function that boots a board, with a plant or without, and takes its prompt; keywords go to
    EmulatedBoard.
    """

    def make(plant: Plant | None = None, **settings) -> RawRepl:
        board = make_board(**settings)
        if plant:
            wire_plant(board, plant, rig=plant.rig)
            wire_world(board, plant)
        board.boot()
        prompt = RawRepl(board)
        prompt.run(f"NET = {board.nets!r}")
        return prompt

    return make


@pytest.fixture
def pump_prompt(make_prompt: Callable[..., RawRepl]) -> RawRepl:
    """A board at its prompt with a sound plant on its pins, as the pump's own code wants one."""
    return make_prompt(Plant())


@pytest.fixture
def prompt(make_prompt: Callable[..., RawRepl]) -> RawRepl:
    """A board at its prompt."""
    return make_prompt()
