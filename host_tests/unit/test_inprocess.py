"""The in-process board: its motor against the edges of its segments, its loop against the real one."""

import zlib
from fractions import Fraction
from pathlib import Path

import pytest
from pump_on_bench import forgetful_pump
from thecal.crc import digits_into
from thecal.drivers import segment
from thecal.states import STATES
from thecal_bench import inprocess
from thecal_bench.bench import BOOT_TICKS, Bench, BenchError, NotPossible
from thecal_bench.inprocess import CYCLE_NS, TICK_CYCLES, HostBench, Motor, host_crc
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient

FIRMWARE = Path(inprocess.__file__).parents[2] / "firmware" / "thecal"


def plant_of(bench: Bench) -> Plant:
    assert bench.plant is not None
    return bench.plant


class Host:
    """A link client that asks and waits for the answer, which comes when what it needs is written down."""

    def __init__(self, bench):
        self.bench = bench
        self.link = LinkClient(bench.send)
        bench.on_data = self.link.feed

    def ask(self, cmd, **args):
        number = self.link.request(cmd, **args)
        reply = None
        for _ in range(20):
            self.bench.advance_to_tick(self.bench.tick + 1)
            reply = self.link.reply(number)
            if reply is not None:
                break
        assert reply is not None and reply["ok"], (cmd, reply)
        return reply

    def start(self, rate_nl_h):
        therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
        self.ask("confirm", digest=self.ask("program", therapy=therapy)["digest"])
        self.ask("start")
        return self.started()

    def started(self):
        """The tick at which the pump last entered RUNNING: from there on it owes."""
        moves = [event for event in self.link.events if event["code"] == "state"]
        return [move["tick"] for move in moves if STATES[move["b"]] == "RUNNING"][-1]

    def codes(self):
        return [event["code"] for event in self.link.events]


def test_the_clock_of_the_motor_is_that_of_its_segments():
    assert segment.CYCLES_PER_US * CYCLE_NS == 1_000
    assert TICK_CYCLES == segment.TICK_CYCLES


def test_crc_of_the_host_is_the_crc_of_the_pump():
    data = bytearray(b'{"id":1,"cmd":"hello"} and more')
    for start, end in ((0, 22), (3, 31), (5, 5)):
        theirs, ours = bytearray(8), bytearray(16)
        digits_into(data, start, end, theirs)
        host_crc(data, start, end, ours)
        assert ours[:8] == theirs == b"%08x" % zlib.crc32(data[start:end])


def test_motor_makes_the_edges_of_its_segments():
    """Position at every instant near an edge, over segments of all kinds, counted edge by edge."""
    motor = Motor()
    cutter = segment.Cutter(segment.LEAST_PULSE, segment.MIN_PERIOD_CYCLES)
    segments = [(3, 960_000), (0, 2_000_000), (240, 2_000_000), (1, 2_000_000), (54, 2_000_000)]
    target, start, edges = 0, 1000, []
    for index, (steps, cycles) in enumerate(segments):
        target += steps
        if index == 4:
            motor.go(1000)
        motor.queue(target, cycles, 4_000, 3_000, 1000)
        cutter.cut(steps, cycles, 4_000, 3_000)
        edges += [start + cutter.first_edge() + k * cutter.period() for k in range(steps)]
        start += cutter.length()
    assert edges == sorted(edges)
    for made, edge in enumerate(edges):
        assert motor.executed_steps(edge - 1) == made
        assert motor.executed_steps(edge) == made + 1
    assert motor.executed_steps(start - 1) == target
    assert not motor.starved
    assert motor.executed_steps(start) == target
    assert motor.starved
    assert motor.executed_steps(start + 10**9) == target


def test_motor_halts_in_mid_segment_and_resumes_from_there():
    motor = Motor()
    motor.queue(100, 2_000_000, 5_000, 15_000, 0)
    motor.go(0)
    motor.halt(1_000_000)
    assert motor.executed_steps(10**7) == motor.ordered_steps == 50
    assert not motor.starved
    motor.queue(40, 2_000_000, 0, 0, 10**7)  # behind: a pause
    motor.queue(60, 2_000_000, 50_000, 150_000, 10**7)
    motor.go(10**7)
    assert motor.executed_steps(10**7 + 2_000_000) == 50
    assert motor.executed_steps(10**7 + 4_000_000) == 60


