"""Step functions against lifelines, and competing risks against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter, CoxPHFitter, KaplanMeierFitter

from algorithms.prostate.risk.incidence import (
    Gompertz,
    aalen_johansen,
    at,
    breslow,
    cumulative_incidence,
    fit_gompertz,
    kaplan_meier,
)

YEARS = np.linspace(0.0, 10.0, 41)


def test_kaplan_meier_is_that_of_lifelines():
    """Independent implementation, with ties."""
    rng = np.random.default_rng(1)
    time, event = np.ceil(rng.exponential(5, 200)), rng.random(200) < 0.6

    expected = KaplanMeierFitter().fit(time, event).predict(YEARS).to_numpy()

    assert at(YEARS, *kaplan_meier(time, event), start=1.0) == pytest.approx(expected, abs=1e-12)


def test_aalen_johansen_is_that_of_lifelines():
    """Independent implementation; times without ties, because lifelines moves tied ones at random."""
    rng = np.random.default_rng(2)
    time, cause = rng.exponential(5, 200), rng.integers(0, 3, 200)

    fitted = AalenJohansenFitter(calculate_variance=False).fit(time, cause, event_of_interest=1).cumulative_density_
    expected = at(YEARS, fitted.index.to_numpy()[1:], fitted.iloc[1:, 0].to_numpy(), start=0.0)

    assert at(YEARS, *aalen_johansen(time, cause == 1, cause == 2), start=0.0) == pytest.approx(expected, abs=1e-12)


def test_causes_and_survival_share_out_everyone():
    """At any time a man is free of both events, or one of them came first."""
    rng = np.random.default_rng(3)
    time, cause = np.ceil(rng.exponential(5, 200)), rng.integers(0, 3, 200)
    first, second = cause == 1, cause == 2

    total = (
        at(YEARS, *aalen_johansen(time, first, second), start=0.0)
        + at(YEARS, *aalen_johansen(time, second, first), start=0.0)
        + at(YEARS, *kaplan_meier(time, first | second), start=1.0)
    )

    assert total == pytest.approx(1.0, abs=1e-12)


def test_breslows_baseline_is_that_of_lifelines():
    """The library centres its covariates, which moves the baseline by a factor that is put back here."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"a": rng.standard_normal(150), "time": rng.exponential(5, 150), "event": rng.random(150) < 0.6})
    fitted = CoxPHFitter().fit(frame, "time", "event")
    beta = fitted.params_["a"]
    theirs = fitted.baseline_cumulative_hazard_.iloc[:, 0] * np.exp(-beta * frame["a"].mean())

    times, hazard = breslow(beta * frame["a"].to_numpy(), frame["time"].to_numpy(), frame["event"].to_numpy())

    assert hazard == pytest.approx(theirs.loc[times].to_numpy(), rel=1e-9)


def test_constant_hazards_share_the_deaths_in_their_proportion():
    """Of all who leave at hazards a and b, a / (a + b) leave by the first: (1 - exp(-(a + b) t)) a / (a + b)."""
    a, b = 0.05, 0.02

    risk = cumulative_incidence(a * YEARS, b * YEARS)

    assert risk == pytest.approx(a / (a + b) * -np.expm1(-(a + b) * YEARS), abs=1e-12)


def test_nobody_else_dying_leaves_the_net_risk():
    """Without a competing hazard the cumulative incidence is 1 - exp(-H)."""
    hazard = 0.01 * YEARS**1.3

    assert cumulative_incidence(hazard, np.zeros_like(YEARS)) == pytest.approx(-np.expm1(-hazard), abs=1e-12)


def test_gompertz_is_found_again():
    """From the deaths of many men the law that made them, within three standard errors of 8000 men."""
    law = Gompertz(0.02, 0.09)
    rng = np.random.default_rng(5)
    age, end = rng.uniform(55, 80, 8000), rng.uniform(5, 15, 8000)
    now = law.hazard_at_70 * np.exp(law.growth * (age - 70))
    death = np.log1p(rng.exponential(size=8000) * law.growth / now) / law.growth

    found = fit_gompertz(age, np.minimum(death, end), death <= end)

    assert found.hazard_at_70 == pytest.approx(law.hazard_at_70, rel=0.07)
    assert found.growth == pytest.approx(law.growth, rel=0.1)


def test_gompertz_hazard_doubles_where_it_must():
    """The cumulative hazard over a short time is the hazard; it grows by exp(growth) a year."""
    law = Gompertz(0.02, np.log(2) / 8)

    at_70, at_78 = law.cumulative_hazard(np.array([70.0, 78.0]), np.array(1e-6)) / 1e-6

    assert at_70 == pytest.approx(0.02, rel=1e-6)
    assert at_78 == pytest.approx(2 * at_70, rel=1e-6)
