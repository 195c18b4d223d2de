"""The case's answer as one document: ``result.json``, documented in docs/result.md and checked by result.schema.json.

It is built from the pipeline's record and whatever artefacts exist, so it exists for every case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms.prostate.answer.words import VOCABULARY
from algorithms.report import verdict

SCHEMA = "https://heartwood.invalid/prostate/result/1"
"""Name of the document's schema, result.schema.json; ``.invalid`` is a domain that never resolves (RFC 2606)."""

STATEMENT = (
    "For research only, not a medical device: developed on synthetic tissue and invented men, not validated on patients. "
    "No decision about a person may rest on it."
)

REMEDIES = {
    "receive": "Send one folder with one patient's prostate biopsy slides as the scanner wrote them: tiled TIFF such as SVS.",
    "deidentify": "Do not send these slides again as they are: whoever guards privacy must look at why they were refused.",
    "clinical": "Check the clinical variables against the patient's record, and send or give them again.",
    "tissue": "Look at the slides: clean off pen, scan again in focus at 20x or finer, and send the scanner's own files.",
    "tiles": "Send a slide with more tissue in focus.",
    "encode": (
        "If the encoder or its weights are named, whoever runs this system must put them right; else send the slides again "
        "from the scanner."
    ),
    "aggregate": (
        "If the model or its files are named, whoever runs this system must put them right; else send the slides again "
        "from the scanner."
    ),
    "recommend": "Check the clinical variables: the suggestions rest on them.",
    "render": "Send the slides again from the scanner: a part of these could not be drawn.",
}
"""What to do when a stage refuses a case, beside what its message says."""


HELD_REMEDIES = {
    "tissue": "A pathologist must look at the slide before its part in the risk is believed.",
    "aggregate": (
        "A pathologist must look at the slides, and the clinical variables must be checked: the model cannot vouch for what is "
        "unlike what it learnt from."
    ),
}
"""What to do when a check of a stage that finished holds the case."""


@dataclass(frozen=True)
class Artefacts:
    """What exists of a case, read; a document that does not exist is empty.  ``features`` are features.json by slide."""

    selection: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, Any] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Any] = field(default_factory=dict)
    clinical: Mapping[str, Any] = field(default_factory=dict)
    risk: Mapping[str, Any] = field(default_factory=dict)
    recommendation: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


DOCUMENTS = ("selection", "declared", "privacy", "quality", "grid", "clinical", "risk", "recommendation")


def read_artefacts(inputs: Mapping[str, Path]) -> Artefacts:
    """Return the artefacts among ``inputs``."""
    documents = {name: json.loads(inputs[name].read_text()) for name in DOCUMENTS if name in inputs}
    found = sorted(inputs["features"].glob("*/features.json")) if "features" in inputs else []
    return Artefacts(features={path.parent.name: json.loads(path.read_text()) for path in found}, **documents)


def result_document(record: Mapping[str, Any], artefacts: Artefacts) -> dict[str, Any]:
    """Return the answer: verdict, reasons, risks, groups, suggestions, slides, checks, provenance."""
    checks = all_checks(artefacts)
    word, reasons = judge(record, artefacts, checks)
    withheld = risk_withheld(artefacts)
    known = {} if withheld else artefacts.risk
    clinical = artefacts.clinical
    told = {} if withheld and has_risk(artefacts) else artefacts.recommendation
    return verdict.envelope(record, SCHEMA, STATEMENT, word) | {
        "risk_withheld": withheld,
        "reasons": reasons,
        "risks": _risks(artefacts, withheld),
        "percentile": known.get("percentile"),
        "risk_group": known.get("risk_group"),
        "nccn": clinical.get("nccn"),
        "clinical": _clinical(artefacts),
        "gleason_score": clinical.get("gleason_score"),
        "isup_grade_group": clinical.get("isup_grade_group"),
        "clinical_notes": list(clinical.get("notes", [])),
        "dropped_fields": artefacts.declared.get("dropped_fields", 0),
        "suggestions": list(told.get("suggestions", [])),
        "adt_biomarker": told.get("adt_biomarker"),
        "guideline": artefacts.recommendation.get("edition"),
        "slides": slides(artefacts),
        "ignored_files": len(artefacts.selection.get("ignored", [])),
        "model": _model(artefacts),
        "privacy": _privacy(artefacts),
        "checks": checks,
        "provenance": verdict.provenance(record),
    }


def judge(record: Mapping[str, Any], artefacts: Artefacts, checks: list[dict[str, Any]]) -> tuple[str, list[verdict.Reason]]:
    """Return the verdict and its reasons; an answer needs a risk and a recommendation.

    A slide that was left out is no reason: the case goes on with the others and says so.
    """
    failed = [(c["stage"], _check_sentence(c)) for c in checks if not c["passed"] and not _left_out(c, artefacts)]
    doubts = [("aggregate", doubt) for doubt in artefacts.risk.get("doubts", [])]
    if artefacts.risk and not has_risk(artefacts) and not doubts and not failed:
        doubts = [("aggregate", "the model gives no risk for this case")]
    broke = any(stage["state"] == "failed" for stage in record["stages"])
    lacking = "aggregate" if not artefacts.risk else "recommend" if not artefacts.recommendation else None
    return verdict.judge(record, REMEDIES if broke else REMEDIES | HELD_REMEDIES, doubts, failed, lacking)


def _check_sentence(check: Mapping[str, Any]) -> str:
    where = f"slide {check['slide']}: " if check["slide"] else ""
    return f"{where}{verdict.check_sentence(check, VOCABULARY)} ({check['help']})"


def _left_out(check: Mapping[str, Any], artefacts: Artefacts) -> bool:
    return any(s["slide"] == check["slide"] and not s["usable"] for s in artefacts.quality.get("slides", []))


