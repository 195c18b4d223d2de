"""Where the embedded Airflow lives and what it is told: folders, keys, environment, tables."""

# ruff: noqa: T201  # it talks to a person at a terminal

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from algorithms.contract.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW_HOME = ROOT / "airflow"
LOOPBACK = "127.0.0.1"

TASKS_AT_ONCE = 4
"""LocalExecutor starts this many workers; its default of 32 would take 3 GB."""

TWO_CASES_GIB = 16
"""A laptop with less memory works on one case at a time: the largest stage declares 6 GiB."""


def environment(home: Path, port: int = 8080) -> dict[str, str]:
    """Return the environment of the embedded Airflow; what the user set for Heartwood itself is kept."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    address = f"http://{LOOPBACK}:{port}"
    ours = {
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file()),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__INSTANCE_NAME": "Heartwood",
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret("jwt"),
        "AIRFLOW__HEARTWOOD__HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONWARNINGS": "ignore",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    cases = {} if memory_gib >= TWO_CASES_GIB else {"AIRFLOW__HEARTWOOD__MAX_ACTIVE_RUNS": "1"}
    kept = {n: v for n, v in os.environ.items() if not n.startswith("AIRFLOW") or n.startswith("AIRFLOW__HEARTWOOD__")}
    return cases | kept | ours


def dag_id(pipeline: Pipeline) -> str:
    """Return the id of a pipeline's DAG: its file in dags/ is called so, after the pipeline."""
    return next(path for pattern in ("", "_*") for path in (ROOT / "dags").glob(f"{pipeline.name}{pattern}.py")).stem


def prepare(home: Path, port: int = 8080) -> dict[str, str]:
    """Make Airflow's home and its tables, and return the environment."""
    AIRFLOW_HOME.mkdir(exist_ok=True)
    # Keys and the password lie here; SimpleAuthManager itself leaves its file readable to everybody.
    AIRFLOW_HOME.chmod(0o700)
    (AIRFLOW_HOME / "logs").mkdir(exist_ok=True)
    env = environment(home, port)
    migrated = AIRFLOW_HOME / "migrated"
    release = version("apache-airflow")
    if not migrated.exists() or migrated.read_text() != release:
        with step("making Airflow's tables, once"):
            run(["-m", "airflow", "db", "migrate"], env)
        migrated.write_text(release)
    return env


def run(arguments: list[str], env: dict[str, str]) -> str:
    """Run a Python program and return its output; what it says on the way goes to a log that is shown if it fails."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\n{done.stderr[-2000:]}")
        raise SystemExit(done.returncode)
    return done.stdout


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print what is being done, and how long it took."""
    print(f"{text} ... ", end="", flush=True)
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:.0f} s", flush=True)


def password() -> str:
    """Return the administrator's password, made at the first start and kept in a file that only this user can read."""
    path = _passwords_file()
    if not path.exists():
        _write_private(path, json.dumps({"admin": secrets.token_urlsafe(12)}))
    password: str = json.loads(path.read_text())["admin"]
    return password


def _secret(name: str) -> str:
    """Return a key that all processes of this Airflow share, made when it is first asked for."""
    path = AIRFLOW_HOME / f"{name}.key"
    if not path.exists():
        _write_private(path, secrets.token_hex(64))
    return path.read_text()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _passwords_file() -> Path:
    return AIRFLOW_HOME / "passwords.json"


def relative(path: Path) -> str:
    """Return a path as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
