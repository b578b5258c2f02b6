"""What the journal wears out of the flash, beside a file on littlefs that is rewritten for each record."""

import subprocess
from pathlib import Path

import pytest
from pump_on_flash import ML_H, STEPS_PER_UL, Device, World
from thecal.record import layout
from thecal_bench.flash_model import FlashModel
from thecal_bench.unixport import micropython_command

CONTROL = Path(__file__).parents[1] / "micropython" / "littlefs_control.py"
CYCLES = 100_000
DAY_TICKS = 864_000
RECORD_BYTES = 224  # a snapshot


class FullDevice(Device):
    """With the layout of the board."""

    ring_sectors = layout.RING_SECTORS
    slots = layout.SLOTS


class Wear:
    """So many ticks at one rate, after the boot and the start."""

    def __init__(self, steps_per_hour: int, ticks: int) -> None:
        sectors = sum(layout.RING_SECTORS) + sum(count * each for count, each in layout.SLOTS)
        flash = FlashModel(sectors)
        world = World()
        self.commands: list = []
        device = FullDevice(flash, world, self.commands)
        while world.tick < 100:
            device.tick()
        device.act(("flow", steps_per_hour))
        for _ in range(100):
            device.tick()
        before, steps, begun = len(self.commands), world.steps, world.tick
        while world.tick < begun + ticks:
            device.tick()
        commands = self.commands[before:]
        days = (world.tick - begun) / DAY_TICKS
        programs = [command for command in commands if command.kind == layout.PROGRAM]
        self.erases = len(commands) - len(programs)
        self.records = len(programs)
        self.records_a_day = self.records / days
        self.bytes_a_day = sum(len(command.data) for command in programs) / days
        # By what fits into a sector: few are erased in so short a time.
        self.years = []
        self.erases_a_day = 0.0
        for ring in (part.ring for part in device.journal.parts):
            start, end = ring.start, ring.start + ring.sectors * layout.SECTOR
            used = sum(len(command.data) for command in programs if start <= command.offset < end)
            net = layout.SECTOR - (RECORD_BYTES if ring.number == layout.STATE else layout.UNIT)
            a_day = used / net / days
            self.erases_a_day += a_day
            if a_day:
                self.years.append(ring.sectors * CYCLES / a_day / 365.25)
        self.ml_a_day = (world.steps - steps) / STEPS_PER_UL / 1_000 / days


@pytest.mark.req("REC-07")
def test_the_flash_lasts_twenty_years_and_ten_times_longer_than_with_files(capsys, measured):
    run = [micropython_command(), "-X", "heapsize=8m", str(CONTROL), "2000", str(RECORD_BYTES), "320"]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    file_erases, file_bytes = (int(word) / 2_000 for word in printed.split())
    slow = Wear(5 * STEPS_PER_UL, 8 * 36_000)
    fast = Wear(60 * ML_H, 12_000)
    for wear in (slow, fast):
        assert min(wear.years) >= 20
        assert file_erases * wear.records_a_day >= 10 * wear.erases_a_day
    times = [file_erases * wear.records_a_day / wear.erases_a_day for wear in (slow, fast)]
    measured(min(slow.years), min(fast.years), *times)
    # The counted erases bear out what is computed from bytes.
    assert abs(fast.erases - fast.erases_a_day * 12_000 / DAY_TICKS) <= 4
    with capsys.disabled():
        print(f"\nlittlefs: {file_erases:.3f} erases and {file_bytes:.0f} bytes for each record")
        for name, wear in (("5 uL/h", slow), ("60 mL/h", fast)):
            files = file_erases * wear.records_a_day
            print(
                f"{name}: {wear.records_a_day:.0f} records, {wear.erases_a_day:.1f} erases, "
                f"{wear.bytes_a_day:.0f} bytes a day; {wear.erases_a_day / wear.ml_a_day:.2f} erases and "
                f"{wear.bytes_a_day / wear.ml_a_day:.0f} bytes a mL; life {min(wear.years):.0f} years; "
                f"as files {files:.0f} erases a day, {files / wear.erases_a_day:.0f} times as many"
            )
