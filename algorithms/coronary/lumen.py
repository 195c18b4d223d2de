"""How much each voxel looks like coronary lumen, and, once the arteries are known as paths, which voxels are their lumen.

Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.heart import ASCENDING_AORTA, LEFT_VENTRICLE, MUSCLE_HU, MYOCARDIUM, OTHER_POOL, blood_threshold_hu
from algorithms.coronary.vesselness import tubeness
from algorithms.coronary.vessels import WIDE_MM, fine_grid, labels_on, lumen_likeness

WIDE_CORE_ML = 0.1
"""Least volume of the places where the ball of wide blood fits, ml: a plump bifurcation has less, a chamber more."""

LUNG_HU = -500.0
"""Mean of lung and soft tissue, HU."""

INNER_WALL_MM = 3.0
"""Part of the left ventricle's wall, from its blood, in which no artery of the wanted width runs, mm: trabeculae do."""

PASSABLE_HU = 20.0
"""Smoothed value below which there is fat: no path goes there, HU."""


@dataclass(frozen=True, eq=False)
class Lumen:
    """On the fine grid: ``hu`` smoothed, ``likeness`` of lumen 0 to 1, ``scale_mm`` of the tube, ``open`` where paths go.

    ``share`` is how much of each voxel is lumen and ``other`` how much is a vein or another vessel, where that is known.
    """

    hu: Grid
    likeness: np.ndarray
    scale_mm: np.ndarray
    open: np.ndarray
    wide: np.ndarray
    share: np.ndarray | None = None
    other: np.ndarray | None = None


def lumen_likelihood(box: Grid, heart: Grid, aorta_hu: float) -> Lumen:
    """Return how much each voxel of ``box`` (HU), on the fine grid, looks like coronary lumen, by tubeness and brightness.

    ``heart`` holds the labels of the artefact of that name.  This is the segmenter without training.
    """
    fine = fine_grid(box, np.asarray(box.origin_mm), box.points_mm(np.asarray(box.values.shape) - 1.0))
    spacing = fine.spacing_mm[0]
    hu = ndimage.gaussian_filter(fine.values, 0.35 / spacing)
    labels = labels_on(heart, fine)
    wide = _wide(fine, labels, aorta_hu)
    wide |= _rim(hu, wide, spacing, 0.08 * (aorta_hu - MUSCLE_HU))
    cavity = ndimage.distance_transform_edt(labels != LEFT_VENTRICLE, sampling=spacing) <= INNER_WALL_MM
    passable = (hu > PASSABLE_HU) & _outside_lungs(fine) & ~wide & ~cavity
    candidates = passable & (hu > MUSCLE_HU)
    index = np.argwhere(candidates)
    # without this a filter of 2.4 mm takes the rim of an appendage's tip for an artery
    without = np.minimum(fine.values, np.where(ndimage.binary_dilation(wide), MUSCLE_HU, aorta_hu + 100)).astype(np.float32)
    tube = tubeness(without, spacing, index)
    likeness = np.zeros(hu.shape, np.float32)
    likeness[candidates] = lumen_likeness(hu[candidates], tube, aorta_hu)
    scale = np.zeros(hu.shape, np.float32)
    scale[candidates] = tube.scale_mm
    return Lumen(fine.with_values(hu), likeness, scale, passable, wide)


