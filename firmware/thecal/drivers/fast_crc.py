"""`link.frame.crc_into` in the chip's own instructions: 100 times faster, the same digits (a chip test
compares them).
"""

# The instructions are the assembler's, which brings them along.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportArgumentType=false

from array import array

import micropython
import uctypes

from ..link import frame


def state():
    """A CRC-32 that is carried on: its low and its high half, and where their tables lie."""
    return array(
        "i", [0xFFFF, 0xFFFF, uctypes.addressof(frame.LOW_TABLE), uctypes.addressof(frame.HIGH_TABLE)]
    )


@micropython.asm_thumb
def carry_on(r0, r1, r2, r3):
    """Carry the state r0 on over the bytes r2 .. r3 - 1 of the buffer, or the address, r1."""
    add(r3, r3, r1)
    add(r1, r1, r2)
    ldr(r4, [r0, 0])
    ldr(r5, [r0, 4])
    lsl(r5, r5, 16)
    orr(r4, r5)
    ldr(r6, [r0, 8])
    ldr(r7, [r0, 12])
    label(NEXT)
    cmp(r1, r3)
    bcs(END)
    ldrb(r2, [r1, 0])
    eor(r2, r4)
    lsl(r2, r2, 24)
    lsr(r2, r2, 23)  # of the lowest byte the place in a table of halves
    lsr(r4, r4, 8)
    add(r5, r6, r2)
    ldrh(r5, [r5, 0])
    eor(r4, r5)
    add(r5, r7, r2)
    ldrh(r5, [r5, 0])
    lsl(r5, r5, 16)
    eor(r4, r5)
    add(r1, 1)
    b(NEXT)
    label(END)
    lsr(r5, r4, 16)
    str(r5, [r0, 4])
    lsl(r4, r4, 16)
    lsr(r4, r4, 16)
    str(r4, [r0, 0])


@micropython.viper
def _write(halves: ptr32, digits: ptr8):  # type: ignore  # noqa: F821
    low = halves[0] ^ 0xFFFF
    high = halves[1] ^ 0xFFFF
    place = 0
    while place < 4:
        shift = 12 - 4 * place
        digit = high >> shift & 15
        digits[place] = 48 + digit if digit < 10 else 87 + digit
        digit = low >> shift & 15
        digits[place + 4] = 48 + digit if digit < 10 else 87 + digit
        place += 1


_STATE = state()


def crc_into(data, start: int, end: int, digits) -> None:
    """Write the eight digits of the CRC of data[start:end]."""
    _STATE[0] = _STATE[1] = 0xFFFF
    carry_on(_STATE, data, start, end)
    _write(_STATE, digits)
