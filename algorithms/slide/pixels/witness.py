"""The coarser levels of a slide as witnesses of what its tiles show, read where they are needed."""

from __future__ import annotations

import numpy as np

from algorithms.slide.pixels.decode import UnreadableTileError
from algorithms.slide.pixels.native import NativeTiles
from algorithms.slide.pixels.suspicion import SAMPLE, STEPS, UNKNOWN, Blocks, Grid, Judged, blocks, differences, limits

FIRST_RATIO = 4
"""Witnesses at least so much coarser are asked first, the nearest before the others: the nearer, the more exact, and to read
one costs 3 % of what it judges (a sixteenth of the pixels, reduced while decoding)."""


class Witness:
    """One coarser level; what it was asked of is kept as means over blocks, 6 bytes for a thousand pixels."""

    def __init__(self, judged: NativeTiles, coarse: NativeTiles, how: Blocks) -> None:
        self._judged = judged
        self._coarse = coarse
        self._how = how
        mosaic = coarse.level.mosaic
        # Zeros cost no memory until they are touched, and no block is looked at before its tile has been read.
        self._means = np.zeros((len(how.y_edges) - 1, len(how.x_edges) - 1, 3), np.int16)
        self._read = np.zeros((mosaic.rows, mosaic.columns), bool)
        self._limits: np.ndarray | None = None

    @property
    def ratio(self) -> float:
        """Return how many times coarser this level is than the judged one."""
        return self._coarse.level.downsample / self._judged.level.downsample

    @property
    def limits(self) -> np.ndarray:
        """Return the differences above which a tile is suspicious, (2,), sixteenths of a grey level."""
        if self._limits is None:
            self._limits = limits(self._sample())
        return self._limits

    def differences(self, slots: np.ndarray, numbers: np.ndarray, slot: np.ndarray) -> np.ndarray:
        """Return how far each tile is from this level, (N, 2), `UNKNOWN` where it says nothing of the tile.

        ``slots`` is (slots, height, 3 * width); ``numbers`` are the tiles' numbers in the judged level, all of which `ask` was
        given, and ``slot`` their slots.
        """
        judged = Judged(slots, numbers, slot, self._judged.level.mosaic.columns)
        return np.asarray(differences(judged, Grid(self._means, self._how.x_edges, self._how.y_edges)), np.int64)

    def ask(self, numbers: np.ndarray) -> None:
        """Read every tile of this level that lies under one of the judged tiles and has not been read."""
        fine, coarse = self._judged.level, self._coarse.level
        ratio = coarse.downsample / fine.downsample
        row, column = np.divmod(numbers, fine.mosaic.columns)
        down = _under(row * fine.mosaic.tile_height / ratio, fine.mosaic.tile_height / ratio, coarse.mosaic.tile_height)
        across = _under(column * fine.mosaic.tile_width / ratio, fine.mosaic.tile_width / ratio, coarse.mosaic.tile_width)
        for top, bottom, left, right in sorted(set(zip(*(side.tolist() for side in (*down, *across)), strict=True))):
            for coarse_row, coarse_column in np.argwhere(~self._read[top:bottom, left:right]).tolist():
                self._read_tile(top + coarse_row, left + coarse_column)

    def _read_tile(self, row: int, column: int) -> None:
        mosaic, factor = self._coarse.level.mosaic, self._how.factor
        self._read[row, column] = True
        top, left = row * mosaic.tile_height // factor, column * mosaic.tile_width // factor
        place = self._means[top : top + mosaic.tile_height // factor, left : left + mosaic.tile_width // factor]
        try:
            small = self._coarse.reduced(row * mosaic.columns + column, factor)
        except UnreadableTileError:
            place[:] = UNKNOWN
            return
        place[:] = small[: place.shape[0], : place.shape[1]].astype(np.int16) * STEPS

    def _sample(self) -> np.ndarray:
        """Return the differences of some tiles, those in which equal steps through the slide's bytes fall: where tissue is.

        Glass takes few bytes and agrees with anything: limits taken from it would be too narrow for tissue.
        """
        page, mosaic = self._judged.level.page, self._judged.level.mosaic
        bytes_before = np.cumsum(page.byte_counts)
        steps = (np.arange(SAMPLE) + 0.5) / SAMPLE * bytes_before[-1]
        numbers = np.unique(np.searchsorted(bytes_before, steps))
        pixels = np.empty((1, mosaic.tile_height, mosaic.tile_width, 3), np.uint8)
        found = [np.empty((0, 2), np.int64)]
        for number in numbers:
            try:
                self._judged.read(int(number), pixels[0])
            except UnreadableTileError:
                continue
            self.ask(np.array([number]))
            found.append(self.differences(pixels.reshape(1, mosaic.tile_height, -1), np.array([number]), np.zeros(1, np.int64)))
        return np.concatenate(found)


def _under(begin: np.ndarray, length: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first tile of ``size`` pixels that a stretch touches, and one past the last it would touch."""
    return (begin // size).astype(np.int64), np.ceil((begin + length) / size).astype(np.int64)


def witnesses(judged: NativeTiles, coarser: list[NativeTiles]) -> tuple[Witness, ...]:
    """Return the witnesses of a level in the order in which they are asked; none where there is no coarser level."""
    found = []
    for coarse in sorted(coarser, key=lambda native: _order(judged, native)):
        ratio = coarse.level.downsample / judged.level.downsample
        how = blocks(judged.level.mosaic, coarse.level.mosaic, ratio)
        if how is not None:
            found.append(Witness(judged, coarse, how))
    return tuple(found)


def _order(judged: NativeTiles, coarse: NativeTiles) -> tuple[bool, float]:
    ratio = coarse.level.downsample / judged.level.downsample
    return ratio < FIRST_RATIO, ratio
