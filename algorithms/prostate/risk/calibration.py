"""Does the risk that was said come true?  Expected against observed, in groups and over all men.

Risks are cumulative incidences, so what is observed is Aalen-Johansen's estimate with death of other causes competing.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from algorithms.prostate.risk.incidence import aalen_johansen, at


class Bin(TypedDict):
    """One group of men: the mean risk that was said and what was observed."""

    men: int
    expected: float
    observed: float


GROUPS = 5
"""Groups of men by risk, of equal size."""


def bins(risk: np.ndarray, time: np.ndarray, event: np.ndarray, competing: np.ndarray, horizon_years: float) -> list[Bin]:
    """Return expected and observed incidence at a horizon, from the group of lowest to that of highest risk."""
    found: list[Bin] = []
    for men in np.array_split(np.argsort(risk, kind="stable"), GROUPS):
        times, incidence = aalen_johansen(time[men], event[men], competing[men])
        observed = at(np.array([horizon_years]), times, incidence, start=0.0)[0]
        found.append(Bin(men=len(men), expected=float(risk[men].mean()), observed=float(observed)))
    return found


def intercept_and_slope(expected: np.ndarray, log_hazard: np.ndarray, event: np.ndarray) -> tuple[float, float]:
    """Return the calibration intercept (0 is right, above it too few events were expected) and slope (1 is right).

    The slope is below 1 where high risks are too high and low ones too low, as with overfitting.
    ``expected`` (N,) is the cumulative hazard that was predicted for each man up to the end of his own observation: the
    number of events expected of him, so that censoring needs no further care.  ``log_hazard`` (N,) is the logarithm of his
    predicted cumulative hazard at one time for all, which is known beforehand; ``event`` (N,) is what happened.

    References
    ----------
    Crowson, Atkinson, Therneau, *Assessing calibration of prognostic risk scores*, Stat Methods Med Res 25:1692 (2016),
    sections 3.1 and 3.3: Poisson regression of the events with the expected number as offset.
    """
    intercept = float(np.log(event.sum() / expected.sum()))
    centred = log_hazard - log_hazard.mean()
    offset = np.log(expected) - centred
    design = np.stack([np.ones_like(centred), centred], axis=1)
    beta = np.array([intercept, 1.0])
    for _ in range(50):
        mean = np.exp(offset + design @ beta)
        step = np.linalg.solve(design.T @ (design * mean[:, None]), design.T @ (event - mean))
        # A first step from far off could overshoot the exponential.
        beta += step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-10:
            break
    return intercept, float(beta[1])