def _wide(fine: Grid, labels: np.ndarray, aorta_hu: float) -> np.ndarray:
    """Return the blood (Z, Y, X) too wide for a coronary artery: chambers, great vessels, the coronary sinus's mouth.

    Blood as bright as the aorta's is parted from an artery beside it by the dark wall between them, blood that is fainter
    (the right heart's, before the contrast has mixed) by the artery being brighter.
    """
    spacing = fine.spacing_mm[0]
    pooled = (labels == OTHER_POOL) | (labels == LEFT_VENTRICLE) | (labels == ASCENDING_AORTA)
    sharp = ndimage.gaussian_filter(fine.values, 0.35 / spacing)
    core = _core(sharp > blood_threshold_hu(aorta_hu), pooled, spacing)
    wide: np.ndarray = ndimage.distance_transform_edt(~core, sampling=spacing) < WIDE_MM
    calm = ndimage.gaussian_filter(fine.values, 0.8 / spacing)
    muscle = calm[labels == MYOCARDIUM]
    faint = float(np.median(muscle)) if muscle.size else MUSCLE_HU
    core = _core(calm > faint + FAINT_ABOVE_MUSCLE_HU, pooled, spacing)
    away, nearest = ndimage.distance_transform_edt(~core, sampling=spacing, return_indices=True)
    near = away < WIDE_MM
    pool_hu = calm[tuple(axis[near] for axis in nearest)]
    wide[near] |= sharp[near] < 0.5 * (pool_hu + aorta_hu)
    # noise leaves bright specks in a vein beside faint blood; an artery is longer
    names, count = ndimage.label(~wide & (sharp > blood_threshold_hu(aorta_hu)), ndimage.generate_binary_structure(3, 3))
    volume_ml = np.bincount(names.ravel(), minlength=count + 1) * spacing**3 / 1000
    small = volume_ml < SPECK_ML
    small[0] = False
    wide |= small[names]
    return wide


SPECK_ML = 0.02
"""Volume below which bright voxels among wide blood are noise, ml: 5 mm of an artery of 1.1 mm radius."""


def _rim(hu: np.ndarray, wide: np.ndarray, spacing_mm: float, valley_hu: float) -> np.ndarray:
    """Return the blurred edge (Z, Y, X) of the wide blood: what no valley deeper than ``valley_hu`` parts from it.

    An artery on a chamber has the chamber's wall, or at least its shadow, between them.
    """
    away, nearest = ndimage.distance_transform_edt(~wide, sampling=spacing_mm, return_indices=True)
    index = np.argwhere((away > 0) & (away <= RIM_MM) & (hu > MUSCLE_HU))
    edge = nearest[:, index[:, 0], index[:, 1], index[:, 2]].T
    least = np.full(len(index), np.inf, np.float32)
    for part in (0.25, 0.5, 0.75, 1.0):
        between = np.rint(index + part * (edge - index)).astype(int)
        least = np.minimum(least, hu[tuple(between.T)])
    rim = np.zeros(wide.shape, bool)
    rim[tuple(index[least >= hu[tuple(index.T)] - valley_hu].T)] = True
    return rim


RIM_MM = 2.5
"""Width of the edge of the wide blood, blur and the ball's misfit in a corner together, mm."""

FAINT_ABOVE_MUSCLE_HU = 45.0
"""How much brighter than muscle the faintest blood is that can be told from it, HU."""


