"""Publishing: everything that is done goes to the store and the database, once, whatever happened to the case."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.command import leave_failure
from algorithms.contract.errors import DataError
from algorithms.contract.execute import execute
from algorithms.contract.record import states
from algorithms.contract.store import open_store
from operators import settings
from operators.cost import LIST, Prices, stage_price
from operators.publish import Publish, publish
from operators.results.audit import Line, head, lines
from operators.results.database import transaction
from operators.results.models import Base, Report, StageRun
from operators.results.models import Case as CaseRow
from operators.results.rows import numbers_of, record_rows
from tests.operators.airflow_home import DATA

CORONARY = pipeline("coronary")
PRICES = Prices.read(LIST)
CONTEXT: Any = {"dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
"""What a task reads of Airflow's context: when its run was due."""


@pytest.fixture
def done(case: Case) -> Case:
    run_through(case)
    return case


@pytest.fixture
def refused(case: Case) -> Case:
    """A case whose original was changed after it had been received: its first stage refuses it."""
    (DATA / "inbox" / case.case_id / "study" / "000001").write_text("changed")
    run_through(case)
    return case


def run_through(case: Case) -> None:
    """Run the stages as the command line does, in this process."""
    failed = False
    for s in CORONARY.stages:
        try:
            if s.always or not failed:
                execute(CORONARY, s, case, Home(DATA), {}, stub=True)
        except DataError as error:
            leave_failure(CORONARY, s, case, {}, error, stub=True)
            failed = True


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    with transaction(url) as connection:
        return {t.name: [tuple(r) for r in connection.execute(select(t))] for t in Base.metadata.sorted_tables}


def publish_all(case: Case, folder: Path, limit_mib: float = 1.0) -> tuple[list[str], dict[str, list[tuple[object, ...]]]]:
    """Publish a case and return the names in the store and the rows in the database."""
    store, url = open_store((folder / "store").as_uri()), f"sqlite:///{folder}/results.db"
    found = states(CORONARY, case, {}, stub=True)
    record_rows(url, CORONARY, case, found, publish(case, found, store, limit_mib), prices=PRICES, given={}, stub=True)
    return store.list(), rows(url)


def test_every_result_is_published_with_its_manifest(done: Case, tmp_path: Path) -> None:
    """``cases/<case>/<stage>/<key12>/``: the declared outputs and the manifest, nothing else."""
    names, tables = publish_all(done, tmp_path)

    for s in CORONARY.stages:
        key = states(CORONARY, done, {}, stub=True)[s.name].key
        assert key is not None
        prefix = f"cases/{done.case_id}/{s.name}/{key[:12]}/"
        paths = {n.removeprefix(prefix) for n in names if n.startswith(prefix)}
        assert {p.partition("/")[0] for p in paths} == {"manifest.json", *(o.path.partition("/")[0] for o in s.outputs)}
    assert len(tables["stage_runs"]) == len(CORONARY.stages)
    assert len(tables["reports"]) == len(tables["cases"]) == 1


def test_every_result_has_its_estimated_price(done: Case, tmp_path: Path) -> None:
    """With the list that it is from: another year's prices are not comparable."""
    publish_all(done, tmp_path)

    with transaction(f"sqlite:///{tmp_path}/results.db") as connection:
        rows = connection.execute(select(StageRun.stage, StageRun.price, StageRun.currency, StageRun.price_list)).all()
    found = states(CORONARY, done, {}, stub=True)
    assert {row.stage: row.price for row in rows} == {name: stage_price(state, PRICES) for name, state in found.items()}
    assert {(row.currency, row.price_list) for row in rows} == {(PRICES.currency, PRICES.edition)}


def test_publishing_twice_is_publishing_once(done: Case, tmp_path: Path) -> None:
    """Airflow may run the task again at any time: same objects, same rows, same times."""
    first = publish_all(done, tmp_path)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*") if p.is_file()}

    assert publish_all(done, tmp_path) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*") if p.is_file()} == times


def test_an_upload_that_was_cut_off_is_finished(done: Case, tmp_path: Path) -> None:
    """The manifest goes last, so a result without one is not there yet; what is there of it is kept."""
    names, _ = publish_all(done, tmp_path)
    for path in (tmp_path / "store").rglob("*"):
        if "/ffr/" in path.as_posix() and path.name.startswith("manifest.json"):
            path.unlink()

    assert publish_all(done, tmp_path)[0] == names


def test_a_refused_case_is_published_with_its_reason(refused: Case, tmp_path: Path) -> None:
    """The report says why, and the database says which stage and what kind of error."""
    names, _ = publish_all(refused, tmp_path)

    with transaction(f"sqlite:///{tmp_path}/results.db") as connection:
        failed = connection.execute(select(StageRun.stage, StageRun.failure_kind, StageRun.state)).all()
        reports = connection.execute(select(Report.uris)).scalars().all()
    assert failed == [("receive", "data", "failed"), ("report", None, "done"), ("exchange", None, "done")]
    assert {"result.json", "report.html", "report.pdf", "fhir.json", "manifest.json"} <= {Path(n).name for n in names}
    assert {Path(n).parts[2] for n in names} == {"report", "exchange"}
    assert set(reports[0]) == {"result", "html", "pdf"}


