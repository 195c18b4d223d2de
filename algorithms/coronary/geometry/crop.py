"""The part of a tree around a lesion: one vessel from here to there, with the beginnings of its side branches.

Points are (N, 3) LPS mm; distances along the vessel are mm from its ostium.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.tree import Branch, Tree

ARRAYS = ("points_mm", "radius_mm", "reference_radius_mm", "radius_sd_mm")


@dataclass(frozen=True)
class Cut:
    """Where an opening of the part lies in the whole tree: on which branch, and how far from that branch's first point."""

    name: str
    branch: int
    distance_mm: float


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a tree; branch 0 is the vessel itself, every branch of it ends in an outlet.

    ``cuts`` holds the inlet first, then one outlet a branch, in the order of the part's branches.
    """

    tree: Tree
    cuts: tuple[Cut, ...]

    @property
    def ends(self) -> tuple[bool, ...]:
        """Return for each branch that it ends in an outlet, as ``swept_lumen`` wants to be told."""
        return (True,) * len(self.tree.branches)


def cropped(tree: Tree, branch: int, from_mm: float, to_mm: float, side_diameters: float = 3.0) -> Crop:
    """Return the part of ``tree`` along the vessel that ends in ``branch``.

    Parameters
    ----------
    tree
        The whole tree.
    branch
        Index of the branch; the vessel is the path from its ostium to its tip.
    from_mm, to_mm
        Where to cut, distances from the ostium along the vessel; held within the vessel.  A cut that would lie in a
        bifurcation is moved upstream (the inlet) or downstream (an outlet) until it is clear of the other branches.
    side_diameters
        How much is left of each side branch behind the wall of the vessel at least, in diameters of its origin, > 0.

    Raises
    ------
    DataError
        If nothing of the vessel lies between the cuts.
    """
    path = _path(tree, branch)
    along = path.distance_mm
    start, stop = max(from_mm, 0.0), min(to_mm, float(along[-1]))
    if not stop - start > 0:
        raise DataError(
            f"vessel {tree.branches[branch].name} is {along[-1]:.1f} mm long and nothing of it lies from {from_mm:.1f} to "
            f"{to_mm:.1f} mm; choose a place on it"
        )
    on_path = [path.point[path.branch == index] for index in range(len(tree.branches))]
    clear = _clear(path.line.points_mm, path.line.radius_mm, tree, on_path)
    start = max((float(d) for d in along[clear] if d <= start), default=0.0) if not _at(clear, along, start) else start
    stop = min((float(d) for d in along[clear] if d >= stop), default=along[-1]) if not _at(clear, along, stop) else stop
    inner = np.flatnonzero((along > start + 1e-6) & (along < stop - 1e-6))
    places = np.concatenate([[start], along[inner], [stop]])
    main = _sampled(path.line, along, places)
    part = _Part([main], [_cut("inlet", path, tree, start), _cut(main.name, path, tree, stop)], side_diameters)
    for child, origin, position in _leaving(tree, path):
        if not start < along[position] < stop:
            continue
        point = 1 + int(np.searchsorted(inner, position))
        _add_side(tree, (child, origin), (0, point), part)
    names = _own_names([b.name for b in part.branches])
    branches = tuple(replace(b, name=name) for b, name in zip(part.branches, names, strict=True))
    cuts = tuple(replace(cut, name=name) for cut, name in zip(part.cuts, ["inlet", *names], strict=True))
    return Crop(Tree(branches, (), tree.doubts), cuts)


@dataclass(frozen=True, eq=False)
class _Part:
    """What is collected of the tree; ``side_diameters`` is how much is left of each side branch."""

    branches: list[Branch]
    cuts: list[Cut]
    side_diameters: float


@dataclass(frozen=True, eq=False)
class _Path:
    """The vessel as one line, and which point of which branch each of its points is."""

    line: Branch
    branch: np.ndarray
    point: np.ndarray

    @property
    def distance_mm(self) -> np.ndarray:
        return self.line.distance_mm


def _path(tree: Tree, index: int) -> _Path:
    pieces = [(index, len(tree.branches[index].points_mm))]
    while (parent := tree.branches[pieces[0][0]].parent) is not None:
        pieces.insert(0, (parent, int(tree.branches[pieces[0][0]].parent_point or 0)))
    arrays = {
        name: np.concatenate([getattr(tree.branches[b], name)[:count] for b, count in pieces]) for name in (*ARRAYS, "segment")
    }
    return _Path(
        Branch(tree.branches[index].name, None, None, **arrays),
        np.concatenate([np.full(count, b) for b, count in pieces]),
        np.concatenate([np.arange(count) for _, count in pieces]),
    )


def _leaving(tree: Tree, path: _Path) -> list[tuple[int, int, int]]:
    """Return (branch, its first point, position on the path) of all that leaves the path, in the order of the path."""
    found = []
    for position, (b, p) in enumerate(zip(path.branch, path.point, strict=True)):
        if p == 0 and position:
            # The path turned into a child here: what goes on of its parent is a side branch.
            parent, origin = int(tree.branches[b].parent or 0), int(tree.branches[b].parent_point or 0)
            rest = tree.branches[parent].distance_mm[-1] - tree.branches[parent].distance_mm[origin]
            if rest > 2 * tree.branches[parent].radius_mm[-1]:
                found.append((parent, origin, position))
            found += [(c, 0, position) for c in _children_at(tree, parent, origin) if c != b]
        found += [(c, 0, position) for c in _children_at(tree, int(b), int(p)) if c not in path.branch]
    return found


def _children_at(tree: Tree, parent: int, point: int) -> list[int]:
    return [c for c in tree.children(parent) if int(tree.branches[c].parent_point or 0) == point]


def _add_side(tree: Tree, side: tuple[int, int], on: tuple[int, int], part: _Part) -> None:
    """Append the beginning of a side branch, from its point ``side[1]`` on, and of those that leave that beginning."""
    index, origin = side
    whole = tree.branches[index]
    along = whole.distance_mm[origin:] - whole.distance_mm[origin]
    wide = 2 * float(part.branches[on[0]].radius_mm[on[1]])
    stop = min(wide + 2 * part.side_diameters * float(whole.radius_mm[origin]), float(along[-1]))
    here = [
        np.arange(origin, len(whole.points_mm)) if other == index else np.empty(0, int) for other in range(len(tree.branches))
    ]
    clear = _clear(whole.points_mm[origin:], whole.radius_mm[origin:], tree, here)
    if not _at(clear, along, stop):
        stop = min((float(d) for d in along[clear] if d >= stop), default=float(along[-1]))
    inner = np.flatnonzero((along > 1e-6) & (along < stop - 1e-6))
    line = Branch(
        whole.name, None, None, **{name: getattr(whole, name)[origin:] for name in ARRAYS}, segment=whole.segment[origin:]
    )
    places = np.concatenate([[0.0], along[inner], [stop]])
    part.branches.append(replace(_sampled(line, along, places), name=whole.name, parent=on[0], parent_point=on[1]))
    part.cuts.append(Cut(whole.name, index, float(whole.distance_mm[origin] + stop)))
    mine = len(part.branches) - 1
    for child in tree.children(index):
        point = int(tree.branches[child].parent_point or 0) - origin
        if point > 0 and along[point] < stop - 1e-6:
            _add_side(tree, (child, 0), (mine, 1 + int(np.searchsorted(inner, point))), part)


def _clear(points_mm: np.ndarray, radius_mm: np.ndarray, tree: Tree, mine: list[np.ndarray]) -> np.ndarray:
    """Return for each point of a vessel whether its cross-section is clear of all points of the tree but ``mine``."""
    others = [np.setdiff1d(np.arange(len(b.points_mm)), own) for b, own in zip(tree.branches, mine, strict=True)]
    places = np.concatenate([b.points_mm[points] for b, points in zip(tree.branches, others, strict=True)])
    widths = np.concatenate([b.radius_mm[points] for b, points in zip(tree.branches, others, strict=True)])
    if not len(places):
        return np.ones(len(points_mm), dtype=bool)
    away, nearest = cKDTree(places).query(points_mm)
    return np.asarray(away > radius_mm + widths[nearest])


def _at(clear: np.ndarray, along: np.ndarray, place_mm: float) -> bool:
    """Return whether a vessel is clear on both sides of a place on it."""
    after = int(np.clip(np.searchsorted(along, place_mm), 1, len(along) - 1))
    return bool(clear[after] and clear[after - 1])


def _sampled(line: Branch, along: np.ndarray, places: np.ndarray) -> Branch:
    """Return ``line`` at the distances ``places``."""
    arrays = {name: np.interp(places, along, getattr(line, name)) for name in ARRAYS[1:]}
    points = np.stack([np.interp(places, along, line.points_mm[:, k]) for k in range(3)], axis=1)
    segment = line.segment[np.clip(np.searchsorted(along, places), 0, len(along) - 1)]
    return replace(line, points_mm=points, segment=segment, **arrays)


def _cut(name: str, path: _Path, tree: Tree, at_mm: float) -> Cut:
    position = int(np.clip(np.searchsorted(path.distance_mm, at_mm, side="right") - 1, 0, len(path.branch) - 1))
    b, p = int(path.branch[position]), int(path.point[position])
    return Cut(name, b, float(tree.branches[b].distance_mm[p] + at_mm - path.distance_mm[position]))


def _own_names(names: list[str]) -> list[str]:
    """Return the names, with a number where a vessel leaves the path twice."""
    return [name if names.index(name) == i else f"{name} {names[: i + 1].count(name)}" for i, name in enumerate(names)]
