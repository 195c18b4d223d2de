"""Read native tiles that can be believed: decoded, and set beside what the slide's coarser levels show of their place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from algorithms.slide.pixels.decode import UnreadableTileError
from algorithms.slide.pixels.native import NativeTiles
from algorithms.slide.pixels.suspicion import UNKNOWN
from algorithms.slide.pixels.windows import Mosaic, Placed
from algorithms.slide.pixels.witness import Witness

AT_ONCE = 6
"""Tiles that are decoded before they are judged and shown: 1.2 MB, so that they still lie in the processor's cache."""

MISMATCH = "the tile decodes to something else than the slide's coarser levels show"

Show = Callable[[Placed], None]
"""Told of tiles as soon as they are decoded."""


class Workers(NamedTuple):
    """Threads that decode, and how many there are."""

    pool: ThreadPoolExecutor
    threads: int


class Believed:
    """The tiles of one level, each read once or, where its witnesses object, once more."""

    def __init__(self, native: NativeTiles, asked: tuple[Witness, ...]) -> None:
        self._native, self._asked = native, asked

    @property
    def mosaic(self) -> Mosaic:
        """Return how the level is tiled."""
        return self._native.level.mosaic

    def read(self, tiles: Placed, show: Show, workers: Workers) -> dict[int, str]:
        """Decode tiles into their slots, and show them.

        Returns
        -------
        dict
            Those that cannot be read or believed, with the reason; what was shown of them is worth nothing.
        """
        if self._asked:
            self._asked[0].ask(tiles.numbers)
        if workers.threads == 1 or len(tiles.numbers) < 2 * workers.threads:
            found = [self._read(tiles, show)]
        else:
            parts = np.array_split(np.arange(len(tiles.numbers)), workers.threads)
            found = list(workers.pool.map(lambda part: self._read(tiles.part(part), show), parts))
        damaged = {number: reason for lost, _ in found for number, reason in lost.items()}
        doubtful = np.concatenate([doubt for _, doubt in found])
        if doubtful.any():
            damaged |= self._read_again(tiles.part(doubtful))
            show(tiles.part(doubtful))
        return damaged

    def _read(self, tiles: Placed, show: Show) -> tuple[dict[int, str], np.ndarray]:
        """Return which tiles cannot be read, with the reason, and which of the others the first witness does not vouch for."""
        damaged = {}
        doubtful = np.zeros(len(tiles.numbers), bool)
        for first in range(0, len(doubtful), AT_ONCE):
            some = tiles.part(slice(first, first + AT_ONCE))
            numbers = some.numbers.tolist()
            for number, slot, encoded in zip(numbers, some.slot.tolist(), self._native.encoded(numbers), strict=True):
                try:
                    self._native.read(number, self._pixels(tiles.slots, slot), encoded)
                except UnreadableTileError as damage_found:
                    damaged[number] = str(damage_found)
            if self._asked:
                differences = self._asked[0].differences(*some)
                doubtful[first : first + AT_ONCE] = ((differences > self._asked[0].limits) | (differences == UNKNOWN)).any(
                    axis=1
                )
            show(some)
        if damaged:
            doubtful &= ~np.isin(tiles.numbers, list(damaged))
        return damaged, doubtful

    def _read_again(self, tiles: Placed) -> dict[int, str]:
        """Return the tiles that no witness believes, though a fresh OpenSlide has read them again, with the reason."""
        damaged = {}
        for n, (number, slot) in enumerate(zip(tiles.numbers.tolist(), tiles.slot.tolist(), strict=True)):
            one = tiles.part(slice(n, n + 1))
            if self._vouched(one):
                continue
            pixels = self._pixels(tiles.slots, slot)
            before = pixels.copy()
            try:
                self._native.reread(number, pixels, MISMATCH)
            except UnreadableTileError as damage_found:
                damaged[number] = str(damage_found)
                continue
            if np.array_equal(before, pixels) or not self._vouched(one):
                damaged[number] = MISMATCH
        return damaged

    def _vouched(self, tile: Placed) -> bool:
        """Return whether some witness vouches for a tile, or all have nothing to say."""
        silent = True
        for witness in self._asked:
            witness.ask(tile.numbers)
            differences = witness.differences(*tile)[0]
            if (differences != UNKNOWN).all():
                silent = False
                if (differences <= witness.limits).all():
                    return True
        return silent

    def _pixels(self, slots: np.ndarray, slot: int) -> np.ndarray:
        pixels: np.ndarray = slots[slot].reshape(self.mosaic.tile_height, self.mosaic.tile_width, 3)
        return pixels
