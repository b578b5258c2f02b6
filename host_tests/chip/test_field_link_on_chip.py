"""Bytes that stopped pumps in the field, and frames of every kind, sent to the image while its motor runs."""

import itertools

import pytest
from field_link import FILES, most_ticks
from fuzz_frames import Draw, harmless, line
from images import BENCH, RELEASE, on_each_image_in_long
from rig import FAILING_LOOP, Rig
from thecal.watch import alarms

pytestmark = pytest.mark.chip

LOOP_FAULT = alarms.LOOP_FAULT

BATCH = 20  # a program of more lines is too much for the compiler on the chip
LEAK_BYTES = 1_024
HEAP = """
import gc, micropython
from thecal import app
a = app.App()
reader = a.pump.host.session.reader
data, at = b"", 0
def read(inputs, most):
    global at
    part = data[at : at + most]
    inputs.rx_len = len(part)
    inputs.rx[: len(part)] = part
    at += len(part)
a.usb.read = read
def turn():
    a.wait()
    a.tick()
    a.outputs.tx_start = a.outputs.tx_end = 0
def hear(lines):
    global data, at
    data, at = b"".join(lines) + b"\\n", 0
    while at < len(data) or reader.parsing or reader.data.find(b"\\n", reader.start, reader.fill) >= 0:
        turn()
def in_use():
    hear([b"stop"])
    for _ in range(30):
        turn()
    gc.collect()
    return gc.mem_alloc()
for _ in range(12):
    turn()
micropython.kbd_intr(3)
"""


@pytest.fixture(scope="module")
def runs(image) -> Rig:
    """A pump that runs, for all that leaves it running: a boot takes as long as three hundred frames."""
    rig = Rig(image)
    rig.start(6_000_000)
    return rig


def send_and_watch(rig: Rig, data: bytes) -> None:
    """No reset, no alarm, no status lost, no edge moved; the pump runs on, and reads all of it in time."""
    rig.statuses.clear()
    first_tick = rig.bench.tick
    rig.bench.send(data + b"\n")
    number = rig.client.request("hello")
    while (reply := rig.client.reply(number)) is None:
        assert rig.bench.tick < first_tick + most_ticks(data) + 20
        rig.run_ticks(5)
    assert reply["state"] == "RUNNING"
    rig.run_ticks(12)
    assert rig.board.resets == 0 and rig.client.restarts == rig.client.gaps == 0
    assert [event["a"] for event in rig.client.events if event["code"] == "alarm" and event["b"]] == []
    assert [event for event in rig.client.events if event["code"] in ("starved", "limited")] == []
    assert rig.statuses[-1]["frames_dropped"] == 0
    seconds = {status["tick"] // 10 for status in rig.statuses}
    assert seconds >= set(range(first_tick // 10 + 1, rig.bench.tick // 10))
    assert rig.worst_edge_cycles() <= 16 and rig.no_backlog()
    assert rig.worst_off_steps() <= 1


@pytest.mark.req("LNK-02", "SAFE-05", "MOT-05", "SIM-01")
@pytest.mark.parametrize(
    ("image", "count"),
    [
        (BENCH, 500),
        (RELEASE, 200),
        pytest.param(BENCH, 10_000, marks=pytest.mark.long),
        pytest.param(RELEASE, 10_000, marks=pytest.mark.long),
    ],
    indirect=["image"],
)
def test_frames_of_every_kind_leave_a_running_pump_running_and_exact(runs, count):
    draw = Draw(7)
    ids = itertools.count(10_000)  # none of the rig's own
    tame = [row for row in harmless() if row.name != "log"]
    send_and_watch(runs, b"".join(line(draw, tame, ids) for _ in range(count)))


@pytest.mark.req("LNK-02", "LNK-03", "LNK-05", "SAFE-05", "MOT-05")
@on_each_image_in_long
def test_what_came_from_the_field_leaves_a_running_pump_running_and_exact(runs):
    """One file after the other on one pump; the `prime` and `stop` of the last one end stopped."""
    for path in FILES:
        if path.stem != "prime_then_stop":
            send_and_watch(runs, path.read_bytes())
    runs.bench.send(next(path for path in FILES if path.stem == "prime_then_stop").read_bytes())
    runs.run_ticks(20)
    made = len(runs.edges.rising)
    assert runs.ask("hello")["state"] == "STOPPED" and runs.board.pin("EN") == 1
    runs.run_ticks(20)
    assert len(runs.edges.rising) == made and runs.board.resets == 0


@pytest.mark.req("LNK-02", "SAFE-05", "PERF-02")
def test_frames_of_every_kind_leave_the_heap_as_it_was(pump_prompt):
    """Counted after a stop, which ends what was proposed and what waits."""
    pump_prompt.run(HEAP, limit_ms=60_000)
    draw = Draw(11)
    ids = itertools.count(1)
    found = []
    for _ in range(3):
        for _ in range(5):
            lines = [line(draw, harmless(), ids) for _ in range(BATCH)]
            pump_prompt.run(f"hear({lines!r})", limit_ms=60_000)
        found.append(int(pump_prompt.run("print(in_use())", limit_ms=60_000).split()[-1]))
    pump_prompt.run("a.stepper.halt()")
    print(f"bytes of heap in use after each hundred: {found}")
    assert max(found[1:]) - found[0] <= LEAK_BYTES


@pytest.mark.req("SAFE-04", "SAFE-05", "MOT-06")
def test_a_loop_that_failed_three_times_comes_back_halted_with_its_alarm_and_a_record(image):
    """The image itself boots after the program that fails: the jumper is taken off meanwhile."""
    rig = Rig(
        image,
        program=FAILING_LOOP,
    )
    rig.start(60_000_000)
    rig.board.release_pin("MAINTENANCE")
    rig.board.set_pin("MAINTENANCE", 1)
    rig.board.run_until(lambda: rig.board.resets == 1, 6_000, "the reset of a loop that fails")
    made = len(rig.edges.rising)
    rig.run_ticks(30)
    status = rig.status()
    assert status["state"] == "HALTED" and status["alarm"] == LOOP_FAULT
    assert rig.board.pin("EN") == 1 and rig.board.resets == 1
    assert len(rig.edges.rising) <= made + 1, "the pulse of the self-test"
    found = rig.ask("log", stream="faults", **{"from": 0})
    from thecal_host import log

    entries = [bytes.fromhex(found["entries"][at : at + 64]) for at in range(0, len(found["entries"]), 64)]
    codes = [(event["code"], event["a"]) for event in map(log.event_of, entries)]
    assert ("alarm", LOOP_FAULT) in codes
