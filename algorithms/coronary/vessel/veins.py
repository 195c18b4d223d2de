"""Veins that were taken for arteries: their blood is fainter.

In the middle of a lumen as narrow as the one measured, arterial blood is as bright as the blur leaves it.  A vein is wider than
it was measured, since its faint edge was taken for an artery's, and fainter than that.  What a vessel lacks in brightness is
summed from its tip; the sum is greatest where the vein begins (the cumulative sum of Page, Biometrika 41:100 (1954)), so that
veins of nearly arterial contrast are told by their length where noise would hide them at any single place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from algorithms.coronary.vessel.belief import only, shortened
from algorithms.coronary.vessel.calibration import Blood
from algorithms.coronary.vessel.tracing import MAIN, Vessel, length_mm, ostium_distance_mm

VENOUS_SHARE = 0.87
"""Share of the arteries' brightness that parts veins from arteries (1).

In the phantoms of little noise that were used for tuning, veins of 0.75 to 0.77 of the arteries' contrast had 0.79 to 0.86 and
side branches 0.91 and more; veins of 0.89 had 0.92 and more, so that their brightness does not tell them.
"""

FAINTEST = 0.6
"""A point counts as no fainter than this, so that a tip that ends in fat is no vein (1)."""

SIDE_LACK_MM, MAIN_LACK_MM = 0.25, 1.0
"""What a side branch and a main vessel must lack, summed over their length, to end in a vein, mm: 0.1 over 2.5 and 10 mm."""

TELLING_RADIUS_MM = 0.5
"""A lumen that was measured narrower than this says nothing of its blood, mm."""

CLOSED_RADIUS_MM, CLOSED_WITHIN_MM = 0.3, 6.0
"""Blood behind an occlusion came by collaterals and is faint too: a main vessel that closes to this radius this near to where
it becomes faint, mm, is occluded there.  Where a side branch does, it touches a vein."""

SHORTEST_ARTERY_MM = 6.0
"""A branch that is arterial for less than this before it is a vein is one from its beginning, mm."""

STUB_MM = 3.0
"""What is left of a vessel between its last branch and the vein is the side of the branch if it is shorter than this, mm."""


def without_veins(vessels: list[Vessel], blood: Mapping[str, Blood], blur_sd_mm: float) -> list[Vessel]:
    """Return the vessels, each cut where it goes on as a vein, without branches that are veins from their beginning.

    ``blood`` is that of each side's tree.  A main vessel keeps half of its length, and a beginning stays that leads to an
    artery.
    """
    shares = [_share_of_arterial(vessels, i, blood, blur_sd_mm) for i in range(len(vessels))]
    telling = [vessel.radius_mm >= TELLING_RADIUS_MM for vessel in vessels]
    seen = np.concatenate([share[told] for share, told in zip(shares, telling, strict=True)])
    # Where all vessels look fainter than they should, blur or motion was misjudged: then it is no sign of a vein.
    least = VENOUS_SHARE * min(float(np.median(seen)) if seen.size else 1.0, 1.0)
    ends = [
        len(vessel.points_mm) if _fed_past_an_occlusion(vessels, i) else _end(vessel, shares[i], telling[i], least)
        for i, vessel in enumerate(vessels)
    ]
    worth: set[int] = set()
    for i in reversed(range(len(vessels))):
        arterial_mm = ends[i] / len(vessels[i].points_mm) * length_mm(vessels[i])
        leads_on = any(vessels[k].parent == i and (vessels[k].parent_point or 0) < ends[i] for k in worth)
        if vessels[i].name in MAIN or arterial_mm >= SHORTEST_ARTERY_MM or leads_on:
            worth.add(i)
    kept: set[int] = set()
    for i in sorted(worth):
        parent, point = vessels[i].parent, vessels[i].parent_point or 0
        if parent is None or (parent in kept and point < ends[parent]):
            kept.add(i)
    for i in kept:
        forks = [vessels[k].parent_point or 0 for k in kept if vessels[k].parent == i]
        stub_mm = (ends[i] - 1 - max(forks, default=0)) / len(vessels[i].points_mm) * length_mm(vessels[i])
        if forks and ends[i] < len(vessels[i].points_mm) and stub_mm < STUB_MM:
            ends[i] = max(*forks, 1) + 1
    return only([shortened(v, end) for v, end in zip(vessels, ends, strict=True)], kept)


def _fed_past_an_occlusion(vessels: list[Vessel], i: int) -> bool:
    """Return whether a vessel leaves a main vessel behind a place where that is closed."""
    parent, point = vessels[i].parent, vessels[i].parent_point or 0
    if parent is None:
        return False
    closed = vessels[parent].name in MAIN and bool((vessels[parent].radius_mm[:point] <= CLOSED_RADIUS_MM).any())
    return closed or _fed_past_an_occlusion(vessels, parent)


def _share_of_arterial(vessels: list[Vessel], i: int, blood: Mapping[str, Blood], blur_sd_mm: float) -> np.ndarray:
    """Return how bright the middle of a vessel is beside arterial blood in a lumen of its width, (N,)."""
    vessel = vessels[i]
    if vessel.side not in blood:
        return np.ones(len(vessel.points_mm))
    kept = 1 - np.exp(-(vessel.radius_mm**2) / (2 * blur_sd_mm**2))
    share: np.ndarray = vessel.core_hu / (blood[vessel.side].at(ostium_distance_mm(vessels, i)) * kept)
    return share


def _end(vessel: Vessel, share: np.ndarray, telling: np.ndarray, least: float) -> int:
    """Return the point from which a vessel is a vein; the number of its points if its end is arterial."""
    count = len(share)
    step_mm = max(length_mm(vessel) / max(count - 1, 1), 1e-3)
    lack_mm = np.where(telling, least - np.maximum(share, FAINTEST), 0.0) * step_mm
    behind_mm = np.cumsum(lack_mm[::-1])[::-1]
    start = int(np.argmax(behind_mm))
    if vessel.name not in MAIN:
        return max(start, 2) if behind_mm[start] >= SIDE_LACK_MM else count
    near = round(CLOSED_WITHIN_MM / step_mm)
    closes = bool((vessel.radius_mm[max(start - near, 0) : start + near + 1] <= CLOSED_RADIUS_MM).any())
    return max(start, count // 2) if behind_mm[start] >= MAIN_LACK_MM and not closes else count
