"""Why the board was reset. The chip tells power from its watchdog, but a program that resets it does so by
the watchdog as well. So a word is left in a register that outlasts the watchdog's reset and nothing else: a
pump that runs leaves that it would be a hang, and says so if it is to be something else.
"""

import machine

from ..causes import RESET_CAUSES, RESET_COMMAND, RESET_POWER, RESET_WATCHDOG

SCRATCH_0 = 0x4005_800C  # RP2040 data sheet, 4.7.6; the boot ROM and the SDK use 4 to 7 only
MARK = 0x2E5E_7000  # the cause is added; any other word is none of the pump's


def cause():
    """The cause of the last reset (`causes.RESET_CAUSES`). Ask once, at boot: unless announced, the next one
    is a hang's.
    """
    word = machine.mem32[SCRATCH_0]
    announce(RESET_WATCHDOG)
    if machine.reset_cause() != machine.WDT_RESET:
        return RESET_POWER
    told = word - MARK
    return told if RESET_POWER < told < len(RESET_CAUSES) else RESET_COMMAND


def announce(number: int) -> None:
    """The next reset will have this cause."""
    machine.mem32[SCRATCH_0] = MARK + number
