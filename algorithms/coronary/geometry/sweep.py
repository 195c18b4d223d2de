"""Distance to the wall of vessels swept along their centrelines.

The cross-section perpendicular to a centreline is a circle of the given radius, so a straight vessel is the body of
revolution of its radius, to second order in the step between points.  (A chain of round cones, which touch the spheres
of those radii from outside, would be too wide wherever the radius changes: by 5 % at a slope of 0.3.)  Vessels that
meet are blended by a fillet, only where their walls face different ways, so that two vessels in line are not swollen.
Points are (N, 3) mm.

References
----------
Bloomenthal and Shoemake, *Convolution surfaces*, Comput Graph 25:251 (1991), on why a plain union of vessels has creases;
Gourmel et al., *A gradient-based implicit blend*, ACM Trans Graph 32:12 (2013), on blending by the angle between the walls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

MOST_HERE = 24
"""Vessels that can be near one place; more than this in one bucket is refused."""


class Chains(NamedTuple):
    """Vessels as chains of straight pieces, sorted into the buckets of a grid.

    ``start_mm, end_mm`` are (S, 3), ``start_radius_mm, end_radius_mm`` (S,), ``vessel`` (S,) says whose piece it is.
    ``fillet_mm`` (V, V) is how far apart two walls may be and still be blended; 0 for vessels that do not meet.
    """

    start_mm: np.ndarray
    end_mm: np.ndarray
    start_radius_mm: np.ndarray
    end_radius_mm: np.ndarray
    vessel: np.ndarray
    fillet_mm: np.ndarray


class Buckets(NamedTuple):
    """Which pieces can matter in each box of a grid: ``pieces[first[b] : first[b + 1]]`` in box ``b``."""

    low_mm: np.ndarray
    side_mm: float
    shape: np.ndarray
    first: np.ndarray
    pieces: np.ndarray
    reach_mm: float


BUCKET_MM = 1.0
"""Side of a bucket: small enough that few pieces lie in one, large enough that a whole heart has two million."""

MOST_BUCKETS = 8_000_000


def buckets(chains: Chains, reach_mm: float) -> Buckets:
    """Return the grid in which every place nearer to a wall than ``reach_mm`` knows the pieces that decide its distance."""
    margin = float(max(chains.start_radius_mm.max(), chains.end_radius_mm.max())) + reach_mm
    ends = np.concatenate([chains.start_mm, chains.end_mm])
    low, high = ends.min(axis=0) - margin, ends.max(axis=0) + margin
    side = max(BUCKET_MM, float((np.prod(high - low) / MOST_BUCKETS) ** (1 / 3)))
    shape = np.ceil((high - low) / side).astype(np.int64)
    count = np.zeros(int(shape.prod()), dtype=np.int64)
    empty = Buckets(low, side, shape, count, np.empty(0, dtype=np.int32), reach_mm)
    _sort_into(chains, empty)
    first = np.concatenate([[0], np.cumsum(count)])
    sorted_into = Buckets(low, side, shape, first[:-1].copy(), np.empty(int(first[-1]), dtype=np.int32), reach_mm)
    _sort_into(chains, sorted_into)
    return sorted_into._replace(first=first)


@numba.njit(cache=True, nogil=True)
def _sort_into(chains: Chains, into: Buckets) -> None:
    """Write the pieces of every bucket at ``first``, which moves on; only move it where there is no room for pieces."""
    half = into.side_mm * np.sqrt(3.0) / 2
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    centre = np.empty(3)
    for s in range(len(chains.vessel)):
        reach = max(chains.start_radius_mm[s], chains.end_radius_mm[s]) + into.reach_mm
        for k in range(3):
            least, most = chains.start_mm[s, k], chains.end_mm[s, k]
            low[k] = max(int((min(least, most) - reach - into.low_mm[k]) / into.side_mm), 0)
            high[k] = min(int((max(least, most) + reach - into.low_mm[k]) / into.side_mm), into.shape[k] - 1)
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    centre[0], centre[1], centre[2] = i + 0.5, j + 0.5, k + 0.5
                    _, gap = _along(chains, s, into.low_mm + into.side_mm * centre)
                    if gap <= reach + half:
                        bucket = (i * into.shape[1] + j) * into.shape[2] + k
                        if len(into.pieces):
                            into.pieces[into.first[bucket]] = s
                        into.first[bucket] += 1


@numba.njit(cache=True, nogil=True, inline="always")
def _along(chains: Chains, s: int, point: np.ndarray) -> tuple[float, float]:
    """Return where on piece ``s`` (0 to 1) the point is nearest, and how far it is from there."""
    x, y, z = chains.start_mm[s, 0], chains.start_mm[s, 1], chains.start_mm[s, 2]
    ax, ay, az = chains.end_mm[s, 0] - x, chains.end_mm[s, 1] - y, chains.end_mm[s, 2] - z
    px, py, pz = point[0] - x, point[1] - y, point[2] - z
    t = min(max((px * ax + py * ay + pz * az) / (ax * ax + ay * ay + az * az), 0.0), 1.0)
    dx, dy, dz = px - t * ax, py - t * ay, pz - t * az
    return t, np.sqrt(dx * dx + dy * dy + dz * dz)


class Near(NamedTuple):
    """What is known of the vessels near one point: how deep it lies in each, and from where on it its wall is seen."""

    depth_mm: np.ndarray
    outward: np.ndarray
    vessel: np.ndarray


def distances_mm(points_mm: np.ndarray, chains: Chains, sorted_into: Buckets) -> np.ndarray:
    """Return (n,) distances to the wall, positive inside; beyond the reach of the buckets, minus the reach."""
    points = np.ascontiguousarray(points_mm, dtype=np.float64)
    out = np.full(len(points), -sorted_into.reach_mm)
    if _distances(points, chains, sorted_into, out):
        raise ValueError(f"more than {MOST_HERE} vessels meet in one place")
    return out


@numba.njit(cache=True, nogil=True)
def _distances(points: np.ndarray, chains: Chains, sorted_into: Buckets, out: np.ndarray) -> bool:
    """Write the distance of every point; return whether too many vessels were found somewhere."""
    low, side, shape = sorted_into.low_mm, sorted_into.side_mm, sorted_into.shape
    near = Near(np.empty(MOST_HERE), np.empty((MOST_HERE, 3)), np.empty(MOST_HERE, np.int64))
    for n in range(len(points)):
        i = int(np.floor((points[n, 0] - low[0]) / side))
        j = int(np.floor((points[n, 1] - low[1]) / side))
        k = int(np.floor((points[n, 2] - low[2]) / side))
        if min(i, j, k) < 0 or i >= shape[0] or j >= shape[1] or k >= shape[2]:
            continue
        bucket = (i * shape[1] + j) * shape[2] + k
        start, stop = sorted_into.first[bucket], sorted_into.first[bucket + 1]
        if start == stop:
            continue
        found = _look(points[n], chains, sorted_into.pieces[start:stop], near)
        if found < 0:
            return True
        for f in range(found):
            out[n] = max(out[n], near.depth_mm[f])
            for g in range(f):
                out[n] = max(out[n], _blended(near, f, g, chains.fillet_mm[near.vessel[f], near.vessel[g]]))
    return False


@numba.njit(cache=True, nogil=True)
def _look(point: np.ndarray, chains: Chains, pieces: np.ndarray, near: Near) -> int:
    """Fill ``near`` from the pieces of a bucket, in which those of one vessel stand together; return how many, or -1."""
    found = 0
    position = 0
    while position < len(pieces):
        if found == MOST_HERE:
            return -1
        mine = chains.vessel[pieces[position]]
        s, t, gap = -1, 0.0, np.inf
        while position < len(pieces) and chains.vessel[pieces[position]] == mine:
            its_t, its_gap = _along(chains, pieces[position], point)
            if its_gap < gap:
                s, t, gap = pieces[position], its_t, its_gap
            position += 1
        length = 0.0
        for c in range(3):
            step = chains.end_mm[s, c] - chains.start_mm[s, c]
            length += step * step
            near.outward[found, c] = (point[c] - chains.start_mm[s, c] - t * step) / gap if gap > 0 else 0.0
        rise = chains.end_radius_mm[s] - chains.start_radius_mm[s]
        # Perpendicular to the wall of a cone, not to its axis.
        upright = np.sqrt(length / (length + rise * rise))
        near.depth_mm[found] = (chains.start_radius_mm[s] + t * rise - gap) * upright
        near.vessel[found] = mine
        found += 1
    return found


@numba.njit(cache=True, nogil=True)
def _blended(near: Near, f: int, g: int, fillet_mm: float) -> Any:
    """Return the depth in two vessels together: a parabola joins their walls where they are near and not parallel."""
    turned = 1.0
    for c in range(3):
        turned -= near.outward[f, c] * near.outward[g, c]
    width = fillet_mm * min(turned, 1.0)
    deeper = max(near.depth_mm[f], near.depth_mm[g])
    short = width - abs(near.depth_mm[f] - near.depth_mm[g])
    return deeper + short * short / (4 * width) if short > 0 else deeper
