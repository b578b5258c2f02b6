"""A balance at a port, and the modelled one under a plant."""

import threading

import pytest
from balance_port import BalancePort, SayingPort
from pump_port import PumpPort
from thecal_bench.balance import BalanceOnPty, BalanceParameters, ModelBalance
from thecal_host import connection
from thecal_host.weighing import balance as balances

TICK_NS = 100_000_000
H_NS = 3_600_000_000_000
QUIET = BalanceParameters(noise_g=0.0)


def on_pump(parameters=QUIET, **more):
    pump_port = PumpPort()
    plant = pump_port.bench.plant
    assert plant is not None
    port = BalancePort(pump_port, ModelBalance(plant.outflow_nl, parameters, **more))
    return pump_port.bench, plant, balances.SerialBalance(port, port.clock_s)


@pytest.mark.req("CAL-01")
def test_what_a_balance_shows_is_the_water_less_the_air():
    model = ModelBalance(lambda _: 10_000_000, QUIET)
    # 10 mL of water at 20 C weigh 9.98207 g; in air 1.05 in a thousand less.
    assert model.shows(0)[0] == pytest.approx(9.98207 * (1 - 0.00105), abs=2e-4)
    assert model.line(0) == b"S D     9.9716 g\r\n"
    assert model.line(2 * 10**9) == b"S S     9.9716 g\r\n"


@pytest.mark.req("CAL-01")
def test_what_evaporates_what_drifts_and_what_is_noise():
    still = ModelBalance(lambda _: 0.0, BalanceParameters(noise_g=0, evaporation_g_h=0.01, drift_g_h=0.002))
    assert still.shows(H_NS)[0] == pytest.approx(-0.008, abs=1e-4)
    noisy = ModelBalance(lambda _: 0.0, BalanceParameters(noise_g=1e-3), seed=7)
    again = ModelBalance(lambda _: 0.0, BalanceParameters(noise_g=1e-3), seed=7)
    shown = [noisy.shows(n * TICK_NS)[0] for n in range(500)]
    assert shown[7] == again.shows(7 * TICK_NS)[0]
    assert sum(grams**2 for grams in shown) / 500 == pytest.approx(1e-6, rel=0.2)
    full = ModelBalance(lambda _: 0.0, BalanceParameters(beaker_g=230))
    assert full.line(0) == b"S +\r\n"


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize("prints_every_s", [None, 0.5])
def test_both_kinds_of_balance_are_read_alike(prints_every_s):
    bench, plant, balance = on_pump(prints_every_s=prints_every_s)
    bench.advance_to_tick(30)
    first = balance.grams()
    plant.steps(3_200, bench.now_ns - TICK_NS, bench.now_ns)
    bench.advance_to_tick(60)
    assert not balance.grams().stable  # the first look at the new weight
    settled = balances.stable(
        balance,
        lambda seconds: bench.advance_to_tick(bench.tick + round(10 * seconds)),
        lambda: bench.tick / 10,
    )
    # A revolution is 100 uL, and the line gives back what it has stored within some seconds.
    bench.advance_to_tick(400)
    assert settled.grams - first.grams == pytest.approx(0.0997, abs=0.0015)
    assert settled.resolution_g == 1e-4


@pytest.mark.req("CAL-01")
def test_a_torn_first_line_and_old_lines_are_no_weight():
    port = SayingPort(b"2.3456 g\r\nS D     7.0000 g\r\n")
    balance = balances.SerialBalance(port, port.clock_s)
    assert balance.grams().grams == 7.0
    assert port.sent == b"SI\r\n"
    # A balance that prints bare lines and does not know SI; the first line is torn and looks like a weight.
    port = SayingPort(b"2.3456 g\r\n", b"ES\r\n  + 12.", b"3457 g\r\n", b"  + 12.3458 g\r\n")
    balance = balances.SerialBalance(port, port.clock_s)
    assert [balance.grams().grams, balance.grams().grams] == [12.3457, 12.3458]


@pytest.mark.req("CAL-01")
def test_what_was_printed_before_is_old_and_what_is_begun_is_not():
    port = SayingPort(b"000 g\r\n", waiting=b"S S     1.0000 g\r\nS S     2.0")
    assert balances.SerialBalance(port, port.clock_s).grams().grams == 2.0


@pytest.mark.req("CAL-01")
def test_a_balance_that_says_nothing_or_never_settles_is_named():
    port = SayingPort()
    with pytest.raises(balances.Silent, match=r"no weight from saying balance within 4 s: .*--baud"):
        balances.SerialBalance(port, port.clock_s).grams()
    port = SayingPort(*[b"S D     7.0000 g\r\n"] * 1_000)
    balance = balances.SerialBalance(port, port.clock_s)
    with pytest.raises(balances.NotStable, match=r"not settled within 60 s, it shows 7\.0000 g"):
        balances.stable(balance, port.read, port.clock_s)


@pytest.mark.req("CAL-01")
def test_a_balance_on_a_pty_answers_whoever_opens_it():
    served = BalanceOnPty(ModelBalance(lambda _: 1_000_000.0, QUIET), lambda: 5 * 10**9)
    ended = threading.Event()

    def serve():
        while not ended.wait(0.01):
            served.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with connection.SerialPort(served.path, balances.BAUD) as port:
            port.write(b"hello\r\n")  # what a pump understands is an error to a balance
            weight = balances.SerialBalance(port).grams()
    finally:
        ended.set()
        thread.join()
        served.close()
    assert weight.grams == pytest.approx(0.9972, abs=2e-4)
