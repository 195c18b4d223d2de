"""How far a coronary tree and its lumen agree with the truth: overlap, surface distance, centrelines, names.

Points are (N, 3) LPS mm; masks are (Z, Y, X) on one grid.

References
----------
Schaap et al., *Standardized evaluation methodology and reference database for evaluating coronary artery centerline extraction
algorithms*, Med Image Anal 13:701 (2009), for the overlap: a point counts where it lies within the true radius.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.coronary.tree import Branch, Tree

STEP_MM = 0.1
"""Spacing at which curves are compared, mm."""

CLEAR_RADIUS_MM = 0.75
"""Vessels of this radius and more must be found."""

LEAST_REACH_MM = 1.0
"""A found point as near as this to a true artery's axis lies on it, however thin the artery, mm."""


def lumen_agreement(found: np.ndarray, true: np.ndarray, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Return Dice's coefficient and the 95th percentile of the surface distance in mm of two masks."""
    both = int((found & true).sum())
    total = int(found.sum()) + int(true.sum())
    where = ndimage.find_objects((found | true).astype(np.uint8))
    if not total or not found.any() or not true.any():
        return {"dice": 0.0, "hd95_mm": float("inf")}
    cut = where[0]
    one, other = found[cut], true[cut]
    away = [_from_surface(one, other, spacing_mm), _from_surface(other, one, spacing_mm)]
    return {"dice": round(2 * both / total, 4), "hd95_mm": round(max(float(np.percentile(a, 95)) for a in away), 3)}


def _from_surface(of: np.ndarray, to: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the distance of each surface voxel of one mask from the other mask's surface, mm."""
    surface, target = (mask & ~ndimage.binary_erosion(mask) for mask in (of, to))
    axes = np.asarray(spacing_mm)
    distance, _ = cKDTree(np.argwhere(target) * axes).query(np.argwhere(surface) * axes)
    return np.asarray(distance)


@dataclass(frozen=True, eq=False)
class Curves:
    """Every point of a tree's axes at equal steps: place, radius, and the number of its branch."""

    points_mm: np.ndarray
    radius_mm: np.ndarray
    branch: np.ndarray

    @staticmethod
    def of(branches: Sequence[Branch]) -> Curves:
        """Return the axes of ``branches``."""
        points, radii, numbers = [], [], []
        for number, branch in enumerate(branches):
            at = np.arange(0.0, branch.distance_mm[-1], STEP_MM)
            points.append(np.column_stack([np.interp(at, branch.distance_mm, axis) for axis in branch.points_mm.T]))
            radii.append(np.interp(at, branch.distance_mm, branch.reference_radius_mm))
            numbers.append(np.full(len(at), number))
        return Curves(np.concatenate(points), np.concatenate(radii), np.concatenate(numbers))


def tree_agreement(found: Tree, true: Tree) -> dict[str, Any]:
    """Return overlap and distance of the axes of clear vessels, false branches, and the share of them that is named right."""
    if not found.branches:
        return {"overlap": 0.0, "distance_mm": None, "false_branches": 0, "named_right": 0.0}
    ours, theirs = Curves.of(found.branches), Curves.of(true.branches)
    clear = theirs.radius_mm >= CLEAR_RADIUS_MM
    away, _ = cKDTree(ours.points_mm).query(theirs.points_mm)
    covered = clear & (away <= np.maximum(theirs.radius_mm, LEAST_REACH_MM))
    off, nearest = cKDTree(theirs.points_mm).query(ours.points_mm)
    on = off <= np.maximum(theirs.radius_mm[nearest], LEAST_REACH_MM)
    counted = clear[nearest] | ~on  # what follows a thin true vessel counts neither for nor against
    right = int((on & counted).sum()) + int(covered.sum())
    everything = int(counted.sum()) + int(clear.sum())
    false = [b for b in range(len(found.branches)) if not on[ours.branch == b].mean() > 0.5]
    same = np.array([b.name for b in found.branches])[ours.branch] == np.array([b.name for b in true.branches])[
        theirs.branch[nearest]
    ]  # fmt: skip
    judged = on & clear[nearest]
    return {
        "overlap": round(right / everything, 4),
        "covered": round(float(covered.sum() / max(clear.sum(), 1)), 4),
        "distance_mm": round(float(away[covered].mean()), 3) if covered.any() else None,
        "false_branches": len(false),
        "named_right": round(float(same[judged].mean()), 4) if judged.any() else 0.0,
        "missed": _missed(true, theirs, clear & ~covered),
        "misnamed": _misnamed(found, true, ours, theirs.branch[nearest], judged & ~same),
    }


def _missed(true: Tree, curves: Curves, lost: np.ndarray) -> dict[str, float]:
    """Return the length of each true vessel that was not found, mm."""
    lengths = {b.name: round(float(lost[curves.branch == i].sum() * STEP_MM), 1) for i, b in enumerate(true.branches)}
    return {name: length for name, length in lengths.items() if length >= 1.0}


def _misnamed(found: Tree, true: Tree, ours: Curves, partner: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return the length of what bears another vessel's name, mm, by "true -> found"."""
    lengths: dict[str, float] = {}
    for one, other in zip(ours.branch[wrong].tolist(), partner[wrong].tolist(), strict=True):
        pair = f"{true.branches[other].name} -> {found.branches[one].name}"
        lengths[pair] = lengths.get(pair, 0.0) + STEP_MM
    return {pair: round(length, 1) for pair, length in sorted(lengths.items()) if length >= 2.0}
