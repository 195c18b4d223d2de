"""A vessel from its ostium to its tip as one path, with everything a picture shows along it.

Points are (N, 3) LPS mm; distances are mm along the vessel from the ostium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.coronary.tree import Tree

MAIN = ("LAD", "LCx", "RCA")
"""Vessels that get a page whether diseased or not; a side branch gets one when a lesion lies on it."""


SHORTEST_MM = 5.0
"""A vessel that ends sooner is a stump, with nothing to straighten."""


@dataclass(frozen=True, eq=False)
class VesselPath:
    """A branch with the branches it comes from: arrays along its N points.

    ``branch`` and ``point`` say which point of which branch each one is.
    """

    name: str
    branch: np.ndarray
    point: np.ndarray
    points_mm: np.ndarray
    distance_mm: np.ndarray
    radius_mm: np.ndarray
    reference_radius_mm: np.ndarray
    radius_sd_mm: np.ndarray
    segment: np.ndarray

    def position(self, branch: int, point: int) -> int | None:
        """Return where point ``point`` of branch ``branch`` lies on this path, or ``None``."""
        found = np.flatnonzero((self.branch == branch) & (self.point == point))
        return int(found[0]) if len(found) else None

    def along(self, values: Sequence[Sequence[float]]) -> np.ndarray:
        """Return per-branch values (in the tree's order) at the points of this path, (N,)."""
        return np.array([values[b][p] for b, p in zip(self.branch, self.point, strict=True)])

    def stenoses(self, tree: Tree) -> list[tuple[int, int, int, int]]:
        """Return (index, start, throat, end) of the tree's stenoses on this path, as positions on it, from the ostium on."""
        found = []
        for index, stenosis in enumerate(tree.stenoses):
            throat = self.position(stenosis.branch, stenosis.throat)
            if throat is None:
                continue
            start = self.position(stenosis.branch, stenosis.start)
            end = self.position(stenosis.branch, stenosis.end)
            found.append((index, throat if start is None else start, throat, throat if end is None else end))
        return sorted(found, key=lambda item: item[2])


def vessel_path(tree: Tree, index: int) -> VesselPath:
    """Return the path from the ostium to the tip of branch ``index``."""
    pieces = [(index, 0, len(tree.branches[index].points_mm))]
    branch = tree.branches[index]
    while branch.parent is not None and branch.parent_point is not None:
        # The child's first point is the parent's: it is kept once, with the child's own radius.
        pieces.insert(0, (branch.parent, 0, branch.parent_point))
        branch = tree.branches[branch.parent]
    numbers = np.concatenate([np.full(stop - start, b) for b, start, stop in pieces])
    places = np.concatenate([np.arange(start, stop) for _, start, stop in pieces])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(tree.branches[b], name))[start:stop] for b, start, stop in pieces])

    points = joined("points_mm")
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return VesselPath(
        name=tree.branches[index].name, branch=numbers, point=places, points_mm=points,
        distance_mm=np.concatenate([[0.0], np.cumsum(steps)]), radius_mm=joined("radius_mm"),
        reference_radius_mm=joined("reference_radius_mm"), radius_sd_mm=joined("radius_sd_mm"), segment=joined("segment"),
    )  # fmt: skip


def shown_paths(tree: Tree) -> list[VesselPath]:
    """Return the paths that get a page: LAD, LCx, RCA, then every other branch with a stenosis not on one of those."""
    chosen = [i for name in MAIN for i, b in enumerate(tree.branches) if b.name == name]
    on_main = {int(b) for i in chosen for b in np.unique(vessel_path(tree, i).branch)}
    for stenosis in tree.stenoses:
        if stenosis.branch not in on_main and stenosis.branch not in chosen:
            chosen.append(stenosis.branch)
    paths = [vessel_path(tree, index) for index in chosen]
    return [path for path in paths if path.distance_mm[-1] >= SHORTEST_MM]


def lesion_label(index: int) -> str:
    """Return the short name of the tree's stenosis ``index`` that tables and pictures share."""
    return f"L{index + 1}"
