"""NCCN group and grade group against the guideline's table, written here a second time, over all men there can be."""

from __future__ import annotations

import itertools
import tomllib

import pytest

from algorithms.prostate.rules.conditions import holds
from algorithms.prostate.rules.nccn import RULES, isup_grade_group, nccn_group, stratification
from algorithms.prostate.variables import T_STAGES, VARIABLES

STAGES = ("T1a", "T1b", "T1c", "T2a", "T2b", "T2c", "T3a", "T3b", "T4")
PATTERNS = (3, 4, 5)
PSA = (0.1, 9.99, 10.0, 15.0, 20.0, 20.01, 40.0, 40.01, 1000.0)
CORES = (1.5, 49.9, 50.0, 100.0)
MEN = list(itertools.product(STAGES, PATTERNS, PATTERNS, PSA, CORES))
NAMES = ("t_stage", "gleason_primary", "gleason_secondary", "psa_ng_ml", "percent_positive_cores")


def guideline(stage: str, primary: int, secondary: int, psa: float, cores: float) -> str:
    """Return the group by PROS-2 of Version 6.2026, in plain code and in the guideline's own order."""
    score = primary + secondary
    grade = 1 if score == 6 else (2 if primary == 3 else 3) if score == 7 else 4 if score == 8 else 5
    advanced = stage[:2] in {"T3", "T4"}
    if [advanced, grade >= 4, psa > 40].count(True) >= 2:
        return "very high"
    if advanced or grade >= 4 or psa > 20:
        return "high"
    factors = [stage in {"T2b", "T2c"}, grade in {2, 3}, 10 <= psa <= 20].count(True)
    if factors == 0:
        return "low"
    return "unfavorable intermediate" if factors >= 2 or grade == 3 or cores >= 50 else "favorable intermediate"


TABLE = {man: guideline(*man) for man in MEN}


def man(**values):
    """Return the group of a man of whom only these variables are known."""
    return nccn_group(values)


@pytest.mark.parametrize(
    ("primary", "secondary", "group"),
    [(3, 3, 1), (3, 4, 2), (4, 3, 3), (4, 4, 4), (3, 5, 4), (5, 3, 4), (4, 5, 5), (5, 4, 5), (5, 5, 5)],
)
def test_grade_groups_are_those_of_the_consensus(primary, secondary, group):
    """Epstein et al. 2016, table 3: <= 6, 3+4, 4+3, 8, 9-10."""
    assert isup_grade_group(primary, secondary) == group


def test_every_complete_man_is_in_the_group_of_the_guideline():
    """2916 men on both sides of every threshold: the rules as data against the table in plain code."""
    assert {m: nccn_group(dict(zip(NAMES, m, strict=True)))["group"] for m in MEN} == TABLE


def test_a_worse_variable_never_means_a_lower_group():
    """A law of any stratification, whatever its edition: more stage, grade, PSA or positive cores is no better news."""
    order = list(stratification().groups)
    grades = [(3, 3), (3, 4), (4, 3), (4, 4), (4, 5)]
    ladders = [STAGES, grades, PSA, CORES]
    for rungs in itertools.product(*(range(len(ladder)) for ladder in ladders)):
        for i, rung in enumerate(rungs):
            if rung:
                worse, better = ([*rungs[:i], r, *rungs[i + 1 :]] for r in (rung, rung - 1))
                groups = [_group_of([ladder[r] for ladder, r in zip(ladders, man, strict=True)]) for man in (worse, better)]
                assert order.index(groups[0]) <= order.index(groups[1])


def _group_of(steps):
    stage, (primary, secondary), psa, cores = steps
    return nccn_group(dict(zip(NAMES, (stage, primary, secondary, psa, cores), strict=True)))["group"]


def test_the_groups_exclude_each_other():
    """Then their order in the file does not matter, and each can be read alone."""
    rules = stratification()
    for stage, primary, secondary, psa, cores in MEN:
        facts = {
            "t_stage": stage,
            "grade_group": isup_grade_group(primary, secondary),
            "psa_ng_ml": psa,
            "percent_positive_cores": cores,
        }
        assert [holds(condition, facts, rules.features) for condition in rules.groups.values()].count(True) == 1


def test_missing_variables_leave_exactly_the_groups_of_the_men_he_may_be():
    """Brute force: every way to know some of a man's variables, a stage perhaps without its letter, against all completions."""
    stages = [None, *T_STAGES]
    partial = itertools.product(
        stages, (None, *PATTERNS), (None, *PATTERNS), (None, 9.99, 10.0, 20.01, 40.01), (None, 49.9, 50.0)
    )
    for stage, *others in partial:
        meant = STAGES if stage is None else T_STAGES[stage]
        pools = [
            meant,
            *(
                [full] if full is not None else pool
                for full, pool in zip(others, (PATTERNS, PATTERNS, PSA, CORES), strict=True)
            ),
        ]
        expected = {TABLE[completion] for completion in itertools.product(*pools)}

        result = nccn_group(dict(zip(NAMES, (stage, *others), strict=True)))

        assert set(result["possible"]) == expected
        assert result["group"] == (expected.pop() if len(expected) == 1 else None)


