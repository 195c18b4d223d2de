"""The parts of a tree that are solved in three dimensions, and the flow that the reduced model sends through each.

A domain is one vessel from before a lesion to behind its jet, with the beginnings of its side branches.  Points are
(N, 3) LPS mm; an interval lies between two points of a branch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.coronary.flow import Flow
from algorithms.coronary.geometry.crop import Crop, Cut, cropped
from algorithms.coronary.haemodynamics.branching import end_children, origin_radius_mm
from algorithms.coronary.haemodynamics.network import Losses
from algorithms.coronary.tree import Tree

DIAMETERS_BEFORE = 2.0
"""Healthy diameters of the vessel before a lesion: blood comes in with the profile of a straight vessel."""

DIAMETERS_BEHIND = 8.0
"""Healthy diameters behind it: over 8 a jet has lost what it will but for 4 % (docs/coronary.md).

That is for 70 % of the area at a Reynolds number of 400.
"""

PLACE_MM = 1e-6
"""Distances are sums of steps; what is nearer than this is the same place."""


@dataclass(frozen=True, eq=False)
class Domain:
    """One part; ``crop.tree`` has the vessel as branch 0 and the side branches that are kept behind it."""

    lesions: tuple[int, ...]
    crop: Crop
    intervals: tuple[np.ndarray, ...]
    """For every branch of the whole tree (N - 1,) which of its intervals the vessel takes."""
    throat: tuple[int, int]
    """Branch of the whole tree and point of the narrowest place."""
    leaves: tuple[tuple[int, int], ...]
    """For each side branch of ``crop``: branch of the whole tree and point behind which its flow has left the vessel."""
    before: tuple[bool, ...]
    """For each side branch, that it leaves before the throat."""

    @property
    def throat_radius_mm(self) -> float:
        """Return the least radius of the vessel."""
        return float(self.crop.tree.branches[0].radius_mm.min())

    @property
    def name(self) -> str:
        """Return the vessel and its lesions for a reader, such as ``LAD L1``."""
        return " ".join([self.crop.tree.branches[0].name, "+".join(f"L{index + 1}" for index in self.lesions)])


@dataclass(frozen=True, eq=False)
class Through:
    """What flows through a domain, ml/s: in, out of the vessel's end, out of each side branch; and the pressure at that end."""

    inflow_ml_s: float
    end_ml_s: float
    sides_ml_s: np.ndarray
    end_mmhg: float


def domains(tree: Tree, least_stenosis: float) -> list[Domain]:
    """Return a domain for every open lesion of ``least_stenosis`` or more; those that overlap along one vessel share one.

    They come in the order of their ways from the ostium, so that one upstream comes first.
    """
    spans: list[tuple[list[int], tuple[int, ...], float, float]] = []
    lesions = [i for i, s in enumerate(tree.stenoses) if least_stenosis <= s.diameter_stenosis < 1]
    lesions.sort(key=lambda i: (tree.stenoses[i].branch, tree.stenoses[i].start))
    for index in lesions:
        chain, start, stop = _span(tree, index)
        for other in spans:
            shorter, longer = sorted((other[1], chain), key=len)
            if longer[: len(shorter)] == shorter and start < other[3] and other[2] < stop:
                spans[spans.index(other)] = ([*other[0], index], longer, min(other[2], start), max(other[3], stop))
                break
        else:
            spans.append(([index], chain, start, stop))
    return [_domain(tree, *span) for span in spans]


def _span(tree: Tree, lesion: int) -> tuple[tuple[int, ...], float, float]:
    """Return the chain of branches from the ostium on, and the distances from the ostium between which to solve."""
    entry = tree.stenoses[lesion]
    along = tree.ostium_distance_mm(entry.branch)
    wide = entry.reference_diameter_mm
    start, stop = along[entry.start] - DIAMETERS_BEFORE * wide, along[entry.end] + DIAMETERS_BEHIND * wide
    chain = [entry.branch]
    while (parent := tree.branches[chain[0]].parent) is not None:
        chain.insert(0, parent)
    while tree.ostium_distance_mm(chain[-1])[-1] < stop and (onward := end_children(tree, chain[-1])):
        chain.append(max(onward, key=lambda c: origin_radius_mm(tree.branches[c])))
    return tuple(chain), float(start), float(stop)


