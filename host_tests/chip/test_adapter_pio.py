"""PIO on the emulated chip keeps its time to the cycle, asleep and awake; the bare emulator does not."""

import pytest
from programs import COUNTER, PULSE_PERIOD_PIO_CYCLES, PULSES
from thecal_bench.chip import EdgeRecorder, SegmentRecorder

pytestmark = pytest.mark.chip

PULSE_HZ = 100_000
PIO_CYCLE = 125_000_000 // PULSE_HZ
PERIOD = PULSE_PERIOD_PIO_CYCLES * PIO_CYCLE
PULSES_MADE = 200
PULSES_TAKE_MS = PULSES_MADE * PERIOD // 125_000 + 1

COLLECT_FOR_EVER = "import gc\nwhile True:\n    gc.collect()\n"


def intervals(rising: list[int]) -> set[int]:
    return {later - earlier for earlier, later in zip(rising, rising[1:], strict=False)}


def pulses_of(prompt, meanwhile: str = "") -> list[int]:
    """The cycles of the rising edges of a train of pulses, while the processor does something else."""
    recorder = EdgeRecorder(prompt.board)
    prompt.start(PULSES + f"maker = pulses({PULSES_MADE}, {PULSE_HZ})\n" + meanwhile)
    prompt.board.run_for_ms(PULSES_TAKE_MS + 30)
    return recorder.rising


@pytest.mark.req("MOT-05")
@pytest.mark.parametrize("meanwhile", ["", COLLECT_FOR_EVER], ids=["asleep", "collecting"])
def test_edges_are_on_their_cycle(prompt, meanwhile):
    rising = pulses_of(prompt, meanwhile)
    assert len(rising) == PULSES_MADE
    assert intervals(rising) == {PERIOD}
    assert [block.backlog_drops for block in prompt.board.pio] == [0, 0]


def test_the_bare_emulator_forgets_pio_while_the_core_sleeps(make_prompt):
    prompt = make_prompt(mend_pio=False)
    rising = pulses_of(prompt)
    assert prompt.board.mcu.pio[0].backlog_drops > 0
    assert intervals(rising) != {PERIOD} or len(rising) < PULSES_MADE


def test_skipping_delay_loops_changes_no_edge(make_prompt):
    recorded = []
    for skips in (True, False):
        prompt = make_prompt()
        for block in prompt.board.pio:
            block.skips_delay_loops = skips
        recorder = EdgeRecorder(prompt.board)
        # Reading x by a forced instruction looks into the loop while it is being skipped.
        prompt.start(
            PULSES
            + f"maker = pulses({PULSES_MADE}, {PULSE_HZ})\n"
            + "for _ in range(20):\n    maker.exec('mov(isr, y)'); maker.exec('push()'); print(maker.get())\n"
        )
        prompt.board.run_for_ms(PULSES_TAKE_MS + 30)
        recorded.append((recorder.edges, prompt.printed, prompt.board.pio[0].callbacks))
    (edges, printed, callbacks), (all_edges, all_printed, all_callbacks) = recorded
    assert len(edges) == 2 * PULSES_MADE
    assert edges == all_edges
    assert printed == all_printed
    assert len(set(printed.split())) > 5  # the looks have seen the loop in different turns
    assert callbacks < all_callbacks / 5


def test_a_machine_that_waits_for_a_pin_costs_nothing(prompt):
    prompt.run(COUNTER + "watch('STEP_SENSE')")
    before = prompt.board.pio[1].callbacks
    prompt.board.run_for_ms(1_000)
    assert prompt.board.pio[1].callbacks == before


def test_a_put_is_recorded_and_so_is_the_cycle_of_its_pull(prompt):
    recorder = SegmentRecorder(prompt.board, 0)
    edges = EdgeRecorder(prompt.board)
    prompt.run(PULSES + "maker = pulses(3, 100_000)\nmaker.put(4)\nmaker.put(5)")
    prompt.board.run_for_ms(10)
    assert [segment.word for segment in recorder.offered] == [2, 4, 5]
    assert [segment.word for segment in recorder.taken] == [2, 4, 5]
    # From the pull to the first edge: pull, mov, and the edge at the end of its own first cycle.
    firsts = [edges.rising[0], edges.rising[3], edges.rising[8]]
    assert [first - taken.cycle for first, taken in zip(firsts, recorder.taken, strict=True)] == [
        2 * PIO_CYCLE
    ] * 3