def has_risk(artefacts: Artefacts) -> bool:
    """Return whether every endpoint has a risk."""
    ends = artefacts.risk.get("endpoints", [])
    return bool(ends) and all(end["risk"] is not None for end in ends)


def risk_withheld(artefacts: Artefacts) -> bool:
    """Return whether a risk was sought that must not be read: none came out, or a check of the model failed."""
    if not artefacts.risk:
        return False
    return not has_risk(artefacts) or any(not check["passed"] for check in artefacts.risk.get("checks", []))


def all_checks(artefacts: Artefacts) -> list[dict[str, Any]]:
    """Return every check of every artefact, in the order of the pipeline, each with its stage and slide (or ``None``)."""
    found = [("tissue", s["slide"], c) for s in artefacts.quality.get("slides", []) for c in s["checks"]]
    found += [("aggregate", None, c) for c in artefacts.risk.get("checks", [])]
    return [{"stage": stage, "slide": slide} | dict(check) for stage, slide, check in found]


def _risks(artefacts: Artefacts, withheld: bool) -> list[dict[str, Any]]:
    names = ("risk", "risk_low", "risk_high")
    return [
        {name: end[name] for name in ("label", "endpoint", "horizon_years")}
        # A float even where it is 0: the results database takes floats for numbers and integers for indices.
        | {name: None if withheld or end[name] is None else float(end[name]) for name in names}
        for end in artefacts.risk.get("endpoints", [])
    ]


def _clinical(artefacts: Artefacts) -> list[dict[str, Any]] | None:
    if not artefacts.clinical:
        return None
    imputed = artefacts.risk.get("imputed", [])
    return [{"name": name} | dict(entry) | {"imputed": name in imputed} for name, entry in artefacts.clinical["values"].items()]


def slides(artefacts: Artefacts) -> list[dict[str, Any]]:
    """Return a line a slide that was received: used, left out (with the reason), or not reached."""
    judged = {s["slide"]: s for s in artefacts.quality.get("slides", [])}
    laid = {s["slide"]: s for s in artefacts.grid.get("slides", [])}
    return [_slide(s, judged.get(s["slide"]), laid.get(s["slide"]), artefacts) for s in artefacts.selection.get("slides", [])]


def _slide(
    received: Mapping[str, Any], judged: Mapping[str, Any] | None, laid: Mapping[str, Any] | None, artefacts: Artefacts
) -> dict[str, Any]:
    label = received["slide"]
    pooled = artefacts.risk.get("slides", {}).get(label)
    state, stage, reason = "received", None, None
    if not received["accepted"]:
        state, stage, reason = "rejected", "receive", received["reason"]
    elif judged is not None and not judged["usable"]:
        state, stage, reason = "rejected", "tissue", "; ".join(judged["reasons"])
    elif artefacts.grid and (laid is None or not laid["tiles"]):
        state, stage, reason = "rejected", "tiles", "no tile of it holds enough tissue in focus"
    elif artefacts.risk:
        state = "used" if pooled else "rejected"
        stage, reason = (None, None) if pooled else ("encode", "no tile of it could be read")
    elif judged is not None:
        state = "usable"
    measures = dict(judged["measures"]) if judged and judged["measures"] else None
    facts = {name: value for name, value in (received.get("facts") or {}).items() if name not in {"tile_width", "tile_height"}}
    if judged:
        facts |= {name: value for name, value in judged["facts"].items() if value is not None}
    corrupt = [{"x": c["x"], "y": c["y"], "reason": c["reason"]} for c in artefacts.features.get(label, {}).get("corrupt", [])]
    return {
        "label": label, "used": state == "used", "state": state, "stage": stage, "reason": reason,
        "tissue_mm2": None if measures is None else float(measures["tissue_mm2"]),
        "attention": float(pooled["attention"]) if pooled and not risk_withheld(artefacts) else None,
        "tiles": laid["tiles"] if laid else None, "tiles_read": pooled["tiles"] if pooled else None,
        "corrupt_tiles": corrupt, "facts": facts or None, "measures": measures,
    }  # fmt: skip


def _model(artefacts: Artefacts) -> dict[str, Any] | None:
    encoder = next(iter(artefacts.features.values()), None)
    told = artefacts.risk.get("model")
    if encoder is None and told is None:
        return None
    return {
        "encoder": encoder["encoder"] if encoder else told["encoder"] if told else None,
        "encoder_sha256": encoder["weights_sha256"] if encoder else None,
        "risk_model": told["name"] if told else None,
        "risk_model_sha256": told["weights_sha256"] if told else None,
        "members": told["members"] if told else None,
        "trained_on": told["trained_on"] if told else None,
        "treatment": artefacts.risk.get("treatment"),
        "competing": artefacts.risk.get("competing"),
        "calibration": artefacts.risk.get("calibration") or [],
        "tiles": artefacts.risk.get("tiles"),
    }


def _privacy(artefacts: Artefacts) -> dict[str, Any] | None:
    if not artefacts.privacy:
        return None
    told = artefacts.privacy
    pages: dict[str, int] = {}
    for slide in told["slides"]:
        for kind, count in slide["pages_dropped"].items():
            pages[kind] = pages.get(kind, 0) + count
    sums = {name: sum(slide[name] for slide in told["slides"]) for name in ("fields_dropped", "segments_stripped", "tiles")}
    return {
        "policy": told["policy"], "slides": len(told["slides"]), "pages_dropped": pages,
        "fields_dropped": sums["fields_dropped"], "segments_stripped": sums["segments_stripped"], "tiles_copied": sums["tiles"],
        "values_searched": told["scan"]["searched"], "values_found": told["scan"]["found"], "checked": list(told["checks"]),
    }  # fmt: skip
