"""Coronary arteries as paths: grown from the ostia through what looks like lumen, branch by branch, and judged.

The cheapest path from an ostium to every voxel is known after one march.  The longest of them that ends in an artery is
taken as a branch, then the longest of what it does not cover, and so on.  Along each the contrast says where it stops
being an artery: a stenosis is a short dip, a vein is fainter for long, and outside vessels there is no tube at all.
Arrays are (Z, Y, X) on the fine grid; voxels are also named by their flat index; points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

from algorithms.coronary.heart import MUSCLE_HU
from algorithms.coronary.lumen import Lumen
from algorithms.coronary.minimal_paths import march
from algorithms.coronary.vessels import path_cost

SEEN = 0.25
"""Likeness of lumen from which a voxel of a path counts as artery (1)."""

LONGEST_GAP_MM = 15.0
"""Longest part of a path without visible artery that is bridged, mm: a subtotal lesion is 5 to 15 mm long."""

SHORTEST_BRANCH_MM = 6.0
"""Shortest side branch that is kept, mm."""

PATH_BUDGET = 900.0
"""Cost of the dearest path followed, mm of clear artery: 250 mm of vessel with a few dips."""

VEIN_WINDOW_MM = 8.0
"""Length over which contrast is judged, mm: longer than the throat of a stenosis."""


@dataclass(frozen=True, eq=False)
class Artery:
    """One branch: its voxels on the fine grid, the radius of the tube there, and the longest gap that was bridged.

    ``index`` (N, 3) as (z, y, x) runs from where it leaves its parent (or the ostium) to its tip, ``radius_mm`` is (N,).
    """

    index: np.ndarray
    radius_mm: np.ndarray
    gap_mm: float


@numba.njit(cache=True)
def _lengths(
    arrival: np.ndarray, before: np.ndarray, order: np.ndarray, shape: tuple[int, int, int], spacing_mm: float
) -> np.ndarray:
    """Return the length of the path to each reached voxel, mm; ``order`` sorts the reached voxels by arrival."""
    length = np.zeros(arrival.size, np.float32)
    for node in order:
        last = before[node]
        if last >= 0:
            dz = node // (shape[1] * shape[2]) - last // (shape[1] * shape[2])
            dy = node // shape[2] % shape[1] - last // shape[2] % shape[1]
            dx = node % shape[2] - last % shape[2]
            length[node] = length[last] + np.sqrt(dz * dz + dy * dy + dx * dx) * spacing_mm
    return length


@numba.njit(cache=True)
def _cover(mask: np.ndarray, nodes: np.ndarray, radius: np.ndarray) -> None:
    """Set ``mask`` (Z, Y, X) within ``radius`` (N,) voxels of each of ``nodes``."""
    nz, ny, nx = mask.shape
    for i in range(len(nodes)):
        z, rest = divmod(nodes[i], ny * nx)
        y, x = divmod(rest, nx)
        reach = int(np.ceil(radius[i]))
        for a in range(max(0, z - reach), min(nz, z + reach + 1)):
            for b in range(max(0, y - reach), min(ny, y + reach + 1)):
                for c in range(max(0, x - reach), min(nx, x + reach + 1)):
                    if (a - z) ** 2 + (b - y) ** 2 + (c - x) ** 2 <= radius[i] ** 2:
                        mask[a, b, c] = True


def grow(field: Lumen, seeds: np.ndarray, aorta_hu: float) -> list[Artery]:
    """Return the branches that start at ``seeds`` (flat indices of the voxels around the ostia), longest first."""
    shape, spacing = field.likeness.shape, field.hu.spacing_mm[0]
    cost = np.where(field.open, path_cost(field.likeness), np.inf).astype(np.float32)
    arrival, before = march(cost, spacing, seeds, PATH_BUDGET)
    flat = arrival.ravel()
    reached = np.flatnonzero(np.isfinite(flat))
    order = reached[np.argsort(flat[reached], kind="stable")]
    length = _lengths(flat, before, order, shape, spacing)
    ends = reached[field.likeness.ravel()[reached] > SEEN]
    ends = ends[np.argsort(-length[ends], kind="stable")]
    covered = np.zeros(shape, bool)
    tree = np.zeros(flat.size, bool)
    tree[seeds] = True
    arteries: list[Artery] = []
    done = covered.ravel()  # a view: what is painted on one is seen in the other
    for end in ends.tolist():
        if done[end]:
            continue
        nodes = _new_part(before, end, tree)
        path = Artery(np.array(np.unravel_index(nodes, shape)).T, _radius_mm(field, nodes), 0.0)
        stop, gap = judged(field, path, aorta_hu)
        _cover(covered, nodes[stop:], np.full(len(nodes) - stop, 1.5 / spacing))
        kept = Artery(path.index[:stop], path.radius_mm[:stop], gap)
        if not _is_branch(field, kept):
            _cover(covered, nodes[:stop], np.full(stop, 1.0 / spacing))
            continue
        arteries.append(kept)
        tree[nodes[:stop]] = True
        _cover(covered, nodes[:stop], (kept.radius_mm * 1.4 + 1.0) / spacing)
    return arteries


def _is_branch(field: Lumen, artery: Artery) -> bool:
    """Return whether ``artery`` is long enough for one; a short one must be seen all along, as rims are not."""
    if len(artery.index) < 2:
        return False
    length = float(along_mm(artery.index, field.hu.spacing_mm[0])[-1]) - float(artery.radius_mm[0])
    return length >= SHORTEST_BRANCH_MM and (length >= 2 * SHORTEST_BRANCH_MM or artery.gap_mm < SHORT_GAP_MM)


SHORT_GAP_MM = 1.5
"""Longest part of a branch shorter than twice ``SHORTEST_BRANCH_MM`` that may be unseen, mm."""


def _new_part(before: np.ndarray, end: int, tree: np.ndarray) -> np.ndarray:
    """Return the voxels from the last one that lies on ``tree`` to ``end``."""
    path = [end]
    while not tree[path[-1]] and before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def along_mm(index: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return the distance along a path of voxels (N, 3) from its first one, (N,) mm."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(index, axis=0), axis=1)) * spacing_mm])


def _radius_mm(field: Lumen, nodes: np.ndarray) -> np.ndarray:
    """Return the radius of the tube around each voxel, (N,) mm, from the scale at which it answers best."""
    radius: np.ndarray = np.clip(field.scale_mm.ravel()[nodes] / 0.7, 0.6, 3.2)
    smooth: np.ndarray = ndimage.median_filter(radius, 7, mode="nearest")
    return smooth


def judged(field: Lumen, path: Artery, aorta_hu: float) -> tuple[int, float]:
    """Return how many voxels of a path, from its start, are an artery, and the longest gap within them in mm.

    It ends where it is a vein or too faint for an artery of its width, and before a gap over
    ``SURE_GAP_MM`` after which no aligned artery goes on; what is left of a gap at its end is cut off.
    """
    along = along_mm(path.index, field.hu.spacing_mm[0])
    seen = field.likeness[tuple(path.index.T)] >= SEEN
    stop = min(first_venous(field, path), first_faint(field, path, aorta_hu))
    longest = 0.0
    for start, end in _runs(~seen[:stop]):
        gap = along[min(end, len(along) - 1)] - along[max(start - 1, 0)]
        if end == stop or (gap > SURE_GAP_MM and not _goes_on(path, along, seen[:stop], start, end)):
            stop = start
            break
        longest = max(longest, float(gap))
    return stop, longest


SURE_GAP_MM = 4.0
"""Longest part without visible artery that is bridged whatever its direction, mm."""

ALIGNED = 0.7
"""Least cosine between an artery's ways before, across and after a gap (1)."""


