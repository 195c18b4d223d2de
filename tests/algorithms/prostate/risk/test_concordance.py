"""Measures of ranking against lifelines, scipy and what they must be without censoring."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines.utils import concordance_index
from scipy.stats import mannwhitneyu

from algorithms.prostate.risk.concordance import auc, harrell_c, uno_c


def fates(seed: int, *, tied: bool = False, censored: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, times and events of 300 men; scores tell something of the times."""
    rng = np.random.default_rng(seed)
    score = rng.standard_normal(300)
    time = rng.exponential(np.exp(-score)) * 5
    event = rng.random(300) >= censored
    return (np.round(score, 1), np.ceil(time), event) if tied else (score, time, event)


@pytest.mark.parametrize("tied", [False, True])
def test_harrells_c_is_that_of_lifelines(tied):
    """An independent implementation, with ties in time and in score; its scores are survival times, so the sign turns."""
    score, time, event = fates(1, tied=tied)

    assert harrell_c(score, time, event) == pytest.approx(concordance_index(time, -score, event), abs=1e-12)


def test_without_censoring_uno_is_harrell():
    """All weights are 1, and nothing happens after the horizon."""
    score, time, event = fates(2, censored=0.0)

    assert uno_c(score, time, event, horizon_years=1e9) == pytest.approx(harrell_c(score, time, event), abs=1e-12)


def test_without_censoring_the_auc_is_that_of_a_yes_or_no():
    """The share of pairs in which the man with the event scores higher is Mann and Whitney's U over all pairs."""
    score, time, event = fates(3, censored=0.0)
    early = time <= 4.0

    expected = mannwhitneyu(score[early], score[~early]).statistic / (early.sum() * (~early).sum())

    assert auc(score, time, event, horizon_years=4.0) == pytest.approx(expected, abs=1e-12)


def test_weights_undo_censoring():
    """Heavy censoring, independent of the score, changes Uno's C and the AUC by chance only."""
    rng = np.random.default_rng(4)
    score = rng.standard_normal(3000)
    time = rng.exponential(np.exp(-score)) * 5
    end = rng.uniform(0, 12, 3000)
    seen, event = np.minimum(time, end), time <= end
    everyone = np.ones(3000, bool)

    # Standard error of about 0.007 at some 1000 events.
    assert uno_c(score, seen, event, 6.0) == pytest.approx(uno_c(score, time, everyone, 6.0), abs=0.02)
    assert auc(score, seen, event, 6.0) == pytest.approx(auc(score, time, everyone, 6.0), abs=0.02)


def test_nobody_to_compare_gives_no_number():
    """Where all are censored nothing is known of the ranking."""
    assert np.isnan(harrell_c(np.arange(3.0), np.arange(3.0), np.zeros(3, bool)))
