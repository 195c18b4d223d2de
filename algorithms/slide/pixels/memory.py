"""Memory into which tiles are decoded."""

from __future__ import annotations

import math

import numpy as np

LINE_BYTES = 64
"""Of the processor's cache."""

OFFSET_BYTES = 16
"""Into a line: libjpeg-turbo writes rows that begin at multiples of 32 bytes past the cache (jdcolext-avx2), and whoever looks
at the pixels next has to fetch them again; half lines past the cache take it a sixth longer (benchmarks/slides.py)."""


def pixels(*shape: int) -> np.ndarray:
    """Return memory for uint8 pixels, contiguous, whose rows are written through the cache where they are whole lines long."""
    size = math.prod(shape)
    raw = np.empty(size + 2 * LINE_BYTES, np.uint8)
    begin = (OFFSET_BYTES - raw.ctypes.data) % LINE_BYTES
    return raw[begin : begin + size].reshape(shape)


class Memory:
    """Memory for one user after another: what has been written to once costs nothing to take again."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, size: int) -> np.ndarray:
        """Return at least ``size`` bytes, (bytes,) uint8, which nobody else has until they are given back."""
        taken, self._bytes = self._bytes, np.empty(0, np.uint8)
        return taken if len(taken) >= size else pixels(size)

    def give_back(self, taken: np.ndarray) -> None:
        """Keep what was taken for the next one."""
        self._bytes = taken
