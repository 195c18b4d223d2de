"""What reprocessing changed, as one document: ``difference.json``, from which the report on it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from algorithms.contract.manifest import HEARTWOOD
from algorithms.contract.pipeline import Pipeline
from algorithms.report.difference.agreement import agreement
from algorithms.report.difference.pairs import VERDICT, Answers, Series, compared_series

SCHEMA = "https://heartwood.invalid/difference/1"


@dataclass(frozen=True)
class Reprocessed:
    """The two answers of a case with the keys of their reports."""

    answers: Answers
    old_key: str
    new_key: str


def difference(pipeline: Pipeline, run: str, cases: Sequence[Reprocessed], left: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the document on ``cases``; ``left`` are those that were not reprocessed, each with its ``reason``.

    It holds nothing that differs between two equal comparisons.
    """
    ordered = sorted(cases, key=lambda case: case.answers.case_id)
    answers = [case.answers for case in ordered]
    found = [series for compared in (*pipeline.compared, VERDICT) for series in compared_series(compared, answers)]
    return {
        "schema": SCHEMA,
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "run": run,
        "heartwood": HEARTWOOD,
        "cases": [_case(case) for case in ordered],
        "left": sorted((dict(one) for one in left), key=lambda one: (one["reason"], one["case_id"])),
        "changes": changes(answers),
        "numbers": [_numbers(series) for series in found if not series.compared.order],
        "words": [_words(series) for series in found if series.compared.order],
    }


def changes(cases: Sequence[Answers]) -> list[dict[str, Any]]:
    """Return what made the answers differ: stage, what differs between the two runs of it, and in how many cases.

    A stage that only read other inputs than before is left out: it follows from the stages before it.
    """
    found: Counter[tuple[str, str]] = Counter()
    order: dict[str, int] = {}
    for case in cases:
        before = {stage["name"]: stage for stage in case.old.get("provenance", ())}
        for after in case.new.get("provenance", ()):
            order.setdefault(after["name"], len(order))
            found.update((after["name"], what) for what in _differs(before.get(after["name"]), after))
    rows = [{"stage": stage, "what": what, "cases": count} for (stage, what), count in found.items()]
    return sorted(rows, key=lambda row: (order[row["stage"]], row["what"]))


def _differs(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    if before is None:
        return ["new stage"]
    told = []
    if before["version"] != after["version"]:
        told.append(f"version {before['version']} → {after['version']}")
    if before["state"] != after["state"]:
        told.append(f"{before['state']} → {after['state']}")
    if before["state"] == after["state"] == "done":
        for kind, old, new in (("", before["parameters"], after["parameters"]), ("file:", before["inputs"], after["inputs"])):
            names = sorted(name for name in {*old, *new} if name.startswith(kind) and old.get(name) != new.get(name))
            told += [_told(name, old.get(name, "none"), new.get(name, "none")) for name in names]
    return told


def _told(name: str, old: Any, new: Any) -> str:
    if name.startswith("file:"):
        return f"{name.removeprefix('file:')} {str(old)[:12]} → {str(new)[:12]}"
    return f"{name} {old} → {new}"


def _case(case: Reprocessed) -> dict[str, Any]:
    return {
        "case_id": case.answers.case_id,
        "old_key": case.old_key,
        "new_key": case.new_key,
        "old_verdict": case.answers.old.get("verdict"),
        "new_verdict": case.answers.new.get("verdict"),
    }


def _numbers(series: Series) -> dict[str, Any]:
    differences = [pair.new - pair.old for pair in series.pairs]
    cases = len({pair.case_id for pair in series.pairs})
    found = agreement(differences, cases)
    return _head(series) | {
        "bounds": list(series.compared.bounds),
        "bound_is": series.compared.bound_is,
        "digits": series.compared.digits,
        "unit": series.compared.unit,
        "values": len(differences),
        "cases": cases,
        "equal": sum(d == 0 for d in differences),
        "agreement": asdict(found) if found else None,
        "pairs": [asdict(pair) for pair in series.pairs],
    }


def _words(series: Series) -> dict[str, Any]:
    return _head(series) | {
        "order": list(series.compared.order),
        "cases": len(series.words),
        "equal": sum(word.old == word.new for word in series.words),
        "pairs": [asdict(word) for word in series.words],
    }


def _head(series: Series) -> dict[str, Any]:
    return {"name": series.compared.name, "unpaired": [asdict(lone) for lone in series.unpaired]}
