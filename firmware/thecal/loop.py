"""One turn of the loop, the same on the board and on the benches: read, decide, move, keep, tell.

`turn` runs a tick. What it calls of `board` is what a board can do with its hardware, and a bench with its
model of it: `read` fills the inputs, `move` obeys the motion orders, `write_flash` the journal's, `show` the
alarm's, `transmit` sends what is to be told. The motor is moved as soon as it is decided, since keeping and
telling take milliseconds, and it is to stop within ten of the decision (OCC-04).

`move` is what a board does with the motion orders, given its motor.
"""

from .drivers import segment
from .signals import EARLY_US

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .signals import Inputs, Outputs


def turn(pump, board, inputs: "Inputs", outputs: "Outputs") -> None:
    """One tick of `pump`; it must be due."""
    board.read(inputs, outputs)
    pump.decide(inputs, outputs)
    board.move(outputs)
    pump.keep()
    board.write_flash(inputs)
    board.show(outputs)
    pump.report(inputs, outputs)
    board.transmit(outputs)


def move(outputs: "Outputs", motor, timing) -> None:
    """Obey the motion orders. `motor` is the driver; `timing` knows how much of the tick is left, in us, and
    can wait until no more than so much is.
    """
    if outputs.halt:
        if motor.moving:
            motor.halt()
        motor.enable(False)
        return
    motor.enable(outputs.enable)
    if outputs.motion_flush:
        _start_anew(outputs, motor, timing)
        return
    if outputs.target_count:
        _fill(outputs, motor, 0, outputs.target_count)


def _start_anew(outputs: "Outputs", motor, timing) -> None:
    motor.halt()
    motor.turn(outputs.reverse)
    # The first segment takes what is left of this tick once the queue is filled; Pace has seen to it that
    # something is.
    us = segment.first_us(timing.left_us())
    motor.queue(outputs.targets[0], us * segment.CYCLES_PER_US, outputs.firsts[0], outputs.lags[0])
    last = outputs.target_count - 1
    _fill(outputs, motor, 1, last)
    # The queue is full; the last segment fits when the first one runs.
    timing.wait_until_left(us + EARLY_US)
    motor.go()
    _fill(outputs, motor, last, last + 1)


def _fill(outputs: "Outputs", motor, index: int, end: int) -> None:
    """Queue the segments from that one on."""
    while index < end:
        cycles = outputs.target_ticks[index] * segment.TICK_CYCLES
        motor.queue(outputs.targets[index], cycles, outputs.firsts[index], outputs.lags[index])
        index += 1
