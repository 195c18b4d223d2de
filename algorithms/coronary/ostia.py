"""The coronary ostia: where bright tubes leave the aortic root.

All cheap paths that start on the root's surface are followed at once; each belongs to the place that it started from.
The left artery leaves the left sinus and the right one the anterior sinus, so length, brightness and side choose the two.
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from algorithms.coronary.aorta import Aorta, aorta_mask
from algorithms.coronary.grid import Grid
from algorithms.coronary.heart import LEFT_VENTRICLE, OTHER_POOL, Heart, blood_threshold_hu
from algorithms.coronary.minimal_paths import march, path_to
from algorithms.coronary.vesselness import tubeness
from algorithms.coronary.vessels import WIDE_MM, fine_grid, labels_on, lumen_likeness, path_cost, wide_blood

REACH_MM = 45.0
"""Half width of the box around the root in which outgrowths are followed, mm."""

ABOVE_VALVE_MM = (2.0, 36.0)
"""Heights above the valve's ring between which an ostium lies, mm.

10 to 18 in most people (Cavalcanti et al., doi:10.1016/S0003-4975(02)04394-1); anomalous ones are higher.
"""

BOX_Z_MM = (-25.0, 45.0)
"""Lower and upper end of that box from the valve, mm along the body; a bypass is followed higher."""

SIDES = {"left": np.array([0.96, 0.28, 0.0]), "right": np.array([-0.35, -0.94, 0.0])}
"""Directions (3,) LPS from the root's axis to the middle of the left and of the right coronary sinus."""

BUDGET = 60.0
"""Cost of the longest path followed, mm of clear artery."""

LEAST_OUTGROWTH_MM = 12.0
"""Shortest outgrowth that is an artery's beginning, mm."""


@dataclass(frozen=True, eq=False)
class Ostium:
    """A coronary ostium ``point_mm`` (3,) on the root's surface, with ``confidence`` 0 to 1."""

    point_mm: np.ndarray
    confidence: float


