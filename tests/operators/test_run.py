"""Whole DAG runs, as ``airflow dags test`` makes them: the real scheduler logic, the real tasks, stages in stub mode."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.session import create_session

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from operators.results.database import transaction
from operators.results.models import Report
from tests.operators.airflow_home import DATA, PROJECT
from tests.operators.conftest import case_for

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]

STAGES_AFTER_RECEIVE = 9
"""deidentify to render: what cannot run when ``receive`` refuses the study."""


@pytest.fixture(scope="module")
def dag(airflow_tables: None) -> Any:
    return DagBag(PROJECT / "dags").dags["coronary_ffr"]


def run(dag: Any, conf: dict[str, Any]) -> tuple[str, dict[str, str], dict[str, int]]:
    """Return the state of a run, the state of each task and the tries of each task."""
    made = dag.test(run_conf=conf)
    for key, value in xcoms(made.run_id):
        check_xcom(key, value)
    tasks = made.get_task_instances()
    return str(made.state), {t.task_id: str(t.state) for t in tasks}, {t.task_id: t.try_number for t in tasks}


def xcoms(run_id: str) -> list[tuple[str, Any]]:
    """Return everything that the tasks of a run left for others."""
    with create_session() as session:
        return [(x.key, XComModel.deserialize_value(x)) for x in session.query(XComModel).filter(XComModel.run_id == run_id)]


def check_xcom(key: str, value: Any) -> None:
    """XCom is shown to every viewer and kept for ever: a sha256, one word, and the paths of the links."""
    if key == "return_value" and isinstance(value, list):
        assert all(re.fullmatch(r"s\d\d|stub", item) for item in value)
    elif key == "return_value":
        assert set(value) == {"key", "state"}
    else:
        assert key.startswith("_link_Report")
        assert re.match(r"/heartwood/dags/(coronary_ffr|prostate_risk)/runs/", value)


def test_a_case_runs_from_receive_to_complete(dag: Any, case: Case) -> None:
    """Every task green, the report in the store, and the value from the form in its stage's manifest, in its type."""
    stage, parameter = next((s, p) for s, p in pipeline("coronary").parameters() if isinstance(p.default, float) and p.maximum)
    assert parameter.maximum is not None
    value = (parameter.default + parameter.maximum) / 2

    state, tasks, _ = run(dag, {"case_id": case.case_id, parameter.name: value})

    manifests = [json.loads(m.read_text()) for m in (case.folder / stage.name).glob("*/manifest.json")]
    assert state == "success"
    assert set(tasks.values()) == {"success"}
    assert [m["parameters"][parameter.name] for m in manifests] == [value]
    assert [p.name for p in (DATA / "store/cases" / case.case_id / "report").rglob("*.html")] == ["report.html"]


def test_a_refused_case_is_reported_and_its_run_is_red(dag: Any, case: Case) -> None:
    """Data errors fail at the first try; report and publish run all the same; ``complete`` turns the run red."""
    (DATA / "inbox" / case.case_id / "study/000001").write_text("changed since it was received")

    state, tasks, tries = run(dag, {"case_id": case.case_id})

    assert state == "failed"
    assert tasks["receive"] == "failed"
    assert tries["receive"] == 1
    assert list(tasks.values()).count("upstream_failed") == STAGES_AFTER_RECEIVE + 1
    assert (tasks["report"], tasks["publish"], tasks["complete"]) == ("success", "success", "upstream_failed")
    with transaction(f"sqlite:///{DATA}/results.db") as connection:
        assert case.case_id in connection.exec_driver_sql(f"SELECT case_id FROM {Report.__tablename__}").scalars().all()


def test_a_stage_that_is_killed_is_tried_again(dag: Any, case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first try of ``volume`` is killed as for want of memory, the second is not: the case is answered after all."""
    marker = tmp_path / "killed once"
    monkeypatch.setattr("operators.runners.local.LocalStage.command_of", _killed_once("volume", marker))

    state, _, tries = run(dag, {"case_id": case.case_id})

    assert marker.exists()
    assert state == "success"
    assert tries["volume"] == 2
    assert {n for name, n in tries.items() if name != "volume"} == {1}


def test_a_case_of_slides_runs_with_one_task_a_slide(airflow_tables: None, tmp_path: Path) -> None:
    """The second diagnostic goes the same way; in stub mode there is one item, and its mapped task makes the whole."""
    case = case_for("prostate", tmp_path)
    dag = DagBag(PROJECT / "dags").dags["prostate_risk"]

    state, tasks, _ = run(dag, {"case_id": case.case_id})

    assert state == "success"
    assert set(tasks.values()) == {"success"}
    assert [p.parent.name for p in (case.folder / "encode" / "items").glob("*/*")] == ["stub"]
    assert (DATA / "store/cases" / case.case_id / "encode").exists()
    assert [p.name for p in (DATA / "store/cases" / case.case_id / "report").rglob("*.html")] == ["report.html"]


@pytest.mark.slow
def test_a_bug_fails_at_once_and_keeps_its_traceback(dag: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without stub mode an unreadable study is no bug, so a stage that raises one is put in its place."""
    monkeypatch.setattr("operators.runners.local.LocalStage.command_of", _crashing("volume"))

    state, tasks, tries = run(dag, {"case_id": case.case_id})

    assert (state, tasks["volume"], tries["volume"]) == ("failed", "failed", 1)
    assert tasks["publish"] == "success"


@pytest.mark.parametrize("conf", [{"case_id": "Jane Doe"}, {}], ids=["a name", "nothing"])
def test_a_run_without_an_opaque_id_never_begins(dag: Any, conf: dict[str, str]) -> None:
    """Airflow refuses it before the first task, so what was typed reaches no folder and no database."""
    before = sorted((DATA / "cases").iterdir())

    with pytest.raises(ParamValidationError):
        run(dag, conf)
    assert sorted((DATA / "cases").iterdir()) == before


def _killed_once(stage: str, marker: Path) -> Any:
    from operators.runners.local import LocalStage

    real = LocalStage.command_of

    def command_of(self: LocalStage, *arguments: Any) -> list[str]:
        if self.stage == stage and not marker.exists():
            marker.touch()
            return ["python", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
        return real(self, *arguments)

    return command_of


def _crashing(stage: str) -> Any:
    from operators.runners.local import LocalStage

    real = LocalStage.command_of

    def command_of(self: LocalStage, *arguments: Any) -> list[str]:
        return ["python", "-c", "raise IndexError('a bug')"] if self.stage == stage else real(self, *arguments)

    return command_of
