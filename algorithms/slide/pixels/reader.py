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
from algorithms.slide.pixels.decode import UnreadableTileError
from algorithms.slide.pixels.native import Level, NativeTiles, Rescue, levels
from algorithms.slide.pixels.suspicion import UNKNOWN
from algorithms.slide.pixels.windows import DAMAGED, EMPTY, SAME_SCALE, WHITE, Cut, Squares, Store, cut, cut_of, damage, wanted
from algorithms.slide.pixels.witness import Witness, witnesses

log = logging.getLogger(__name__)

BATCH = 64
"""Windows of a batch: 10 MB at 224 px."""

MOST_BYTES = 384 * 2**20
"""Decoded native tiles that are kept: two rows of windows of 448 px across a slide of 100,000 px (own bound)."""

AT_ONCE = 6
"""Tiles that are decoded before they are set beside their witness: 1.2 MB, so that they still lie in the processor's cache."""

REFERENCES_OF_UNUSED = 2
"""What `sys.getrefcount` says of an array that only a list holds: the list and its own argument."""

MISMATCH = "the tile decodes to something else than the slide's coarser levels show"


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
        pool = _Pool(self._native[number], self.witnesses(number), how, Squares(left, top, how.side))
        buffers: list[np.ndarray] = []
        with ThreadPoolExecutor(threads) as workers:
            for first in range(0, len(left), batch):
                rows = np.arange(first, min(first + batch, len(left)))
                tiles = _unused(buffers, (batch, tile_px, tile_px, 3))[: len(rows)]
                reasons = pool.fill(first, tiles, workers, threads)
                corrupt = tuple(Corrupt(row, int(x[row]), int(y[row]), reason) for row, reason in reasons)
                yield Batch(rows, tiles, corrupt)
                del tiles

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
    free = next((n for n in range(len(buffers)) if sys.getrefcount(buffers[n]) == REFERENCES_OF_UNUSED), None)
    if free is None:
        buffers[:] = [*buffers[-1:], np.empty(shape, np.uint8)]
        free = -1
    return buffers[free]


