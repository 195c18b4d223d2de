"""Signed distances to solids, in mm: negative inside, zero on the surface, positive outside.

Every function takes points as ``(..., 3)`` LPS mm and returns ``(...)``.  Distances are exact for planes and tubes and
first-order for ellipsoids, so surfaces are where they should be and distances near them are right to a few per cent.
"""

from __future__ import annotations

import numpy as np


def ellipsoid_mm(points: np.ndarray, centre: np.ndarray, axes: np.ndarray, semi_mm: np.ndarray) -> np.ndarray:
    """Return the distance to the ellipsoid whose semi-axes ``semi_mm`` (3,) lie along the unit rows of ``axes`` (3, 3)."""
    local = (points - centre.astype(points.dtype)) @ axes.T.astype(points.dtype)
    scaled = local / semi_mm.astype(points.dtype)
    level = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    steep = scaled / semi_mm.astype(points.dtype)
    slope = np.sqrt(np.einsum("...i,...i->...", steep, steep))
    # At the very centre level and slope vanish together; the floor keeps the quotient finite and far below zero there.
    distance: np.ndarray = level * (level - 1) / np.maximum(slope, 1e-6)
    return np.where(level < 1e-3, -np.min(semi_mm), distance).astype(points.dtype)


def half_space_mm(points: np.ndarray, origin: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the distance to the half space behind the plane through ``origin`` with outward unit ``normal``."""
    distance: np.ndarray = (points - origin.astype(points.dtype)) @ normal.astype(points.dtype)
    return distance


def tube_mm(points: np.ndarray, path: np.ndarray, radius_mm: np.ndarray) -> np.ndarray:
    """Return the distance to a tube along the polyline ``path`` (N, 3) with ``radius_mm`` (N,) linear between its points."""
    kind = points.dtype
    nearest = np.full(points.shape[:-1], np.inf, dtype=kind)
    square = np.einsum("...i,...i->...", points, points)
    for start, end, r0, r1 in zip(path[:-1], path[1:], radius_mm[:-1], radius_mm[1:], strict=True):
        along = end - start
        length = max(float(along @ along), 1e-12)
        forward = points @ along.astype(kind) - kind.type(start @ along)
        t = np.clip(forward / kind.type(length), 0, 1)
        miss = square - points @ (2 * start).astype(kind) + kind.type(start @ start) - t * (2 * forward - t * kind.type(length))
        np.minimum(nearest, np.sqrt(np.maximum(miss, 0)) - (kind.type(r0) + kind.type(r1 - r0) * t), out=nearest)
    return nearest


def box_mm(points: np.ndarray, centre: np.ndarray, half_mm: np.ndarray, rounding_mm: float) -> np.ndarray:
    """Return the distance to a box along the patient's axes with half sides ``half_mm`` and rounded edges."""
    excess = np.abs(points - centre.astype(points.dtype)) - (half_mm - rounding_mm).astype(points.dtype)
    outside = np.linalg.norm(np.maximum(excess, 0), axis=-1)
    distance: np.ndarray = outside + np.minimum(excess.max(axis=-1), 0) - rounding_mm
    return distance


def elliptic_cylinder_mm(points: np.ndarray, centre: np.ndarray, semi_mm: np.ndarray) -> np.ndarray:
    """Return the distance to an upright cylinder with semi-axes ``semi_mm`` (2,) along x and y."""
    scaled = (points[..., :2] - centre[:2].astype(points.dtype)) / semi_mm.astype(points.dtype)
    level = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    steep = scaled / semi_mm.astype(points.dtype)
    slope = np.sqrt(np.einsum("...i,...i->...", steep, steep))
    distance: np.ndarray = level * (level - 1) / np.maximum(slope, 1e-6)
    return np.where(level < 1e-3, -np.min(semi_mm), distance).astype(points.dtype)


def smooth_union_mm(first: np.ndarray, second: np.ndarray, blend_mm: float) -> np.ndarray:
    """Return the union of two solids with its crease filled over ``blend_mm``: at most ``blend_mm / 4`` of filling."""
    overlap = np.maximum(blend_mm - np.abs(first - second), 0) / blend_mm
    union: np.ndarray = np.minimum(first, second) - overlap * overlap * (blend_mm / 4)
    return union


def smooth_path(path: np.ndarray, step_mm: float) -> np.ndarray:
    """Return a smooth curve through the control points ``path`` (N, 3), resampled every ``step_mm`` or a little less."""
    from scipy.interpolate import CubicSpline

    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.maximum(np.linalg.norm(np.diff(path, axis=0), axis=1), 1e-6)))])
    curve = CubicSpline(knots, path)(np.linspace(0, knots[-1], 20 * len(path)))  # centripetal knots make no loops
    return resample_path(curve, step_mm)


def resample_path(path: np.ndarray, step_mm: float) -> np.ndarray:
    """Return the polyline ``path`` (N, 3) resampled at equal arc lengths of ``step_mm`` or a little less."""
    distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = max(2, int(np.ceil(distance[-1] / step_mm)) + 1)
    wanted = np.linspace(0, distance[-1], count)
    return np.stack([np.interp(wanted, distance, path[:, i]) for i in range(3)], axis=1)


def tangents(path: np.ndarray) -> np.ndarray:
    """Return the unit tangents (N, 3) of the polyline ``path`` (N, 3)."""
    steps = np.gradient(path, axis=0)
    unit: np.ndarray = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
    return unit
