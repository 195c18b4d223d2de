"""Where a point lies about the left ventricle: how far towards the apex, and at which angle around the long axis.

Points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid

MYOCARDIUM, LV_BLOOD, OTHER_BLOOD = 2, 3, 4
"""Labels of heart.nii.gz."""

TYPICAL_LONG_AXIS = np.array([0.60, -0.50, -0.62])
"""Base to apex in LPS: leftwards, forwards, downwards, each about alike (a 45 degree heart)."""

TYPICAL_SEPTUM = np.array([-0.75, -0.60, -0.25])
"""From the left ventricle to the right one in LPS: the right ventricle lies to the right and in front."""

LEAST_MYOCARDIUM_ML = 10.0
"""Less than this is no left ventricle (a normal one weighs 100-200 g)."""

BESIDE_MM = 15.0
"""The right ventricle's blood lies within this of the left one's muscle, mm; what is farther off may be anything."""

BELOW_OSTIA_MM = 5.0
"""The left ventricle's blood begins this far below the ostia, mm; what is labelled above it is the atrium's."""


@dataclass(frozen=True, eq=False)
class HeartAxes:
    """The left ventricle's frame: ``height`` 0 at the base and 1 at the apex; ``angle`` 0 at the septum, + to anterior."""

    base_mm: np.ndarray  # (3,)
    long_axis: np.ndarray  # (3,) unit, base to apex
    length_mm: float
    septum: np.ndarray  # (3,) unit, across the long axis, to the right ventricle
    anterior: np.ndarray  # (3,) unit, across both
    measured: bool  # False where the heart's labels were no use and a typical heart stands in

    def height(self, points_mm: np.ndarray) -> np.ndarray:
        """Return how far from base (0) to apex (1) the points lie."""
        value: np.ndarray = (points_mm - self.base_mm) @ self.long_axis / self.length_mm
        return value

    def angle_deg(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the angle about the long axis: 0 septum, about 60 anterior groove, 180 lateral, about -60 inferior groove."""
        offset = points_mm - self.base_mm
        value: np.ndarray = np.degrees(np.arctan2(offset @ self.anterior, offset @ self.septum))
        return value

    def away_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the distance of the points from the long axis, mm."""
        offset = points_mm - self.base_mm
        value: np.ndarray = np.linalg.norm(offset - np.outer(offset @ self.long_axis, self.long_axis), axis=1)
        return value


def heart_axes(heart: Grid, ostia_mm: np.ndarray) -> HeartAxes:
    """Return the axes from the heart's labels, or those of a typical heart below the ostia (M, 3).

    The long axis runs from the middle of the base, the end of the left ventricle's blood nearest the ostia, to the
    apex, the end of its muscle farthest from there.
    """
    voxel_ml = float(np.prod(heart.spacing_mm)) / 1000
    muscle = heart.points_mm(np.argwhere(heart.values == MYOCARDIUM))
    blood = heart.points_mm(np.argwhere(heart.values == LV_BLOOD))
    if len(muscle) * voxel_ml < LEAST_MYOCARDIUM_ML or len(blood) == 0:
        axis = TYPICAL_LONG_AXIS / np.linalg.norm(TYPICAL_LONG_AXIS)
        base = ostia_mm.mean(axis=0) + np.array([15.0, 20.0, -15.0])
        return _axes(base, axis, 85.0, TYPICAL_SEPTUM, measured=False)
    ventricle = np.concatenate([muscle, blood])
    axis = blood.mean(axis=0) - ostia_mm.mean(axis=0)
    for _ in range(3):
        axis /= np.linalg.norm(axis)
        below = (blood - ostia_mm.mean(axis=0)) @ axis >= BELOW_OSTIA_MM
        blood = blood[below] if below.any() else blood
        along = ventricle @ axis
        apex = ventricle[along >= np.quantile(along, 0.99)].mean(axis=0)
        depth = blood @ axis
        base = blood[depth <= np.quantile(depth, 0.15)].mean(axis=0)
        axis = apex - base
    length = float(np.linalg.norm(axis))
    axis = axis / length
    other = heart.points_mm(np.argwhere(heart.values == OTHER_BLOOD))
    height = (other - base) @ axis / length
    other = other[(height > 0.25) & (height < 0.9)]
    beside, _ = cKDTree(muscle).query(other, distance_upper_bound=BESIDE_MM)
    right = other[np.isfinite(beside)]
    towards = right.mean(axis=0) - blood.mean(axis=0) if len(right) * voxel_ml > LEAST_MYOCARDIUM_ML else TYPICAL_SEPTUM
    return _axes(base, axis, length, towards, measured=True)


def _axes(base: np.ndarray, axis: np.ndarray, length: float, towards: np.ndarray, *, measured: bool) -> HeartAxes:
    septum = towards - (towards @ axis) * axis
    septum = septum / np.linalg.norm(septum)
    anterior = np.cross(axis, septum)
    if anterior @ np.array([0.0, -1.0, 1.0]) < 0:
        anterior = -anterior
    return HeartAxes(base, axis, length, septum, anterior, measured)
