"""The intake DAGs: shown only when they are switched on, and whole runs of one as ``airflow dags test`` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from sqlalchemy import select

from operators.intake.dag import intake_dags
from tests.operators.airflow_home import PROJECT
from tests.operators.intake.ways import SITE, Intake, folder_intake

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]


def configure(patch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        patch.setenv(f"AIRFLOW__HEARTWOOD__{name.upper()}", value)


def bag() -> DagBag:
    return DagBag(PROJECT / "dags" / "intake.py")


def test_without_a_setting_there_is_no_intake_dag() -> None:
    """A laptop's list of DAGs shows what it is used for."""
    found = bag()

    assert found.dags == {}
    assert found.import_errors == {}


def test_each_way_has_a_dag_that_runs_when_something_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The asset's watcher survives Airflow's serialization, which is what scheduler and triggerer see of it."""
    configure(
        monkeypatch, intake_queue="https://sqs/intake", intake_dead_letters="https://sqs/dead", intake_store="s3://a/b",
        intake_folder="/srv/arrivals", intake_pool="cases",
    )  # fmt: skip
    found = bag()
    seen = {dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for dag_id, dag in found.dags.items()}
    watched = [asset.watchers[0] for dag in seen.values() for _, asset in dag.timetable.asset_condition.iter_assets()]

    assert found.import_errors == {}
    assert sorted(seen) == ["intake_folder", "intake_queue"]
    assert sorted(watch.trigger["kwargs"]["way"] for watch in watched) == ["folder", "queue"]
    assert {dag.get_task("admit").pool for dag in found.dags.values()} == {"cases"}


def test_a_queue_without_dead_letters_is_no_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be admitted must have a place to go before the first message is taken."""
    configure(monkeypatch, intake_queue="https://sqs/intake")

    with pytest.raises(ValueError, match="goes with intake_dead_letters and intake_store"):
        intake_dags()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, airflow_tables: None) -> Intake:
    """A folder that the DAG watches, with a home of its own."""
    intake = folder_intake(tmp_path)
    configure(monkeypatch, intake_folder=intake.here.intake_folder, region=intake.here.region, home=intake.here.home)
    return intake


def ran(dag: Any) -> tuple[dict[tuple[str, int], str], list[Any]]:
    """Return the state of each task of a run, and what the tasks left for others."""
    made = dag.test()
    with create_session() as session:
        left = [XComModel.deserialize_value(x) for x in session.query(XComModel).filter(XComModel.run_id == made.run_id)]
    return {(task.task_id, task.map_index): str(task.state) for task in made.get_task_instances()}, left


@pytest.mark.slow
def test_what_arrives_in_the_folder_is_started_once(watched: Intake) -> None:
    """Twice the same upload and another one: two runs of the diagnostic's DAG, and only ids in what the tasks left."""
    dag = bag().dags["intake_folder"]
    for content in ("one", "two"):
        watched.send(f"{watched.folder} {content}")

    first, left = ran(dag)
    watched.send(f"{watched.folder} one")
    second, again = ran(dag)

    outcomes = [outcome for outcome in left + again if isinstance(outcome, dict)]
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.run_id.in_({outcome["run_id"] for outcome in outcomes}))).all()
    assert set(first.values()) == set(second.values()) == {"success"}
    assert len(first) == 3
    assert sorted(outcome["state"] for outcome in outcomes) == ["running already", "started", "started"]
    assert sorted((run.dag_id, run.conf["case_id"]) for run in runs) == sorted(
        {("coronary_ffr", outcome["case_id"]) for outcome in outcomes}
    )
    assert {key for outcome in outcomes for key in outcome} == {"state", "case_id", "pipeline", "run_id"}


def test_a_run_that_finds_nothing_is_green(watched: Intake) -> None:
    """Somebody else may have taken what the run was started for."""
    states, _ = ran(bag().dags["intake_folder"])

    assert states["waiting", -1] == "success"
    assert set(states.values()) <= {"success", "skipped"}


def test_a_poison_upload_leaves_the_run_green(watched: Intake) -> None:
    """It is a dead letter with a reason, and no failure of the platform."""
    watched.send("an examination", site=SITE["site"], pipeline="astrology")

    states, _ = ran(bag().dags["intake_folder"])

    assert states["admit", 0] == "success"
    assert len(watched.letters()) == 1
