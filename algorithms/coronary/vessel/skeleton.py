"""A mask of vessels to loop-free voxel paths from the ostia to the tips.

Every mask voxel is a node of a graph with its 26 neighbours; a step costs more the farther it lies from the vessel's
middle.  Shortest paths from the ostia make a tree of all voxels, whatever holes or loops the mask has; the longest path
is the first branch, then the longest of what it does not cover, and so on (the idea of TEASAR, Sato et al.,
Proc. Pacific Graphics 281 (2000)).  Arrays are (Z, Y, X) and so are voxel indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

CENTRE_WEIGHT = 12.0
"""How much more a step along the wall costs than one along the middle (1)."""

COVER_RADII = 1.6
"""A path covers what lies within this many of its own radii, plus COVER_MM."""

COVER_MM = 1.0

MOST_PATHS = 60
"""A healthy tree has about 20 branches at CT resolution; a leaking mask makes hundreds of paths."""

NEIGHBOURS = np.array([(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)])
"""One of each pair of opposite steps to the 26 neighbours."""


@dataclass(frozen=True, eq=False)
class Path:
    """Voxels from a point of the parent path (or from a seed) to a tip."""

    voxels: np.ndarray  # (N, 3) int
    radius_mm: np.ndarray  # (N,) distance to the mask's border, mm
    parent: int | None
    parent_point: int | None
    seed: int  # which seed the path comes from


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Paths, a parent before its children, and what is odd about the mask they come from."""

    paths: tuple[Path, ...]
    contacts: tuple[tuple[int, int, float], ...]  # paths that touch though far apart along the tree, with that length in mm
    seeds_joined: bool  # the mask connects what two seeds feed
    cut_off: int  # paths left out because there were more than MOST_PATHS


def skeleton_of(mask: np.ndarray, spacing_mm: np.ndarray, seeds: np.ndarray, shortest_mm: float) -> Skeleton:
    """Return the paths of ``mask`` from ``seeds``.

    Parameters
    ----------
    mask
        (Z, Y, X) bool; voxels that no seed reaches are left out.
    spacing_mm
        (3,) z, y, x.
    seeds
        (S, 3) voxels of the mask, one an ostium.
    shortest_mm
        A side path is a spur, and left out, if it leaves its parent by less than this plus two of the parent's radii.
    """
    voxels = np.argwhere(mask)
    number = np.full(mask.shape, -1, dtype=np.int32)
    number[mask] = np.arange(len(voxels))
    pairs, steps_mm = _neighbour_pairs(voxels, number, spacing_mm)
    inside_mm = _inside_mm(mask, voxels, spacing_mm)
    radius = inside_mm - 0.5 * float(np.min(spacing_mm))
    price = _price(inside_mm, pairs, rounds=int(np.ceil(1.5 / np.mean(spacing_mm))))
    cost = steps_mm * (price[pairs[:, 0]] + price[pairs[:, 1]]) / 2
    graph = sparse.coo_matrix((cost, (pairs[:, 0], pairs[:, 1])), shape=(len(voxels), len(voxels))).tocsr()
    roots = number[tuple(np.asarray(seeds).T)]
    reach, before, source = csgraph.dijkstra(graph, directed=False, indices=roots, return_predecessors=True, min_only=True)
    order = np.argsort(reach, kind="stable")
    order = order[np.isfinite(reach[order])]
    length_mm = _length_along_tree(order, before, voxels * spacing_mm)
    found = _grow(
        voxels * spacing_mm, radius_mm=radius, before=before, length_mm=length_mm, source=source, shortest_mm=shortest_mm
    )
    contacts = _contacts(
        found,
        pairs,
        radius_mm=radius,
        before=before,
        order=order,
        length_mm=length_mm,
        source=source,
        points_mm=voxels * spacing_mm,
    )
    joined = source[pairs[:, 0]] != source[pairs[:, 1]]
    joined &= np.isfinite(reach[pairs[:, 0]]) & np.isfinite(reach[pairs[:, 1]])
    seed_of_root = {int(root): i for i, root in enumerate(roots)}
    paths = tuple(
        Path(voxels[nodes], radius[nodes], parent, point, seed_of_root[int(source[nodes[-1]])])
        for nodes, parent, point in found.paths
    )
    return Skeleton(paths, contacts, bool(joined.any()), found.cut_off)


