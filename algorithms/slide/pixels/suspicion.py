"""Tell tiles whose pixels cannot be believed by setting them beside a coarser level of the same slide.

A stream can be damaged and still decode without a warning: Huffman codes fall back into step, and only the picture is wrong.
Mostly the damage is a block of noise, and a colour that is off from there to the tile's end, because each block's mean is
coded as a difference from that of the block before (T.81, F.1.1.5.1).  The pyramid shows every place more than once, encoded
independently, so the means over blocks of a tile must be those of the same place in a coarser level, the witness.

How closely they agree depends on how the scanner made its levels, so the limits are taken from the slide's own tiles.  Means
are in sixteenths of a grey level, int16.  A block is one pixel of the witness, reduced by ``factor`` while decoding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from algorithms.slide.pixels.windows import Mosaic

STEPS = 16
"""Fixed point of a mean: parts of a grey level."""

UNKNOWN = -1
"""Stands for a mean that is not known, and for the difference of a tile of which nothing is."""

FACTORS = (8, 4, 2, 1)
"""By which JPEG tiles can be reduced for less than their whole cost: fewer coefficients are transformed (T.81, A.3.3)."""

WANTED_BLOCK_PX = 32
"""Side of a block that is aimed at, pixels of the judged level: a large block hides a wrong corner, and one of few witness
pixels is as noisy as they are (benchmarks/slides.py measures what is found)."""

LEAST_LIMITS = np.array([12, 6]) * STEPS
"""Differences, of a block and of the mean over a row of blocks, below which nothing is suspicious, in sixteenths of a grey
level: twice what JPEG of low quality leaves in a pyramid of exact means (benchmarks/slides.py)."""

EVERY = 4
"""Lines of a tile of which one is looked at."""

MARGIN = 3.0
"""Times the sample's median: the sharpest of some 10,000 tiles must not be taken for damaged (benchmarks/slides.py)."""

SAMPLE = 48
"""Tiles of the slide from which the limits are taken; nearly half of them may be damaged and the median stands."""


@dataclass(frozen=True)
class Blocks:
    """How the witness's pixels, ``factor`` times reduced, lie on the judged level: their edges in its pixels."""

    factor: int
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

    ``None`` where even one pixel of the witness covers more than a quarter of a tile.
    """
    tile = min(level.tile_width, level.tile_height)
    fitting = [
        factor
        for factor in FACTORS
        if witness.tile_width % factor == witness.tile_height % factor == 0 and factor * ratio <= tile / 2
    ]
    if not fitting:
        return None
    factor = min(fitting, key=lambda factor: abs(math.log2(factor * ratio / WANTED_BLOCK_PX)))
    edges = []
    for size, coarse in ((level.width, witness.width), (level.height, witness.height)):
        edge = np.floor(np.arange(coarse // factor + 1) * factor * ratio + 0.5).astype(np.int64)
        edges.append(edge[edge <= size])
    return Blocks(factor, edges[0], edges[1])


@numba.njit(cache=True, nogil=True)
def _means(tile: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray, out: np.ndarray) -> None:
    """Write the mean of each block of ``tile``, (height, 3 * width), between its own edges, to ``out`` (rows, columns, 3).

    Of a block every fourth line counts: damage comes in squares of 8 lines or more, and the others say little more.  Each
    block begins one line lower than the one to its left, so that fibres along a row do not put all of its blocks off alike.
    """
    sums = np.empty(tile.shape[1], np.uint32)
    for i in range(y_edges.size - 1):
        for j in range(x_edges.size - 1):
            first = y_edges[i] + j % min(EVERY, y_edges[i + 1] - y_edges[i])
            left, size = 3 * x_edges[j], 3 * (x_edges[j + 1] - x_edges[j])
            # Slices of one length: the compiler adds many bytes at a time only where it need not look at each index.
            line = sums[:size]
            line[:] = 0
            for y in range(first, y_edges[i + 1], EVERY):
                pixels = tile[y, left : left + size]
                for k in range(size):
                    line[k] += pixels[k]
            lines = (y_edges[i + 1] - first + EVERY - 1) // EVERY
            area = np.uint32(lines * (x_edges[j + 1] - x_edges[j]))
            red = green = blue = np.uint32(0)
            for x in range(size // 3):
                red += line[3 * x]
                green += line[3 * x + 1]
                blue += line[3 * x + 2]
            out[i, j, 0] = (STEPS * red + area // 2) // area
            out[i, j, 1] = (STEPS * green + area // 2) // area
            out[i, j, 2] = (STEPS * blue + area // 2) // area


@numba.njit(cache=True, nogil=True)
def _span(edges: np.ndarray, begin: int, end: int) -> tuple[np.integer, np.integer]:
    """Return the blocks that lie wholly between two pixels: the first, and the one after the last."""
    first = np.searchsorted(edges, begin)
    return first, max(first, np.searchsorted(edges, end, side="right") - 1)


@numba.njit(cache=True, nogil=True)
def differences(judged: Judged, grid: Grid) -> np.ndarray:
    """Return how far each tile is from the witness, (N, 2): the worst block, and the worst mean over a row of blocks.

    `UNKNOWN` where the witness shows nothing of the tile.
    """
    height, width = judged.slots.shape[1], judged.slots.shape[2] // 3
    worst = np.full((judged.numbers.size, 2), UNKNOWN, np.int64)
    for n in range(judged.numbers.size):
        left, top = judged.numbers[n] % judged.columns * width, judged.numbers[n] // judged.columns * height
        x0, x1 = _span(grid.x_edges, left, left + width)
        y0, y1 = _span(grid.y_edges, top, top + height)
        if x1 == x0 or y1 == y0:
            continue
        means = np.empty((y1 - y0, x1 - x0, 3), np.int16)
        _means(judged.slots[judged.slot[n]], grid.x_edges[x0 : x1 + 1] - left, grid.y_edges[y0 : y1 + 1] - top, means)
        for i in range(y1 - y0):
            for c in range(3):
                total = known = np.int64(0)
                for j in range(x1 - x0):
                    if grid.means[y0 + i, x0 + j, c] != UNKNOWN:
                        off = np.int64(means[i, j, c]) - grid.means[y0 + i, x0 + j, c]
                        worst[n, 0] = max(worst[n, 0], abs(off))
                        total += off
                        known += 1
                if known:
                    worst[n, 1] = max(worst[n, 1], abs(total) // known)
    return worst


def limits(sample: np.ndarray) -> np.ndarray:
    """Return the differences above which a tile is suspicious, (2,), from those of some of the slide's own tiles, (N, 2)."""
    known = sample[(sample != UNKNOWN).all(axis=1)]
    if not len(known):
        return LEAST_LIMITS
    own = MARGIN * np.median(known, axis=0)
    return np.asarray(np.maximum(LEAST_LIMITS, own.astype(np.int64)))
