"""What crosses the border between the rooms and the drivers: `Inputs` (filled) and `Outputs` (obeyed).

Both are allocated once and refilled in place. All numbers are integers below 2^30. Time is the nominal time
of the tick, in whole ticks since boot; the loop's own lateness never shows in it.
"""

SEGMENT_TICKS = 2  # a motion segment lasts exactly 200 ms, or 100 ms around the end of a bolus
QUEUE_SEGMENTS = 4  # segments that wait in the PIO's transmit FIFO behind the running one
# Segments end so long before the tick: longer than what a start may be late and an edge off, so a step that
# is due on a tick is made by then.
EARLY_US = 128
RX_BYTES = 1024  # what a tick takes from the host at most; a longer burst waits in the USB stack
TX_BYTES = 6912  # frames on their way to the host: an answer, a status, and what waits before them

# The pads that a probe reads, by their names on the board.
NETS = (
    "STEP",
    "DIR",
    "EN",
    "STEP_SENSE",
    "ENCODER",
    "INDEX",
    "AIR",
    "DRIVER_FAULT",
    "BUZZER",
    "BUZZER_SENSE",
    "LED_RED",
    "LED_YELLOW",
    "LED_CYAN",
    "BUTTON_PATIENT",
    "BUTTON_STOP",
    "MAINTENANCE",
)


class Inputs:
    """Everything a tick knows of the world. Filled by the drivers before `Pump.decide`."""

    def __init__(self) -> None:
        self.tick_s = 0  # nominal time of this tick since boot: whole seconds ...
        self.tick_ms = 0  # ... and milliseconds, 0, 100 .. 900
        self.executed_steps = 0  # microsteps counted at STEP_SENSE since boot, forward minus backward ...
        self.late_us = 0  # ... so long after the tick was due, or a little later
        self.reverse_steps = 0  # microsteps counted backward since boot
        self.queue_free = QUEUE_SEGMENTS  # motion segments that the queue can take now
        self.starved = False  # the queue ran dry since the last tick, while motion was ordered
        self.rx = bytearray(RX_BYTES)  # bytes from the host ...
        self.rx_len = 0  # ... so many, and not more than `Outputs.rx_most`
        self.encoder_count = 0  # rotor encoder pulses since boot
        self.index_count = 0  # index marks of the rotor since boot
        self.pressure_down_raw = 0  # ADC, 12 bit
        self.pressure_up_raw = 0  # ADC, 12 bit
        self.supply_raw = 0  # ADC, 12 bit
        self.air = False  # air detector sees a bubble
        self.driver_fault = False  # the stepper driver reports a fault
        self.button_patient = False  # pressed
        self.button_stop = False  # pressed
        self.maintenance = False  # the jumper is fitted: as of the last tick with bytes, or with `levels`
        self.levels = 0  # of NETS, a bit each, where the last tick has asked (`Outputs.read_pads`)
        self.flash_done = False  # the flash command ordered in the last tick was carried out ...
        self.flash_ok = False  # ... and the flash then read as ordered
        self.post_failures = 0  # bits of the parts that the drivers ever found failed (watch/parts.py)
        self.reset_cause = 0  # of the last reset (causes.RESET_CAUSES): power, where nobody knows better
        self.loop_us = 0  # time the previous tick took, us
        self.heap_bytes = 0  # heap in use, bytes


class Outputs:
    """Everything a tick wants done. Obeyed by the drivers after it.

    Motion is ordered as absolute positions on the scale of `Inputs.executed_steps`: `targets[k]` is where the
    motor shall be at the end of the k-th new segment, which lasts `target_ticks[k]` ticks (1 or 2). With
    `motion_flush` the queue is emptied first and the new segments start at once: the first one takes what is
    left of this tick, so that every segment ends on a tick. `halt` empties the queue and orders nothing. The
    driver issues `target - ordered` steps and never a negative number: a target that lies behind is a segment
    without steps. The first step of a segment comes `firsts[k]` after its beginning (below 0: evenly from
    there on), the last one `lags[k]` before its end, in 0.1 us.
    """

    def __init__(self) -> None:
        self.halt = False
        self.motion_flush = False
        self.target_count = 0
        self.targets = [0] * (QUEUE_SEGMENTS + 1)
        self.target_ticks = [0] * (QUEUE_SEGMENTS + 1)
        self.firsts = [0] * (QUEUE_SEGMENTS + 1)
        self.lags = [0] * (QUEUE_SEGMENTS + 1)
        self.reverse = False  # the segments go backward, down to their targets
        self.enable = False  # power to the motor driver
        self.alarm_priority = -1  # what is annunciated: 0 HIGH to 2 LOW, -1 for nothing
        self.alarm_sound = False  # and whether it is heard
        self.restart = False  # the board is to start anew after this tick: another rig
        self.read_pads = False  # the next tick is to read every pad, MAINTENANCE among them
        self.checked_in = 0  # bits of the parts that did their work in this tick (watch/selftest.py)
        self.rx_most = RX_BYTES  # bytes of the host that the next tick has room for
        self.tx = bytearray(TX_BYTES)  # frames for the host: tx[tx_start:tx_end] is still to be sent
        self.tx_start = 0  # moved on by the driver as USB takes bytes; both return to 0 when all is sent
        self.tx_end = 0

    def clear_orders(self) -> None:
        """Forget the last tick's orders; bytes not yet sent stay."""
        self.reverse = False
        self.read_pads = False
        self.checked_in = 0
        self.halt = False
        self.motion_flush = False
        self.target_count = 0
