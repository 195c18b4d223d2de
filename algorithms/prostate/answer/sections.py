"""The sections of the prostate report behind its first page, declared from the result document; no number is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.prostate.answer.page_one import slide_badge
from algorithms.prostate.answer.words import percent
from algorithms.report.blocks import (
    Block,
    Cell,
    Code,
    Column,
    Heading,
    KeyValues,
    Paragraph,
    Section,
    Table,
)  # fmt: skip
from algorithms.report.sections import NOT_AVAILABLE, Pictures, figures, scan_rows
from algorithms.report.words import sentence

SHOWING_RISK = ("incidence", "attention", "tiles")
"""Kinds of picture that come out of the risk model."""

MOST_CORRUPT_SHOWN = 20


def attention_section(result: Mapping[str, Any], pictures: Pictures) -> Section | None:
    """Return the slides that were used, each with where the model looked, and the most attended tiles."""
    blocks: list[Block] = []
    for slide in result["slides"]:
        if slide["state"] in {"used", "usable"}:
            drawn = [
                *figures(pictures, kind="slide", slide=slide["label"]),
                *figures(pictures, kind="attention", slide=slide["label"]),
            ]
            if drawn:
                blocks += [Heading(f"Slide {slide['label']}"), *drawn]
    tiles = figures(pictures, kind="tiles")
    blocks += [Heading("Most attended tiles"), *tiles] if tiles else []
    title = "Slides" if result["risk_withheld"] else "Slides and attention"
    return Section(title, tuple(blocks), new_page=True) if blocks else None


def incidence_section(result: Mapping[str, Any], pictures: Pictures) -> Section | None:
    """Return the curves of both endpoints."""
    drawn = figures(pictures, kind="incidence")
    if not drawn or result["risk_withheld"]:
        return None
    model = result["model"]
    after = f" after {model['treatment']}" if model["treatment"] else ""
    competing = f": {model['competing']}" if model["competing"] else ""
    note = (
        f"Risks are meant{after}, in men who may die of other causes first{competing}. The interval holds what the "
        f"{model['members']} members of the ensemble disagree about, not an error that all of them share."
    )
    blocks: list[Block] = [*drawn, Paragraph(note, small=True)]
    checked = figures(pictures, kind="calibration")
    blocks += [Heading("Did earlier risks come true?"), *checked] if checked else []
    return Section("Risk over time", tuple(blocks))


def slides_section(result: Mapping[str, Any], pictures: Pictures) -> Section | None:
    """Return the facts of every slide, what was not used and why, and the tiles that could not be read."""
    if not result["slides"]:
        return None
    blocks: list[Block] = [_facts_table(result["slides"])]
    measured = [s for s in result["slides"] if s["measures"]]
    blocks += [_measures_table(measured)] if measured else []
    for slide in result["slides"]:
        if slide["state"] == "rejected":
            said = f"Slide {slide['label']} was not used: {sentence(slide['reason'])}"
            blocks += [Paragraph(said), *figures(pictures, kind="slide", slide=slide["label"])]
    corrupt = [(s["label"], c) for s in result["slides"] for c in s["corrupt_tiles"]]
    if corrupt:
        blocks.append(_corrupt_table(corrupt))
    if result["ignored_files"]:
        number = result["ignored_files"]
        was = "1 file was no slide and was" if number == 1 else f"{number} files were no slides and were"
        blocks.append(Paragraph(f"{was} not looked into further.", small=True))
    return Section("What was used, and what was not", tuple(blocks))


def _facts_table(slides: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for slide in slides:
        facts = slide["facts"] or {}
        scale = "missing" if facts.get("mpp") is None else f"{facts['mpp']:.4g}" + (" (given)" if _given(facts) else "")
        power = facts.get("objective_power")
        size = f"{facts['width']} × {facts['height']}" if facts.get("width") else NOT_AVAILABLE
        rows.append(
            (
                slide["label"], slide_badge(slide), size, scale, NOT_AVAILABLE if power is None else f"{power:g}×",
                *(facts.get(name) or NOT_AVAILABLE for name in ("scanner", "vendor", "compression")),
            )
        )  # fmt: skip
    columns = (
        Column("Slide", width=0.5), Column("", width=0.75), Column("Size (pixels)", width=1.3),
        Column("µm per pixel", width=0.9), Column("Objective", width=0.75), Column("Scanner", width=1.2),
        Column("Format", width=0.9), Column("Compression", width=1.0),
    )  # fmt: skip
    return Table(columns, tuple(rows), "What the files say of themselves.", small=True)


def _given(facts: Mapping[str, Any]) -> bool:
    return facts.get("mpp_from") == "given"


def _measures_table(slides: Sequence[Mapping[str, Any]]) -> Table:
    shares = (
        ("tissue_fraction", "Tissue"),
        ("pen_fraction", "Pen"),
        ("blurred_fraction", "Out of focus"),
        ("fold_fraction", "Folds"),
    )
    rows: list[tuple[Cell, ...]] = []
    for slide in slides:
        told = slide["measures"]
        ready = [NOT_AVAILABLE if told.get(name) is None else percent(told[name]) for name, _ in shares]
        read = NOT_AVAILABLE if slide["tiles_read"] is None else str(slide["tiles_read"])
        rows.append((slide["label"], f"{told['tissue_mm2']:.1f}", *ready, str(slide["tiles"] or NOT_AVAILABLE), read))
    columns = (
        Column("Slide", width=0.5), Column("Tissue (mm²)", True, width=0.9), *(Column(t, True, width=0.8) for _, t in shares),
        Column("Tiles laid", True, width=0.8), Column("Tiles read", True, width=0.8),
    )  # fmt: skip
    caption = "What was measured: tissue and pen as shares of the slide, bad focus and folds as shares of the tissue."
    return Table(columns, tuple(rows), caption, small=True)


def _corrupt_table(corrupt: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    rows = tuple((label, f"{c['x']}, {c['y']}", sentence(c["reason"])) for label, c in corrupt[:MOST_CORRUPT_SHOWN])
    caption = "Tiles that could not be read, by the pixel of their top left corner; they have no part in the risk."
    if len(corrupt) > len(rows):
        caption += f" The first {len(rows)} of {len(corrupt)}; result.json has all."
    return Table(
        (Column("Slide", width=0.5), Column("Position", width=1.0), Column("Why", width=4.0)), rows, caption, small=True
    )


def privacy_section(result: Mapping[str, Any]) -> Section | None:
    """Return what was done to protect the patient, and the proof."""
    told = result["privacy"]
    if not told:
        return None
    pages = ", ".join(f"{count} {kind}" for kind, count in told["pages_dropped"].items()) or "none"
    rows: tuple[tuple[str, Cell], ...] = (
        *scan_rows(told["values_searched"], told["values_found"]),
        ("Images dropped", pages),
        ("Text fields dropped", str(told["fields_dropped"])),
        ("Comments taken out of images", str(told["segments_stripped"])),
        ("Tiles copied unchanged", str(told["tiles_copied"])),
    )
    checked = (Paragraph("Checked: " + "; ".join(told["checked"]) + ".", small=True),) if told["checked"] else ()
    return Section("Privacy", (KeyValues(rows), Paragraph(sentence(f"kept: {told['policy']}"), small=True), *checked))


def model_table(result: Mapping[str, Any]) -> list[Block]:
    """Return which weights made the numbers."""
    model = result["model"]
    if model is None:
        return []
    named = (("encoder", "Encoder"), ("risk_model", "Risk model"))
    rows = tuple((title, model[name], Code(model[f"{name}_sha256"] or "")) for name, title in named if model[name] is not None)
    columns = (Column("Model", width=0.8), Column("Name", width=1.0), Column("sha256 of the weights", width=4.4))
    caption = f"Models; {model['tiles']} tiles were pooled." if model["tiles"] is not None else "Models."
    return [Table(columns, rows, caption, small=True)]


LIMITS = (
    "The biopsy may have missed the worst part of the cancer; the model sees the tissue on these slides only.",
    "MRI, PSA density and germline variants are not known to the model.",
    "Staining and scanners differ between laboratories; how far the model bears that on real slides is unknown.",
    "Attention says which tiles weighed in the model's answer. It does not mark cancer, and what it leaves out is not benign.",
    "The ADT biomarker compares two predictions of one model; no randomised trial stands behind this model's own.",
)
"""What the prostate report cannot say, whatever the patient."""
