"""What a model may not be used for follows from what it has learnt."""

from __future__ import annotations

import pytest

from algorithms.train_segmentation.register import statement_of


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
    statement = statement_of({"studies": [{"kind": kind} for kind in kinds]})

    assert words in statement
    assert "not for clinical use" in statement
