"""The report's first page: the verdict in words, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from algorithms.coronary.answer import sections
from algorithms.coronary.answer.cadrads import percent, shown_percent
from algorithms.report.blocks import Block, Paragraph, Section, Verdict
from algorithms.report.page_one import held_blocks, unanswered_blocks
from algorithms.report.sections import Pictures, figures

TITLES = {
    "positive": "Flow-limiting stenosis: {vessels}",
    "grey": "Stenosis in the grey zone: {vessels}",
    "negative": "No flow-limiting stenosis found",
}


def answer_section(result: Mapping[str, Any], pictures: Pictures, notes: Sequence[str]) -> Section:
    """Return the first page of any verdict."""
    verdict = result["verdict"]
    if verdict == "answered":
        blocks = [answered(result), *_findings(result, pictures, notes)]
    elif verdict == "held":
        blocks = [*held_blocks(result, _held_text(result)), *_findings(result, pictures, notes)]
    else:
        blocks = [*unanswered_blocks(result, "This study cannot be answered"), *figures(pictures, kind="quality")]
    return Section("Answer", tuple(blocks))


def _findings(result: Mapping[str, Any], pictures: Pictures, notes: Sequence[str]) -> list[Block]:
    blocks: list[Block] = sections.vessel_blocks(result)
    blocks += [Paragraph(note, small=True) for note in notes]
    if result["flow"] and not result["ffr_withheld"]:
        blocks.append(Paragraph(f"Flow model: {result['flow']['summary']}", small=True))
    suggestion = result["cad_rads"]
    if suggestion:
        text = f"{suggestion['text']}: {suggestion['meaning']}."
        blocks.append(Paragraph(f"{text} A suggestion from the measured stenoses and FFR; the reader decides.", small=True))
    # Last, for it takes what the page leaves.
    return [*blocks, *(replace(figure, lead=True) for figure in figures(pictures, kind="tree"))]


def answered(result: Mapping[str, Any]) -> Verdict:
    """Return the verdict of an answered case: the band of its lowest lesion FFR, in words."""
    read = [s for s in result["stenoses"] if s["ffr"] is not None]
    facts = []
    lowest = min(read, key=lambda s: s["ffr"], default=None)
    if lowest is None:
        title, tone, text = "No stenosis found", "negative", _lowest_vessel(result)
    else:
        tone = lowest["band"]
        vessels = dict.fromkeys(s["vessel"] for s in read if s["band"] == tone)
        title = TITLES[tone].format(vessels=" and ".join(vessels))
        text = _lowest_lesion(lowest, result)
        facts.append(("Lowest FFR", f"{lowest['ffr']:.2f}"))
    if result["stenoses"]:
        facts.append(("Tightest stenosis", shown_percent(max(result["stenoses"], key=percent))))
    facts.append(("Suggested", result["cad_rads"]["text"]))
    return Verdict(tone, "Answered", title, text, tuple(facts))


def _lowest_lesion(lesion: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    level = f"{100 * result['interval']['level']:.0f} %"
    text = f"FFR is {lesion['ffr']:.2f} ({level} interval {lesion['ffr_low']:.2f} to {lesion['ffr_high']:.2f}) "
    text += f"beyond {lesion['label']}, a stenosis of {shown_percent(lesion)} in the {lesion['segment_name']}."
    if lesion.get("band_probability"):
        text += f" Probability of 0.75 or below, of the grey zone, of above 0.80: {sections.probability_text(lesion)}."
    # Of lesions in series the last has the lowest FFR, but the one that loses most is what a reader looks for.
    steepest = max((s for s in result["stenoses"] if s["vessel"] == lesion["vessel"]), key=lambda s: s["delta_ffr"] or 0.0)
    if steepest is not lesion:
        text += f" Most is lost across {steepest['label']}, {shown_percent(steepest)} in the {steepest['segment_name']}: "
        text += f"ΔFFR {steepest['delta_ffr']:.2f}."
    if lesion["band"] != "positive" and lesion["ffr_low"] <= 0.75:
        return text + " The interval reaches below 0.75: a flow-limiting stenosis is not excluded."
    if lesion["band"] == "negative" and lesion["ffr_low"] <= 0.80:
        return text + " The interval reaches into the grey zone."
    if lesion["band"] == "positive" and lesion["ffr_high"] > 0.80:
        return text + " The interval reaches above 0.80: the stenosis may not limit flow."
    return text


def _lowest_vessel(result: Mapping[str, Any]) -> str:
    read = [v for v in result["vessels"] if v["ffr"] is not None]
    if not read:
        return "No FFR was computed."
    lowest = min(read, key=lambda v: v["ffr"])
    return f"The lowest FFR of a vessel is {sections.ffr_text(lowest)}, in {lowest['vessel']}."


def _held_text(result: Mapping[str, Any]) -> str:
    if result["ffr_withheld"]:
        return "A check of the flow solution failed, so no FFR is given. What was measured on the images is shown below."
    return "The values below are preliminary and not released: a physician must settle the doubts first."
