"""Encoded tiles by their compression: how each is cleaned of what is no pixel, and what stands for one that cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.slide.file import jpeg, jpeg2000, lossless
from algorithms.slide.file.facts import DEFLATE, DEFLATE_OLD, JPEG, JPEG_2000_RGB, JPEG_2000_YCC, LZW, NONE
from algorithms.slide.file.jpeg import Cleaned, DamagedTileError, TileCleaner
from algorithms.slide.file.tiff import Page, TiffIndex

LOSSLESS = frozenset({NONE, LZW, DEFLATE, DEFLATE_OLD})
"""Compressions whose tiles have no segments: pixels from the first byte."""

Clean = Callable[[bytes], Cleaned]


def cleaner(page: Page) -> Clean:
    """Return the function that cleans the page's tiles; it raises `DamagedTileError` for bytes that are no tile of it.

    Raises
    ------
    DamagedTileError
        If the page's own tables are damaged.
    """
    width, height = page.tile_width, page.tile_height
    size = width * height * page.samples_per_pixel
    if page.compression == JPEG:
        return TileCleaner(width, height, page.tables).cleaned
    cleaners: dict[int, Clean] = {
        NONE: lambda tile: lossless.cleaned_raw(tile, size),
        LZW: lambda tile: lossless.cleaned_lzw(tile, size),
        DEFLATE: lambda tile: lossless.cleaned_deflate(tile, size),
        DEFLATE_OLD: lambda tile: lossless.cleaned_deflate(tile, size),
        JPEG_2000_YCC: lambda tile: jpeg2000.cleaned(tile, width, height),
        JPEG_2000_RGB: lambda tile: jpeg2000.cleaned(tile, width, height),
    }
    return cleaners[page.compression]


def refused_tile(compression: int) -> bytes:
    """Return bytes that every decoder refuses: they stand for a tile that is damaged, so that it is never taken for tissue."""
    if compression == JPEG:
        return jpeg.EMPTY_TILE
    return jpeg2000.EMPTY_TILE if compression in {JPEG_2000_YCC, JPEG_2000_RGB} else lossless.EMPTY_TILE


def most_bytes(page: Page) -> int:
    """Return how long an encoded tile may be: twice its pixels, and room for tables."""
    return 2 * page.tile_width * page.tile_height * page.samples_per_pixel + 2**16


def header(tile: bytes, compression: int) -> bytes:
    """Return the bytes of a tile before its compressed pixels, or nothing where it has no such bytes."""
    mark = {JPEG: b"\xff\xda", JPEG_2000_YCC: b"\xff\x93", JPEG_2000_RGB: b"\xff\x93"}.get(compression)
    return b"" if mark is None else tile[: tile.find(mark) + 2]


SAMPLED = 32
"""Tiles that are looked at to see whether a slide can be read at all."""


def require_readable(slide: TiffIndex, page: Page) -> None:
    """Raise `DataError` if the tables of a level, or all of some tiles spread over it, are damaged."""
    try:
        if page.compression == JPEG and page.tables:
            jpeg.cleaned_tables(page.tables)
    except DamagedTileError:
        raise DataError("its JPEG tables are damaged; send it again") from None
    stored = np.flatnonzero(page.byte_counts)
    chosen = stored[np.unique(np.linspace(0, len(stored) - 1, SAMPLED).astype(int))]
    clean = cleaner(page)
    damaged = 0
    with slide.path.open("rb") as file:
        for number in chosen.tolist():
            try:
                clean(_tile(file.fileno(), page, number))
            except DamagedTileError:
                damaged += 1
    if damaged == len(chosen):
        raise DataError(
            f"none of {damaged} tiles looked at holds a {page.tile_width} x {page.tile_height} px picture in the compression "
            "that the file names; send it again"
        )


def same_tiles(one: TiffIndex, other: TiffIndex) -> bool:
    """Return whether two files hold the same slide: equal encoded tiles of level 0, whatever their headers and comments."""
    a, b = one.pages[0], other.pages[0]
    shape = (a.width, a.height, a.tile_width, a.tile_height, a.compression, a.photometric, a.predictor)
    if shape != (b.width, b.height, b.tile_width, b.tile_height, b.compression, b.photometric, b.predictor):
        return False
    if _cleaned(jpeg.cleaned_tables, a.tables) != _cleaned(jpeg.cleaned_tables, b.tables):
        return False
    clean_a, clean_b = cleaner(a), cleaner(b)
    with one.path.open("rb") as file, other.path.open("rb") as second:
        return all(
            _cleaned(clean_a, _tile(file.fileno(), a, number)) == _cleaned(clean_b, _tile(second.fileno(), b, number))
            for number in range(len(a.offsets))
        )


def _tile(descriptor: int, page: Page, number: int) -> bytes:
    return os.pread(descriptor, min(int(page.byte_counts[number]), most_bytes(page) + 1), int(page.offsets[number]))


def _cleaned(clean: Clean, data: bytes) -> bytes:
    """Return the data cleaned, or as it is where it is empty or damaged."""
    try:
        return clean(data).data if data else data
    except DamagedTileError:
        return data
