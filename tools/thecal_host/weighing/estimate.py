"""One value of several measured ones, with its spread and its expanded uncertainty at 95 %.

The uncertainty is that of the mean by the scatter of the values themselves (type A of JCGM 100:2008, the
"GUM"): t s / sqrt(n), with Student's t for n - 1 degrees of freedom. What all values have in common, such as
a wrong temperature or a balance that is adjusted wrongly, does not scatter and is not in it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from thecal_host.weighing import WeighingError

# Student's t for a probability of 95 %, two-sided, 1 to 30 degrees of freedom: the table of Student's
# distribution that JCGM 100:2008 has as G.2.
_T_95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

LEAST_VALUES, MOST_VALUES = 3, len(_T_95) + 1
"""Two values have a t of 12.7: nothing that helps anybody."""


@dataclass(frozen=True)
class Estimate:
    """`mean` of `count` values, their standard deviation `spread`, and `expanded`, at 95 %, of the mean."""

    mean: float
    spread: float
    expanded: float
    count: int


def estimate(values: Sequence[float], least: float = 0.0) -> Estimate:
    """The estimate from three values at least, 31 at most; WeighingError otherwise.

    `least` is what the instrument cannot tell apart: the uncertainty is never stated smaller, not even where
    all values are the same.
    """
    count = len(values)
    if not LEAST_VALUES <= count <= MOST_VALUES:
        raise WeighingError(f"{count} weighings: it takes {LEAST_VALUES} at least and {MOST_VALUES} at most")
    spread = statistics.stdev(values)
    expanded = student_t_95(count - 1) * spread / math.sqrt(count)
    return Estimate(statistics.fmean(values), spread, max(expanded, least), count)


def student_t_95(degrees: int) -> float:
    """Student's t at 95 %, two-sided, for 1 to 30 degrees of freedom."""
    return _T_95[degrees - 1]
