"""A whole training from a shell: two phantoms, two steps in two processes, a report, and a model that is promoted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from algorithms.segmentation.entry import read_entry
from tests.cases import PROJECT, answer

SETTINGS = ("network=coarse", "phantoms=1", "phantoms_held_back=1", "steps=2", "lessons_at_once=2", "processes=2")


@pytest.mark.slow
def test_a_training_is_a_case_that_ends_in_the_registry(tmp_path):
    """Two steps teach next to nothing, but every stage has run, and the first model of a task has nothing to be worse than."""
    found = answer("train_segmentation", PROJECT / "algorithms/train_segmentation/phantoms.toml", tmp_path / "home", *SETTINGS)

    found.checked()
    assert 0 == found.code, found.text
    assert found.result["verdict"] in {"answered", "held"}
    assert {"heart", "aorta", "left ostium", "coronary tree"} < {row["label"] for row in found.result["structures"]}
    given = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [
        "-m",
        "algorithms.train_segmentation.promote",
        "--case",
        found.summary["case"],
        "--models",
        str(tmp_path / "models"),
    ]
    done = subprocess.run([sys.executable, *command, *given], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["replaced_sha256"] is None
    assert found.result["weights_sha256"] == read_entry("coarse", tmp_path / "models").sha256
