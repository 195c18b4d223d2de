"""The last task of a case: report and artefacts into the object store, rows into the results database.

A result goes to ``cases/<case id>/<stage>/<key12>/`` of the store, its manifest last: where a manifest is, all of the result
is.  Everything is named by content keys, so publishing again changes nothing.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from algorithms.contract.case import Case
from algorithms.contract.manifest import HEARTWOOD, MANIFEST, Manifest, entry_point
from algorithms.contract.pipeline import Pipeline
from algorithms.contract.record import StageState
from algorithms.contract.store import Store, put_tree
from operators.case import CaseTask
from operators.cost import Prices, case_cost, leave_cost
from operators.credentials import deployment_store
from operators.links import REPORT_LINKS
from operators.results.database import transaction, upsert
from operators.results.models import Case as CaseRow
from operators.results.models import Measurement, Report, StageRun
from operators.watch import metrics

log = logging.getLogger(__name__)

MIB = 2**20

RESULT = "result"
"""The artefact that holds a case's answer; what is written beside it is the report."""


@dataclass(frozen=True)
class Published:
    """What lies where in the store: URI by artefact name and by stage, and the artefacts that are too large for it."""

    uris: Mapping[str, str]
    manifests: Mapping[str, str]
    left: tuple[str, ...]


class Publish(CaseTask):
    """Publish what there is of a case; see `publish` and `record_rows`."""

    ui_color = "#e8f7e4"
    operator_extra_links = REPORT_LINKS

    def execute(self, context: Context) -> dict[str, str | None]:
        """Return the key of the case's report and its verdict, if there is one."""
        opened = self.open()
        here, pipeline, case, found = opened.here, opened.pipeline, opened.case, opened.states()
        store = deployment_store(here)
        published = publish(case, found, store, here.publish_limit_mib)
        record_rows(here.results_url, pipeline, case, found, published, stub=here.stub)
        log.info("published %d artefacts, left %d that are too large", len(published.uris), len(published.left))
        verdict = answer_of(pipeline, found).get("verdict")
        maker = pipeline.maker(RESULT)
        report = found[maker.name] if maker else None
        if report is None or report.manifest is None:
            return {"key": None, "state": None}
        cost = case_cost(pipeline, case, found, Prices.read(here.price_list))
        leave_cost(store, report, cost)
        metrics.CASE_PRICE.set(cost["together"]["price"], pipeline=pipeline.name)
        metrics.ANSWERS.add(pipeline=pipeline.name, state=verdict or metrics.OTHER)
        taken = datetime.now(UTC) - context["dag_run"].run_after
        metrics.CASE_DURATION.took(taken.total_seconds(), pipeline=pipeline.name, state=verdict or metrics.OTHER)
        return {"key": report.manifest.key, "state": verdict}


def publish(case: Case, found: Mapping[str, StageState], store: Store, limit_mib: float) -> Published:
    """Put every finished result of a case into the store.

    Raises
    ------
    DataError
        If an artefact is no longer what its stage wrote.
    RuntimeError
        If the store has the same result with other bytes: a stage is not reproducible, or changed without a new version.
    """
    uris: dict[str, str] = {}
    manifests: dict[str, str] = {}
    left: list[str] = []
    for state in found.values():
        if state.manifest is None or state.folder is None:
            continue
        prefix = f"cases/{case.case_id}/{state.stage.name}/{state.manifest.key[:12]}"
        there = _published_before(store, f"{prefix}/{MANIFEST}")
        if there is not None and hashes_of(there) != hashes_of(state.manifest):
            raise RuntimeError(f"the store has result {prefix} with other bytes; raise the version of stage {state.stage.name}")
        for name, written in state.manifest.outputs.items():
            if written.size_bytes > limit_mib * MIB:
                left.append(name)
                continue
            uris[name] = f"{store.uri}/{prefix}/{written.path}"
            if there is None:
                _put(store, state.manifest.output_path(name, state.folder), f"{prefix}/{written.path}")
        manifests[state.stage.name] = f"{store.uri}/{prefix}/{MANIFEST}"
        if there is None:
            store.put_file(state.folder / MANIFEST, f"{prefix}/{MANIFEST}")
    return Published(uris, manifests, tuple(left))


def answer_of(pipeline: Pipeline, found: Mapping[str, StageState]) -> dict[str, Any]:
    """Return the case's ``result.json``, empty where there is none."""
    maker = pipeline.maker(RESULT)
    state = found[maker.name] if maker else None
    if state is None or state.manifest is None or state.folder is None:
        return {}
    document: dict[str, Any] = json.loads(state.manifest.output_path(RESULT, state.folder).read_text())
    return document


