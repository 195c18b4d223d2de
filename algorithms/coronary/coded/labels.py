"""Which vessel each voxel of the lumen belongs to, in the frames of the series.

Volumes are (Z, Y, X) in the patient's axes; frames are (frames, rows, columns) as the scanner wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid
from algorithms.dicom.geometry import Grid as SeriesGrid

REACH = 1.5
REACH_MM = 1.0
"""A voxel belongs to a vessel whose centreline is nearer than this many reference radii and this length.

Wide enough for a lumen that is eccentric or ectatic, too narrow for a vein beside it.
"""

GRID_TOLERANCE = 0.05
"""Largest deviation of the lumen's grid from the series' that is round-off, in voxels."""


def vessel_labels(lumen: Grid, branches: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the number (from 1) of the branch of ``result.json`` that each voxel of ``lumen`` belongs to, uint8 (Z, Y, X)."""
    labels = np.zeros(lumen.values.shape, dtype=np.uint8)
    inside = np.argwhere(lumen.values > 0)
    if not len(inside) or not branches:
        return labels
    points = np.concatenate([np.asarray(b["points_mm"], dtype=float) for b in branches])
    radii_mm = np.concatenate([np.maximum(b["radius_mm"], b["reference_radius_mm"]) for b in branches])
    number = np.concatenate([np.full(len(b["points_mm"]), n, dtype=np.uint8) for n, b in enumerate(branches, start=1)])
    distance_mm, nearest = cKDTree(points).query(lumen.points_mm(inside))
    near = distance_mm <= REACH * radii_mm[nearest] + REACH_MM
    labels[tuple(inside[near].T)] = number[nearest[near]]
    return labels


def in_frames(labels: Grid, series: SeriesGrid, shape: tuple[int, int, int]) -> np.ndarray:
    """Return labels of a box of the series' volume on all of its frames, in the order of its files, uint8.

    Parameters
    ----------
    labels
        On a box cut out of the series' volume.
    series
        The grid of the series.
    shape
        Frames, rows and columns.

    Raises
    ------
    ValueError
        If the box is not of that grid.
    """
    offset = (np.asarray(labels.origin_mm) - series.origin_mm)[::-1] / series.spacing_mm
    start = np.rint(offset).astype(int)
    step = np.abs(np.asarray(labels.spacing_mm) / series.spacing_mm - 1) * labels.values.shape
    if max(np.abs(offset - start).max(), step.max()) > GRID_TOLERANCE:
        raise ValueError("the lumen does not lie on the voxels of the series")
    frames, rows, columns = shape
    volume = np.zeros((frames, columns, rows) if series.transpose else shape, dtype=np.uint8)
    volume[tuple(slice(a, a + n) for a, n in zip(start, labels.values.shape, strict=True))] = labels.values
    volume = volume[:, :: -1 if series.flip_rows else 1, :: -1 if series.flip_columns else 1]
    volume = volume.transpose(0, 2, 1) if series.transpose else volume
    found = np.empty(shape, dtype=np.uint8)
    found[list(series.order)] = volume
    return found