@dataclass(frozen=True, eq=False)
class Outgrowth:
    """A path (N, 3) LPS mm out of the root, its mean likeness of lumen 0 to 1, and the direction (3,) from the root's axis."""

    path_mm: np.ndarray
    likeness: float
    direction: np.ndarray

    @property
    def length_mm(self) -> float:
        """Return the length of the path, mm."""
        return float(np.linalg.norm(np.diff(self.path_mm, axis=0), axis=1).sum())


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What lies around the ascending aorta, on the fine grid: ``smooth`` HU, likeness of lumen, mm from the aorta.

    ``passable`` is where a path may go: blood or plaque that is neither aorta nor chamber.
    """

    aorta: Aorta
    smooth: Grid
    likeness: np.ndarray
    from_aorta_mm: np.ndarray
    passable: np.ndarray

    @classmethod
    def of(cls, volume: Grid, heart: Heart, aorta: Aorta) -> Surroundings:
        """Return what ``volume`` (HU) shows around ``aorta``, from below the ostia to where its trace ends above."""
        root = aorta.centres_mm[0]
        top_mm = max(BOX_Z_MM[1], float(aorta.centres_mm[-1, 2] - root[2]))
        box = fine_grid(
            volume, root + np.array([-REACH_MM, -REACH_MM, BOX_Z_MM[0]]), root + np.array([REACH_MM, REACH_MM, top_mm])
        )
        spacing = box.spacing_mm[0]
        smooth = ndimage.gaussian_filter(box.values, 0.5 / spacing)
        inner = aorta_mask(aorta, box)
        wide = wide_blood(smooth, blood_threshold_hu(aorta.mean_hu), spacing, WIDE_MM) & ~inner
        labels = labels_on(heart.labels, box)
        # the coarse pools say which wide blood is a chamber; what else is wide (the root itself, a plump left main) stays
        wide &= ndimage.binary_dilation((labels == OTHER_POOL) | (labels == LEFT_VENTRICLE), iterations=3)
        from_aorta = ndimage.distance_transform_edt(~inner, sampling=spacing)
        passable = (smooth > MUSCLE_FLOOR_HU) & ~wide & (from_aorta > 0)
        index = np.argwhere(passable)
        tube = tubeness(np.minimum(box.values, aorta.mean_hu + 100), spacing, index)
        likeness = np.zeros(box.values.shape, np.float32)
        likeness[tuple(index.T)] = lumen_likeness(smooth[tuple(index.T)], tube, aorta.mean_hu)
        near = (from_aorta > 0) & (from_aorta <= 2.5)
        likeness[near] = np.maximum(likeness[near], 0.5 * np.clip((smooth[near] - 150) / (0.6 * aorta.mean_hu - 100), 0, 1))
        return cls(aorta, box.with_values(smooth), likeness, from_aorta, passable)

    def between(self, low_mm: float, high_mm: float) -> Surroundings:
        """Return the part between two heights along the body, counted from the valve."""
        height = self.smooth.origin_mm[2] + self.smooth.spacing_mm[0] * np.arange(self.likeness.shape[0])
        inside = np.flatnonzero(
            (height >= self.aorta.centres_mm[0, 2] + low_mm) & (height <= self.aorta.centres_mm[0, 2] + high_mm)
        )
        rows = slice(int(inside[0]), int(inside[-1]) + 1)
        smooth = self.smooth.box((rows.start, 0, 0), (rows.stop, *self.likeness.shape[1:]))
        return Surroundings(self.aorta, smooth, *(a[rows] for a in (self.likeness, self.from_aorta_mm, self.passable)))


def outgrowths(around: Surroundings, heights_mm: tuple[float, float] = ABOVE_VALVE_MM) -> list[Outgrowth]:
    """Return the tubular outgrowths of the aorta, longest first; of those that share a start only the longest.

    They start between the heights ``heights_mm`` above the valve.
    """
    aorta, box, from_aorta = around.aorta, around.smooth, around.from_aorta_mm
    cost = np.where(around.passable, path_cost(around.likeness), np.inf).astype(np.float32)
    start = (from_aorta > 0) & (from_aorta <= 0.75) & around.passable & _height_ok(box, aorta, heights_mm)
    arrival, before = march(cost, box.spacing_mm[0], np.flatnonzero(start), BUDGET)
    found = _longest_paths(box.with_values(around.likeness), arrival, before, from_aorta, aorta)
    lumen = np.clip(box.values - blood_threshold_hu(aorta.mean_hu), 0, aorta.mean_hu) * (from_aorta > 0.5)
    return [
        replace(o, path_mm=np.vstack([mouth_mm(o.path_mm, box.with_values(lumen), from_aorta), o.path_mm[1:]])) for o in found
    ]


def mouth_mm(path_mm: np.ndarray, lumen: Grid, from_root: np.ndarray) -> np.ndarray:
    """Return the point (3,) LPS mm where the middle of the artery along ``path_mm`` meets the root's surface.

    A path starts anywhere in the mouth.  Its points 1 to 3.6 mm from the root are drawn to the middle of the weights
    ``lumen``, and the line through them is followed back to the surface.
    """
    index = np.rint(lumen.index(path_mm)).astype(int)
    out = from_root[tuple(index.T)]
    beside = path_mm[(out >= 1.0) & (out <= 3.6)][:12]
    first: np.ndarray = path_mm[0]
    if len(beside) < 3:
        return first
    middle = beside
    for _ in range(4):
        middle = np.array([_weighted_middle(lumen, p, 2.5) for p in middle])
    centre = middle.mean(axis=0)
    _, _, axes = np.linalg.svd(middle - centre)
    ahead = (beside[-1] - first) / np.linalg.norm(beside[-1] - first)
    # where a lesion sits at the ostium the middles crowd together and their line says nothing
    back = -(axes[0] * np.sign(axes[0] @ ahead) if abs(axes[0] @ ahead) > SAME_WAY else ahead)
    line = centre + back * np.arange(0.0, 12.0, 0.1)[:, None]
    depth = ndimage.map_coordinates(from_root, lumen.index(line).T, order=1, mode="nearest")
    reached = np.flatnonzero(depth < 0.5 * lumen.spacing_mm[0])
    mouth: np.ndarray = line[reached[0]] if reached.size else first
    return mouth if np.linalg.norm(mouth - first) < WIDEST_MOUTH_MM else first


WIDEST_MOUTH_MM = 3.5
"""Farthest that a path can start from the middle of its mouth, mm."""

SAME_WAY = 0.7
"""Least cosine between the line through an artery's first middles and the way its path takes (1)."""


