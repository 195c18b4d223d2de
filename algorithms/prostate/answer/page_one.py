"""The report's first page: the risk in words and on a scale, the groups, what to discuss, and what all of it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms.prostate.answer.words import listed, percent, percent_interval, percent_range, points
from algorithms.prostate.pictures.incidence import top_of
from algorithms.report.blocks import (
    Badge,
    Bibliography,
    Block,
    Callout,
    Cell,
    Column,
    Figure,
    Interval,
    KeyValues,
    Paragraph,
    Section,
    Table,
    Verdict,
)  # fmt: skip
from algorithms.report.page_one import held_blocks, unanswered_blocks
from algorithms.report.sections import NOT_AVAILABLE, Pictures, figures
from algorithms.report.words import sentence, with_unit

GROUP_TONES = {"low": "negative", "intermediate": "grey", "high": "positive"}
"""Tone of the model's risk group."""

SHOWN_HORIZON = 10

SYNTHETIC = "The risk model learnt from {trained_on}."

SYNTHETIC_NUMBERS = " The numbers below show how the system works; they say nothing about a real person."


def answer_section(result: Mapping[str, Any], pictures: Pictures, bibliography: Bibliography) -> Section:
    """Return the first page of any verdict."""
    if result["verdict"] in {"rejected", "failed"}:
        blocks = unanswered_blocks(result, "This case cannot be answered")
        blocks += [*_slides(result), *_first_look(pictures)]
        return Section("Answer", tuple(blocks))
    held = result["verdict"] == "held"
    blocks = held_blocks(result, _held_text(result)) if held else [answered(result)]
    blocks += _synthetic(result) + _risks(result) + _clinical(result) + _suggestions(result, bibliography) + _slides(result)
    return Section("Answer", tuple(blocks))


def answered(result: Mapping[str, Any]) -> Verdict:
    """Return the verdict of an answered case: the risks at ten years, the risk group, and where the man stands in his own."""
    ends = [end for end in result["risks"] if end["horizon_years"] == SHOWN_HORIZON]
    group, percentile = result["risk_group"], result["percentile"]
    first = ends[0]
    name = first["label"].partition(",")[0].removeprefix("distant ")
    title = f"{group or 'the'} risk: {name} {percent(first['risk'])} in {SHOWN_HORIZON}\u00a0years"
    title = title[:1].upper() + title[1:]
    said = [
        f"{end['label'].partition(',')[0]} at {percent(end['risk'])} "
        f"(95\u00a0% interval {percent_range(end['risk_low'], end['risk_high'])})"
        for end in ends
    ]
    after = (result["model"] or {}).get("treatment")
    text = f"Within {SHOWN_HORIZON} years" + (f" of {after}" if after else "") + f", the model puts {listed(said)}."
    facts = [("NCCN group", nccn_name(result) or "undecided")]
    if percentile:
        value = percentile["value"]
        text += (
            f" Of the model's {percentile['reference_n']} reference men of this NCCN group, {value:.0f} % have a lower risk."
        )
        facts.append(("Percentile within it", f"{value:.0f}"))
    facts.append(("Risk group of the model", group or "none"))
    return Verdict(GROUP_TONES.get(group, "neutral"), "Answered", title, text, tuple(facts))


def nccn_name(result: Mapping[str, Any]) -> str | None:
    """Return the NCCN group for a reader, or ``None`` where it is undecided."""
    nccn = result["nccn"]
    return None if nccn is None or nccn["group"] is None else str(nccn["group"])


def _held_text(result: Mapping[str, Any]) -> str:
    if result["risk_withheld"]:
        return "The model cannot vouch for a risk here: no risk and no suggestion is given. What was found is shown below."
    return "The values below are preliminary and not released: a physician must settle the doubts first."