def _core(blood: np.ndarray, pooled: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return where the ball of wide blood fits into ``blood`` (Z, Y, X): parts of some volume that touch a known pool."""
    core = ndimage.distance_transform_edt(blood, sampling=spacing_mm) >= WIDE_MM
    names, count = ndimage.label(core, ndimage.generate_binary_structure(3, 3))
    volume_ml = np.bincount(names.ravel(), minlength=count + 1) * spacing_mm**3 / 1000
    keep = (volume_ml >= WIDE_CORE_ML) & (np.bincount(names[pooled], minlength=count + 1) > 0)
    keep[0] = False
    kept: np.ndarray = keep[names]
    return kept


def _outside_lungs(fine: Grid) -> np.ndarray:
    """Return the voxels (Z, Y, X) that are neither lung nor a vessel of ``LUNG_VESSEL_MM`` radius within it."""
    step = 2
    spacing = fine.spacing_mm[0] * step
    lung = fine.values[::step, ::step, ::step] < LUNG_HU
    grown = ndimage.distance_transform_edt(~lung, sampling=spacing) <= LUNG_VESSEL_MM
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > LUNG_VESSEL_MM
    return labels_on(Grid(~closed, (spacing,) * 3, fine.origin_mm), fine).astype(bool)


LUNG_VESSEL_MM = 2.5
"""Radius to which vessels in the lung are counted as lung, mm: an artery on the heart has more fat around it."""


@numba.njit(cache=True)
def _paint(nearest: np.ndarray, square: np.ndarray, index: np.ndarray, reach_mm: np.ndarray, spacing: np.ndarray) -> None:
    """Fill ``nearest`` with the number of the point nearest to each voxel within its reach, ``square`` with their mm^2."""
    nz, ny, nx = nearest.shape
    for i in range(len(index)):
        r = reach_mm[i]
        for z in range(max(0, int(np.ceil(index[i, 0] - r / spacing[0]))), min(nz, int(index[i, 0] + r / spacing[0]) + 1)):
            dz = (z - index[i, 0]) * spacing[0]
            for y in range(max(0, int(np.ceil(index[i, 1] - r / spacing[1]))), min(ny, int(index[i, 1] + r / spacing[1]) + 1)):
                dy = (y - index[i, 1]) * spacing[1]
                for x in range(
                    max(0, int(np.ceil(index[i, 2] - r / spacing[2]))), min(nx, int(index[i, 2] + r / spacing[2]) + 1)
                ):
                    dx = (x - index[i, 2]) * spacing[2]
                    d = dz * dz + dy * dy + dx * dx
                    if d <= r * r and d < square[z, y, x]:
                        square[z, y, x] = d
                        nearest[z, y, x] = i


def lumen_mask(box: Grid, field: Lumen, points_mm: np.ndarray, radius_mm: np.ndarray, aorta_hu: float) -> np.ndarray:
    """Return the lumen (Z, Y, X) on the grid of ``box`` (HU) around path points (N, 3) with tubes of ``radius_mm`` (N,).

    A voxel near a path is lumen where it is brighter than half of what the artery is at the path's nearest point, and no
    brighter than blood can be.  Where ``field`` knows shares, some of such a voxel must be lumen by them, and one that mostly
    is need not be bright: in noise shares are too small and brightness is unsure, and together they err less.  The path itself
    is always lumen, so that no lesion parts the tree.
    """
    spacing = np.asarray(box.spacing_mm)
    index = box.index(points_mm)
    nearest = np.full(box.values.shape, -1, np.int32)
    square = np.full(box.values.shape, np.inf, np.float32)
    _paint(nearest, square, index, 1.4 * radius_mm + 0.6, spacing)
    near = nearest >= 0
    wide = labels_on(field.hu.with_values(field.wide), box).astype(bool)
    mask = np.zeros(box.values.shape, bool)
    thread = np.zeros(box.values.shape, bool)
    thread[tuple(np.rint(index).astype(int).T)] = True
    inside = _bright(box, index, nearest, aorta_hu)
    if field.share is not None:
        at = field.hu.index(box.points_mm(np.argwhere(near)))
        share = ndimage.map_coordinates(field.share, at.T, order=1, mode="nearest")
        inside = (share >= 0.5) | (inside & (share >= SOME))
    mask[near] = inside & ~wide[near]
    mask |= thread | (square <= THREAD_MM**2)
    names, count = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    threaded = np.zeros(count + 1, bool)
    threaded[np.unique(names[thread])] = True
    threaded[0] = False
    kept: np.ndarray = threaded[names]
    return kept


def _bright(box: Grid, index: np.ndarray, nearest: np.ndarray, aorta_hu: float) -> np.ndarray:
    """Return which voxels that have a nearest path point (M,) are as bright as the artery there and no brighter than blood."""
    centre_hu = ndimage.map_coordinates(box.values.astype(np.float32), index.T, order=1, mode="nearest")
    peak = np.minimum(ndimage.percentile_filter(centre_hu, 70, size=7, mode="nearest"), aorta_hu)
    limit = np.maximum(0.5 * peak + 20.0, MUSCLE_HU + 30.0)
    hu = box.values[nearest >= 0]
    bright: np.ndarray = (hu >= limit[nearest[nearest >= 0]]) & (hu <= aorta_hu + CALCIUM_ABOVE_HU)
    return bright


SOME = 0.2
"""Share of lumen that a bright voxel has at least (1): a vein beside the artery is as bright and has none."""

THREAD_MM = 0.45
"""Radius around a path that is lumen whatever its brightness, mm: a thread that keeps the tree in one piece."""

CALCIUM_ABOVE_HU = 180.0
"""How much brighter than the aorta calcified plaque is at least, HU: four times the noise of a poor scan."""
