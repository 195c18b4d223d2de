"""The table that sets a case's answer beside the truth of its synthetic patient."""

from __future__ import annotations

import json

import pytest

from algorithms.prostate.truth import compare


@pytest.fixture
def folder(tmp_path):
    """Return a truth folder with a man whose ten-year risk is 23.1 %, 9.0 % with ADT."""
    risks = [
        {"endpoint": "distant_metastasis", "horizon_years": 10, "adt": False, "incidence": 0.231},
        {"endpoint": "distant_metastasis", "horizon_years": 10, "adt": True, "incidence": 0.09},
    ]
    (tmp_path / "man.json").write_text(json.dumps({"risks": risks}))
    return tmp_path


ANSWER = {
    "risks": [
        {
            "label": "distant metastasis, 10 years",
            "endpoint": "distant_metastasis",
            "horizon_years": 10,
            "risk": 0.2,
            "risk_low": 0.12,
            "risk_high": 0.31,
        }
    ],
    "slides": [{"used": True, "state": "used"}, {"used": False, "state": "rejected"}],
    "nccn": {"group": "unfavorable intermediate", "title": "unfavorable intermediate risk"},
    "suggestions": [{"text": "discuss short-term ADT"}],
    "adt_biomarker": {"benefit": 0.1, "positive": True},
}


def test_each_risk_stands_beside_the_true_one(folder):
    """The truth without ADT, since that is the risk a report gives."""
    text = "\n".join(compare(ANSWER, folder))

    assert "20.0 % (12.0 to 31.0)" in text
    assert "23.1 %" in text
    assert "slides: 1 used, 1 rejected" in text
    assert "benefit of short-term ADT: 10.0 % (true: 14.1 %)" in text
    assert "NCCN unfavorable intermediate risk: discuss short-term ADT" in text


def test_a_refused_case_has_less_to_compare(folder):
    """`make demo` must end whatever the verdict was."""
    withheld = {
        "risks": [{**ANSWER["risks"][0], "risk": None, "risk_low": None, "risk_high": None}],
        "slides": [],
        "nccn": None,
    }

    assert [] == compare({"risks": [], "slides": [], "nccn": None, "suggestions": [], "adt_biomarker": None}, folder)
    assert [] == compare(withheld, folder)


def test_a_risk_without_an_interval_is_shown_alone(folder):
    """One member of an ensemble has no spread."""
    alone = {**ANSWER["risks"][0], "risk_low": None, "risk_high": None}

    assert "20.0 % " in compare({"risks": [alone]}, folder)[2]
