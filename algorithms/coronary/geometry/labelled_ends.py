"""Where the vessels of a label volume end: at labelled faces, at the volume's border, or where their branches end.

Arrays and indices are (Z, Y, X); directions are unit vectors along those axes in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.vessel.skeleton import skeleton_of

INLET = 2
"""Label of the face where blood comes in; the first of the outlets is one more."""

LOOK_BACK = 3.0
"""The direction of an end is from the middle of the lumen within so many radii of it."""

SHORTEST_RADII = 6.0
"""A lumen shorter than this many of its radii is a blob with no ends to be found."""

SIDE_DIAMETERS = 1.0
"""A branch that leaves another by less than this is a bulge of the wall or a corner of its end."""


@dataclass(frozen=True, eq=False)
class End:
    """A cut end: its middle as a continuous index (z, y, x), and its direction out of the vessel.

    ``border`` is the outward normal of the volume's border where that made the cut.
    """

    name: str
    inlet: bool
    index: np.ndarray
    outward: np.ndarray
    radius_mm: float
    border: np.ndarray | None = None


def labelled_ends(labels: np.ndarray, spacing_mm: np.ndarray) -> list[End]:
    """Return the ends that have faces, the inlet first; none where there are no faces.

    Raises
    ------
    DataError
        If there are faces but no inlet or no outlet, or a face is in pieces.
    """
    numbers = [int(n) for n in np.unique(labels) if n >= INLET]
    if not numbers:
        return []
    if INLET not in numbers:
        raise DataError(f"faces {', '.join(map(str, numbers))} are labelled but no inlet; label the face of the inlet 2")
    if len(numbers) < 2:
        raise DataError("only the inlet's face is labelled; label the faces of the outlets 3 and up")
    lumen = np.argwhere(labels > 0)
    ends = []
    for number in numbers:
        face = labels == number
        count = int(ndimage.label(face, structure=np.ones((3, 3, 3)))[1])
        if count > 1:
            raise DataError(f"face {number} is in {count} pieces, wanted one; give each opening a label of its own")
        name = "inlet" if number == INLET else f"outlet {number}"
        ends.append(_end(name, number == INLET, (np.argwhere(face), lumen), spacing_mm))
    return ends


def found_ends(mask: np.ndarray, spacing_mm: np.ndarray, known: list[End]) -> list[End]:
    """Return the ends that no face tells of: at the border of the volume, or if there are none at all, at the tips.

    The largest is the inlet unless one is known.

    Raises
    ------
    DataError
        If nothing is known and there are fewer than two ends.
    """
    lumen = np.argwhere(mask)
    ends = []
    for voxels in _border_pieces(mask):
        if any(np.linalg.norm((voxels - e.index) * spacing_mm, axis=1).min() < max(e.radius_mm, 1e-9) for e in known):
            continue
        outward = (voxels == np.array(mask.shape) - 1).sum(axis=0) - (voxels == 0).sum(axis=0).astype(float)
        border = outward / max(float(np.linalg.norm(outward)), 1e-9)
        ends.append(_end("", False, (voxels, lumen), spacing_mm, border))
    if not known and len(ends) < 2:
        ends += _tips(mask, spacing_mm, ends)
        if len(ends) < 2:
            raise DataError(
                "the lumen is closed: it has no labelled face and no end; label the inlet's face 2 and the outlets' 3 and up"
            )
    ends.sort(key=lambda end: -end.radius_mm)
    names = iter([*([] if known else ["inlet"]), *(f"opening {n}" for n in range(1, len(ends) + 1))])
    return [End(name := next(names), name == "inlet", e.index, e.outward, e.radius_mm, e.border) for e in ends]


def _border_pieces(mask: np.ndarray) -> list[np.ndarray]:
    shell = mask.copy()
    shell[1:-1, 1:-1, 1:-1] = False
    pieces, count = ndimage.label(shell, structure=np.ones((3, 3, 3)))
    return [np.argwhere(pieces == n) for n in range(1, count + 1)]


def _end(
    name: str,
    inlet: bool,
    voxels: tuple[np.ndarray, np.ndarray],
    spacing_mm: np.ndarray,
    border: np.ndarray | None = None,
) -> End:
    """Return the end whose face consists of the voxels ``voxels[0]`` of the lumen ``voxels[1]``."""
    face, lumen = voxels
    middle = face.mean(axis=0)
    spread = np.linalg.eigvalsh(np.cov(((face - middle) * spacing_mm).T)) if len(face) > 3 else np.zeros(3)
    # The variance of a disc is a quarter of its squared radius along each of its two long axes.
    radius = max(2 * float(np.sqrt(spread[1])), float(spacing_mm.max()))
    offset = (lumen - middle) * spacing_mm
    near = offset[(offset**2).sum(axis=1) < (LOOK_BACK * radius) ** 2]
    inward = near.mean(axis=0)
    length = float(np.linalg.norm(inward))
    if length < 0.1 * radius:
        raise DataError(f"{name or 'an end at the border'} has lumen on both sides, wanted a face at an end of the vessel")
    if border is not None:
        middle = middle + 0.5 * border  # a voxel's outer side, not its middle
    return End(name, inlet, middle, -inward / length, radius, border)


def _tips(mask: np.ndarray, spacing_mm: np.ndarray, at_border: list[End]) -> list[End]:
    """Return the ends of the branches: of the longest path through the mask, and of what leaves it."""
    voxels = np.argwhere(mask)
    start = voxels[:1] if not at_border else voxels[[np.argmin(np.linalg.norm(voxels - at_border[0].index, axis=1))]]
    longest = skeleton_of(mask, spacing_mm, start, np.inf).paths[0]
    # At a square end a corner is as far away as the middle; what is no longer than it is wide is such a corner.
    shortest = SIDE_DIAMETERS * 2 * float(np.median(longest.radius_mm))
    paths = skeleton_of(mask, spacing_mm, start if at_border else longest.voxels[-1:], shortest).paths
    length = float(np.linalg.norm(np.diff(paths[0].voxels * spacing_mm, axis=0), axis=1).sum())
    radius = float(np.median(paths[0].radius_mm))
    if length < SHORTEST_RADII * radius:
        return []
    places = [(path.voxels, path.radius_mm) for path in paths]
    if not at_border:
        places.insert(1, (paths[0].voxels[::-1], paths[0].radius_mm[::-1]))
    kept: list[End] = []
    for line, widths in places:
        tip = _tip(line * spacing_mm, widths, spacing_mm)
        # Two ends that lie nearer than they are wide are the middle and a corner of one.
        if all(np.linalg.norm((tip.index - other.index) * spacing_mm) > 2 * other.radius_mm for other in kept):
            kept.append(tip)
    return kept


def _tip(line_mm: np.ndarray, radius_mm: np.ndarray, spacing_mm: np.ndarray) -> End:
    back = np.linalg.norm(line_mm - line_mm[-1], axis=1)
    wide = float(np.median(radius_mm[back < LOOK_BACK * radius_mm.max()]))
    # The last radius of a voxel path may turn into a corner of the end.
    before = line_mm[(back >= wide) & (back <= (1 + LOOK_BACK) * wide)]
    if len(before) < 2:
        before = line_mm
    middle = before.mean(axis=0)
    direction = np.linalg.svd(before - middle)[2][0]
    direction = direction if direction @ (line_mm[-1] - middle) > 0 else -direction
    tip = middle + ((line_mm[-1] - middle) @ direction) * direction
    return End("", False, tip / spacing_mm, direction, wide)