def _goes_on(path: Artery, along: np.ndarray, seen: np.ndarray, start: int, end: int) -> bool:
    """Return whether the artery before the gap [start, end) goes on after it: as long again as the gap, and straight on."""
    gap = along[end] - along[start]
    if gap > LONGEST_GAP_MM or (along[1] * seen[end:]).sum() < gap or start == 0:
        return False
    before = path.index[start] - path.index[np.searchsorted(along, along[start] - 5.0)]
    over = path.index[end] - path.index[start]
    after = path.index[min(np.searchsorted(along, along[end] + 5.0), len(along) - 1)] - path.index[end]
    ways = [w / max(float(np.linalg.norm(w)), 1e-6) for w in (before.astype(float), over.astype(float), after.astype(float))]
    return bool(ways[0] @ ways[1] >= ALIGNED and ways[1] @ ways[2] >= ALIGNED)


def first_venous(field: Lumen, path: Artery) -> int:
    """Return the index from which a path is more another vessel than coronary lumen; its length if it never is.

    What is compared are the means over ``VEIN_WINDOW_MM``: where an artery crosses a vein both are seen for a moment.  A
    throat beside a vein is seen as that vein, and after it the artery is itself again for as long.
    """
    if field.share is None or field.other is None:
        return len(path.index)
    at = tuple(path.index.T)
    window = 2 * int(VEIN_WINDOW_MM / field.hu.spacing_mm[0] / 2) + 1
    ours, theirs = (
        ndimage.uniform_filter1d(share[at].astype(float), window, mode="nearest") for share in (field.share, field.other)
    )
    along = along_mm(path.index, field.hu.spacing_mm[0])
    venous = _runs(theirs > ours)
    for number, (start, stop) in enumerate(venous):
        length = along[stop - 1] - along[start]
        after = venous[number + 1][0] if number + 1 < len(venous) else len(along)
        clear = along[after - 1] - along[stop - 1]
        if start == 0 or length > LONGEST_THROAT_MM or clear < max(length, VEIN_WINDOW_MM):
            return start
    return len(path.index)


