"""The table of a head from readings (PERF-05): synthetic readings of plants whose head is known exactly."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from thecal.dose.head import PARTS
from thecal_bench.displacement import Displacement
from thecal_bench.parameters import NS_PER_MS, Geometry, PlantParameters
from thecal_bench.plant import Plant
from thecal_host.weighing import WeighingError, evening
from thecal_host.weighing.pulsation import (
    WINDOW_STEPS,
    Harmonics,
    NotSupported,
    Stretch,
    Table,
    fit,
    table_of,
)
from thecal_model import rig as rigs

TICK_NS = 100 * NS_PER_MS
WIDTH = WINDOW_STEPS * 3 / 3_200
SLOW_NL_H, FAST_NL_H = 500_000, 2_000_000


def true_excess(parameters, x):
    """Of the plant's head at phases, parts of a pitch."""
    finer = Displacement(parameters, Geometry(steps_per_rev=3 * 2_048))
    pitch = finer.units_at(2_048)
    known = [float(Fraction(finer.units_at(i), pitch) - Fraction(i, 2_048)) for i in range(2_049)]
    return np.interp(np.asarray(x) % 1, np.arange(2_049) / 2_048, known)


def turned(parameters, rate_nl_h, pitches, start_steps=500):
    """What left the catheter of a plant while its head was turned, as a stretch: a reading every 300 ms."""
    plant = Plant(parameters, angle_steps=start_steps)
    times, phases, volumes = [0.0], [start_steps * 3 / 3_200], [0.0]
    steps_a_tick = Fraction(rate_nl_h * 3_200, 100_000 * 36_000)
    done = tick = 0
    while done < pitches * 3_200 / 3:
        due = int(steps_a_tick * (tick + 1))
        if due > done:
            plant.steps(due - done, tick * TICK_NS, (tick + 1) * TICK_NS)
        done, tick = due, tick + 1
        if tick % 3 == 0:
            times.append(tick / 10)
            phases.append(plant.angle_steps * 3 / 3_200)
            volumes.append(plant.outflow_nl(tick * TICK_NS))
    return Stretch(
        f"the stretch at {rate_nl_h / 1000:g} uL/h", np.array(times), np.array(phases), np.array(volumes)
    )


@dataclass
class Head:
    """A plant that was turned at two rates, and what a balance makes of it."""

    parameters: PlantParameters
    stretches: list

    def weighed(self, seed, noise_nl=100.0, digit_nl=100.0, lost_nl_h=4_000.0):
        """Its stretches with the noise of a balance, rounded, and with what evaporates."""
        chance = np.random.default_rng(seed)
        found = []
        for stretch in self.stretches:
            seen = stretch.volumes_nl - lost_nl_h * stretch.times_s / 3_600
            seen = seen + noise_nl * chance.standard_normal(len(seen))
            found.append(replace(stretch, volumes_nl=np.round(seen / digit_nl) * digit_nl))
        return found

    def left(self, entries):
        """The pulsation of a flow by those entries, and of one without, outside dips."""
        x = np.arange(4_096) / 4_096
        closed = np.array([*entries, entries[0]]) / PARTS

        def by_table(at):
            return at + np.interp(at % 1, np.arange(len(closed)) / len(entries), closed)

        def real(at):
            return at + true_excess(self.parameters, at)

        around = np.concatenate((x - 1, x))
        crest = np.maximum.accumulate(real(around))[4_096:]
        crest_by_table = np.maximum.accumulate(by_table(around))[4_096:]
        free = (crest <= real(x)) & (crest_by_table <= by_table(x))
        width = round(WIDTH * 4_096)
        whole = np.array([free.take(range(i, i + width + 1), mode="wrap").all() for i in range(4_096)])
        over = width / 4_096
        given = (real(x + over) - real(x))[whole]
        return np.ptp(given / (by_table(x + over) - by_table(x))[whole]), np.ptp(given / over)


def head(pulsation, dip, pitches=12):
    parameters = PlantParameters(
        pulsation_percent=Fraction(pulsation),
        dip_percent=Fraction(dip),
        calibration_error_percent=Fraction(3),
    )
    return Head(parameters, [turned(parameters, rate, pitches) for rate in (FAST_NL_H, SLOW_NL_H)])


@pytest.fixture(scope="module")
def sine():
    return head(40, 0)


@pytest.fixture(scope="module")
def roller():
    """A sine, and a dip in which the head takes back."""
    return head(40, 150)


