"""Bias and limits of agreement between two values of the same thing, with their confidence intervals.

References
----------
Bland and Altman, *Statistical methods for assessing agreement between two methods of clinical measurement*, Lancet 327:307
(1986); the same, *Measuring agreement in method comparison studies*, Stat Methods Med Res 8:135 (1999), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Of every interval, and the share of differences that lie between the limits of agreement if they are normal."""

Z = 1.96
"""Standard deviations from the bias to a limit of agreement."""

SOURCES = (
    "Bland, Altman, Statistical methods for assessing agreement between two methods of clinical measurement, "
    "Lancet 327:307 (1986)",
    "Bland, Altman, Measuring agreement in method comparison studies, Stat Methods Med Res 8:135 (1999), "
    "doi:10.1177/096228029900800204",
)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Of ``values`` differences in ``cases`` cases: their mean, standard deviation, and the limits of agreement."""

    values: int
    cases: int
    bias: Estimate
    sd: float
    lower: Estimate
    upper: Estimate


def agreement(differences: Sequence[float], cases: int) -> Agreement | None:
    """Return how well two answers agree, ``None`` where fewer than two cases leave the spread unknown.

    Parameters
    ----------
    differences
        New minus old, one a pair of values; any unit.
    cases
        In how many cases they were found.  Standard errors count cases and not values: values of one case hang together, so
        an interval may be too wide, but it is not too narrow.

    References
    ----------
    Bland and Altman 1999, section 3.1: the standard error of a limit is s sqrt(1/n + z^2 / (2 (n - 1))).
    """
    if cases < 2:
        return None
    from scipy.stats import t  # costs a second, and the pairs are read without it

    n = len(differences)
    bias = math.fsum(differences) / n
    sd = math.sqrt(math.fsum((d - bias) ** 2 for d in differences) / (n - 1))
    reach = float(t.ppf(0.5 + CONFIDENCE / 2, cases - 1))
    of_bias = reach * sd / math.sqrt(cases)
    of_limit = reach * sd * math.sqrt(1 / cases + Z**2 / (2 * (cases - 1)))

    def estimate(value: float, half_width: float) -> Estimate:
        return Estimate(value, value - half_width, value + half_width)

    return Agreement(
        n, cases, estimate(bias, of_bias), sd, estimate(bias - Z * sd, of_limit), estimate(bias + Z * sd, of_limit)
    )