def first_faint(field: Lumen, path: Artery, aorta_hu: float) -> int:
    """Return the index from which a path is too faint for an artery of its width; its length if it never is.

    A stenosis is faint, and after it the artery is bright again; a vein stays faint.  Where shares of lumen are known,
    faintness says nothing of thin vessels.
    """
    hu = field.hu.values[tuple(path.index.T)]
    hu = ndimage.median_filter(hu, 7, mode="nearest")
    share = 1 - np.exp(-(path.radius_mm**2) / (2 * BLUR_MM**2))
    faint = hu < MUSCLE_HU + (aorta_hu - MUSCLE_HU) * share * np.interp(path.radius_mm, *FAINTEST)
    if field.share is not None:
        faint &= path.radius_mm >= FAINT_RADIUS_MM
    along = along_mm(path.index, field.hu.spacing_mm[0])
    for start, stop in _runs(faint):
        length = along[stop - 1] - along[start]
        clear = sum(b - a for a, b in _runs(~faint) if a >= stop) * field.hu.spacing_mm[0]
        sideways = start <= 2 and length >= VEIN_WINDOW_MM  # a vein that an artery crosses is faint from the start
        if sideways or length > LONGEST_LESION_MM or (length >= FAINT_END_MM and clear < VEIN_WINDOW_MM):
            return start
    return len(hu)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return start and stop of each run of true ``flags`` (N,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


FAINT_RADIUS_MM = 0.8
"""Radius, by a network's lumen, from which a vein's faintness can be told from the blur of a thin artery, mm."""

FAINT_END_MM = 3.0
"""Length of a faint end that is cut off, mm: nothing bright follows it."""

LONGEST_THROAT_MM = 15.0
"""Longest part that may be taken for a vein beside it and still be an artery's throat, mm."""

LONGEST_LESION_MM = 22.0
"""Longest faint part after which an artery can be itself again, mm: diffuse lesions are over 20 mm long (ACC/AHA type C)."""

FAINTEST = ((0.9, 1.3), (0.6, 0.67))
"""Radii in mm, and the contrast above muscle of the faintest artery of that radius as a share of the aorta's after blur (1).

Cardiac veins hold 0.2 to 0.6 of the aorta's contrast in a well timed scan; how much blur takes from a thin artery is less sure.
"""

BLUR_MM = 0.45
"""Standard deviation of a scan's blur and that of the field together, mm."""
