"""`thecal bench`: the image on the emulated board, with a plant on its pins, as a serial port.

The work is `thecal_bench.chip.serve`'s; here the board is put together, told what hangs on its pins,
announced to the other commands, and the user is told how to reach it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from thecal.rig import Rig
from thecal_model.link import LinkClient
from thecal_model.rig_words import unwatched_text

from thecal_host.connection import PortError
from thecal_host.keyboard import Keyboard
from thecal_host.ports import announce_bench

if TYPE_CHECKING:
    from thecal_bench.chip.bench import ChipBench
    from thecal_bench.chip.board import EmulatedBoard

# Addresses must come out whole, to be copied.
PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def how_to_connect(pty: str | None, tcp_port: int | None, maintenance: bool) -> list[str]:
    """Command lines for the programs that people use."""
    lines = []
    for name in (pty, f"socket://localhost:{tcp_port}" if tcp_port else None):
        if name is None:
            continue
        if maintenance:
            # The jumper keeps the pump from starting: a prompt answers.
            lines.append(f"mpremote connect {name} repl")
        else:
            lines.append(f"thecal --port {name} monitor")
        lines.append(f"pyserial-miniterm {name} 115200")
    return lines


BALANCES: dict[str, float | None] = {"asked": None, "prints": 1.0}
"""Kinds of balance that a bench offers: one that is asked, and one that prints every second."""


def _balance_on(bench: Any, kind: str) -> Any:
    """A balance under the catheter of a bench, in a beaker that is not covered."""
    from thecal_bench.balance import BalanceOnPty, BalanceParameters, ModelBalance

    parameters = BalanceParameters(evaporation_g_h=2e-3, drift_g_h=1e-4)
    model = ModelBalance(bench.plant.outflow_nl, parameters, prints_every_s=BALANCES[kind])
    return BalanceOnPty(model, lambda: bench.now_ns)


HELD_NS = 500_000_000
"""So long a key holds a button down: beyond any debounce, and short of an alarm."""

BUTTONS = {"s": ("STOP", "BUTTON_STOP"), "p": ("patient", "BUTTON_PATIENT")}
JUMPER = "m"
KEYS = "Keys here: s presses STOP, p the patient's button, m fits the MAINTENANCE jumper or takes it off."


class Hands:
    """Keys of the terminal as a hand at the pump on `board`, on whose pins `rig` hangs."""

    def __init__(
        self, board: EmulatedBoard, rig: Rig, keyboard: Keyboard, tell: Callable[[str], object]
    ) -> None:
        self._board = board
        self._levels = {"BUTTON_STOP": rig.button_stop_level, "BUTTON_PATIENT": rig.button_patient_level}
        self._keyboard = keyboard
        self._tell = tell
        self._held: dict[str, int] = {}  # until when, by the board's time in ns
        self._jumper = False

    def turn(self) -> None:
        """Do what was pressed since the last call; let go of what was held long enough."""
        for net in [net for net, until_ns in self._held.items() if self._board.now_ns >= until_ns]:
            del self._held[net]
            self._board.release_pin(net)
        for key in self._keyboard.pressed():
            if key in BUTTONS:
                self._press(*BUTTONS[key])
            elif key == JUMPER:
                self._move_jumper()

    def _press(self, name: str, net: str) -> None:
        level = self._levels[net]
        if level is None:
            self._tell(f"The rig has no {name} button.")
            return
        self._board.set_pin(net, level)
        self._held[net] = self._board.now_ns + HELD_NS
        self._tell(f"The {name} button is pressed.")

    def _move_jumper(self) -> None:
        self._jumper = not self._jumper
        if self._jumper:
            self._board.set_pin("MAINTENANCE", 0)
        else:
            self._board.release_pin("MAINTENANCE")
        self._tell(f"The MAINTENANCE jumper is {'fitted' if self._jumper else 'off'}.")


def _booted(image: Path, maintenance: bool, rig: Rig | None) -> ChipBench:
    """A board with a plant, whose pump was never told what hangs on its pins."""
    from thecal_bench.chip.bench import ChipBench
    from thecal_bench.plant import Plant

    bench = ChipBench(Plant(rig=rig), image=image, rig=None)
    if maintenance:
        bench.board.set_pin("MAINTENANCE", 0)
        bench.board.reset()
        bench.board.boot()
    else:
        # Until the pump's loop runs nobody would answer, and at the emulator's speed that takes seconds.
        bench.advance_to_tick(0)
    return bench


def _program(bench: ChipBench, console: Console) -> None:
    """Tell the pump what hangs on its pins, as `thecal rig program` does, and say so."""
    from thecal_bench.runner import Dialogue

    link = LinkClient(bench.send)
    bench.on_data = link.feed
    dialogue = Dialogue(bench, link)
    assert bench.plant is not None
    rig = bench.plant.rig
    with console.status(f"programming rig {rig.name}") if console.is_terminal else nullcontext():
        dialogue.give_rig(rig, dialogue.meet())
    unwatched = unwatched_text(rig.unwatched())
    console.print(f"Programmed rig {rig.name}; not watched: {unwatched}.", **PLAIN)


def _turn(besides: list[Callable[[], object]]) -> None:
    for turn in besides:
        turn()


def serve_bench(
    image: Path | None,
    tcp_port: int | None,
    speed: float | None,
    maintenance: bool,
    console: Console,
    balance_kind: str | None = None,
    rig: Rig | None = None,
    blank: bool = False,
) -> None:
    """Serve until Ctrl-C, with `rig` (None: the reference) on the pins; a `blank` pump is not told of it.

    Raises BenchError without an image, PortError when the TCP port is taken.
    """
    tell = partial(console.print, **PLAIN)
    with console.status("booting the image") if console.is_terminal else nullcontext():
        from thecal_bench.chip.bench import DEFAULT_IMAGE
        from thecal_bench.chip.serve import Server

        image = image or DEFAULT_IMAGE
        bench = _booted(image, maintenance, rig)
    with bench:
        board = bench.board
        assert bench.plant is not None
        if not (maintenance or blank):
            _program(bench, console)
        balance = None if balance_kind is None else _balance_on(bench, balance_kind)
        besides = [] if balance is None else [balance.turn]
        try:
            server = Server(board, tcp_port=tcp_port, speed=speed, beside=lambda: _turn(besides))
        except OSError as why:
            raise PortError(
                f"TCP port {tcp_port} cannot be served ({why.strerror}): name another with --tcp"
            ) from None
        try:
            bound_port = server.tcp_address[1] if server.tcp_address else None
            what = f"emulated pump, {image.name}" + (", MAINTENANCE jumper fitted" if maintenance else "")
            # Ctrl-C and a friendly kill both end it well: the announcement goes.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: server.stop())
            weighs = balance and balance.path
            with (
                announce_bench(server.pty_path, bound_port, what, not maintenance, weighs),
                Keyboard() as keyboard,
            ):
                tell(f"Emulated pump with {image}; Ctrl-C ends it. Connect with")
                for line in how_to_connect(server.pty_path, bound_port, maintenance):
                    tell(f"  {line}")
                if balance is not None:
                    tell(f"A balance weighs what it delivers: --balance {balance.path}")
                if keyboard.there and not maintenance:
                    besides.append(Hands(board, bench.plant.rig, keyboard, tell).turn)
                    tell(KEYS)
                server.run()
        finally:
            server.close()
            if balance is not None:
                balance.close()
