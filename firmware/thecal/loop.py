"""One turn of the loop, the same on the board and on the benches: read, decide, move, keep, tell.

`turn` runs a tick. What it calls of `board` is what a board can do with its hardware, and a bench with its
model of it: `read` fills the inputs, `move` obeys the motion orders, `write_flash` the journal's, `show` the
alarm's, `transmit` sends what is to be told. The motor is moved as soon as it is decided, since keeping and
telling take milliseconds, and it is to stop within ten of the decision (OCC-04).

`move` is what a board does with the motion orders, given its motor.
"""

from .drivers import segment
from .signals import QUEUE_SEGMENTS

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
    for index in range(outputs.target_count):
        motor.queue(outputs.targets[index], outputs.target_ticks[index] * segment.TICK_UNITS)


def _start_anew(outputs: "Outputs", motor, timing) -> None:
    motor.halt()
    motor.turn(outputs.reverse)
    # The first segment takes what is left of this tick once the queue is filled; Pace has seen to it that
    # something is.
    units = segment.first_units(timing.left_us())
    motor.queue(outputs.targets[0], units)
    for index in range(1, outputs.target_count):
        if index == QUEUE_SEGMENTS:
            # The queue is full; the last segment fits when the first one runs.
            timing.wait_until_left(units)
            motor.go()
        motor.queue(outputs.targets[index], outputs.target_ticks[index] * segment.TICK_UNITS)