def test_motor_that_ran_dry_starts_again_with_the_next_order():
    motor = Motor()
    motor.queue(10, 2_000_000, 50_000, 150_000, 0)
    motor.go(0)
    assert motor.executed_steps(10**7) == 10 and motor.starved
    motor.queue(20, 2_000_000, 50_000, 150_000, 10**7)
    assert motor.executed_steps(10**7 + 1_000_000) == 15
    assert motor.starved  # until it is started anew


def test_motor_takes_no_more_than_the_queue_holds_and_no_more_steps_than_the_segment():
    motor = Motor()
    for _ in range(4):
        motor.queue(10**6, 2_000_000, 0, 0, 0)
    assert motor.ordered_steps == 4 * segment.MAX_STEPS
    assert motor.queue_free() == 0
    with pytest.raises(BenchError, match="while 4 wait"):
        motor.queue(10**6, 2_000_000, 0, 0, 0)


@pytest.mark.req("DOSE-05", "MOT-01")
def test_an_hour_is_delivered_to_the_step_and_the_plant_agrees():
    bench = HostBench()
    host = Host(bench)
    started = host.start(6_000_000)
    bench.advance_to_tick(started + 36_000)
    assert bench.motor.executed_steps(bench.tick * TICK_CYCLES) == plant_of(bench).steps_seen == 192_000
    assert plant_of(bench).displaced_nl() == 6_000_000
    assert bench.inputs.encoder_count == 6000
    assert host.link.gaps == host.link.bad_frames == host.link.crc_errors == 0


@pytest.mark.req("MOT-04")
def test_a_hung_loop_stops_the_motor_within_a_second():
    bench = HostBench()
    host = Host(bench)
    host.start(60_000_000)
    bench.advance_to_tick(bench.tick + 100)
    hung = bench.tick + 1
    bench.schedule(hung, bench.hang)
    bench.advance_to_tick(hung)
    at_hang = plant_of(bench).steps_seen
    frames = host.link.last_status
    bench.advance_to_tick(hung + 10)
    stopped = plant_of(bench).steps_seen
    bench.advance_to_tick(hung + 1000)
    assert plant_of(bench).steps_seen == stopped
    assert 0 < stopped - at_hang <= 534  # a second at 60 mL/h is 533.3 steps
    assert host.link.last_status == frames


def test_a_disconnected_host_gets_nothing_and_sends_nothing():
    bench = HostBench()
    host = Host(bench)
    host.start(60_000_000)
    bench.host_disconnect()
    with pytest.raises(BenchError, match="disconnected"):
        bench.send(b"x")
    last = host.link.last_status
    bench.advance_to_tick(bench.tick + 50)
    assert host.link.last_status == last
    bench.host_connect()
    bench.advance_to_tick(bench.tick + 50)
    assert host.link.gaps == 5
    assert (host.link.last_status or {})["state"] == "RUNNING"


def test_actions_come_just_before_their_tick_in_order():
    bench = HostBench()
    seen = []
    bench.schedule(7, lambda: seen.append(("b", bench.tick, bench.now_ns)))
    bench.schedule(5, lambda: seen.append(("a", bench.tick, bench.now_ns)))
    bench.schedule(7, lambda: seen.append(("c", bench.tick, bench.now_ns)))
    bench.schedule(5, lambda: bench.schedule(6, lambda: seen.append(("d", bench.tick, bench.now_ns))))
    bench.advance_to_tick(10)
    assert seen == [
        ("a", 4, 500_000_000),
        ("d", 5, 600_000_000),
        ("b", 6, 700_000_000),
        ("c", 6, 700_000_000),
    ]


@pytest.mark.req("SIM-03")
def test_a_run_does_not_depend_on_how_it_was_advanced():
    def run(stride):
        bench = HostBench(Plant(seed=5))
        data = bytearray()
        host = Host(bench)
        host.start(7_654_321)
        bench.on_data = data.extend
        end = bench.tick + 600
        while bench.tick < end:
            bench.advance_to_tick(min(end, bench.tick + stride))
        return bytes(data)

    assert run(1) == run(7) == run(600) != b""


@pytest.mark.req("DOSE-03")
def test_a_late_loop_is_the_loop_of_the_board():
    """Held up by 30 ms every third turn: late ticks, none merged, and still on the step at every tick."""
    late = HostBench(lateness_us=lambda turn: 30_000 if turn % 3 == 0 else 0)
    host = Host(late)
    started = host.start(6_000_000)
    late.advance_to_tick(started + 3600)
    assert "merged" not in host.codes()
    assert late.motor.executed_steps((started + 3600) * TICK_CYCLES) == 19_200


