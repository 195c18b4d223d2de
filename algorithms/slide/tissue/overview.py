"""A small RGB picture of a whole slide, made in bounded memory from whatever levels the file has.

Arrays are (Y, X, 3) uint8 RGB.  An overview pixel covers ``scale`` x ``scale`` level-0 pixels, a whole number, so that
overview pixel (row, column) begins at level-0 pixel (``row * scale``, ``column * scale``) with no drift.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import numpy as np

from algorithms.slide.pixels.reader import Slide

log = logging.getLogger(__name__)

MOST_PIXELS = 24_000_000
"""Largest overview: 40 x 40 mm at 8 um a pixel, wider than a slide's coverslip; a larger one is made coarser (own bound)."""

BLOCK_PX = 32
"""Overview pixels a side that are read at once: some 1024 level-0 pixels, so that few native tiles are held."""

PART_PX = 4
"""The same where a block holds a tile that cannot be decoded, so that little around it is lost."""

MOST_DAMAGED = 500
"""Blocks looked at again in parts; where more are damaged the file is, and to know exactly how much takes long (own bound)."""

BATCH = 16
"""Blocks read at a time."""

WHITE = 255
"""What stands where a file holds no pixels or they cannot be decoded; never tissue."""

PROGRESS_S = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Overview:
    """The picture, its scale, and the part of the slide's area that could not be decoded for it (0 to 1)."""

    rgb: np.ndarray
    scale: int
    unreadable: float


def scale_for(width: int, height: int, mpp: float, wanted_um: float) -> int:
    """Return how many level-0 pixels of ``mpp`` um a side make an overview pixel of about ``wanted_um``."""
    least = math.sqrt(width * height / MOST_PIXELS)
    return max(1, round(wanted_um / mpp), math.ceil(least))


def overview(slide: Slide, mpp: float, wanted_um: float) -> Overview:
    """Return a picture of the slide at about ``wanted_um`` micrometres a pixel; ``mpp`` is that of level 0.

    The coarsest level that is fine enough is read and averaged by area; what cannot be decoded is white, and counted.
    """
    mosaic = slide.levels[0].mosaic
    scale = scale_for(mosaic.width, mosaic.height, mpp, wanted_um)
    rgb = np.full((-(-mosaic.height // scale), -(-mosaic.width // scale), 3), WHITE, dtype=np.uint8)
    rows, columns = (np.arange(0, size, BLOCK_PX) for size in rgb.shape[:2])
    corners = _corners(rows, columns)
    damaged = _read(slide, rgb, scale, BLOCK_PX, corners)
    lost = len(damaged) * BLOCK_PX**2
    if 0 < len(damaged) <= MOST_DAMAGED:
        within = np.arange(0, BLOCK_PX, PART_PX)
        parts = (damaged[:, None] + _corners(within, within)[None]).reshape(-1, 2)
        parts = parts[(parts < rgb.shape[:2]).all(axis=1)]
        parts = parts[np.lexsort((parts[:, 1], parts[:, 0]))]
        lost = len(_read(slide, rgb, scale, PART_PX, parts)) * PART_PX**2
    log.info("overview of %d x %d pixels, %d level-0 pixels each", rgb.shape[1], rgb.shape[0], scale)
    return Overview(rgb, scale, min(1.0, lost / (rgb.shape[0] * rgb.shape[1])))


def _corners(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return every pair of a row and a column, (N, 2), row by row."""
    return np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], axis=-1)


def _read(slide: Slide, rgb: np.ndarray, scale: int, side: int, corners: np.ndarray) -> np.ndarray:
    """Fill squares of ``side`` overview pixels from ``corners``, (N, 2) row and column; return those not decoded, (M, 2)."""
    damaged: list[np.ndarray] = []
    told = time.monotonic()
    top, left = corners.T
    for batch in slide.windows(left * scale, top * scale, extent_px=float(side * scale), tile_px=side, batch=BATCH):
        for row, pixels in zip(batch.rows, batch.tiles, strict=True):
            target = rgb[top[row] : top[row] + side, left[row] : left[row] + side]
            target[:] = pixels[: target.shape[0], : target.shape[1]]
        damaged += [corners[bad.row] for bad in batch.corrupt]
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            log.info("overview: block %d of %d", int(batch.rows[-1]) + 1, len(top))
    return np.array(damaged, dtype=np.int64).reshape(-1, 2)
