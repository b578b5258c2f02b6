"""The application on the chip: nothing allocated in the steady loop, native CRC, faults that end with the
motor off.
"""

import pytest
from forked import from_boot
from rig import FAILING_LOOP, Rig
from thecal.watch import alarms
from thecal_bench.chip import EmulatedBoard
from thecal_bench.chip.plant_wiring import wire_plant, wire_world
from thecal_bench.plant import Plant

pytestmark = pytest.mark.chip


@pytest.mark.req("PERF-02", "LNK-04")
@pytest.mark.parametrize("ticks", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_the_steady_loop_allocates_nothing(pump_prompt, ticks):
    """Under heap_lock, running, a status frame in every tenth tick: an allocation would raise."""
    printed = pump_prompt.run(
        f"TICKS = {ticks}"
        """
import gc, micropython
from thecal import app, states
from thecal.dose import prescription
a = app.App()
p = a.pump
while p.control.state != states.STOPPED:
    a.wait()
    a.tick()
therapy = {"mode": "continuous", "rate_num": 59999999, "rate_den": 1}
p.regimen.put_in_force(prescription.parse(therapy, p.mechanism))
p.critical.words.keep_all()
for _ in range(3):  # until its motion is booked
    a.wait()
    a.tick()
p.control.enter(states.RUNNING, 0)
p.critical.words.keep_all()
for _ in range(3):
    a.wait()
    a.tick()
before = 0  # a place in the table of globals, which may grow for it
gc.collect()
def steady(n):
    micropython.heap_lock()
    while n:
        a.tick()
        n -= 1
    micropython.heap_unlock()
before = gc.mem_alloc()
for _ in range(60):
    a.wait()
    micropython.heap_lock()
    a.tick()
    micropython.heap_unlock()
steady(TICKS - 60)  # as fast as they go: the clock of the ticks runs ahead of the motor's
a.stepper.halt()
a.stepper.enable(False)
micropython.kbd_intr(3)
print()
print("ticks", p.clock.tick, "bytes", gc.mem_alloc() - before, "state", states.STATES[p.control.state])
""",
        limit_ms=60_000,
    )
    last = printed.strip().splitlines()[-1].split()
    assert int(last[1]) >= ticks
    assert last[2:] == ["bytes", "0", "state", "RUNNING"]


def test_the_native_crc_is_the_plain_one(prompt):
    printed = prompt.run(
        """
import os
from thecal import crc
from thecal.drivers import fast_crc
same = 0
for n in range(40):
    data = os.urandom(n * 5)
    plain, native = bytearray(8), bytearray(8)
    crc.digits_into(data, n, len(data), plain)
    fast_crc.digits_into(data, n, len(data), native)
    same += plain == native
    plain = bytearray(os.urandom(4))
    native = bytearray(plain)
    crc.crc_into(data, n, len(data), plain)
    fast_crc.crc_into(data, n, len(data), native)
    same += plain == native
print(same)
"""
    )
    assert printed.split() == ["80"]


@pytest.mark.req("SAFE-05")
@pytest.mark.parametrize("room", ["pump.decide", "pump.report", "sensors.read", "usb.read"])
def test_an_exception_in_the_loop_stops_the_motor_and_is_reported(image, room):
    """The same image, with one part replaced by one that raises after 30 ticks."""
    owner, name = room.split(".")
    rig = Rig(
        image,
        program=f"""
from thecal import app
class Broken(app.App):
    turns = 0
    def __init__(self):
        super().__init__()
        self.whole = self.{owner}.{name}
        self.{owner}.{name} = self.breaking
    def breaking(self, *arguments):
        self.turns += 1
        if self.turns == 30:
            raise ValueError
        return self.whole(*arguments)
app.App = Broken
app.run()
""",
    )
    rig.start(60_000_000)
    rig.board.run_until_ns(rig.bench._due_ns(29) + 50_000_000)  # in that very turn
    made = len(rig.edges.rising)
    assert made > 0 and rig.board.pin("EN") == 1
    rig.run_ticks(20)
    assert len(rig.edges.rising) == made
    raised = [event["a"] for event in rig.client.events if event["code"] == "alarm"]
    assert raised == [alarms.LOOP_FAULT]
    assert rig.status()["state"] == "HALTED"


@pytest.mark.req("SAFE-05", "SAFE-04")
def test_a_loop_that_keeps_failing_resets_the_board_with_the_motor_off(image):
    rig = Rig(
        image,
        program=FAILING_LOOP,
    )
    rig.start(60_000_000)
    rig.board.run_for_ms(4_000)
    assert rig.board.resets == 1
    made = len(rig.edges.rising)
    assert made > 0 and rig.board.pin("EN") == 1
    rig.board.run_for_ms(1_000)
    assert len(rig.edges.rising) == made


@pytest.mark.req("SEC-04")
@from_boot
def test_a_running_pump_has_no_prompt(rig):
    """Ctrl-C, Ctrl-D, Ctrl-A and a break in the middle of everything are noise to the pump."""
    rig.start(6_000_000)
    for keys in (b"\x03", b"\x03\x03\x01", b"\x04", b"\x02", b"import machine\r\nmachine.reset()\r\n"):
        rig.bench.send(keys)
        rig.run_ticks(2)
    rig.bench.send(b"\n")
    assert rig.ask("hello")["state"] == "RUNNING"
    assert rig.board.resets == 0


@pytest.mark.req("SEC-04")
@pytest.mark.parametrize("is_fitted", [False, True], ids=["open", "fitted"])
def test_a_storm_of_every_control_byte_from_power_on_gives_a_prompt_with_the_jumper_only(image, is_fitted):
    board = EmulatedBoard(image)
    board.set_pin("MAINTENANCE", 0 if is_fitted else 1)
    wire_plant(board, plant := Plant())
    wire_world(board, plant)
    received = bytearray()
    board.on_data = received.extend
    storm = bytes(range(32)) + b"\x7f" + b"\x03" * 9
    for _ in range(40):
        board.send(storm)
        board.run_for_ms(50)
    board.send(b"\r\n" + b"print(7*191)\r\n" + b"hello\r\n")
    board.run_for_ms(2_000)
    said = bytes(received)
    board.close()
    assert (b"1337" in said, b">>>" in said) == (is_fitted, is_fitted)
    if not is_fitted:
        assert board.resets == 0 and b'"state":"STOPPED"' in said
