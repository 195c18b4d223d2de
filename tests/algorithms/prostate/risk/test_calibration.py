"""Calibration of predictions whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.prostate.risk.calibration import GROUPS, bins, intercept_and_slope
from algorithms.prostate.risk.incidence import at, kaplan_meier


def exponential_men(count: int = 20000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the true yearly log hazards, times and events, censored at 8 to 12 years."""
    rng = np.random.default_rng(1)
    log_hazard = rng.normal(-4.0, 1.0, count)
    time, end = rng.exponential(np.exp(-log_hazard)), rng.uniform(8, 12, count)
    return log_hazard, np.minimum(time, end), time <= end


@pytest.mark.parametrize(("factor", "power"), [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)])
def test_intercept_and_slope_tell_what_was_done_to_a_true_hazard(factor, power):
    """Hazards times 2 need an intercept of -log 2; log hazards times 2 (about their mean) need a slope of one half."""
    true, time, event = exponential_men()
    said = np.log(factor) + true.mean() + power * (true - true.mean())

    intercept, slope = intercept_and_slope(np.exp(said) * time, said, event)

    assert slope == pytest.approx(1 / power, abs=0.03)  # two standard errors of some 4500 events
    if power == 1.0:
        assert intercept == pytest.approx(-np.log(factor), abs=0.03)


def test_true_risks_meet_what_is_observed():
    """In every group of men; two standard errors of 4000 men."""
    true, time, event = exponential_men()
    risk = -np.expm1(-5 * np.exp(true))

    found = bins(risk, time, event, np.zeros_like(event), 5.0)

    for group in found:
        error = 2.5 * np.sqrt(group["expected"] / group["men"])
        assert group["observed"] == pytest.approx(group["expected"], abs=error)


def test_groups_share_out_the_men_by_risk():
    """Equal groups from low to high; where nothing competes, what is observed is Kaplan and Meier's."""
    true, time, event = exponential_men(1000)
    found = bins(true, time, event, np.zeros_like(event), 5.0)
    lowest = np.argsort(true)[: 1000 // GROUPS]
    expected = 1 - at(np.array([5.0]), *kaplan_meier(time[lowest], event[lowest]), start=1.0)[0]

    assert [group["men"] for group in found] == [1000 // GROUPS] * GROUPS
    assert found[0]["observed"] == pytest.approx(expected)
