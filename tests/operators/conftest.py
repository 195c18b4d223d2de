"""An Airflow with its tables, and a stub case to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.inbox import admit
from tests.operators.airflow_home import DATA, migrate


@pytest.fixture(scope="session")
def airflow_tables() -> None:
    """Airflow's database, migrated."""
    migrate()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A case of its own for each test."""
    return case_for("coronary", tmp_path)


def case_for(pipeline: str, folder: Path) -> Case:
    """Return a new case: what is in the study does not matter in stub mode, only that it differs."""
    study = folder / "study"
    study.mkdir()
    (study / "image").write_text(str(folder))
    return admit(study, pipeline, Home(DATA))
