"""How well a score ranks men by when their event comes.

Scores are higher for men at higher risk, (N,); times are years, (N,); events are bool, (N,).
"""

from __future__ import annotations

import numpy as np

from algorithms.prostate.risk.incidence import at, kaplan_meier


def harrell_c(score: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """Return the share of comparable pairs in which the man with the earlier event has the higher score; ties count half.

    A pair is comparable when the earlier time ends with the event; at equal times, when exactly one does.  NaN where no
    pair is comparable.

    References
    ----------
    Harrell et al., *Evaluating the yield of medical tests*, JAMA 247:2543 (1982).
    """
    return _concordance(score, time, event, np.ones(len(time)))


def uno_c(score: np.ndarray, time: np.ndarray, event: np.ndarray, horizon_years: float) -> float:
    """Return the concordance for events up to a horizon, free of how the men were censored.

    Each pair is weighted by the inverse square of the chance not to be censored before the earlier time.

    References
    ----------
    Uno et al., *On the C-statistics for evaluating overall adequacy of risk prediction procedures with censored survival
    data*, Stat Med 30:1105 (2011), eq. 6.
    """
    weight = np.where(time < horizon_years, _uncensored(time, event) ** -2.0, 0.0)
    return _concordance(score, time, event, weight)


def _concordance(score: np.ndarray, time: np.ndarray, event: np.ndarray, weight: np.ndarray) -> float:
    agreeing = comparable = 0.0
    for i in np.flatnonzero(event):
        later = (time > time[i]) | ((time == time[i]) & ~event)
        agreeing += weight[i] * (float((score[later] < score[i]).sum()) + 0.5 * float((score[later] == score[i]).sum()))
        comparable += weight[i] * float(later.sum())
    return agreeing / comparable if comparable else float("nan")


def auc(score: np.ndarray, time: np.ndarray, event: np.ndarray, horizon_years: float) -> float:
    """Return the area under the curve that tells men with an event up to the horizon from those without one then.

    Who is censored before the horizon is in neither group; the others stand for him by their weights.

    References
    ----------
    Uno et al., *Evaluating prediction rules for t-year survivors with censored regression models*, J Am Stat Assoc 102:527
    (2007).
    """
    case = event & (time <= horizon_years)
    control = time > horizon_years
    weight = _uncensored(time, event)[case] ** -1.0
    above = (score[case, None] > score[control]).mean(axis=1) + 0.5 * (score[case, None] == score[control]).mean(axis=1)
    return float((weight * above).sum() / weight.sum())


def _uncensored(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return each man's chance not to be censored before his time, of the whole group."""
    years, survival = kaplan_meier(time, ~event)
    before = at(np.nextafter(time, -np.inf), years, survival, start=1.0)
    return np.where(before > 0, before, 1.0)
