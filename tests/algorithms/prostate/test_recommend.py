"""The recommend stage: what it takes from clinical.json and risk.json, and what it writes."""

from __future__ import annotations

import json

import pytest

from algorithms.prostate.pipeline import PIPELINE
from algorithms.prostate.recommend import facts, recommendation, run
from tests.algorithms.prostate.invented_man import MEN, clinical_document, risk_document


@pytest.mark.parametrize("group", list(MEN))
def test_the_stage_writes_suggestions_with_evidence_and_sources(group, tmp_path):
    """One man of each group, end to end through files."""
    inputs = {"clinical": tmp_path / "clinical.json", "risk": tmp_path / "risk.json"}
    inputs["clinical"].write_text(json.dumps(clinical_document(group)))
    inputs["risk"].write_text(json.dumps(risk_document()))

    measured = run(inputs, tmp_path)
    document = json.loads((tmp_path / "recommendation.json").read_text())

    assert measured == {"suggestions": len(document["suggestions"]), "adt_biomarker": "none"}
    assert all(set(s) == {"rule", "text", "evidence", "sources"} for s in document["suggestions"])
    assert all(s["evidence"] and s["sources"] for s in document["suggestions"])
    assert "Version 6.2026" in document["edition"]
    assert document["adt_biomarker"] is None


def test_risks_are_the_ten_year_ones_in_percent():
    """0.08 and 0.03 at 10 years in the invented risk.json; the 5-year ones are half of that."""
    known = facts(clinical_document("high"), risk_document())

    assert known["metastasis_risk_percent"] == pytest.approx(8)
    assert known["death_risk_percent"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("group", "positive", "rule"),
    [
        ("favorable intermediate", True, "radiotherapy-favorable-biomarker-positive"),
        ("favorable intermediate", False, "radiotherapy-favorable"),
        ("favorable intermediate", None, "radiotherapy-favorable"),
        ("unfavorable intermediate", True, "radiotherapy-unfavorable"),
        ("unfavorable intermediate", False, "radiotherapy-unfavorable-biomarker-negative"),
        ("unfavorable intermediate", None, "radiotherapy-unfavorable"),
        ("low", True, "treatment-low"),
        ("high", False, "radiotherapy-high"),
        ("very high", True, "radiotherapy-very-high"),
    ],
)
def test_the_course_of_radiotherapy_follows_group_and_biomarker(group, positive, rule):
    """The guideline's course, turned into a question where the biomarker disagrees with it; elsewhere it is not heard."""
    said = [s["rule"] for s in recommendation(clinical_document(group), risk_document(adt_positive=positive))["suggestions"]]

    assert [name for name in said if name.startswith(("radiotherapy", "treatment"))] == [rule]


def test_the_adt_biomarker_carries_its_numbers():
    """The report shows the effect, its interval and the threshold beside the sentence."""
    risk = risk_document(adt_positive=True)
    biomarker = recommendation(clinical_document("unfavorable intermediate"), risk)["adt_biomarker"]

    assert biomarker["text"].startswith("Positive: ")
    assert "4.1 percentage points" in biomarker["text"]
    assert {name: biomarker[name] for name in risk["adt"]} == risk["adt"]
    assert "doi:10.1056/EVIDoa2300023" in biomarker["sources"][0]


def test_an_undecided_group_says_what_would_decide_it():
    """In the words of the form, not in the names of the code."""
    suggestions = recommendation(clinical_document(None), risk_document())["suggestions"]

    assert [s["rule"] for s in suggestions] == ["group-undecided"]
    assert "PSA before biopsy, primary Gleason pattern, " in suggestions[0]["text"]
    assert "and biopsy cores with cancer would decide it" in suggestions[0]["text"]


def test_a_risk_is_told_with_the_treatment_that_it_belongs_to():
    """The model learnt from men after radiotherapy; beside active surveillance its risk would be misread without that."""
    document = recommendation(clinical_document("low"), risk_document())
    surveillance = next(s for s in document["suggestions"] if s["rule"] == "surveillance-low")

    assert "after radiotherapy alone at 3.0 %" in surveillance["evidence"][-1]
    assert any("men after radiotherapy alone" in sentence for sentence in document["limits"])


def test_a_percentile_is_evidence_where_there_is_one():
    """A man whose model has no reference for his group is told his risk and no percentile."""
    with_one = recommendation(clinical_document("low"), risk_document(percentile=95.0))["suggestions"][0]
    without = recommendation(clinical_document("low"), risk_document(percentile=None, risk_group="high"))["suggestions"][0]

    assert with_one["rule"] == without["rule"] == "confirm-before-surveillance"
    assert [text for text in with_one["evidence"] if text not in without["evidence"]] == [
        "95 % of the reference men of his NCCN group have a lower risk by this model."
    ]


@pytest.mark.parametrize(
    ("group", "age", "percentile", "rule", "said"),
    [
        ("low", 74, 50.0, "life-expectancy", False),
        ("low", 75, 50.0, "life-expectancy", True),
        ("low", None, 50.0, "life-expectancy", True),
        ("low", 60, 89.9, "confirm-before-surveillance", False),
        ("low", 60, 90.0, "confirm-before-surveillance", True),
        ("favorable intermediate", 60, 90.0, "confirm-before-surveillance", True),
        ("unfavorable intermediate", 60, 90.0, "review-before-treatment", True),
        ("high", 60, 90.0, "review-before-treatment", False),
        ("high", 60, 90.0, "confirm-before-surveillance", False),
    ],
)
def test_thresholds_are_where_the_document_says(group, age, percentile, rule, said):
    """Health status from 75 years or at an unknown age; a high estimate from the 90th percentile of the group."""
    document = recommendation(
        clinical_document(group, age_years=age), risk_document(percentile=percentile, risk_group="intermediate")
    )

    assert (rule in [suggestion["rule"] for suggestion in document["suggestions"]]) == said


def test_the_most_pressing_comes_first():
    """Before options for a man of 80 stands the question of his life expectancy, then staging."""
    said = [s["rule"] for s in recommendation(clinical_document("high", age_years=80), risk_document())["suggestions"]]

    assert said[:3] == ["life-expectancy", "low-estimate-in-high-group", "staging-high"]


def test_what_the_model_imputed_is_among_the_limits():
    """A risk that rests on a typical PSA is not this man's."""
    risk = risk_document() | {"imputed": ["psa_ng_ml"]}
    document = recommendation(clinical_document("high"), risk)

    assert any("PSA before biopsy" in sentence for sentence in document["limits"])


def test_the_rules_are_part_of_the_result_s_key():
    """With other rules the same man may be told another thing."""
    assert PIPELINE.stage("recommend").files({}) == ("algorithms/prostate/rules/treatment.toml",)


def test_an_uncertain_benefit_is_told_as_undecided_and_decides_nothing():
    """The interval leaves it open: the text says so, and the course is that of a man without a biomarker."""
    risk = risk_document(adt_positive=True)
    risk["adt"] |= {"positive": None, "benefit_low": -0.02}

    said = recommendation(clinical_document("unfavorable intermediate"), risk)
    without = recommendation(clinical_document("unfavorable intermediate"), risk_document())

    assert said["adt_biomarker"]["text"].startswith("Undecided")
    assert [s["rule"] for s in without["suggestions"]] == [s["rule"] for s in said["suggestions"]]
