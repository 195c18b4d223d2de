"""The likelihoods against closed forms and lifelines."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter, KaplanMeierFitter

from algorithms.prostate.risk.losses import cox_loss, discrete_time_loss, interval_outcomes

EDGES = np.arange(1.0, 6.0)


def men(rng: np.random.Generator, count: int, *, tied: bool) -> pd.DataFrame:
    """Return covariates, times and events; whole years where tied."""
    frame = pd.DataFrame({"a": rng.standard_normal(count), "b": rng.standard_normal(count)})
    time = rng.exponential(np.exp(-frame["a"])) * 3
    frame["time"] = np.ceil(time) if tied else time
    frame["event"] = rng.random(count) < 0.7
    return frame


def loss_of(frame: pd.DataFrame, beta: list[float]) -> float:
    """Return our Cox loss of a linear log hazard."""
    eta = torch.tensor(frame[["a", "b"]].to_numpy() @ np.array(beta))
    return float(cox_loss(eta, torch.tensor(frame["time"].to_numpy()), torch.tensor(frame["event"].to_numpy())))


@pytest.mark.parametrize("tied", [False, True])
def test_cox_loss_is_lifelines_partial_likelihood(tied):
    """The library maximises the same likelihood, ties after Efron; its value at its estimate is an independent computation."""
    frame = men(np.random.default_rng(4), 120, tied=tied)
    fitted = CoxPHFitter().fit(frame, "time", "event")

    ours = -loss_of(frame, [fitted.params_["a"], fitted.params_["b"]]) * frame["event"].sum()

    assert fitted.log_likelihood_ == pytest.approx(ours, rel=1e-6)  # lifelines stops its iterations at 1e-7


def test_cox_loss_is_least_at_lifelines_estimate():
    """A maximum of the likelihood has no slope; torch's own gradient says so."""
    frame = men(np.random.default_rng(5), 200, tied=True)
    fitted = CoxPHFitter().fit(frame, "time", "event")
    beta = torch.tensor([fitted.params_["a"], fitted.params_["b"]], requires_grad=True)
    eta = torch.tensor(frame[["a", "b"]].to_numpy()) @ beta

    cox_loss(eta, torch.tensor(frame["time"].to_numpy()), torch.tensor(frame["event"].to_numpy())).backward()

    assert torch.abs(beta.grad).max() < 1e-5  # of a curvature of about 1: lifelines' own stopping rule


def test_efron_shares_a_tie_as_worked_by_hand():
    """Two die together while a third lives on, hazards 1, 2 and 3: 1*2 / (6 * (6 - 3/2))."""
    eta = torch.log(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    time, event = torch.tensor([1.0, 1.0, 2.0]), torch.tensor([True, True, False])

    loss = cox_loss(eta, time, event)

    assert float(loss) == pytest.approx(-math.log(2 / (6 * 4.5)) / 2, rel=1e-12)


def test_cox_loss_survives_large_log_hazards():
    """A shift of all log hazards changes nothing, even where their exponentials overflow."""
    frame = men(np.random.default_rng(6), 50, tied=False)
    eta = torch.tensor(frame["a"].to_numpy())
    time, event = torch.tensor(frame["time"].to_numpy()), torch.tensor(frame["event"].to_numpy())

    assert float(cox_loss(eta + 2000, time, event)) == pytest.approx(float(cox_loss(eta, time, event)), rel=1e-9)


def test_nobody_with_an_event_gives_no_loss():
    """The partial likelihood of no event is 1; a bootstrap of few men may hold none."""
    assert float(cox_loss(torch.ones(3), torch.ones(3), torch.zeros(3, dtype=torch.bool))) == 0.0


def test_the_best_hazards_of_a_group_are_deaths_over_men_at_risk():
    """Without covariates the discrete-time likelihood is binomial in each interval: its maximum is the share that dies."""
    time = np.array([0.5, 1.5, 1.5, 2.5, 2.5, 2.5, 6.0, 6.0])
    event = np.array([True, True, False, True, True, False, False, False])
    survived, died = interval_outcomes(time, event, EDGES)
    # Censored in the middle of an interval: counted as having survived it (Gensheimer and Narasimhan).
    shares = np.array([1 / 8, 1 / 7, 2 / 5, 0.0, 0.0])
    best = torch.tensor(np.log(-np.log1p(-np.maximum(shares, 1e-9))), requires_grad=True)

    loss = discrete_time_loss(best.expand(8, 5), torch.tensor(survived), torch.tensor(died))
    loss.backward()

    assert died.sum(axis=0) / (died + survived).sum(axis=0) == pytest.approx(shares)
    assert best.grad.abs().max() < 1e-6  # single precision of the outcomes


def test_discrete_hazards_multiply_to_kaplan_meier():
    """Events at whole years and censoring just after them leave both estimates the same numbers to work with."""
    rng = np.random.default_rng(7)
    year = rng.integers(1, 7, 300).astype(float)
    event = rng.random(300) < 0.6
    time = np.where(event, year, year + 1e-6)
    survived, died = interval_outcomes(time, event, EDGES)
    hazard = died.sum(axis=0) / (died + survived).sum(axis=0)

    expected = KaplanMeierFitter().fit(time, event).predict(EDGES).to_numpy()

    assert np.cumprod(1 - hazard) == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_an_exponential_law_is_its_likelihood():
    """A constant hazard h a year: surviving k years costs h k, dying within the next costs -log(1 - exp(-h))."""
    h = 0.3
    survived, died = interval_outcomes(np.array([2.5, 4.7]), np.array([True, False]), EDGES)

    loss = discrete_time_loss(torch.full((2, 5), math.log(h), dtype=torch.float64), torch.tensor(survived), torch.tensor(died))

    assert float(loss) == pytest.approx((2 * h - math.log(1 - math.exp(-h)) + 5 * h) / 2, rel=1e-6)
