"""What networks say is coronary lumen, asked only where the arteries lead.

They are asked around the ostia first, then in every block that the lumen found so far comes near to: some tens of blocks
instead of the whole chest.  Of several networks the mean counts.  Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.grid import Grid
from algorithms.coronary.lumen import PASSABLE_HU, Lumen
from algorithms.segmentation.resample import origin_mm, resampled
from algorithms.segmentation.segmenter import MeanAnswers, Segmenter

log = logging.getLogger(__name__)

LUMEN, CALCIUM, WIDE, OTHER = "coronary lumen", "calcified plaque", "wide blood", "other vessel"
"""Channels that are read; a model must have the first."""

NEAR_OSTIUM_MM = 6.0
"""Where the asking begins: within this of an ostium, mm."""

AHEAD_MM = 3.0
"""A block is asked where lumen comes this near to it, mm: the throat of a stenosis may be too narrow to be seen for as long."""

FOLLOWED = 0.4
"""Probability from which lumen leads on (1)."""

LEAST_FOLLOWED_ML = 0.008
"""Volume of lumen that leads on, ml: 7 mm of an artery of 0.6 mm radius; less is a speck."""

COARSER = 2
"""Voxels of the grid on which connections are looked for, fine voxels."""


def learned_lumen(box: Grid, ostia_mm: np.ndarray, segmenters: Sequence[Segmenter], aorta_hu: float) -> Lumen:
    """Return how much each voxel of ``box`` (HU), at the networks' spacing, is coronary lumen; ``aorta_hu`` is its blood.

    Raises
    ------
    DataError
        If a model does not say what is lumen, or sees voxels of unequal sides or others than the first model does.
    """
    spacing = segmenters[0].entry.input.spacing_mm
    for entry in (segmenter.entry for segmenter in segmenters):
        if LUMEN not in entry.channels or len(set(entry.input.spacing_mm)) != 1:
            raise DataError(
                f"model {entry.name} cannot segment the lumen: wanted a channel '{LUMEN}' and voxels of equal sides; "
                "docs/models.md tells how an entry is written"
            )
        if entry.input.spacing_mm != spacing:
            raise DataError(
                f"the mean of models cannot be taken: {segmenters[0].entry.name} sees voxels of {spacing[0]:g} mm, "
                f"{entry.name} of {entry.input.spacing_mm[0]:g} mm; choose one of them, or two that see the same"
            )
    fine = Grid(resampled(box.values, box.spacing_mm, spacing), spacing, origin_mm(box.origin_mm, box.spacing_mm, spacing))
    answers = followed(fine, ostia_mm, segmenters, aorta_hu)
    lumen, calcium, wide, other = (answers.share(channel) for channel in (LUMEN, CALCIUM, WIDE, OTHER))
    likeness = np.minimum(lumen + calcium, 1)
    is_wide = wide > np.maximum(lumen, 0.5)
    hu = fine.with_values(ndimage.gaussian_filter(fine.values, 0.35 / spacing[0]))
    passable = answers.asked & (hu.values > PASSABLE_HU) & ~is_wide
    return Lumen(hu, likeness, _scale_mm(lumen > 0.5, spacing[0]), passable, is_wide, lumen, other)


def followed(fine: Grid, ostia_mm: np.ndarray, segmenters: Sequence[Segmenter], aorta_hu: float) -> MeanAnswers:
    """Return the answers of the blocks that the lumen leads to from the ostia (N, 3); ``aorta_hu`` is the aorta's blood."""
    answers = MeanAnswers(segmenters, fine.values, aorta_hu)
    reach = round(AHEAD_MM / fine.spacing_mm[0])
    where = np.zeros(fine.values.shape, bool)
    for point in ostia_mm:
        at, near = fine.index(point), NEAR_OSTIUM_MM / fine.spacing_mm[0]
        where[tuple(slice(max(0, int(a - near)), max(0, int(a + near) + 1)) for a in at)] = True
    while answers.ask(where):
        part = _part_around(answers.asked, reach)
        found = _any(answers.share(LUMEN, part) > FOLLOWED, COARSER)
        names, count = ndimage.label(found, np.ones((3, 3, 3), bool))
        volume_ml = np.bincount(names.ravel(), minlength=count + 1) * (COARSER * fine.spacing_mm[0]) ** 3 / 1000
        worth = volume_ml >= LEAST_FOLLOWED_ML
        worth[0] = False
        ahead = ndimage.maximum_filter(worth[names], 2 * (reach // COARSER) + 1)
        where = np.zeros(fine.values.shape, bool)
        inside = tuple(slice(n) for n in where[part].shape)
        where[part] = ahead.repeat(COARSER, 0).repeat(COARSER, 1).repeat(COARSER, 2)[inside]
    return answers


def _part_around(mask: np.ndarray, reach: int) -> tuple[slice, ...]:
    """Return the box that holds all of ``mask`` and ``reach`` voxels around it, from a voxel of the coarser grid on."""
    sides = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(max(0, int(side[0]) - reach) // COARSER * COARSER, int(side[-1]) + 1 + reach) for side in sides)


def _any(mask: np.ndarray, step: int) -> np.ndarray:
    """Return whether any of each ``step`` cubed voxels of ``mask`` is set."""
    whole = np.pad(mask, [(0, -n % step) for n in mask.shape])
    out = np.zeros([n // step for n in whole.shape], bool)
    for z, y, x in np.ndindex(step, step, step):
        out |= whole[z::step, y::step, x::step]
    return out


def _scale_mm(lumen: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return 0.7 of the radius of the tube around each voxel of ``lumen`` and its neighbours, mm, 0 elsewhere.

    That is the scale at which a line filter would answer best.
    """
    inside = np.argwhere(lumen)
    rim = np.argwhere(ndimage.binary_dilation(lumen) & ~lumen)
    out = np.zeros(lumen.shape, np.float32)
    if len(inside):
        depth, _ = cKDTree(rim).query(inside)
        out[tuple(inside.T)] = 0.7 * (depth - 0.5) * spacing_mm
        out = ndimage.maximum_filter(out, 3)
    return out
