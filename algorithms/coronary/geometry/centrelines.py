"""The centrelines of a lumen that has none: from its inlet to every outlet, merged into a tree.

A way through the middle is found on a grid of points (cheap where the wall is far, so that it keeps away from it), and
then drawn to the middle of the vessel: each point to the centroid of the cut across the line there, which rays from the
point find on the signed distance itself.  So neither the voxels of a mask nor the triangles of a surface are seen in it.
A radius is that of the circle with the cut's area; rays that run off into another branch count as the median ray.

One branch runs from the inlet to the widest outlet; every other one starts where its line leaves the lines before it.
Points are (N, 3) mm in the frame of the lumen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.inside import points_in_blood
from algorithms.coronary.geometry.shape import Lumen, Opening
from algorithms.coronary.tree import Branch, Tree

STEPS_PER_RADIUS = 5
STEP_RANGE_MM = (0.04, 2.0)
"""The grid on which ways are looked for has so many steps to the radius of the narrowest opening."""

HALVINGS = 2
"""How often the grid is made finer where a throat lets nothing through."""

POINTS_PER_RADIUS = 4.0
POINT_RANGE_MM = (0.1, 0.5)
"""Distance between points of a centreline: a quarter of the smallest radius, so that no throat is passed over; at most what
the pipeline's trees have."""

RAYS = 32
"""Rays from a point across the line: their mean square is the area of an ellipse of 2 to 1 within 0.1 %."""

OPEN_RAY = 1.6
"""A ray so many times as long as the median one runs into another branch; in an ellipse of 2 to 1 none is."""

TRACE_STEPS = 40
TRACE_END = 2e-3
"""A ray is at the wall where that is nearer than this part of the median length: half the tolerance of anything here."""

ROUNDS = 8
"""Each round draws the line to the middle and smooths it; a way on the grid is off by a third of the radius at first."""

SMOOTH_RADII = 0.3
"""Width of the smoothing along the line: it moves a bend of 5 radii inwards by 1 % of the radius, before it is drawn back."""

PARTED_RADII = 0.15
"""Two lines are one while they are nearer than this part of the radius."""

HALF_OF_26 = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)])


@dataclass(frozen=True, eq=False)
class _Line:
    """A line from the inlet to one outlet: points (N, 3), radii (N,), and the outlet's name."""

    name: str
    points_mm: np.ndarray
    radius_mm: np.ndarray


def centrelines(lumen: Lumen) -> Tree:
    """Return the tree of a lumen with one inlet; branches have the names of the outlets to which they lead.

    Raises
    ------
    DataError
        If there is not one inlet, no outlet, or an outlet is not reached from the inlet.
    """
    inlets = [opening for opening in lumen.openings if opening.inlet]
    outlets = sorted((o for o in lumen.openings if not o.inlet), key=lambda o: -o.radius_mm)
    if len(inlets) != 1 or not outlets:
        raise DataError(
            f"the lumen has {len(inlets)} inlets and {len(outlets)} outlets, wanted one inlet and at least one outlet; "
            "label or name the openings"
        )
    narrowest = min(opening.radius_mm for opening in lumen.openings)
    step = float(np.clip(narrowest / STEPS_PER_RADIUS, *STEP_RANGE_MM))
    for halving in range(HALVINGS + 1):
        ways, missed = _ways(lumen, inlets[0], outlets, step / 2**halving)
        if not missed:
            break
    else:
        raise DataError(
            f"outlet {missed[0]} is not reached from the inlet: the lumen is closed between them, or in pieces; "
            "report the occlusion, or correct the segmentation there"
        )
    lines = [_centred(lumen, way, (inlets[0], outlet), step / 2**halving) for way, outlet in zip(ways, outlets, strict=True)]
    return _tree(lines)


