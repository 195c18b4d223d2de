"""Cut square windows out of decoded native tiles, straight into a batch.

A level is a row-major mosaic of native tiles; those decoded lie in slots, and ``slot_of`` says for every tile of the level
which slot holds it, or why none does (`EMPTY`, `DAMAGED`).  What lies outside the level is white.

A window is copied where a level pixel is a tile pixel, and otherwise reduced by area averaging: every output pixel is the mean
of the part of the level that it covers, in whole numbers, so the same everywhere; halves are rounded up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

EMPTY, DAMAGED = -1, -2
"""What ``slot_of`` says of a tile that no slot holds: not decoded, or impossible to decode."""

WHITE = 255

WEIGHT_BITS = 11
"""Fixed point of the averaging: two weights of 11 bits and a pixel of 8 stay below 2^31; an error of 0.1 % of a grey level."""

SAME_SCALE = 0.02
"""Relative difference from a whole scale up to which it is taken for whole: less than scanners of one nominal magnification
differ by.  Pixels are then copied, or averaged in squares, and a window is up to so much larger or smaller than asked for."""

MOST_FACTOR = 63
"""Largest whole scale: a division by the square of it is a multiplication in 64 bits, exact below 2^32."""


class Mosaic(NamedTuple):
    """A level's size, pixels, and that of its native tiles."""

    width: int
    height: int
    tile_width: int
    tile_height: int

    @property
    def columns(self) -> int:
        """Return the number of tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Return the number of rows of tiles."""
        return -(-self.height // self.tile_height)


class Squares(NamedTuple):
    """Windows: their top-left corners, (N,) int64 level pixels, and their side, level pixels."""

    left: np.ndarray
    top: np.ndarray
    side: int

    def part(self, which: slice | np.ndarray) -> Squares:
        """Return some of them."""
        return Squares(self.left[which], self.top[which], self.side)


class Store(NamedTuple):
    """Decoded tiles: ``slots``, (slots, tile height, 3 * tile width) uint8, and ``slot_of``, (tiles,) int32."""

    slots: np.ndarray
    slot_of: np.ndarray


class Placed(NamedTuple):
    """Some tiles, ``numbers`` (tiles,), and the ``slot``, (tiles,), of ``slots``, (slots, height, 3 * width), of each."""

    slots: np.ndarray
    numbers: np.ndarray
    slot: np.ndarray

    def part(self, which: slice | np.ndarray) -> Placed:
        """Return some of them."""
        return Placed(self.slots, self.numbers[which], self.slot[which])


class Cut(NamedTuple):
    """How a window of ``side`` level pixels becomes ``tile_px`` pixels.

    Each is the mean of ``factor`` x ``factor`` level pixels; or, where ``factor`` is 0, output i begins at ``first[i]``,
    (tile_px,), with ``weights``, (tile_px, taps), that add up to 2^WEIGHT_BITS.
    """

    side: int
    tile_px: int
    factor: int
    first: np.ndarray
    weights: np.ndarray


def cut_of(extent_px: float, tile_px: int) -> Cut:
    """Return how a window of ``extent_px`` level pixels, seldom a whole number, becomes ``tile_px`` pixels."""
    scale = extent_px / tile_px
    factor = max(1, round(scale))
    if abs(scale / factor - 1) <= SAME_SCALE and factor <= MOST_FACTOR:
        return Cut(tile_px * factor, tile_px, factor, np.zeros(0, np.int64), np.zeros((0, 0), np.uint32))
    begin = np.arange(tile_px) * scale
    first = np.floor(begin + 1e-9).astype(np.int64)
    taps = math.ceil(scale - 1e-9) + 1
    at = first[:, None] + np.arange(taps)
    shares = np.clip(np.minimum(at + 1, begin[:, None] + scale) - np.maximum(at, begin[:, None]), 0, None) / scale
    weights = _whole(shares)
    while taps > 1 and not weights[:, taps - 1].any():
        taps -= 1
    return Cut(int(first[-1]) + taps, tile_px, 0, first, np.ascontiguousarray(weights[:, :taps]))


def _whole(shares: np.ndarray) -> np.ndarray:
    """Return ``shares``, whose rows add up to 1, as whole numbers that add up to 2^WEIGHT_BITS: largest remainders."""
    total = 1 << WEIGHT_BITS
    exact = shares * (total / shares.sum(axis=1, keepdims=True))
    whole = np.floor(exact + 1e-6).astype(np.int64)
    for row, wanted in enumerate(total - whole.sum(axis=1)):
        order = np.argsort(whole[row] - exact[row], kind="stable")
        whole[row, order[:wanted]] += 1
    return np.asarray(whole, np.uint32)


@numba.njit(cache=True, nogil=True)
def _touched(mosaic: Mosaic, squares: Squares, n: int) -> tuple[int, int, int, int]:
    """Return the first and one past the last row, and the same of the columns, of the tiles that a window touches."""
    right = min(squares.left[n] + squares.side, mosaic.width)
    bottom = min(squares.top[n] + squares.side, mosaic.height)
    left, top = max(squares.left[n], 0), max(squares.top[n], 0)
    if left >= right or top >= bottom:
        return 0, 0, 0, 0
    return (
        top // mosaic.tile_height,
        -(-bottom // mosaic.tile_height),
        left // mosaic.tile_width,
        -(-right // mosaic.tile_width),
    )


@numba.njit(cache=True, nogil=True)
def touched(mosaic: Mosaic, squares: Squares) -> np.ndarray:
    """Return the numbers of the tiles that each window touches, window after window, (touches,) int64."""
    columns = -(-mosaic.width // mosaic.tile_width)
    most = (2 + squares.side // mosaic.tile_width) * (2 + squares.side // mosaic.tile_height)
    found, count = np.empty(squares.left.size * most, np.int64), 0
    for n in range(squares.left.size):
        row0, row1, column0, column1 = _touched(mosaic, squares, n)
        for row in range(row0, row1):
            for column in range(column0, column1):
                found[count] = row * columns + column
                count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def damage(mosaic: Mosaic, squares: Squares, slot_of: np.ndarray) -> np.ndarray:
    """Return for every window the first damaged tile that it touches, or -1, (N,)."""
    columns = -(-mosaic.width // mosaic.tile_width)
    found = np.full(squares.left.size, -1, np.int64)
    for n in range(squares.left.size):
        row0, row1, column0, column1 = _touched(mosaic, squares, n)
        for row in range(row0, row1):
            for column in range(column0, column1):
                tile = row * columns + column
                if found[n] < 0 and slot_of[tile] == DAMAGED:
                    found[n] = tile
    return found


def cut(store: Store, mosaic: Mosaic, squares: Squares, how: Cut, out: np.ndarray) -> None:
    """Write the windows to ``out``, (N, tile_px, tile_px, 3); every tile that they touch is in a slot."""
    flat = out.reshape(len(out), how.tile_px, 3 * how.tile_px)
    if how.factor == 1:
        whiten(mosaic, squares, out)
        tiles = np.unique(touched(mosaic, squares))
        copy(Placed(store.slots, tiles, store.slot_of[tiles]), mosaic, squares, flat)
    elif how.factor:
        _mean(store, mosaic, squares, how.factor, flat)
    else:
        _average(store, mosaic, squares, how, flat)


def whiten(mosaic: Mosaic, squares: Squares, out: np.ndarray) -> None:
    """Make those windows white, whole, that reach beyond the level."""
    left, top, side = squares
    out[(left < 0) | (top < 0) | (left + side > mosaic.width) | (top + side > mosaic.height)] = WHITE


@numba.njit(cache=True, nogil=True)
def copy(tiles: Placed, mosaic: Mosaic, squares: Squares, out: np.ndarray) -> None:
    """Copy what some tiles show of the windows to ``out``, (N, side, 3 * side).

    Tile by tile, so that one which was decoded just now is copied from the processor's cache.
    """
    columns = -(-mosaic.width // mosaic.tile_width)
    for t in range(tiles.numbers.size):
        number, slot = tiles.numbers[t], tiles.slot[t]
        row_top, column_left = number // columns * mosaic.tile_height, number % columns * mosaic.tile_width
        row_bottom = min(row_top + mosaic.tile_height, mosaic.height)
        column_right = min(column_left + mosaic.tile_width, mosaic.width)
        for n in range(squares.left.size):
            left, top = squares.left[n], squares.top[n]
            y0, y1 = max(top, row_top), min(top + squares.side, row_bottom)
            x0, x1 = max(left, column_left), min(left + squares.side, column_right)
            if y0 >= y1 or x0 >= x1:
                continue
            source, target, run = 3 * (x0 - column_left), 3 * (x0 - left), 3 * (x1 - x0)
            for y in range(y0, y1):
                line = tiles.slots[slot, y - row_top, source : source + run]
                place = out[n, y - top, target : target + run]
                for k in range(run):  # numba's own assignment of slices takes four times as long
                    place[k] = line[k]


@numba.njit(cache=True, nogil=True)
def _mean(store: Store, mosaic: Mosaic, squares: Squares, factor: int, out: np.ndarray) -> None:
    side = squares.side // factor
    line = np.empty(3 * squares.side, np.uint16)
    area = np.uint64(factor * factor)
    half, inverse = area // np.uint64(2), np.uint64((1 << 32) // (factor * factor) + 1)
    for n in range(squares.left.size):
        for i in range(side):
            line[:] = 0
            for tap in range(factor):
                _add_line(store, mosaic, (squares.left[n], squares.top[n] + i * factor + tap), np.uint16(1), line)
            place = out[n, i]
            if factor == 2:
                for j in range(side):
                    for c in range(3):
                        place[3 * j + c] = (np.uint32(line[6 * j + c]) + line[6 * j + 3 + c] + np.uint32(2)) >> np.uint32(2)
                continue
            for j in range(side):
                for c in range(3):
                    total = half
                    for tap in range(factor):
                        total += np.uint64(line[3 * (j * factor + tap) + c])
                    place[3 * j + c] = (total * inverse) >> np.uint64(32)


@numba.njit(cache=True, nogil=True)
def _add_line(store: Store, mosaic: Mosaic, begin: tuple[int, int], weight: np.integer, line: np.ndarray) -> None:
    """Add the level's pixels from ``begin``, (left, y), times ``weight`` to ``line``, (3 * side,), both of one type."""
    left, y = begin
    columns = -(-mosaic.width // mosaic.tile_width)
    side = line.size // 3
    if y < 0 or y >= mosaic.height:
        line += weight * line.dtype.type(WHITE)
        return
    row = y // mosaic.tile_height
    first, end = max(left, 0), min(left + side, mosaic.width)
    line[: 3 * max(0, first - left)] += weight * line.dtype.type(WHITE)
    line[3 * max(0, end - left) :] += weight * line.dtype.type(WHITE)
    for column in range(first // mosaic.tile_width, -(-end // mosaic.tile_width)):
        x0, x1 = max(first, column * mosaic.tile_width), min(end, (column + 1) * mosaic.tile_width)
        source, target, run = 3 * (x0 - column * mosaic.tile_width), 3 * (x0 - left), 3 * (x1 - x0)
        pixels = store.slots[store.slot_of[row * columns + column], y - row * mosaic.tile_height, source : source + run]
        place = line[target : target + run]
        for k in range(run):
            place[k] += weight * pixels[k]


@numba.njit(cache=True, nogil=True)
def _average(store: Store, mosaic: Mosaic, squares: Squares, how: Cut, out: np.ndarray) -> None:
    taps = how.weights.shape[1]
    line = np.empty(3 * squares.side, np.uint32)
    half, shift = np.uint32(1 << (2 * WEIGHT_BITS - 1)), np.uint32(2 * WEIGHT_BITS)
    for n in range(squares.left.size):
        for i in range(how.tile_px):
            line[:] = 0
            for tap in range(taps):
                if how.weights[i, tap]:
                    y = squares.top[n] + how.first[i] + tap
                    _add_line(store, mosaic, (squares.left[n], y), how.weights[i, tap], line)
            for j in range(how.tile_px):
                k = 3 * how.first[j]
                for c in range(3):
                    total = half
                    for tap in range(taps):
                        total += how.weights[j, tap] * line[k + 3 * tap + c]
                    out[n, i, 3 * j + c] = total >> shift
