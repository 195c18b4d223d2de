"""Somebody clears tasks that run: in every place the stage of the first try ends, and a second one takes its place.

One Airflow, real slides, and each place as its own tests have it.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from algorithms.contract.case import Home
from algorithms.contract.inbox import admit
from operators.laptop import embedded
from operators.runners.container import LABEL
from operators.runners.local import GUARD
from tests.cases import phantom
from tests.operators.airflow_home import PROJECT
from tests.operators.runners.cluster import cluster
from tests.operators.runners.ecs_agent import EcsAgent, deployment
from tests.operators.whole_airflow import running
from tests.services import aws_environment, free_port, moto, podman

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.container, pytest.mark.timeout(1500)]

STAGE = "encode"
"""Runs for half a minute a slide."""

BEGINS_S, ENDS_S = 600, 60

DAG = """
import os
os.environ["AIRFLOW__HEARTWOOD__RUNNERS"] = "{stage}={place}"
from operators.dag import dag_called
dag = dag_called("prostate_{place}")
"""
"""A deployment chooses one place for a stage; here four are tried in one Airflow."""

AtWork = Callable[[], set[str]]
"""Returns what runs the stage now: processes, containers, pods, ECS tasks."""

Place = tuple[dict[str, str], AtWork]


@contextmanager
def local(folder: Path) -> Iterator[Place]:
    def at_work() -> set[str]:
        commands = {str(p.info["pid"]): p.info["cmdline"] or [] for p in psutil.process_iter(["pid", "cmdline"])}
        case = str(folder / "home/cases" / case_of(folder, "local"))
        return {pid for pid, c in commands.items() if STAGE in c and case in c and str(GUARD) not in c}

    yield {}, at_work


@contextmanager
def container(_folder: Path) -> Iterator[Place]:
    with podman(PROJECT) as engine:
        settings = {"AIRFLOW__HEARTWOOD__IMAGE": engine.image, "AIRFLOW__HEARTWOOD__CONTAINER_URL": engine.socket}
        yield settings, lambda: set(engine.run("ps", "--quiet", "--filter", f"label={LABEL}").split())


@contextmanager
def kubernetes(folder: Path) -> Iterator[Place]:
    with cluster(folder) as (pods, config):
        running_pods = lambda: {n for n in list(pods.pods) if pods.look(n)["status"]["phase"] == "Running"}  # noqa: E731
        yield {"KUBECONFIG": str(config)}, running_pods


@contextmanager
def ecs(_folder: Path) -> Iterator[Place]:
    with moto() as endpoint, pytest.MonkeyPatch.context() as environment:
        account = aws_environment(endpoint)
        for name, value in account.items():
            environment.setenv(name, value)
        settings = account | deployment()
        with EcsAgent(endpoint, "eu-central-1") as agent:
            yield settings, lambda: set(agent.running)


PLACES = {"local": local, "container": container, "kubernetes": kubernetes, "ecs": ecs}


def test_a_cleared_task_ends_its_stage_and_begins_again(tmp_path: Path) -> None:
    """Only the slides' stage is cleared, through the API that the web UI uses; the rest of each case runs here.

    What runs when it is cleared is gone a minute later, and the second try ends what the first one began.
    """
    home = Home(tmp_path / "home")
    study = phantom("prostate", tmp_path / "phantom", "--seed", "1", "--size", "medium")
    slides = sorted(study.glob("*.svs"))
    (tmp_path / "dags").mkdir()
    for place, chosen in zip(PLACES, [slides[:1], slides[1:2], slides[2:], slides[:2]], strict=True):
        (tmp_path / f"dags/prostate_{place}.py").write_text(DAG.format(stage=STAGE, place=place))
        (tmp_path / place).mkdir()
        for path in chosen:
            shutil.copy(path, tmp_path / place)
        (tmp_path / f"{place}.case").write_text(admit(tmp_path / place, "prostate", home).case_id)
    first: dict[str, set[str]] = {}
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setattr(embedded, "AIRFLOW_HOME", tmp_path / "airflow")
        environment.setenv("AIRFLOW__HEARTWOOD__STUB", "False")
        here = {name: stack.enter_context(place(tmp_path)) for name, place in PLACES.items()}
        for settings, _ in here.values():
            for name, value in settings.items():
                environment.setenv(name, value)
        api = Api(free_port())
        told = embedded.prepare(home.root, api.port) | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
        stack.enter_context(running(told, tmp_path / "airflow/logs"))
        for place in PLACES:
            api.trigger(f"prostate_{place}", case_of(tmp_path, place))

        for place in as_they_begin(here):
            first[place] = here[place][1]()
            api.clear(f"prostate_{place}", case_of(tmp_path, place))
        for place, (_, at_work) in here.items():
            wait_for(lambda at_work=at_work, old=first[place]: not old & at_work(), ENDS_S)
        for place in PLACES:
            wait_for(lambda place=place: api.done_again(f"prostate_{place}", case_of(tmp_path, place)), BEGINS_S)


def as_they_begin(here: dict[str, Place]) -> Iterator[str]:
    """Yield each place when the stage is at work there."""
    waiting = set(here)
    while waiting:
        begun = wait_for(lambda among=frozenset(waiting): {place for place in among if here[place][1]()}, BEGINS_S)
        waiting -= begun
        yield from sorted(begun)


def case_of(folder: Path, place: str) -> str:
    return (folder / f"{place}.case").read_text()


class Api:
    """What the web UI asks of the API server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def trigger(self, dag_id: str, case_id: str) -> None:
        """Answer a case with a DAG, as soon as there is one."""
        asked = {"dag_run_id": case_id, "logical_date": None, "conf": {"case_id": case_id}}
        wait_for(lambda: self._told(f"/api/v2/dags/{dag_id}/dagRuns", asked), BEGINS_S)

    def clear(self, dag_id: str, case_id: str) -> None:
        """Clear what runs of the stage, and all after it."""
        asked = {"dry_run": False, "dag_run_id": case_id, "task_ids": [STAGE], "only_failed": False, "include_downstream": True}
        wait_for(lambda: self._told(f"/api/v2/dags/{dag_id}/clearTaskInstances", asked), ENDS_S)

    def done_again(self, dag_id: str, case_id: str) -> bool:
        """Return whether a second try has ended the stage for every slide."""
        told = self._told(f"/api/v2/dags/{dag_id}/dagRuns/{case_id}/taskInstances?limit=100", None) or {"task_instances": []}
        tries = [task for task in told["task_instances"] if task["task_id"] == STAGE]
        return bool(tries) and all((task["state"], task["try_number"]) == ("success", 2) for task in tries)

    def _told(self, path: str, asked: dict[str, Any] | None) -> Any:
        # The server is not up yet, or SQLite has it wait for too long.
        try:
            token = self._answer("/auth/token", {"username": "admin", "password": embedded.password()}, "")["access_token"]
            return self._answer(path, asked, token)
        except OSError:
            return None

    def _answer(self, path: str, asked: dict[str, Any] | None, token: str) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        body = json.dumps(asked).encode() if asked else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def wait_for(condition: Callable[[], Any], longest_s: float) -> Any:
    """Return what ``condition`` returns once it is true."""
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not in {longest_s:g} s")
