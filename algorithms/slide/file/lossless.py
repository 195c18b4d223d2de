"""Tiles that are stored raw, with deflate or with LZW: where the pixels end, so that nothing behind them is copied.

References
----------
TIFF 6.0, section 13, for LZW; RFC 1950 for deflate.
"""

from __future__ import annotations

import zlib

import numpy as np
from numba import njit

from algorithms.slide.file.jpeg import Cleaned, DamagedTileError

EMPTY_TILE = b"\0"
"""Too short to be a raw tile, and no beginning of a deflate or LZW stream: every decoder refuses it."""

CLEAR, END = 256, 257
"""Codes of an LZW stream (TIFF 6.0, page 60)."""


def cleaned_raw(tile: bytes, size: int) -> Cleaned:
    """Return the ``size`` bytes of an uncompressed tile."""
    if len(tile) < size:
        raise DamagedTileError
    return Cleaned(tile[:size], [tile[size:]] if len(tile) > size else [])


def cleaned_deflate(tile: bytes, size: int) -> Cleaned:
    """Return a zlib stream that holds exactly ``size`` bytes, without what follows it."""
    stream = zlib.decompressobj()
    try:
        if len(stream.decompress(tile, size + 1)) != size:
            raise DamagedTileError
        # The checksum is read only when more is asked for than there is.
        if stream.decompress(stream.unconsumed_tail, 1) or not stream.eof:
            raise DamagedTileError
    except zlib.error:
        raise DamagedTileError from None
    rest = stream.unused_data
    return Cleaned(tile[: len(tile) - len(rest)], [rest] if rest else [])


def cleaned_lzw(tile: bytes, size: int) -> Cleaned:
    """Return an LZW stream that holds at least ``size`` bytes, without what follows its end."""
    stop = _lzw_stop(np.frombuffer(tile, dtype=np.uint8), size)
    if stop < 0:
        raise DamagedTileError
    return Cleaned(tile[:stop], [tile[stop:]] if stop < len(tile) else [])


@njit(cache=True)
def _lzw_stop(data: np.ndarray, size: int) -> int:
    """Return where the stream of ``size`` bytes stops in ``data``, uint8, or -1: codes are followed by their lengths alone."""
    lengths = np.ones(4097, dtype=np.int64)
    bits = len(data) * 8
    at, width, free, previous, written = 0, 9, 258, 0, 0
    while at + width <= bits:
        code = 0
        for bit in range(at, at + width):
            code = code << 1 | (data[bit >> 3] >> (7 - (bit & 7))) & 1
        at += width
        if code == 257:
            return -1 if written < size else (at + 7) // 8
        if written >= size:
            # A stream may end with its last pixel and no end code; the code just read belongs to nothing.
            return (at - width + 7) // 8
        if code == 256:
            width, free, previous = 9, 258, 0
            continue
        if previous == 0:
            if code > 255:
                return -1
            length = 1
        else:
            if code > free or free > 4095:
                return -1
            lengths[free] = previous + 1
            length = lengths[code]
            free += 1
            # Codes grow one entry early (TIFF 6.0, page 61).
            if free + 1 >= 1 << width and width < 12:
                width += 1
        written += length
        previous = length
    return -1 if written < size else (at + 7) // 8
