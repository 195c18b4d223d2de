"""What must be set before any test module is imported, whatever is collected first: Airflow's home, and numba's threads."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of several processes takes one core: threads of all that wait for each other make the lattice many times slower.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")

from tests.operators import airflow_home

__all__ = ["airflow_home"]
