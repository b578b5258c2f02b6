"""Water, the estimate of several weighings, and what balances say."""

import math
import random

import pytest
from thecal_host.weighing import WeighingError, estimate, water
from thecal_host.weighing import balance as balances


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize(
    ("celsius", "kg_m3"), [(0, 999.8426), (3.98, 999.97495), (20, 998.2067), (25, 997.0470), (40, 992.2152)]
)
def test_the_density_of_water_is_that_of_the_table(celsius, kg_m3):
    # Table 1 of Tanaka et al. 2001, as handbooks print it.
    assert water.water_g_ml(celsius) * 1000 == pytest.approx(kg_m3, abs=1e-3)


@pytest.mark.req("CAL-01")
def test_a_gram_of_water_in_air_is_the_volume_of_the_pipette_standard():
    # ISO 8655-6 prints Z = 1.0029 uL/mg at 20.0 C and 101.3 kPa, 1.0040 at 25.0 C.
    assert water.Water(20.0).volume_nl(1.0) / 1e6 == pytest.approx(1.0029, abs=5e-5)
    assert water.Water(25.0).volume_nl(1.0) / 1e6 == pytest.approx(1.0040, abs=5e-5)
    assert water.Water(20.0, buoyancy=False).volume_nl(0.9982067) == pytest.approx(1e6, abs=1)


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize("celsius", [-0.1, 40.1, math.nan])
def test_water_beyond_the_table_is_refused(celsius):
    with pytest.raises(WeighingError, match="from 0 to 40 C"):
        water.water_g_ml(celsius)


@pytest.mark.req("CAL-01")
def test_the_estimate_is_that_of_a_worked_example():
    # Mean 100, s = 2, n = 4: U = 3.182 x 2 / 2.
    found = estimate.estimate([98.0, 98.0, 102.0, 102.0])
    assert found.mean == 100
    assert found.spread == pytest.approx(2.3094, abs=1e-4)
    assert found.expanded == pytest.approx(3.182 * 2.3094 / 2, abs=1e-3)
    assert estimate.estimate([5.0, 5.0, 5.0], least=0.01).expanded == 0.01
    for count in (2, 32):
        with pytest.raises(WeighingError, match=f"{count} weighings: it takes 3 at least and 31 at most"):
            estimate.estimate([1.0] * count)


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize("count", [3, 5])
def test_the_stated_95_percent_cover_the_truth_that_often(count):
    true_nl, head_sd, balance_sd, digit_g = 103_000.0, 0.0005, 1e-4, 1e-4
    beaker = water.Water(20.0)
    grams_per_nl = 1 / beaker.volume_nl(1.0)
    covered = 0
    for seed in range(1_000):
        chance = random.Random(seed)
        found = []
        for _ in range(count):
            # Ten revolutions on a head that repeats itself to 0.05 %, between two readings of the balance.
            given_g = 10 * true_nl * grams_per_nl * chance.gauss(1, head_sd)
            before_g = chance.uniform(10, 20)
            before, after = (
                round((grams + chance.gauss(0, balance_sd)) / digit_g) * digit_g
                for grams in (before_g, before_g + given_g)
            )
            found.append(beaker.volume_nl(after - before) / 10)
        stated = estimate.estimate(found, least=beaker.volume_nl(digit_g) / 10)
        covered += abs(stated.mean - true_nl) <= stated.expanded
    assert 930 <= covered <= 970, covered


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize(
    ("line", "grams", "stable", "resolution_g"),
    [
        ("S S    12.3456 g", 12.3456, True, 1e-4),
        ("S D    12.3456 g", 12.3456, False, 1e-4),
        ("S S    -0.0001 g", -0.0001, True, 1e-4),
        ("S S     1234.5 mg", 1.2345, True, 1e-4),
        ("ST,+00012.3456  g", 12.3456, True, 1e-4),
        ("US,-00000.012  g", -0.012, False, 1e-3),
        ("  +   12.3456 g  ", 12.3456, True, 1e-4),
        ("      12.34 g ?", 12.34, False, 1e-2),
        ("  +   12.3456", 12.3456, False, 1e-4),
    ],
)
def test_lines_of_balances(line, grams, stable, resolution_g):
    weight = balances.weight_of(line)
    assert weight.grams == pytest.approx(grams)
    assert weight.stable is stable
    assert weight.resolution_g == pytest.approx(resolution_g)


@pytest.mark.req("CAL-01")
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("S +", balances.Overload),
        ("OL,+9999999E+19", balances.Overload),
        ("S -", balances.Underload),
        ("S I", balances.NotReady),
        ("EL", balances.NotReady),
        ("S S    12.3456 oz", balances.NotUnderstood),
        ("Gross 12", balances.NotUnderstood),
        ("S S 12,3456 g", balances.NotUnderstood),
    ],
)
def test_what_a_balance_says_instead_has_an_error_of_its_own(line, error):
    with pytest.raises(error, match="balance"):
        balances.weight_of(line)


@pytest.mark.req("CAL-01")
def test_a_weight_is_typed_in_grams():
    assert balances.grams_of(" 12.3456 g").grams == 12.3456
    assert balances.grams_of("12.34").resolution_g == pytest.approx(0.01)
    for text in ("", "12,3", "1e3", "12 mg", "g"):
        with pytest.raises(WeighingError, match=r'as in "12\.3456", found'):
            balances.grams_of(text)
