"""What calcified plaque adds to the image around it, so that it can be taken away again.

Calcium of 1000 HU, blurred by 0.7 mm, still adds 100 HU half a millimetre outside its edge: blooming, which hides a lumen
or makes one out of plaque.  Here the calcium's own distribution is sought, on the voxels that it surely fills, so that its
blurred image explains them (projected Landweber iteration); that blurred image is the bloom.

References
----------
Landweber, *An iteration formula for Fredholm integral equations of the first kind*, Am J Math 73:615 (1951), with the
projection onto what is not negative and lies on the support.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid

SOFT_TISSUE_HU = 40.0
"""What would be there without calcium: the vessel's wall."""

NEAR_MM = 4.0
"""Calcium farther than this from the lumen mask does not touch a section that matters: bone, valves, other vessels."""

LARGEST_MM = 25.0
"""A bright piece larger than this is bone or a metal lead, not coronary calcium."""

ABOVE_BLOOD_HU = 100.0
"""Calcium is brighter than blood by this: a thin rod of plaque, blurred, is hardly brighter, and one that is not seen is taken
for lumen."""

ABOVE_NOISE, SURELY_ABOVE_NOISE = 2.5, 5.0
"""And by so many deviations of the noise; a piece smaller than ``LEAST_MM3`` must somewhere exceed it by the second."""

LEAST_MM3 = 1.0
"""Ten voxels of a coronary scan: noise of 2.5 deviations makes no such piece."""

ITERATIONS = 20


def calcified(volume_hu: Grid, lumen: np.ndarray, blood_hu: float, noise_hu: float) -> np.ndarray:
    """Return the voxels of calcium near the lumen, (Z, Y, X) bool: brighter than blood by more than noise makes them."""
    bright = volume_hu.values > blood_hu + max(ABOVE_BLOOD_HU, ABOVE_NOISE * noise_hu)
    sure_hu = blood_hu + max(ABOVE_BLOOD_HU, SURELY_ABOVE_NOISE * noise_hu)
    least = LEAST_MM3 / float(np.prod(volume_hu.spacing_mm))
    labels, count = ndimage.label(bright)
    if count == 0:
        return bright
    finder = cKDTree(volume_hu.points_mm(np.argwhere(lumen)))
    kept = np.zeros(count + 1, dtype=bool)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        extent = np.linalg.norm([(s.stop - s.start) * d for s, d in zip(box, volume_hu.spacing_mm, strict=True)])
        if extent > LARGEST_MM:
            continue
        own = labels[box] == i
        if own.sum() < least and volume_hu.values[box][own].max() <= sure_hu:
            continue
        voxels = np.argwhere(own) + [s.start for s in box]
        kept[i] = np.isfinite(finder.query(volume_hu.points_mm(voxels), distance_upper_bound=NEAR_MM)[0]).any()
    found: np.ndarray = kept[labels]
    return found


def bloom_hu(volume_hu: Grid, calcium: np.ndarray, blur_sd_mm: float, blood_hu: np.ndarray | None = None) -> Grid:
    """Return what the voxels ``calcium`` (Z, Y, X) bool add to the image everywhere, float32 HU on the same grid.

    ``blood_hu`` (M,) is what the lumen beside it adds to each of these voxels, in the order of ``np.argwhere``, where it is
    known: without it calcium is taken for more than it is, and a lumen for less.
    """
    bloom = np.zeros(volume_hu.values.shape, dtype=np.float32)
    seen = np.zeros(volume_hu.values.shape, dtype=np.float32)
    seen[calcium] = volume_hu.values[calcium] - SOFT_TISSUE_HU - (0.0 if blood_hu is None else blood_hu)
    labels, _ = ndimage.label(calcium, structure=np.ones((3, 3, 3)))
    sd = blur_sd_mm / np.asarray(volume_hu.spacing_mm)
    margin = np.ceil(4 * sd).astype(int) + 1
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        wide = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
        excess = np.where(labels[wide] == i, seen[wide], 0.0)
        support = excess > 0.5 * excess.max()
        own = np.where(support, excess, 0.0)
        for _ in range(ITERATIONS):
            missing = np.where(support, excess - ndimage.gaussian_filter(own, sd, mode="constant"), 0.0)
            own = np.maximum(own + missing, 0.0)
        bloom[wide] += ndimage.gaussian_filter(own, sd, mode="constant").astype(np.float32)
    return volume_hu.with_values(bloom)
