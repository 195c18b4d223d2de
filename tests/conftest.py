"""What must be set before any test module is imported, whatever is collected first: Airflow's home, and numba's threads."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several processes takes one core: threads of all that wait for each other make the lattice many times slower.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")

from tests.operators import airflow_home

__all__ = ["airflow_home"]


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what a test of a whole system leaves before the next one begins.

    A socket that a client library forgot is a warning when it is collected, and would fail whichever test runs by then.
    """
    yield
    if request.node.get_closest_marker("system") is not None:
        gc.collect()
