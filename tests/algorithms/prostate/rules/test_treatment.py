"""Every rule of treatment.toml: reached by somebody, sourced, worded as a suggestion, and at peace with the others."""

from __future__ import annotations

import itertools
import re
import string

import pytest

from algorithms.prostate.recommend import facts as facts_of
from algorithms.prostate.rules.conditions import comparisons
from algorithms.prostate.rules.nccn import stratification
from algorithms.prostate.rules.treatment import adt_biomarker, limits, rules, suggestions
from tests.algorithms.prostate.invented_man import clinical_document, risk_document

GROUPS = [*stratification().groups, None]
EVERY_RULE = [pytest.param(rule, id=rule["rule"]) for rule in (*rules()["missing"], *rules()["rules"])]
ORDERS = re.compile(
    r"\b(must|should|shall|start|stop|begin|give|take|need|has to|have to|always|never|recommend\w*|require\w*)\b", re.I
)


def worlds():
    """Yield the facts of men of every group, age, model answer and biomarker."""
    for group, age, answer, percentile, adt, synthetic in itertools.product(
        GROUPS,
        (None, 60, 75),
        (None, "low", "intermediate", "high"),
        (None, 50.0, 95.0),
        (None, True, False),
        (True, False),
    ):
        risk = risk_document(risk_group=answer, percentile=percentile, adt_positive=adt, synthetic=synthetic)
        if answer is None:
            risk["endpoints"] = []
        yield facts_of(clinical_document(group, age_years=age), risk)


WORLDS = list(worlds())


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_rule_is_complete_sourced_and_suggests(rule):
    """What a physician reads says why and on whose word, and leaves the decision to him and the man."""
    assert rule["evidence"]
    assert rule["sources"]
    assert set(rule["sources"]) <= set(rules()["sources"])
    assert rule["text"].startswith(("Consider ", "Discuss "))
    assert rule["text"].endswith(".")
    assert not ORDERS.search(" ".join([rule["text"], *rule["evidence"]]))
    assert all(text.endswith(".") for text in rule["evidence"])


def test_every_rule_is_reached_by_some_man():
    """A rule that nobody can meet is a mistake in its condition."""
    reached = {suggestion["rule"] for world in WORLDS for suggestion in suggestions(world)}

    assert reached == {rule["rule"] for rule in (*rules()["missing"], *rules()["rules"])}


def test_rule_names_are_unique_and_every_source_is_cited():
    """The report links a suggestion to its rule by name; an uncited source is a leftover."""
    every = [*rules()["missing"], *rules()["rules"]]
    cited = {name for rule in (*every, rules()["adt_biomarker"]) for name in rule["sources"]}

    assert len({rule["rule"] for rule in every}) == len(every)
    assert cited == set(rules()["sources"])


def test_every_source_can_be_found():
    """A paper by its DOI, the guideline by its version and date."""
    for name, citation in rules()["sources"].items():
        assert "doi:10." in citation or (name == "nccn" and "Version 6.2026 (28 July 2026)" in citation)


def test_groups_and_options_are_of_one_edition():
    """Options of one edition for the groups of another would be nobody's guideline."""
    assert stratification().edition.partition(", PROS")[0] == rules()["edition"].partition(", PROS")[0]


def test_rules_ask_only_for_facts_that_there_are():
    """A mistyped fact would be unknown for ever, and its rule silent."""
    conditions = rules()["conditions"]
    asked = {
        comparison["fact"]
        for rule in (*rules()["missing"], *rules()["rules"], rules()["adt_biomarker"], *rules()["limits"])
        for comparison in comparisons(rule.get("when", {"all": []}), conditions)
    }

    assert asked <= set(WORLDS[0])


def test_rules_ask_for_groups_by_the_names_that_the_groups_have():
    """The two rule files agree on the names, or a group would be left without suggestions."""
    named = {c["is"] for condition in rules()["conditions"].values() for c in comparisons(condition, {**rules()["conditions"]})
             if c["fact"] == "nccn_group"}  # fmt: skip

    assert named == set(stratification().groups)


