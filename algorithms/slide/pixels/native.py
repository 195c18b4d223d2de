"""Read the native tiles of one level of a slide's pyramid: libjpeg-turbo where it can, OpenSlide for everything else.

A tile that libjpeg-turbo refuses is read once more through OpenSlide with a fresh handle, because OpenSlide answers every read
after an error with that error.  Pixels are (height, width, 3) uint8 RGB of the whole native tile; beyond the level's edge
they are what the file pads with.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide

from algorithms.slide.file.facts import pyramid
from algorithms.slide.file.tiff import Page, TiffIndex
from algorithms.slide.pixels.decode import JPEG, YCBCR, Encoded, TileDecoder, UnreadableTileError, tile_decoder
from algorithms.slide.pixels.windows import WHITE, Mosaic

MOST_GAP = 4096
"""Bytes between tiles of which fewer are read along than a second read would cost."""

REFUSED = "OpenSlide cannot read it either"


@dataclass(frozen=True)
class Level:
    """One resolution: its page, its mosaic of native tiles, and the level-0 pixels that one of its pixels covers."""

    page: Page
    mosaic: Mosaic
    downsample: float


def levels(index: TiffIndex) -> tuple[Level, ...]:
    """Return the pyramid of a slide, finest first; a level's downsample is the power of two whose rounding gives its sides."""
    pages = pyramid(index)
    return tuple(
        Level(
            page,
            Mosaic(page.width, page.height, page.tile_width, page.tile_height),
            2.0 ** round(math.log2(pages[0].width / page.width)),
        )
        for page in pages
    )


