"""Metrics of real DAG runs, as they arrive at a StatsD server; stages in stub mode."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from algorithms.contract.case import Case
from algorithms.contract.record import Failure
from operators.runners.local import LocalStage
from operators.watch import metrics
from operators.watch.metrics import OTHER
from tests.operators.airflow_home import DATA, PROJECT
from tests.operators.conftest import case_for
from tests.operators.watch.arrived import check_declared, of
from tests.services import StatsD

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
    # Airflow never closes the socket of its StatsD client.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def dag(airflow_tables: None) -> Any:
    return DagBag(PROJECT / "dags").dags["coronary_ffr"]


def test_every_stage_of_a_run_says_what_it_cost(dag: Any, case: Case, server: StatsD) -> None:
    """Once a stage, with the pipeline and the stage as tags and nothing of the case."""
    dag.test(run_conf={"case_id": case.case_id})

    stages = [task.task_id for task in dag.tasks if isinstance(task, LocalStage)]
    check_declared(server)
    for name in ("duration", "cpu_time", "peak_memory_mib", "memory_share"):
        found = of(server, f"heartwood.stage.{name}")
        assert sorted(tags["stage"] for tags in found) == sorted(set(stages))
    assert all(case.case_id.encode() not in datagram for datagram in server.datagrams)


@pytest.mark.slow
def test_a_result_that_is_there_is_counted_as_reused(dag: Any, case: Case, server: StatsD) -> None:
    """The second run of a case computes nothing, and says no cost again."""
    dag.test(run_conf={"case_id": case.case_id})
    first = len(of(server, "heartwood.stage.duration"))
    dag.test(run_conf={"case_id": case.case_id})

    check_declared(server)
    assert len(of(server, "heartwood.stage.duration")) == first
    assert len(of(server, "heartwood.stage.reused")) >= first - 1  # the original is received and deleted again


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(
            "transient", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", id="killed", marks=pytest.mark.slow
        ),
        pytest.param("bug", "raise IndexError('a bug')", id="bug"),
        pytest.param("data", "raise SystemExit(65)", id="refused", marks=pytest.mark.slow),
        pytest.param("timeout", "import time; time.sleep(600)", id="hangs", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("airflow_tables")
def test_a_failed_try_is_counted_by_its_kind(
    case: Case, server: StatsD, monkeypatch: pytest.MonkeyPatch, kind: str, fault: str
) -> None:
    """Each try counts, so that what is retried away is seen too; ``receive`` fails, so that few other tasks run."""
    dag = DagBag(PROJECT / "dags").dags["coronary_ffr"]
    tries = 3 if kind == "transient" else 1
    real = LocalStage.command_of
    monkeypatch.setattr(
        LocalStage, "command_of", lambda task, *a: ["python", "-c", fault] if task.stage == "receive" else real(task, *a)
    )
    if kind == "timeout":
        monkeypatch.setattr(dag.task_dict["receive"], "execution_timeout", timedelta(seconds=2))

    made = dag.test(run_conf={"case_id": case.case_id})

    assert str(made.state) == "failed"
    check_declared(server)
    assert of(server, "heartwood.failures") == [{"pipeline": "coronary", "stage": "receive", "kind": kind}] * tries
    if kind == "timeout":
        left = Failure.read(DATA / "cases" / case.case_id / "receive")
        assert left is not None
        assert (left.kind, left.message) == ("timeout", "the stage ran past its time limit of 900 s")


@pytest.mark.slow
def test_a_mapped_stage_is_counted_like_any_other(
    airflow_tables: None, tmp_path: Path, server: StatsD, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task a slide; the slide's name is no tag."""
    real = LocalStage.command_of
    fault = ["python", "-c", "raise IndexError('a bug')"]
    monkeypatch.setattr(LocalStage, "command_of", lambda task, *a: fault if task.stage == "encode" else real(task, *a))

    DagBag(PROJECT / "dags").dags["prostate_risk"].test(run_conf={"case_id": case_for("prostate", tmp_path).case_id})

    check_declared(server)
    assert of(server, "heartwood.failures") == [{"pipeline": "prostate", "stage": "encode", "kind": "bug"}]


def test_a_value_that_nobody_knows_becomes_other(server: StatsD) -> None:
    """What somebody typed, or a file said, may name a person, and must not make a series of its own."""
    metrics.FAILURES.add(pipeline="coronary", stage="Muster^Max", kind="bug")

    assert of(server, "heartwood.failures") == [{"pipeline": "coronary", "stage": OTHER, "kind": "bug"}]


def test_a_metric_takes_its_own_tags_only(server: StatsD) -> None:
    """A tag that is missing would make a second series of the same metric; one too many could be a case."""
    with pytest.raises(ValueError, match=r"heartwood.failures has the tags pipeline, stage, kind"):
        metrics.FAILURES.add(pipeline="coronary", case_id="0123456789abcdef")
