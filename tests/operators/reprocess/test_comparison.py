"""The difference report of real cases: in the store by content, in the audit once, and nobody is dropped without a word."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from algorithms.contract.case import Case
from algorithms.contract.inbox import admit
from algorithms.contract.manifest import Manifest, written
from algorithms.contract.store import open_store
from operators.reprocess.comparison import Answered, answered_before, compare, record_reprocessed
from operators.reprocess.stale import Left
from operators.results.audit import Line, lines
from operators.results.database import transaction, upsert
from operators.results.models import Case as CaseRow
from operators.results.models import Report
from operators.results.rows import case_row
from operators.settings import Settings
from tests.algorithms.report.difference.invented_answers import answer
from tests.operators.reprocess.conftest import CORONARY

OLD, NEW = "a" * 64, "b" * 64

Reported = Callable[..., Case]


@pytest.fixture
def reported(here: Settings, tmp_path) -> Reported:
    """Make a case with reports of the given answers by key; the last one is the current one."""

    def make(number: int, **answers: dict) -> Case:
        study = tmp_path / f"study-{number}"
        study.mkdir()
        (study / "image").write_text(f"examination {number}")
        case = admit(study, "coronary", here.home_folder)
        for hour, (letter, document) in enumerate(answers.items()):
            report(here, case, letter * 64, document, datetime(2026, 1, 1, hour, tzinfo=UTC))
        return case

    return make


def report(here: Settings, case: Case, key: str, document: dict, at: datetime) -> None:
    """Write a report as its stage and `publish` do: a result folder with its manifest, and rows."""
    folder = case.folder / "report" / key[:12]
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(document))
    outputs = {"result": written(folder, "result.json", collection=False)}
    manifest = Manifest(key, "coronary", "report", "a test", 1, {}, {}, outputs, {}, 0.0, 0.0, 0.0)
    manifest.write(folder)
    row = {"case_id": case.case_id, "key": key, "verdict": "answered", "reasons": [], "uris": {}, "hashes": {}}
    with transaction(here.results_url) as connection:
        upsert(connection, CaseRow, [case_row(case) | {"verdict": "answered", "report_key": key, "chosen": {}}])
        upsert(connection, Report, [row | {"published_at": at}])


def audit(here: Settings) -> list[Line]:
    with transaction(here.results_url) as connection:
        return [line for line, _ in lines(connection)]


@pytest.mark.slow
def test_a_comparison_is_in_the_store_by_its_content(here: Settings, reported: Reported) -> None:
    """Comparing the same again finds the same name and adds neither an object nor a line of the audit."""
    cases = [Answered(reported(n, a=answer({"LAD": 0.9}), b=answer({"LAD": 0.9 - n / 10})).case_id, OLD) for n in (0, 1, 2)]

    made = [compare(here, CORONARY, cases), compare(here, CORONARY, cases)]

    assert made[0] == made[1]
    assert made[0] is not None
    assert (made[0].cases, made[0].crossed) == (3, 2)  # 0.80 and 0.70: 0.80 is on the side of ischaemia
    store = open_store(here.store_uri)
    assert store.list("reprocess/") == [
        f"reprocess/{made[0].key}/{name}" for name in ("difference.json", "report.html", "report.pdf")
    ]
    assert made[0].uri == f"{here.store_uri}/reprocess/{made[0].key}"
    (line,) = audit(here)
    assert (line.action, line.detail) == ("compared", {"report": made[0].key, "cases": 3, "crossed": 2, "changed": 0})


def test_who_has_no_new_report_or_none_that_can_be_read_is_named(here: Settings, reported: Reported, tmp_path) -> None:
    """A run that failed to publish, an old report that was archived, one that was changed: all are in the document."""
    good = reported(0, a=answer({"LAD": 0.9}), b=answer({"LAD": 0.8}))
    unanswered = reported(1, a=answer({"LAD": 0.9}))
    archived = reported(2, a=answer({"LAD": 0.9}), b=answer({"LAD": 0.9}))
    shutil.rmtree(archived.folder / "report" / OLD[:12])
    changed = reported(3, a=answer({"LAD": 0.9}), b=answer({"LAD": 0.9}))
    (changed.folder / "report" / NEW[:12] / "result.json").write_text("{}")
    left = [Left("coronary", "f" * 16, "needs study"), Left("prostate", "e" * 16, "of another report")]

    made = compare(here, CORONARY, [Answered(c.case_id, OLD) for c in (good, unanswered, archived, changed)], left)

    assert made is not None
    store = open_store(here.store_uri)
    document = json.loads(store.get_file(f"reprocess/{made.key}/difference.json", tmp_path / "d.json").read_text())
    assert [case["case_id"] for case in document["cases"]] == [good.case_id]
    reasons = {one["case_id"]: one["reason"] for one in document["left"]}
    assert reasons["f" * 16] == "needs study"
    assert "e" * 16 not in reasons
    assert reasons[unanswered.case_id].startswith("no new report was published")
    assert reasons[archived.case_id] == "the report aaaaaaaaaaaa is not in the case folder"
    assert "is not what was written" in reasons[changed.case_id]


def test_nothing_new_makes_no_report(here: Settings, reported: Reported) -> None:
    """An empty report in the store would only be read as "nothing changed"."""
    case = reported(0, a=answer({"LAD": 0.9}))

    assert compare(here, CORONARY, [Answered(case.case_id, OLD)]) is None
    assert compare(here, CORONARY, []) is None
    assert open_store(here.store_uri).list("reprocess/") == []


def test_each_new_report_is_a_line_of_the_audit_once(here: Settings, reported: Reported) -> None:
    """Which report took the place of which; a task that Airflow runs again adds nothing."""
    cases = [
        Answered(reported(0, a=answer({}), b=answer({})).case_id, OLD),
        Answered(reported(1, a=answer({})).case_id, OLD),
    ]

    for _ in range(2):
        record_reprocessed(here, CORONARY, cases)

    (line,) = audit(here)
    assert (line.action, line.case_id, line.site) == ("reprocessed", cases[0].case_id, "local")
    assert line.detail == {"old": OLD, "new": NEW}


def test_the_report_before_the_newest_is_the_one_to_compare_with(here: Settings, reported: Reported) -> None:
    """Of three reports the middle one; a case with one report has none; times bound when the newest was published."""
    thrice = reported(0, a=answer({}), b=answer({}), c=answer({}))
    reported(1, a=answer({}))
    newest = datetime(2026, 1, 1, 2, tzinfo=UTC)

    found = answered_before(here, CORONARY)

    assert found == [Answered(thrice.case_id, NEW)]
    assert answered_before(here, CORONARY, since=newest) == found
    assert answered_before(here, CORONARY, until=newest) == []
    assert answered_before(here, CORONARY, since=newest + timedelta(seconds=1)) == []


def test_after_going_back_to_an_older_version_its_report_is_the_newest(here: Settings, reported: Reported) -> None:
    """Publishing an old report again keeps its first time; the row of the case says that it is the current one."""
    case = reported(0, a=answer({}), b=answer({}))
    with transaction(here.results_url) as connection:
        upsert(connection, CaseRow, [case_row(case) | {"report_key": OLD}])

    assert answered_before(here, CORONARY) == [Answered(case.case_id, NEW)]
