"""The SCCT segment of every point of a named vessel.

Rules (Leipsic et al., J Cardiovasc Comput Tomogr 8:342 (2014), figure 1): the RCA is proximal for the first half of the way
to the acute margin, mid up to it, distal beyond.  The LAD is proximal up to the first large septal or D1, whichever
leaves first, mid for half of the way from there to the apex, distal beyond.  The LCx is proximal up to OM1, then mid and
distal.
"""

from __future__ import annotations

import numpy as np

from algorithms.coronary.vessel.naming import acute_margin

FIXED = {"LM": 5, "D1": 9, "D2": 10, "OM1": 12, "OM2": 14, "L-PDA": 15, "R-PLB": 16, "RI": 17, "L-PLB": 18, "R-PDA": 4}
"""Vessels that are one segment."""

FAMILY = {"D": 10, "OM": 14, "RI": 17, "R-PDA": 4, "R-PLB": 16, "L-PDA": 15, "L-PLB": 18}
"""Further ones of a family (D3, OM3) take the number of its last; D1a, a branch of D1, that of D1."""

LARGE_SEPTAL_RADIUS_MM = 0.6
"""A septal branch this wide marks the end of the proximal LAD."""

NO_SIDE_BRANCH_SHARE = 0.25
"""Without a diagonal or septal the proximal LAD, and without a marginal the proximal LCx, is this part of the vessel."""


def segments(name: str, points_mm: np.ndarray, side_branches: dict[str, tuple[int, float]], parent_segment: int) -> np.ndarray:
    """Return the segment of each point, (N,).

    Parameters
    ----------
    name, points_mm
        The vessel, (N, 3) LPS mm.
    side_branches
        Name -> (point where it leaves, its radius in mm there).
    parent_segment
        Segment of the parent where the vessel leaves it: that of vessels without a number of their own (S1, AM1).
    """
    count = len(points_mm)
    if name == "LAD":
        leaving = [at for branch, (at, radius) in side_branches.items() if _ends_proximal(branch, radius)]
        first = min(leaving, default=int(NO_SIDE_BRANCH_SHARE * count))
        return np.select([np.arange(count) < first, np.arange(count) < first + (count - first) // 2], [6, 7], 8)
    if name == "LCx":
        first = min(
            (at for branch, (at, _) in side_branches.items() if branch.startswith("OM")),
            default=int(NO_SIDE_BRANCH_SHARE * count),
        )
        return np.where(np.arange(count) < first, 11, 13)
    if name == "RCA":
        margin = acute_margin(points_mm)
        return np.select([np.arange(count) < margin // 2, np.arange(count) < margin], [1, 2], 3)
    number = FIXED.get(name)
    if number is None:
        stem = name.rstrip("abcdefghijklmnopqrstuvwxyz")
        number = FIXED.get(stem) or FAMILY.get(stem.rstrip("0123456789")) or parent_segment
    return np.full(count, number)


def _ends_proximal(branch: str, radius_mm: float) -> bool:
    return branch == "D1" or (branch.startswith("S") and branch[1:].isdigit() and radius_mm >= LARGE_SEPTAL_RADIUS_MM)
