"""The image between its voxels, and the part of a volume that is worth reading.

Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from algorithms.coronary.grid import Grid


@dataclass(frozen=True, eq=False)
class Image:
    """Hounsfield units between the voxels, by cubic B-splines: they add no blur of their own, as linear ones would."""

    coefficients: Grid  # float32, of the B-splines

    @classmethod
    def of(cls, volume_hu: Grid) -> Image:
        """Return the image through the voxels of ``volume_hu``."""
        values = volume_hu.values.astype(np.float32)
        return cls(volume_hu.with_values(ndimage.spline_filter(values, order=3, output=np.float32, mode="nearest")))

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Return Hounsfield units at ``points_mm`` (..., 3); beyond the border those of the border."""
        coordinates = np.moveaxis(self.coefficients.index(points_mm), -1, 0).astype(np.float32)
        values: np.ndarray = ndimage.map_coordinates(
            self.coefficients.values, coordinates, output=np.float32, order=3, mode="nearest", prefilter=False
        )
        return values


def nearest(grid: Grid, points_mm: np.ndarray) -> np.ndarray:
    """Return the value of the voxel that each of ``points_mm`` (..., 3) lies in; 0 beyond the border."""
    index = np.rint(grid.index(points_mm)).astype(int)
    inside = np.all((index >= 0) & (index < grid.values.shape), axis=-1)
    index = np.where(inside[..., None], index, 0)
    found: np.ndarray = np.where(inside, grid.values[index[..., 0], index[..., 1], index[..., 2]], 0)
    return found


def box_around(mask: Grid, margin_mm: float) -> Grid:
    """Return the part of ``mask`` around its voxels, with ``margin_mm`` on every side where there is room."""
    spans = [np.flatnonzero(mask.values.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    margin = [int(np.ceil(margin_mm / s)) for s in mask.spacing_mm]
    start = tuple(max(int(span[0]) - m, 0) for span, m in zip(spans, margin, strict=True))
    stop = tuple(min(int(span[-1]) + m + 1, n) for span, m, n in zip(spans, margin, mask.values.shape, strict=True))
    return mask.box(start, stop)


def read_where(path: Path, box: Grid) -> Grid:
    """Return the voxels of the volume at ``path`` that ``box``, a part of the same grid, covers; it reads no others.

    Raises
    ------
    ValueError
        If the box's voxels are not voxels of the volume.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    offset = np.asarray(box.origin_mm) - reader.GetOrigin()
    start = np.rint(offset / reader.GetSpacing()).astype(int)
    strays = np.abs(start * np.asarray(reader.GetSpacing()) - offset).max()
    size = np.asarray(box.values.shape[::-1])
    if strays > 0.1 * min(box.spacing_mm) or np.any(start < 0) or np.any(start + size > reader.GetSize()):
        raise ValueError(f"the box of shape {box.values.shape} is no part of the volume")
    reader.SetExtractIndex([int(i) for i in start])
    reader.SetExtractSize([int(n) for n in size])
    return box.with_values(SimpleITK.GetArrayFromImage(reader.Execute()))