def _weighted_middle(weight: Grid, point_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return the centre of ``weight`` (3,) LPS mm within ``radius_mm`` of ``point_mm``."""
    reach = radius_mm / np.asarray(weight.spacing_mm)
    at = weight.index(point_mm)
    start = np.clip(np.ceil(at - reach).astype(int), 0, None)
    stop = np.minimum(np.floor(at + reach).astype(int) + 1, weight.values.shape)
    z, y, x = np.ogrid[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]
    near = ((z - at[0]) / reach[0]) ** 2 + ((y - at[1]) / reach[1]) ** 2 + ((x - at[2]) / reach[2]) ** 2 <= 1
    values = weight.values[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]] * near
    total = float(values.sum())
    if total <= 0:
        return point_mm
    middle = np.array([(values * axis).sum() for axis in (z, y, x)]) / total
    found: np.ndarray = weight.points_mm(middle)
    return found


MUSCLE_FLOOR_HU = 120.0
"""Smoothed value below which no path is followed, HU: just above muscle, so that a stenosis of few voxels stays passable."""


def root_axis(aorta: Aorta) -> np.ndarray:
    """Return the unit vector (3,) of the root's axis, along which heights above the valve are measured."""
    normal = aorta.normals[: min(20, len(aorta.normals))].mean(axis=0)
    unit: np.ndarray = normal / np.linalg.norm(normal)
    return unit


def _height_ok(box: Grid, aorta: Aorta, heights_mm: tuple[float, float]) -> np.ndarray:
    """Return the voxels (Z, Y, X) whose height above the valve lies between ``heights_mm``."""
    normal = root_axis(aorta)
    z, y, x = (box.origin_mm[2 - a] + box.spacing_mm[a] * np.arange(box.values.shape[a]) for a in range(3))
    root = aorta.centres_mm[0]
    height = (
        (z - root[2])[:, None, None] * normal[2]
        + (y - root[1])[None, :, None] * normal[1]
        + (x - root[0])[None, None, :] * normal[0]
    )
    allowed: np.ndarray = (height > heights_mm[0]) & (height < heights_mm[1])
    return allowed


def _longest_paths(
    likeness: Grid, arrival: np.ndarray, before: np.ndarray, from_root: np.ndarray, aorta: Aorta
) -> list[Outgrowth]:
    ends = np.isfinite(arrival) & (likeness.values > 0.35) & (from_root > LEAST_OUTGROWTH_MM * 0.7)
    nodes = np.flatnonzero(ends)
    nodes = nodes[np.argsort(-from_root.ravel()[nodes], kind="stable")]
    found: list[Outgrowth] = []
    starts: list[np.ndarray] = []
    start_of = _start_of(before, arrival)
    taken: set[int] = set()
    for node in nodes.tolist():
        start = int(start_of[node])
        if start in taken:
            continue
        taken.add(start)
        point = np.array(np.unravel_index(start, arrival.shape), float)
        if any(np.linalg.norm(point - other) * likeness.spacing_mm[0] < 4.0 for other in starts):
            continue
        path = path_to(before, node)
        index = np.array(np.unravel_index(path, arrival.shape)).T
        points = likeness.points_mm(index)
        section = int(np.argmin(np.linalg.norm(aorta.centres_mm - points[0], axis=1)))
        out = points[min(6, len(points) - 1)] - aorta.centres_mm[section]
        out -= (out @ aorta.normals[section]) * aorta.normals[section]
        starts.append(point)
        found.append(Outgrowth(points, float(likeness.values.ravel()[path].mean()), out / np.linalg.norm(out)))
        if len(found) == 12:
            break
    return sorted(found, key=lambda o: -o.length_mm)


def _start_of(before: np.ndarray, arrival: np.ndarray) -> np.ndarray:
    """Return for each reached voxel the flat index of the seed that its path started from."""
    reached = np.flatnonzero(np.isfinite(arrival))
    start = np.full(arrival.size, -1, np.int64)
    start[reached] = np.where(before[reached] < 0, reached, before[reached])
    while True:
        further = start[start[reached]]
        if np.array_equal(further, start[reached]):
            return start
        start[reached] = further


def find_ostia(around: Surroundings) -> dict[str, Ostium]:
    """Return the ostia found, under ``left`` and ``right``; one that is not found is not there.

    The pair of outgrowths is taken whose summed worth is greatest; one outgrowth is not both.
    """
    found = outgrowths(around.between(*BOX_Z_MM))
    worths = {side: [worth(o, towards) for o in found] + [0.0] for side, towards in SIDES.items()}
    none = len(found)
    pairs = [(i, j) for i in range(none + 1) for j in range(none + 1) if i != j or i == none]
    i, j = max(pairs, key=lambda pair: (worths["left"][pair[0]] + worths["right"][pair[1]], -sum(pair)))
    chosen = {"left": i, "right": j}
    return {
        side: Ostium(found[k].path_mm[0], round(worths[side][k], 3))
        for side, k in chosen.items()
        if worths[side][k] > LEAST_WORTH
    }


LEAST_WORTH = 0.1
"""Worth below which an outgrowth is no artery (1)."""


def worth(outgrowth: Outgrowth, towards: np.ndarray) -> float:
    """Return how much an outgrowth looks like the artery of the sinus in the direction ``towards``, 0 to 1."""
    length = np.clip((outgrowth.length_mm - LEAST_OUTGROWTH_MM) / 25.0 + 0.2, 0, 1)
    side = np.clip((float(outgrowth.direction @ towards) + 0.3) / 1.0, 0, 1)
    return float(length * np.clip(outgrowth.likeness / 0.5, 0, 1) * side)
