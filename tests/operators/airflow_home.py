"""One Airflow home for all tests of a session; importing this module sets it before anything imports airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.mkdtemp(prefix="heartwood-airflow-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

DATA = FOLDER / "data"
"""The home of the cases, ``[heartwood] home``."""

os.environ |= {
    "AIRFLOW_HOME": str(FOLDER),
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a key for tests, as long as SHA-512 wants it: " + "0" * 64,
    "AIRFLOW__HEARTWOOD__HOME": str(DATA),
    "AIRFLOW__HEARTWOOD__STUB": "True",
    "AIRFLOW__HEARTWOOD__RETRY_DELAY_S": "0.1",
}


def migrate() -> None:
    """Make Airflow's own tables, once a session."""
    if not (FOLDER / "migrated").exists():
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], cwd=PROJECT, check=True, capture_output=True)
        (FOLDER / "migrated").touch()
