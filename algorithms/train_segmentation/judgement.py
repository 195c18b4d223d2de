"""How well an answer meets the truth: overlap, distance of surfaces, centrelines, places.

Arrays are (Z, Y, X); spacing is mm in that order.

References
----------
Taha and Hanbury, BMC Med Imaging 15:29 (2015), for Dice and the 95th percentile of the Hausdorff distance; Shit et al., CVPR
2021, arXiv:2003.07311, eq. 1 and 2, for the two shares of a centreline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from algorithms.train_segmentation.sample import box_around
from algorithms.train_segmentation.tasks import OSTIA, SCATTERED, THIN

HALF = 0.5
"""Share or probability from which a voxel belongs to a structure."""

FACES = ndimage.generate_binary_structure(3, 1)


def judged(channel: str, answer: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]) -> dict[str, float | None]:
    """Return the figures of one channel of one study; a figure that cannot be had is ``None``.

    ``answer`` and ``truth`` are probabilities or shares from 0 to 1.  Where both are empty, overlaps are 1 and distances 0;
    where one is, distances cannot be had.
    """
    if channel in OSTIA:
        ways = [np.array(np.unravel_index(int(np.argmax(values)), values.shape)) for values in (answer, truth)]
        return {"distance_mm": round(float(np.linalg.norm((ways[0] - ways[1]) * spacing_mm)), 3)}
    found, true = answer >= HALF, truth >= HALF
    figures: dict[str, float | None] = {"dice": dice(found, true)}
    if channel not in SCATTERED:
        figures["hd95_mm"] = hd95_mm(found, true, spacing_mm)
    if channel in THIN:
        figures |= {"centreline_found": on_centreline(found, true), "centreline_true": on_centreline(true, found)}
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def dice(found: np.ndarray, true: np.ndarray) -> float:
    """Return twice the common volume over the sum of both; 1 where both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def hd95_mm(found: np.ndarray, true: np.ndarray, spacing_mm: Sequence[float]) -> float | None:
    """Return the 95th percentile of the distances of either surface's voxels to the other surface."""
    if not found.any() and not true.any():
        return 0.0
    if not found.any() or not true.any():
        return None
    part = box_around(found | true, [1, 1, 1])
    surfaces = [mask[part] & ~ndimage.binary_erosion(mask[part], FACES) for mask in (found, true)]
    ways = [ndimage.distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces]
    return float(np.percentile(np.concatenate([ways[1][surfaces[0]], ways[0][surfaces[1]]]), 95))


def on_centreline(mask: np.ndarray, other: np.ndarray) -> float | None:
    """Return the share of ``other``'s centreline that ``mask`` covers, ``None`` where there is no such line.

    Of the truth's centreline it is how much was found; of the answer's, how much of what was found is true.
    """
    from skimage.morphology import skeletonize

    if not other.any():
        return None
    part = box_around(other, [1, 1, 1])
    line = skeletonize(other[part]) > 0  # type: ignore[no-untyped-call]
    return float(mask[part][line].mean()) if line.any() else None


BETTER_HIGH = {"dice": True, "centreline_found": True, "centreline_true": True, "hd95_mm": False, "distance_mm": False}
"""Every figure, and whether more of it is better."""

SLACK = {"dice": 0.005, "centreline_found": 0.005, "centreline_true": 0.005, "hd95_mm": 0.1, "distance_mm": 0.25}
"""By how much a mean may be worse and count as equal: less than another seed of the training changes (own choice)."""


def means(cases: Sequence[dict[str, dict[str, float | None]]]) -> dict[str, dict[str, float | None]]:
    """Return the mean of every figure of every channel over the cases that have it; the last decimals are dropped."""
    out: dict[str, dict[str, float | None]] = {}
    for channel in dict.fromkeys(channel for case in cases for channel in case):
        names = dict.fromkeys(name for case in cases for name in case.get(channel, {}))
        values = {n: [v for case in cases if (v := case.get(channel, {}).get(n)) is not None] for n in names}
        out[channel] = {n: round(float(np.mean(v)), 4) if v else None for n, v in values.items()}
    return out


def worse(new: dict[str, dict[str, float | None]], old: dict[str, dict[str, float | None]]) -> list[str]:
    """Return what is worse about ``new`` than about ``old``, a phrase a figure; a figure that ``new`` lacks is worse."""
    found = []
    for channel, figures in old.items():
        for name, before in figures.items():
            now = new.get(channel, {}).get(name)
            if before is None:
                continue
            if now is None:
                found.append(f"{name} of {channel} cannot be had, it was {before:g}")
            elif (before - now if BETTER_HIGH[name] else now - before) > SLACK[name]:
                found.append(f"{name} of {channel} is {now:g}, it was {before:g}")
    return found
