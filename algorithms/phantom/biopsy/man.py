"""A synthetic man with localised prostate cancer: what is known of him, what his tissue holds, and what becomes of him.

Everything is drawn from one latent aggressiveness and independent normal variables.
What the clinic knows (PSA, stage, cores, the reported Gleason grades) is a noisy view of the tissue; the hazard depends on
the tissue itself, so a model that sees images can know more than one that reads the variables.

The hazard of distant metastasis after radiotherapy is Weibull and proportional in ``exp(log_hazard)``.
Death from prostate cancer follows metastasis after an exponential time.
Risks are net risks, the probability of the event if nobody died of anything else before; incidences let other deaths compete.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

ENDPOINTS = ("distant_metastasis", "prostate_cancer_death")
PATTERNS = ("stroma", "benign", "gleason3", "gleason4", "gleason5")

AGE_YEARS = (68.0, 7.4)
"""Mean and standard deviation of age, from median 68 (quartiles 62-72) of 655 men with cancer (Boesen et al., JAMA Netw Open
1:e180219 (2018), table 1)."""
PSA_NG_ML = (9.2, 0.876)
"""Median and standard deviation of the logarithm, from median 9.2 (quartiles 6.1-19.9); the same table."""
T_STAGES = {"T1c": 0.44, "T2a": 0.17, "T2b": 0.09, "T2c": 0.09, "T3a": 0.13, "T3b": 0.07, "T4": 0.01}
"""Share of each clinical stage: T1c, T2, T3, T4 from the same table, the parts of T2 and T3 an own choice."""
CORES = 12
"""Cores of a systematic biopsy (own choice; the commonest scheme)."""

METASTASIS_SHAPE = 1.25
"""Weibull shape of the time to distant metastasis: the hazard grows slowly (own choice)."""
METASTASIS_SCALE_YEARS = 165.0
"""Weibull scale for a log hazard of 0; about one man in seven has it within ten years (own choice, docs/prostate.md)."""
YEARS_AFTER_METASTASIS = 5.0
"""Mean time from metastasis to death of prostate cancer at a pleomorphism of 0.5 (own choice)."""
DEATH_PLEOMORPHISM = 0.6
"""Log hazard ratio of death after metastasis per unit of pleomorphism (own choice)."""

ADT_HAZARD_RATIO = (0.92, 0.34)
"""Hazard ratio of distant metastasis with short-term ADT for men without and with benefit (Spratt et al., NEJM Evid 2(8)
(2023), doi:10.1056/EVIDoa2300023, RTOG 9408: biomarker-negative and -positive men)."""
ADT_LYMPHOCYTES = (0.66, 0.05)
"""Lymphocytes at which half the benefit is reached, and the width of the step: a third of the men benefit, as in that trial."""

OTHER_CAUSE_HAZARD_AT_70 = 0.018
"""Yearly hazard of death of another cause at 70; about the order of a national life table for men fit enough for treatment
(own choice)."""
OTHER_CAUSE_GROWTH = 0.09
"""Growth of that hazard per year of age: it doubles in eight years (Gompertz's law; own choice)."""
FOLLOW_UP_YEARS = (8.0, 18.0)
"""Administrative end of follow-up, uniform (own choice, about RTOG 9408's median of 15 years)."""

HIGHER_GRADE_REPORTED = 0.05
"""Share of the cancer from which a reader reports a higher grade as secondary; on needle biopsies any amount counts
(Epstein et al., Am J Surg Pathol 40:244 (2016)), but very little is overlooked (own choice)."""
READER_NOISE = 0.8
"""Standard deviation of the logarithm of a pattern's share as a reader sees it: own choice, because pathologists agree on
needle biopsies with a weighted kappa of only 0.5 (*Interobserver reproducibility of percent Gleason grade 4/5*, J Urol
171:664 (2004))."""


@dataclass(frozen=True)
class Stain:
    """How a laboratory's sections look.

    Attributes
    ----------
    haematoxylin, eosin
        Strength of each dye, 1 is usual.
    hue
        Turn of the dyes' colours in optical-density space, radians, haematoxylin then eosin.
    """

    haematoxylin: float
    eosin: float
    hue: tuple[float, float]


@dataclass(frozen=True)
class Man:
    """One man at his biopsy.

    Attributes
    ----------
    age_years, psa_ng_ml, gleason_primary, gleason_secondary, t_stage, percent_positive_cores
        What his clinic knows; cores in percent, 0-100.
    patterns
        Area fraction of each of ``PATTERNS`` in his tissue; they sum to 1.
    pleomorphism
        Size and irregularity of his cancer's nuclei, 0-1.
    lymphocytes
        Inflammation of the stroma, 0-1.
    stain
        How his laboratory stains.
    """

    age_years: float
    psa_ng_ml: float
    gleason_primary: int
    gleason_secondary: int
    t_stage: str
    percent_positive_cores: float
    patterns: Mapping[str, float]
    pleomorphism: float
    lymphocytes: float
    stain: Stain


def man(rng: np.random.Generator) -> Man:
    """Return a man drawn from the population of ``docs/prostate.md``, Synthetic patients."""
    aggressiveness, *own = (float(z) for z in rng.standard_normal(10))

    def partly(share: float, z: float) -> float:
        return share * aggressiveness + math.sqrt(1 - share * share) * z

    volume, grade = partly(0.5, own[0]), partly(0.45, own[1])
    patterns = _patterns(volume, grade, own[2], rng)
    primary, secondary = reported_gleason(patterns, rng)
    age = AGE_YEARS[0] + AGE_YEARS[1] * partly(0.15, own[3])
    log_psa = math.log(PSA_NG_ML[0]) + PSA_NG_ML[1] * (0.45 * volume + math.sqrt(1 - 0.45**2) * own[4])
    positive = int(rng.binomial(CORES - 1, _normal_cdf(-0.45 + 0.7 * volume + 0.5 * own[5]))) + 1
    return Man(
        age_years=round(min(max(age, 45.0), 90.0)),
        psa_ng_ml=round(min(max(math.exp(log_psa), 0.5), 200.0), 1),
        gleason_primary=primary,
        gleason_secondary=secondary,
        t_stage=_t_stage(_normal_cdf(0.6 * volume + 0.8 * own[6])),
        percent_positive_cores=round(100 * positive / CORES, 1),
        patterns=patterns,
        pleomorphism=round(_normal_cdf(partly(0.2, own[7])), 4),
        lymphocytes=round(_normal_cdf(own[8]), 4),
        stain=_stain(rng),
    )


def _stain(rng: np.random.Generator) -> Stain:
    """Return how a laboratory stains; the spreads are an own choice, by eye, of what scanners of several sites send."""
    return Stain(
        float(np.exp(rng.normal(0.0, 0.12))),
        float(np.exp(rng.normal(0.0, 0.14))),
        (float(rng.normal(0.0, 0.05)), float(rng.normal(0.0, 0.05))),
    )


def _patterns(volume: float, grade: float, fives: float, rng: np.random.Generator) -> dict[str, float]:
    """Return the area fraction of each pattern from normal variables for tumour volume, grade and the worst part's share.

    The biopsies of a man known to have cancer hold 15 to 85 % cancer by area here, more than a whole set of twelve cores would:
    laboratories send the slides that show it.
    """
    cancer = 0.15 + 0.7 * _normal_cdf(-0.3 + 0.9 * volume)
    high = _logistic(-1.3 + 2.0 * grade)
    fifth = _logistic(-3.5 + 1.2 * grade + 1.4 * fives)
    glands = (1 - cancer) * float(rng.uniform(0.35, 0.65))
    area = {
        "stroma": 1 - cancer - glands,
        "benign": glands,
        "gleason3": cancer * (1 - high),
        "gleason4": cancer * high * (1 - fifth),
        "gleason5": cancer * high * fifth,
    }
    return {name: round(value, 5) for name, value in area.items()}


def reported_gleason(patterns: Mapping[str, float], rng: np.random.Generator) -> tuple[int, int]:
    """Return the primary and secondary grade that a reader reports: the commonest, then the worst of what else is seen.

    References
    ----------
    Epstein et al., *The 2014 ISUP consensus conference*, Am J Surg Pathol 40:244 (2016): on needle biopsies a higher grade
    is reported in whatever amount, a lower one only from 5 % of the cancer.
    """
    cancer = sum(patterns[f"gleason{grade}"] for grade in (3, 4, 5))
    noise = np.exp(READER_NOISE * rng.standard_normal(3))
    seen = {grade: patterns[f"gleason{grade}"] / cancer * float(n) for grade, n in zip((3, 4, 5), noise, strict=True)}
    total = sum(seen.values())
    share = {grade: value / total for grade, value in seen.items()}
    primary = max(share, key=lambda grade: share[grade])
    higher = [grade for grade in (5, 4) if grade > primary and share[grade] >= HIGHER_GRADE_REPORTED]
    lower = [grade for grade in (4, 3) if grade < primary and share[grade] >= 0.05]
    return primary, next(iter(higher + lower), primary)


def grade_group(primary: int, secondary: int) -> int:
    """Return the ISUP grade group of a Gleason score (Epstein et al., Am J Surg Pathol 40:244 (2016))."""
    total = primary + secondary
    if total <= 6:
        return 1
    if total == 7:
        return 2 if primary == 3 else 3
    return 4 if total == 8 else 5


def _t_stage(quantile: float) -> str:
    """Return the stage at a quantile of the population, 0-1."""
    reached = 0.0
    for stage, share in T_STAGES.items():
        reached += share
        if quantile < reached:
            return stage
    return "T4"


def log_hazard(one: Man, endpoint: str, *, adt: bool = False) -> float:
    """Return the log hazard ratio of ``one`` against the baseline: radiotherapy alone, or with short-term ADT.

    For distant metastasis it is exact.
    Death from prostate cancer is not a proportional hazard; the log of its ten-year cumulative hazard is returned, which
    ranks men by risk.
    """
    if endpoint == "prostate_cancer_death":
        return math.log(-math.log1p(-true_risk(one, endpoint, 10.0, adt=adt)))
    if endpoint != "distant_metastasis":
        raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
    return clinical_log_hazard(one) + image_log_hazard(one) + (adt_log_hazard_ratio(one) if adt else 0.0)


def clinical_log_hazard(one: Man) -> float:
    """Return the part that PSA, stage, positive cores and age carry (own choice)."""
    stage = 0.1 * list(T_STAGES).index(one.t_stage)
    cores = 0.3 * one.percent_positive_cores / 100
    return 0.25 * math.log(one.psa_ng_ml / PSA_NG_ML[0]) + stage + cores + 0.1 * (one.age_years - AGE_YEARS[0]) / 10


def image_log_hazard(one: Man) -> float:
    """Return the part that only the tissue carries: patterns 4 and 5, the nuclei, inflammation (own choice)."""
    architecture = 3.0 * one.patterns["gleason4"] + 6.0 * one.patterns["gleason5"]
    return architecture + 4.2 * (one.pleomorphism - 0.5) + 1.0 * (one.lymphocytes - 0.5)


def adt_log_hazard_ratio(one: Man) -> float:
    """Return the log hazard ratio of distant metastasis with short-term ADT: near 0 unless the stroma is inflamed."""
    without, benefit = (math.log(ratio) for ratio in ADT_HAZARD_RATIO)
    middle, width = ADT_LYMPHOCYTES
    return without + (benefit - without) * _logistic((one.lymphocytes - middle) / width)


def true_risk(one: Man, endpoint: str, years: float, *, adt: bool = False) -> float:
    """Return the probability of the event within ``years`` (>= 0), if nothing else ends the man's life before.

    Metastasis: ``1 - exp(-(t/scale)^shape exp(log_hazard))``.
    Death: that distribution convolved with the exponential time from metastasis to death.
    With the time of metastasis written as ``years x^4`` the integrand is analytic, and Gauss-Legendre quadrature is exact to
    round-off.
    """
    cumulative = (years / METASTASIS_SCALE_YEARS) ** METASTASIS_SHAPE * math.exp(log_hazard(one, "distant_metastasis", adt=adt))
    if endpoint == "distant_metastasis":
        return -math.expm1(-cumulative)
    if endpoint != "prostate_cancer_death":
        raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
    nodes, weights = _quadrature()
    power = 4 * METASTASIS_SHAPE
    hazard = cumulative * nodes**power
    density = power * cumulative * nodes ** (power - 1) * np.exp(-hazard)
    dead = -np.expm1(-_death_rate(one) * years * (1 - nodes**4))
    return float((weights * density * dead).sum())


INCIDENCE_STEPS = 40
"""Steps of the quadrature of the incidence; ten times as many change none by more than 1e-4."""


def true_incidence(one: Man, endpoint: str, years: float, *, adt: bool = False) -> float:
    """Return the probability that the event comes within ``years`` and before death of another cause."""
    ends = [years * i / INCIDENCE_STEPS for i in range(INCIDENCE_STEPS + 1)]
    risks = [true_risk(one, endpoint, end, adt=adt) for end in ends]
    alive = [_other_cause_survival(one.age_years, (start + end) / 2) for start, end in itertools.pairwise(ends)]
    gains = [later - earlier for earlier, later in itertools.pairwise(risks)]
    return math.fsum(gain * share for gain, share in zip(gains, alive, strict=True))


def _other_cause_survival(age_years: float, years: float) -> float:
    now = OTHER_CAUSE_HAZARD_AT_70 * math.exp(OTHER_CAUSE_GROWTH * (age_years - 70))
    return math.exp(-now * math.expm1(OTHER_CAUSE_GROWTH * years) / OTHER_CAUSE_GROWTH)


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nodes and weights of Gauss-Legendre quadrature on 0-1."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return (nodes + 1) / 2, weights / 2


def _death_rate(one: Man) -> float:
    """Return the yearly hazard of death of prostate cancer after metastasis."""
    return math.exp(DEATH_PLEOMORPHISM * (one.pleomorphism - 0.5)) / YEARS_AFTER_METASTASIS


def follow_up(one: Man, rng: np.random.Generator, *, adt: bool) -> dict[str, tuple[float, bool]]:
    """Return what a trial records: years to each endpoint or the end of his follow-up, and whether it is the endpoint.

    Beside ``ENDPOINTS`` it tells ``other_cause_death``, which competes with both.
    """
    metastasis, survival, other, end = (float(u) for u in rng.random(4))
    hazard = math.exp(log_hazard(one, "distant_metastasis", adt=adt))
    to_metastasis = METASTASIS_SCALE_YEARS * (-math.log1p(-metastasis) / hazard) ** (1 / METASTASIS_SHAPE)
    to_death = to_metastasis - math.log1p(-survival) / _death_rate(one)
    to_other_death = _other_cause_years(one.age_years, other)
    ended = min(to_other_death, FOLLOW_UP_YEARS[0] + (FOLLOW_UP_YEARS[1] - FOLLOW_UP_YEARS[0]) * end)
    return {
        "distant_metastasis": (min(to_metastasis, ended), to_metastasis <= ended),
        "prostate_cancer_death": (min(to_death, ended), to_death <= ended),
        "other_cause_death": (min(to_death, ended), to_other_death <= ended and to_other_death < to_death),
    }


def _other_cause_years(age_years: float, quantile: float) -> float:
    """Return the years to death of another cause at a quantile of Gompertz's law."""
    now = OTHER_CAUSE_HAZARD_AT_70 * math.exp(OTHER_CAUSE_GROWTH * (age_years - 70))
    return math.log1p(-math.log1p(-quantile) * OTHER_CAUSE_GROWTH / now) / OTHER_CAUSE_GROWTH


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