def test_the_missing_variables_named_are_those_that_can_change_the_group():
    """For each man with one variable missing: it is named exactly where two of its values give different groups."""
    for place, name in enumerate(NAMES):
        for others in itertools.product(
            *(pool for i, pool in enumerate((STAGES, PATTERNS, PATTERNS, (5.0, 15.0, 30.0, 50.0), (20.0, 80.0))) if i != place)
        ):
            values = dict(zip((n for n in NAMES if n != name), others, strict=True))
            result = nccn_group(values)

            assert result["missing"] == ([name] if result["group"] is None else [])


@pytest.mark.parametrize(
    ("values", "group", "reasons"),
    [
        pytest.param(
            {"t_stage": "T1c", "psa_ng_ml": 5.2, "gleason_primary": 3, "gleason_secondary": 3, "percent_positive_cores": 10.0},
            "low",
            ["clinical stage T1c", "grade group 1", "PSA below 10 ng/ml"],
            id="screen-detected",
        ),
        pytest.param(
            {"t_stage": "T1c", "psa_ng_ml": 7.0, "gleason_primary": 3, "gleason_secondary": 4, "percent_positive_cores": 25.0},
            "favorable intermediate",
            ["grade group 2", "less than 50 % of the biopsy cores with cancer"],
            id="one factor",
        ),
        pytest.param(
            {"t_stage": "T1c", "psa_ng_ml": 7.0, "gleason_primary": 3, "gleason_secondary": 4, "percent_positive_cores": 50.0},
            "unfavorable intermediate",
            ["grade group 2", "50 % or more of the biopsy cores with cancer"],
            id="six of twelve cores",
        ),
        pytest.param(
            {"t_stage": "T2a", "psa_ng_ml": 6.0, "gleason_primary": 4, "gleason_secondary": 3, "percent_positive_cores": 20.0},
            "unfavorable intermediate",
            ["grade group 3"],
            id="grade group 3",
        ),
        pytest.param(
            {"t_stage": "T2b", "psa_ng_ml": 12.0, "gleason_primary": 3, "gleason_secondary": 3, "percent_positive_cores": 20.0},
            "unfavorable intermediate",
            ["clinical stage T2b", "PSA 10 to 20 ng/ml"],
            id="two factors",
        ),
        pytest.param(
            {"t_stage": "T1c", "psa_ng_ml": 25.0, "gleason_primary": 3, "gleason_secondary": 3, "percent_positive_cores": 20.0},
            "high",
            ["PSA above 20 ng/ml"],
            id="psa alone",
        ),
        pytest.param(
            {"t_stage": "T3a", "psa_ng_ml": 25.0, "gleason_primary": 3, "gleason_secondary": 4, "percent_positive_cores": 60.0},
            "high",
            ["clinical stage T3a", "PSA above 20 ng/ml"],
            id="T3a and PSA 25: very high by older editions, high by this one",
        ),
        pytest.param(
            {"t_stage": "T3b", "psa_ng_ml": 8.0, "gleason_primary": 3, "gleason_secondary": 3, "percent_positive_cores": 20.0},
            "high",
            ["clinical stage T3b"],
            id="T3b alone: very high by older editions, high by this one",
        ),
        pytest.param(
            {"t_stage": "T3b", "psa_ng_ml": 8.0, "gleason_primary": 4, "gleason_secondary": 5, "percent_positive_cores": 80.0},
            "very high",
            ["clinical stage T3b", "grade group 5"],
            id="stage and grade",
        ),
        pytest.param(
            {"t_stage": "T2", "psa_ng_ml": 55.0, "gleason_primary": 4, "gleason_secondary": None},
            None,
            [],
            id="4+3 would be high, 4+4 very high",
        ),
        pytest.param(
            {"t_stage": "T3", "gleason_primary": 5},
            "very high",
            ["clinical stage T3a or T3b", "grade group 4 or 5"],
            id="little known and yet enough",
        ),
        pytest.param(
            {"t_stage": "T1", "psa_ng_ml": 4.0, "gleason_primary": 3, "gleason_secondary": 3},
            "low",
            ["clinical stage T1a, T1b or T1c", "grade group 1", "PSA below 10 ng/ml"],
            id="cores do not matter here",
        ),
    ],
)
def test_a_textbook_man_is_where_the_textbook_puts_him_for_these_reasons(values, group, reasons):
    """Worked by hand from PROS-2, Version 6.2026."""
    result = nccn_group(values)

    assert result["group"] == group
    assert result["reasons"] == reasons


def test_an_undecided_man_is_told_what_remains_and_what_would_decide():
    """Grade group 4 is never less than high; stage or PSA may make it very high."""
    result = man(gleason_primary=4, gleason_secondary=4)

    assert result["possible"] == ["very high", "high"]
    assert result["missing"] == ["psa_ng_ml", "t_stage"]
    assert result["title"] == "undecided: very high risk or high risk"


def test_a_man_of_whom_nothing_is_known_may_be_in_any_group():
    """Nothing is put in the place of what is missing."""
    result = man()

    assert result["possible"] == list(stratification().groups)
    assert set(result["missing"]) == set(VARIABLES) - {"age_years"}


def test_the_rules_name_their_edition_and_no_feature_is_idle():
    """A feature that no group asks for would be a rule that somebody believes to be in force."""
    document = tomllib.loads(RULES.read_text())
    text = str(document["groups"])

    assert "Version 6.2026" in nccn_group({})["edition"]
    assert [name for name in document["features"] if f"'{name}'" not in text] == []
