"""A case's answer beside the truth of its synthetic patient: risks, intervals, and what was made of the slides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def compare(result: dict[str, Any], folder: Path) -> list[str]:
    """Return the lines of a table: each risk with its interval, the man's true risk, then slides, NCCN group and suggestion.

    The true risk is the incidence after radiotherapy alone, death of another cause competing, as in the model's.
    What a refused case lacks is left out.
    """
    truth = json.loads((folder / "man.json").read_text())
    true = {(r["endpoint"], r["horizon_years"]): r["incidence"] for r in truth["risks"] if not r["adt"]}
    lines = []
    risks = [entry for entry in result.get("risks") or [] if entry.get("risk") is not None]
    if risks:
        lines = ["", f"{'endpoint':<40}{'risk (95 % interval)':<28}{'true risk':>9}"]
        lines += [_line(entry, true.get((entry["endpoint"], entry["horizon_years"]))) for entry in risks]
    slides = result.get("slides") or []
    if slides:
        used = sum(slide["used"] for slide in slides)
        rejected = sum(slide["state"] == "rejected" for slide in slides)
        lines += ["", f"slides: {used} used, {rejected} rejected"]
    benefit = (result.get("adt_biomarker") or {}).get("benefit")
    if benefit is not None:
        lines.append(f"benefit of short-term ADT: {100 * benefit:.1f} % (true: {100 * _true_benefit(truth['risks']):.1f} %)")
    nccn, suggestions = result.get("nccn") or {}, result.get("suggestions") or []
    if nccn.get("group"):
        lines.append(f"NCCN {nccn['title']}" + (f": {suggestions[0]['text']}" if suggestions else ""))
    return lines


def _true_benefit(risks: list[dict[str, Any]]) -> float:
    """Return how much short-term ADT lowers the man's ten-year risk of distant metastasis."""
    without, treated = (
        next(
            r["incidence"]
            for r in risks
            if r["endpoint"] == "distant_metastasis" and r["horizon_years"] == 10 and r["adt"] is adt
        )
        for adt in (False, True)
    )
    return float(without - treated)


def _line(entry: Mapping[str, Any], true: float | None) -> str:
    label = entry.get("label") or f"{entry['endpoint'].replace('_', ' ')}, {entry['horizon_years']} years"
    risk = f"{100 * entry['risk']:.1f} %"
    if entry.get("risk_low") is not None:
        risk += f" ({100 * entry['risk_low']:.1f} to {100 * entry['risk_high']:.1f})"
    return f"{label:<40}{risk:<28}{'-' if true is None else f'{100 * true:.1f} %':>9}"
