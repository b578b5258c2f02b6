"""A pump from Python: ten verbs with units, for programs, for asyncio, in a notebook, and under lab
automation."""

import asyncio
import importlib.resources
import inspect
from fractions import Fraction
from pathlib import Path

import pytest
import thecal_host
from pylabrobot.pumps import Pump as FrontEnd
from pylabrobot.pumps.backend import PumpBackend
from signed_port import SignedPort
from signed_port import account as account
from thecal_host import AsyncPump, Denied, Event, LabPump, Pump, Status
from thecal_host.keys import KeysError
from thecal_host.pump import PumpError, Refused
from thecal_host.python import notebook
from thecal_host.python.bench_port import BenchPort
from thecal_model.quantities import QuantityError

SCENARIOS = Path(__file__).parents[1] / "scenarios"
VERBS = [
    "status",
    "alarms",
    "program",
    "refill",
    "confirm",
    "start",
    "stop",
    "bolus",
    "acknowledge",
    "listen",
]
pytestmark = pytest.mark.req("DESK-04")


@pytest.fixture
def pump():
    with Pump.on_bench() as pump:
        yield pump


def test_a_program_drives_a_pump(pump):
    readback = pump.program(rate="6 mL/h", limit="10 mL", within="1 h")
    assert ("rate", "6 mL/h") in readback.rows and ("limit", "10 mL in any 1 h") in readback.rows
    assert "6 mL/h" in str(readback) and pump.status().rate_nl_h == 0
    pump.confirm(readback)
    pump.start()
    assert pump.bolus("20 uL", over="20 s") == 3_600_000
    told = list(pump.listen("5 s"))
    assert [one.text for one in told if isinstance(one, Event)] == []
    seen = [one for one in told if isinstance(one, Status)]
    assert len(seen) == 5 and seen[0].rate_nl_h == 9_600_000 and seen[0].bolus == "clinician"
    assert all(abs(one.delivered_nl - one.programmed_nl) <= Fraction(125, 4) for one in seen)
    # A second at 9.6 mL/h, to the microstep either way.
    grown = seen[-1].delivered_nl - seen[0].delivered_nl
    assert abs(grown - 4 * Fraction(9_600_000, 3_600)) <= 2 * Fraction(125, 4)
    with pytest.raises(Denied, match="a clinician bolus is flowing") as denied:
        pump.bolus("20 uL", over="20 s")
    assert denied.value.reason == "bolus_active"
    pump.stop()
    assert pump.status().state == "STOPPED" and pump.alarms() == []
    refill = pump.refill("20 mL")
    assert str(refill) == "refill  20 mL" and pump.status().reservoir_nl == 0
    pump.confirm(refill)
    assert pump.status().reservoir_nl == 20_000_000
    pump.acknowledge()


def test_a_file_is_programmed_and_a_soft_limit_has_to_be_named(pump, tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(
        '[therapy]\nmode = "continuous"\ndrug = "baclofen"\nconcentration = "2 mg/mL"\ndose = "1.2 mg/day"\n'
    )
    readback = pump.program(path)
    assert ("dose", "1.2 mg a day") in readback.rows and readback.soft
    with pytest.raises(PumpError, match="nothing was changed.*confirm with accept="):
        pump.confirm(readback)
    with pytest.raises(Refused):
        pump.start()
    pump.confirm(readback, accept=readback.soft)
    pump.start()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda pump: pump.bolus(5, over="1 min"), "volume: expected a volume with its unit.*found 5: of"),
        (lambda pump: pump.bolus("5", over="1 min"), 'volume: .*found "5" without a unit'),
        (lambda pump: pump.bolus("5 mL/h", over="1 min"), "volume: .*which is a volume per time"),
        (lambda pump: pump.bolus("0.5 nL", over="1 min"), "volume: expected whole nanolitres"),
        (lambda pump: pump.bolus("0 uL", over="1 min"), "volume: expected whole nanolitres, 1 at least"),
        (lambda pump: pump.bolus("5 uL", over="1 uL"), "over: expected a time"),
        (lambda pump: pump.bolus("5 uL", over=60.0), "over: expected a time with its unit"),
        (lambda pump: pump.program(rate="6 mg/h"), "rate: "),
        (lambda pump: pump.program(rate="0 mL/h"), "rate: expected a rate above nought"),
        (lambda pump: pump.program(rate="900 mL/h"), "rate: expected 120 mL/h at most, which the rig makes"),
        (lambda pump: pump.program(rate="6 mL/h", limit="1 mL"), 'limit: .*within="1 h" together'),
        (lambda pump: pump.program(), "expected a file with a therapy or rate="),
        (lambda pump: pump.program("x.toml", rate="6 mL/h"), "one of the two"),
        (lambda pump: pump.refill("-20 mL"), "volume: .*negative"),
        (lambda pump: list(pump.listen("soon")), "time: "),
    ],
)
def test_bad_quantities_are_refused_with_a_sentence(pump, call, said):
    sent = pump.conversation.client.last_id
    with pytest.raises(QuantityError, match=said):
        call(pump)
    assert pump.conversation.client.last_id == sent, "something was sent to the pump"


