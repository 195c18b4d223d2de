"""Both ways of intake; what is true of one must be true of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operators.intake.ways import SITE, Intake, folder_intake, queue_intake
from tests.services import aws_environment, moto


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results database is made for the deployment's region, which its settings say."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REGION", SITE["region"])


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, tmp_path: Path) -> Intake:
    for name, value in aws_environment(aws_endpoint).items():
        monkeypatch.setenv(name, value)
    return queue_intake(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Intake:
    return folder_intake(tmp_path)


@pytest.fixture(params=["queue", "folder"])
def intake(request: pytest.FixtureRequest) -> Intake:
    made: Intake = request.getfixturevalue(request.param)
    return made
