"""What a model may not be used for follows from what it has learnt."""

from __future__ import annotations

import pytest

from algorithms.contract.pipeline import PROJECT
from algorithms.train_segmentation.register import statement_of
from algorithms.train_segmentation.tasks import LABELS


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        pytest.param(["phantom", "phantom"], "synthetic phantoms", id="phantoms alone"),
        pytest.param(["phantom", "study"], "for research only", id="a study of one's own"),
        pytest.param(["dicom"], "for research only", id="DICOM"),
    ],
)
def test_only_a_model_of_phantoms_says_that_it_is_one(kinds, words):
    """A card that called patients' data synthetic would be wrong the dangerous way."""
    statement = statement_of({"studies": [{"kind": kind, "held_back": False} for kind in kinds]})

    assert words in statement
    assert "not for clinical use" in statement


def test_patients_whom_the_model_begun_with_has_learnt_from_are_not_forgotten():
    """A second training on phantoms alone does not make patients' data synthetic."""
    first = {"studies": [{"kind": "study", "labels": "ab", "held_back": False}]}
    second = {"studies": [{"kind": "phantom", "seed": 1, "held_back": False}], "begun_with": {"name": "fine", "data": first}}

    assert "for research only" in statement_of(second)


def test_the_docs_name_every_label():
    """Who describes a data set has the page and not the code."""
    page = (PROJECT / "docs" / "training.md").read_text()

    assert f"Labels may be: {', '.join(LABELS)}." in page
