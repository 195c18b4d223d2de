"""The old and the new answer of every case that was answered again, set beside each other in one report.

The report goes into the store at ``reprocess/<first 12 digits of its key>/``, ``difference.json`` last; its key is of the
answers that it compares, so comparing the same again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from algorithms.contract.case import Case
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, DataError
from algorithms.contract.manifest import HEARTWOOD, Manifest
from algorithms.contract.pipeline import Pipeline
from operators import settings
from operators.credentials import deployment_store
from operators.reprocess.stale import Left, report_stage, utc
from operators.results.audit import Action, append_once, head
from operators.results.database import transaction
from operators.results.heads import publish_head
from operators.results.models import Case as CaseRow
from operators.results.models import Report
from operators.results.rows import RESULT
from operators.settings import Settings

log = logging.getLogger(__name__)

FOLDER = "reprocess"
FILES = ("report.html", "report.pdf", "difference.json")
"""What a comparison puts into the store; where the last one is, all are."""


@dataclass(frozen=True)
class Answered:
    """A case and the key of the report that it had before."""

    case_id: str
    old_key: str


@dataclass(frozen=True)
class Comparison:
    """A difference report: the first digits of its key, where it is, and how many cases crossed or changed."""

    key: str
    uri: str
    cases: int
    crossed: int
    changed: int


def answered_before(
    here: Settings, pipeline: Pipeline, *, since: datetime | None = None, until: datetime | None = None
) -> list[Answered]:
    """Return every case that has a report before its newest one, with the key of the one before.

    ``since`` and ``until`` bound the time at which the case's newest report was first published.
    """
    wanted = (
        select(CaseRow.case_id, Report.key, (Report.key == CaseRow.report_key).label("newest"), Report.published_at)
        .join(Report, Report.case_id == CaseRow.case_id)
        .where(CaseRow.pipeline == pipeline.name)
        .order_by(CaseRow.case_id, Report.published_at, Report.key)
    )
    with transaction(here.results_url) as connection:
        rows = connection.execute(wanted).all()
    before = {row.case_id: row.key for row in rows if not row.newest}
    newest = {row.case_id: utc(row.published_at) for row in rows if row.newest}
    return [
        Answered(case_id, key)
        for case_id, key in before.items()
        if case_id in newest
        and (since is None or newest[case_id] >= utc(since))
        and (until is None or newest[case_id] < utc(until))
    ]


def compare(here: Settings, pipeline: Pipeline, cases: Iterable[Answered], left: Sequence[Left] = ()) -> Comparison | None:
    """Write the difference report of ``cases``; ``None`` where no case has a new report.

    Raises
    ------
    DataError
        If a report was changed after it was written.
    """
    told, missing = _answers(here, pipeline, cases)
    reasons = [{"case_id": one.case_id, "reason": one.reason} for one in (*left, *missing) if one.pipeline == pipeline.name]
    for one in missing:
        log.warning("case %s: %s", one.case_id, one.reason)
    if not told:
        return None
    keys = [[case["case_id"], case["old_key"], case["new_key"]] for case in told]
    identity = {"pipeline": pipeline.name, "heartwood": HEARTWOOD, "cases": keys, "left": reasons}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        answers = {"pipeline": pipeline.name, "run": key, "cases": told, "left": reasons}
        (out / "answers.json").write_text(json.dumps(answers))
        counts = _difference(out / "answers.json", out)
        store = deployment_store(here)
        for name in FILES:
            uri = store.put_file(out / name, f"{FOLDER}/{key}/{name}")
    comparison = Comparison(key, uri.rpartition("/")[0], len(told), counts["crossed"], counts["changed"])
    _record(here, comparison)
    log.info("compared %d cases: %d values crossed a limit, %d words changed", len(told), counts["crossed"], counts["changed"])
    return comparison


def record_reprocessed(here: Settings, pipeline: Pipeline, cases: Iterable[Answered]) -> None:
    """Write into the audit which cases have a new report; one that is there already is not written again."""
    before = {case.case_id: case.old_key for case in cases}
    renewed = [row for row in _rows(here, pipeline, list(before)) if row.report_key != before[row.case_id]]
    with transaction(here.results_url) as connection:
        for row in renewed:
            detail = {"old": before[row.case_id], "new": row.report_key}
            append_once(connection, action=Action.REPROCESSED, case_id=row.case_id, site=row.site, detail=detail)


def _answers(here: Settings, pipeline: Pipeline, cases: Iterable[Answered]) -> tuple[list[dict[str, str]], list[Left]]:
    """Return the cases whose two answers can be read, and the others with their reason."""
    before = {case.case_id: case.old_key for case in cases}
    told, missing = [], []
    for row in _rows(here, pipeline, list(before)):
        if row.report_key == before[row.case_id]:
            missing.append(Left(pipeline.name, row.case_id, "no new report was published; see the case's run"))
            continue
        try:
            case = Case.read(here.home_folder.case_folder(row.case_id))
            old, new = (_result(pipeline, case, key) for key in (before[row.case_id], row.report_key))
        except DataError as error:
            missing.append(Left(pipeline.name, row.case_id, str(error)))
            continue
        keys = {"old_key": before[row.case_id], "new_key": row.report_key}
        told.append({"case_id": row.case_id, "old": str(old), "new": str(new)} | keys)
    return told, missing


def _rows(here: Settings, pipeline: Pipeline, case_ids: Sequence[str]) -> list[Any]:
    rows: list[Any] = []
    columns = select(CaseRow.case_id, CaseRow.report_key, CaseRow.site).where(CaseRow.pipeline == pipeline.name)
    with transaction(here.results_url) as connection:
        for start in range(0, len(case_ids), 500):  # SQLite takes so many values in one statement, and some more
            some = case_ids[start : start + 500]
            rows += connection.execute(columns.where(CaseRow.case_id.in_(some), CaseRow.report_key.is_not(None))).all()
    return sorted(rows, key=lambda row: str(row.case_id))


def _result(pipeline: Pipeline, case: Case, key: str) -> Path:
    """Return the answer that lies beside a report, verified against its manifest."""
    folder = case.folder / report_stage(pipeline).name / key[:12]
    manifest = Manifest.found(folder)
    if manifest is None or manifest.key != key:
        raise DataError(f"the report {key[:12]} is not in the case folder")
    return manifest.output_path(RESULT, folder)


def _difference(answers: Path, out: Path) -> dict[str, int]:
    """Write the report in a process of its own, as every implementation runs, and return its counts."""
    command = [sys.executable, "-m", "algorithms.difference", str(answers), str(out)]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    if done.returncode == EXIT_DATA:
        raise DataError(done.stderr.strip().splitlines()[-1])
    if done.returncode != EXIT_OK:
        raise RuntimeError(f"the difference report ended with exit code {done.returncode}\n\n{done.stderr}")
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def _record(here: Settings, comparison: Comparison) -> None:
    counts = {"cases": comparison.cases, "crossed": comparison.crossed, "changed": comparison.changed}
    detail: dict[str, str | int] = {"report": comparison.key} | counts
    with transaction(here.results_url) as connection:
        append_once(connection, action=Action.COMPARED, case_id=None, site=None, detail=detail)
        end = head(connection)
    publish_head(end, deployment_store(here))
