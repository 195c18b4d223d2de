"""The DAG `reprocess`: what it asks, how it is wired, what a run that has nothing to run does."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session

from algorithms.contract.catalogue import pipelines
from operators.reprocess.dag import reprocess_dag
from operators.reprocess.tasks import dealt
from operators.runs import dag_of
from operators.settings import Settings
from tests.operators.airflow_home import PROJECT
from tests.operators.reprocess.conftest import CORONARY, Answer, earlier

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]


@pytest.fixture(scope="module")
def dag(airflow_tables: None) -> Any:
    return DagBag(PROJECT / "dags").dags["reprocess"]


def test_cases_are_compared_whatever_became_of_their_runs(dag: Any) -> None:
    """A task that waited for a deleted run fails; the others' cases are compared all the same, and the run is red."""
    assert dag.get_task("answer").upstream_task_ids == {"find"}
    assert dag.get_task("compare").upstream_task_ids == {"answer"}
    assert dag.get_task("compare").trigger_rule == TriggerRule.ALL_DONE
    assert dag.get_task("complete").upstream_task_ids == {"answer", "compare"}
    assert dag.get_task("complete").trigger_rule == TriggerRule.NONE_FAILED


def test_it_runs_by_hand_unless_a_schedule_is_set(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's cases are answered again because of an upgrade alone; missed times are not made up for."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REPROCESS_SCHEDULE", "0 2 * * *")

    scheduled = reprocess_dag()

    assert dag.schedule is None
    assert scheduled.schedule == "0 2 * * *"
    assert not scheduled.catchup
    assert scheduled.max_active_runs == 1


@pytest.mark.parametrize(("active", "most"), [(1, 1), (2, 1), (8, 7)])
def test_new_cases_always_find_a_place(monkeypatch: pytest.MonkeyPatch, active: int, most: int) -> None:
    """Old cases get fewer places than a diagnostic has, so a new one waits for no old one; with one place they share it."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__MAX_ACTIVE_RUNS", str(active))
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REPROCESS_AT_ONCE", "100")

    field = reprocess_dag().params.get_param("at_once")

    assert (field.schema["maximum"], field.value) == (most, most)
    with pytest.raises(ParamValidationError):
        field.resolve(most + 1)


@pytest.mark.parametrize(
    ("name", "value"), [("pipeline", "renal"), ("since", "yesterday"), ("limit", 0), ("limit", 1001), ("dry_run", "yes")]
)
def test_the_form_refuses_what_it_cannot_mean(dag: Any, name: str, value: object) -> None:
    """Before any task runs."""
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


def test_the_dag_survives_the_way_to_the_scheduler(dag: Any) -> None:
    """The scheduler and the web UI never see the file: only what serialisation keeps, the links among it."""
    back = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

    assert [task.task_id for task in back.tasks] == ["find", "answer", "compare", "complete"]
    assert {link.name for link in back.get_task("compare").operator_extra_links} == {"Open comparison", "Comparison as PDF"}


@pytest.mark.parametrize(("cases", "at_once", "sizes"), [(0, 2, []), (1, 2, [1]), (5, 2, [3, 2]), (3, 9, [1, 1, 1])])
def test_cases_are_dealt_over_the_places(cases: int, at_once: int, sizes: list[int]) -> None:
    """As many tasks as places, none of them empty; the oldest cases are the first of each."""
    rows = [{"case_id": str(number)} for number in range(cases)]

    hands = dealt(rows, at_once)

    assert [len(hand) for hand in hands] == sizes
    assert [hand[0] for hand in hands] == rows[: len(hands)]


def test_every_pipeline_has_a_dag_to_run() -> None:
    """A third diagnostic is found by the name of its file."""
    assert {dag_of(name) for name in pipelines()} == {"coronary_ffr", "prostate_risk", "train_segmentation"}


@pytest.mark.parametrize("stale", [False, True], ids=["nothing stale", "only looked"])
def test_a_run_with_nothing_to_run_is_green(here: Settings, answered: Answer, dag: Any, stale: bool) -> None:
    """Nothing is answered, nothing compared; a dry run names what it found in its log."""
    answered(earlier(CORONARY, "ffr", version=0) if stale else CORONARY)

    made = dag.test(run_conf={"dry_run": stale})

    assert str(made.state) == "success"
    states = {task.task_id: str(task.state) for task in made.get_task_instances()}
    assert states == {"find": "success", "answer": "skipped", "compare": "skipped", "complete": "success"}
    with create_session() as session:
        xcoms = [
            (x.key, XComModel.deserialize_value(x)) for x in session.query(XComModel).filter(XComModel.run_id == made.run_id)
        ]
    assert [value for key, value in xcoms if not key.startswith("_link_")] == [[], []]
