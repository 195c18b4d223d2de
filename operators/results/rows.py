"""What the results database is told of a case: the case, its results, their measurements, its report, its publishing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from algorithms.contract.case import Case
from algorithms.contract.manifest import HEARTWOOD, Manifest, entry_point
from algorithms.contract.pipeline import Pipeline, Value
from algorithms.contract.record import StageState
from operators.cost import Prices, stage_price
from operators.results.audit import Action, append_once
from operators.results.database import transaction, upsert
from operators.results.models import Case as CaseRow
from operators.results.models import Measurement, Report, StageRun

RESULT = "result"
"""The artefact that holds a case's answer; what is written beside it is the report."""


@dataclass(frozen=True)
class Published:
    """What lies where in the store: URI by artefact name and by stage, and the artefacts that are too large for it."""

    uris: Mapping[str, str]
    manifests: Mapping[str, str]
    left: tuple[str, ...]


def record_rows(
    url: str,
    pipeline: Pipeline,
    case: Case,
    found: Mapping[str, StageState],
    published: Published,
    *,
    prices: Prices,
    given: Mapping[str, Value],
    stub: bool = False,
) -> None:
    """Write the case, its results, their measurements and its report into the results database, in one transaction.

    ``given`` are the parameters that somebody chose for it: when the case is answered again they are kept, and all others
    follow the defaults of that day.
    """
    maker, answer = pipeline.maker(RESULT), answer_of(pipeline, found)
    report = found[maker.name] if maker and found[maker.name].manifest else None
    verdict = answer.get("verdict")
    with transaction(url) as connection:
        current = {"verdict": verdict, "report_key": report.key if report else None, "chosen": dict(given)}
        upsert(connection, CaseRow, [case_row(case) | current])
        runs = [
            _stage_run(case, state, published, stub) | _price(state, prices)
            for state in found.values()
            if state.state != "not run"
        ]
        upsert(connection, StageRun, runs)
        upsert(connection, Measurement, [m for state in found.values() for m in _measurements(case, state)])
        if report is not None and report.manifest is not None:
            identity = {"case_id": case.case_id, "stage": report.stage.name, "key": report.manifest.key}
            upsert(connection, Measurement, [identity | number for number in numbers_of(answer)])
            upsert(connection, Report, [_report(case, report, published, answer)])
        objects = {"artefacts": len(published.uris), "manifests": len(published.manifests)}
        detail = objects | ({"report": report.key} if report is not None and report.key else {})
        append_once(connection, action=Action.PUBLISHED, case_id=case.case_id, site=case.site, detail=detail)


def case_row(case: Case) -> dict[str, Any]:
    """Return what the row of a case says before anything of it was computed."""
    return {"case_id": case.case_id, "pipeline": case.pipeline, "region": case.region, "site": case.site}


def answer_of(pipeline: Pipeline, found: Mapping[str, StageState]) -> dict[str, Any]:
    """Return the case's ``result.json``, empty where there is none."""
    maker = pipeline.maker(RESULT)
    state = found[maker.name] if maker else None
    if state is None or state.manifest is None or state.folder is None:
        return {}
    document: dict[str, Any] = json.loads(state.manifest.output_path(RESULT, state.folder).read_text())
    return document


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


def _price(state: StageState, prices: Prices) -> dict[str, Any]:
    price = stage_price(state, prices)
    of_list = {"currency": prices.currency, "price_list": prices.edition} if price is not None else {}
    return {"price": price, "currency": None, "price_list": None} | of_list


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
