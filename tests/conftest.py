"""What must be set before any test module is imported, whatever is collected first: Airflow's home, a worker's cores."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several processes keeps to a core, and all that it starts: threads of all on every core wait for each other, which
    # made the whole of the tests twice as slow.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % len(cores)]})

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
