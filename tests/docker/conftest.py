"""Images that are built once a session, by the first test that wants one."""

from __future__ import annotations

import pytest

from tests.docker.images import built
from tests.operators import airflow_home  # noqa: F401 - before anything imports airflow


@pytest.fixture(scope="session")
def stage_image() -> str:
    """The image of a stage."""
    return built("stage")


@pytest.fixture(scope="session")
def airflow_image() -> str:
    """The image of Airflow's components."""
    return built("airflow")
