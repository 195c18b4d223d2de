"""The synthetic men: their variables, and a fate that follows the hazard they were given."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from scipy.integrate import quad

from algorithms.phantom.biopsy import man as men


@pytest.fixture(scope="module")
def population():
    """Return two thousand men."""
    rng = np.random.default_rng(7)
    return [men.man(rng) for _ in range(2000)]


@pytest.mark.parametrize("endpoint", men.ENDPOINTS)
@pytest.mark.parametrize("adt", [False, True])
def test_simulated_fates_follow_the_true_risk(population, endpoint, adt):
    """Kaplan-Meier, which removes independent censoring, must find the closed form; 4 standard errors of 6000 fates."""
    one = max(population[:50], key=lambda m: men.log_hazard(m, "distant_metastasis"))
    rng = np.random.default_rng(3)
    fates = [men.follow_up(one, rng, adt=adt)[endpoint] for _ in range(6000)]
    fitted = KaplanMeierFitter().fit([f[0] for f in fates], [f[1] for f in fates])

    for years in (3.0, 5.0, 7.0):
        expected = men.true_risk(one, endpoint, years, adt=adt)
        assert expected == pytest.approx(1 - float(fitted.predict(years)), abs=4 * math.sqrt(expected / 6000))


def test_simulated_fates_follow_the_true_incidence(population):
    """Aalen and Johansen estimate with other deaths competing must find the quadrature; 4 standard errors of 6000 fates."""
    one = replace(max(population[:50], key=lambda m: men.log_hazard(m, "distant_metastasis")), age_years=78.0)
    rng = np.random.default_rng(5)
    fates = [men.follow_up(one, rng, adt=False) for _ in range(6000)]
    met = [f["distant_metastasis"][1] for f in fates]
    cause = [1 if metastasis else 2 * fate["other_cause_death"][1] for metastasis, fate in zip(met, fates, strict=True)]
    times = [f["distant_metastasis"][0] for f in fates]
    fitted = AalenJohansenFitter(calculate_variance=False).fit(times, cause, event_of_interest=1)

    for years in (3.0, 7.0):
        expected = men.true_incidence(one, "distant_metastasis", years)
        found = float(fitted.cumulative_density_.loc[:years].iloc[-1, 0])
        assert expected == pytest.approx(found, abs=4 * math.sqrt(expected / 6000))
        assert expected < men.true_risk(one, "distant_metastasis", years) - 0.01


def test_the_risk_of_death_is_the_convolution_of_metastasis_with_the_time_after_it(population):
    """Adaptive quadrature of density times survival, by SciPy; 1e-7 is its own tolerance."""
    one = population[0]
    scale = men.METASTASIS_SCALE_YEARS * math.exp(-men.log_hazard(one, "distant_metastasis") / men.METASTASIS_SHAPE)
    rate = math.exp(men.DEATH_PLEOMORPHISM * (one.pleomorphism - 0.5)) / men.YEARS_AFTER_METASTASIS

    def dead_after(t):
        density = (
            men.METASTASIS_SHAPE
            / scale
            * (t / scale) ** (men.METASTASIS_SHAPE - 1)
            * math.exp(-((t / scale) ** men.METASTASIS_SHAPE))
        )
        return density * -math.expm1(-rate * (10 - t))

    assert quad(dead_after, 0, 10)[0] == pytest.approx(men.true_risk(one, "prostate_cancer_death", 10), abs=1e-7)


def test_death_follows_metastasis(population):
    """Nobody dies of a cancer that has not spread, in the records as in the risks."""
    rng = np.random.default_rng(5)
    fates = [men.follow_up(one, rng, adt=False) for one in population]
    died = [fate for fate in fates if fate["prostate_cancer_death"][1]]

    assert len(died) > 50
    assert all(
        fate["distant_metastasis"][1] and fate["distant_metastasis"][0] < fate["prostate_cancer_death"][0] for fate in died
    )
    assert all(
        men.true_risk(m, "prostate_cancer_death", 10) < men.true_risk(m, "distant_metastasis", 10) for m in population[:200]
    )


def test_the_tissue_tells_more_than_the_clinic_knows(population):
    """The point of the phantom: a Cox model of the variables stays far behind the true hazard on men it has not seen."""
    rng = np.random.default_rng(11)
    cohort = population + [men.man(rng) for _ in range(2000)]
    fates = [men.follow_up(one, rng, adt=False)["distant_metastasis"] for one in cohort]
    years, event = np.array([f[0] for f in fates]), np.array([f[1] for f in fates])
    pandas = pytest.importorskip("pandas")  # lifelines needs it, the project does not
    table = pandas.DataFrame(
        {
            "psa": [math.log(m.psa_ng_ml) for m in cohort],
            "grade": [float(men.grade_group(m.gleason_primary, m.gleason_secondary)) for m in cohort],
            "stage": [float(list(men.T_STAGES).index(m.t_stage)) for m in cohort],
            "cores": [m.percent_positive_cores for m in cohort],
            "age": [m.age_years for m in cohort],
            "years": years,
            "event": event,
        }
    )
    clinical = CoxPHFitter().fit(table[:2000], "years", "event").predict_log_partial_hazard(table[2000:])
    truth = np.array([men.log_hazard(one, "distant_metastasis") for one in cohort[2000:]])

    assert 0.65 < concordance_index(years[2000:], -clinical, event[2000:]) < 0.74
    assert 0.80 < concordance_index(years[2000:], -truth, event[2000:]) < 0.87


def test_risk_grows_with_the_reported_grade_group(population):
    """Metastasis-free survival fell with each group of 847 men after radiotherapy, hazard ratios 2 to 14 (pcan201618)."""
    groups = np.array([men.grade_group(m.gleason_primary, m.gleason_secondary) for m in population])
    risks = np.array([men.true_risk(m, "distant_metastasis", 10) for m in population])
    low, middle, high = (risks[np.isin(groups, g)].mean() for g in ((1,), (2, 3), (4, 5)))

    assert low < 0.09
    assert low < middle < high
    assert 0.2 < high < 0.4


def test_one_man_in_three_benefits_from_adt(population):
    """34 % of the men of RTOG 9408 were biomarker-positive (Spratt et al. 2023); the border is half the benefit."""
    border = sum(math.log(r) for r in men.ADT_HAZARD_RATIO) / 2
    benefits = np.array([men.adt_log_hazard_ratio(m) < border for m in population])

    assert 0.34 == pytest.approx(benefits.mean(), abs=0.04)  # 4 standard errors


def test_inflammation_decides_the_benefit_of_adt(population):
    """The hazard ratio runs from that of the trial's negative men to that of its positive ones."""
    without, benefit = men.ADT_HAZARD_RATIO

    assert math.exp(men.adt_log_hazard_ratio(replace(population[0], lymphocytes=0.1))) == pytest.approx(without, rel=0.01)
    assert math.exp(men.adt_log_hazard_ratio(replace(population[0], lymphocytes=1.0))) == pytest.approx(benefit, rel=0.01)


def test_variables_lie_where_a_clinic_finds_them(population):
    """Medians of the cited table: 68 years, 9.2 ng/ml; and fractions are a partition."""
    assert 68 == pytest.approx(np.median([m.age_years for m in population]), abs=1)
    assert 9.2 == pytest.approx(np.median([m.psa_ng_ml for m in population]), rel=0.1)
    assert {m.t_stage for m in population} == set(men.T_STAGES)
    assert all(1 == pytest.approx(sum(m.patterns.values()), abs=1e-4) and min(m.patterns.values()) >= 0 for m in population)
    assert all(100 / 12 - 0.1 < m.percent_positive_cores <= 100 for m in population)


@pytest.mark.parametrize(
    ("score", "group"), [((3, 3), 1), ((3, 4), 2), ((4, 3), 3), ((4, 4), 4), ((3, 5), 4), ((4, 5), 5), ((5, 5), 5)]
)
def test_grade_groups_are_those_of_the_consensus(score, group):
    """Epstein et al. 2016, table 1."""
    assert group == men.grade_group(*score)


def test_a_seed_gives_the_same_man():
    """Phantoms are told apart by their seed."""
    assert men.man(np.random.default_rng(2)) == men.man(np.random.default_rng(2))
