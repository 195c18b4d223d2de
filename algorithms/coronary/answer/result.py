"""The case's answer as one document: ``result.json``, documented in docs/result.md and checked by result.schema.json.

It is built from the pipeline's record and whatever artefacts exist, so it exists for every case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms.coronary.answer.cadrads import suggest
from algorithms.coronary.answer.words import VOCABULARY
from algorithms.coronary.tree import SCCT_SEGMENTS, Tree, read_tree
from algorithms.report import verdict

SCHEMA = "https://heartwood.invalid/coronary/result/1"
"""Name of the document's schema, result.schema.json; ``.invalid`` is a domain that never resolves (RFC 2606)."""

STATEMENT = (
    "For research only, not a medical device: developed on synthetic studies, not validated on patients. "
    "No decision about a person may rest on it."
)

REMEDIES = {
    "receive": "Send one folder with the whole coronary CT angiography of one patient: DICOM CT, 100 to 500 thin slices.",
    "deidentify": "Do not send this study again as it is: a person responsible for privacy must look at why it was refused.",
    "volume": "Send another reconstruction or scan: every slice of the heart, evenly spaced, with contrast in the arteries.",
    "anatomy": "Send a series that shows the whole heart with contrast in the aorta, from above the ostia to the apex.",
    "segment": "Send the series of another phase or a softer kernel; motion and heavy calcium hide the lumen.",
    "centreline": "A physician must compare the vessel tree with the images; the series of another phase may show it better.",
    "boundary": "Compare the vessel tree with the images: a closed vessel is a finding of its own; check the values given too.",
    "flow": "Check the vessel tree: a closed vessel, or a radius that cannot be, has no flow solution. "
    "Where only 3-D failed, a physician decides on the reduced model's values, or flow_model=reduced answers without it.",
    "ffr": "Check the vessel tree and the flow before this one; FFR rests on both.",
}
"""What to do when a stage refuses a case, beside what its message says."""


@dataclass(frozen=True)
class Artefacts:
    """What exists of a case, read; a document that does not exist is empty."""

    tree: Tree | None = None
    selection: Mapping[str, Any] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    anatomy: Mapping[str, Any] = field(default_factory=dict)
    boundary: Mapping[str, Any] = field(default_factory=dict)
    flow: Mapping[str, Any] = field(default_factory=dict)
    ffr: Mapping[str, Any] = field(default_factory=dict)


DOCUMENTS = ("selection", "privacy", "quality", "anatomy", "boundary", "flow", "ffr")


def read_artefacts(inputs: Mapping[str, Path]) -> Artefacts:
    """Return the artefacts among ``inputs``."""
    documents = {name: json.loads(inputs[name].read_text()) for name in DOCUMENTS if name in inputs}
    return Artefacts(tree=read_tree(inputs["tree"]) if "tree" in inputs else None, **documents)


def result_document(record: Mapping[str, Any], artefacts: Artefacts) -> dict[str, Any]:
    """Return the answer: verdict, reasons, vessels, stenoses, FFR, boundary values, checks, provenance."""
    checks = all_checks(artefacts)
    word, reasons = judge(record, artefacts, checks)
    withheld = any(not c["passed"] for c in checks if c["stage"] in {"flow", "ffr"} and not c.get("part"))
    stenoses = _stenoses(artefacts, withheld)
    return verdict.envelope(record, SCHEMA, STATEMENT, word) | {
        "ffr_withheld": withheld,
        "reasons": reasons,
        "cad_rads": suggest(stenoses) if word in {"answered", "held"} or _occluded(stenoses) else None,
        "vessels": _vessels(artefacts, withheld),
        "stenoses": stenoses,
        "branches": _branches(artefacts, withheld),
        "interval": artefacts.ffr.get("interval"),
        "flow": _flow(artefacts),
        "boundary": artefacts.boundary.get("values"),
        "image": _image(artefacts),
        "privacy": _privacy(artefacts),
        "checks": checks,
        "provenance": verdict.provenance(record),
    }