@pytest.fixture(scope="module")
def uniform():
    return head(0, 0)


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("seed", range(2))
def test_a_sine_is_found_by_a_balance_of_a_tenth_of_a_milligram(sine, seed):
    found = fit(sine.weighed(seed))
    table = table_of(found, 3_200, 3)
    assert len(table.entries) == 64 and table.entries[0] == 0
    assert 1 <= found.count <= 4
    assert found.nl_per_pitch == pytest.approx(103_000 / 3, rel=3e-4)
    assert found.loss_nl_h == pytest.approx(4_000, abs=150)
    assert found.line_s == pytest.approx(1.8, abs=3 * found.line_error_s)
    assert found.line_error_s < 0.05
    assert found.reading_nl == pytest.approx(104, abs=6)  # the noise, and a digit over the root of 12
    assert table.pulsation == pytest.approx(0.4, abs=0.01)
    left, without = sine.left(table.entries)
    assert left < without / 20 and left < table.left


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("seed", range(2))
def test_a_roller_that_takes_back_is_found_by_one_of_a_hundredth(roller, seed):
    found = fit(roller.weighed(seed, 10, 10))
    table = table_of(found, 3_200, 3)
    assert len(table.entries) == 128 and table.least_flow < -0.4
    left, without = roller.left(table.entries)
    assert left < without / 20 and left < table.left
    # The same head on a balance of a tenth of a milligram: less is found, and less is promised.
    coarse = table_of(fit(roller.weighed(seed)), 3_200, 3)
    assert coarse.left > 2 * table.left


def coverage(known: Head, seeds, **balance):
    """The share of phases at which the true excess is within the expanded uncertainty, and how far off it is,
    in standard uncertainties, rms.
    """
    x = np.arange(1, 64) / 64 + 0.003
    true = true_excess(known.parameters, x)
    off = []
    for seed in seeds:
        found = fit(known.weighed(seed, **balance))
        off.append((found.excess(x) - true) / found.excess_error(x))
    return np.mean(np.abs(off) < 2), np.sqrt(np.mean(np.square(off)))


@pytest.mark.req("PERF-05", "CAL-02")
def test_what_is_found_is_within_the_uncertainty_it_states(sine, roller):
    for known, balance in ((sine, {}), (roller, {"noise_nl": 20, "digit_nl": 10})):
        share, off = coverage(known, range(100, 106), **balance)
        assert share > 0.9 and 0.3 < off < 1.4, (share, off)


@pytest.mark.long
@pytest.mark.req("PERF-05", "CAL-02")
def test_the_stated_uncertainty_covers_in_many_weighings(sine, roller):
    for known, balance in ((sine, {}), (roller, {"noise_nl": 20, "digit_nl": 10}), (roller, {})):
        share, off = coverage(known, range(200, 300), **balance)
        assert share > 0.93 and 0.3 < off < 1.2, (share, off)


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("seed", range(2))
def test_a_uniform_head_is_given_no_table(uniform, seed):
    with pytest.raises(
        NotSupported, match="no pulsation is seen beyond the uncertainty of .* needs no table"
    ):
        table_of(fit(uniform.weighed(seed)), 3_200, 3)


@pytest.mark.req("PERF-05")
def test_harmonics_that_are_not_there_are_found_as_seldom_as_stated(uniform):
    found = [fit(uniform.weighed(seed)).count for seed in range(8)]
    # 320 harmonics, each with a chance of 1 in 1 000.
    assert sum(found) <= 3


@pytest.mark.req("PERF-05")
def test_too_few_pitches_one_rate_and_a_torn_weighing_are_refused(sine):
    fast, slow = sine.weighed(1)

    def part(stretch, keep):
        return Stretch(stretch.name, stretch.times_s[keep], stretch.phases[keep], stretch.volumes_nl[keep])

    few = part(slow, slow.phases < slow.phases[0] + 9.5)
    with pytest.raises(NotSupported, match=r"9\.5 pitches were weighed at the slow rate, it takes 10"):
        fit([fast, few])
    with pytest.raises(NotSupported, match="one rate does not tell the line's delay"):
        fit([slow])
    with pytest.raises(NotSupported, match="there are no readings"):
        fit([])
    torn = part(slow, np.abs(slow.phases - slow.phases[0] - 5) > 0.1)
    with pytest.raises(NotSupported, match="at 500 uL/h: the balance gave no reading for 48 s"):
        fit([fast, torn])
    with pytest.raises(NotSupported, match="at 500 uL/h: 100 readings a pitch, it takes 160"):
        fit([fast, part(slow, slice(None, None, 8))])
    with pytest.raises(NotSupported, match="the weight does not grow as the head turns"):
        fit([replace(one, volumes_nl=-one.volumes_nl) for one in (fast, slow)])


