"""A CAD-RADS 2.0 category suggested from the measured stenoses and FFR; a reader decides.

References
----------
Cury et al., *CAD-RADS 2.0 - 2022 Coronary Artery Disease-Reporting and Data System*, J Cardiovasc Comput Tomogr
16:536 (2022), doi:10.1016/j.jcct.2022.07.002: categories by maximal stenosis, 4B, and the ischaemia modifier I.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SOURCE = (
    "Cury et al., CAD-RADS 2.0 – 2022 Coronary Artery Disease-Reporting and Data System, "
    "J Cardiovasc Comput Tomogr 16:536 (2022), doi:10.1016/j.jcct.2022.07.002"
)

TERRITORY = {
    "LM": "LM", "LAD": "LAD", "LCx": "LCx", "RCA": "RCA", "R-PDA": "RCA", "R-PLB": "RCA", "L-PDA": "LCx", "L-PLB": "LCx",
}  # fmt: skip
"""Main vessel of a branch; diagonals and septals belong to LAD, marginals to LCx, acute marginals to RCA."""

MEANING = {
    "0": "no stenosis measured", "1": "minimal stenosis, 1–24 %", "2": "mild stenosis, 25–49 %",
    "3": "moderate stenosis, 50–69 %", "4A": "severe stenosis, 70–99 %",
    "4B": "left main 50 % or more, or severe stenosis in three vessels", "5": "total occlusion",
}  # fmt: skip

MODIFIERS = {"positive": "I+", "grey": "I±", "negative": "I-"}
"""Ischaemia modifier by the band of the lowest lesion FFR."""


def suggest(stenoses: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return category, modifier and their meaning, from entries with branch name, diameter stenosis, FFR and band.

    The modifier is given only where a stenosis of 25 % or more has an FFR: a category of 0 or 1 says nothing to modify.
    """
    category = _category(stenoses)
    read = [s for s in stenoses if s["ffr"] is not None and percent(s) >= 25]
    lowest = min(read, key=lambda s: s["ffr"], default=None)
    modifier = MODIFIERS[lowest["band"]] if lowest else None
    return {
        "category": category, "modifier": modifier, "meaning": MEANING[category],
        "text": f"CAD-RADS {category}" + (f"/{modifier}" if modifier else ""), "source": SOURCE,
    }  # fmt: skip


def percent(stenosis: Mapping[str, Any]) -> int:
    """Return the diameter stenosis in whole per cent: CAD-RADS has no place between 49 and 50."""
    return int(100 * stenosis["diameter_stenosis"] + 0.5)


def shown_percent(stenosis: Mapping[str, Any]) -> str:
    """Return the diameter stenosis for a reader; number and sign stay on one line."""
    return f"{percent(stenosis)}\u00a0%"


def _category(stenoses: Sequence[Mapping[str, Any]]) -> str:
    worst: dict[str, int] = {}
    for stenosis in stenoses:
        vessel = territory(stenosis["branch_name"])
        worst[vessel] = max(worst.get(vessel, 0), percent(stenosis))
    most = max(worst.values(), default=0)
    if most >= 100:
        return "5"
    if worst.get("LM", 0) >= 50 or all(worst.get(vessel, 0) >= 70 for vessel in ("LAD", "LCx", "RCA")):
        return "4B"
    for least, category in ((70, "4A"), (50, "3"), (25, "2"), (1, "1")):
        if most >= least:
            return category
    return "0"


def territory(branch: str) -> str:
    """Return the main vessel that branch ``branch`` belongs to; the intermediate branch stands for itself."""
    if branch in TERRITORY:
        return TERRITORY[branch]
    for prefix, vessel in (("AM", "RCA"), ("OM", "LCx"), ("D", "LAD"), ("S", "LAD")):
        if branch.startswith(prefix):
            return vessel
    return branch