def _neighbour_pairs(voxels: np.ndarray, number: np.ndarray, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of neighbouring mask voxels (P, 2) and their distances (P,) mm."""
    pairs, lengths = [], []
    for step in NEIGHBOURS:
        there = voxels + step
        inside = np.all((there >= 0) & (there < number.shape), axis=1)
        here = np.flatnonzero(inside)
        other = number[tuple(there[here].T)]
        here, other = here[other >= 0], other[other >= 0]
        pairs.append(np.column_stack([here, other]))
        lengths.append(np.full(len(here), float(np.linalg.norm(step * spacing_mm))))
    return np.concatenate(pairs), np.concatenate(lengths)


def _inside_mm(mask: np.ndarray, voxels: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return each mask voxel's distance to the nearest voxel outside, (N,) mm; what is beyond the array is outside."""
    padded = np.pad(mask, 1)
    near = [voxels + 1 + step for step in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])]
    rim = np.unique(np.concatenate([place[~padded[tuple(place.T)]] for place in near]), axis=0)
    distance: np.ndarray = cKDTree(rim * spacing_mm).query((voxels + 1) * spacing_mm)[0]
    return distance


def _price(inside_mm: np.ndarray, pairs: np.ndarray, rounds: int) -> np.ndarray:
    """Return the cost of a mm in each voxel: 1 in the middle of the vessel, 1 + CENTRE_WEIGHT at its wall.

    The distance to the border is the same for all voxels of a thin vessel, so how many neighbours are mask, and how many
    those have, tells the middle there.  The most central voxel within ``rounds`` steps is the middle.
    """
    a, b = pairs.T
    full = np.ones(len(inside_mm))
    for _ in range(2):
        total = full + np.bincount(a, full[b], len(full)) + np.bincount(b, full[a], len(full))
        full = total / 27
    central = inside_mm + full
    most = central.copy()
    for _ in range(rounds):
        wider = most.copy()
        np.maximum.at(wider, a, most[b])
        np.maximum.at(wider, b, most[a])
        most = wider
    price: np.ndarray = 1 + CENTRE_WEIGHT * (1 - central / most) ** 2
    return price


