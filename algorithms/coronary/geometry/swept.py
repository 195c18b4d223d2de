"""The lumen of a tree of centrelines with radii.

Each branch becomes a smooth curve; it is cut square at its free ends, where a straight extension may be added.  Behind
an opening the vessel goes on for one radius, so that the wall is known at the opening too.  Points are (N, 3) LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.plausible import SMALLEST_STEP_MM, require_plausible_radius_mm
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.geometry.sweep import Buckets, Chains, buckets, distances_mm
from algorithms.coronary.haemodynamics.branching import end_children
from algorithms.coronary.tree import Branch, Tree

FINEST_STEP_MM = 0.02
COARSEST_STEP_MM = 0.1
"""Curves are made of straight pieces of a tenth of the radius within these bounds: a circle of 5 mm is met to 0.3 um."""

FILLET = 0.25
"""Walls of two vessels that meet are blended where they are nearer than this fraction of the thinner one's radius."""

REACH_MM = 1.0
"""Distances are exact up to this far outside the wall, and at least this much beyond."""


@dataclass(frozen=True, eq=False)
class SweptLumen:
    """A lumen made of circles along centrelines; a :class:`algorithms.coronary.geometry.shape.Lumen`."""

    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray
    doubts: tuple[str, ...]
    chains: Chains
    sorted_into: Buckets

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (n,) distances to the wall of (n, 3) points, positive in blood; beyond ``REACH_MM`` outside, minus that."""
        return distances_mm(points_mm, self.chains, self.sorted_into)


@dataclass(frozen=True, eq=False)
class _Curve:
    """A smooth vessel: points (N, 3) mm, radii (N,) mm, and which of its points lie between the openings."""

    points_mm: np.ndarray
    radius_mm: np.ndarray
    between: slice


def swept_lumen(
    tree: Tree,
    *,
    inlet_diameters: float = 0.0,
    outlet_diameters: float = 0.0,
    ends: Sequence[bool] | None = None,
) -> SweptLumen:
    """Return the lumen of ``tree``: every root is an inlet, every branch that does not end by dividing has an outlet.

    Parameters
    ----------
    tree
        Branches with centrelines and radii; children start on their parents.
    inlet_diameters, outlet_diameters
        Length of the straight extensions at the inlets and the outlets, in diameters of the vessel there, >= 0.
    ends
        For each branch whether its last point is an outlet; from the tree if ``None``.

    Returns
    -------
    SweptLumen
        Inlets are named ``inlet`` (or after their branches, where there are several), outlets after their branches.

    Raises
    ------
    DataError
        If a radius is not a vessel's, a branch is shorter than its radius, an opening lies inside another branch, or
        vessels touch where they do not meet.
    """
    for index, branch in enumerate(tree.branches):
        _check(branch, index)
    if ends is None:
        ends = [not end_children(tree, index) for index in range(len(tree.branches))]
    roots = [index for index, branch in enumerate(tree.branches) if branch.parent is None]
    if not roots:
        raise DataError("the tree has no root and so no inlet, wanted a branch without a parent")
    openings: list[Opening] = []
    curves: list[_Curve] = []
    for index, branch in enumerate(tree.branches):
        curve = _smooth(branch, _last_point(tree, index, ends[index]))
        if branch.parent is None:
            name = "inlet" if len(roots) == 1 else f"{branch.name} inlet"
            curve, opening = _opened(curve, name, inlet_diameters, inlet=True)
            openings.append(opening)
        if ends[index]:
            curve, opening = _opened(curve, branch.name, outlet_diameters, inlet=False)
            openings.append(opening)
        curves.append(curve)
    names = [opening.name for opening in openings]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"several openings are named {', '.join(twice)}, wanted a name each; rename the branches")
    _require_free(tree, curves, openings, ends)
    chains = _chains(tree, curves)
    inner = [curve.points_mm[curve.between] for curve in curves]
    radii = [curve.radius_mm[curve.between][:, None] for curve in curves]
    low = np.min([(p - r).min(axis=0) for p, r in zip(inner, radii, strict=True)], axis=0)
    high = np.max([(p + r).max(axis=0) for p, r in zip(inner, radii, strict=True)], axis=0)
    return SweptLumen(tuple(openings), low, high, tree.doubts, chains, buckets(chains, REACH_MM))


def _check(branch: Branch, index: int) -> None:
    what = f"branch {branch.name or index}"
    if not np.isfinite(branch.points_mm).all():
        raise DataError(f"{what} has a point that is no number; correct the centreline")
    require_plausible_radius_mm(branch.radius_mm, what)
    length = float(branch.distance_mm[-1])
    if length <= branch.radius_mm.min():
        raise DataError(
            f"{what} is {length:.3g} mm long and {branch.radius_mm.min():.3g} mm in radius, wanted a vessel longer than wide; "
            "trace it further or remove it"
        )


def _last_point(tree: Tree, index: int, ends_free: bool) -> int:
    """Return the last point of a branch that blood passes: where its last child starts, if it ends by dividing."""
    branch = tree.branches[index]
    last = len(branch.points_mm) - 1
    children = [int(tree.branches[c].parent_point or 0) for c in tree.children(index)]
    return last if ends_free or not children else max(1, *children)


def _smooth(branch: Branch, last: int) -> _Curve:
    keep = np.concatenate([[True], np.diff(branch.distance_mm) > SMALLEST_STEP_MM])
    keep[last + 1 :] = False
    along, points, radius = branch.distance_mm[keep], branch.points_mm[keep], branch.radius_mm[keep]
    step = float(np.clip(radius.min() / 10, FINEST_STEP_MM, COARSEST_STEP_MM))
    fine = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / step)) + 1))
    if len(along) == 2:
        return _Curve(_between(fine, along, points), np.interp(fine, along, radius), slice(0, len(fine)))
    # Monotone between the given radii, so that no throat becomes tighter than it was measured.
    return _Curve(CubicSpline(along, points)(fine), PchipInterpolator(along, radius)(fine), slice(0, len(fine)))


def _between(fine: np.ndarray, along: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(fine, along, points[:, k]) for k in range(3)], axis=1)


def _opened(curve: _Curve, name: str, diameters: float, *, inlet: bool) -> tuple[_Curve, Opening]:
    """Return the curve with its extension and one radius more, and the opening at the extension's end."""
    points, radius = (curve.points_mm[::-1], curve.radius_mm[::-1]) if inlet else (curve.points_mm, curve.radius_mm)
    normal = _end_direction(points, float(radius[-1]))
    width = float(radius[-1])
    length = 2 * width * diameters
    centre = points[-1] + length * normal
    added = [points[-1] + length * normal] if length > 0 else []
    added.append(centre + width * normal)
    longer = np.concatenate([points, added])
    radii = np.concatenate([radius, np.full(len(added), width)])
    kept = len(longer) - 1
    first = curve.between.start
    if inlet:
        # An inlet is opened before the outlet, so all of the curve's own points lie between.
        return _Curve(longer[::-1], radii[::-1], slice(1, len(longer))), Opening(name, True, centre, normal, width)
    return _Curve(longer, radii, slice(first, kept)), Opening(name, False, centre, normal, width)


