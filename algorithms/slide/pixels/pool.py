"""Native tiles become windows: `Pool` cuts windows out of tiles, `Straight` decodes tiles that are windows into the batch.

A tile of the pool is decoded, set beside its witness and copied into the windows of the batch while it lies in the processor's
cache; the slot in which it stays until no later window needs it is main memory.
"""

from __future__ import annotations

import numpy as np

from algorithms.slide.pixels.believed import Believed, Workers
from algorithms.slide.pixels.memory import Memory
from algorithms.slide.pixels.windows import (
    DAMAGED,
    EMPTY,
    WHITE,
    Cut,
    Mosaic,
    Placed,
    Squares,
    Store,
    copy,
    cut,
    damage,
    touched,
    whiten,
)

MOST_BYTES = 384 * 2**20
"""Decoded native tiles that are kept: two rows of windows of 448 px across a slide of 100,000 px (own bound)."""


class Canvas:
    """The windows of one batch, which become visible tile by tile: (N, tile_px, tile_px, 3) ``out``.

    Where a level pixel is a window's pixel a tile is copied when it comes; a reduced window needs all of its tiles at once.
    """

    def __init__(self, mosaic: Mosaic, squares: Squares, how: Cut, out: np.ndarray) -> None:
        self.squares = squares
        self._mosaic, self._how, self._out = mosaic, how, out
        self._lines = out.reshape(len(out), how.tile_px, 3 * how.tile_px)
        self._by_tile = how.factor == 1
        if self._by_tile:
            whiten(mosaic, squares, out)

    def show(self, tiles: Placed) -> None:
        """Copy what tiles show of the windows."""
        if self._by_tile and len(tiles.numbers):
            copy(tiles, self._mosaic, self.squares, self._lines)

    def finish(self, store: Store, whole: np.ndarray) -> None:
        """Complete the windows where ``whole``, (N,) bool, and leave the others white."""
        if not self._by_tile and whole.all():
            cut(store, self._mosaic, self.squares, self._how, self._out)
        elif not self._by_tile:
            part = np.empty((int(whole.sum()), *self._out.shape[1:]), np.uint8)
            cut(store, self._mosaic, self.squares.part(whole), self._how, part)
            self._out[whole] = part
        self._out[~whole] = WHITE


