"""A small RGB picture of a whole slide, made in bounded memory from whatever levels the file has.

Arrays are (Y, X, 3) uint8 RGB.  An overview pixel covers ``scale`` x ``scale`` level-0 pixels, a whole number, so that
overview pixel (row, column) begins at level-0 pixel (``row * scale``, ``column * scale``) with no drift.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

MOST_PIXELS = 24_000_000
"""Largest overview: 40 x 40 mm at 8 um a pixel, wider than a slide's coverslip; a larger one is made coarser (own bound)."""

COARSER = 1.1
"""A level up to this much coarser than wanted is taken as it is; scanners' downsamples are powers of 2 or 4."""

STRIP_PIXELS = 4_000_000
"""Pixels read from OpenSlide at once: 16 MB as RGBA."""

WHITE = 255
"""What stands where a file holds no pixels or they cannot be decoded; never tissue."""


@dataclass(frozen=True)
class Level:
    """One resolution of the pyramid; ``downsample`` is the whole number of level-0 pixels that a pixel covers."""

    index: int
    width: int
    height: int
    downsample: int


@dataclass(frozen=True)
class Overview:
    """The picture, its scale, and the part of the slide's area that could not be decoded for it (0 to 1)."""

    rgb: np.ndarray
    scale: int
    unreadable: float


def levels(dimensions: Sequence[tuple[int, int]]) -> list[Level]:
    """Return the levels whose downsample is a whole number, coarsest last; ``dimensions`` are (width, height), level 0 first.

    A writer that halves a side of 2967 pixels keeps 1483 or 1484, so the quotient of the sides is not the downsample;
    the whole number whose rounding gives both sides is.
    """
    width, height = dimensions[0]
    found = []
    for index, (w, h) in enumerate(dimensions):
        downsample = max(1, round(max(width / w, height / h)))
        if abs(width / downsample - w) <= 1 and abs(height / downsample - h) <= 1:
            found.append(Level(index, w, h, downsample))
    return found


def plan(slide_levels: Sequence[Level], mpp: float, wanted_um: float) -> tuple[Level, int]:
    """Return the coarsest level that is fine enough, and how many of its pixels make an overview pixel along each side."""
    base = slide_levels[0]
    finest_um = mpp * (base.width * base.height / MOST_PIXELS) ** 0.5
    wanted = max(wanted_um, finest_um) / mpp
    level = max((at for at in slide_levels if at.downsample <= COARSER * wanted), key=lambda at: at.downsample, default=base)
    return level, max(1, round(wanted / level.downsample))


def overview(path: Path, mpp: float, wanted_um: float) -> Overview:
    """Return a picture of the slide at about ``wanted_um`` micrometres a pixel; ``mpp`` is that of level 0.

    Raises
    ------
    openslide.OpenSlideError
        If the file cannot be opened as a slide; what cannot be decoded inside it is white and counted.
    """
    import openslide

    with openslide.OpenSlide(path) as slide:
        dimensions = list(slide.level_dimensions)
    level, factor = plan(levels(dimensions), mpp, wanted_um)
    mean = BlockMean(level.width, level.height, factor)
    unread = 0
    for top, left, pixels, bad in regions(path, level):
        mean.add(top, left, pixels)
        unread += bad
    scale = level.downsample * factor
    picture = mean.picture()
    log.info("overview of %d x %d pixels, %d level-0 pixels each", picture.shape[1], picture.shape[0], scale)
    return Overview(picture, scale, unread / (level.width * level.height))


class BlockMean:
    """The mean of blocks of ``factor`` x ``factor`` pixels of a picture that comes in parts, in any order."""

    def __init__(self, width: int, height: int, factor: int) -> None:
        self._size = (height, width)
        self._factor = factor
        self._sums = np.zeros((-(-height // factor), -(-width // factor), 3), dtype=np.uint32)

    def add(self, top: int, left: int, pixels: np.ndarray) -> None:
        """Add ``pixels``, (Y, X, 3) uint8, whose first one lies at (``top``, ``left``)."""
        rows, columns = (self._starts(begin, size) for begin, size in zip((top, left), pixels.shape[:2], strict=True))
        sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.uint32), columns, axis=1)
        row, column = top // self._factor, left // self._factor
        self._sums[row : row + len(rows), column : column + len(columns)] += sums

    def _starts(self, begin: int, size: int) -> np.ndarray:
        first = -begin % self._factor
        inner = np.arange(first, size, self._factor)
        return inner if first == 0 else np.concatenate([[0], inner])

    def picture(self) -> np.ndarray:
        """Return the means, (Y, X, 3) uint8; a block cut by the edge is the mean of what lies inside."""
        rows, columns = (self._counts(size) for size in self._size)
        counts = (rows[:, None] * columns[None, :]).astype(np.uint32)[..., None]
        return np.asarray((self._sums + counts // 2) // counts, dtype=np.uint8)

    def _counts(self, size: int) -> np.ndarray:
        blocks = -(-size // self._factor)
        return np.asarray(np.minimum(self._factor, size - np.arange(blocks) * self._factor))


def regions(path: Path, level: Level) -> Iterator[tuple[int, int, np.ndarray, int]]:
    """Yield (top, left, pixels, pixels not decoded) of parts that cover ``level`` once."""
    from algorithms.slide.patches import Patches

    rows = max(16, min(512, STRIP_PIXELS // max(1, level.width)))
    columns = min(level.width, STRIP_PIXELS // rows)
    with Patches(path) as patches:
        for top in range(0, level.height, rows):
            for left in range(0, level.width, columns):
                size = (min(columns, level.width - left), min(rows, level.height - top))
                pixels, bad = patches.region(level.index, left, top, size)
                yield top, left, pixels, bad


def scale_of(properties: Any) -> tuple[float | None, str | None]:
    """Return micrometres per level-0 pixel as an open slide's properties state it, or ``None`` and why it cannot be used."""
    stated = []
    for name in ("openslide.mpp-x", "openslide.mpp-y"):
        try:
            stated.append(float(properties[name]))
        except (KeyError, ValueError):
            return None, "the file states no micrometres per pixel"
    across, down = stated
    if not (across > 0 and down > 0 and abs(across - down) <= SQUARE * max(across, down)):
        return None, f"the file states pixels of {across:g} x {down:g} um; square pixels are wanted"
    return (across + down) / 2, None


SQUARE = 0.02
"""Largest relative difference between a pixel's sides; scanners differ by less than 0.5 % (own bound)."""