def _occluded(stenoses: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether an artery is closed: a finding that stands although a case without FFR is refused."""
    return any(entry["diameter_stenosis"] >= 1 for entry in stenoses)


def judge(record: Mapping[str, Any], artefacts: Artefacts, checks: list[dict[str, Any]]) -> tuple[str, list[verdict.Reason]]:
    """Return the verdict and its reasons; an answer needs FFR and the tree."""
    doubts = [("anatomy", doubt) for doubt in artefacts.anatomy.get("doubts", [])]
    doubts += [("centreline", doubt) for doubt in (artefacts.tree.doubts if artefacts.tree else ())]
    doubts += [("flow", failed_sentence(part)) for part in _parts(artefacts) if part["state"] == "failed"]
    failed = [(c["stage"], verdict.check_sentence(c, VOCABULARY)) for c in checks if not c["passed"] and not c.get("part")]
    lacking = "ffr" if not artefacts.ffr or artefacts.tree is None else None
    return verdict.judge(record, REMEDIES, doubts, failed, lacking)


def all_checks(artefacts: Artefacts) -> list[dict[str, Any]]:
    """Return every check of every artefact, in the order of the pipeline, each with its stage."""
    documents = {"volume": artefacts.quality, "anatomy": artefacts.anatomy, "boundary": artefacts.boundary}
    documents |= {"flow": artefacts.flow, "ffr": artefacts.ffr}
    every = [{"stage": stage} | dict(check) for stage, document in documents.items() for check in document.get("checks", [])]
    # A solution in three dimensions that failed withholds nothing: the reduced loss stands in its place.
    return every + [
        {"stage": "flow"} | dict(check) | {"name": f"{check['name']}, 3-D {part['name']}", "part": part["name"]}
        for part in _parts(artefacts)
        for check in part["checks"]
    ]


def _parts(artefacts: Artefacts) -> list[Mapping[str, Any]]:
    return list((artefacts.flow.get("three_dimensional") or {}).get("parts", []))


def failed_sentence(part: Mapping[str, Any]) -> str:
    """Return why a solution in three dimensions is not believed, and what stands in its place."""
    return (
        f"the three-dimensional flow at {part['name']} failed its checks ({part['reason']}); no FFR is taken from it, and the "
        "values shown there are the reduced-order model's"
    )


def _flow(artefacts: Artefacts) -> dict[str, Any] | None:
    """Return which flow model was asked for and which stands where; files and openings are the stage's own."""
    if not artefacts.flow:
        return None
    three = artefacts.flow.get("three_dimensional") or {"asked": "reduced", "used": "reduced", "summary": REDUCED, "parts": []}
    names = ("name", "stenoses", "state", "reason", "values")
    return {name: three[name] for name in ("asked", "used", "summary")} | {
        "parts": [{name: part[name] for name in names} for part in three["parts"]]
    }


REDUCED = "The reduced-order model was used everywhere, as asked."


_FFR_FIELDS = ("ffr", "ffr_low", "ffr_high", "band", "band_probability")


def _vessels(artefacts: Artefacts, withheld: bool) -> list[dict[str, Any]]:
    hidden = dict.fromkeys((*_FFR_FIELDS, "tip_ffr")) if withheld else {}
    fields = ("vessel", *_FFR_FIELDS, "branch", "point", "tip_ffr")
    lesions = artefacts.ffr.get("lesions", [])
    return [
        {name: vessel.get(name) for name in fields} | {"stenoses": [lesions[i]["stenosis"] for i in vessel["lesions"]]} | hidden
        for vessel in artefacts.ffr.get("vessels", [])
    ]


def _stenoses(artefacts: Artefacts, withheld: bool) -> list[dict[str, Any]]:
    if artefacts.tree is None:
        return []
    read = {lesion["stenosis"]: lesion for lesion in artefacts.ffr.get("lesions", [])}
    entries = []
    for index, stenosis in enumerate(artefacts.tree.stenoses):
        branch = artefacts.tree.branches[stenosis.branch]
        lesion = read.get(index, {})
        measured = {name: None if withheld else lesion.get(name) for name in (*_FFR_FIELDS, "delta_ffr")}
        entries.append(
            {
                "label": f"L{index + 1}", "vessel": lesion.get("vessel", branch.name), "branch": stenosis.branch,
                "branch_name": branch.name, "segment": stenosis.segment,
                "segment_name": SCCT_SEGMENTS.get(stenosis.segment, branch.name),
                "start": stenosis.start, "throat": stenosis.throat, "end": stenosis.end,
                "throat_mm": branch.points_mm[stenosis.throat].tolist(),
                "from_ostium_mm": float(artefacts.tree.ostium_distance_mm(stenosis.branch)[stenosis.throat]),
                "diameter_stenosis": stenosis.diameter_stenosis, "area_stenosis": stenosis.area_stenosis,
                "minimal_lumen_diameter_mm": stenosis.minimal_lumen_diameter_mm,
                "reference_diameter_mm": stenosis.reference_diameter_mm, "length_mm": stenosis.length_mm,
                "read_branch": lesion.get("branch"), "read_point": lesion.get("point"), "distal_mm": lesion.get("distal_mm"),
            }
            | measured
        )  # fmt: skip
    return entries


def _branches(artefacts: Artefacts, withheld: bool) -> list[dict[str, Any]]:
    if artefacts.tree is None:
        return []
    computed = artefacts.ffr.get("branches", [{}] * len(artefacts.tree.branches))
    return [
        {
            "name": b.name, "parent": b.parent, "parent_point": b.parent_point, "points_mm": b.points_mm.tolist(),
            "distance_mm": b.distance_mm.round(4).tolist(), "radius_mm": b.radius_mm.tolist(),
            "reference_radius_mm": b.reference_radius_mm.tolist(), "radius_sd_mm": b.radius_sd_mm.tolist(),
            "segment": b.segment.tolist(),
        }
        | {name: None if withheld else values.get(name) for name in ("ffr", "ffr_low", "ffr_high")}
        for b, values in zip(artefacts.tree.branches, computed, strict=True)
    ]  # fmt: skip


def _image(artefacts: Artefacts) -> dict[str, Any] | None:
    if not artefacts.quality:
        return None
    names = ("aorta_hu_estimate", "noise_hu")
    return {"facts": dict(artefacts.quality.get("facts", {}))} | {name: artefacts.quality.get(name) for name in names}


def _privacy(artefacts: Artefacts) -> dict[str, Any] | None:
    if not artefacts.privacy:
        return None
    scan = {name: artefacts.privacy["scan"][name] for name in ("files", "values_searched", "values_found")}
    return {name: artefacts.privacy[name] for name in ("profile", "edition", "policy")} | scan
