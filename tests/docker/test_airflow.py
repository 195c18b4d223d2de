"""The image of Airflow as docker/compose.yaml runs it, with a real PostgreSQL and an S3 server of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy as sa

from tests.docker.images import LIMITS, PROJECT, USER
from tests.docker.test_compose import OURS
from tests.services import AWS_ACCOUNT, Postgres, free_port, moto, postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.container,
    pytest.mark.timeout(3600),  # the first test of a session builds the images
]

READY_S = 300
"""How long the web server may take on a busy machine."""

WRITER = "heartwood_platform"
"""The role as which components write results."""

BUCKETS = ["heartwood-arrivals", "heartwood-reports"]


@dataclass(frozen=True)
class Deployment:
    """The servers and secrets that a component of the compose file finds."""

    image: str
    secrets: Path
    database: Postgres
    s3: str

    def environment(self, service: str, **others: str) -> list[str]:
        """Return the service's variables from the compose file, as arguments of podman."""
        text = {n: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(v)) for n, v in OURS[service]["environment"].items()}
        return [f"--env={name}={value}" for name, value in (text | others).items()]

    def run(self, service: str, *command: str) -> str:
        """Return what a command says in a container that is configured as a service."""
        return self.podman("run", "--rm", *LIMITS, *self.mounts, *self.environment(service), self.image, *command)

    @property
    def mounts(self) -> list[str]:
        """The secrets, where the compose file has them."""
        return [f"--volume={self.secrets}:/run/secrets:ro"]

    def podman(self, *arguments: str) -> str:
        """Return what a podman command says."""
        done = subprocess.run(["podman", "--runtime", "runc", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def rows(self, database: str, query: str) -> list[Any]:
        """Return the rows of a query."""
        engine = sa.create_engine(self.database.url(database=database))
        with engine.connect() as connection:
            found = connection.execute(sa.text(query)).all()
        engine.dispose()
        return list(found)


@pytest.fixture(scope="module")
def deployment(airflow_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Secrets as docker/secrets.sh makes them, but with the addresses of this test's servers."""
    folder = tmp_path_factory.mktemp("deployment")
    shutil.copy(PROJECT / "docker/secrets.sh", folder)
    subprocess.run(["bash", str(folder / "secrets.sh")], check=True, capture_output=True)
    secrets = folder / "secrets"
    with postgres() as database, moto() as s3:
        _make_databases(database, secrets)
        connections = json.loads((secrets / "connections.json").read_text())
        connections["store"]["extra"]["service_config"]["s3"]["endpoint_url"] = s3
        changed = {
            "airflow_database": database.url(database="airflow"),
            "results_owner": database.url(database="results"),
            "results_database": database.url(WRITER, "results"),
            "connections.json": json.dumps(connections),
        }
        for name, text in changed.items():
            (secrets / name).chmod(0o644)
            (secrets / name).write_text(text)
        secrets.chmod(0o755)  # here the folder is mounted; with compose each file is
        made = Deployment(airflow_image, secrets, database, s3)
        made.run("initialise", "python", "docker/initialise.py")
        yield made


def _make_databases(server: Postgres, secrets: Path) -> None:
    """Do what the image of PostgreSQL does with a new volume."""
    told = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "POSTGRES_USER": "heartwood", "POSTGRES_DB": "airflow"}
    told["RESULTS_PASSWORD_FILE"] = str(secrets / "results_password")
    subprocess.run(["createdb", "--username=heartwood", "airflow"], env=os.environ | told, check=True)
    subprocess.run(["bash", str(PROJECT / "docker/databases.sh")], env=os.environ | told, check=True)


def test_initialise_makes_both_databases_pools_and_buckets(deployment: Deployment) -> None:
    """What the components need before they start; running it again after an upgrade changes nothing."""
    check = "python docker/initialise.py && stat -c %a /opt/airflow/login/passwords.json"
    said = deployment.run("initialise", "sh", "-c", check)

    s3 = boto3.client("s3", endpoint_url=deployment.s3, **_keys())
    assert said.splitlines()[-1] == "600"
    assert deployment.rows("airflow", "SELECT pool, slots, include_deferred FROM slot_pool ORDER BY pool")[1:] == [
        ("heartwood_cases", 20, True),
        ("heartwood_memory", 16, False),
    ]
    rights = f"has_table_privilege('{WRITER}', 'cases', 'INSERT'), has_table_privilege('{WRITER}', 'audit', 'UPDATE')"
    assert deployment.rows("results", f"SELECT {rights}") == [(True, False)]
    assert sorted(bucket["Name"] for bucket in s3.list_buckets()["Buckets"]) == BUCKETS


def test_every_dag_imports_in_the_image(deployment: Deployment) -> None:
    """With the settings of the compose file, and with what is installed there only."""
    script = (
        "from airflow.dag_processing.dagbag import DagBag; import json;"
        "bag = DagBag('/opt/heartwood/dags'); print(json.dumps([sorted(bag.dags), bag.import_errors]))"
    )
    dags, errors = json.loads(deployment.run("dag-processor", "python", "-c", script).splitlines()[-1])

    assert errors == {}
    assert {"coronary_ffr", "prostate_risk", "intake_queue", "intake_folder"} <= set(dags)


def test_the_web_server_is_healthy_and_shows_a_report_to_nobody_without_a_login(deployment: Deployment) -> None:
    """Airflow's own health page answers, the portal is there, and it asks who is asking."""
    port = free_port()
    environment = deployment.environment("api-server", AIRFLOW__API__PORT=str(port), AIRFLOW__API__HOST="127.0.0.1")
    command = ["run", "--detach", *LIMITS, *deployment.mounts, *environment, deployment.image, "airflow", "api-server"]
    name = deployment.podman(*command).strip()
    try:
        health = _answer(f"http://127.0.0.1:{port}/api/v2/monitor/health", wait_s=READY_S)
        report = _answer(f"http://127.0.0.1:{port}/heartwood/dags/coronary_ffr/runs/none/report.html")

        assert json.loads(health[1])["metadatabase"] == {"status": "healthy"}, deployment.podman("logs", name)
        assert report[0] == 401
        assert deployment.podman("exec", name, "id", "-u").strip() == USER.partition(":")[0]
    finally:
        deployment.podman("rm", "--force", "--time=5", name)


def _keys() -> dict[str, str]:
    region = {"region_name": AWS_ACCOUNT["AWS_DEFAULT_REGION"]}
    return region | {
        name.lower(): value for name, value in AWS_ACCOUNT.items() if name.startswith(("AWS_ACCESS", "AWS_SECRET"))
    }


def _answer(url: str, wait_s: float = 0) -> tuple[int, str]:
    """Return status and body, waiting for somebody to listen."""
    until = time.monotonic() + wait_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
