"""Painting of the coronary phantom: solids onto slices, and tubes with exact partial volume.

Large smooth solids are sampled on a coarse grid and interpolated; a voxel that their surface cuts is filled by its share.
Tubes are swept discs.  Each voxel near one holds 4 x 4 x 4 sub-voxels as the bits of a 64-bit word, so that unions and
differences of lumen, plaque and calcium are exact at a quarter of a voxel, and a voxel's share is a count of bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from algorithms.phantom.coronary.shapes import tangents

SUBDIVISIONS = 4
"""Sub-voxels along each edge of a voxel: 4 cubed are the 64 bits of a word."""


@dataclass(frozen=True)
class Grid:
    """A CT grid: number of voxels (Z, Y, X), spacing (z, y, x) mm, and the centre of the first voxel as LPS (x, y, z) mm."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def axes_mm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the coordinates of the voxel centres along z, y and x."""
        z, y, x = (self.origin_mm[2 - i] + self.spacing_mm[i] * np.arange(self.shape[i]) for i in range(3))
        return z, y, x

    def index_zyx(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the fractional voxel index (N, 3) as (z, y, x) of LPS ``points_mm`` (N, 3)."""
        index: np.ndarray = (points_mm[:, ::-1] - np.array(self.origin_mm)[::-1]) / np.array(self.spacing_mm)
        return index

    def around(self, points_mm: np.ndarray, margin_mm: float) -> tuple[slice, slice, slice]:
        """Return the block of voxels that holds ``points_mm`` (N, 3) and ``margin_mm`` around them, within the grid."""
        index = self.index_zyx(points_mm)
        margin = margin_mm / np.array(self.spacing_mm)
        low = np.clip(np.floor(index.min(axis=0) - margin).astype(int), 0, self.shape)
        high = np.clip(np.ceil(index.max(axis=0) + margin).astype(int) + 1, 0, self.shape)
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def block(self, part: tuple[slice, slice, slice]) -> Grid:
        """Return the grid of a block of this grid."""
        origin = tuple(self.origin_mm[i] + self.spacing_mm[2 - i] * part[2 - i].start for i in range(3))
        shape = tuple(s.stop - s.start for s in part)
        return Grid(shape, self.spacing_mm, origin)


@dataclass(frozen=True, eq=False)
class Canvas:
    """What is painted on: Hounsfield units, labels and the coronary lumen's share in 64ths, all (Z, Y, X) on ``grid``."""

    grid: Grid
    hu: np.ndarray  # float32
    labels: np.ndarray  # uint8
    lumen: np.ndarray  # uint8

    def slices(self, start: int, stop: int) -> Canvas:
        """Return the canvas of some of the slices; painting on it paints on this one."""
        part = slice(start, stop), slice(0, self.grid.shape[1]), slice(0, self.grid.shape[2])
        return Canvas(self.grid.block(part), self.hu[part], self.labels[part], self.lumen[part])


def blank(grid: Grid, hu: float) -> Canvas:
    """Return a canvas with nothing on it but ``hu``."""
    shape = grid.shape
    return Canvas(grid, np.full(shape, hu, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


@numba.njit(cache=True, nogil=True)
def _sweep(bits: np.ndarray, frame: np.ndarray, path: np.ndarray, ways: np.ndarray, radius: np.ndarray) -> None:
    """Set the sub-voxel bits inside discs of ``radius`` (N,) swept along ``path`` (N, 3) at right angles to ``ways`` (N, 3).

    ``frame`` (2, 3) is the first voxel's centre and the spacing, both along x, y, z.
    """
    shape = bits.shape
    origin, spacing = frame[0], frame[1]
    for i in range(len(path) - 1):
        wide = max(radius[i], radius[i + 1]) + 0.5 * np.linalg.norm(path[i + 1] - path[i])
        low = np.empty(3, np.int64)
        high = np.empty(3, np.int64)
        for k in range(3):
            a = min(path[i, k], path[i + 1, k]) - wide
            b = max(path[i, k], path[i + 1, k]) + wide
            low[k] = max(0, int(np.floor((a - origin[k]) / spacing[k] - 0.5)))
            high[k] = min(shape[2 - k], int(np.ceil((b - origin[k]) / spacing[k] + 0.5)) + 1)
        for z in range(low[2], high[2]):
            for y in range(low[1], high[1]):
                for x in range(low[0], high[0]):
                    word = bits[z, y, x]
                    if word == np.uint64(0xFFFFFFFFFFFFFFFF):
                        continue
                    for sz in range(4):
                        pz = origin[2] + spacing[2] * (z + (sz + 0.5) / 4 - 0.5)
                        for sy in range(4):
                            py = origin[1] + spacing[1] * (y + (sy + 0.5) / 4 - 0.5)
                            for sx in range(4):
                                px = origin[0] + spacing[0] * (x + (sx + 0.5) / 4 - 0.5)
                                ax, ay, az = px - path[i, 0], py - path[i, 1], pz - path[i, 2]
                                a = ax * ways[i, 0] + ay * ways[i, 1] + az * ways[i, 2]
                                if a < 0:
                                    continue
                                bx, by, bz = px - path[i + 1, 0], py - path[i + 1, 1], pz - path[i + 1, 2]
                                b = -(bx * ways[i + 1, 0] + by * ways[i + 1, 1] + bz * ways[i + 1, 2])
                                if b < 0 or a + b <= 0:
                                    continue
                                t = a / (a + b)
                                r = radius[i] + t * (radius[i + 1] - radius[i])
                                cx = ax - t * (path[i + 1, 0] - path[i, 0])
                                cy = ay - t * (path[i + 1, 1] - path[i, 1])
                                cz = az - t * (path[i + 1, 2] - path[i, 2])
                                if cx * cx + cy * cy + cz * cz <= r * r:
                                    word |= np.uint64(1) << np.uint64(sz * 16 + sy * 4 + sx)
                    bits[z, y, x] = word


def sweep_tube(bits: np.ndarray, grid: Grid, path_mm: np.ndarray, radius_mm: np.ndarray) -> None:
    """Add to ``bits`` (Z, Y, X) uint64 the sub-voxels inside the tube along ``path_mm`` (N, 3) with ``radius_mm`` (N,)."""
    frame = np.array([grid.origin_mm, grid.spacing_mm[::-1]], dtype=float)
    path = np.ascontiguousarray(path_mm, dtype=float)
    _sweep(bits, frame, path, np.ascontiguousarray(tangents(path)), np.ascontiguousarray(radius_mm, dtype=float))


def sweep_cap(bits: np.ndarray, grid: Grid, centre_mm: np.ndarray, radius_mm: float) -> None:
    """Add to ``bits`` the ball of ``radius_mm`` around ``centre_mm`` (3,): a joint between tubes of different directions."""
    heights = radius_mm * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 13))
    path = centre_mm + np.array([0.0, 0.0, 1.0]) * heights[:, None]
    sweep_tube(bits, grid, path, np.sqrt(np.maximum(radius_mm**2 - heights**2, 0)))


def share(bits: np.ndarray) -> np.ndarray:
    """Return the filled fraction of each voxel as float32 with the shape of ``bits``."""
    filled: np.ndarray = np.bitwise_count(bits).astype(np.float32) / np.float32(SUBDIVISIONS**3)
    return filled


@dataclass(frozen=True, eq=False)
class Solid:
    """A tissue: its distance sampled on a coarse block that starts at ``origin_mm`` (x, y, z)."""

    name: str
    label: int
    origin_mm: np.ndarray
    step_mm: float
    distance_mm: np.ndarray  # (Z, Y, X) float32


def fill(hu: np.ndarray, labels: np.ndarray, grid: Grid, solids: Sequence[tuple[Solid, float]]) -> None:
    """Paint ``solids`` with their Hounsfield units over ``hu`` and ``labels`` (Z, Y, X), later ones over earlier ones."""
    z_mm, y_mm, x_mm = grid.axes_mm()
    edge = max(grid.spacing_mm[1], 0.3)
    spans = [(_span(solid, 1, y_mm), _span(solid, 0, x_mm)) for solid, _ in solids]
    for k, height in enumerate(z_mm):
        for (solid, value), (rows, columns) in zip(solids, spans, strict=True):
            place = (height - solid.origin_mm[2]) / solid.step_mm
            if not 0 <= place <= len(solid.distance_mm) - 1 or rows is None or columns is None:
                continue
            low = min(int(place), len(solid.distance_mm) - 2)
            share_up = np.float32(place - low)
            coarse = solid.distance_mm[low] * (1 - share_up) + solid.distance_mm[low + 1] * share_up
            if coarse.min() > edge:
                continue
            (row_part, row_low, row_share), (column_part, column_low, column_share) = rows, columns
            by_row = coarse[row_low] * (1 - row_share)[:, None] + coarse[row_low + 1] * row_share[:, None]
            distance = by_row[:, column_low] * (1 - column_share) + by_row[:, column_low + 1] * column_share
            filled = np.clip(0.5 - distance / np.float32(edge), 0, 1)
            here = hu[k, row_part, column_part]
            here += filled * (np.float32(value) - here)
            labels[k, row_part, column_part][filled >= 0.5] = solid.label


def _span(solid: Solid, axis: int, places_mm: np.ndarray) -> tuple[slice, np.ndarray, np.ndarray] | None:
    """Return the voxels along one axis that ``solid`` reaches, with their coarse index and the share of the next one."""
    count = solid.distance_mm.shape[2 - axis]
    place = (places_mm - solid.origin_mm[axis]) / solid.step_mm
    within = np.nonzero((place >= 0) & (place <= count - 1))[0]
    if len(within) == 0:
        return None
    part = slice(int(within[0]), int(within[-1]) + 1)
    low = np.minimum(place[part].astype(int), count - 2)
    return part, low, (place[part] - low).astype(np.float32)


def tighten(solid: Solid, reach_mm: float) -> Solid:
    """Return ``solid`` on the smallest block that holds every point nearer than ``reach_mm`` to it."""
    near = np.argwhere(solid.distance_mm < reach_mm)
    if len(near) == 0:
        corner = np.zeros(3, int)
        stop = np.full(3, 2)
    else:
        corner = np.maximum(near.min(axis=0) - 1, 0)
        stop = np.minimum(near.max(axis=0) + 2, solid.distance_mm.shape)
        corner = np.minimum(corner, stop - 2)
    block = np.ascontiguousarray(solid.distance_mm[corner[0] : stop[0], corner[1] : stop[1], corner[2] : stop[2]])
    return Solid(solid.name, solid.label, solid.origin_mm + corner[::-1] * solid.step_mm, solid.step_mm, block)
