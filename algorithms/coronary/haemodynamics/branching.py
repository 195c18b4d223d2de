"""Where flow leaves the tree, and how it divides: by the healthy calibres.

Flow through a vessel is proportional to a power of its healthy radius (``blood.FLOW_SPLIT_EXPONENT``).  Followed down a
branch, that gives what arrives at its end and what each side branch takes.  Where a vessel tapers by more than the side
branches that were found explain, the rest has left through branches too small to be seen on CT (septal, right
ventricular, atrial): it leaves through side outlets every 5 mm, in proportion to the taper.  So the flow at any point
depends neither on how far distally a vessel could be followed nor on how many small branches were found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.haemodynamics import blood
from algorithms.coronary.tree import Branch, Tree

DAUGHTER_LENGTH_MM = 5.0
"""A vessel's calibre at its ends is averaged over this length; at its origin begun one radius in, behind the flare."""

STATION_MM = 5.0
"""Side outlets stand this far apart, so that flow between them is known to some 3 %: less than anything it rests on."""

ROUNDING_MM = 1e-3
"""Points are written to 0.1 um, and distances are sums of steps; a point this near to a place is at it."""

LEAST_UNSEEN = 0.001
"""A side outlet that would take less than this share of its branch's flow is left out."""

UNBRANCHED = ("LM",)
"""Vessels that have no unseen branches: the left main ends where its first branch begins."""


@dataclass(frozen=True)
class Outlet:
    """A point where flow leaves the tree: the tip of a branch (``station`` None), or a side outlet for branches not seen."""

    branch: int
    point: int
    station: int | None


def end_children(tree: Tree, index: int) -> list[int]:
    """Return the children into which branch ``index`` ends: those that start within one diameter of its last point.

    What is left of the branch behind them is the bifurcation itself and not a vessel with an outlet.  A branch without
    such children ends in an outlet.
    """
    children = tree.children(index)
    if not children:
        return []
    branch = tree.branches[index]
    distance = branch.distance_mm
    diameter = 2 * branch.reference_radius_mm[-1]
    return [c for c in children if distance[-1] - distance[int(tree.branches[c].parent_point or 0)] <= diameter]


def origin_radius_mm(branch: Branch) -> float:
    """Return the mean healthy radius over 5 mm behind the flare at a branch's origin, or over what there is of it."""
    distance = branch.distance_mm
    begin = min(float(branch.reference_radius_mm[0]), float(distance[-1]))
    return _mean_radius_mm(branch, distance, begin, begin + DAUGHTER_LENGTH_MM)


def tip_radius_mm(branch: Branch) -> float:
    """Return the mean healthy radius over 5 mm before a branch's last point, or over half of a shorter branch."""
    distance = branch.distance_mm
    length = float(distance[-1])
    return _mean_radius_mm(branch, distance, length - min(DAUGHTER_LENGTH_MM, length / 2), length)


def _mean_radius_mm(branch: Branch, distance_mm: np.ndarray, begin_mm: float, end_mm: float) -> float:
    where = np.linspace(begin_mm, min(end_mm, distance_mm[-1]), 11)  # between points: no jump as a point enters
    return float(np.interp(where, distance_mm, branch.reference_radius_mm).mean())


