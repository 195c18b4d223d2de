"""A surface cut open across a vessel.  Points are (N, 3) mm; faces are (F, 3) vertex numbers."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.open_surface import merged


def cut_open(
    vertices_mm: np.ndarray, faces: np.ndarray, centre_mm: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface without the part behind a plane that is nearest to the plane's centre.

    Other vessels that cross the same plane elsewhere are left alone.

    Raises
    ------
    DataError
        If there is nothing behind the plane.
    """
    height = (vertices_mm - centre_mm) @ normal
    behind = height > 0
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = edges[behind[edges].all(axis=1)]
    if not behind.any():
        raise DataError("an opening lies behind the end of the vessel, wanted its plane across the lumen; move it inwards")
    graph = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(vertices_mm),) * 2)
    _, piece = connected_components(graph, directed=False)
    candidates = np.flatnonzero(behind)
    nearest = candidates[np.argmin(np.linalg.norm(vertices_mm[candidates] - centre_mm, axis=1))]
    height = np.where(behind & (piece != piece[nearest]), -1.0, height)
    return _below(vertices_mm, faces, height)


def _below(vertices: np.ndarray, faces: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface where ``height`` (V,) is at most 0; triangles on both sides are cut along it."""
    out = height[faces] > 0
    count = out.sum(axis=1)
    kept = [faces[count == 0]]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    split = np.unique(edges[(height[edges] > 0).sum(axis=1) == 1], axis=0)
    low, high = height[split[:, 0]], height[split[:, 1]]
    share = (low / (low - high))[:, None]
    added = vertices[split[:, 0]] * (1 - share) + vertices[split[:, 1]] * share
    key = split[:, 0] * len(vertices) + split[:, 1]

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        wanted = np.minimum(a, b) * len(vertices) + np.maximum(a, b)
        return np.asarray(len(vertices) + np.searchsorted(key, wanted))

    for alone, wanted in ((1, True), (2, False)):
        mixed = faces[count == alone]
        # Turn each triangle so that its first corner is the one that is alone on its side.
        turn = np.argmax((height[mixed] > 0) == wanted, axis=1)
        a, b, c = (mixed[np.arange(len(mixed)), (turn + k) % 3] for k in range(3))
        ab, ca = between(a, b), between(c, a)
        if wanted:
            kept += [np.stack([ab, b, c], axis=1), np.stack([ab, c, ca], axis=1)]
        else:
            kept.append(np.stack([a, ab, ca], axis=1))
    corners, triangles, _ = merged(np.concatenate([vertices, added]), np.concatenate(kept))
    used, renumbered = np.unique(triangles, return_inverse=True)
    return corners[used], renumbered.reshape(-1, 3)