def _synthetic(result: Mapping[str, Any]) -> list[Block]:
    trained_on = (result["model"] or {}).get("trained_on") or ""
    if "synthetic" not in trained_on.lower():
        return []
    said = SYNTHETIC.format(trained_on=trained_on) + ("" if result["risk_withheld"] else SYNTHETIC_NUMBERS)
    return [Callout("warning", "A model that has never seen a patient", (said,))]


def _risks(result: Mapping[str, Any]) -> list[Block]:
    if not result["risks"]:
        return []
    ends = result["risks"]
    if any(end["risk"] is None for end in ends):
        rows = tuple((_endpoint(end), f"{end['horizon_years']} years", "not given") for end in ends)
        columns = (Column("Endpoint", width=1.5), Column("Within", width=0.7), Column("Risk", width=2.6))
        return [Table(columns, rows, "Risks that the report would give.")]
    top = top_of(max(end["risk_high"] for end in ends))
    tone = GROUP_TONES.get(result["risk_group"], "neutral")
    shown = [
        (
            _endpoint(end), f"{end['horizon_years']} years",
            Interval(end["risk"], end["risk_low"], end["risk_high"], 0.0, top, ((top, "neutral"),),
                     percent_interval(end["risk"], end["risk_low"], end["risk_high"]), tone, stretch=2.6),
        )
        for end in ends
    ]  # fmt: skip
    columns = (Column("Endpoint", width=1.5), Column("Within", width=0.7), Column("Risk (95 % interval)", width=2.6))
    after = (result["model"] or {}).get("treatment")
    caption = "Risk that the model expects" + (f" after {after}" if after else "") + f", on a scale from 0 to {percent(top)}."
    return [Table(columns, tuple(shown), caption)]


def _endpoint(end: Mapping[str, Any]) -> str:
    name = str(end["label"]).partition(",")[0]
    return name[:1].upper() + name[1:]


def _clinical(result: Mapping[str, Any]) -> list[Block]:
    if result["clinical"] is None:
        return []
    rows: list[tuple[str, Cell]] = []
    for entry in result["clinical"]:
        if entry["name"] == "gleason_primary":
            rows.append(("Gleason score", _gleason(result)))
        elif entry["name"] != "gleason_secondary":
            rows.append((_title(entry), _value(entry)))
    group = nccn_name(result)
    rows.append(("NCCN group", group or Badge("undecided", "grey")))
    open_groups = (result["nccn"] or {}).get("possible", [])
    note = [] if group or not open_groups else [Paragraph(f"NCCN group still open: {listed(open_groups, 'or')}.", small=True)]
    return [KeyValues(tuple(rows)), *note, Paragraph(_origins(result), small=True)]


def _title(entry: Mapping[str, Any]) -> str:
    title = str(entry["title"])
    return title[:1].upper() + title[1:]


def _value(entry: Mapping[str, Any]) -> Cell:
    return Badge("missing", "grey") if entry["value"] is None else with_unit(entry["value"], entry["unit"])


def _gleason(result: Mapping[str, Any]) -> Cell:
    if result["gleason_score"] is None:
        return Badge("missing", "grey")
    score = str(result["gleason_score"]).replace("+", " + ").replace("=", " = ")
    return f"{score}, grade group {result['isup_grade_group']}"


def _origins(result: Mapping[str, Any]) -> str:
    """Return in sentences where the values come from, what is missing, and why the NCCN group is what it is."""
    nccn = result["nccn"]
    by: dict[str, list[str]] = {"file": [], "given": [], "missing": []}
    for entry in result["clinical"]:
        by[entry["origin"]].append(entry["title"])
    said = []
    if by["given"]:
        said.append(f"Given with the case: {listed(by['given'])}" + ("; the others from clinical.json." if by["file"] else "."))
    elif by["file"]:
        said.append("From clinical.json.")
    if by["missing"]:
        said.append(f"Missing: {listed(by['missing'])}.")
        said += (
            ["The model puts what is usual in place of what is missing."]
            if any(e["imputed"] for e in result["clinical"])
            else []
        )
    if result["dropped_fields"]:
        number = result["dropped_fields"]
        said.append(
            "1 other field of clinical.json was not read."
            if number == 1
            else f"{number} other fields of clinical.json were not read."
        )
    said += [sentence(note) for note in result["clinical_notes"]]
    if nccn and nccn["reasons"]:
        said.append(f"NCCN group: {'; '.join(r.rstrip('.') for r in nccn['reasons'])} ({nccn['edition']}).")
    return " ".join(said)


