"""Curves through vessels and the planes across them.

Points are (N, 3) LPS mm.  A section is a polar raster in the plane across the curve: rings by spokes around the point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

STEP_MM = 0.5
"""Distance of neighbouring points of a centreline."""


def arc_length_mm(points_mm: np.ndarray) -> np.ndarray:
    """Return the distance along the curve of each point from the first, (N,) mm."""
    steps: np.ndarray = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def resampled(points_mm: np.ndarray, step_mm: float = STEP_MM) -> np.ndarray:
    """Return the curve with points at equal distances near ``step_mm``, its ends kept, two points at the least."""
    along = arc_length_mm(points_mm)
    keep = np.concatenate([[True], np.diff(along) > 1e-9])
    along, points_mm = along[keep], points_mm[keep]
    if len(points_mm) == 1:
        return np.repeat(points_mm, 2, axis=0)
    count = max(2, int(np.rint(along[-1] / step_mm)) + 1)
    where = np.linspace(0.0, along[-1], count)
    return np.column_stack([np.interp(where, along, points_mm[:, i]) for i in range(3)])


def smoothed(values: np.ndarray, sd_mm: float, step_mm: float = STEP_MM) -> np.ndarray:
    """Return ``values`` (N, ...) along a curve, smoothed by a Gaussian; odd reflection keeps the ends where they are."""
    sd = sd_mm / step_mm
    margin = min(len(values) - 1, int(np.ceil(4 * sd)))
    if margin < 1:
        return values
    head = 2 * values[:1] - values[margin:0:-1]
    tail = 2 * values[-1:] - values[-2 : -margin - 2 : -1]
    padded = np.concatenate([head, values, tail])
    result: np.ndarray = ndimage.gaussian_filter1d(padded, sd, axis=0, mode="nearest")[margin : margin + len(values)]
    return result


def tangents(points_mm: np.ndarray) -> np.ndarray:
    """Return unit tangents, (N, 3)."""
    difference = np.gradient(points_mm, axis=0)
    unit: np.ndarray = difference / np.maximum(np.linalg.norm(difference, axis=1, keepdims=True), 1e-9)
    return unit


def frames(points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors across the curve at each point, (N, 3) each, that turn as little as they can along it.

    References
    ----------
    Wang, Juettler, Zheng, Liu, *Computation of rotation minimizing frames*, ACM Trans. Graph. 27:2 (2008), the double
    reflection method.
    """
    tangent = tangents(points_mm)
    first = np.zeros_like(tangent)
    axis = np.eye(3)[int(np.argmin(np.abs(tangent[0])))]
    first[0] = axis - (axis @ tangent[0]) * tangent[0]
    first[0] /= np.linalg.norm(first[0])
    for i in range(len(points_mm) - 1):
        chord = points_mm[i + 1] - points_mm[i]
        length = max(float(chord @ chord), 1e-18)
        mirrored = first[i] - 2 / length * (chord @ first[i]) * chord
        ahead = tangent[i] - 2 / length * (chord @ tangent[i]) * chord
        bend = tangent[i + 1] - ahead
        square = float(bend @ bend)
        if square > 1e-18:
            mirrored = mirrored - 2 / square * (bend @ mirrored) * bend
        mirrored -= (mirrored @ tangent[i + 1]) * tangent[i + 1]
        first[i + 1] = mirrored / np.linalg.norm(mirrored)
    return first, np.cross(tangent, first)


@dataclass(frozen=True, eq=False)
class Raster:
    """Rings and spokes of a section."""

    ring_mm: np.ndarray  # (K,)
    spoke_rad: np.ndarray  # (J,)

    @classmethod
    def of(cls, reach_mm: float, ring_step_mm: float = 0.2, spokes: int = 24) -> Raster:
        """Return a raster whose rings lie in the middle of steps of ``ring_step_mm`` up to ``reach_mm``."""
        rings = (np.arange(int(np.ceil(reach_mm / ring_step_mm))) + 0.5) * ring_step_mm
        return cls(rings, np.arange(spokes) * 2 * np.pi / spokes)

    @property
    def area_mm2(self) -> np.ndarray:
        """Return the area that one raster point of each ring stands for, (K,) mm2."""
        step = self.ring_mm[1] - self.ring_mm[0]
        area: np.ndarray = self.ring_mm * step * 2 * np.pi / len(self.spoke_rad)
        return area

    def points_mm(self, centre_mm: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the points of the sections around ``centre_mm`` (N, 3), (N, K, J, 3)."""
        spoke = np.cos(self.spoke_rad)[:, None] * first[:, None] + np.sin(self.spoke_rad)[:, None] * second[:, None]
        points: np.ndarray = centre_mm[:, None, None] + self.ring_mm[:, None, None] * spoke[:, None]
        return points