def _ways(lumen: Lumen, inlet: Opening, outlets: list[Opening], step_mm: float) -> tuple[list[np.ndarray], list[str]]:
    """Return a way (N, 3) from the inlet to each outlet on a grid, and the names of the outlets that have none."""
    corner, index, depth = points_in_blood(lumen, step_mm)
    points = corner + step_mm * index
    if len(index):
        before = _before_openings(points, lumen.openings, step_mm)
        points, index, depth = points[before], index[before], depth[before]
    if not len(index):
        return [], [outlet.name for outlet in outlets]
    pairs = _pairs(index)
    length = step_mm * np.linalg.norm(index[pairs[:, 0]] - index[pairs[:, 1]], axis=1)
    wall = np.flatnonzero(depth < step_mm)
    inside = depth
    if len(wall):
        # A surface knows its distances near the wall only; farther in, the way to the points there tells.
        away, nearest = cKDTree(points[wall]).query(points)
        inside = away + depth[wall[nearest]]
    price = 1 / inside**2
    cost = length * (price[pairs[:, 0]] + price[pairs[:, 1]]) / 2
    graph = sparse.coo_matrix((cost, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))).tocsr()
    root = _nearest(points, inlet.centre_mm)
    reach, before_it = csgraph.dijkstra(graph, directed=False, indices=root, return_predecessors=True)
    ways, missed = [], []
    for outlet in outlets:
        nodes = [_nearest(points, outlet.centre_mm)]
        if not np.isfinite(reach[nodes[0]]):
            missed.append(outlet.name)
            continue
        while before_it[nodes[-1]] >= 0:
            nodes.append(int(before_it[nodes[-1]]))
        ways.append(np.concatenate([[inlet.centre_mm], points[nodes[::-1]], [outlet.centre_mm]]))
    return ways, missed


def _nearest(points: np.ndarray, place: np.ndarray) -> int:
    return int(np.argmin(np.linalg.norm(points - place, axis=1)))


def _before_openings(points: np.ndarray, openings: tuple[Opening, ...], step_mm: float) -> np.ndarray:
    """Return (N,) whether a point does not lie just behind an opening: no step on the grid leads over what is left out."""
    kept = np.ones(len(points), bool)
    for opening in openings:
        away = points - opening.centre_mm
        height = away @ opening.normal
        aside = np.linalg.norm(away - height[:, None] * opening.normal, axis=1)
        kept &= ~((height > 0) & (height < 2 * step_mm) & (aside < 1.5 * opening.radius_mm))
    return kept


def _pairs(index: np.ndarray) -> np.ndarray:
    """Return (P, 2) the pairs of neighbours among 26; ``index`` is in lexicographic order."""
    span = index.max(axis=0) + 3
    strides = np.array([span[1] * span[2], span[2], 1])
    keys = (index + 1) @ strides
    found = []
    for step in HALF_OF_26:
        wanted = keys + step @ strides
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        here = np.flatnonzero(keys[place] == wanted)
        found.append(np.column_stack([here, place[here]]))
    return np.concatenate(found)


def _centred(lumen: Lumen, way: np.ndarray, ends: tuple[Opening, Opening], step_mm: float) -> _Line:
    """Return the line through the middle of the vessel along a way on the grid."""
    line, spacing = _spaced(_smoothed(way, np.full(len(way), 2.0)), 1.5 * step_mm)
    for _ in range(ROUNDS):
        tangent = _tangents(line, ends)
        shift, radius, _ = _cut(lumen, line, tangent)
        moved = line + shift
        line, spacing = _spaced(_smoothed(moved, SMOOTH_RADII * radius / spacing), spacing)
    radius = _cut(lumen, line, _tangents(line, ends))[1]
    wanted = float(np.clip(radius.min() / POINTS_PER_RADIUS, *POINT_RANGE_MM))
    line, _ = _spaced(line, wanted)
    tangent = _tangents(line, ends)
    shift, radius, _ = _cut(lumen, line, tangent)
    line = line + shift
    # The line ends on the planes of the openings, at their middles.
    return _Line(ends[1].name, line, radius)


def _spaced(points: np.ndarray, step_mm: float) -> tuple[np.ndarray, float]:
    """Return the line with points at even distances of about ``step_mm``, and that distance."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    count = max(2, round(along[-1] / step_mm)) + 1
    even = np.linspace(0, along[-1], count)
    return np.stack([np.interp(even, along, points[:, k]) for k in range(3)], axis=1), float(even[1])


def _smoothed(points: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the line smoothed by Gaussians of ``sigma`` points, a width for each point; its ends stay."""
    levels = np.geomspace(max(sigma.min(), 0.3), max(sigma.max(), 0.3) * 1.001, 4)
    # Beyond its ends the line goes on as its point reflection, so that these stay where they are.
    pad = int(4 * levels[-1]) + 1
    before = 2 * points[0] - points[1 : pad + 1][::-1] if len(points) > pad else np.repeat(points[:1], pad, axis=0)
    behind = 2 * points[-1] - points[-pad - 1 : -1][::-1] if len(points) > pad else np.repeat(points[-1:], pad, axis=0)
    longer = np.concatenate([before, points, behind])
    smooth = np.stack([ndimage.gaussian_filter1d(longer, s, axis=0)[len(before) : len(before) + len(points)] for s in levels])
    place = np.clip(np.interp(sigma, levels, np.arange(len(levels))), 0, len(levels) - 1)
    low = np.minimum(place.astype(int), len(levels) - 2)
    part = (place - low)[:, None]
    own = np.arange(len(points))
    return np.asarray((1 - part) * smooth[low, own] + part * smooth[low + 1, own])


