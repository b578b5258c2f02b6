"""A processor that hangs or stalls while the rest of the chip goes on, and how it comes back."""

import pytest
from programs import PULSE_PERIOD_PIO_CYCLES, PULSES
from thecal_bench.chip import EdgeRecorder, RawRepl

pytestmark = pytest.mark.chip

PULSE_HZ = 100_000
PERIOD = PULSE_PERIOD_PIO_CYCLES * 125_000_000 // PULSE_HZ
MS_CYCLES = 125_000

# Pulses by PIO, and a pin that only the processor can toggle.
PULSES_AND_TOGGLES = (
    PULSES
    + f"""
import time
led = Pin(NET['LED'], Pin.OUT)
maker = pulses(500, {PULSE_HZ})
toggles = 0
def toggle(count):
    global toggles
    while toggles < count:
        led.toggle()
        toggles += 1
        time.sleep_us(500)
toggle(300)
"""
)


@pytest.mark.req("MOT-04", "SAFE-04")
def test_a_hung_processor_does_nothing_while_pio_finishes(prompt):
    board = prompt.board
    step, led = EdgeRecorder(board), EdgeRecorder(board, "LED")
    prompt.start(PULSES_AND_TOGGLES)
    board.run_for_ms(60)
    toggled, busy = len(led.edges), board.busy_cycles
    assert 0 < toggled < 300
    board.hang()
    board.run_for_ms(1_000)
    assert len(led.edges) == toggled
    assert board.busy_cycles == busy
    assert len(step.rising) == 500
    assert {b - a for a, b in zip(step.rising, step.rising[1:], strict=False)} == {PERIOD}
    board.reset()
    board.boot()
    assert RawRepl(board).run("print('back')") == "back\n"


@pytest.mark.req("SAFE-04")
def test_a_hang_at_a_given_time_lets_the_watchdog_bite(prompt):
    board = prompt.board
    led = EdgeRecorder(board, "LED")
    prompt.start("""
import machine
from machine import Pin
led = Pin(NET['LED'], Pin.OUT)
watchdog = machine.WDT(timeout=500)
while True:
    led.toggle()
    watchdog.feed()
""")
    hang_ns = board.now_ns + 20_000_000
    board.schedule_ns(hang_ns, board.hang)
    board.run_for_ms(500)
    assert board.resets == 0
    assert 0 <= hang_ns - led.edges[-1].cycle * 8 < 1_000_000  # it toggled until then and no longer
    board.run_for_ms(100)
    assert board.resets == 1
    assert board.host.connected  # the chip has started again the moment it was bitten
    assert RawRepl(board).run("import machine\nprint(machine.reset_cause() == machine.WDT_RESET)") == "True\n"


@pytest.mark.req("MOT-05")
def test_a_stalled_processor_goes_on_where_it_was(prompt):
    board = prompt.board
    step, led = EdgeRecorder(board), EdgeRecorder(board, "LED")
    prompt.start(PULSES_AND_TOGGLES)
    board.run_for_ms(60)
    stalled_at = board.now_cycle
    board.stall_cpu_ms(100)
    prompt.result()
    gaps = [later.cycle - earlier.cycle for earlier, later in zip(led.edges, led.edges[1:], strict=False)]
    assert 100 * MS_CYCLES <= max(gaps) < 101 * MS_CYCLES
    assert sum(gap > 2 * MS_CYCLES for gap in gaps) == 1
    assert not [edge for edge in led.edges if stalled_at < edge.cycle < stalled_at + 100 * MS_CYCLES]
    assert prompt.run("print(toggles)") == "300\n"  # the program has noticed nothing
    assert {b - a for a, b in zip(step.rising, step.rising[1:], strict=False)} == {PERIOD}


def test_a_hang_outlasts_a_stall(prompt):
    board = prompt.board
    prompt.start("while True: pass")
    board.run_for_ms(10)
    board.hang()
    board.stall_cpu_ms(10)
    busy = board.busy_cycles
    board.run_for_ms(50)
    assert board.busy_cycles == busy


def test_sleep_costs_no_busy_cycles(prompt):
    board = prompt.board
    before = board.busy_cycles
    prompt.run("import time\ntime.sleep_ms(200)")
    asleep = board.busy_cycles - before
    before = board.busy_cycles
    prompt.run("import time\nend = time.ticks_ms() + 20\nwhile time.ticks_ms() < end: pass")
    awake = board.busy_cycles - before
    assert awake > 20 * MS_CYCLES * 0.9
    assert asleep < awake / 4


def test_a_panic_on_the_chip_is_an_error_here(prompt):
    with pytest.raises(RuntimeError, match="breakpoint"):
        prompt.run("@micropython.asm_thumb\ndef stop():\n    data(2, 0xbe00)\nstop()")
