"""Airflow's home for tests is set before any test module imports airflow, whatever is collected first."""

from __future__ import annotations

import pytest

from tests.operators import airflow_home

__all__ = ["airflow_home"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and whole systems one after the other, first: two at once would starve each other."""
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
    for item in items:
        together = "system" if item.get_closest_marker("system") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(together))