def test_the_same_verbs_are_there_for_asyncio():
    async def drive():
        async with await AsyncPump.on_bench() as pump:
            await pump.confirm(await pump.program(rate="6 mL/h"))
            await pump.start()
            told = [one async for one in pump.listen("3 s")]
            # Two at once: one waits for the other.
            one, other = await asyncio.gather(pump.status(), pump.status())
            assert one.state == other.state == "RUNNING" and one.at_s < other.at_s
            with pytest.raises(QuantityError):
                await pump.bolus("5", over="1 min")
            await pump.stop()
            assert (await pump.status()).state == "STOPPED"
            return told

    seen = [one for one in asyncio.run(drive()) if isinstance(one, Status)]
    assert len(seen) == 3 and seen[-1].state == "RUNNING"


def test_verbs_and_their_arguments_are_those_of_either():
    for verb in VERBS:
        plain, other = inspect.signature(getattr(Pump, verb)), inspect.signature(getattr(AsyncPump, verb))
        assert plain.parameters == other.parameters, verb
    public = {name for name, _ in inspect.getmembers(Pump, inspect.isfunction) if not name.startswith("_")}
    assert public == {*VERBS, "close"}


def test_the_package_says_that_it_is_typed_and_what_it_has():
    assert importlib.resources.files("thecal_host").joinpath("py.typed").is_file()
    assert all(inspect.isclass(getattr(thecal_host, name)) for name in thecal_host.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Pomp'"):
        thecal_host.Pomp  # noqa: B018


def test_the_notebook_runs_and_prints_what_is_written_in_it():
    written, ran = notebook.run()
    assert notebook.printed(written) == notebook.printed(ran), (
        "`python -m thecal_host.python.notebook` writes them anew"
    )
    assert any("bolus is denied" in text for text in notebook.printed(ran))


def test_a_paired_pump_takes_what_this_computer_has_the_keys_for(run, account):
    account("clinic")
    port = SignedPort()
    assert run(port, "pair").exit_code == 0
    with Pump(port) as pump:
        pump.confirm(pump.program(rate="6 mL/h"))
        pump.start()
        assert pump.status().state == "RUNNING"
        pump.stop()
    account("home")
    with Pump(port) as pump:
        assert pump.status().state == "STOPPED"
        with pytest.raises(Refused) as refused:
            pump.start()
        assert refused.value.code == "not_signed"
    with pytest.raises(KeysError, match="no patient key"):
        Pump(port, role="patient")


# --- lab automation


def later(port, seconds):
    port.bench.advance_to_tick(port.bench.tick + 10 * seconds)


def made_nl(port):
    return port.bench.plant.displaced_nl()


def with_front_end(story):
    """Run `story(front end, port)` under PyLabRobot's own pump."""

    async def run():
        port = BenchPort()
        front = FrontEnd(backend=LabPump(port, nobody_connected=True))
        await front.setup()
        await story(front, port)
        await front.stop()
        return port

    return asyncio.run(run())


def test_a_halt_under_the_front_end_of_lab_automation_stops_the_motor():
    async def story(front, port):
        assert isinstance(front.backend, PumpBackend)
        await front.run_continuously(speed=2)
        later(port, 60)
        # Two turns of 100 uL, but for what a start takes.
        assert 190_000 < made_nl(port) <= 200_000
        await front.halt()
        later(port, 2)
        at_rest = made_nl(port)
        later(port, 60)
        assert made_nl(port) == at_rest and port.bench.pump.control.state == 2

    with_front_end(story)


def test_a_speed_changes_on_the_way_and_nought_halts():
    async def story(front, port):
        await front.run_continuously(speed=1)
        later(port, 10)
        await front.run_continuously(speed=4.5)
        before = made_nl(port)
        later(port, 20)
        assert abs(made_nl(port) - before - 150_000) < 5_000
        await front.run_for_duration(speed=1, duration=0)
        later(port, 2)
        at_rest = made_nl(port)
        later(port, 20)
        assert made_nl(port) == at_rest

    with_front_end(story)


def test_revolutions_are_made_to_the_microstep_and_end_by_themselves():
    async def story(front, port):
        await front.run_continuously(speed=1)
        later(port, 10)
        await front.halt()
        later(port, 2)
        before = made_nl(port)
        await front.run_revolutions(1.25)
        later(port, 120)
        assert made_nl(port) - before == 125_000
        with pytest.raises(Refused, match="jog"):
            await front.run_revolutions(11)

    with_front_end(story)


def test_stop_halts_before_it_lets_go():
    async def story(front, port):
        await front.run_continuously(speed=2)
        later(port, 10)

    port = with_front_end(story)
    assert port.bench.pump.control.state == 2


def test_what_a_lab_pump_refuses():
    with pytest.raises(PumpError, match="nobody_connected=True"):
        LabPump(BenchPort())
    with pytest.raises(PumpError, match=r"await setup\(\) first"):
        LabPump(BenchPort(), nobody_connected=True).halt()

    async def story(front, port):
        for speed in (-1, float("nan"), "fast", True):
            with pytest.raises(PumpError, match="speed: expected a number, 0 at least"):
                await front.run_continuously(speed=speed)
        with pytest.raises(PumpError, match="20 revolutions a minute"):
            await front.run_continuously(speed=21)
        assert front.serialize()["backend"]["nobody_connected"] is True

    with_front_end(story)


def test_no_verb_of_a_lab_pump_is_a_coroutine_that_the_front_end_forgets():
    for name in ("run_continuously", "run_revolutions", "halt"):
        assert not inspect.iscoroutinefunction(getattr(LabPump, name)), name
    for name in ("setup", "stop"):
        assert inspect.iscoroutinefunction(getattr(LabPump, name)), name