def record_rows(
    url: str,
    pipeline: Pipeline,
    case: Case,
    found: Mapping[str, StageState],
    published: Published,
    *,
    stub: bool = False,
) -> None:
    """Write the case, its results, their measurements and its report into the results database, in one transaction."""
    maker, answer = pipeline.maker(RESULT), answer_of(pipeline, found)
    report = found[maker.name] if maker and found[maker.name].manifest else None
    verdict = answer.get("verdict")
    with transaction(url) as connection:
        row = {"case_id": case.case_id, "pipeline": pipeline.name, "verdict": verdict}
        upsert(connection, CaseRow, [row | {"report_key": report.key if report else None}])
        runs = [_stage_run(case, state, published, stub) for state in found.values() if state.state != "not run"]
        upsert(connection, StageRun, runs)
        upsert(connection, Measurement, [m for state in found.values() for m in _measurements(case, state)])
        if report is not None and report.manifest is not None:
            identity = {"case_id": case.case_id, "stage": report.stage.name, "key": report.manifest.key}
            upsert(connection, Measurement, [identity | number for number in numbers_of(answer)])
            upsert(connection, Report, [_report(case, report, published, answer)])


def hashes_of(manifest: Manifest) -> dict[str, str]:
    """Return the sha256 of each artefact by name."""
    return {name: written.sha256 for name, written in manifest.outputs.items()}


def numbers_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what ``result.json`` says of each vessel, lesion and so on as rows: subject, name, value with interval, or word.

    Of every list at the top of the answer, entries with a ``label`` or a ``vessel`` are taken; that is their subject.  A float
    is a number, ``x`` with ``x_low`` and ``x_high`` one number with its interval; text is a word; an integer is an index.
    """
    rows: list[dict[str, Any]] = []
    for entries in answer.values():
        for entry in entries if isinstance(entries, list) else ():
            subject = (entry.get("label") or entry.get("vessel")) if isinstance(entry, dict) else None
            if subject:
                rows += [row for name in entry if (row := _number_row(subject, name, entry)) is not None]
    return rows


def _put(store: Store, path: Path, name: str) -> None:
    if path.is_dir():
        put_tree(store, path, name)
    else:
        store.put_file(path, name)


def _published_before(store: Store, name: str) -> Manifest | None:
    if not store.exists(name):
        return None
    with tempfile.TemporaryDirectory() as folder:
        store.get_file(name, Path(folder) / MANIFEST)
        return Manifest.read(Path(folder))


def _stage_run(case: Case, state: StageState, published: Published, stub: bool) -> dict[str, Any]:
    manifest, stage, failure = state.manifest, state.stage, state.failure
    row = {
        "case_id": case.case_id,
        "stage": stage.name,
        "key": state.key,
        "state": state.state,
        "version": stage.version,
        "run": entry_point(stage, stub),
        "heartwood": manifest.heartwood if manifest else HEARTWOOD,
        "image": manifest.image if manifest else "",
        "parameters": dict(manifest.parameters) if manifest else {},
        "inputs": dict(state.inputs),
        "outputs": hashes_of(manifest) if manifest else {},
        "failure_kind": failure.kind if failure and not manifest else None,
        "failure_message": failure.message if failure and not manifest else None,
    }
    cost = {name: getattr(manifest, name, None) for name in ("seconds", "cpu_seconds", "peak_memory_mib")}
    return row | cost | {"manifest_uri": published.manifests.get(stage.name)}


def _measurements(case: Case, state: StageState) -> list[dict[str, Any]]:
    if state.manifest is None:
        return []
    identity = {"case_id": case.case_id, "stage": state.stage.name, "key": state.manifest.key}
    return [
        identity | (_row("", name, word=value) if isinstance(value, str) else _row("", name, value=float(value)))
        for name, value in state.manifest.measurements.items()
    ]


def _report(case: Case, state: StageState, published: Published, answer: Mapping[str, Any]) -> dict[str, Any]:
    assert state.manifest is not None
    return {
        "case_id": case.case_id,
        "key": state.manifest.key,
        "verdict": str(answer.get("verdict", "")),
        "reasons": list(answer.get("reasons", ())),
        "uris": {name: published.uris[name] for name in state.manifest.outputs if name in published.uris},
        "hashes": hashes_of(state.manifest),
    }


def _number_row(subject: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    value = entry[name]
    if isinstance(value, str):
        return _row(subject, name, word=value) if value != subject else None
    if not isinstance(value, float) or name.endswith(("_low", "_high")):
        return None
    return _row(subject, name, value=value, low=entry.get(f"{name}_low"), high=entry.get(f"{name}_high"))


def _row(
    subject: str,
    name: str,
    *,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
    word: str | None = None,
) -> dict[str, Any]:
    return {"subject": subject, "name": name, "value": value, "low": low, "high": high, "word": word}
