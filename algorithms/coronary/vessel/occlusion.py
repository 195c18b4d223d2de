"""Closed arteries: a lumen that is not there for millimetres, and a vessel that ends wide as if cut off.

A tracer that bridges an occlusion makes a very tight stenosis of it, and one that does not makes a short vessel; either
must be said.  CT sees a total occlusion as a piece without any contrast.  How long it is tells it best from a stenosis that
still lets blood through: 5.5 mm (FASTTRACK CABG, J Cardiovasc Comput Tomogr 2024, pubmed 38714459), 15 mm for an old
occlusion against a subtotal one (Choi et al., JACC Cardiovasc Interv 8:1143 (2015)).  Collaterals fill most arteries behind
an occlusion (23 of 26 in Rieber et al., doi:10.1007/s10554-008-9384-3), so the vessel mostly goes on behind it.

Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid
from algorithms.coronary.heart_axes import HeartAxes
from algorithms.coronary.tree import Branch, Stenosis, Tree
from algorithms.coronary.vessel.cross_section import STEP_MM
from algorithms.coronary.vessel.sampling import nearest

CLOSED_RADIUS_MM, CLOSED_MM = 0.25, 4.0
"""A lumen narrower than a voxel over this length is closed as far as CT can tell.

The throat of an 85 % stenosis is as narrow over 1 to 3 mm (the phantom's lesions of 8 to 18 mm); the fit blurs the ends of a
plug of 5.5 mm by half a millimetre or more each.
"""

STILL_NARROW, CALCIUM_MM = 0.6, 5.0
"""Two closed pieces are one where the vessel between them, at most so long, stays under this part of its healthy radius: a spot
of calcium in a plug reads as a lumen of half of that (LAD of full phantom occlusion 305 with a mask by a network)."""

NARROW, LONG_NARROW_MM, TIGHTEST = 0.4, 5.0, 0.22
"""A vessel that stays under this part of its healthy radius for so long, and is under the last one somewhere, may be occluded.

The plug of 5 mm in phantom 406 is so for 5.5 mm; it was missed with 6 mm.
"""

LEAST_BEFORE_MM = 2.0
"""Length of a vessel, outside its parent, that is open before a closed piece."""

STUMP_RADIUS_MM = 1.15
"""A vessel that ends wider than this does not end by nature: where they end, LADs are 1.9 mm wide (Dodge et al., Circulation
86:232 (1992), abstract), and other arteries less, but for an RCA or LCx that goes on as posterior branches."""

TAPER_MM, CALIBRE_MM = 2.0, 6.0
"""The last mm of a traced vessel fade; the calibre of its end is the median of the mm before them."""

SEEN_RADIUS_MM = 0.75
"""Least calibre of an end behind which a further vessel is looked for; narrower vessels are not read (SCCT: 1.5 mm)."""

APEX = 0.75
"""An LAD beyond this part of the way to the apex may end there (as in tree_doubts)."""

TISSUE_HU = 40.0
"""Vessel wall, plaque and muscle without contrast."""

OPEN_SHARE, OPEN_MM = 0.35, 5.0
"""Where so much contrast goes on for this length ahead of an end, the mask was cut off and the vessel was not."""

BEHIND_SHARE = 0.6
"""Contrast of a vessel behind an occlusion over the aorta's, least: collaterals leave some 0.75, veins have about half."""

FARTHEST_MM, LEAST_BEHIND_MM = 20.0, 8.0
"""How far behind an end a vessel is looked for, and the length that must be seen of it; occlusions are 25 +- 23 mm long, but
what lies farther off may be anything."""

LEAST_LOOSE_MM = 10.0
"""Least extent of a piece of the mask that is called a vessel (as UNCONNECTED_MM in mask_repair)."""

WIDEST_MM = 2.5
"""Radius beyond which what lies behind is no vessel."""

AHEAD = 0.75
"""Least cosine between the way of the vessel, the way across, and the way of the vessel behind."""

CHAMBERS = (1, 3, 4)
"""Labels of heart.nii.gz that are blood but no coronary."""


@dataclass(frozen=True)
class Closed:
    """A piece without lumen inside branch ``branch``: its first and last point."""

    branch: int
    start: int
    end: int


@dataclass(frozen=True)
class Stump:
    """Branch ``branch`` ends wide; ``gap_mm`` and ``behind_mm`` are those of the vessel seen behind it, 0 without one."""

    branch: int
    radius_mm: float
    gap_mm: float
    behind_mm: float


def loose_doubts(tree: Tree, mask: Grid) -> list[str]:
    """Return a doubt for each vessel of the lumen ``mask`` that nothing connects to ``tree``, with where it begins.

    An occlusion just behind a side branch leaves no stump, only the vessel behind it.
    """
    names, _ = ndimage.label(mask.values > 0, np.ones((3, 3, 3)))
    points = np.concatenate([b.points_mm for b in tree.branches])
    own = set(np.unique(nearest(mask.with_values(names), points)).tolist())
    along = np.concatenate([tree.ostium_distance_mm(i) for i in range(len(tree.branches))])
    owner = np.repeat(np.arange(len(tree.branches)), [len(b.points_mm) for b in tree.branches])
    finder = cKDTree(points)
    doubts = []
    for label, box in enumerate(ndimage.find_objects(names), start=1):
        length = float(np.linalg.norm([(s.stop - s.start) * d for s, d in zip(box, mask.spacing_mm, strict=True)]))
        if label in own or length < LEAST_LOOSE_MM:
            continue
        voxels = np.argwhere(names[box] == label) + [s.start for s in box]
        away, near = finder.query(mask.points_mm(voxels))
        first = int(np.argmin(away))
        if away[first] > FARTHEST_MM:
            continue
        doubts.append(
            f"a vessel of {length:.0f} mm begins {away[first]:.0f} mm from the {tree.branches[owner[near[first]]].name}, "
            f"{along[near[first]]:.0f} mm from its ostium, and no lumen connects the two, as behind an occlusion"
        )
    return doubts


def with_occlusions(tree: Tree, volume_hu: Grid, heart: Grid, axes: HeartAxes, blood_hu: float) -> Tree:
    """Return ``tree`` with what is closed reported as such, and a doubt for each vessel that is closed or ends wide.

    Parameters
    ----------
    tree
        The traced tree with its stenoses.
    volume_hu, heart
        The image around the tree, and the labels of the heart on any grid.
    axes, blood_hu
        Where the apex lies, and the attenuation of the aorta.
    """
    doubts, stenoses = list(tree.doubts), list(tree.stenoses)
    for closed in closed_pieces(tree):
        stenoses = [_occluded(s) if _holds(s, closed) else s for s in stenoses]
        doubts.append(_closed_sentence(closed, tree))
    doubts += [_narrow_sentence(narrow, tree) for narrow in long_narrow_pieces(tree)]
    doubts += [_stump_sentence(stump, tree) for stump in stumps(tree, volume_hu, heart, axes, blood_hu)]
    return replace(tree, stenoses=tuple(stenoses), doubts=tuple(doubts))


def closed_pieces(tree: Tree) -> list[Closed]:
    """Return the pieces without lumen between two pieces of a vessel, branch by branch.

    A side branch that is closed from its very beginning is a wrong connection and not one of these.
    """
    found = []
    for index, branch in enumerate(tree.branches):
        first = LEAST_BEFORE_MM
        if branch.parent is not None and branch.parent_point is not None:
            first += float(tree.branches[branch.parent].radius_mm[branch.parent_point])
        for start, end in _joined(branch):
            if (end - start + 1) * STEP_MM >= CLOSED_MM and start * STEP_MM >= first and end < len(branch.radius_mm) - 1:
                found.append(Closed(index, start, end))
    return found


def long_narrow_pieces(tree: Tree) -> list[Closed]:
    """Return the pieces that are too long and too narrow for a stenosis and have some lumen all the same.

    The plaque of a plug is brighter than fat, and reads as a narrow lumen.
    """
    closed = closed_pieces(tree)
    found = []
    for index, branch in enumerate(tree.branches):
        share = branch.radius_mm / branch.reference_radius_mm
        narrow = share < NARROW
        for start, stop in np.flatnonzero(np.diff(np.concatenate([[0], narrow.astype(np.int8), [0]]))).reshape(-1, 2).tolist():
            told = any(c.branch == index and c.start < stop and start <= c.end for c in closed)
            wide = float(np.median(branch.reference_radius_mm[start:stop])) >= SEEN_RADIUS_MM
            long = (stop - start) * STEP_MM >= LONG_NARROW_MM and share[start:stop].min() < TIGHTEST
            if not told and wide and long and stop < len(branch.radius_mm):
                found.append(Closed(index, start, stop - 1))
    return found


def _joined(branch: Branch) -> list[tuple[int, int]]:
    """Return first and last point of each closed piece, those being one between which the vessel does not open."""
    shut = np.concatenate([[False], branch.radius_mm < CLOSED_RADIUS_MM, [False]])
    pieces: list[tuple[int, int]] = []
    for start, stop in np.flatnonzero(np.diff(shut.astype(np.int8))).reshape(-1, 2).tolist():
        before = pieces[-1][1] if pieces else 0
        between = slice(before, start)
        narrow = bool((branch.radius_mm[between] < STILL_NARROW * branch.reference_radius_mm[between]).all())
        if pieces and (start - before) * STEP_MM <= CALCIUM_MM and narrow:
            pieces[-1] = (pieces[-1][0], stop - 1)
        else:
            pieces.append((start, stop - 1))
    return pieces


def _holds(stenosis: Stenosis, closed: Closed) -> bool:
    return stenosis.branch == closed.branch and stenosis.start <= closed.end and closed.start <= stenosis.end


def _occluded(stenosis: Stenosis) -> Stenosis:
    return replace(stenosis, diameter_stenosis=1.0, area_stenosis=1.0, minimal_lumen_diameter_mm=0.0)


def _closed_sentence(closed: Closed, tree: Tree) -> str:
    branch = tree.branches[closed.branch]
    from_mm = float(tree.ostium_distance_mm(closed.branch)[closed.start])
    return (
        f"the {branch.name} is occluded {from_mm:.0f} mm from its ostium: no lumen is seen over "
        f"{(closed.end - closed.start + 1) * STEP_MM:.0f} mm, and the vessel behind is filled from elsewhere; "
        "no FFR of this vessel is to be used"
    )


def _narrow_sentence(narrow: Closed, tree: Tree) -> str:
    from_mm = float(tree.ostium_distance_mm(narrow.branch)[narrow.start])
    return (
        f"the {tree.branches[narrow.branch].name} is narrower than {100 * NARROW:.0f} % of its healthy width over "
        f"{(narrow.end - narrow.start + 1) * STEP_MM:.0f} mm, {from_mm:.0f} mm from its ostium: it may be occluded there; "
        "look there in the images before its FFR is used"
    )


def _stump_sentence(stump: Stump, tree: Tree) -> str:
    name = tree.branches[stump.branch].name
    end_mm = float(tree.ostium_distance_mm(stump.branch)[-1])
    behind = "as an occluded vessel does"
    if stump.behind_mm:
        behind = (
            f"and a vessel of {stump.behind_mm:.0f} mm or more goes on {stump.gap_mm:.0f} mm behind, as behind an occlusion"
        )
    return (
        f"the {name} ends {end_mm:.0f} mm from its ostium at a calibre of {2 * stump.radius_mm:.1f} mm, {behind}; "
        "look there in the images, and use no FFR of this vessel before"
    )


def stumps(tree: Tree, volume_hu: Grid, heart: Grid, axes: HeartAxes, blood_hu: float) -> list[Stump]:
    """Return the vessels that end wide although the image shows no lumen ahead, branch by branch."""
    parents = {(b.parent, b.parent_point) for b in tree.branches if b.parent is not None}
    found = []
    for index, branch in enumerate(tree.branches):
        last = len(branch.points_mm) - 1
        forks = any(parent == index and (point or 0) >= last - round(3.0 / STEP_MM) for parent, point in parents)
        by_nature = branch.name == "LAD" and axes.measured and float(axes.height(branch.points_mm[-1:])[0]) >= APEX
        radius = _calibre_mm(branch)
        if forks or by_nature or radius < SEEN_RADIUS_MM:
            continue
        ahead = _Ahead.of(tree, index, volume_hu, heart, blood_hu)
        if ahead.reach_mm() >= OPEN_MM:
            continue
        gap, behind = ahead.vessel()
        if behind or radius >= STUMP_RADIUS_MM:
            found.append(Stump(index, radius, gap, behind))
    return found


def _calibre_mm(branch: Branch) -> float:
    stop = max(1, len(branch.radius_mm) - round(TAPER_MM / STEP_MM))
    start = max(0, stop - round(CALIBRE_MM / STEP_MM))
    return float(np.median(branch.radius_mm[start:stop]))


@dataclass(frozen=True, eq=False)
class _Ahead:
    """The image around the end of a branch: contrast 0 (tissue) to 1 (blood), and what is another vessel's or a chamber's."""

    contrast: Grid
    foreign: np.ndarray
    tip_mm: np.ndarray
    way: np.ndarray

    @classmethod
    def of(cls, tree: Tree, index: int, volume_hu: Grid, heart: Grid, blood_hu: float) -> _Ahead:
        points = tree.branches[index].points_mm
        tip = points[-1]
        way = tip - points[max(0, len(points) - round(CALIBRE_MM / STEP_MM))]
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        reach = (FARTHEST_MM + LEAST_BEHIND_MM) / 2 + 2.0  # of a box that begins a little behind the end
        middle = tip + (reach - 4.0) * way
        corners = np.sort(volume_hu.index(np.stack([middle - reach, middle + reach])), axis=0)
        start = np.clip(np.floor(corners[0]).astype(int), 0, np.asarray(volume_hu.values.shape) - 2)
        stop = np.clip(np.ceil(corners[1]).astype(int) + 1, start + 2, volume_hu.values.shape)
        crop = volume_hu.box(tuple(start), tuple(stop))
        smooth = ndimage.gaussian_filter(crop.values.astype(np.float32), [0.3 / s for s in crop.spacing_mm])
        contrast = crop.with_values((smooth - TISSUE_HU) / (blood_hu - TISSUE_HU))
        voxels = crop.points_mm(np.argwhere(np.ones(crop.values.shape, bool)))
        chamber = np.isin(nearest(heart, voxels), CHAMBERS).reshape(crop.values.shape)
        foreign = ndimage.binary_dilation(chamber, iterations=max(1, round(1.5 / min(crop.spacing_mm))))
        others = [b for i, b in enumerate(tree.branches) if i != index]
        if others:
            centres = np.concatenate([b.points_mm for b in others])
            widths = np.concatenate([b.radius_mm for b in others])
            far, near = cKDTree(centres).query(voxels, distance_upper_bound=4.0)
            foreign |= (far <= np.append(widths, 0.0)[near] + 1.0).reshape(crop.values.shape)
        return cls(contrast, foreign, tip, way)

    def reach_mm(self) -> float:
        """Return how far ahead contrast goes on from the end itself."""
        names, _ = ndimage.label(self.contrast.values > OPEN_SHARE, np.ones((3, 3, 3)))
        away = self._offsets_mm(np.argwhere(names > 0))
        own = names[names > 0]
        distance = np.linalg.norm(away, axis=1)
        ahead = away @ self.way
        here = set(np.unique(own[distance <= 1.0]).tolist())
        on = np.isin(own, list(here)) & (ahead > 0.6 * distance) & (distance < FARTHEST_MM)
        return float(ahead[on].max()) if on.any() else 0.0

    def vessel(self) -> tuple[float, float]:
        """Return how far ahead a further vessel begins and how much of it is seen, mm; zeros where there is none."""
        names, _ = ndimage.label((self.contrast.values > BEHIND_SHARE) & ~self.foreign, np.ones((3, 3, 3)))
        best = (0.0, 0.0)
        for label, box in enumerate(ndimage.find_objects(names), start=1):
            voxels = np.argwhere(names[box] == label) + [s.start for s in box]
            away = self._offsets_mm(voxels)
            length = float(np.linalg.norm(np.ptp(away, axis=0)))
            wide = np.sqrt(len(voxels) * float(np.prod(self.contrast.spacing_mm)) / (np.pi * max(length, 1.0)))
            distance = np.linalg.norm(away, axis=1)
            first = away[int(np.argmin(distance))]
            gap = float(distance.min())
            if length < LEAST_BEHIND_MM or wide > WIDEST_MM or not OPEN_MM / 2 <= gap <= FARTHEST_MM:
                continue
            goes = away[np.linalg.norm(away - first, axis=1) <= LEAST_BEHIND_MM].mean(axis=0) - first
            if first @ self.way >= AHEAD * gap and goes @ self.way >= AHEAD * float(np.linalg.norm(goes)):
                best = max(best, (gap, length), key=lambda found: found[1])
        return best

    def _offsets_mm(self, voxels: np.ndarray) -> np.ndarray:
        offsets: np.ndarray = self.contrast.points_mm(voxels) - self.tip_mm
        return offsets
