"""What the results database takes from a prostate case's answer."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.prostate.answer.result import Artefacts, result_document
from operators.results.rows import numbers_of
from tests.algorithms.prostate import artefacts


def test_risks_go_into_the_results_database_with_their_intervals():
    """Floats with ``_low`` and ``_high`` of entries with a label are numbers; one row a subject and name, as its key wants."""
    risk = artefacts.risk({"s01": np.array([0.75]), "s02": np.array([0.25])})
    known = Artefacts(selection=artefacts.selection(), quality=artefacts.quality(), risk=risk)
    rows = numbers_of(result_document(artefacts.record(), known))
    found = {(row["subject"], row["name"]): row for row in rows}
    row = found["distant metastasis, 10 years", "risk"]

    assert len(found) == len(rows)
    assert row["value"] == pytest.approx(1 - np.exp(-(0.25**1.3)))  # the builder's plain rule at 10 of 40 years
    assert row["low"] < row["value"] < row["high"]
    assert found["s01", "attention"]["value"] == 0.75
    assert found["s03", "state"]["word"] == "rejected"
