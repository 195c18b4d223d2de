"""Synthetic cohorts: the same men whatever their number, and nobody on both sides of a fold."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.prostate.training.cohort import cohort, follow_ups, joined
from algorithms.prostate.training.risk import fold
from tests.algorithms.prostate.risk.stand_in import embed


def test_a_smaller_cohort_is_the_beginning_of_a_larger_one():
    """What is kept of the first men stays valid when more are wanted."""
    small, large = cohort(3, 20, embed), cohort(3, 30, embed)

    assert small.men == large.men[:20]
    assert np.array_equal(small.time, large.time[:20])
    assert np.array_equal(small.features, large.features[:20])


def test_an_endpoint_and_another_death_never_both_end_a_man():
    """Whoever died of another cause first has no event, and time stops for both endpoints at the last moment he was seen."""
    men = cohort(4, 300, embed)

    for endpoint in (0, 1):
        assert not (men.competing(endpoint) & men.event[:, endpoint]).any()
    assert (men.time[:, 0] <= men.time[:, 1]).all()  # death of prostate cancer follows metastasis
    assert men.other_death.sum() > 10


def test_half_the_men_are_treated():
    """The arms are randomised; three standard errors of 600 men."""
    assert cohort(5, 600, embed).treated.mean() == pytest.approx(0.5, abs=0.06)


def test_nobody_judges_who_trained():
    """Training, held-out and judging men share nobody, and nobody is lost."""
    cohorts = [cohort(seed, 320, embed) for seed in (1, 2, 3)]

    parts = fold(cohorts, 1)
    names = [{(m.psa_ng_ml, m.pleomorphism, m.lymphocytes) for m in part.men} for part in parts]

    assert len(names[0] | names[1] | names[2]) == 960
    assert parts[2].men == cohorts[1].men
    assert len(joined(cohorts)) == 960


def test_fates_keep_their_order():
    """Metastasis first, death second, as the heads are."""
    fate = {"prostate_cancer_death": (9.0, True), "distant_metastasis": (4.0, False), "other_cause_death": (9.0, False)}

    time, event = follow_ups([fate])

    assert time.tolist() == [[4.0, 9.0]]
    assert event.tolist() == [[False, True]]
