"""Cases whose newest report is not the one that today's code, parameters and weights would give.

A report's key follows from the keys of all results behind it, and each of those from entry point, version, parameters, inputs
and files read.  So a case is stale when the key that its folder gives now is not that of its newest published report.  Which
stages must run again is not decided here: the pipeline is run, and what has a result by its key is not computed twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, func, select

from algorithms.contract.case import SECRET, Case, Home
from algorithms.contract.errors import DataError
from algorithms.contract.manifest import Manifest, entry_point
from algorithms.contract.pipeline import Pipeline, Stage, Value
from algorithms.contract.record import StageState, files_read, states
from operators.case import chosen_parameters, require_region
from operators.results.audit import Action
from operators.results.database import transaction
from operators.results.models import Audit
from operators.results.models import Case as CaseRow
from operators.results.rows import RESULT
from operators.settings import Settings

RUN = "reprocess-"
"""How the id of a DAG run begins that answers a case again."""


@dataclass(frozen=True)
class Stale:
    """A case to be answered again: the key of its newest report, the first stage without a result, and the id of the run."""

    pipeline: str
    case_id: str
    report_key: str
    begins_at: str
    run_id: str


@dataclass(frozen=True)
class Left:
    """A stale case that cannot be answered again, and why."""

    pipeline: str
    case_id: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What a search came to; ``more`` says that it ended at its limit, and the rest is for the next one."""

    looked_at: int
    stale: tuple[Stale, ...]
    left: tuple[Left, ...]
    more: bool


def find(
    here: Settings,
    pipelines: Iterable[Pipeline],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int,
    refuse: Callable[[Stale], str | None] = lambda _: None,
) -> Found:
    """Return stale cases, those first that were recorded first, at most ``limit`` of them.

    Parameters
    ----------
    here, pipelines
        Where to look, and for cases of which pipelines.
    since, until
        Only cases first recorded at or after, and before.
    limit
        Where to stop.
    refuse
        Gives the reason why a stale case must not be run now, or ``None``; it then counts as left, not against the limit.
    """
    looked_at = 0
    stale: list[Stale] = []
    left: list[Left] = []
    for pipeline in pipelines:
        for row in _answered(here.results_url, pipeline, since, until):
            if len(stale) == limit:
                return Found(looked_at, tuple(stale), tuple(left), more=True)
            looked_at += 1
            judged = judge(here, pipeline, row)
            if isinstance(judged, Stale) and (reason := refuse(judged)):
                judged = Left(judged.pipeline, judged.case_id, reason)
            if isinstance(judged, Stale):
                stale.append(judged)
            elif judged is not None:
                left.append(judged)
    return Found(looked_at, tuple(stale), tuple(left), more=False)


def judge(here: Settings, pipeline: Pipeline, row: Row[Any]) -> Stale | Left | None:
    """Return what is to be done with an answered case, ``None`` where its report is today's.

    A case is left where a stage would need an original that was deleted after de-identification: running it could only put
    a refusal in the place of its answer.
    """
    try:
        case = Case.read(here.home_folder.case_folder(row.case_id))
        require_region(case, here)
        given = chosen(pipeline, case, row)
    except DataError as error:
        return Left(pipeline.name, row.case_id, str(error))
    found = states(pipeline, case, given, stub=here.stub)
    maker = report_stage(pipeline)
    if found[maker.name].key == row.report_key:
        return None
    if reason := originals_wanted(found, case, here.home_folder):
        return Left(pipeline.name, case.case_id, reason)
    begins_at = next((state.stage.name for state in found.values() if state.manifest is None), maker.name)
    run_id = f"{RUN}{_identity(pipeline, case, given, row, stub=here.stub)[:12]}"
    return Stale(pipeline.name, case.case_id, row.report_key, begins_at, run_id)


