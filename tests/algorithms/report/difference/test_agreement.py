"""Bias and limits of agreement against a published example and the closed form."""

from __future__ import annotations

import math

import pytest

from algorithms.report.difference.agreement import agreement

WRIGHT = (494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
MINI_WRIGHT = (512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)
"""Peak expiratory flow of 17 persons with two meters, l/min: Bland and Altman, Lancet 327:307 (1986), table 1."""


def test_the_example_of_the_paper_comes_out_as_printed():
    """Bias -2.1, standard deviation 38.8, and -22.0 to 17.8 as the 95 % confidence interval of the bias, all l/min."""
    differences = [a - b for a, b in zip(WRIGHT, MINI_WRIGHT, strict=True)]

    found = agreement(differences, cases=len(differences))

    assert found is not None
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)  # half a unit of the last digit printed, as below
    assert found.sd == pytest.approx(38.8, abs=0.05)
    # The paper multiplies rounded numbers (2.12 times 9.4).
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)


def test_intervals_follow_the_closed_form():
    """Differences 1, 2, 3: mean 2, deviation 1; t at 2 degrees of freedom is sqrt(2) (0.95) / sqrt(1 - 0.95^2)."""
    t = math.sqrt(2) * 0.95 / math.sqrt(1 - 0.95**2)
    of_limit = t * math.sqrt(1 / 3 + 1.96**2 / 4)

    found = agreement([1.0, 2.0, 3.0], cases=3)

    assert found is not None
    assert (found.bias.value, found.bias.high) == pytest.approx((2.0, 2.0 + t / math.sqrt(3)))
    assert (found.lower.value, found.lower.low) == pytest.approx((2 - 1.96, 2 - 1.96 - of_limit))
    assert (found.upper.value, found.upper.high) == pytest.approx((2 + 1.96, 2 + 1.96 + of_limit))


def test_values_of_one_case_do_not_make_the_intervals_narrower():
    """Each case's difference three times over says no more than once: nearly the same interval, not 1.7 times narrower."""
    once = agreement([0.01, -0.02, 0.03, 0.00, 0.02], cases=5)
    thrice = agreement([0.01, -0.02, 0.03, 0.00, 0.02] * 3, cases=5)

    assert once is not None
    assert thrice is not None
    # n - 1 of 15 in the place of 5 makes the deviation smaller by sqrt(14 / 12).
    assert thrice.bias.high - thrice.bias.low == pytest.approx((once.bias.high - once.bias.low) * math.sqrt(12 / 14))


@pytest.mark.parametrize(("differences", "cases"), [([], 0), ([0.1], 1), ([0.1, 0.2, 0.3], 1)])
def test_one_case_has_no_limits(differences, cases):
    """The spread between cases is unknown then, and a made-up one would be believed."""
    assert agreement(differences, cases) is None


def test_equal_answers_agree_exactly():
    """Nothing changed: no bias, no spread, limits at zero."""
    found = agreement([0.0] * 6, cases=6)

    assert found is not None
    assert (found.bias.low, found.lower.low, found.upper.high) == (0, 0, 0)