def stations(distance_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances (mm) at which the stations of a branch end, and the points in their middles, where flow leaves.

    Stations are counted from the origin, so that a branch that is followed further keeps the ones it had.
    """
    starts = np.arange(0.0, max(distance_mm[-1] - STATION_MM / 2, STATION_MM / 2), STATION_MM)
    ends = np.append(starts[1:], distance_mm[-1])
    return ends, np.searchsorted(distance_mm, (starts + ends) / 2 - ROUNDING_MM)


def unseen_weights(tree: Tree, index: int, exponent: float | np.ndarray) -> np.ndarray:
    """Return what leaves each of a branch's stations through branches that were not found, (..., stations).

    In radius (mm) to the power ``exponent`` (...).  It is the taper so far less what the branches found so far take,
    and it never comes back: behind a branch that takes more than the taper, nothing is unseen until the taper has
    caught up with it.
    """
    branch = tree.branches[index]
    power = np.asarray(exponent, dtype=float)[..., None]
    distance = branch.distance_mm
    ends, _ = stations(distance)
    if branch.name in UNBRANCHED:
        return np.zeros((*power.shape[:-1], len(ends)))
    least = np.interp(ends, distance, np.minimum.accumulate(branch.reference_radius_mm))
    least[-1] = min(tip_radius_mm(branch), least[:-1].min(initial=np.inf))
    taper = origin_radius_mm(branch) ** power - least**power
    found = np.zeros_like(taper)
    last = end_children(tree, index)
    for child in tree.children(index):
        if child not in last:
            passed = ends >= distance[int(tree.branches[child].parent_point or 0)] - ROUNDING_MM
            found += passed * origin_radius_mm(tree.branches[child]) ** power
    unseen = np.maximum.accumulate(np.maximum(taper - found, 0.0), axis=-1)
    return np.diff(unseen, axis=-1, prepend=0.0)


def outlets(tree: Tree) -> list[Outlet]:
    """Return every outlet, in the order of the branches and of the points along each."""
    found: list[Outlet] = []
    for index, branch in enumerate(tree.branches):
        last = len(branch.radius_mm) - 1
        unseen = unseen_weights(tree, index, blood.FLOW_SPLIT_EXPONENT)
        whole = origin_radius_mm(branch) ** blood.FLOW_SPLIT_EXPONENT
        for station, (middle, weight) in enumerate(zip(stations(branch.distance_mm)[1], unseen, strict=True)):
            if weight > LEAST_UNSEEN * whole and 0 < middle < last:
                found.append(Outlet(index, int(middle), station))
        if not end_children(tree, index):
            found.append(Outlet(index, last, None))
    return found


def flow_fractions(tree: Tree, exponent: float | np.ndarray) -> np.ndarray:
    """Return the share of the total flow that leaves each of ``outlets(tree)``, (..., M); ``exponent`` may be (...).

    The ostia share the total as the daughters of one bifurcation do.

    References
    ----------
    van der Giessen et al., *The influence of boundary conditions on wall shear stress distribution in patients specific
    coronary trees*, J Biomech 44:1089 (2011): flow divided bifurcation by bifurcation, by a power of the diameters.
    """
    power = np.asarray(exponent, dtype=float)
    roots = [i for i, b in enumerate(tree.branches) if b.parent is None]
    arriving = dict(zip(roots, _shares([origin_radius_mm(tree.branches[i]) ** power for i in roots]), strict=True))
    every = outlets(tree)
    found: list[np.ndarray] = []
    for index, branch in enumerate(tree.branches):
        flow = arriving[index]
        last = end_children(tree, index)
        side = [c for c in tree.children(index) if c not in last]
        own = [o.station for o in every if o.branch == index and o.station is not None]
        # Where another exponent leaves nothing unseen, a trace of flow keeps the outlet's resistance finite.
        trace = LEAST_UNSEEN**2 * origin_radius_mm(branch) ** power
        unseen = unseen_weights(tree, index, power)
        parts = [tip_radius_mm(branch) ** power, *(origin_radius_mm(tree.branches[c]) ** power for c in side)]
        parts += [np.maximum(unseen[..., station], trace) for station in own]
        shares = [flow * share for share in _shares(parts)]
        arriving |= dict(zip(side, shares[1:], strict=False))
        found += shares[1 + len(side) :]
        if last:
            divided = _shares([origin_radius_mm(tree.branches[c]) ** power for c in last])
            arriving |= {c: shares[0] * share for c, share in zip(last, divided, strict=True)}
        else:
            found.append(shares[0])
    return np.stack(found, axis=-1)


def _shares(weights: list[np.ndarray]) -> list[np.ndarray]:
    total = np.sum(weights, axis=0)
    return [weight / total for weight in weights]
