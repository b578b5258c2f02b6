"""Whose cycles they are: samples of the emulated processor, by the Python function that it works for.

The program counter alone says only that the interpreter runs. But every Python function that runs has a frame
on the C stack in which `mp_execute_bytecode` saved its caller's registers, one of them the address of the
function's state; from there a pointer leads to its frozen bytecode, which has a symbol in the image's ELF
file. So a sample is a look from outside at memory that is there anyway: the chip executes not one instruction
more. The cycles between two samples, counted exactly, go to what was running at the second one: the sum over
all functions is exact, a single one is off by chance, by about 1 600 in 100 000 cycles a tick over ten ticks.
"""

from __future__ import annotations

import bisect
import random
import struct
import subprocess
from collections import Counter
from pathlib import Path

from .board import EmulatedBoard
from .pio_clock import CYCLE_NS

__all__ = ("IDLE", "Profile")

IDLE = "(between ticks)"  # no Python function runs
MEAN_CYCLES = 250
FLASH_START = 0x10000000
RAM_START = 0x20000000
INTERPRETER = "mp_execute_bytecode"
FUNCTION_TYPE = "mp_type_fun_bc"
IMAGE_END = "__flash_binary_end"
STACK_TOP = "__StackTop"
BYTECODE = "fun_data_"
BYTECODE_OFFSET = 12  # of a function object: type, context, child table, bytecode
SAVED = (4, 8, 12, 16)  # bytes below the return address: r7 to r4 of the interpreter's caller


class Symbols:
    """The symbols of an image."""

    def __init__(self, elf: Path) -> None:
        listing = subprocess.run(
            ["arm-none-eabi-nm", "--defined-only", elf], check=True, capture_output=True, text=True
        ).stdout
        self.by_name: dict[str, int] = {}
        for line in listing.splitlines():
            address, _, name = line.split(maxsplit=2)
            self.by_name[name] = int(address, 16)
        self._functions = sorted((at, name) for name, at in self.by_name.items() if name.startswith(BYTECODE))
        self._starts = [at for at, _ in self._functions]

    def function_at(self, bytecode: int) -> str:
        """The Python function with its bytecode there."""
        index = bisect.bisect_right(self._starts, bytecode) - 1
        if index < 0 or self._starts[index] != bytecode:
            return "(typed at the prompt)"
        return self._functions[index][1][len(BYTECODE) :].removeprefix("thecal_")


class Profile:
    """Samples `board` from construction until `end`."""

    def __init__(self, board: EmulatedBoard, elf: Path) -> None:
        self.own: Counter[str] = Counter()  # cycles of each function itself, and of what is in C below it ...
        self.total: Counter[str] = Counter()  # ... and with all that it calls
        self._mcu = board.mcu
        self._symbols = Symbols(elf)
        self._names: dict[int, str] = {}
        self._returns = tuple(struct.pack("<I", at) for at in self._return_addresses())
        self._random = random.Random(1)
        self._alarm = board.mcu.clock.create_alarm(self._sample)
        self._cycles = board.mcu.core.cycles
        self._arm()

    def end(self) -> None:
        """No more samples."""
        self._alarm.cancel()

    def _arm(self) -> None:
        self._alarm.schedule(self._random.randrange(MEAN_CYCLES // 2, MEAN_CYCLES * 3 // 2) * CYCLE_NS)

    def _sample(self) -> None:
        self._arm()
        core = self._mcu.core
        spent = core.cycles - self._cycles
        if not spent:
            return
        self._cycles = core.cycles
        stack = [] if core.waiting else self._stack(core.registers[13])
        self.own[stack[-1] if stack else IDLE] += spent
        self.total.update(dict.fromkeys(stack, spent))

    def _stack(self, pointer: int) -> list[str]:
        """The Python functions that run, the innermost last."""
        top = self._symbols.by_name[STACK_TOP] - RAM_START
        held = bytes(self._mcu.sram[pointer - RAM_START : top])
        frames = []
        for address in self._returns:
            at = held.find(address)
            while at >= 0:
                function = self._function(held, at) if at % 4 == 0 else None
                if function:
                    frames.append((at, function))
                at = held.find(address, at + 1)
        return [function for _, function in sorted(frames, reverse=True)]

    def _function(self, held: bytes, at: int) -> str | None:
        """The function whose interpreter returns to the address at `at`."""
        for saved in SAVED:
            if at < saved:
                break
            function = self._word(*struct.unpack_from("<I", held, at - saved))
            if self._word(function) == self._symbols.by_name[FUNCTION_TYPE]:
                bytecode = self._word(function + BYTECODE_OFFSET)
                if bytecode not in self._names:
                    self._names[bytecode] = self._symbols.function_at(bytecode)
                return self._names[bytecode]
        return None

    def _word(self, address: int) -> int:
        """A word of RAM; 0 elsewhere."""
        offset = address - RAM_START
        if offset % 4 or not 0 <= offset <= len(self._mcu.sram) - 4:
            return 0
        return struct.unpack_from("<I", self._mcu.sram, offset)[0]

    def _return_addresses(self) -> list[int]:
        """Where calls of the interpreter return to, with the bit of a Thumb address."""
        target = self._symbols.by_name[INTERPRETER]
        end = self._symbols.by_name[IMAGE_END] - FLASH_START
        code = memoryview(bytes(self._mcu.flash[: end & ~1])).cast("H")
        found = []
        for index in range(len(code) - 1):
            high, low = code[index], code[index + 1]
            if high & 0xF800 == 0xF000 and low & 0xD000 == 0xD000:  # BL
                sign = high >> 10 & 1
                middle = (~(low >> 13 ^ sign) & 1) << 23 | (~(low >> 11 ^ sign) & 1) << 22
                offset = -sign << 24 | middle | (high & 0x3FF) << 12 | (low & 0x7FF) << 1
                after = FLASH_START + 2 * index + 4
                if after + offset == target:
                    found.append(after | 1)
        return found