class NativeTiles:
    """The tiles of one level of an open file.  Safe to use from several threads."""

    def __init__(self, descriptor: int, size: int, level: Level, rescue: Rescue) -> None:
        page = level.page
        self.level = level
        self._descriptor = descriptor
        self._size = size
        self._offsets: list[int] = page.offsets.tolist()
        self._counts: list[int] = page.byte_counts.tolist()
        self._rescue = rescue
        self._decoder = _decoder(page)

    @property
    def fast(self) -> bool:
        """Return whether tiles are decoded by libjpeg-turbo; otherwise OpenSlide reads them all."""
        return self._decoder is not None

    def encoded(self, numbers: Sequence[int]) -> list[Encoded | None]:
        """Return the bytes of tiles, read in one go where they lie together; ``None`` where the file does not hold them."""
        spans = [(self._offsets[number], self._offsets[number] + self._counts[number]) for number in numbers]
        there = [(begin, end) for begin, end in spans if begin < end <= self._size]
        if not there:
            return [None] * len(spans)
        first, last = min(begin for begin, _ in there), max(end for _, end in there)
        if last - first > sum(end - begin for begin, end in there) + MOST_GAP and len(spans) > 1:
            return [one for number in numbers for one in self.encoded([number])]
        data = os.pread(self._descriptor, last - first, first)
        return [Encoded(data, begin - first, end - first) if begin < end <= self._size else None for begin, end in spans]

    def read(self, number: int, out: np.ndarray, encoded: Encoded | None = None) -> None:
        """Write the pixels of a tile, by its number in the level, to ``out``, contiguous (height, width, 3).

        ``encoded`` are its bytes, where they have been read already.

        Raises
        ------
        UnreadableTileError
            If it cannot be read; the message is the reason.
        """
        if self._decoder is None:
            self._require_bytes(number)
            self._rescue.read(self.level, number, out)
            return
        try:
            self._decoder.decode(encoded or self._encoded(number), out)
        except UnreadableTileError as damage:
            self.reread(number, out, str(damage))

    def reduced(self, number: int, factor: int) -> np.ndarray:
        """Return a tile's means over squares of 1, 2, 4 or 8 pixels a side, (height / factor, width / factor, 3) uint8.

        Where the colours are stored as densely across as down, the decoder gives them for half the price of the pixels.

        Raises
        ------
        UnreadableTileError
            If the tile cannot be read.
        """
        page = self.level.page
        across, down = page.subsampling
        if self._decoder is not None and (page.photometric != YCBCR or across == down):
            return self._decoder.reduced(self._encoded(number), factor)
        whole = np.empty((page.tile_height, page.tile_width, 3), np.uint8)
        self.read(number, whole)
        squares = whole.reshape(page.tile_height // factor, factor, page.tile_width // factor, factor, 3)
        return np.asarray(np.floor(squares.mean(axis=(1, 3)) + 0.5), np.uint8)

    def stream(self, number: int) -> bytes:
        """Return a JPEG tile as one whole stream, which any JPEG decoder takes."""
        if self._decoder is None:
            raise ValueError("the level's tiles are not JPEG")
        return self._decoder.stream(self._encoded(number))

    def decode(self, stream: bytes, out: np.ndarray) -> None:
        """Write the pixels of an encoded tile, as `stream` gives it, to ``out``; errors as `read`, without a second try."""
        if self._decoder is None:
            raise ValueError("the level's tiles are not JPEG")
        self._decoder.decode(Encoded.whole(stream), out)

    def _require_bytes(self, number: int) -> None:
        if self._counts[number] == 0:
            raise UnreadableTileError("the file holds no bytes of the tile")
        if self._offsets[number] + self._counts[number] > self._size:
            raise UnreadableTileError("the file ends before the tile does")

    def _encoded(self, number: int) -> Encoded:
        self._require_bytes(number)
        return Encoded.whole(os.pread(self._descriptor, self._counts[number], self._offsets[number]))

    def reread(self, number: int, out: np.ndarray, reason: str) -> None:
        """Write what a fresh OpenSlide reads of a tile to ``out``.

        Raises
        ------
        UnreadableTileError
            If it cannot, with ``reason``.
        """
        if not self._rescue.exact(self.level):
            raise UnreadableTileError(reason)
        try:
            self._rescue.read(self.level, number, out)
        except UnreadableTileError:
            raise UnreadableTileError(f"{reason}; {REFUSED}") from None


def _decoder(page: Page) -> TileDecoder | None:
    """Return the decoder of a page's JPEG tiles, or ``None`` where they are something else."""
    plain = page.compression == JPEG and set(page.bits_per_sample) == {8} and page.planar_configuration == 1
    if not plain or page.samples_per_pixel != 3:
        return None
    try:
        return tile_decoder(page.tables, page.tile_width, page.tile_height, page.photometric)
    except UnreadableTileError:
        return None


class Rescue:
    """Reads native tiles through OpenSlide; the handle is opened when it is first needed and anew after each error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._slide: openslide.OpenSlide | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the handle, if there is one."""
        if self._slide is not None:
            self._slide.close()
            self._slide = None

    def exact(self, level: Level) -> bool:
        """Return whether OpenSlide can be asked for the level's own pixels, not for a mixture of neighbours.

        It takes places in level-0 pixels and divides them by its own quotient of the sides, seldom a whole number.
        """
        with self._lock:
            try:
                slide = self._opened()
                number = _same_level(slide, level)
            except (openslide.OpenSlideError, UnreadableTileError):
                self.close()
                return False
            return float(slide.level_downsamples[number]).is_integer()

    def read(self, level: Level, number: int, out: np.ndarray) -> None:
        """Write the pixels of a tile to ``out``, white beyond the level's edge.

        Raises
        ------
        UnreadableTileError
            If OpenSlide cannot read them.
        """
        mosaic = level.mosaic
        row, column = divmod(number, mosaic.columns)
        left, top = column * mosaic.tile_width, row * mosaic.tile_height
        size = (min(mosaic.tile_width, mosaic.width - left), min(mosaic.tile_height, mosaic.height - top))
        with self._lock:
            try:
                slide = self._opened()
                at = _same_level(slide, level)
                downsample = slide.level_downsamples[at]
                rgba = np.asarray(slide.read_region((round(left * downsample), round(top * downsample)), at, size))
            except openslide.OpenSlideError:
                self.close()
                raise UnreadableTileError("OpenSlide cannot read the tile") from None
        if not rgba[..., 3].all():
            raise UnreadableTileError("the file holds no pixels for part of the tile")
        out[:] = WHITE
        out[: size[1], : size[0]] = rgba[..., :3]

    def _opened(self) -> openslide.OpenSlide:
        if self._slide is None:
            self._slide = openslide.OpenSlide(self._path)
        return self._slide


def _same_level(slide: openslide.OpenSlide, level: Level) -> int:
    size = (level.mosaic.width, level.mosaic.height)
    if size not in slide.level_dimensions:
        raise UnreadableTileError("OpenSlide does not know the tile's level")
    return slide.level_dimensions.index(size)
