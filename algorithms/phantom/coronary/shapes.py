"""Signed distances to solids, in mm: negative inside, zero on the surface, positive outside.

Every function takes points as ``(..., 3)`` LPS mm and returns ``(...)``.  Distances are exact for planes and tubes and
first-order for ellipsoids, so surfaces are where they should be and distances near them are right to a few per cent.
"""

from __future__ import annotations

import functools

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


def union_mm(*solids: np.ndarray) -> np.ndarray:
    """Return the distance to what lies in any of ``solids``, given as distances of one shape."""
    distance: np.ndarray = functools.reduce(np.minimum, solids)
    return distance


def intersection_mm(*solids: np.ndarray) -> np.ndarray:
    """Return the distance to what lies in all of ``solids``, given as distances of one shape."""
    distance: np.ndarray = functools.reduce(np.maximum, solids)
    return distance


def smooth_union_mm(first: np.ndarray, second: np.ndarray, blend_mm: float) -> np.ndarray:
    """Return the union of two solids with its crease filled over ``blend_mm``: at most ``blend_mm / 4`` of filling."""
    overlap = np.maximum(blend_mm - np.abs(first - second), 0) / blend_mm
    union: np.ndarray = np.minimum(first, second) - overlap * overlap * (blend_mm / 4)
    return union


def smooth_path(path: np.ndarray, step_mm: float) -> np.ndarray:
    """Return a smooth curve through the control points ``path`` (N, 3), resampled every ``step_mm`` or a little less."""
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.maximum(np.linalg.norm(np.diff(path, axis=0), axis=1), 1e-6)))])
    slopes = np.gradient(path, knots, axis=0, edge_order=1) if len(path) > 2 else np.diff(path, axis=0)[[0, 0]] / knots[-1]
    wanted = np.linspace(0, knots[-1], 20 * len(path))  # centripetal knots make no loops
    i = np.clip(np.searchsorted(knots, wanted, side="right") - 1, 0, len(path) - 2)
    span = (knots[i + 1] - knots[i])[:, None]
    t = (wanted - knots[i])[:, None] / span
    start = (1 + 2 * t) * (1 - t) ** 2 * path[i] + t * (1 - t) ** 2 * span * slopes[i]
    end = t * t * (3 - 2 * t) * path[i + 1] + t * t * (t - 1) * span * slopes[i + 1]
    return resample_path(start + end, step_mm)


def resample_path(path: np.ndarray, step_mm: float) -> np.ndarray:
    """Return the polyline ``path`` (N, 3) resampled at equal arc lengths of ``step_mm`` or a little less."""
    distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = max(2, int(np.ceil(distance[-1] / step_mm)) + 1)
    wanted = np.linspace(0, distance[-1], count)
    return np.stack([np.interp(wanted, distance, path[:, i]) for i in range(3)], axis=1)


def smoothed_path(path: np.ndarray, sigma_mm: float, step_mm: float) -> np.ndarray:
    """Return ``path`` (N, 3), spaced ``step_mm``, smoothed by a Gaussian along its length with its ends held."""
    from scipy.ndimage import gaussian_filter1d

    reach = min(len(path) - 1, int(4 * sigma_mm / step_mm) + 1)
    before, after = 2 * path[0] - path[reach:0:-1], 2 * path[-1] - path[-2 : -reach - 2 : -1]
    smooth = gaussian_filter1d(np.concatenate([before, path, after]), sigma_mm / step_mm, axis=0)
    held: np.ndarray = smooth[len(before) : len(before) + len(path)]
    return held


def eased_path(path: np.ndarray, step_mm: float, least_mm: float) -> np.ndarray:
    """Return ``path`` (N, 3), spaced ``step_mm``, with bends tighter than a radius of ``least_mm`` opened where they are."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    for _ in range(12):
        forward = tangents(path)
        curvature = np.linalg.norm(np.gradient(forward, axis=0), axis=1) / step_mm
        tight = (curvature * least_mm > 1).astype(float)
        if not tight.any():
            break
        reach = 2 * int(3.0 / step_mm) + 1
        weight = uniform_filter1d(maximum_filter1d(tight, reach), reach)[:, None]
        path = resample_path(path + weight * (smoothed_path(path, 2.5, step_mm) - path), step_mm)
    return path


def tangents(path: np.ndarray) -> np.ndarray:
    """Return the unit tangents (N, 3) of the polyline ``path`` (N, 3)."""
    steps = np.gradient(path, axis=0)
    unit: np.ndarray = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
    return unit
