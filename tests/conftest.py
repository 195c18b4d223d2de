"""Airflow's home for tests is set before any test module imports airflow, whatever is collected first."""

from __future__ import annotations

from tests.operators import airflow_home

__all__ = ["airflow_home"]