@pytest.mark.req("DOSE-03")
@pytest.mark.parametrize("counter_us", [0, ((1 << 30) - 20_000) * 1000, (1 << 30) - 500_000])
def test_a_loop_held_up_for_long_merges_ticks_and_one_held_up_longer_starves(counter_us):
    """Also where the millisecond and the microsecond counter wrap within the run. No journal: it would book
    no more than 2 s ahead, and have the rest dropped.
    """
    held_us = {100: 430_000, 300: 5_000_000}
    bench = HostBench(
        pump=forgetful_pump(), lateness_us=lambda turn: held_us.get(turn, 0), counter_us=counter_us
    )
    host = Host(bench)
    started = host.start(6_000_000)
    bench.advance_to_tick(1000)
    merged, starved = ([e for e in host.link.events if e["code"] == code] for code in ("merged", "starved"))
    # 430 ms late: four ticks missed, the fifth comes 30 ms late. 5 s late: 50 are missed.
    assert [event["a"] for event in merged] == [4, 50]
    # The motor had up to a second of orders (10 to 8 ticks of 5.3 steps); the rest of 5.1 s is forfeited.
    assert len(starved) == 1
    assert 4.0 * 53.3 <= starved[0]["a"] <= 4.4 * 53.4
    assert starved[0]["tick"] == merged[1]["tick"]
    owed = Fraction(16, 3) * (bench.tick - started) - starved[0]["a"]
    assert abs(plant_of(bench).steps_seen - owed) <= 1


# --- what happens to the plant


class Reader:
    """A pump that only looks."""

    def __init__(self):
        self.seen = []

    def decide(self, inputs, outputs):
        self.seen.append({name: value for name, value in vars(inputs).items() if name != "rx"})
        outputs.clear_orders()

    def keep(self):
        pass

    def report(self, inputs, outputs):
        pass


def test_what_happens_to_the_plant_reaches_the_inputs_in_its_tick():
    plant, reader = Plant(seed=2), Reader()
    bench = HostBench(plant, reader)
    for tick, act in {
        10: lambda: plant.set_air(True),
        20: lambda: plant.set_driver_fault(True, bench.now_ns),
        30: lambda: plant.set_supply(6),
        40: lambda: plant.free_flow(120_000_000, bench.now_ns),
        140: lambda: plant.free_flow(0, bench.now_ns),
        150: lambda: plant.sensor_fault("pressure_up", "open", bench.now_ns),
        160: lambda: plant.sensor_fault("encoder", "noise", bench.now_ns),
    }.items():
        bench.schedule(tick, act)
    bench.advance_to_tick(170)

    def changes(name):
        values = [seen[name] for seen in reader.seen]
        return [
            (tick, now)
            for tick, (was, now) in enumerate(zip(values, values[1:], strict=False), 1)
            if was != now
        ]

    assert changes("air") == [(10, True)]
    assert changes("driver_fault") == [(20, True)]
    assert changes("supply_raw") == [(30, 1200)]
    # 120 mL/h for 10 s are 333.3 uL: pulses of 1 uL, marks of 100 uL
    assert (reader.seen[139]["encoder_count"], reader.seen[140]["encoder_count"]) == (330, 333)
    assert [now for _, now in changes("index_count")] == [1, 2, 3]
    assert reader.seen[150]["encoder_count"] == 333
    assert [seen["encoder_count"] - 333 for seen in reader.seen[160:]] == [5 * tick for tick in range(11)]
    assert {seen["pressure_up_raw"] for seen in reader.seen[150:]} == {4095}
    assert {seen["executed_steps"] for seen in reader.seen} == {0}


def blind(bench):
    """Its pump feels nothing, and so does not stop the motor."""
    bench.pump.senses.look = lambda *_: -1
    return bench


@pytest.mark.req("MOT-01")
def test_a_motor_that_stalls_counts_on_while_the_encoder_stands():
    bench = blind(HostBench())
    host = Host(bench)
    host.start(36_000_000)
    bench.advance_to_tick(bench.tick + 100)
    plant_of(bench).set_stalled(True)
    before = bench.inputs.executed_steps, bench.inputs.encoder_count
    bench.advance_to_tick(bench.tick + 100)
    assert bench.inputs.executed_steps == before[0] + 3200
    assert bench.inputs.encoder_count == before[1]


