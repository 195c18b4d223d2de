"""The sections of the coronary report, declared from the result document; no number here is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from algorithms.coronary.answer.cadrads import percent, shown_percent
from algorithms.coronary.answer.result import Artefacts
from algorithms.coronary.answer.words import VOCABULARY, facts, with_unit
from algorithms.coronary.pictures.path import shown_paths
from algorithms.coronary.pictures.style import BANDS, FFR_RANGE
from algorithms.report.blocks import (
    Badge,
    Block,
    Cell,
    Column,
    Figure,
    Interval,
    KeyValues,
    Paragraph,
    Section,
    Shares,
    Table,
)  # fmt: skip
from algorithms.report.sections import NOT_AVAILABLE, Pictures, figures, scan_rows
from algorithms.report.words import sentence, shared_out

FIRST_PAGE = ("LM", "LAD", "LCx", "RCA")
"""Vessels that have a line on the first page whatever their state."""

BAND_WORDS = {"positive": "positive", "grey": "grey zone", "negative": "negative"}
WITHHELD = "not given"


def ffr_text(entry: Mapping[str, Any]) -> str:
    """Return an FFR with its interval, or that there is none."""
    if entry["ffr"] is None:
        return WITHHELD
    return f"{entry['ffr']:.2f} ({entry['ffr_low']:.2f}–{entry['ffr_high']:.2f})"


def _ffr_cell(entry: Mapping[str, Any]) -> Cell:
    if entry["ffr"] is None:
        return WITHHELD
    ends = (entry["ffr"], entry["ffr_low"], entry["ffr_high"])
    return Interval(*ends, *FFR_RANGE, BANDS, ffr_text(entry), entry["band"])


def _band_cell(entry: Mapping[str, Any]) -> Cell:
    return Badge(BAND_WORDS[entry["band"]], entry["band"]) if entry["band"] else NOT_AVAILABLE


PROBABILITY_ORDER = ("positive", "grey", "negative")
"""From what most calls for a decision on; as the scale of FFR runs from left to right."""

PROBABILITIES = "≤ 0.75 · grey · > 0.80".replace(" ", "\u00a0")
"""Title of the column of bars; the caption says that they are probabilities."""


def probability_text(entry: Mapping[str, Any]) -> str:
    """Return the probabilities of the bands in whole per cent that add up to 100, in ``PROBABILITY_ORDER``."""
    shares = shared_out([entry["band_probability"][name] for name in PROBABILITY_ORDER], 100)
    return " · ".join(map(str, shares)) + " %"


def _probability_cell(entry: Mapping[str, Any]) -> Cell:
    shares = entry["band_probability"]
    if shares is None:
        return NOT_AVAILABLE
    return Shares(tuple((shares[name], name) for name in PROBABILITY_ORDER), probability_text(entry))


def vessel_blocks(result: Mapping[str, Any]) -> list[Block]:
    """Return the table of the first page, a line a vessel, and in one sentence the side branches that are well."""
    rows, well = [], []
    for vessel in result["vessels"]:
        own = [result["stenoses"][i] for i in vessel["stenoses"]]
        if vessel["vessel"] not in FIRST_PAGE and not own and vessel["band"] == "negative":
            well.append(f"{vessel['vessel']} {vessel['ffr']:.2f}")
            continue
        worst = max(own, key=percent, default=None)
        found = (shown_percent(worst), worst["segment_name"]) if worst else ("none found", "")
        rows.append((vessel["vessel"], *found, _ffr_cell(vessel), _band_cell(vessel), _probability_cell(vessel)))
    columns = (
        Column("Vessel", width=0.6), Column("Tightest stenosis", width=0.85), Column("Where", width=0.95),
        Column(f"FFR ({_level(result)} interval)", width=2.35), Column("Band", width=0.8), Column(PROBABILITIES, width=1.25),
    )  # fmt: skip
    caption = "Lowest FFR beyond a lesion of each vessel, or FFR far along it where it has none; scale 0.5 to 1.0. "
    caption += "The bar on the right shows how probable each band is."
    blocks: list[Block] = [Table(columns, tuple(rows), caption)] if rows else []
    if well:
        blocks.append(Paragraph(f"Side branches without a stenosis and with FFR above 0.80: {', '.join(well)}.", small=True))
    return blocks


def _level(result: Mapping[str, Any]) -> str:
    return f"{100 * result['interval']['level']:.0f} %" if result["interval"] else "95 %"


def vessel_sections(result: Mapping[str, Any], artefacts: Artefacts, pictures: Pictures) -> list[Section]:
    """Return graph, reformation and lesions of each vessel; a vessel with lesions has a page, those without share one."""
    if artefacts.tree is None:
        return []
    sections: list[Section] = []
    full = True
    for path in shown_paths(artefacts.tree):
        branches = set(path.branch.tolist())
        own = [s for s in result["stenoses"] if s["branch"] in branches]
        kinds = ("pullback", "reformation")
        drawn = [block for kind in kinds for block in figures(pictures, kind=kind, vessel=path.name)]
        # The first vessel's captions tell how to read those of the others too.
        blocks: list[Block] = [b if not sections else replace(b, caption="") for b in drawn]
        if not own:
            blocks = [replace(b, width=0.86) for b in blocks if isinstance(b, Figure)]
        blocks.append(_lesion_table(own) if own else Paragraph(f"No stenosis was found on the way to the end of {path.name}."))
        blocks += figures(pictures, kind="lesion", vessel=path.name)
        tip = next((v["tip_ffr"] for v in result["vessels"] if v["vessel"] == path.name), None)
        if tip is not None:
            said = f"FFR at the very tip of {path.name} is {tip:.2f}; values far beyond a lesion are not meant for decisions."
            blocks.append(Paragraph(said, small=True))
        new_page = bool(own) or full
        full = bool(own) or not new_page
        sections.append(Section(path.name, tuple(blocks), new_page))
    return sections


def unfinished_section(result: Mapping[str, Any]) -> Section | None:
    """Return the stenoses that were measured before a case was rejected or broke off: they may be what stopped it."""
    if not result["stenoses"]:
        return None
    note = Paragraph("Measured on the images before the case was stopped; not released.", small=True)
    return Section("Stenoses so far", (_lesion_table(result["stenoses"]), note))


def _lesion_table(stenoses: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("Lesion", width=0.5), Column("Segment", width=0.95), Column("Diameter stenosis", True, 0.75),
        Column("Area stenosis", True, 0.7), Column("MLD (mm)", True, 0.55), Column("Reference (mm)", True, 0.8),
        Column("Length (mm)", True, 0.6), Column("FFR beyond", width=1.25), Column("ΔFFR", True, 0.5),
        Column("Band", width=0.8), Column(PROBABILITIES, width=1.35),
    )  # fmt: skip
    rows = tuple(
        (
            s["label"], f"{s['segment_name']} ({s['segment']})", shown_percent(s), f"{100 * s['area_stenosis']:.0f} %",
            f"{s['minimal_lumen_diameter_mm']:.1f}", f"{s['reference_diameter_mm']:.1f}", f"{s['length_mm']:.0f}",
            ffr_text(s), NOT_AVAILABLE if s["delta_ffr"] is None else f"{s['delta_ffr']:.2f}",
            _band_cell(s), _probability_cell(s),
        )
        for s in stenoses
    )  # fmt: skip
    read = ", ".join(f"{s['label']} {s['distal_mm']:.0f} mm" for s in stenoses if s["distal_mm"] is not None)
    caption = "Lesions from the ostium on; SCCT segment number in brackets; MLD is the minimal lumen diameter. "
    caption += "The bar shows how probable each band is."
    return Table(columns, rows, caption + (f" FFR is read beyond the lesion's end: {read}." if read else ""), small=True)


def image_section(result: Mapping[str, Any], artefacts: Artefacts, pictures: Pictures) -> Section | None:
    """Return what the study was and how good it was, or ``None`` where nothing is known of it."""
    blocks: list[Block] = []
    rows: list[tuple[str, Cell]] = []
    if result["image"]:
        rows += facts(result["image"])
        for name, title in (("aorta_hu_estimate", "Contrast in the blood"), ("noise_hu", "Noise")):
            if result["image"][name] is not None:
                rows.append((title, f"{result['image'][name]:.0f} HU"))
    chosen = [s for s in artefacts.selection.get("series", []) if s["chosen"]]
    rows += [("Slices chosen", str(s["instances"])) for s in chosen]
    blocks += [KeyValues(tuple(rows))] if rows else []
    blocks += [Paragraph(sentence(s["reason"]), small=True) for s in chosen]
    shown_first = result["verdict"] in {"rejected", "failed"}  # there the slices stand on the first page
    blocks += [] if shown_first else figures(pictures, kind="quality")
    return Section("Image quality", tuple(blocks), new_page=not shown_first) if blocks else None


def privacy_section(result: Mapping[str, Any]) -> Section | None:
    """Return what was done to protect the patient, and the proof."""
    told = result["privacy"]
    if not told:
        return None
    rows: tuple[tuple[str, Cell], ...] = (
        *scan_rows(told["values_searched"], told["values_found"]),
        ("Files searched", str(told["files"])),
        ("Profile", f"PS3.15 Annex E, {told['edition']}"),
    )
    return Section("Privacy", (KeyValues(rows), Paragraph(sentence(told["policy"]), small=True)))


def flow_section(result: Mapping[str, Any], pictures: Pictures) -> Section | None:
    """Return which flow model stands where, what 3-D found against the reduced model, and its pictures."""
    told = result["flow"]
    if not told:
        return None
    blocks: list[Block] = [Paragraph(told["summary"])]
    solved = [part for part in told["parts"] if "loss_mmhg" in part["values"]]
    if solved:
        columns = (
            Column("Solved in 3-D", width=1.1), Column("", width=0.8), Column("Flow (ml/s)", True, 0.8),
            Column("Loss in 3-D (mmHg)", True, 0.85), Column("Reduced (mmHg)", True, 0.85),
            Column("Difference in FFR", True, 0.85),
            Column("Grid index", True, 0.7), Column("Cells", True, 0.8), Column("Across the throat", True, 0.75),
            Column("Reynolds", True, 0.8),
        )  # fmt: skip
        caption = (
            "Loss of energy between the ends of the part at the flow shown, and what the reduced-order model loses there. "
        )
        caption += "Grid index: what two grids leave uncertain, of the loss or of a fifth of aortic pressure. "
        caption += "The checks are listed under Run checks."
        blocks.append(Table(columns, tuple(_flow_row(part, result) for part in solved), caption, small=True))
    for part in told["parts"]:
        if part["reason"]:
            blocks.append(Paragraph(f"{part['name']}: {part['state']}; {part['reason']}.", small=True))
        if part["values"].get("transitional"):
            said = f"{part['name']}: the Reynolds number is above 1000, where the jet is no longer steady in life."
            blocks.append(Paragraph(said, small=True))
    for kind in ("streamlines", "wall_shear"):
        blocks += [Figure((picture,), entry["caption"]) for entry, picture in pictures if entry["kind"] == kind]
    drawn = any(isinstance(block, Figure) for block in blocks)
    return Section("Flow model", tuple(blocks), new_page=drawn)


def _flow_row(part: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[Cell, ...]:
    values = part["values"]
    check = next((c for c in result["checks"] if c.get("part") == part["name"] and c["name"].startswith("grid")), None)
    numbers = [
        f"{values[name]:{form}}" if name in values else NOT_AVAILABLE
        for name, form in (
            ("flow_ml_s", ".2f"), ("loss_mmhg", ".1f"), ("reduced_loss_mmhg", ".1f"), ("difference_ffr", "+.3f"),
        )
    ]  # fmt: skip
    state = Badge("used", "negative") if part["state"] == "solved" else Badge(part["state"], "positive")
    return (
        part["name"], state, *(number.replace("-", "−") for number in numbers),
        f"{check['value']:.3f}" if check else NOT_AVAILABLE, f"{values['cells']:,.0f}".replace(",", "\u2009"),
        f"{values['cells_across_throat']:.1f}", f"{values['reynolds_number']:.0f}",
    )  # fmt: skip


def boundary_section(result: Mapping[str, Any]) -> Section | None:
    """Return the boundary values, each marked measured or assumed, with its source."""
    if not result["boundary"]:
        return None
    rows = tuple(
        (
            VOCABULARY.name(name), with_unit(entry["value"], entry["unit"]),
            Badge("assumed", "grey") if entry["assumed"] else Badge("measured", "negative"), entry.get("source", ""),
        )
        for name, entry in result["boundary"].items()
    )  # fmt: skip
    columns = (
        Column("Input", width=1.5),
        Column("Value", width=0.9),
        Column("Origin", width=0.75),
        Column("Source", width=3.4),
    )
    caption = "What the flow model was told. An assumed value is not this patient's."
    return Section("Boundary conditions", (Table(columns, rows, caption, small=True),))


def uncertainty_section(result: Mapping[str, Any]) -> Section | None:
    """Return what the interval is made of."""
    interval = result["interval"]
    if not interval or not interval["sources"]:
        return None
    rows = tuple((VOCABULARY.name(s["name"]), with_unit(s["sd"], s["unit"]), s["source"]) for s in interval["sources"])
    caption = f"What was perturbed for the {_level(result)} interval, {interval['samples']} times."
    columns = (Column("Input", width=1.5), Column("Standard deviation", width=1.65), Column("Source", width=3.4))
    note = Paragraph("The interval holds only what is listed here; an error of the model itself is not in it.", small=True)
    return Section("Uncertainty", (Table(columns, rows, caption, small=True), note))


LIMITS = (
    "Microvascular resistance and its fall at hyperaemia are taken from published averages, not measured in this patient.",
    "The lumen is measured on CT: calcium, motion and noise widen or narrow it; stents and grafts refuse the case where seen.",
    "A model stands for the blood's flow, steady and in rigid vessels; collaterals and the vessel wall's motion are left out.",
    "CAD-RADS is suggested without plaque burden, high-risk plaque, stents or grafts, which are not assessed.",
    "The software was developed on synthetic studies; its accuracy on patients is unknown.",
)
"""What the coronary report cannot say, whatever the patient."""
