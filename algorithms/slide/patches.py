"""Read parts of a slide through OpenSlide and outlive tiles that cannot be decoded.

OpenSlide's handle answers every later read with the first error it met, so a corrupt tile would cost the rest of the slide.
Here a failed read is repeated in quarters with a fresh handle, until what cannot be decoded is small; it is white and counted.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import openslide

SMALLEST_PX = 128
"""Side below which a failed read is not divided further: half of a usual tile's 256 pixels."""

MOST_FAILURES = 2000
"""Failed reads after which nothing is divided any more: some 100 corrupt tiles (own bound)."""


class Patches:
    """An open slide.  Pixels are (Y, X, 3) uint8 RGB; white where the file has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._slide = openslide.OpenSlide(path)
        self._failures = 0

    def __enter__(self) -> Patches:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._slide.close()

    def region(self, level: int, left: int, top: int, size: tuple[int, int]) -> tuple[np.ndarray, int]:
        """Return ``size`` (width, height) pixels of ``level`` from (``left``, ``top``) there, and how many were not decoded."""
        downsample = self._slide.level_downsamples[level]
        try:
            image = self._slide.read_region((round(left * downsample), round(top * downsample)), level, size)
        except openslide.OpenSlideError:
            self._slide.close()
            self._slide = openslide.OpenSlide(self._path)
            self._failures += 1
            return self._in_quarters(level, left, top, size)
        rgba = np.asarray(image)
        pixels = rgba[..., :3].copy()
        pixels[rgba[..., 3] == 0] = 255
        return pixels, 0

    def square(self, x: int, y: int, side: int, mpp: float, wanted_um: float = 0.5) -> np.ndarray | None:
        """Return a square of level 0 at about ``wanted_um`` a pixel, or ``None`` where it cannot be decoded whole.

        The coarsest level that is fine enough is read, and shrunk by a whole factor.
        """
        level = max(
            (i for i, d in enumerate(self._slide.level_downsamples) if d * mpp <= 1.25 * wanted_um),
            key=lambda i: self._slide.level_downsamples[i],
            default=0,
        )
        downsample = self._slide.level_downsamples[level]
        factor = max(1, round(wanted_um / (downsample * mpp)))
        size = round(side / downsample / factor) * factor
        pixels, bad = self.region(level, round(x / downsample), round(y / downsample), (size, size))
        if bad or size == 0:
            return None
        blocks = pixels.reshape(size // factor, factor, size // factor, factor, 3)
        return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.uint8)

    def _in_quarters(self, level: int, left: int, top: int, size: tuple[int, int]) -> tuple[np.ndarray, int]:
        width, height = size
        pixels = np.full((height, width, 3), 255, dtype=np.uint8)
        if max(size) <= SMALLEST_PX or self._failures > MOST_FAILURES:
            return pixels, width * height
        bad = 0
        across, down = (width + 1) // 2 if width > SMALLEST_PX else width, (height + 1) // 2 if height > SMALLEST_PX else height
        for y in range(0, height, down):
            for x in range(0, width, across):
                part = (min(across, width - x), min(down, height - y))
                block, lost = self.region(level, left + x, top + y, part)
                pixels[y : y + part[1], x : x + part[0]] = block
                bad += lost
        return pixels, bad