class _Pool:
    """Native tiles that have been decoded and that some window still needs."""

    def __init__(self, native: NativeTiles, asked: tuple[Witness, ...], how: Cut, squares: Squares) -> None:
        mosaic = native.level.mosaic
        self._native, self._asked, self._how, self._squares = native, asked, how, squares
        self._mosaic = mosaic
        tiles = mosaic.rows * mosaic.columns
        self._needs = np.zeros(tiles, np.int32)
        wanted(mosaic, squares, self._needs)
        across, down = (2 + how.side // size for size in (mosaic.tile_width, mosaic.tile_height))
        affordable = MOST_BYTES // (3 * mosaic.tile_width * mosaic.tile_height)
        self._capacity = max(across * down, min(affordable, int(np.count_nonzero(self._needs))))
        # Memory is taken from the system when it is first written to: few live tiles touch few slots.
        self._slots = np.empty((self._capacity, mosaic.tile_height, mosaic.tile_width, 3), np.uint8)
        self._flat = self._slots.reshape(self._capacity, mosaic.tile_height, 3 * mosaic.tile_width)
        self._slot_of = np.full(tiles, EMPTY, np.int32)
        self._free = list(range(self._capacity))[::-1]
        self._reasons: dict[int, str] = {}

    def fill(self, first: int, out: np.ndarray, workers: ThreadPoolExecutor, threads: int) -> list[tuple[int, str]]:
        """Write the windows from row ``first`` to ``out``; return the rows that are corrupt, with the reason."""
        end = first + len(out)
        squares = Squares(self._squares.left[first:end], self._squares.top[first:end], self._squares.side)
        touched = np.zeros_like(self._needs)
        wanted(self._mosaic, squares, touched)
        here = np.flatnonzero(touched)
        if len(here) > self._capacity:
            half = len(out) // 2
            before = self.fill(first, out[:half], workers, threads)
            return before + self.fill(first + half, out[half:], workers, threads)
        missing = here[self._slot_of[here] == EMPTY]
        self._make_room(len(missing), touched)
        self._decode(missing, workers, threads)
        bad = damage(self._mosaic, squares, self._slot_of)
        whole = np.flatnonzero(bad < 0)
        store = Store(self._flat, self._slot_of)
        if len(whole) == len(out):
            cut(store, self._mosaic, squares, self._how, out)
        else:
            part = np.empty((len(whole), *out.shape[1:]), np.uint8)
            cut(store, self._mosaic, Squares(squares.left[whole], squares.top[whole], squares.side), self._how, part)
            out[:] = WHITE
            out[whole] = part
        self._needs -= touched
        self._release(here[self._needs[here] == 0])
        return [(first + int(n), self._reasons[int(bad[n])]) for n in np.flatnonzero(bad >= 0)]

    def _make_room(self, count: int, touched: np.ndarray) -> None:
        """Free slots until ``count`` are, those of tiles that are not touched now; they are decoded again when needed."""
        if count > len(self._free):
            held = np.flatnonzero((self._slot_of >= 0) & (touched == 0))
            self._release(held[: count - len(self._free)])

    def _release(self, tiles: np.ndarray) -> None:
        slots = self._slot_of[tiles]
        self._free += slots[slots >= 0].tolist()
        self._slot_of[tiles[slots >= 0]] = EMPTY

    def _decode(self, tiles: np.ndarray, workers: ThreadPoolExecutor, threads: int) -> None:
        """Read tiles, by their numbers, into free slots; those that cannot be read or believed are marked, with the reason."""
        slots = np.array([self._free.pop() for _ in tiles], np.int64)
        if self._asked:
            self._asked[0].ask(tiles)
        if threads == 1 or len(tiles) < 2 * threads:
            found = [self._read(tiles, slots)]
        else:
            parts = zip(np.array_split(tiles, threads), np.array_split(slots, threads), strict=True)
            found = list(workers.map(lambda part: self._read(*part), parts))
        damaged = {number: reason for lost, _ in found for number, reason in lost.items()}
        doubtful = np.concatenate([doubt for _, doubt in found])
        damaged |= self._read_again(tiles[doubtful], slots[doubtful])
        self._slot_of[tiles] = slots
        for number, reason in damaged.items():
            self._reasons[number] = reason
            self._free.append(int(self._slot_of[number]))
            self._slot_of[number] = DAMAGED

    def _read(self, tiles: np.ndarray, slots: np.ndarray) -> tuple[dict[int, str], np.ndarray]:
        """Return which tiles cannot be read, with the reason, and which of the others the first witness does not vouch for."""
        damaged = {}
        doubtful = np.zeros(len(tiles), bool)
        for first in range(0, len(tiles), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            for number, slot in zip(tiles[some].tolist(), slots[some].tolist(), strict=True):
                try:
                    self._native.read(number, self._slots[slot])
                except UnreadableTileError as damage_found:
                    damaged[number] = str(damage_found)
            if self._asked:
                differences = self._asked[0].differences(self._flat, tiles[some], slots[some])
                doubtful[some] = ((differences > self._asked[0].limits) | (differences == UNKNOWN)).any(axis=1)
        if damaged:
            doubtful &= ~np.isin(tiles, list(damaged))
        return damaged, doubtful

    def _read_again(self, tiles: np.ndarray, slots: np.ndarray) -> dict[int, str]:
        """Return the tiles that no witness believes, though a fresh OpenSlide has read them again, with the reason."""
        damaged = {}
        for number, slot in zip(tiles.tolist(), slots.tolist(), strict=True):
            if self._believed(number, slot):
                continue
            before = self._slots[slot].copy()
            try:
                self._native.reread(number, self._slots[slot], MISMATCH)
            except UnreadableTileError as damage_found:
                damaged[number] = str(damage_found)
                continue
            if np.array_equal(before, self._slots[slot]) or not self._believed(number, slot):
                damaged[number] = MISMATCH
        return damaged

    def _believed(self, number: int, slot: int) -> bool:
        """Return whether some witness vouches for a tile, or all have nothing to say."""
        numbers, slots = np.array([number]), np.array([slot])
        silent = True
        for witness in self._asked:
            witness.ask(numbers)
            differences = witness.differences(self._flat, numbers, slots)[0]
            if (differences != UNKNOWN).all():
                silent = False
                if (differences <= witness.limits).all():
                    return True
        return silent


__all__ = ["Batch", "Corrupt", "Level", "Slide", "open_slide"]