def _end_direction(points: np.ndarray, radius: float) -> np.ndarray:
    """Return the direction of a vessel's end over one radius: the last step alone may be noise."""
    back = np.linalg.norm(points - points[-1], axis=1)
    start = len(points) - 1 - int(np.argmax(back[::-1] >= radius)) if (back >= radius).any() else 0
    chord = points[-1] - points[min(start, len(points) - 2)]
    return np.asarray(chord / np.linalg.norm(chord))


def _chains(tree: Tree, curves: list[_Curve]) -> Chains:
    starts, ends, start_radius, end_radius, vessel = [], [], [], [], []
    for index, curve in enumerate(curves):
        starts.append(curve.points_mm[:-1])
        ends.append(curve.points_mm[1:])
        start_radius.append(curve.radius_mm[:-1])
        end_radius.append(curve.radius_mm[1:])
        vessel.append(np.full(len(curve.points_mm) - 1, index, dtype=np.int32))
    fillet = np.zeros((len(curves), len(curves)))
    for child, branch in enumerate(tree.branches):
        for other in _meets(tree, child) if branch.parent is not None else []:
            thinner = min(branch.radius_mm[0], tree.branches[other].radius_mm[0])
            fillet[child, other] = fillet[other, child] = FILLET * thinner
    joined = [np.concatenate(parts) for parts in (starts, ends, start_radius, end_radius, vessel)]
    return Chains(joined[0], joined[1], joined[2], joined[3], joined[4], fillet)


