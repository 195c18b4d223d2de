"""Where a branch leaves its parent.

In a mask two vessels that part at a small angle are one for many mm; the branch's own axis, drawn back from where it is
free, tells where it leaves.  Points are (N, 3) LPS mm.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.vessel.cross_section import STEP_MM, arc_length_mm, resampled, smoothed

UPSTREAM_MM = 12.0
"""A branch may leave its parent at most this far upstream of where the mask parts."""

DIRECTION_MM = 4.0
"""The branch's direction is taken over this length beyond where it is free."""


def rough_course(points_mm: np.ndarray, radius_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a voxel path as a smooth curve with equal steps, and its radii; the ends stay."""
    curve = resampled(smoothed(resampled(points_mm), 1.5))
    radius = np.interp(np.linspace(0, 1, len(curve)), np.linspace(0, 1, len(radius_mm)), radius_mm)
    return curve, np.maximum(radius, 0.3)


def joined(
    parent_mm: np.ndarray, parent_radius_mm: np.ndarray, near: int, points_mm: np.ndarray, radius_mm: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the parent's point that a branch leaves from, and the branch's curve and radii from there.

    Parameters
    ----------
    parent_mm, parent_radius_mm
        The parent's curve, (N, 3), and radii.
    near
        The parent's point where the branch's voxels leave the parent's.
    points_mm, radius_mm
        The branch from there, (M, 3) and (M,).
    """
    far, at = cKDTree(parent_mm).query(points_mm)
    outside = np.flatnonzero(far > parent_radius_mm[at] + 0.25)
    free = min(int(outside[0]) if len(outside) else len(points_mm) - 2, len(points_mm) - 2)
    ahead = min(free + int(DIRECTION_MM / STEP_MM), len(points_mm) - 1)
    back = points_mm[free] - points_mm[ahead]
    back = back / max(float(np.linalg.norm(back)), 1e-9)
    along = arc_length_mm(parent_mm)
    candidates = np.flatnonzero((along >= along[near] - UPSTREAM_MM) & (along <= along[at[free]] + 1.0))
    offset = parent_mm[candidates] - points_mm[free]
    reach = np.linalg.norm(offset, axis=1)
    miss = np.linalg.norm(offset - (offset @ back)[:, None] * back, axis=1)
    joint = (
        int(candidates[int(np.argmin(np.where(offset @ back > 0, miss + 0.1 * reach, np.inf)))]) if len(candidates) else near
    )
    curve = np.concatenate([parent_mm[joint : joint + 1], points_mm[free:]])
    share = np.interp(
        np.linspace(0, 1, len(resampled(curve))), np.linspace(0, 1, len(curve)), np.r_[radius_mm[free], radius_mm[free:]]
    )
    return joint, resampled(curve), share
