"""From events to probabilities over time: Kaplan-Meier, Aalen-Johansen, Breslow, and death of other causes.

The risk of an endpoint is its cumulative incidence: the probability that it happens before death of another cause ends
the man's life.  Times are years; a step function is given as the (rising) times of its steps and its values from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

GOMPERTZ_AGE_YEARS = 70.0
"""Age at which the yearly hazard of a `Gompertz` law is stated."""


def at(when: np.ndarray, times: np.ndarray, values: np.ndarray, *, start: float) -> np.ndarray:
    """Return a step function at ``when``; it is ``start`` before its first step."""
    return np.concatenate([[start], values])[np.searchsorted(times, when, side="right")]


def kaplan_meier(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability to be free of the event, (S,) times and values.

    References
    ----------
    Kaplan and Meier, *Nonparametric estimation from incomplete observations*, J Am Stat Assoc 53:457 (1958).
    """
    times, deaths, at_risk = _table(time, event)
    return times, np.cumprod(1 - deaths / at_risk)


def aalen_johansen(time: np.ndarray, event: np.ndarray, competing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cumulative incidence of ``event`` where ``competing`` (bool, (N,)) ends observation for good.

    References
    ----------
    Aalen and Johansen, *An empirical transition matrix for non-homogeneous Markov chains*, Scand J Stat 5:141 (1978).
    """
    times, either, at_risk = _table(time, event | competing)
    deaths = np.array([np.sum(event & (time == t)) for t in times], float)
    free = np.concatenate([[1.0], np.cumprod(1 - either / at_risk)])[:-1]
    return times, np.cumsum(free * deaths / at_risk)


def breslow(log_hazard: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cumulative hazard of a man whose log relative hazard is 0, given everyone's.

    References
    ----------
    Breslow, discussion of Cox (1972), J R Stat Soc B 34:216.
    """
    times, deaths, _ = _table(time, event)
    order = np.argsort(time)
    hazard = np.exp(log_hazard[order])
    at_risk = np.cumsum(hazard[::-1])[::-1][np.searchsorted(time[order], times)]
    return times, np.cumsum(deaths / at_risk)


def _table(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the times of events, how many there are, and how many men are then under observation."""
    times, deaths = np.unique(time[event], return_counts=True)
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left")
    return times, deaths.astype(float), at_risk.astype(float)


@dataclass(frozen=True)
class Gompertz:
    """Death of other causes by age: ``hazard_at_70 exp(growth (age - 70))`` a year; of health it knows nothing else."""

    hazard_at_70: float
    growth: float

    def cumulative_hazard(self, age_years: np.ndarray, years: np.ndarray) -> np.ndarray:
        """Return the cumulative hazard over the ``years`` that follow ``age_years``; the two are broadcast."""
        now = self.hazard_at_70 * np.exp(self.growth * (age_years - GOMPERTZ_AGE_YEARS))
        return np.asarray(now * np.expm1(self.growth * years) / self.growth)


def fit_gompertz(age_years: np.ndarray, time: np.ndarray, event: np.ndarray) -> Gompertz:
    """Return the law of greatest likelihood; for a given growth the hazard at 70 has a closed form.

    References
    ----------
    Gompertz, Philos Trans R Soc 115:513 (1825).
    """
    deaths = float(event.sum())

    def exposure(growth: float) -> float:
        return float(Gompertz(1.0, growth).cumulative_hazard(age_years, time).sum())

    def negative_log_likelihood(growth: float) -> float:
        ages = float((age_years + time)[event].sum()) - GOMPERTZ_AGE_YEARS * deaths
        return deaths * float(np.log(exposure(growth))) - growth * ages

    growth = float(minimize_scalar(negative_log_likelihood, bounds=(0.001, 0.3), method="bounded").x)
    return Gompertz(deaths / exposure(growth), growth)


def cumulative_incidence(cumulative_hazard: np.ndarray, other_cumulative_hazard: np.ndarray) -> np.ndarray:
    """Return the probability that the endpoint has come first, along the last axis of two cumulative hazards.

    The first point of that axis is time 0.  Within a step both hazards are taken as constant, so that the endpoint's
    share of those who leave is its share of the hazard.

    References
    ----------
    Prentice et al., *The analysis of failure times in the presence of competing risks*, Biometrics 34:541 (1978), eq. 2.
    """
    step, other = np.diff(cumulative_hazard), np.diff(other_cumulative_hazard)
    both = step + other
    leaving = np.exp(-(cumulative_hazard + other_cumulative_hazard)[..., :-1]) * -np.expm1(-both)
    share = np.divide(step, both, out=np.zeros_like(both), where=both > 0)
    risk = np.zeros(np.broadcast_shapes(cumulative_hazard.shape, other_cumulative_hazard.shape))
    risk[..., 1:] = np.cumsum(share * leaving, axis=-1)
    return risk
