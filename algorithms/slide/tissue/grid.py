"""A grid of square tiles over a slide, laid by micrometres, and how much of each tile a mask covers.

Positions are level-0 pixels (x, y) of a tile's top-left corner; masks are (Y, X) and their
pixels ``scale`` level-0 pixels wide.

A tile of 224 pixels of 0.5 um is 224.45 level-0 pixels wide on a slide of 0.499 um.  Tile number n begins at n times that
extent, rounded once, so that no position is off by more than half a pixel however many tiles lie before it, and neighbours
overlap or part by one pixel at most.
"""

from __future__ import annotations

import math

import numpy as np

EDGE = 1e-6
"""Level-0 pixels by which a tile may stand out of the slide: what floating point loses."""


def extent_px(tile_px: int, tile_mpp: float, mpp: float) -> float:
    """Return a tile's side in level-0 pixels; seldom a whole number."""
    return tile_px * tile_mpp / mpp


def positions(width: int, height: int, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, both (N,) int32, of every tile that lies inside the slide, row by row."""
    across, down = (_starts(size, extent) for size in (width, height))
    return np.tile(across, len(down)), np.repeat(down, len(across))


def _starts(size: int, extent: float) -> np.ndarray:
    count = math.floor(size / extent) + 1
    starts = np.floor(np.arange(count) * extent + 0.5)
    return np.asarray(starts[starts + extent <= size + EDGE], dtype=np.int32)


def cover(mask: np.ndarray, scale: float, x: np.ndarray, y: np.ndarray, extent: float) -> np.ndarray:
    """Return the part of each tile's area that ``mask``, bool, covers: (N,) float64, exact.

    The sum over a rectangle of a picture of constant pixels is a bilinear function of its corners between the pixels'
    corners, so four interpolated values of the integral image give it without sampling (Crow, *Summed-area tables for texture
    mapping*, SIGGRAPH 1984).
    """
    # Whole numbers, exact up to 4 x 10^9 pixels, are half of what floating point takes; summed row by row, nothing is copied.
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.uint32)
    for row, pixels in enumerate(mask):
        np.cumsum(pixels, dtype=np.uint32, out=sums[row + 1, 1:])
        sums[row + 1] += sums[row]
    left, top = np.asarray(x, dtype=float) / scale, np.asarray(y, dtype=float) / scale
    right, bottom = left + extent / scale, top + extent / scale
    area = _at(sums, bottom, right) - _at(sums, top, right) - _at(sums, bottom, left) + _at(sums, top, left)
    return np.asarray(np.clip(area / (extent / scale) ** 2, 0, 1))


def _at(sums: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    row, column = np.clip(row, 0, sums.shape[0] - 1), np.clip(column, 0, sums.shape[1] - 1)
    top, left = (np.minimum(v.astype(np.intp), size - 2) for v, size in zip((row, column), sums.shape, strict=True))
    down, across = row - top, column - left
    upper = sums[top, left] * (1 - across) + sums[top, left + 1] * across
    lower = sums[top + 1, left] * (1 - across) + sums[top + 1, left + 1] * across
    return np.asarray(upper * (1 - down) + lower * down)
