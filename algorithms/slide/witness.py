"""The coarser levels of a slide as witnesses of what its tiles show, read where they are needed."""

from __future__ import annotations

import numpy as np

from algorithms.slide.decode import UnreadableTileError
from algorithms.slide.native import NativeTiles
from algorithms.slide.suspicion import SAMPLE, UNKNOWN, Blocks, Grid, Judged, blocks, differences, fill, threshold

FIRST_RATIO = 8
"""Witnesses at least so much coarser are asked first: to read them costs under 2 % of the pixels that they judge."""


class Witness:
    """One coarser level; what it has been asked of is kept as block means, some bytes for a thousand pixels."""

    def __init__(self, judged: NativeTiles, coarse: NativeTiles, how: Blocks) -> None:
        self._judged = judged
        self._coarse = coarse
        self._how = how
        mosaic = coarse.level.mosaic
        # Zeros cost no memory until they are touched; the mark of a block that is not known is written a tile at a time.
        self._means = np.zeros((len(how.y_edges) - 1, len(how.x_edges) - 1, 3), np.int16)
        self._read = np.zeros((mosaic.rows, mosaic.columns), bool)
        self._pixels = np.empty((mosaic.tile_height, mosaic.tile_width, 3), np.uint8)
        self._threshold: int | None = None

    @property
    def threshold(self) -> int:
        """Return the difference above which a tile is suspicious, sixteenths of a grey level."""
        if self._threshold is None:
            self._threshold = threshold(self._sample())
        return self._threshold

    def differences(self, slots: np.ndarray, numbers: np.ndarray, slot: np.ndarray) -> np.ndarray:
        """Return each tile's largest difference from this level, (N,), `UNKNOWN` where it says nothing of the tile.

        ``slots`` is (slots, height, 3 * width); ``numbers`` are the tiles' numbers in the judged level, ``slot`` their slots.
        """
        self._ask(numbers)
        judged = Judged(slots, numbers, slot, self._judged.level.mosaic.columns)
        return np.asarray(differences(judged, Grid(self._means, self._how.x_edges, self._how.y_edges)), np.int64)

    def suspicious(self, slots: np.ndarray, numbers: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which tiles do not show what this level shows, and of which it says nothing, both (N,) bool."""
        found = self.differences(slots, numbers, slot)
        return found > self.threshold, found == UNKNOWN

    def _ask(self, numbers: np.ndarray) -> None:
        """Read every tile of this level that lies under one of the judged tiles and has not been read."""
        fine, coarse = self._judged.level, self._coarse.level
        ratio = coarse.downsample / fine.downsample
        rows, columns = np.divmod(numbers, fine.mosaic.columns)
        left, top = columns * fine.mosaic.tile_width / ratio, rows * fine.mosaic.tile_height / ratio
        right, bottom = left + fine.mosaic.tile_width / ratio, top + fine.mosaic.tile_height / ratio
        under = (
            np.stack([low // size, np.minimum((high - 1e-6) // size, most)]).astype(np.int64).T
            for low, high, size, most in (
                (top, bottom, coarse.mosaic.tile_height, coarse.mosaic.rows - 1),
                (left, right, coarse.mosaic.tile_width, coarse.mosaic.columns - 1),
            )
        )
        for (row0, row1), (column0, column1) in dict.fromkeys(
            zip(*(map(tuple, sides.tolist()) for sides in under), strict=True)
        ):
            for row in range(row0, row1 + 1):
                for column in range(column0, column1 + 1):
                    if not self._read[row, column]:
                        self._read_tile(row, column)

    def _read_tile(self, row: int, column: int) -> None:
        mosaic = self._coarse.level.mosaic
        self._read[row, column] = True
        size = self._how.per_block
        try:
            self._coarse.read(row * mosaic.columns + column, self._pixels)
        except UnreadableTileError:
            down, across = mosaic.tile_height // size, mosaic.tile_width // size
            self._means[row * down : (row + 1) * down, column * across : (column + 1) * across] = UNKNOWN
            return
        fill(self._means, self._pixels.reshape(mosaic.tile_height, -1), column, row, size)

    def _sample(self) -> np.ndarray:
        """Return the differences of some tiles all over the slide, of those with more bytes than most: where tissue is."""
        page, mosaic = self._judged.level.page, self._judged.level.mosaic
        most = np.sort(np.argsort(page.byte_counts, kind="stable")[len(page.byte_counts) // 2 :])
        numbers = most[np.unique(np.linspace(0, len(most) - 1, SAMPLE).astype(np.int64))]
        pixels = np.empty((1, mosaic.tile_height, mosaic.tile_width, 3), np.uint8)
        found = []
        for number in numbers:
            try:
                self._judged.read(int(number), pixels[0])
            except UnreadableTileError:
                continue
            found.append(self.differences(pixels.reshape(1, mosaic.tile_height, -1), np.array([number]), np.zeros(1, np.int64)))
        return np.concatenate(found) if found else np.empty(0, np.int64)


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
    return ratio < FIRST_RATIO, ratio if ratio >= FIRST_RATIO else -ratio
