"""A CT volume with its geometry: where a voxel lies, a box cut out of it, a coarser copy of it.

Arrays are (Z, Y, X); spacing is mm in that order; points are (N, 3) LPS mm.
The axes are those of the patient: x to the left, y to the back, z to the head; the stage ``volume`` sees to that.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.contract.errors import TransientError

AXES_TOLERANCE = 1e-3
"""Largest deviation of a direction cosine from the patient's axes that is round-off of a file format (1)."""

NIFTI_HEADER_BYTES = 352
"""Header and the empty extension flag of a NIfTI-1 file (nifti1.h, vox_offset of a single file)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel values with their geometry.

    ``values`` is (Z, Y, X), ``spacing_mm`` (z, y, x), ``origin_mm`` the centre of voxel (0, 0, 0) as (x, y, z) LPS mm.
    """

    values: np.ndarray
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def index(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the continuous voxel indices (N, 3) as (z, y, x) of ``points_mm`` (N, 3) LPS mm."""
        offset = np.asarray(points_mm, dtype=float) - self.origin_mm
        index: np.ndarray = offset[..., ::-1] / self.spacing_mm
        return index

    def points_mm(self, index: np.ndarray) -> np.ndarray:
        """Return the points (N, 3) LPS mm of the voxel indices ``index`` (N, 3) as (z, y, x)."""
        points: np.ndarray = (np.asarray(index, dtype=float) * self.spacing_mm)[..., ::-1] + self.origin_mm
        return points

    def with_values(self, values: np.ndarray) -> Grid:
        """Return ``values`` on this grid."""
        if values.shape != self.values.shape:
            raise ValueError(f"values have shape {values.shape}, the grid has {self.values.shape}")
        return Grid(values, self.spacing_mm, self.origin_mm)

    def box(self, start_zyx: tuple[int, ...], stop_zyx: tuple[int, ...]) -> Grid:
        """Return the voxels from ``start_zyx`` up to but not including ``stop_zyx``, with their place in the patient."""
        cut = tuple(slice(a, b) for a, b in zip(start_zyx, stop_zyx, strict=True))
        origin = self.points_mm(np.asarray(start_zyx))
        return Grid(self.values[cut], self.spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])))

    def coarse(self, target_mm: float) -> Grid:
        """Return block means of whole voxels, as coarse as fits in ``target_mm`` per axis (never finer than this grid)."""
        factor = [max(1, int(target_mm / s + 1e-6)) for s in self.spacing_mm]
        shape = [n // f for n, f in zip(self.values.shape, factor, strict=True)]
        whole = self.values[: shape[0] * factor[0], : shape[1] * factor[1], : shape[2] * factor[2]]
        means = np.empty(shape, dtype=np.float32)
        for z in range(shape[0]):  # slab by slab: the float copy of a whole study would take gigabytes
            slab = whole[z * factor[0] : (z + 1) * factor[0]].astype(np.float32).mean(axis=0)
            means[z] = slab.reshape(shape[1], factor[1], shape[2], factor[2]).mean(axis=(1, 3))
        spacing = (self.spacing_mm[0] * factor[0], self.spacing_mm[1] * factor[1], self.spacing_mm[2] * factor[2])
        origin = self.points_mm((np.asarray(factor, dtype=float) - 1) / 2)
        return Grid(means, spacing, (float(origin[0]), float(origin[1]), float(origin[2])))


def read_grid(path: Path) -> Grid:
    """Return the NIfTI file ``path``.

    Raises
    ------
    ValueError
        If its axes are not the patient's.
    """
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    if np.abs(np.asarray(image.GetDirection()).reshape(3, 3) - np.eye(3)).max() > AXES_TOLERANCE:
        raise ValueError("the volume's axes are not left, posterior, superior")
    x, y, z = image.GetSpacing()
    ox, oy, oz = image.GetOrigin()
    return Grid(SimpleITK.GetArrayFromImage(image), (z, y, x), (ox, oy, oz))


def write_grid(grid: Grid, path: Path) -> None:
    """Write ``grid`` as NIfTI; the suffix decides whether it is compressed.

    Raises
    ------
    TransientError
        If not all of it reached the disk.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(grid.values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    compressed = path.name.endswith(".gz")
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    # On a full disk SimpleITK writes what there is room for, and says nothing.
    written = _unpacked_bytes(path) if compressed else path.stat().st_size
    wanted = NIFTI_HEADER_BYTES + grid.values.nbytes
    if written != wanted:
        raise TransientError(f"wrote {written} of {wanted} bytes of {path.name}; make room on the disk of the case folder")


def _unpacked_bytes(path: Path) -> int:
    total = 0
    try:
        with gzip.open(path, "rb") as file:
            while block := file.read(2**20):
                total += len(block)
    except EOFError:
        pass  # cut: what was counted is less than was wanted
    return total
