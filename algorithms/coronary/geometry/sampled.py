"""Distance to a closed surface of triangles, sampled once in a thin shell around it and interpolated afterwards.

Samples stand in blocks of 8 x 8 x 8 cells; only blocks near the surface exist, so that a tree costs what its wall costs
and not what its box costs.  Points are (N, 3) mm; blocks and samples are indexed (x, y, z).

References
----------
Baerentzen and Aanaes, *Signed distance computation using the angle weighted pseudonormal*, IEEE Trans Vis Comput Graph
11:243 (2005), on the sign; Ericson, *Real-time collision detection* (2005), on the nearest point of a triangle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from scipy.ndimage import label

CELLS = 8
"""Cells along the side of a block."""

SIDE = CELLS + 1
"""Samples along the side of a block: neighbours share a face, so that interpolation never leaves a block."""

INSIDE, OUTSIDE = -1, -2
"""What a block without samples lies in."""


class Surface(NamedTuple):
    """Triangles, seen counter-clockwise from outside, with normals for the sign.

    ``corners_mm`` is (F, 3, 3).  ``normal`` (F, 7, 3) is that of the face, of its corners, and of its edges 01, 12, 20.
    """

    corners_mm: np.ndarray
    normal: np.ndarray


FACE, CORNER, EDGE = 0, 1, 4
"""Where in ``Surface.normal`` each kind begins."""


class Samples(NamedTuple):
    """Distances in blocks: ``block`` (X, Y, Z) is the number of a block's samples, or ``INSIDE``, or ``OUTSIDE``."""

    low_mm: np.ndarray
    step_mm: float
    band_mm: float
    block: np.ndarray
    distance_mm: np.ndarray


def closed_surface(vertices_mm: np.ndarray, faces: np.ndarray) -> Surface:
    """Return the surface with its normals; every edge has two faces, which the caller has made sure of."""
    corners = vertices_mm[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-300)
    at_vertex = np.zeros_like(vertices_mm)
    for k in range(3):
        one, two = (corners[:, (k + s) % 3] - corners[:, k] for s in (1, 2))
        cosine = (one * two).sum(axis=1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-300)
        np.add.at(at_vertex, faces[:, k], np.arccos(np.clip(cosine, -1, 1))[:, None] * normal)
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    _, edge = np.unique(pairs, axis=0, return_inverse=True)
    at_edge = np.zeros((int(edge.max()) + 1, 3))
    np.add.at(at_edge, edge, np.repeat(normal, 3, axis=0))
    normals = np.concatenate([normal[:, None], at_vertex[faces], at_edge[edge].reshape(-1, 3, 3)], axis=1)
    return Surface(np.ascontiguousarray(corners, dtype=float), normals)


def sampled(surface: Surface, step_mm: float, band_mm: float) -> Samples:
    """Return the distances to a closed surface, positive inside, exact up to ``band_mm`` from it and held there beyond."""
    side = CELLS * step_mm
    low = surface.corners_mm.min(axis=(0, 1)) - band_mm - side
    shape = np.ceil((surface.corners_mm.max(axis=(0, 1)) + band_mm + side - low) / side).astype(np.int64)
    wanted = np.zeros(shape, dtype=np.int32)
    _mark(surface, low, band_mm, side, wanted)
    wanted[wanted > 0] = np.arange(1, int((wanted > 0).sum()) + 1)
    block = wanted - 1
    samples = Samples(low, step_mm, band_mm, block, np.full((int(block.max()) + 1, SIDE, SIDE, SIDE), np.inf, dtype=np.float32))
    _splat(surface, samples)
    empty = ~np.isfinite(samples.distance_mm).any(axis=(1, 2, 3))
    block[np.isin(block, np.flatnonzero(empty))] = -1
    _fill_blocks(samples.distance_mm, band_mm, empty)
    _fill_rest(samples)
    return samples


@numba.njit(cache=True, nogil=True)
def _mark(surface: Surface, low: np.ndarray, band: float, side: float, wanted: np.ndarray) -> None:
    first = np.empty(3, np.int64)
    last = np.empty(3, np.int64)
    for f in range(len(surface.corners_mm)):
        for k in range(3):
            a, b, c = surface.corners_mm[f, 0, k], surface.corners_mm[f, 1, k], surface.corners_mm[f, 2, k]
            first[k] = int((min(a, b, c) - band - low[k]) / side)
            last[k] = int((max(a, b, c) + band - low[k]) / side)
        wanted[first[0] : last[0] + 1, first[1] : last[1] + 1, first[2] : last[2] + 1] = 1