@pytest.mark.req("MOT-01")
@pytest.mark.parametrize("kind", ["open", "short", "stuck"])
def test_without_the_wire_of_step_sense_steps_are_made_and_not_counted(kind):
    """As on the board: the driver takes its position from the counter, so each start goes on from there.

    No journal: what it has booked would end when so much is ordered and nothing counted.
    """
    bench = blind(HostBench(pump=forgetful_pump()))
    host = Host(bench)
    plant = plant_of(bench)
    host.start(36_000_000)
    bench.advance_to_tick(bench.tick + 100)
    counted, made = bench.inputs.executed_steps, plant.steps_seen
    plant.sensor_fault("step_sense", kind, bench.now_ns)
    bench.advance_to_tick(bench.tick + 100)
    assert bench.inputs.executed_steps == counted
    assert plant.steps_seen == made + 3200
    host.ask("stop")
    plant.sensor_fault("step_sense", "clear", bench.now_ns)
    bench.advance_to_tick(bench.tick + 5)
    counted, made = bench.inputs.executed_steps, plant.steps_seen
    host.ask("start")
    bench.advance_to_tick(bench.tick + 100)
    assert bench.inputs.executed_steps - counted == plant.steps_seen - made > 3100


@pytest.mark.req("MOT-01")
def test_noise_on_step_sense_is_counted_as_steps():
    """50 a second; nothing was ordered, so the pump takes it for a runaway."""
    bench = HostBench()
    host = Host(bench)
    bench.advance_to_tick(10)
    plant_of(bench).sensor_fault("step_sense", "noise", bench.now_ns)
    bench.advance_to_tick(20)
    assert bench.inputs.executed_steps == 50
    assert plant_of(bench).steps_seen == 0
    assert STATES[bench.pump.control.state] == "HALTED"
    assert "alarm" in host.codes()


@pytest.mark.req("REC-04")
def test_a_reset_begins_every_count_anew_and_the_motor_goes_on_from_where_it_is():
    bench = HostBench()
    host = Host(bench)
    host.start(36_000_000)
    bench.advance_to_tick(bench.tick + 1000)
    plant = plant_of(bench)
    made, marks = plant.steps_seen, plant.encoder_count
    assert bench.inputs.index_count == plant.index_count == made // 3200 > 5
    bench.reset()
    bench.advance_to_tick(bench.tick + BOOT_TICKS + 1)
    inputs = bench.inputs
    assert (inputs.executed_steps, inputs.encoder_count, inputs.index_count) == (0, 0, 0)
    assert inputs.tick_s == 0 and inputs.tick_ms == 0
    assert plant.steps_seen == made
    host.link.events.clear()
    bench.advance_to_tick(bench.tick + 1000)
    # It flows from the end of the third tick on: an erase and a snapshot come before.
    assert inputs.executed_steps == plant.steps_seen - made == (1000 - 2) * 32
    assert inputs.encoder_count == plant.encoder_count - marks


@pytest.mark.req("REC-01", "REC-03", "REC-04")
def test_while_the_power_is_off_the_plant_goes_on_and_nobody_hears():
    bench = HostBench()
    host = Host(bench)
    host.start(36_000_000)
    bench.advance_to_tick(bench.tick + 1000)
    plant = plant_of(bench)
    made, loaded_pa = plant.steps_seen, plant.pressure_down_pa(bench.now_ns)
    pump = bench.pump
    host.link.events.clear()
    bench.power_cut(600)
    plant.free_flow(6_000_000, bench.now_ns)
    bench.send(b"nobody is there")
    begun = bench.tick
    bench.advance_to_tick(begun + 600)
    assert plant.steps_seen == made and plant.pressure_down_pa(bench.now_ns) < loaded_pa / 2
    assert not host.link.events
    plant.free_flow(0, bench.now_ns)
    bench.advance_to_tick(begun + 600 + BOOT_TICKS + 1)
    (boot,) = (event for event in host.link.events if event["code"] == "boot")
    assert bench.pump is not pump and bench.inputs.encoder_count == 0
    # It counts what was reserved, and its time goes on from the last record.
    assert 0 <= boot["executed_steps"] - made <= 2 * 320
    assert begun - 20 <= boot["tick"] <= begun
    assert host.link.bad_frames == 0
    bench.advance_to_tick(bench.tick + 100)
    assert plant.steps_seen > made + 2_000


def test_a_board_whose_pump_is_elsewhere_says_that_it_can_not_be_reset():
    with pytest.raises(NotPossible, match="the caller's own"):
        HostBench(pump=Reader()).reset()
    with pytest.raises(NotPossible, match="the caller's own"):
        HostBench(pump=Reader()).power_cut(10)