@pytest.mark.req("PERF-05")
def test_a_head_that_does_not_repeat_itself_is_refused(sine):
    fast, slow = sine.weighed(1)
    # Each pitch in turn is another roller's: one of the three gives half of what the others do.
    lame = np.where(np.floor(slow.phases) % 3 == 0, -1_500 * np.sin(2 * np.pi * slow.phases), 0)
    with pytest.raises(NotSupported, match="pitches differ from each other by .* rollers are alike"):
        table_of(fit([fast, replace(slow, volumes_nl=slow.volumes_nl + lame)]), 3_200, 3)
    # Somebody touched the beaker, in the middle of it.
    touched = np.where(slow.times_s > 1_300, 20_000, 0)
    with pytest.raises(NotSupported, match="pitches differ from each other"):
        table_of(fit([fast, replace(slow, volumes_nl=slow.volumes_nl + touched)]), 3_200, 3)


@pytest.mark.req("PERF-05")
def test_a_coarse_balance_is_told_how_much_is_missing(sine):
    with pytest.raises(NotSupported, match="use a finer balance"):
        table_of(fit(sine.weighed(1, noise_nl=3_000, digit_nl=1_000)), 3_200, 3)


@pytest.mark.req("PERF-05")
def test_noise_with_a_colour_is_no_pulsation_and_raises_the_uncertainty(sine):
    plain = fit(sine.weighed(1))
    chance = np.random.default_rng(1)
    drifting = []
    for one in sine.weighed(1):
        draught = np.zeros(len(one.times_s))
        for number in range(1, len(draught)):
            draught[number] = 0.97 * draught[number - 1] + 40 * chance.standard_normal()
        drifting.append(replace(one, volumes_nl=one.volumes_nl + draught))
    coloured = fit(drifting)
    assert plain.colour == pytest.approx(1, abs=0.15) and coloured.colour > 2
    # More than the scatter of the readings alone says.
    scatter = (coloured.reading_nl / plain.reading_nl) ** 2
    assert np.diag(coloured.covariance).mean() > 1.5 * scatter * np.diag(plain.covariance).mean()
    x = np.arange(64) / 64
    assert (coloured.excess_error(x)[1:] > 2 * plain.excess_error(x)[1:]).all()
    true = true_excess(sine.parameters, x)
    assert (np.abs(coloured.excess(x) - true)[1:] < 3 * coloured.excess_error(x)[1:]).all()


def harmonics(c, error=1e-5):
    """As found, exactly, with some uncertainty."""
    c = np.concatenate((c, np.zeros(40 - len(c))))
    return Harmonics(
        c=c, kept=np.abs(c) > 0, covariance=np.eye(80) * error**2, nl_per_pitch=33_333.0, loss_nl_h=0.0,
        line_s=1.8, line_error_s=0.0, reading_nl=100.0, colour=1.0, unlike_nl=0.0, pitches=12, pitch_s=240.0,
        readings=10_000,
    )  # fmt: skip


@pytest.mark.req("PERF-05")
def test_a_table_is_that_of_a_worked_example():
    # Excess 0.01 (1 - cos 2 pi x): 0 at the mark, 0.02 half-way; flow 1 + 0.02 pi sin 2 pi x.
    table = table_of(harmonics([-0.01]), 3_200, 3)
    assert isinstance(table, Table)
    assert (table.entries[0], table.entries[16], table.entries[32]) == (0, 1_000, 2_000)
    assert table.pulsation == pytest.approx(0.04 * np.pi, rel=0.003)
    assert table.least_flow == pytest.approx(1 - 0.02 * np.pi, rel=0.001)
    # An entry is a difference of two phases, at worst 2 u; the 39 that are left out may hide 5 u beside.
    assert table.error == pytest.approx(2 * np.hypot(2, 5), abs=1)


@pytest.mark.req("PERF-05")
def test_a_table_that_no_rig_takes_is_none():
    for c, message in (
        ([-0.15], "a list of at most 128 whole numbers from -20000 to 20000. Is the number of rollers"),
        ([0, 0, 0, -0.09], "the flow is 3.. % of the mean, it must be .* to 300 %"),
    ):
        found = harmonics(c)
        result = evening.Result(found, table_of(found, 3_200, 3), 100_000, 3)
        with pytest.raises(WeighingError, match="the rig would be none with this table: .*" + message):
            result.rig(rigs.reference())
    small = harmonics([-0.01])
    rig = evening.Result(small, table_of(small, 3_200, 3), 100_000, 3).rig(rigs.reference())
    assert max(rig.table) == 2_000
