"""The emulated board as a bench: its ticks are the device's, actions come just before them, faults show."""

import json
import zlib
from contextlib import closing
from fractions import Fraction

import pytest
from thecal_bench.bench import TICK_NS, BenchError
from thecal_bench.chip.bench import ChipBench
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant

pytestmark = pytest.mark.chip

RATE_NL_H = 60_000_000


class Talk:
    """The link, by hand: requests out, frames in."""

    def __init__(self, bench: ChipBench) -> None:
        self.bench = bench
        self.frames: list[dict] = []
        self._line = bytearray()
        self._id = 0
        bench.on_data = self._hear

    def _hear(self, data: bytes) -> None:
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            text, _, crc = line.rpartition(b" ")
            assert int(crc, 16) == zlib.crc32(text)
            self.frames.append(json.loads(text))

    def ask(self, command: str, **arguments) -> dict:
        self._id += 1
        asked = {"id": self._id, "run": "00000001", "cmd": command, **arguments}
        text = json.dumps(asked).encode()
        self.bench.send(b"%s %08x\n" % (text, zlib.crc32(text)))
        for _ in range(20):
            self.bench.advance_to_tick(self.bench.tick + 1)
            for frame in self.frames:
                if frame["type"] == "reply" and frame["id"] == self._id:
                    assert frame["ok"], frame
                    return frame
        raise AssertionError(f"no reply to {command} within 20 ticks")

    def statuses(self) -> list[dict]:
        return [frame for frame in self.frames if frame["type"] == "status"]


@pytest.fixture
def bench(image):
    with closing(ChipBench(image=image)) as bench:
        yield bench


@pytest.fixture
def running(bench):
    """A bench whose pump is running at 60 mL/h, and the talk with it."""
    talk = Talk(bench)
    bench.advance_to_tick(0)
    therapy = {"mode": "continuous", "rate_num": RATE_NL_H, "rate_den": 1}
    digest = talk.ask("program", therapy=therapy)["digest"]
    talk.ask("confirm", digest=digest)
    talk.ask("start")
    return talk


@pytest.mark.req("SIM-01")
def test_the_bench_knows_the_devices_tick(bench):
    assert bench.tick == -1
    talk = Talk(bench)
    bench.advance_to_tick(3)
    assert bench.tick == 3
    assert talk.ask("hello")["tick"] == bench.tick == 4
    bench.advance_to_tick(35)
    assert [status["tick"] for status in talk.statuses()] == [0, 10, 20, 30]
    before = bench.now_ns // TICK_NS
    bench.learn_tick(35)  # what it knew already
    assert bench.tick == 35
    assert bench.now_ns // TICK_NS == before == 35


def test_an_action_is_in_time_for_its_tick_and_not_before(bench):
    """The status of tick 20 shows the supply as it was read in tick 20."""
    talk = Talk(bench)
    order = []
    read_ns = []
    sensor = bench.plant.adc_pressure_down
    bench.plant.adc_pressure_down = lambda at_ns: read_ns.append(at_ns) or sensor(at_ns)
    for tick, supply_v in ((20, 4.0), (21, 3.0), (20, 4.5)):
        bench.schedule(tick, lambda supply_v=supply_v: order.append((supply_v, bench.now_ns)))
        bench.schedule(tick, lambda supply_v=supply_v: setattr(bench.plant, "supply_v", supply_v))
    bench.advance_to_tick(31)
    assert [supply_v for supply_v, _ in order] == [4.0, 4.5, 3.0]
    for tick, (_, at_ns) in zip((20, 20, 21), order, strict=True):
        assert 0 < tick * TICK_NS - at_ns < TICK_NS // 10
    for tick, at_ns in enumerate(read_ns):
        assert 0 <= at_ns - tick * TICK_NS < TICK_NS // 20
    reference = Plant()

    def code(supply_v: float) -> int:
        reference.supply_v = supply_v
        return reference.adc_supply(0)

    supplies = {status["tick"]: status["supply_raw"] for status in talk.statuses()}
    assert (supplies[20], supplies[30]) == (code(4.5), code(3.0))


@pytest.mark.req("DOSE-01", "MOT-01")
def test_the_plant_gets_what_the_pump_has_executed(running):
    bench = running.bench
    bench.advance_to_tick(bench.tick // 10 * 10 + 29)
    status = running.statuses()[-1]
    bench.advance_to_tick(status["tick"] + 20)
    latest = running.statuses()[-1]
    steps = latest["executed_steps"] - status["executed_steps"]
    assert abs(steps - RATE_NL_H // 3600 * (latest["tick"] - status["tick"]) / 10 / 31.25) <= 2
    assert bench.plant.steps_seen >= latest["executed_steps"] > 0
    assert bench.plant.angle_steps == bench.plant.steps_seen


@pytest.mark.req("MOT-04", "SAFE-04")
def test_steps_stop_within_a_second_of_a_hang(running):
    bench = running.bench
    bench.advance_to_tick(bench.tick + 20)
    hung_ns, last_ns = bench.board.now_ns, []
    bench.hang()
    bench.board.listen("STEP", lambda _level, now_ns, _cycle: last_ns.append(now_ns))
    tick = bench.tick
    bench.advance_to_tick(tick + 15)  # before the watchdog bites
    assert bench.tick == tick + 15  # its time has passed all the same
    assert 0 < last_ns[-1] - hung_ns <= 1_000_000_000


@pytest.mark.req("LNK-04")
def test_a_disconnected_host_hears_nothing_and_may_not_send(bench):
    talk = Talk(bench)
    bench.advance_to_tick(5)
    bench.host_disconnect()
    heard = len(talk.frames)
    with pytest.raises(BenchError, match="disconnected"):
        bench.send(b"hello\n")
    bench.advance_to_tick(35)
    assert len(talk.frames) == heard


def test_an_image_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchError, match="make image"):
        ChipBench(image=tmp_path / "none.uf2")


def test_a_plant_with_its_own_parameters_is_the_one_that_turns(image):
    plant = Plant(PlantParameters(back_pressure_pa=Fraction(5_000)))
    with closing(ChipBench(plant, image)) as bench:
        talk = Talk(bench)
        bench.advance_to_tick(0)
        codes = talk.statuses()[0]["pressure_down_raw"]
        assert bench.plant is plant
    with closing(ChipBench(image=image)) as bench:
        talk = Talk(bench)
        bench.advance_to_tick(0)
        assert codes > talk.statuses()[0]["pressure_down_raw"]