def test_no_text_shows_a_fact_that_may_be_unknown():
    """A sentence that reads "a risk of None %" would be worse than no sentence."""
    for world in WORLDS:
        biomarker = adt_biomarker(world)
        shown = [s["text"] for s in suggestions(world)] + [t for s in suggestions(world) for t in s["evidence"]] + limits(world)
        text = " ".join(shown + ([biomarker["text"]] if biomarker else []))
        assert "None" not in text
        assert "{" not in text


def test_no_man_gets_two_courses_of_radiotherapy():
    """Radiotherapy without ADT and with ADT side by side, unexplained, would be no suggestion at all."""
    courses = {rule["rule"]: rule.get("course") for rule in rules()["rules"]}
    for world in WORLDS:
        assert sum(courses.get(suggestion["rule"]) is not None for suggestion in suggestions(world)) <= 1


def test_every_man_with_group_and_risk_gets_a_course_and_an_alternative():
    """No group may fall silent."""
    for world in WORLDS:
        if world["nccn_group"] and world["metastasis_risk_percent"] is not None:
            found = {suggestion["rule"] for suggestion in suggestions(world)}
            assert any(rule.get("course") for rule in rules()["rules"] if rule["rule"] in found)
            assert {"observation", "observation-high"} & found


def test_where_group_or_risk_is_missing_nothing_else_is_suggested():
    """An option without a risk group, or without the risk it would be weighed by, rests on nothing."""
    for world in WORLDS:
        said = {suggestion["rule"] for suggestion in suggestions(world)}
        incomplete = {"group-undecided"} if world["nccn_group"] is None else set()
        incomplete |= {"risk-missing"} if world["metastasis_risk_percent"] is None else set()
        assert said & {"group-undecided", "risk-missing"} == incomplete
        assert not incomplete or said == incomplete


def test_active_surveillance_is_never_suggested_beyond_favorable_intermediate_risk():
    """PROS-5 and PROS-6 advise against it with a life expectancy above 10 years (category 1)."""
    for world in WORLDS:
        if any("surveillance" in s["rule"] for s in suggestions(world)):
            assert world["nccn_group"] in {"low", "favorable intermediate"}


def test_the_adt_biomarker_speaks_only_in_intermediate_risk():
    """RTOG 9408, on which the published one was validated, was a trial of short-term ADT in mostly such men."""
    for world in WORLDS:
        applies = world["nccn_group"] in {"favorable intermediate", "unfavorable intermediate"} and world["adt_given"]
        assert (adt_biomarker(world) is not None) == applies
        if not applies:
            assert not any("biomarker" in suggestion["rule"] for suggestion in suggestions(world))


def test_a_biomarker_changes_the_course_and_nothing_else():
    """Two men who differ in it alone get the same list but for radiotherapy."""
    for world in WORLDS:
        if world["adt_positive"] is True:
            other = [s["rule"] for s in suggestions(world | {"adt_positive": False})]
            here = [s["rule"] for s in suggestions(world)]
            assert [r for r in here if "radiotherapy" not in r] == [r for r in other if "radiotherapy" not in r]


def test_a_synthetic_model_says_so():
    """The shipped model has seen no person; whoever reads the suggestion reads that too."""
    for world in WORLDS:
        said = " ".join(limits(world))
        assert ("synthetic patients" in said) == world["synthetic"]
        assert "not a medical device" in said


def test_placeholders_are_facts():
    """A text that names an unknown fact would fail at the one man who meets it."""
    texts = [text for rule in (*rules()["missing"], *rules()["rules"]) for text in (rule["text"], *rule["evidence"])]
    texts += [
        rules()["adt_biomarker"]["positive"],
        rules()["adt_biomarker"]["negative"],
        rules()["adt_biomarker"]["undecided"],
        *(limit["text"] for limit in rules()["limits"]),
    ]
    fields = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}

    assert fields <= set(WORLDS[0])
