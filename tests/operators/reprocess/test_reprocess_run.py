"""A whole Airflow: triggerer, scheduler, DAG processor and API; two runs of `reprocess` at once answer each case once."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.catalogue import pipeline
from algorithms.contract.store import open_store
from operators.laptop import embedded
from operators.results.audit import lines
from operators.results.database import transaction
from operators.settings import Settings
from tests.operators.reprocess.conftest import CORONARY, Answer, earlier
from tests.operators.whole_airflow import running
from tests.services import free_port

DEADLINE_S = 1500
"""For three cases one after the other on a machine that is busy with other tests; ten times what they take on a quiet one."""


def rows(airflow: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return what Airflow's own database says."""
    with closing(sqlite3.connect(f"file:{airflow / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(statement).fetchall()


def runs(airflow: Path, dag_id: str) -> list[tuple[str, str, str, str]]:
    """Return id, state, start and end of every run of a DAG, in the order in which they started."""
    columns = "run_id, state, start_date, end_date"
    return rows(airflow, f"SELECT {columns} FROM dag_run WHERE dag_id = '{dag_id}' ORDER BY start_date")


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(DEADLINE_S + 300)
def test_two_runs_at_once_answer_each_stale_case_once(
    here: Settings, answered: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three stale cases, one that is not, one whose original is deleted: three runs, one at a time, and one report."""
    before = earlier(CORONARY, "ffr", version=0)
    stale = [answered(before, {"systolic_mmhg": 151.0}, number=number) for number in range(3)]
    answered(pipeline("prostate"), number=3)
    deleted = answered(earlier(CORONARY, "receive", version=0), number=4)
    shutil.rmtree(here.home_folder.inbox / deleted.case_id)
    airflow = tmp_path / "airflow"
    monkeypatch.setattr(embedded, "AIRFLOW_HOME", airflow)
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STUB", "True")
    environment = embedded.prepare(here.home_folder.root, free_port())

    with running(environment, airflow / "logs"):
        until = time.monotonic() + DEADLINE_S
        while not {"reprocess", "coronary_ffr"} <= {dag for (dag,) in rows(airflow, "SELECT dag_id FROM dag")}:
            assert time.monotonic() < until
            time.sleep(1)
        for name in ("one", "two"):
            embedded.run(["-m", "airflow", "dags", "trigger", "reprocess", "--run-id", name], environment)
        while {state for _, state, *_ in runs(airflow, "reprocess")} & {"queued", "running"}:
            assert time.monotonic() < until, rows(airflow, "SELECT dag_id, task_id, state FROM task_instance")
            time.sleep(1)

    answers = runs(airflow, "coronary_ffr")
    assert [state for _, state, *_ in runs(airflow, "reprocess")] == ["success", "success"]
    assert [state for _, state, *_ in answers] == ["success"] * 3
    assert all(run_id.startswith("reprocess-") for run_id, *_ in answers)
    assert all(end <= start for (*_, end), (_, _, start, _) in itertools.pairwise(answers))
    assert runs(airflow, "prostate_risk") == []
    for case in stale:
        manifests = [json.loads(path.read_text()) for path in (case.folder / "ffr").glob("*/manifest.json")]
        assert {manifest["version"] for manifest in manifests} == {0, CORONARY.stage("ffr").version}
        (boundary,) = (case.folder / "boundary").glob("*/manifest.json")
        assert json.loads(boundary.read_text())["parameters"]["systolic_mmhg"] == 151.0
    store = open_store(here.store_uri)
    (document,) = [name for name in store.list("reprocess/") if name.endswith("difference.json")]
    told = json.loads(store.get_file(document, tmp_path / "difference.json").read_text())
    assert {case["case_id"] for case in told["cases"]} == {case.case_id for case in stale}
    assert [one["case_id"] for one in told["left"]] == [deleted.case_id]
    with transaction(here.results_url) as connection:
        actions = [line.action for line, _ in lines(connection)]
    assert (actions.count("reprocessed"), actions.count("compared")) == (3, 1)