def test_a_case_that_recovers_loses_its_failure(refused: Case, tmp_path: Path) -> None:
    """The original is put back and the case runs through: the same rows now say done, the older report stays beside."""
    publish_all(refused, tmp_path)
    study = DATA / "inbox" / refused.case_id / "study" / "000001"
    study.write_text(str(tmp_path))
    run_through(refused)

    _, tables = publish_all(refused, tmp_path)

    assert {r[3] for r in tables["stage_runs"]} == {"done"}
    assert len(tables["reports"]) == 2
    with transaction(f"sqlite:///{tmp_path}/results.db") as connection:
        current = connection.execute(select(CaseRow.report_key)).scalar_one()
    assert current == states(CORONARY, refused, {}, stub=True)["report"].key


def test_publishing_is_written_into_the_audit_once(done: Case) -> None:
    """Airflow may run the task again: one line, sealed by a head in the store beside the report."""
    task = Publish(task_id="publish", pipeline="coronary", case_id=done.case_id, parameters={})

    answers = [task.execute(CONTEXT), task.execute(CONTEXT)]

    assert answers[0] == answers[1]
    assert [line.action for line in audit_of(done)] == ["published"]
    assert audit_of(done)[0].detail["report"] == answers[0]["key"]
    with transaction(settings.load().results_url) as connection:
        end = head(connection)
    assert open_store(settings.load().store_uri).exists(f"audit/heads/{end.count:012d}-{end.hash}.json")


def test_a_refusal_to_publish_is_written_into_the_audit(done: Case) -> None:
    """A case of another region: nothing of it is in store or database but the line that says so."""
    case = replace(done, folder=DATA / "cases" / "00000000000e0e0e", case_id="00000000000e0e0e", region="eu-central-1")
    case.write()
    task = Publish(task_id="publish", pipeline="coronary", case_id=case.case_id, parameters={})

    for _ in range(2):
        with pytest.raises(DataError, match="case of region eu-central-1 came to a deployment of region local"):
            task.execute(CONTEXT)

    assert [(line.action, line.detail) for line in audit_of(case)] == [("refused", {"door": "publish"})]
    assert open_store(settings.load().store_uri).list(f"cases/{case.case_id}") == []


def audit_of(case: Case) -> list[Line]:
    """Return what the deployment's audit says of a case."""
    with transaction(settings.load().results_url) as connection:
        return [line for line, _ in lines(connection) if line.case_id == case.case_id]


def test_a_case_of_another_region_is_not_opened(done: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task of the DAG opens its case in this way: nothing of it is computed here, and nothing published."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REGION", "eu-central-1")
    task = Publish(task_id="publish", pipeline="coronary", case_id=done.case_id, parameters={})

    with pytest.raises(DataError, match="case of region local came to a deployment of region eu-central-1"):
        task.open()


def test_an_artefact_that_was_changed_is_not_published(done: Case, tmp_path: Path) -> None:
    """A tree that somebody edited by hand is not what the report was made of."""
    state = states(CORONARY, done, {}, stub=True)["centreline"]
    assert state.folder is not None
    (state.folder / "tree.json").write_text('{"edited": true}')

    with pytest.raises(DataError, match="tree of stage centreline"):
        publish_all(done, tmp_path)


def test_other_bytes_under_a_published_key_are_a_bug(done: Case, tmp_path: Path) -> None:
    """A stage that gives other bytes for the same key is not reproducible; the published ones stay."""
    publish_all(done, tmp_path)
    state = states(CORONARY, done, {}, stub=True)["ffr"]
    assert state.folder is not None
    manifest = json.loads((state.folder / "manifest.json").read_text())
    manifest["outputs"]["ffr"]["sha256"] = "0" * 64
    (state.folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(RuntimeError, match="raise the version of stage ffr"):
        publish_all(done, tmp_path)


def test_what_is_too_large_stays_in_the_case_folder(done: Case, tmp_path: Path) -> None:
    """A limit of half a byte leaves nothing but manifests, which still name the sha256 of everything."""
    names, tables = publish_all(done, tmp_path, limit_mib=0.5 / 2**20)

    assert {Path(n).name for n in names} == {"manifest.json"}
    assert len(tables["stage_runs"]) == len(CORONARY.stages)


def test_the_numbers_of_an_answer_become_rows() -> None:
    """One row a number with its interval beside it; a band is a word; an index is nothing to search for."""
    answer = {
        "verdict": "answered",
        "vessels": [{"vessel": "LAD", "ffr": 0.74, "ffr_low": 0.68, "ffr_high": 0.79, "band": "positive", "stenoses": [0, 1]}],
        "stenoses": [
            {"label": "L1", "vessel": "LAD", "ffr": 0.8, "ffr_low": None, "point": 41},
            {"label": "L2", "band": "grey", "ffr": None},
        ],
        "branches": [{"name": "LAD", "ffr": [0.99, 0.98]}],
        "checks": ["mass"],
    }

    found = [(r["subject"], r["name"], r["value"], r["low"], r["high"], r["word"]) for r in numbers_of(answer)]

    assert found == [
        ("LAD", "ffr", 0.74, 0.68, 0.79, None),
        ("LAD", "band", None, None, None, "positive"),
        ("L1", "vessel", None, None, None, "LAD"),
        ("L1", "ffr", 0.8, None, None, None),
        ("L2", "band", None, None, None, "grey"),
    ]
