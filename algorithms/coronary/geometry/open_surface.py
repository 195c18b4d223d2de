"""A surface of triangles with open ends: is it one, where are its ends, and the same surface closed behind them.

Points are (N, 3) mm; faces are (F, 3) vertex numbers, seen counter-clockwise from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from algorithms.contract.errors import DataError

MERGE = 1e-6
"""Vertices nearer than this fraction of the surface's size are one: an STL file repeats every corner."""


@dataclass(frozen=True, eq=False)
class End:
    """An open end: its vertices in order, and the plane through them.  ``normal`` points out of the vessel."""

    loop: np.ndarray
    centre_mm: np.ndarray
    normal: np.ndarray
    area_mm2: float
    off_plane_mm: float
    """How far the farthest vertex of the end lies from its plane."""

    @property
    def radius_mm(self) -> float:
        return float(np.sqrt(self.area_mm2 / np.pi))


def merged(vertices_mm: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices and faces with every corner once, and which of the faces were kept (those that are triangles).

    Raises
    ------
    DataError
        If there are no faces.
    """
    if not len(faces):
        raise DataError("the surface has no triangles; export it again")
    size = float(np.ptp(vertices_mm, axis=0).max())
    _, first, number = np.unique(np.round(vertices_mm / (MERGE * size)), axis=0, return_index=True, return_inverse=True)
    faces = number.ravel()[faces]
    kept = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices_mm[first], faces[kept], kept


def require_sound(vertices_mm: np.ndarray, faces: np.ndarray) -> None:
    """Refuse what is no surface of one vessel.

    Raises
    ------
    DataError
        If an edge has more than two faces or two of opposite sides, or the surface is in pieces.
    """
    if not np.isfinite(vertices_mm).all():
        raise DataError("the surface has a vertex that is no number; export it again")
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, count = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    if (count > 2).any():
        raise DataError(
            f"{int((count > 2).sum())} edges of the surface have three triangles or more, wanted two; "
            "remove inner walls and double faces"
        )
    _, count = np.unique(directed, axis=0, return_counts=True)
    if (count > 1).any():
        raise DataError(
            f"at {int((count > 1).sum())} edges of the surface inside and outside change sides; turn its triangles one way"
        )
    pieces, of_vertex = connected_components(
        coo_matrix((np.ones(len(directed)), (directed[:, 0], directed[:, 1])), shape=(len(vertices_mm),) * 2), directed=False
    )
    sizes = np.bincount(of_vertex[faces[:, 0]], minlength=pieces)
    if (sizes > 0).sum() > 1:
        raise DataError(
            f"the surface is in {int((sizes > 0).sum())} separate pieces, the largest has {sizes.max()} of {len(faces)} "
            "triangles, wanted one piece; keep the vessel and remove the rest"
        )


def open_ends(vertices_mm: np.ndarray, faces: np.ndarray) -> list[End]:
    """Return the open ends, the largest first.

    Raises
    ------
    DataError
        If the borders touch each other, or there are fewer than two.
    """
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key = directed[:, 0] * len(vertices_mm) + directed[:, 1]
    back = directed[:, 1] * len(vertices_mm) + directed[:, 0]
    border = directed[~np.isin(back, key)]
    after = dict(border.tolist())
    if len(after) < len(border):
        raise DataError(
            "two borders of the surface touch in a vertex, wanted open ends apart from each other; mend the surface"
        )
    loops = []
    while after:
        start = next(iter(after))
        loop = [start]
        while (vertex := after.pop(loop[-1])) != start:
            loop.append(vertex)
        loops.append(np.array(loop))
    if len(loops) < 2:
        found = "is closed" if not loops else "has one open end"
        raise DataError(
            f"the surface {found}, wanted an inlet and an outlet at least; cut it open where blood comes in and goes out"
        )
    ends = [_end(vertices_mm, faces, loop) for loop in loops]
    return sorted(ends, key=lambda end: -end.area_mm2)


def _end(vertices_mm: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> End:
    rim = vertices_mm[loop]
    middle = rim.mean(axis=0)
    wedge = np.cross(rim - middle, np.roll(rim, -1, axis=0) - middle) / 2
    # Along the border of a surface that is seen from outside, the end turns away from the vessel clockwise.
    area = -wedge.sum(axis=0)
    size = float(np.linalg.norm(area))
    if not size > 0:
        raise DataError("an open end of the surface has no area; close the hole or mend the surface")
    normal = area / size
    share = -(wedge @ normal) / size
    centre = ((rim + np.roll(rim, -1, axis=0) + middle) / 3 * share[:, None]).sum(axis=0)
    return End(loop, centre, normal, size, float(np.abs((rim - centre) @ normal).max()))


def closed_behind(
    vertices_mm: np.ndarray, faces: np.ndarray, ends: list[End], lengths_mm: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface with a straight piece of vessel and a lid behind every end; ``lengths_mm`` are along the normals."""
    vertices, triangles = [vertices_mm], [faces]
    count = len(vertices_mm)
    for end, length in zip(ends, lengths_mm, strict=True):
        rim = vertices_mm[end.loop]
        short = length - (rim - end.centre_mm) @ end.normal
        size = len(end.loop)
        rings = max(1, int(np.ceil(length / end.radius_mm)))
        levels = [rim + (k / rings) * short[:, None] * end.normal for k in range(1, rings + 1)]
        numbers = [end.loop, *(count + k * size + np.arange(size) for k in range(rings))]
        for near, far in pairwise(numbers):
            # The border edge a -> b belongs to a face already: the new one takes it as b -> a.
            a, b, c, d = near, np.roll(near, -1), np.roll(far, -1), far
            triangles += [np.stack([b, a, d], axis=1), np.stack([b, d, c], axis=1)]
        lid = np.full(size, count + rings * size)
        triangles.append(np.stack([np.roll(numbers[-1], -1), numbers[-1], lid], axis=1))
        vertices += [*levels, (end.centre_mm + length * end.normal)[None]]
        count += rings * size + 1
    return np.concatenate(vertices), np.concatenate(triangles)
