"""Read the tiles of a grid from a slide, each native tile decoded once, in bounded memory, nothing wrong without a word.

::

    with open_slide(path) as slide:
        for batch in slide.windows(x, y, extent_px=448.9, tile_px=224):
            batch.rows, batch.tiles, batch.corrupt

The level is chosen by scale, never by number: the coarsest that is no coarser than the tiles wanted.  A tile that cannot be
decoded, or does not show what the slide's coarser levels show of its place, costs the windows that touch it; they come as
corrupt, with the reason.  Positions are level-0 pixels, (x, y) of a window's top-left corner.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.slide.file.tiff import index
from algorithms.slide.pixels.believed import Believed, Workers
from algorithms.slide.pixels.memory import Memory, pixels
from algorithms.slide.pixels.native import Level, NativeTiles, Rescue, levels
from algorithms.slide.pixels.pool import Pool, Straight
from algorithms.slide.pixels.windows import SAME_SCALE, Squares, cut_of
from algorithms.slide.pixels.witness import Witness, witnesses

log = logging.getLogger(__name__)

BATCH = 64
"""Windows of a batch: 10 MB at 224 px."""

REFERENCES_OF_UNUSED = 2
"""What `sys.getrefcount` says of memory that only one array shows: that array and its own argument."""


class Corrupt(NamedTuple):
    """A window that could not be read: its row among those asked for, its place, and why."""

    row: int
    x: int
    y: int
    reason: str


class Batch(NamedTuple):
    """Some windows: their rows among those asked for, their pixels (N, H, W, 3) uint8 RGB, and which of them are corrupt.

    The pixels of a corrupt window are white.
    """

    rows: np.ndarray
    tiles: np.ndarray
    corrupt: tuple[Corrupt, ...]


class Slide:
    """An open slide.  Use `open_slide`."""

    def __init__(self, path: Path) -> None:
        found = index(path)
        self.levels = levels(found)
        self._file = path.open("rb")
        self._rescue = Rescue(path)
        self._native = [NativeTiles(self._file.fileno(), found.size, level, self._rescue) for level in self.levels]
        self._witnesses: dict[int, tuple[Witness, ...]] = {}
        self._memory = Memory()

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._rescue.close()
        self._file.close()

    def level_for(self, scale: float) -> int:
        """Return the number of the coarsest level whose pixels cover at most ``scale`` level-0 pixels, or 0."""
        return max(
            (n for n, level in enumerate(self.levels) if level.downsample <= scale * (1 + SAME_SCALE)),
            key=lambda n: self.levels[n].downsample,
            default=0,
        )

    def windows(
        self, x: np.ndarray, y: np.ndarray, *, extent_px: float, tile_px: int, batch: int = BATCH, threads: int = 1
    ) -> Iterator[Batch]:
        """Yield the windows at ``x``, ``y``, (N,) each, in their order, ``batch`` at a time.

        Parameters
        ----------
        x, y
            Level-0 pixels; in rows from top to bottom each native tile is decoded once, in any other order some more than once.
        extent_px
            A window's side in level-0 pixels.
        tile_px
            Its side in pixels of what is yielded.
        batch
            Windows yielded at a time.
        threads
            How many decode at the same time; the pixels are the same with any number.
        """
        number = self.level_for(extent_px / tile_px)
        downsample = self.levels[number].downsample
        how = cut_of(extent_px / downsample, tile_px)
        left, top = (np.floor(np.asarray(at, float) / downsample + 0.5).astype(np.int64) for at in (x, y))
        believed, squares = Believed(self._native[number], self.witnesses(number)), Squares(left, top, how.side)
        straight = Straight.fits(believed.mosaic, how, squares)
        pool = Straight(believed, squares) if straight else Pool(believed, how, squares, self._memory)
        buffers: list[np.ndarray] = []
        try:
            with ThreadPoolExecutor(threads) as executor:
                for first in range(0, len(left), batch):
                    rows = np.arange(first, min(first + batch, len(left)))
                    tiles = _unused(buffers, (batch, tile_px, tile_px, 3))[: len(rows)]
                    reasons = pool.fill(first, tiles, Workers(executor, threads))
                    corrupt = tuple(Corrupt(row, int(x[row]), int(y[row]), reason) for row, reason in reasons)
                    yield Batch(rows, tiles, corrupt)
                    del tiles
        finally:
            pool.close()

    def native(self, number: int) -> NativeTiles:
        """Return the native tiles of a level."""
        return self._native[number]

    def witnesses(self, number: int) -> tuple[Witness, ...]:
        """Return the coarser levels that say what a level's tiles must show, in the order in which they are asked."""
        if number not in self._witnesses:
            self._witnesses[number] = witnesses(self._native[number], self._native[number + 1 :])
            if not self._witnesses[number]:
                log.warning("no coarser level shows this one again: a damaged tile that decodes without a warning stays unseen")
        return self._witnesses[number]


def open_slide(path: Path) -> Slide:
    """Return a slide that can be read, to be closed (a context manager).

    Raises
    ------
    DataError
        If the file is no TIFF or its first page is not tiled.
    """
    slide = Slide(path)
    if not slide.levels[0].page.tiled:
        slide.__exit__(None, None, None)
        raise DataError("the slide's first image is stored in strips, wanted tiles; export it as a tiled pyramid")
    return slide


def _unused(buffers: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return one of the ``buffers`` to which nothing refers any more, or a new one; fresh memory costs more than a copy."""
    free = next((n for n in range(len(buffers)) if sys.getrefcount(buffers[n].base) == REFERENCES_OF_UNUSED), None)
    if free is None:
        buffers[:] = [*buffers[-1:], pixels(*shape)]
        free = -1
    return buffers[free]


__all__ = ["Batch", "Corrupt", "Level", "Slide", "open_slide"]
