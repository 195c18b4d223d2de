"""The DAG `retention` and the task `archive`, as Airflow runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.vault import has_key
from operators import settings
from operators.dag import pipeline_dag
from operators.results.audit import lines
from operators.results.database import transaction
from operators.retention.__main__ import main
from tests.operators.airflow_home import PROJECT

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]


def actions(case: Case) -> list[str]:
    with transaction(settings.load().results_url) as connection:
        return [line.action for line, _ in lines(connection) if line.case_id == case.case_id]


@pytest.mark.slow
def test_a_case_is_archived_answered_and_shredded_on_request(
    airflow_tables: None, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two real runs: the case's own with its archive, then the retention DAG with the case in its trigger form."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ARCHIVE_ORIGINALS", "True")
    home = settings.load().home_folder
    answered = DagBag(PROJECT / "dags").dags["coronary_ffr"].test(run_conf={"case_id": case.case_id})
    archived = has_key(home, case.case_id)

    forgotten = DagBag(PROJECT / "dags").dags["retention"].test(run_conf={"case_id": case.case_id, "results": "keep"})

    assert [str(run.state) for run in (answered, forgotten)] == ["success", "success"]
    assert archived
    assert not has_key(home, case.case_id)
    assert actions(case) == ["archived", "published", "shred-requested", "shredded"]


def test_the_archive_comes_before_everything_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages that read originals delete them; and a case that could not be archived is red."""
    assert "archive" not in pipeline_dag(pipeline("coronary"), "coronary_ffr").task_ids
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ARCHIVE_ORIGINALS", "True")

    for name in ("coronary", "prostate"):
        dag = pipeline_dag(pipeline(name), f"{name}_dag")
        assert dag.get_task("archive").get_flat_relative_ids(upstream=False) == set(dag.task_ids) - {"archive"}


def test_the_command_restores_shreds_and_says_so(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line of JSON, no sentence about the case; 65 when there is nothing to do it with."""
    assert main(["restore", case.case_id, str(tmp_path / "back")]) == 65
    assert main(["shred", case.case_id]) == 0
    assert main(["shred", case.case_id, "--now"]) == 0
    assert main(["shred", "f" * 16]) == 65

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["state"] for line in told] == ["requested", "shredded"]
    assert actions(case) == ["shred-requested", "shredded"]