def _length_along_tree(order: np.ndarray, before: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Return the length of the path from each node back to its root, (N,) mm; 0 where no root is reached."""
    length = np.zeros(len(points_mm))
    step = np.linalg.norm(points_mm - points_mm[np.maximum(before, 0)], axis=1)
    for node in order:
        if before[node] >= 0:
            length[node] = length[before[node]] + step[node]
    return length


@dataclass(eq=False)
class _Growth:
    paths: list[tuple[np.ndarray, int | None, int | None]]  # nodes from the joint to the tip, parent, parent's point
    owner: np.ndarray  # (N,) path that a node is on, or -1
    position: np.ndarray  # (N,) its place on that path
    cut_off: int = 0


def _grow(
    points_mm: np.ndarray,
    *,
    radius_mm: np.ndarray,
    before: np.ndarray,
    length_mm: np.ndarray,
    source: np.ndarray,
    shortest_mm: float,
) -> _Growth:
    """Return paths to tips, longest first, each back to a node that an earlier path has, and no spurs."""
    growth = _Growth([], np.full(len(points_mm), -1), np.zeros(len(points_mm), dtype=np.int64))
    open_ = source >= 0
    while open_.any():
        tip = int(np.argmax(np.where(open_, length_mm, -1.0)))
        nodes = [tip]
        while before[nodes[-1]] >= 0 and growth.owner[nodes[-1]] < 0:
            nodes.append(int(before[nodes[-1]]))
        path = np.array(nodes[::-1])
        joint = int(path[0])
        parent = int(growth.owner[joint])
        free_mm = length_mm[tip] - length_mm[joint]
        spur = parent >= 0 and free_mm < shortest_mm + 2 * radius_mm[joint]
        near_mm, nearest = cKDTree(points_mm[path]).query(points_mm[open_], distance_upper_bound=10.0)
        reached = near_mm <= COVER_RADII * radius_mm[path][np.minimum(nearest, len(path) - 1)] + COVER_MM
        open_[np.flatnonzero(open_)[reached]] = False
        open_[path] = False
        if spur or len(path) < 2:
            continue
        if len(growth.paths) >= MOST_PATHS:
            growth.cut_off += 1
            continue
        fresh = path if parent < 0 else path[1:]
        growth.owner[fresh] = len(growth.paths)
        growth.position[fresh] = np.arange(len(path))[-len(fresh) :]
        growth.paths.append((path, parent if parent >= 0 else None, int(growth.position[joint]) if parent >= 0 else None))
    return growth


CONTACT_MM = 15.0
"""Vessels that touch though this far apart along the tree close a loop: one of them is taken wrongly, or both cross."""

LEAST_TOUCHING = 25
"""Pairs of neighbouring voxels in a contact: two vessels that pass with a voxel's corner between them have up to 10, a
crossing vessel of 2 mm has 100 and more."""

PARTED_MM = 2.0
"""A branch has parted from its parent where it is this far outside the parent's lumen: farther than its own radius."""


def _contacts(
    growth: _Growth,
    pairs: np.ndarray,
    *,
    radius_mm: np.ndarray,
    before: np.ndarray,
    order: np.ndarray,
    length_mm: np.ndarray,
    source: np.ndarray,
    points_mm: np.ndarray,
) -> tuple[tuple[int, int, float], ...]:
    """Return the pairs of paths whose voxels touch though they are CONTACT_MM or more apart along the tree."""
    attached = np.where(growth.owner >= 0, np.arange(len(before)), -1)
    for node in order:
        if attached[node] < 0 and before[node] >= 0:
            attached[node] = attached[before[node]]
    parted = _parted(growth, radius_mm, points_mm)
    ends = attached[pairs]
    ends = ends[(ends >= 0).all(axis=1)]
    ends = ends[(growth.owner[ends[:, 0]] != growth.owner[ends[:, 1]]) & parted[ends].all(axis=1)]
    ends, counts = np.unique(np.sort(ends, axis=1), axis=0, return_counts=True)
    found: dict[tuple[int, int], float] = {}
    touching: dict[tuple[int, int], int] = {}
    for (a, b), count in zip(ends, counts, strict=True):
        if source[a] != source[b]:
            continue
        apart = length_mm[a] + length_mm[b] - 2 * length_mm[_common(growth, int(a), int(b))]
        near = float(np.linalg.norm(points_mm[a] - points_mm[b]))
        if apart - near >= CONTACT_MM:
            key = (int(growth.owner[a]), int(growth.owner[b]))
            found[key] = max(found.get(key, 0.0), float(apart))
            touching[key] = touching.get(key, 0) + int(count)
    return tuple((*key, found[key]) for key in sorted(found) if touching[key] >= LEAST_TOUCHING)


def _parted(growth: _Growth, radius_mm: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Return whether each node on a path has left its parent's lumen for good, (N,) bool.

    In one wide lumen two paths may run side by side for long before they part; their contact there is no loop.
    """
    parted = np.zeros(len(points_mm), dtype=bool)
    for nodes, parent, _ in growth.paths:
        if parent is None:
            parted[nodes] = True
            continue
        stem = growth.paths[parent][0]
        far, near = cKDTree(points_mm[stem]).query(points_mm[nodes])
        free = np.flatnonzero(far > radius_mm[stem][near] + PARTED_MM)
        parted[nodes[int(free[0]) if len(free) else len(nodes) :]] = True
        parted[nodes[0]] = True  # the joint belongs to the parent
    return parted


def _common(growth: _Growth, a: int, b: int) -> int:
    """Return the last node that the ways from the root to nodes ``a`` and ``b`` share (both lie on paths)."""
    while growth.owner[a] != growth.owner[b]:
        if growth.owner[a] > growth.owner[b]:
            a = int(growth.paths[growth.owner[a]][0][0])
        else:
            b = int(growth.paths[growth.owner[b]][0][0])
    return a if growth.position[a] <= growth.position[b] else b
