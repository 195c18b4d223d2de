"""Tell tiles whose pixels cannot be believed by setting them beside a coarser level of the same slide.

A stream can be damaged and still decode without a warning: Huffman codes fall back into step, and only the picture is wrong.
The pyramid holds every place more than once, encoded independently, so the means over blocks of a tile must be those of the
same place in a coarser level, the witness.  How closely they agree depends on how the scanner made its levels, so the
threshold is taken from a sample of the slide's own tiles.

Means are in sixteenths of a grey level, int16.  Block (row, column) of a grid covers ``per_block`` witness pixels a side from
(row, column) * per_block, which are ``per_block * ratio`` pixels of the level that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from algorithms.slide.windows import Mosaic

STEPS = 16
"""Fixed point of a mean: parts of a grey level."""

UNKNOWN = -1
"""A block whose witness has not been read, or cannot be."""

WANTED_BLOCK_PX = 32
"""Side of a block that is aimed at, pixels of the judged level: a large block hides a wrong corner, and one of few witness
pixels is as noisy as they are (benchmarks/slides.py measures both)."""

LEAST_THRESHOLD = 12 * STEPS
"""Difference of a block's mean below which nothing is suspicious, in sixteenths of a grey level: JPEG at the lowest quality
in use moves the mean of a block by less (benchmarks/slides.py)."""

MARGIN = 2.0
"""Times the sample's own differences, so that the one tile in some 10,000 with the sharpest edges is not taken for damaged."""

SAMPLE = 48
"""Tiles from which the threshold is taken; half of them may be damaged and it stands."""


@dataclass(frozen=True)
class Blocks:
    """How the blocks of a witness lie: sides in witness pixels, and the edges of blocks in pixels of the judged level."""

    per_block: int
    x_edges: np.ndarray
    y_edges: np.ndarray


class Judged(NamedTuple):
    """Decoded tiles: ``numbers``, (N,), in their level of ``columns`` columns, and the ``slot``, (N,), in which each lies."""

    slots: np.ndarray
    numbers: np.ndarray
    slot: np.ndarray
    columns: int


class Grid(NamedTuple):
    """The means of a witness's blocks, (rows, columns, 3) int16, and the blocks' edges in pixels of the judged level."""

    means: np.ndarray
    x_edges: np.ndarray
    y_edges: np.ndarray


def blocks(level: Mosaic, witness: Mosaic, ratio: float) -> Blocks | None:
    """Return the blocks by which tiles of ``level`` are compared with ``witness``, ``ratio`` times coarser.

    ``None`` where no block of the witness is small enough to lie wholly in a tile several times.
    """
    common = int(np.gcd(witness.tile_width, witness.tile_height))
    divisors = [size for size in range(1, common + 1) if common % size == 0]
    tile = min(level.tile_width, level.tile_height)
    fitting = [size for size in divisors if size * ratio <= tile / 2]
    if not fitting:
        return None

    def cost(size: int) -> float:
        side = size * ratio
        # Blocks that a tile's edge divides cannot be compared: the tile's border goes unjudged.
        lost = (tile % side) / tile
        return float(abs(np.log2(side / WANTED_BLOCK_PX)) + 4 * lost)

    per_block = min(fitting, key=cost)
    edges = []
    for size, coarse in ((level.width, witness.width), (level.height, witness.height)):
        edge = np.floor(np.arange(coarse // per_block + 1) * per_block * ratio + 0.5).astype(np.int64)
        edges.append(edge[edge <= size])
    return Blocks(per_block, edges[0], edges[1])


@numba.njit(cache=True, nogil=True)
def _means(tile: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray, out: np.ndarray) -> None:
    """Write the mean of each block of ``tile``, (height, 3 * width), between its own edges, to ``out`` (rows, columns, 3)."""
    line = np.empty(tile.shape[1], np.uint32)
    for i in range(y_edges.size - 1):
        line[:] = 0
        for y in range(y_edges[i], y_edges[i + 1]):
            for k in range(tile.shape[1]):
                line[k] += tile[y, k]
        for j in range(x_edges.size - 1):
            area = (y_edges[i + 1] - y_edges[i]) * (x_edges[j + 1] - x_edges[j])
            red = green = blue = np.uint32(0)
            for x in range(x_edges[j], x_edges[j + 1]):
                red += line[3 * x]
                green += line[3 * x + 1]
                blue += line[3 * x + 2]
            out[i, j, 0] = (STEPS * red + area // 2) // area
            out[i, j, 1] = (STEPS * green + area // 2) // area
            out[i, j, 2] = (STEPS * blue + area // 2) // area


@numba.njit(cache=True, nogil=True)
def fill(grid: np.ndarray, tile: np.ndarray, column: int, row: int, per_block: int) -> None:
    """Write the means of a decoded witness tile, (height, 3 * width), to their place in ``grid``, (rows, columns, 3)."""
    down, across = tile.shape[0] // per_block, tile.shape[1] // 3 // per_block
    top, left = row * down, column * across
    down, across = min(down, grid.shape[0] - top), min(across, grid.shape[1] - left)
    if down <= 0 or across <= 0:
        return
    y_edges, x_edges = np.arange(down + 1) * per_block, np.arange(across + 1) * per_block
    _means(tile, x_edges, y_edges, grid[top : top + down, left : left + across])


@numba.njit(cache=True, nogil=True)
def _span(edges: np.ndarray, begin: int, end: int) -> tuple[np.integer, np.integer]:
    """Return the blocks that lie wholly between two pixels: the first, and the one after the last."""
    first = np.searchsorted(edges, begin)
    return first, max(first, np.searchsorted(edges, end, side="right") - 1)


@numba.njit(cache=True, nogil=True)
def differences(judged: Judged, grid: Grid) -> np.ndarray:
    """Return the largest difference of a block's mean from the witness of each tile, (N,), or `UNKNOWN` where none is known."""
    height, width = judged.slots.shape[1], judged.slots.shape[2] // 3
    worst = np.full(judged.numbers.size, UNKNOWN, np.int64)
    means = np.empty((height, width, 3), np.int16)
    for n in range(judged.numbers.size):
        left, top = judged.numbers[n] % judged.columns * width, judged.numbers[n] // judged.columns * height
        x0, x1 = _span(grid.x_edges, left, left + width)
        y0, y1 = _span(grid.y_edges, top, top + height)
        if x1 == x0 or y1 == y0:
            continue
        _means(judged.slots[judged.slot[n]], grid.x_edges[x0 : x1 + 1] - left, grid.y_edges[y0 : y1 + 1] - top, means)
        for i in range(y1 - y0):
            for j in range(x1 - x0):
                if grid.means[y0 + i, x0 + j, 0] == UNKNOWN:
                    continue
                for c in range(3):
                    worst[n] = max(worst[n], abs(np.int64(means[i, j, c]) - grid.means[y0 + i, x0 + j, c]))
    return worst


def threshold(sample: np.ndarray) -> int:
    """Return the difference above which a tile is suspicious, from those of a sample of the slide's own tiles.

    The sample's third quartile stands for its body; tiles far beyond may be damaged themselves.
    """
    known = sample[sample >= 0]
    if not known.size:
        return LEAST_THRESHOLD
    return max(LEAST_THRESHOLD, int(MARGIN * np.quantile(known, 0.9)))