def test_a_machine_interrupts_the_processor(prompt):
    assert (
        prompt.run("""
import rp2, time
@rp2.asm_pio()
def knock():
    irq(rel(0))
    set(x, 31)
    label("rest")
    jmp(x_dec, "rest") [31]
count = 0
def heard(machine):
    global count
    count += 1
machine = rp2.StateMachine(2, knock, freq=1_000_000)
machine.irq(heard)
machine.active(1)
time.sleep_ms(10)
machine.active(0)
print(count)
""")
        == "10\n"
    )  # one every 32 * 32 + 2 = 1 026 us


def test_a_new_machine_starts_with_empty_queues(prompt):
    assert (
        prompt.run("""
import rp2
@rp2.asm_pio()
def idle():
    nop()
machine = rp2.StateMachine(1, idle, freq=100_000)
for word in range(3):
    machine.put(word)
before = machine.tx_fifo()
machine = rp2.StateMachine(1, idle, freq=100_000)
print(before, machine.tx_fifo())
""")
        == "3 0\n"
    )


def test_joined_queues_are_eight_deep(prompt):
    assert (
        prompt.run("""
import rp2
@rp2.asm_pio(fifo_join=rp2.PIO.JOIN_TX)
def idle():
    nop()
machine = rp2.StateMachine(1, idle, freq=100_000)
for word in range(8):
    machine.put(word)
print(machine.tx_fifo())
""")
        == "8\n"
    )


def test_a_forced_jump_frees_a_stalled_machine(prompt):
    edges = EdgeRecorder(prompt.board)
    prompt.run("""
import rp2
from machine import Pin, mem32
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def stalls():
    pull()
    wrap_target()
    set(pins, 1) [31]
    set(pins, 0) [31]
    wrap()
machine = rp2.StateMachine(0, stalls, freq=100_000, set_base=Pin(NET['STEP']))
machine.active(1)
stalled_at = mem32[0x5020_00d4]  # SM0_ADDR
machine.exec(stalled_at + 1)  # jmp, always
""")
    prompt.board.run_for_ms(10)
    assert intervals(edges.rising) == {64 * PIO_CYCLE}


def test_a_forced_instruction_moves_its_pin_at_once(prompt):
    prompt.run(PULSES + "maker = rp2.StateMachine(0, pulse_maker, set_base=Pin(NET['STEP']))")
    for level in (1, 0, 1):
        prompt.run(f"maker.exec('set(pins, {level})')")
        assert prompt.board.pin("STEP") == level


def test_a_pin_frees_a_waiting_machine_one_of_its_cycles_later(prompt):
    prompt.run("""
import rp2
from machine import Pin
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def echo():
    wait(1, pin, 0)
    set(pins, 1)
    wait(0, pin, 0) [2]
    set(pins, 0)
machine = rp2.StateMachine(0, echo, freq=2000, set_base=Pin(NET['STEP']), in_base=Pin(NET['AIR'], Pin.IN))
machine.active(1)
""")
    board = prompt.board
    board.run_for_ms(50)
    cycle = 125_000_000 // 2000
    edges = EdgeRecorder(board)
    for level, cycles_later in ((1, cycle), (0, 3 * cycle), (1, cycle)):
        board.set_pin("AIR", level)
        changed_at = board.now_cycle
        board.run_for_ms(10)
        assert edges.edges[-1] == (changed_at + cycles_later, level)


def test_dma_feeds_a_machine(prompt):
    edges = EdgeRecorder(prompt.board)
    prompt.run(
        PULSES
        + """
from array import array
maker = rp2.StateMachine(0, pulse_maker, freq=100_000, set_base=Pin(NET['STEP']))
counts = array('I', [n for n in range(10)])
channel = rp2.DMA()
control = channel.pack_ctrl(size=2, inc_write=False, treq_sel=0)
channel.config(read=counts, write=maker, count=len(counts), ctrl=control, trigger=True)
maker.active(1)
"""
    )
    prompt.board.run_for_ms(50)
    assert len(edges.rising) == sum(range(1, 11))