def _tangents(line: np.ndarray, ends: tuple[Opening, Opening]) -> np.ndarray:
    """Return (N, 3) unit directions; at the openings those of their planes, so that the line ends on them."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    tangent[0], tangent[-1] = -ends[0].normal, ends[1].normal
    return np.asarray(tangent)


def _cut(lumen: Lumen, line: np.ndarray, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the way from each point to the centroid of its cut (N, 3), the radius of the cut's area (N,), and the rays.

    Rays (N, RAYS) are mm from the point to the wall.
    """
    helper = np.eye(3)[np.argmin(np.abs(tangent), axis=1)]
    first = np.cross(tangent, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    angle = 2 * np.pi * np.arange(RAYS) / RAYS
    rays = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    length = _traced(lumen, line, rays)
    middle = np.median(length, axis=1, keepdims=True)
    length = np.where(length > OPEN_RAY * middle, middle, length)
    square = (length**2).mean(axis=1)
    shift = 2 / 3 * (length[..., None] ** 3 * rays).mean(axis=1) / np.maximum(square, 1e-12)[:, None]
    # A point at the wall sees half a cut; it may not leave the vessel on the way to the middle.
    far = np.linalg.norm(shift, axis=1, keepdims=True)
    shift = shift * np.minimum(1, 0.5 * middle / np.maximum(far, 1e-12))
    return shift, np.sqrt(square), length


def _traced(lumen: Lumen, line: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return (N, RAYS) the length of each ray to the wall: the distance itself is a step that never passes it."""
    count = len(line) * rays.shape[1]
    start = np.repeat(line, rays.shape[1], axis=0)
    way = rays.reshape(-1, 3)
    length = np.zeros(count)
    open_ = np.arange(count)
    depth = np.repeat(np.maximum(lumen.distance_mm(line), 1e-6), rays.shape[1])
    # What lies beyond several widths is another branch, however far it goes.
    most = np.inf
    for step in range(TRACE_STEPS):
        length[open_] += depth
        gap = lumen.distance_mm(start[open_] + length[open_, None] * way[open_])
        if step == TRACE_STEPS // 4:
            most = 4 * float(np.median(length.reshape(len(line), -1), axis=1).max())
        done = (gap < TRACE_END * np.maximum(length[open_], 1e-3)) | (length[open_] > most)
        length[open_[done]] += np.minimum(gap[done], 0)
        open_, depth = open_[~done], gap[~done]
        if not len(open_):
            break
    return length.reshape(len(line), -1)


def _tree(lines: list[_Line]) -> Tree:
    """Return the lines as branches: the first whole, each other one from where it leaves those before it."""
    branches: list[Branch] = []
    for line in lines:
        parent, leaves = None, 0
        for number, other in enumerate(branches):
            away, nearest = cKDTree(other.points_mm).query(line.points_mm)
            same = np.flatnonzero(away < PARTED_RADII * other.radius_mm[nearest])
            if len(same) and (parent is None or same[-1] > leaves):
                parent, leaves = number, int(same[-1])
        branches.append(_branch(line, parent, leaves, branches))
    return Tree(tuple(branches))


def _branch(line: _Line, parent: int | None, leaves: int, branches: list[Branch]) -> Branch:
    points, radius, point = line.points_mm, line.radius_mm, None
    if parent is not None:
        trunk = branches[parent]
        point = int(np.argmin(np.linalg.norm(trunk.points_mm - points[leaves], axis=1)))
        leaves = min(leaves, len(points) - 2)
        points = np.concatenate([trunk.points_mm[point][None], points[leaves + 1 :]])
        radius = radius[leaves:].copy()
        # Within its parent a branch has the width with which it leaves it.
        away, nearest = cKDTree(trunk.points_mm).query(points)
        out = np.flatnonzero(away > trunk.radius_mm[nearest])
        first = int(out[0]) if len(out) else len(points) - 1
        radius[:first] = radius[first]
    count = len(radius)
    return Branch(line.name, parent, point, points, radius, radius.copy(), np.zeros(count), np.zeros(count, dtype=int))
