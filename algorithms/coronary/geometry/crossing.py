"""Where a surface of triangles crosses itself: edges that run through faces they do not belong to.

References
----------
Moeller and Trumbore, *Fast, minimum storage ray/triangle intersection*, J Graph Tools 2:21 (1997), on one edge and one face.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

MOST_BUCKETS = 4_000_000

FLAT = 1e-6
"""An edge that rises from a face by less than this (1, a sine) lies in it: neighbours in a flat wall do not cross."""


class _Boxes(NamedTuple):
    """A grid over the surface: ``pieces[first[b] : first[b + 1]]`` are the faces in box ``b``."""

    low_mm: np.ndarray
    side_mm: float
    shape: np.ndarray
    first: np.ndarray
    pieces: np.ndarray


def crossings(vertices_mm: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (C, 2): a face, and the face through which one of its edges runs.  One partner a face is told, not all."""
    vertices, faces = np.ascontiguousarray(vertices_mm, dtype=float), np.ascontiguousarray(faces, dtype=np.int64)
    edge = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    side = max(2 * float(np.median(edge)), float((np.prod(high - low + 1e-9) / MOST_BUCKETS) ** (1 / 3)))
    shape = np.floor((high - low) / side).astype(np.int64) + 1
    count = np.zeros(int(shape.prod()), dtype=np.int64)
    _sort_into(vertices, faces, _Boxes(low, side, shape, count, np.empty(0, dtype=np.int64)))
    first = np.concatenate([[0], np.cumsum(count)])
    boxes = _Boxes(low, side, shape, first[:-1].copy(), np.empty(int(first[-1]), dtype=np.int64))
    _sort_into(vertices, faces, boxes)
    through = _search(vertices, faces, boxes._replace(first=first))
    here = np.flatnonzero(through >= 0)
    return np.stack([here, through[here]], axis=1)


@numba.njit(cache=True, nogil=True)
def _range(vertices: np.ndarray, corners: np.ndarray, boxes: _Boxes, out: np.ndarray) -> None:
    """Write the first and the last box along each axis that vertices ``corners`` touch."""
    for k in range(3):
        least, most = np.inf, -np.inf
        for c in corners:
            least, most = min(least, vertices[c, k]), max(most, vertices[c, k])
        out[0, k] = int((least - boxes.low_mm[k]) / boxes.side_mm)
        out[1, k] = int((most - boxes.low_mm[k]) / boxes.side_mm)


@numba.njit(cache=True, nogil=True)
def _sort_into(vertices: np.ndarray, faces: np.ndarray, boxes: _Boxes) -> None:
    span = np.empty((2, 3), np.int64)
    for f in range(len(faces)):
        _range(vertices, faces[f], boxes, span)
        for i in range(span[0, 0], span[1, 0] + 1):
            for j in range(span[0, 1], span[1, 1] + 1):
                for k in range(span[0, 2], span[1, 2] + 1):
                    box = (i * boxes.shape[1] + j) * boxes.shape[2] + k
                    if len(boxes.pieces):
                        boxes.pieces[boxes.first[box]] = f
                    boxes.first[box] += 1


@numba.njit(cache=True, nogil=True)
def _search(vertices: np.ndarray, faces: np.ndarray, boxes: _Boxes) -> np.ndarray:
    """Return for every face one face that an edge of it crosses, or -1."""
    through = np.full(len(faces), -1, np.int64)
    span = np.empty((2, 3), np.int64)
    ends = np.empty(2, np.int64)
    for f in range(len(faces)):
        for e in range(3):
            ends[0], ends[1] = faces[f, e], faces[f, (e + 1) % 3]
            _range(vertices, ends, boxes, span)
            for i in range(span[0, 0], span[1, 0] + 1):
                for j in range(span[0, 1], span[1, 1] + 1):
                    for k in range(span[0, 2], span[1, 2] + 1):
                        box = (i * boxes.shape[1] + j) * boxes.shape[2] + k
                        for position in range(boxes.first[box], boxes.first[box + 1]):
                            g = boxes.pieces[position]
                            if _apart(faces, ends, g) and _runs_through(vertices, faces, ends, g):
                                through[f] = g
    return through


@numba.njit(cache=True, nogil=True)
def _apart(faces: np.ndarray, ends: np.ndarray, g: int) -> bool:
    """Return whether a face has none of two vertices."""
    shared = 0
    for c in range(3):
        shared += int(faces[g, c] == ends[0]) + int(faces[g, c] == ends[1])
    return shared == 0


@numba.njit(cache=True, nogil=True)
def _runs_through(vertices: np.ndarray, faces: np.ndarray, ends: np.ndarray, g: int) -> bool:
    p, q, a, b, c = ends[0], ends[1], faces[g, 0], faces[g, 1], faces[g, 2]
    for k in range(3):
        low, high = min(vertices[p, k], vertices[q, k]), max(vertices[p, k], vertices[q, k])
        least = min(vertices[a, k], vertices[b, k], vertices[c, k])
        most = max(vertices[a, k], vertices[b, k], vertices[c, k])
        if low > most or high < least:
            return False
    along, back = vertices[q] - vertices[p], vertices[p] - vertices[a]
    one, two = vertices[b] - vertices[a], vertices[c] - vertices[a]
    across = np.cross(along, two)
    volume = (one * across).sum()
    size = (along * along).sum() * (one * one).sum() * (two * two).sum()
    if volume * volume <= FLAT * FLAT * size:
        return False
    u = (back * across).sum() / volume
    turned = np.cross(back, one)
    v = (along * turned).sum() / volume
    t = (two * turned).sum() / volume
    return bool(u > 0 and v > 0 and u + v < 1 and 0 < t < 1)
