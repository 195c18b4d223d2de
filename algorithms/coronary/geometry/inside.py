"""The points of a cubic grid that lie in blood, found without a look at the empty box around.  Points are (N, 3) mm."""

from __future__ import annotations

import numpy as np

from algorithms.coronary.geometry.shape import Lumen

COARSEST_STEPS = 64
"""Side of the blocks with which the search for blood begins; each round takes a quarter of it."""

SEARCH_MARGIN = 1.5
"""A block is opened if the wall may lie within this times its half diagonal: shapes give distances that are a little wrong."""

TOUCHING = 1e-6
"""A point nearer to the wall than this many steps lies on it: rounding may not decide to which part it belongs."""

POINTS_AT_ONCE = 1_000_000


def points_in_blood(lumen: Lumen, step_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the place of point 0 (3,), and index (N, 3) in lexicographic order and distance (N,) of the points in blood."""
    low, high = np.asarray(lumen.low_mm, float), np.asarray(lumen.high_mm, float)
    corner = low - 2 * step_mm
    shape = np.ceil((high - corner) / step_mm).astype(np.int64) + 3
    size = COARSEST_STEPS
    axes = [np.arange(0, extent, size) for extent in shape]
    blocks = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    while True:
        distance = distances_mm(lumen, corner + step_mm * (blocks + (size - 1) / 2))
        if size == 1:
            kept = (distance > TOUCHING * step_mm) & (blocks < shape).all(axis=1)
            break
        blocks = blocks[distance > -SEARCH_MARGIN * step_mm * size * np.sqrt(3) / 2]
        size //= 4
        steps = size * np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
        blocks = (blocks[:, None] + steps).reshape(-1, 3)
    blocks, distance = blocks[kept], distance[kept]
    order = np.lexsort(blocks.T[::-1])
    return corner, blocks[order], distance[order]


def distances_mm(lumen: Lumen, points_mm: np.ndarray) -> np.ndarray:
    """Return the (n,) distances of (n, 3) points, asked for in parts that fit into memory."""
    parts = [lumen.distance_mm(points_mm[i : i + POINTS_AT_ONCE]) for i in range(0, len(points_mm), POINTS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty(0)
