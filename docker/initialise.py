"""Before the components start, and again after every upgrade: databases at their newest schema, pools, buckets, login.

``docker/compose.yaml`` runs it as the service ``initialise``; running it again changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from airflow.configuration import conf
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from operators import settings
from operators.settings import Settings

WRITER = "HEARTWOOD_RESULTS_WRITER"
"""Variable that names the role of PostgreSQL as which the components write, where it is not the owner of the tables."""

LOGIN = Path("/run/secrets/login.json")
"""The password of the administrator, where the deployment has one for Airflow's SimpleAuthManager."""


CASES_AT_ONCE = 20
"""Slots of a new pool of arrivals; whoever changes them in Airflow's web UI is not overruled by an upgrade."""


def main() -> None:
    """Make ready what this deployment's settings name."""
    here = settings.load()
    _run("airflow", "db", "migrate")
    _run(sys.executable, "-m", "operators.results", "upgrade")
    if WRITER in os.environ:
        _run(sys.executable, "-m", "operators.results", "writer", os.environ[WRITER])
    _make_pools(here)
    _make_bucket(here.store, here.store_connection)
    _make_bucket(here.intake_store, here.intake_connection)
    if LOGIN.exists():
        _copy_login(LOGIN, Path(conf.get("core", "simple_auth_manager_passwords_file")))


def _make_pools(here: Settings) -> None:
    if here.memory_pool:
        _run("airflow", "pools", "set", here.memory_pool, str(here.memory_pool_gib), "GiB of memory for stages")
    if here.intake_pool and subprocess.run(["airflow", "pools", "get", here.intake_pool], check=False).returncode:
        slots = ("--include-deferred", here.intake_pool, str(CASES_AT_ONCE), "cases that came by queue or folder, at once")
        _run("airflow", "pools", "set", *slots)


def _make_bucket(uri: str, connection: str) -> None:
    if uri.startswith("s3://"):
        bucket = uri.removeprefix("s3://").partition("/")[0]
        hook = S3Hook(aws_conn_id=connection or None)
        if not hook.check_for_bucket(bucket):
            hook.create_bucket(bucket)


def _copy_login(source: Path, target: Path) -> None:
    # Airflow opens its file for writing, and a mounted secret cannot be written to.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(source.read_text())


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
