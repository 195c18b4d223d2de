"""Write the answer of a case: ``result.json``, ``report.html`` and ``report.pdf``, whatever happened before.

A case is answered, held (a doubt or a failed check: a physician decides), rejected (the data cannot be answered) or
failed (the machine or the program); each has its report.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.coronary.answer import sections
from algorithms.coronary.answer.methods import methods
from algorithms.coronary.answer.page_one import answer_section
from algorithms.coronary.answer.result import Artefacts, read_artefacts, result_document
from algorithms.coronary.answer.words import VOCABULARY
from algorithms.coronary.grid import read_grid
from algorithms.coronary.pictures.quality import draw_quality
from algorithms.coronary.pipeline import PIPELINE
from algorithms.coronary.render import quality_entry
from algorithms.report.blocks import Bibliography, Picture, Report, Section
from algorithms.report.html import write_html
from algorithms.report.pdf import write_pdf
from algorithms.report.sections import Pictures, checks_section, limits_section, methods_section, provenance_section

log = logging.getLogger(__name__)

CHECKS = "A case with a failed check is held; without a sound flow solution no FFR is given."

SHOWING_FFR = ("tree", "pullback", "streamlines", "wall_shear")
"""Kinds of picture of a flow whose solution has failed where FFR is withheld."""


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the three files below ``out``; return the verdict and counts."""
    record = json.loads(inputs["record"].read_text())
    artefacts = read_artefacts(inputs)
    result = result_document(record, artefacts)
    (out / "result.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    pictures, notes = read_pictures(inputs, bool(result["ffr_withheld"]))
    report = coronary_report(record, result, artefacts, pictures, notes)
    write_html(report, out / "report.html")
    write_pdf(report, out / "report.pdf")
    log.info("%s, %d stenoses, %d reasons", result["verdict"], len(result["stenoses"]), len(result["reasons"]))
    return {"verdict": result["verdict"], "stenoses": len(result["stenoses"]), "reasons": len(result["reasons"])}


def read_pictures(inputs: Mapping[str, Path], ffr_withheld: bool) -> tuple[list[tuple[dict[str, Any], Picture]], list[str]]:
    """Return the pictures that may be shown, and the notes on them.

    Without those of FFR where it is withheld; slices of the volume where nothing was drawn.
    """
    if "pictures" in inputs:
        folder = inputs["pictures"]
        drawn = json.loads((folder / "pictures.json").read_text())
        entries = [e for e in drawn["pictures"] if not (ffr_withheld and e["kind"] in SHOWING_FFR)]
        return [(e, Picture((folder / e["path"]).read_bytes(), e["alt"])) for e in entries], drawn["notes"]
    if "volume" not in inputs:
        return [], []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "quality.png"
        draw_quality(read_grid(inputs["volume"]), None, path)
        entry = quality_entry(path.name)
        return [(entry, Picture(path.read_bytes(), entry["alt"]))], []


def coronary_report(
    record: Mapping[str, Any],
    result: Mapping[str, Any],
    artefacts: Artefacts,
    pictures: Pictures,
    notes: Sequence[str],
) -> Report:
    """Return the report of any verdict as data: the same sections, each left out where there is nothing to say."""
    bibliography = Bibliography()
    parts: list[Section | None] = [answer_section(result, pictures, notes)]
    if result["verdict"] in {"answered", "held"}:
        parts += sections.vessel_sections(result, artefacts, pictures)
    else:
        parts.append(sections.unfinished_section(result))
    text = methods(record, artefacts, bibliography)
    parts += [
        sections.image_section(result, artefacts, pictures),
        sections.flow_section(result, pictures),
        sections.boundary_section(result),
        sections.uncertainty_section(result),
        checks_section(result, VOCABULARY, CHECKS),
        methods_section(text, bibliography),
        sections.privacy_section(result),
        provenance_section(result, {s.name: s.settings({}) for s in PIPELINE.stages}),
        limits_section(result, sections.LIMITS),
    ]
    return Report(
        title=record["title"],
        subtitle=PIPELINE.help,
        case=record["case_id"],
        statement=result["statement"],
        maker=f"Heartwood {record['heartwood']}",
        sections=tuple(part for part in parts if part is not None),
    )
