"""Write the answer of a case: ``result.json``, ``report.html`` and ``report.pdf``, whatever happened before.

A case is answered, held (a doubt or a failed check: a physician decides), rejected (the data cannot be answered) or
failed (the machine or the program); each has its report.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.prostate.answer import sections
from algorithms.prostate.answer.methods import methods
from algorithms.prostate.answer.page_one import answer_section
from algorithms.prostate.answer.result import read_artefacts, result_document
from algorithms.prostate.answer.words import VOCABULARY
from algorithms.prostate.pipeline import PIPELINE
from algorithms.prostate.render import plain_entries, read_overviews, slide_entries
from algorithms.report.blocks import Bibliography, Picture, Report, Section
from algorithms.report.html import write_html
from algorithms.report.pdf import write_pdf
from algorithms.report.sections import Pictures, checks_section, limits_section, methods_section, provenance_section

log = logging.getLogger(__name__)

CHECKS = "A case with a failed check is held, except for the checks of a slide that is not used."


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the three files below ``out``; return the verdict and counts."""
    record = json.loads(inputs["record"].read_text())
    artefacts = read_artefacts(inputs)
    result = result_document(record, artefacts)
    (out / "result.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    pictures = read_pictures(inputs, bool(result["risk_withheld"]))
    report = prostate_report(record, result, artefacts.recommendation.get("limits", ()), pictures)
    write_html(report, out / "report.html")
    write_pdf(report, out / "report.pdf")
    used = sum(slide["used"] for slide in result["slides"])
    log.info("%s, %d of %d slides used, %d reasons", result["verdict"], used, len(result["slides"]), len(result["reasons"]))
    return {"verdict": result["verdict"], "slides_used": used, "reasons": len(result["reasons"])}


def read_pictures(inputs: Mapping[str, Path], risk_withheld: bool) -> list[tuple[dict[str, Any], Picture]]:
    """Return the pictures that may be shown: none of the risk where it is withheld, the slides where nothing was drawn."""
    if "pictures" in inputs:
        folder = inputs["pictures"]
        entries = json.loads((folder / "pictures.json").read_text())["pictures"]
        kept = [e for e in entries if not (risk_withheld and e["kind"] in sections.SHOWING_RISK)]
        return [(e, Picture((folder / e["path"]).read_bytes(), e["alt"])) for e in kept]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if {"tissue", "quality", "slides"} <= set(inputs):
            entries = slide_entries(read_overviews(inputs["tissue"], inputs["quality"], inputs["slides"]), folder)
        elif "slides" in inputs:
            entries = plain_entries(inputs["slides"], folder)
        else:
            return []
        return [(e, Picture((folder / e["path"]).read_bytes(), e["alt"])) for e in entries]


def prostate_report(record: Mapping[str, Any], result: Mapping[str, Any], told_limits: Any, pictures: Pictures) -> Report:
    """Return the report of any verdict as data: the same sections, each left out where there is nothing to say."""
    bibliography = Bibliography()
    finished = result["verdict"] in {"answered", "held"}
    parts: list[Section | None] = [answer_section(result, pictures, bibliography)]
    if finished:
        parts += [sections.attention_section(result, pictures), sections.incidence_section(result, pictures)]
    text = methods(record, bibliography)
    provenance = provenance_section(result, {s.name: s.settings({}) for s in PIPELINE.stages})
    parts += [
        sections.slides_section(result, pictures if finished else []),
        limits_section(result, (*told_limits, *sections.LIMITS)),
        checks_section({"checks": [_placed(check) for check in result["checks"]]}, VOCABULARY, CHECKS),
        methods_section(text, bibliography),
        sections.privacy_section(result),
        Section(provenance.title, (*sections.model_table(result), *provenance.blocks)),
    ]
    return Report(
        title=record["title"],
        subtitle=PIPELINE.help,
        case=record["case_id"],
        statement=result["statement"],
        maker=f"Heartwood {record['heartwood']}",
        sections=tuple(part for part in parts if part is not None),
    )


def _placed(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return a check whose stage names its slide too."""
    return dict(check) | {"stage": f"{check['stage']} {check['slide']}" if check["slide"] else check["stage"]}
