"""Flow in a sparse list of cubic cells, and the velocity and pressure between their centres.

Points are (N, 3) mm; velocities are m/s; pressures are Pa.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np

BLOCK = 8
"""Cells along the side of a block of the look-up table."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What a solver found in n cells of one grid: their centres (n, 3), their side, velocity (n, 3) and pressure (n,)."""

    centre_mm: np.ndarray
    side_mm: float
    velocity_m_s: np.ndarray
    pressure_pa: np.ndarray

    @cached_property
    def index(self) -> np.ndarray:
        """Return the place of each cell in the grid, (n, 3) int64 from 0 on."""
        low = self.centre_mm.min(axis=0)
        return np.asarray(np.rint((self.centre_mm - low) / self.side_mm).astype(np.int64))

    @cached_property
    def low_mm(self) -> np.ndarray:
        """Return the lower corner of the grid, (3,)."""
        return np.asarray(self.centre_mm.min(axis=0) - self.side_mm / 2)


class Table(NamedTuple):
    """Which cell lies where: ``number[block[i // 8, ...], i % 8, ...]``, -1 where there is none."""

    low_mm: np.ndarray
    side_mm: float
    block: np.ndarray
    number: np.ndarray


def table(cells: Cells) -> Table:
    """Return the look-up table of the cells."""
    index = cells.index
    shape = index.max(axis=0) // BLOCK + 1
    key = np.ravel_multi_index(tuple((index // BLOCK).T), tuple(shape))
    used, which = np.unique(key, return_inverse=True)
    block = np.full(int(shape.prod()), -1, dtype=np.int32)
    block[used] = np.arange(len(used))
    number = np.full((len(used), BLOCK, BLOCK, BLOCK), -1, dtype=np.int32)
    number[(which, *(index % BLOCK).T)] = np.arange(len(index))
    return Table(cells.low_mm, cells.side_mm, block.reshape(tuple(shape)), number)


@numba.njit(cache=True, nogil=True)
def cell_at(table: Table, i: int, j: int, k: int) -> int:
    """Return the number of the cell at a place of the grid, or -1."""
    bi, bj, bk = i // BLOCK, j // BLOCK, k // BLOCK
    shape = table.block.shape
    if min(i, j, k) < 0 or bi >= shape[0] or bj >= shape[1] or bk >= shape[2]:
        return -1
    b = table.block[bi, bj, bk]
    return table.number[b, i % BLOCK, j % BLOCK, k % BLOCK] if b >= 0 else -1


@numba.njit(cache=True, nogil=True)
def interpolate(table: Table, values: np.ndarray, point: np.ndarray, out: np.ndarray) -> float:
    """Write the values (n, c) at ``point`` into ``out`` (c,); return the share of the eight cells around it that exist.

    A cell that is not there counts as 0: for velocities that is the wall, and dividing by the share undoes it.
    """
    share = 0.0
    out[:] = 0.0
    x = (point[0] - table.low_mm[0]) / table.side_mm - 0.5
    y = (point[1] - table.low_mm[1]) / table.side_mm - 0.5
    z = (point[2] - table.low_mm[2]) / table.side_mm - 0.5
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    for corner in range(8):
        di, dj, dk = corner & 1, (corner >> 1) & 1, corner >> 2
        cell = cell_at(table, i + di, j + dj, k + dk)
        if cell >= 0:
            weight = abs(1 - di - x + i) * abs(1 - dj - y + j) * abs(1 - dk - z + k)
            share += weight
            for c in range(len(out)):
                out[c] += weight * values[cell, c]
    return share