def _domain(tree: Tree, lesions: list[int], chain: tuple[int, ...], start_mm: float, stop_mm: float) -> Domain:
    whole = cropped(tree, chain[-1], _at_point(tree, chain, start_mm, -1), _at_point(tree, chain, stop_mm, 1))
    ends = [float(tree.ostium_distance_mm(c.branch)[0]) + c.distance_mm for c in whole.cuts[:2]]
    intervals = []
    for index, branch in enumerate(tree.branches):
        along = tree.ostium_distance_mm(index)
        inside = (along[:-1] >= ends[0] - PLACE_MM) & (along[1:] <= ends[1] + PLACE_MM)
        used = len(branch.radius_mm) - 1
        if index in chain and index != chain[-1]:
            used = int(tree.branches[chain[chain.index(index) + 1]].parent_point or 0)
        intervals.append(inside & (np.arange(len(inside)) < used) & (index in chain))
    places = [(i, int(p)) for i in chain for p in np.flatnonzero(intervals[i])]
    throat = min(places, key=lambda place: float(tree.branches[place[0]].radius_mm[place[1]]))
    crop = _without_thin(whole, float(whole.tree.branches[0].radius_mm.min()))
    throat_mm = float(tree.ostium_distance_mm(throat[0])[throat[1]])
    leaves, before = [], []
    for number in range(1, len(crop.tree.branches)):
        first = number
        while crop.tree.branches[first].parent:
            first = int(crop.tree.branches[first].parent or 0)
        at_mm = ends[0] + float(crop.tree.branches[0].distance_mm[int(crop.tree.branches[first].parent_point or 0)])
        place = min(places, key=lambda p, at=at_mm: abs(float(tree.ostium_distance_mm(p[0])[p[1]]) - at))  # type: ignore[misc]
        leaves.append(place)
        before.append(at_mm <= throat_mm)
    return Domain(tuple(lesions), crop, tuple(intervals), throat, tuple(leaves), tuple(before))


def _at_point(tree: Tree, chain: tuple[int, ...], place_mm: float, towards: int) -> float:
    """Return the nearest point's distance before (-1) or behind (1) a place, so that the domain takes whole intervals."""
    along = np.unique(np.concatenate([tree.ostium_distance_mm(index) for index in chain]))
    kept = along[along <= place_mm + PLACE_MM] if towards < 0 else along[along >= place_mm - PLACE_MM]
    return float((kept.max() if towards < 0 else kept.min()) if len(kept) else place_mm)


def _without_thin(crop: Crop, least_radius_mm: float) -> Crop:
    """Return ``crop`` without side branches thinner than the throat, which would set the cells' size for all.

    By the law of the split they take less of the vessel's flow than (throat over healthy radius) to the power 7/3.
    """
    branches, number = [crop.tree.branches[0]], {0: 0}
    cuts: list[Cut] = list(crop.cuts[:2])
    for index, branch in enumerate(crop.tree.branches[1:], 1):
        if branch.radius_mm.min() >= least_radius_mm and branch.parent in number:
            number[index] = len(branches)
            branches.append(replace(branch, parent=number[branch.parent]))
            cuts.append(crop.cuts[index + 1])
    return Crop(Tree(tuple(branches), (), crop.tree.doubts), tuple(cuts))


def through(tree: Tree, domain: Domain, solved: Flow) -> Through:
    """Return the flow through ``domain`` in the reduced solution: that of the throat, and what its side branches take.

    What leaves the vessel on its way through branches that are not seen is left out, so that the throat's flow is exact.
    """
    sides = _side_flows_ml_s(tree, domain.crop, solved)
    branch, point = domain.throat
    throat = float(solved.flow_ml_s[branch][point + 1])
    before = np.array(domain.before, dtype=bool)
    end = domain.crop.cuts[1]
    pressure = np.interp(end.distance_mm, tree.branches[end.branch].distance_mm, solved.pressure_mmhg[end.branch])
    return Through(throat + float(sides[before].sum()), throat - float(sides[~before].sum()), sides, float(pressure))


def _side_flows_ml_s(tree: Tree, crop: Crop, solved: Flow) -> np.ndarray:
    """Return what leaves through each side branch: what enters it, less what its own side branches take."""
    entering = np.zeros(len(crop.tree.branches))
    for number, (branch, cut) in enumerate(zip(crop.tree.branches[1:], crop.cuts[2:], strict=True), 1):
        away = np.linalg.norm(tree.branches[cut.branch].points_mm - branch.points_mm[0], axis=1)
        origin = int(away.argmin())
        entering[number] = solved.flow_ml_s[cut.branch][origin + 1 if origin else 0]
    leaving = entering.copy()
    for number, branch in enumerate(crop.tree.branches[1:], 1):
        if branch.parent:
            leaving[branch.parent] -= entering[number]
    return leaving[1:]


def interval_losses_mmhg(tree: Tree, domain: Domain, flow: Through, lost: Losses) -> tuple[np.ndarray, ...]:
    """Return what each interval loses with the flow ``flow`` of the domain in it, 0 outside; one (N - 1,) array a branch."""
    found = []
    for index, inside in enumerate(domain.intervals):
        q = np.full(len(inside), flow.inflow_ml_s)
        for side, (branch, point) in zip(flow.sides_ml_s, domain.leaves, strict=True):
            leave_mm = float(tree.ostium_distance_mm(branch)[point])
            q -= np.where(tree.ostium_distance_mm(index)[:-1] >= leave_mm - PLACE_MM, side, 0.0)
        found.append(np.where(inside, (lost.viscous[index] + lost.expansion[index] * np.abs(q)) * q, 0.0))
    return tuple(found)
