"""What is common to finding an ostium and to following an artery from it: the fine grid, and how much a voxel looks like lumen.

The fine grid has equal spacing, so that filters and paths see all directions alike.
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.heart import MUSCLE_HU
from algorithms.coronary.vesselness import Tubeness

FINE_MM = 0.5
"""Spacing of the fine grid, mm: two voxels across the thinnest artery that is looked for."""


def fine_grid(volume: Grid, start_mm: np.ndarray, stop_mm: np.ndarray) -> Grid:
    """Return the box of ``volume`` between two corners (3,) LPS mm on the fine grid, float32 HU, linearly interpolated."""
    low, high = np.minimum(start_mm, stop_mm), np.maximum(start_mm, stop_mm)
    last = volume.points_mm(np.asarray(volume.values.shape) - 1.0)
    low, high = np.maximum(low, volume.origin_mm), np.minimum(high, last)
    count = np.maximum(2, np.floor((high - low) / FINE_MM).astype(int) + 1)[::-1]
    begin = np.clip(np.floor(volume.index(low)).astype(int) - 1, 0, None)
    end = np.ceil(volume.index(high)).astype(int) + 2
    part = volume.box(tuple(begin), tuple(np.minimum(end, volume.values.shape)))
    values = part.values.astype(np.float32)
    for axis in range(3):  # axis by axis is the same as trilinear, without its eight look-ups a voxel
        at = (low[2 - axis] + FINE_MM * np.arange(count[axis]) - part.origin_mm[2 - axis]) / part.spacing_mm[axis]
        below = np.clip(np.floor(at).astype(int), 0, values.shape[axis] - 2)
        part_above = (at - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(below, axis) * (1 - part_above) + values.take(below + 1, axis) * part_above
    return Grid(values, (FINE_MM, FINE_MM, FINE_MM), (float(low[0]), float(low[1]), float(low[2])))


def labels_on(labels: Grid, grid: Grid) -> np.ndarray:
    """Return ``labels`` at the voxels of ``grid``, nearest neighbour, 0 outside."""
    found = []
    for axis in range(3):
        at = grid.origin_mm[2 - axis] + grid.spacing_mm[axis] * np.arange(grid.values.shape[axis])
        index = np.rint((at - labels.origin_mm[2 - axis]) / labels.spacing_mm[axis]).astype(int)
        found.append((np.clip(index, 0, labels.values.shape[axis] - 1), (index >= 0) & (index < labels.values.shape[axis])))
    values: np.ndarray = labels.values[np.ix_(*[i for i, _ in found])]
    inside = found[0][1][:, None, None] & found[1][1][None, :, None] & found[2][1][None, None, :]
    return np.where(inside, values, 0)


def wide_blood(hu: np.ndarray, threshold_hu: float, spacing_mm: float, radius_mm: float) -> np.ndarray:
    """Return the blood in which a ball of ``radius_mm`` fits (Z, Y, X): chambers and great vessels, and no coronary artery."""
    depth = ndimage.distance_transform_edt(hu > threshold_hu, sampling=spacing_mm).astype(np.float32)
    core = depth >= radius_mm
    near: np.ndarray = ndimage.distance_transform_edt(~core, sampling=spacing_mm) < radius_mm
    return near


WIDE_MM = 3.4
"""Radius of the ball that tells wide blood from a coronary artery, mm.

A normal left main has a radius of 2.25 +- 0.25 mm (Dodge et al., Circulation 86:232 (1992)).
"""


def lumen_likeness(hu: np.ndarray, tube: Tubeness, aorta_hu: float) -> np.ndarray:
    """Return how much voxels look like coronary lumen, 0 to 1: a tube's contrast, and the brightness of arterial blood.

    ``hu`` (N,) are the values of the voxels of ``tube``.  Calcified plaque is brighter than blood: it is kept passable.
    """
    contrast = aorta_hu - MUSCLE_HU
    shape = np.clip(tube.contrast_hu / (0.5 * contrast), 0, 1)
    bright = np.clip((hu - MUSCLE_HU) / (0.6 * contrast), 0, 1)
    likeness: np.ndarray = (shape * bright**1.5).astype(np.float32)
    return likeness


def path_cost(likeness: np.ndarray) -> np.ndarray:
    """Return the cost per mm of a path through voxels of this likeness: 1 in an artery, 50 where there is none."""
    cost: np.ndarray = (1.02 / (0.02 + likeness)).astype(np.float32)
    return cost
