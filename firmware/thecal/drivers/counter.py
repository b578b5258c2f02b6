"""Pulses counted by a PIO state machine, forward and backward apart by the level of DIR at its pad.

One counts the pulses that come back on STEP_SENSE over a wire, one those of the rotor's encoder. Nothing here
allocates after construction, and no pulse waits for the CPU.
"""

# The words of a PIO program are the assembler's, which brings them along when it runs.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportIndexIssue=false

import rp2

COUNT_HZ = 12_500_000  # sees a pulse of 3.2 us 40 times over

CLEAR_ISR = 0xA0C3  # mov(isr, null)
IN_X_16 = 0x4030  # in_(x, 16)
IN_Y_16 = 0x4050  # in_(y, 16)
PUSH = 0x8000  # push(noblock)


@rp2.asm_pio(in_shiftdir=rp2.PIO.SHIFT_LEFT)
def count_program():
    # fmt: off
    wrap_target()
    label("next")
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(pin, "high")
    jmp(x_dec, "next")
    jmp("next")
    label("high")
    jmp(y_dec, "next")
    wrap()
    # fmt: on


class Counter:
    """`forward` and `backward` are pulses since construction, as of the last `read`."""

    def __init__(self, machine, pin, dir_pin, forward_high):
        self.forward = 0
        self.backward = 0
        self.forward_high = forward_high
        self.machine = rp2.StateMachine(machine, count_program, freq=COUNT_HZ, in_base=pin, jmp_pin=dir_pin)
        self.machine.active(1)
        self.at_low = self._count(IN_X_16)
        self.at_high = self._count(IN_Y_16)

    def read(self):
        """Bring the counts up to date. At most 2^16 pulses may lie between two calls."""
        low = self._count(IN_X_16)
        high = self._count(IN_Y_16)
        # The machine counts down.
        forward = (self.at_high - high) & 0xFFFF
        backward = (self.at_low - low) & 0xFFFF
        self.at_low = low
        self.at_high = high
        if not self.forward_high:
            forward, backward = backward, forward
        self.forward += forward
        self.backward += backward

    def _count(self, in_register):
        machine = self.machine
        machine.exec(CLEAR_ISR)
        machine.exec(in_register)
        machine.exec(PUSH)
        return machine.get()
