"""A whole distributed Airflow of a test's own: API server, scheduler, DAG processor and two Celery workers.

PostgreSQL keeps Airflow's tables, Celery's results and Heartwood's results, Redis carries the messages.  Each component is a
process group of its own, so that KILL ends all of it as the loss of a machine would, and is started again when it ends, as
systemd or Kubernetes would do.  Nothing listens beyond loopback, and nothing outlives the ``with`` block.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.services import Postgres, free_port, postgres, redis

PROJECT = Path(__file__).resolve().parents[2]
SLOTS = 4
"""Tasks that one worker runs at once."""

WORKERS = ("worker one", "worker two")

RECOMMENDED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "1000",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "60",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "60",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
}
"""The settings that docs/operations.md recommends for many machines (tests/faults/test_recommended.py compares them)."""


@dataclass(frozen=True)
class Try:
    """One try of one task, as Airflow's tables tell it; times in seconds since 1970, ``item`` -1 where nothing is mapped."""

    run_id: str
    task_id: str
    item: int
    number: int
    state: str
    slots: int
    host: str
    start: float | None
    end: float | None


@dataclass
class Component:
    """One process of Airflow, with whatever it starts in its process group."""

    name: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


@dataclass
class Cluster:
    """A running Airflow; see `cluster`."""

    folder: Path
    database: Postgres
    env: dict[str, str]
    port: int
    components: dict[str, Component]
    _closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def home(self) -> Path:
        """Heartwood's home."""
        return self.folder / "home"

    # -- components

    def kill(self, name: str) -> float:
        """End a component with all of its processes by KILL, as the loss of its machine would; return when."""
        with self._lock:
            component = self.components[name]
            for pid in _family(component.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            component.process.wait()  # type: ignore[union-attr]
        return time.time()

    def keep(self) -> None:
        """Start again whatever has ended, until the cluster closes: what systemd's ``Restart=always`` does."""
        while not self._closing.wait(1):
            with self._lock:
                for component in self.components.values():
                    if component.process is not None and component.process.poll() is not None and not self._closing.is_set():
                        _end_group(component.pid)
                        self._start(component)

    def start(self) -> None:
        """Start every component."""
        with self._lock:
            for component in self.components.values():
                self._start(component)

    def close(self) -> None:
        """End every component, and all that they started."""
        self._closing.set()
        with self._lock:
            running = [c for c in self.components.values() if c.process is not None]
            families = {pid for c in running for pid in _family(c.pid)}
            for component in running:
                component.process.terminate()  # type: ignore[union-attr]
            until = time.monotonic() + 10
            for component in running:
                with suppress(subprocess.TimeoutExpired):
                    component.process.wait(max(0.1, until - time.monotonic()))  # type: ignore[union-attr]
                _end_group(component.pid)
                component.process.wait()  # type: ignore[union-attr]
            for pid in families:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _start(self, component: Component) -> None:
        component.starts += 1
        with self._log(component.name).open("ab") as file:
            component.process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *component.arguments],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name.replace(' ', '-')}.log"

    # -- Airflow

    def airflow(self, *arguments: str) -> None:
        """Run a command of Airflow's, to its end."""
        self.python("-m", "airflow", *arguments)

    def python(self, *arguments: str) -> None:
        """Run a Python program in the cluster's environment, to its end."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=PROJECT, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    def api(self, path: str, document: Any = None, method: str | None = None) -> Any:
        """Return what Airflow's API answers."""
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        if not path.startswith("/auth"):
            request.add_header("Authorization", f"Bearer {self.api('/auth/token')['access_token']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def trigger(self, dag_id: str, case_id: str, **settings: str) -> str:
        """Start a DAG run for a case with these parameters and return its id."""
        run = {"dag_run_id": f"case-{case_id}", "logical_date": None, "conf": {"case_id": case_id, **settings}}
        return str(self.api(f"/api/v2/dags/{dag_id}/dagRuns", run)["dag_run_id"])

    # -- what the tables say

    def rows(self, sql: str, database: str = "airflow") -> list[tuple[Any, ...]]:
        """Return the rows of a query to one of the databases; raises ``psycopg.OperationalError`` while it is down."""
        address = f"host=127.0.0.1 port={self.database.port} user=heartwood dbname={database} connect_timeout=5"
        with psycopg.connect(address) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def runs(self) -> dict[str, str]:
        """Return the state of every DAG run by its id."""
        return {run_id: str(state) for run_id, state in self.rows("SELECT run_id, state FROM dag_run")}

    def tries(self) -> list[Try]:
        """Return every try of every task: those that were superseded, and the last ones."""
        columns = "run_id, task_id, map_index, try_number, state, pool_slots, hostname, start_date, end_date"
        now = self.rows(f"SELECT {columns} FROM task_instance")
        before = self.rows(f"SELECT {columns} FROM task_instance_history")
        latest = {row[:4]: row for row in [*before, *now]}
        return [Try(*row[:4], str(row[4]), row[5], row[6], _seconds(row[7]), _seconds(row[8])) for row in latest.values()]

    # -- waiting

    def wait(self, what: str, condition: Callable[[], Any], patience_s: float = 240, limit_s: float = 900) -> Any:
        """Return what ``condition`` returns once it is true.

        Gives up when nothing in Airflow's tables has changed for ``patience_s``, or after ``limit_s``.
        """
        started = changed = time.monotonic()
        seen: Any = None
        while True:
            with suppress(psycopg.OperationalError, urllib.error.URLError, OSError):
                if found := condition():
                    return found
                now = self.rows("SELECT state, count(*), sum(try_number) FROM task_instance GROUP BY state ORDER BY state")
                if now != seen:
                    seen, changed = now, time.monotonic()
            if time.monotonic() - changed > patience_s or time.monotonic() - started > limit_s:
                raise TimeoutError(f"waited {time.monotonic() - started:.0f} s for {what}; tasks: {seen}\n{self.last_words()}")
            time.sleep(0.5)

    def wait_for_runs(self, run_ids: list[str], **limits: float) -> dict[str, str]:
        """Return the state of each run once all of them have ended."""

        def ended() -> dict[str, str]:
            states = self.runs()
            return {r: states[r] for r in run_ids} if all(states[r] in {"success", "failed"} for r in run_ids) else {}

        return dict(self.wait("the end of every case", ended, **limits))

    def log(self, name: str) -> str:
        """Return what a component has said."""
        return self._log(name).read_text(errors="replace")

    def last_words(self) -> str:
        """Return the end of every component's log, for a test that fails."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


@contextmanager
def cluster(folder: Path, **settings: str) -> Iterator[Cluster]:
    """Give a running cluster whose Airflow knows the DAGs of this project; ``settings`` are environment variables."""
    with postgres() as database, redis() as broker:
        port = free_port()
        here = Cluster(folder, database, _environment(folder, database, broker, port) | settings, port, _components())
        for name in ("airflow", "celery", "heartwood"):
            with psycopg.connect(f"host=127.0.0.1 port={database.port} user=heartwood dbname=postgres", autocommit=True) as c:
                c.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # three names of our own
        for name in ("home", "logs", "airflow", "cluster"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        here.airflow("db", "migrate")
        here.python("-m", "operators.results", "upgrade")
        if pool := here.env.get("AIRFLOW__HEARTWOOD__MEMORY_POOL"):
            here.airflow("pools", "set", pool, here.env["AIRFLOW__HEARTWOOD__MEMORY_POOL_GIB"], "GiB of memory")
        keeper = threading.Thread(target=here.keep, daemon=True)
        try:
            here.start()
            keeper.start()
            here.wait("Airflow to come up", lambda: _ready(here))
            yield here
        finally:
            here.close()
            keeper.join(20)


def _ready(here: Cluster) -> bool:
    health = here.api("/api/v2/monitor/health")
    dags = {row[0] for row in here.rows("SELECT dag_id FROM serialized_dag")}
    up = all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))
    return up and {"coronary_ffr", "prostate_risk"} <= dags and here.api("/api/v2/dags/coronary_ffr")["is_paused"] is False


def _components() -> dict[str, Component]:
    workers = {
        name: (
            "celery",
            "worker",
            "--skip-serve-logs",
            "--concurrency",
            str(SLOTS),
            "--celery-hostname",
            name.replace(" ", "-"),
        )
        for name in WORKERS
    }
    named = {
        "api server": ("api-server",),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag processor": ("dag-processor",),
        **workers,
    }
    return {name: Component(name, arguments) for name, arguments in named.items()}


def _environment(folder: Path, database: Postgres, broker: str, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    address = f"http://127.0.0.1:{port}"
    ours = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        # A task waits in the scheduler, where it has a pool slot and a name, and not in the broker.
        "AIRFLOW__CORE__PARALLELISM": str(SLOTS * len(WORKERS)),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url(database="airflow"),
        # Airflow would take asyncpg, which the lock has not: psycopg does both.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.url(database="airflow"),
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database.url(database='celery')}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__HEARTWOOD__HOME": str(folder / "home"),
        "AIRFLOW__HEARTWOOD__RESULTS": database.url(database="heartwood"),
        "AIRFLOW__HEARTWOOD__MAX_ACTIVE_RUNS": "32",
        "AIRFLOW__HEARTWOOD__RETRY_DELAY_S": "5",
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return kept | ours | RECOMMENDED


def _family(pid: int) -> list[int]:
    """Return a process and all of its descendants, those of other sessions too: a machine takes them all with it."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _end_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