def _meets(tree: Tree, child: int) -> list[int]:
    """Return the parent of a branch and the siblings that start within the parent's diameter of it."""
    parent = int(tree.branches[child].parent or 0)
    point = int(tree.branches[child].parent_point or 0)
    along = tree.branches[parent].distance_mm
    near = 2 * float(tree.branches[parent].radius_mm[point])
    siblings = [
        other
        for other in tree.children(parent)
        if other != child and abs(along[int(tree.branches[other].parent_point or 0)] - along[point]) <= near
    ]
    return [parent, *siblings]


def _require_free(tree: Tree, curves: list[_Curve], openings: list[Opening], ends: Sequence[bool]) -> None:
    """Refuse openings inside another branch, and branches that touch again after they have parted."""
    owners = [
        index for index, branch in enumerate(tree.branches) for free in (branch.parent is None, bool(ends[index])) if free
    ]
    for opening, owner in zip(openings, owners, strict=True):
        rim = np.concatenate([opening.centre_mm[None], _rim(opening)])
        for other, curve in enumerate(curves):
            if other != owner and (_depth_mm(rim, curve) > 0).any():
                raise DataError(
                    f"opening {opening.name} lies inside branch {tree.branches[other].name}; "
                    "trace the branch until it has left the other one, or remove it"
                )
    for one, first in enumerate(curves):
        for two in range(one):
            _require_parted(tree, (one, first), (two, curves[two]))


def _require_parted(tree: Tree, first: tuple[int, _Curve], second: tuple[int, _Curve]) -> None:
    (one, later), (two, earlier) = first, second
    low, high = (np.array([f(c.points_mm, axis=0) for c in (later, earlier)]) for f in (np.min, np.max))
    if (low.max(axis=0) - high.min(axis=0) > later.radius_mm.max() + earlier.radius_mm.max()).any():
        return
    touching = _depth_mm(later.points_mm, earlier) + later.radius_mm > 0
    if tree.branches[one].parent is not None and two in _meets(tree, one) and touching[0]:
        # Vessels that meet touch until they part.
        touching[: int(np.argmin(touching)) if not touching.all() else len(touching)] = False
    if touching.any():
        way = later.points_mm[later.between.start : int(np.argmax(touching)) + 1]
        where = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
        raise DataError(
            f"branch {tree.branches[one].name} touches branch {tree.branches[two].name} {where:.1f} mm from its origin, where "
            "they do not meet; blood would flow across: correct the radii or the centrelines"
        )


def _depth_mm(points: np.ndarray, curve: _Curve) -> np.ndarray:
    """Return how deep (n, 3) points lie inside a vessel, (n,) mm, from its nearest point; negative outside."""
    away, nearest = cKDTree(curve.points_mm).query(points)
    return np.asarray(curve.radius_mm[nearest] - away)


def _rim(opening: Opening) -> np.ndarray:
    """Return 16 points just inside the rim of an opening."""
    across = np.linalg.svd(opening.normal[None])[2][1:]
    angle = np.arange(16) * np.pi / 8
    circle = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    return np.asarray(opening.centre_mm + 0.98 * opening.radius_mm * circle)