class Pool:
    """Cuts windows, ``squares`` of a level, out of its native tiles, each decoded once where they come row by row."""

    def __init__(self, believed: Believed, how: Cut, squares: Squares, memory: Memory) -> None:
        mosaic = believed.mosaic
        self._believed, self._how, self._squares, self._mosaic = believed, how, squares, mosaic
        tiles = mosaic.rows * mosaic.columns
        self._needs = np.bincount(touched(mosaic, squares), minlength=tiles)
        across, down = (2 + how.side // size for size in (mosaic.tile_width, mosaic.tile_height))
        tile_bytes = 3 * mosaic.tile_width * mosaic.tile_height
        self._capacity = max(across * down, min(MOST_BYTES // tile_bytes, int(np.count_nonzero(self._needs))))
        # Memory is taken from the system when it is first written to: few live tiles touch few slots.
        self._memory, self._taken = memory, memory.take(self._capacity * tile_bytes)
        whole = self._taken[: self._capacity * tile_bytes]
        self._slots = whole.reshape(self._capacity, mosaic.tile_height, 3 * mosaic.tile_width)
        self._slot_of = np.full(tiles, EMPTY, np.int32)
        self._free = list(range(self._capacity))[::-1]
        self._reasons: dict[int, str] = {}

    def close(self) -> None:
        """Give the memory back; the pool is of no use afterwards."""
        self._memory.give_back(self._taken)

    def fill(self, first: int, out: np.ndarray, workers: Workers) -> list[tuple[int, str]]:
        """Write the windows from row ``first`` to ``out``; return the rows that are corrupt, with the reason."""
        squares = self._squares.part(slice(first, first + len(out)))
        here, touches = np.unique(touched(self._mosaic, squares), return_counts=True)
        if len(here) > self._capacity:
            half = len(out) // 2
            before = self.fill(first, out[:half], workers)
            return before + self.fill(first + half, out[half:], workers)
        canvas = Canvas(self._mosaic, squares, self._how, out)
        slots = self._slot_of[here]
        canvas.show(Placed(self._slots, here, slots).part(slots >= 0))
        missing = here[slots == EMPTY]
        self._make_room(len(missing), here)
        self._decode(missing, canvas, workers)
        bad = damage(self._mosaic, squares, self._slot_of)
        canvas.finish(Store(self._slots, self._slot_of), bad < 0)
        self._needs[here] -= touches
        self._release(here[self._needs[here] == 0])
        return [(first + int(n), self._reasons[int(bad[n])]) for n in np.flatnonzero(bad >= 0)]

    def _make_room(self, count: int, touched_now: np.ndarray) -> None:
        """Free slots until ``count`` are, those of tiles that are not touched now; they are decoded again when needed."""
        if count > len(self._free):
            held = np.setdiff1d(np.flatnonzero(self._slot_of >= 0), touched_now, assume_unique=True)
            self._release(held[: count - len(self._free)])

    def _release(self, tiles: np.ndarray) -> None:
        slots = self._slot_of[tiles]
        self._free += slots[slots >= 0].tolist()
        self._slot_of[tiles[slots >= 0]] = EMPTY

    def _decode(self, tiles: np.ndarray, canvas: Canvas, workers: Workers) -> None:
        """Read tiles, by their numbers, into free slots; those that cannot be read or believed are marked, with the reason."""
        slots = np.array([self._free.pop() for _ in tiles], np.int64)
        damaged = self._believed.read(Placed(self._slots, tiles, slots), canvas.show, workers)
        self._slot_of[tiles] = slots
        for number, reason in damaged.items():
            self._reasons[number] = reason
            self._free.append(int(self._slot_of[number]))
            self._slot_of[number] = DAMAGED


class Straight:
    """Decodes tiles that are windows into the batch itself: nothing is copied, and no memory is needed."""

    def __init__(self, believed: Believed, squares: Squares) -> None:
        self._believed, self._squares = believed, squares

    @staticmethod
    def fits(mosaic: Mosaic, how: Cut, squares: Squares) -> bool:
        """Return whether every window is one native tile of the level."""
        width, height = mosaic.tile_width, mosaic.tile_height
        within = (squares.left >= 0) & (squares.left < mosaic.width) & (squares.top >= 0) & (squares.top < mosaic.height)
        on_grid = (squares.left % width == 0) & (squares.top % height == 0)
        return how.factor == 1 and width == height == how.side and bool((within & on_grid).all())

    def close(self) -> None:
        """There is nothing to give back."""

    def fill(self, first: int, out: np.ndarray, workers: Workers) -> list[tuple[int, str]]:
        """See `Pool.fill`."""
        mosaic, side = self._believed.mosaic, self._squares.side
        left, top, _ = self._squares.part(slice(first, first + len(out)))
        numbers = top // side * mosaic.columns + left // side
        tiles, place, same = np.unique(numbers, return_index=True, return_inverse=True)
        lines = out.reshape(len(out), side, 3 * side)
        damaged = self._believed.read(Placed(lines, tiles, place), lambda _: None, workers)
        for row in np.flatnonzero(place[same] != np.arange(len(out))):
            out[row] = out[place[same[row]]]
        # A tile at the level's edge is padded with anything.
        for row in np.flatnonzero((left + side > mosaic.width) | (top + side > mosaic.height)):
            out[row, mosaic.height - top[row] :] = WHITE
            out[row, :, mosaic.width - left[row] :] = WHITE
        corrupt = [(row, damaged[number]) for row, number in enumerate(numbers.tolist()) if number in damaged]
        out[[row for row, _ in corrupt]] = WHITE
        return [(first + row, reason) for row, reason in corrupt]