def look_again(here: Settings, pipeline: Pipeline, case_id: str) -> tuple[Stale | Left | None, dict[str, Value]]:
    """Return what is to be done with one case now, and the values that were chosen for it."""
    with transaction(here.results_url) as connection:
        row = connection.execute(_rows(pipeline).where(CaseRow.case_id == case_id)).one_or_none()
    judged = judge(here, pipeline, row) if row is not None else None
    if row is None or not isinstance(judged, Stale):
        return judged, {}
    return judged, chosen(pipeline, Case.read(here.home_folder.case_folder(case_id)), row)


def chosen(pipeline: Pipeline, case: Case, row: Row[Any]) -> dict[str, Value]:
    """Return the values that somebody chose for a case, which its next answer keeps; all others follow today's defaults.

    Of a case recorded before choices were, every value of its report that differs from today's default counts as chosen.

    Raises
    ------
    DataError
        If today's pipeline has no such parameter any more, or other bounds.
    """
    if row.chosen is not None:
        return pipeline.parse(dict(row.chosen))
    maker = report_stage(pipeline)
    folder = case.folder / maker.name / row.report_key[:12]
    manifest = Manifest.found(folder)
    if manifest is None:
        raise DataError("what was chosen for the case is not known: its report is not in the case folder")
    answer = json.loads(manifest.output_path(RESULT, folder).read_text())
    values = {name: value for stage in answer.get("provenance", ()) for name, value in stage["parameters"].items()}
    known = {parameter.name for _, parameter in pipeline.parameters()}
    return chosen_parameters(pipeline, {name: value for name, value in values.items() if name in known})


def report_stage(pipeline: Pipeline) -> Stage:
    """Return the stage that writes the answers of a pipeline."""
    maker = pipeline.maker(RESULT)
    if maker is None:
        raise ValueError(f"pipeline {pipeline.name} has no stage that writes {RESULT}")
    return maker


def originals_wanted(found: Mapping[str, StageState], case: Case, home: Home) -> str | None:
    """Return the reason why a case cannot be computed, ``None`` where every original is there that a stage must read."""
    for state in found.values():
        if state.manifest is not None or state.stage.always:
            continue
        # The key of pseudonyms is no file of the case, and asking for its path would make a new one.
        wanted = [name for name in state.stage.inputs if name in case.inputs and name != SECRET]
        gone = [name for name in wanted if not case.input_path(name, home).exists()]
        if gone:
            return (
                f"stage {state.stage.name} must run again and needs {', '.join(gone)}, "
                "deleted after de-identification; ask the site to send the examination again"
            )
    return None


def utc(time: datetime) -> datetime:
    """Return a time in UTC, as the results database keeps times; one without a zone counts as UTC, as SQLite gives it back."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _identity(pipeline: Pipeline, case: Case, given: Mapping[str, Value], row: Row[Any], *, stub: bool) -> str:
    """Return the sha256 over what a run would make: two searches that find the same case name the same run.

    How often the case was answered again counts, so that going back to an older version is another run than the first one.
    """
    stages = [
        (entry_point(stage, stub), stage.version, stage.settings(dict(given)), files_read(stage, stage.settings(dict(given))))
        for stage in pipeline.stages
    ]
    identity = [case.case_id, row.report_key, row.times, stages]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _answered(url: str, pipeline: Pipeline, since: datetime | None, until: datetime | None) -> Sequence[Row[Any]]:
    wanted = _rows(pipeline)
    if since is not None:
        wanted = wanted.where(CaseRow.recorded_at >= utc(since))
    if until is not None:
        wanted = wanted.where(CaseRow.recorded_at < utc(until))
    with transaction(url) as connection:
        return connection.execute(wanted.order_by(CaseRow.recorded_at, CaseRow.case_id)).all()


def _rows(pipeline: Pipeline) -> Select[Any]:
    times = (
        select(func.count())
        .where(Audit.case_id == CaseRow.case_id, Audit.action == Action.REPROCESSED)
        .correlate(CaseRow)
        .scalar_subquery()
        .label("times")
    )
    columns = (CaseRow.case_id, CaseRow.report_key, CaseRow.chosen, times)
    return select(*columns).where(CaseRow.pipeline == pipeline.name, CaseRow.report_key.is_not(None))