def _suggestions(result: Mapping[str, Any], bibliography: Bibliography) -> list[Block]:
    rows: list[tuple[Cell, ...]] = [
        (str(number), bibliography.cite(s["text"], *s["sources"]), " ".join(s["evidence"]))
        for number, s in enumerate(result["suggestions"], 1)
    ]
    biomarker = result["adt_biomarker"]
    if biomarker:
        rows.append(("ADT", bibliography.cite(biomarker["text"], *biomarker.get("sources", [])), _benefit(biomarker)))
    if not rows:
        return []
    caption = "What a physician may want to consider or discuss; the sources are listed under Methods."
    columns = (
        Column("", width=0.2), Column("Consider or discuss", width=1.6, least_em=10.5),
        Column("Evidence", width=1.5, least_em=9.5),
    )  # fmt: skip
    return [Table(columns, tuple(rows), caption, small=True)]


def _benefit(biomarker: Mapping[str, Any]) -> str:
    if biomarker.get("benefit") is None:
        return NOT_AVAILABLE
    benefit, low, high = (points(biomarker[name]) for name in ("benefit", "benefit_low", "benefit_high"))
    return (
        f"With short-term ADT this model's {biomarker['horizon_years']}-year risk of distant metastasis is lower by {benefit} "
        f"percentage points ({low} to {high}); positive from {points(biomarker['threshold'])}."
    )


def _slides(result: Mapping[str, Any]) -> list[Block]:
    if not result["slides"]:
        return []
    rows = tuple(
        (
            s["label"], slide_badge(s), NOT_AVAILABLE if s["tissue_mm2"] is None else f"{s['tissue_mm2']:.1f}",
            NOT_AVAILABLE if s["tiles"] is None else str(s["tiles"]),
            NOT_AVAILABLE if s["attention"] is None else percent(s["attention"]), _remark(s),
        )
        for s in result["slides"]
    )  # fmt: skip
    columns = (
        Column("Slide", width=0.5), Column("", width=0.7), Column("Tissue (mm²)", True, width=0.8),
        Column("Tiles", True, width=0.6), Column("Attention", True, width=0.7), Column("Remark", width=3.4, least_em=16),
    )  # fmt: skip
    used = sum(s["used"] for s in result["slides"])
    received = "1 slide received" if len(rows) == 1 else f"{len(rows)} slides received"
    caption = f"Prostate biopsy, H&E: {received}" + (f", {used} used." if result["risks"] else ".")
    return [Table(columns, rows, caption, small=True)]


STATES = {"used": ("used", "negative"), "rejected": ("not used", "warning"), "usable": ("usable", "negative")}


def slide_badge(slide: Mapping[str, Any]) -> Badge:
    """Return the state of a slide as a badge."""
    return Badge(*STATES.get(slide["state"], ("received", "neutral")))


def _remark(slide: Mapping[str, Any]) -> str:
    if slide["reason"]:
        return sentence(slide["reason"])
    number = len(slide["corrupt_tiles"])
    tiles = "1 tile" if number == 1 else f"{number} tiles"
    return f"{tiles} could not be read and count for nothing." if number else ""


def _first_look(pictures: Pictures) -> list[Figure]:
    """Return the pictures of slides that a rejected or failed case has; those that were not judged stand side by side."""
    judged = [entry["name"] for entry, _ in pictures if entry["kind"] == "slide"]
    return [*figures(pictures, 3, kind="plain"), *(figure for name in judged for figure in figures(pictures, name=name))]