@numba.njit(cache=True, nogil=True, error_model="numpy")  # a face without area has no distance
def _splat(surface: Surface, samples: Samples) -> None:
    """Give every sample within the band of a face its distance, if it is the least yet."""
    step, band, low = samples.step_mm, samples.band_mm, samples.low_mm
    first = np.empty(3, np.int64)
    last = np.empty(3, np.int64)
    point, middle = np.empty(3), np.empty(3)
    for f in range(len(surface.corners_mm)):
        size = 0.0
        for k in range(3):
            middle[k] = surface.corners_mm[f, :, k].mean()
        for c in range(3):
            size = max(size, np.sqrt(((surface.corners_mm[f, c] - middle) ** 2).sum()))
        for k in range(3):
            first[k] = int(np.ceil((surface.corners_mm[f, :, k].min() - band - low[k]) / step))
            last[k] = int(np.floor((surface.corners_mm[f, :, k].max() + band - low[k]) / step))
        for i in range(first[0], last[0] + 1):
            for j in range(first[1], last[1] + 1):
                point[0], point[1] = low[0] + i * step, low[1] + j * step
                flat = (point[0] - middle[0]) ** 2 + (point[1] - middle[1]) ** 2
                rest = (size + band) ** 2 - flat
                if rest < 0:
                    continue
                start = max(first[2], int(np.ceil((middle[2] - np.sqrt(rest) - low[2]) / step)))
                for k in range(start, min(last[2], int(np.floor((middle[2] + np.sqrt(rest) - low[2]) / step))) + 1):
                    point[2] = low[2] + k * step
                    number = samples.block[i // CELLS, j // CELLS, k // CELLS]
                    # A face no part of which can be nearer than the nearest yet is not looked at.
                    wanted = min(band, abs(samples.distance_mm[number, i % CELLS, j % CELLS, k % CELLS])) + size
                    if flat + (point[2] - middle[2]) ** 2 > wanted * wanted:
                        continue
                    gap = _to_triangle(surface, f, point)
                    if abs(gap) <= band:
                        _put(samples, i, j, k, gap)


@numba.njit(cache=True, nogil=True)
def _put(samples: Samples, i: int, j: int, k: int, value: float) -> None:
    """Put a distance into the blocks that share the sample, up to eight, if it is the least there."""
    for bi in range((i - 1) // CELLS if i % CELLS == 0 else i // CELLS, i // CELLS + 1):
        for bj in range((j - 1) // CELLS if j % CELLS == 0 else j // CELLS, j // CELLS + 1):
            for bk in range((k - 1) // CELLS if k % CELLS == 0 else k // CELLS, k // CELLS + 1):
                number = samples.block[bi, bj, bk]
                if number >= 0:
                    i0, j0, k0 = i - CELLS * bi, j - CELLS * bj, k - CELLS * bk
                    if abs(value) < abs(samples.distance_mm[number, i0, j0, k0]):
                        samples.distance_mm[number, i0, j0, k0] = value


@numba.njit(cache=True, nogil=True, error_model="numpy")  # a face without area has no distance
def _to_triangle(surface: Surface, f: int, point: np.ndarray) -> Any:
    """Return the distance to a face, positive on its inner side."""
    corner = surface.corners_mm
    ax, ay, az = corner[f, 0, 0], corner[f, 0, 1], corner[f, 0, 2]
    abx, aby, abz = corner[f, 1, 0] - ax, corner[f, 1, 1] - ay, corner[f, 1, 2] - az
    acx, acy, acz = corner[f, 2, 0] - ax, corner[f, 2, 1] - ay, corner[f, 2, 2] - az
    apx, apy, apz = point[0] - ax, point[1] - ay, point[2] - az
    bpx, bpy, bpz = apx - abx, apy - aby, apz - abz
    cpx, cpy, cpz = apx - acx, apy - acy, apz - acz
    d1, d2 = abx * apx + aby * apy + abz * apz, acx * apx + acy * apy + acz * apz
    d3, d4 = abx * bpx + aby * bpy + abz * bpz, acx * bpx + acy * bpy + acz * bpz
    d5, d6 = abx * cpx + aby * cpy + abz * cpz, acx * cpx + acy * cpy + acz * cpz
    vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    v = w = 0.0
    if d1 <= 0 and d2 <= 0:
        kind = CORNER
    elif d3 >= 0 and d4 <= d3:
        kind, v = CORNER + 1, 1.0
    elif d6 >= 0 and d5 <= d6:
        kind, w = CORNER + 2, 1.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        kind, v = EDGE, d1 / (d1 - d3)
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        kind, w = EDGE + 2, d2 / (d2 - d6)
    elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        kind, w = EDGE + 1, (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        kind, v, w = FACE, vb / (va + vb + vc), vc / (va + vb + vc)
    rx, ry, rz = apx - v * abx - w * acx, apy - v * aby - w * acy, apz - v * abz - w * acz
    gap = np.sqrt(rx * rx + ry * ry + rz * rz)
    normal = surface.normal
    return -gap if rx * normal[f, kind, 0] + ry * normal[f, kind, 1] + rz * normal[f, kind, 2] > 0 else gap


@numba.njit(cache=True, nogil=True)
def _fill_blocks(distance: np.ndarray, band: float, empty: np.ndarray) -> None:
    """Give samples beyond the band the sign of their neighbours: the sign changes only within the band."""
    for number in range(len(distance)):
        left = not empty[number]
        values = distance[number]
        while left:
            left = False
            for i in range(SIDE):
                for j in range(SIDE):
                    for k in range(SIDE):
                        if np.isfinite(values[i, j, k]):
                            continue
                        left = True
                        for axis in range(3):
                            for way in (-1, 1):
                                p = i + way if axis == 0 else i
                                q = j + way if axis == 1 else j
                                r = k + way if axis == 2 else k
                                if 0 <= min(p, q, r) and max(p, q, r) < SIDE and np.isfinite(values[p, q, r]):
                                    values[i, j, k] = band if values[p, q, r] > 0 else -band


def _fill_rest(samples: Samples) -> None:
    """Say of every block without samples whether it lies inside, by the samples next to it."""
    block = samples.block
    region, count = label(block < 0)
    inside = np.zeros(count + 1, dtype=bool)
    middle = CELLS // 2
    for axis in range(3):
        for face, here, there in ((CELLS, np.s_[:-1], np.s_[1:]), (0, np.s_[1:], np.s_[:-1])):
            cut = [slice(None)] * 3
            cut[axis] = here
            known = block[tuple(cut)]
            cut[axis] = there
            beyond = region[tuple(cut)]
            touching = (known >= 0) & (beyond > 0)
            place = [middle] * 3
            place[axis] = face
            positive = samples.distance_mm[known[touching], place[0], place[1], place[2]] > 0
            inside[beyond[touching][positive]] = True
    block[block < 0] = np.where(inside[region[block < 0]], INSIDE, OUTSIDE)


def interpolated_mm(points_mm: np.ndarray, samples: Samples) -> np.ndarray:
    """Return (n,) distances at (n, 3) points, positive inside."""
    points = np.ascontiguousarray(points_mm, dtype=np.float64)
    out = np.empty(len(points))
    _interpolate(points, samples, out)
    return out


@numba.njit(cache=True, nogil=True)
def _interpolate(points: np.ndarray, samples: Samples, out: np.ndarray) -> None:
    block, values = samples.block, samples.distance_mm
    for n in range(len(points)):
        x = (points[n, 0] - samples.low_mm[0]) / samples.step_mm
        y = (points[n, 1] - samples.low_mm[1]) / samples.step_mm
        z = (points[n, 2] - samples.low_mm[2]) / samples.step_mm
        i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
        bi, bj, bk = i // CELLS, j // CELLS, k // CELLS
        out[n] = -samples.band_mm
        if min(i, j, k) < 0 or bi >= block.shape[0] or bj >= block.shape[1] or bk >= block.shape[2]:
            continue
        b = block[bi, bj, bk]
        if b < 0:
            out[n] = samples.band_mm if b == INSIDE else -samples.band_mm
            continue
        u, v, w = x - i, y - j, z - k
        i, j, k = i - CELLS * bi, j - CELLS * bj, k - CELLS * bk
        low = (values[b, i, j, k] * (1 - u) + values[b, i + 1, j, k] * u) * (1 - v)
        low += (values[b, i, j + 1, k] * (1 - u) + values[b, i + 1, j + 1, k] * u) * v
        high = (values[b, i, j, k + 1] * (1 - u) + values[b, i + 1, j, k + 1] * u) * (1 - v)
        high += (values[b, i, j + 1, k + 1] * (1 - u) + values[b, i + 1, j + 1, k + 1] * u) * v
        out[n] = low * (1 - w) + high * w
