"""A slide of any size in seconds: painted tissue and glass, each encoded once and pointed to from wherever it shows.

The slide is a mosaic of squares of 4096 pixels; each is glass, or one of a few painted pieces of tissue.  Every square is whole
on all three levels (1, 4 and 16), so the levels agree as a scanner's do.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from algorithms.phantom.biopsy.man import man
from algorithms.phantom.biopsy.tissue import tile
from tests.algorithms.slide.written_tiff import Image, write_tiff

SQUARE = 4096
TILE = 256
MPP = 0.25
QUALITY = 80
GRAIN = 3.0
"""Standard deviation of a camera's noise, grey levels; without it painted tissue is half the bytes of scanned tissue."""

DOWNSAMPLES = (1, 4, 16)


@cache
def tissue(seed: int, side: int, mpp: float = MPP) -> np.ndarray:
    """Return painted prostate tissue, (side, side, 3)."""
    rng = np.random.default_rng(seed)
    one = man(rng)
    parts = [[tile(rng, one, size_px=side // 2, mpp=mpp)[0] for _ in range(2)] for _ in range(2)]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in parts])
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * GRAIN
    return np.asarray(np.clip(np.rint(picture + grain), 0, 255), np.uint8)


def glass(seed: int, side: int) -> np.ndarray:
    """Return an empty piece of slide with the noise of a camera."""
    noise = np.random.default_rng(seed).integers(-2, 3, (side, side, 3))
    return (243 + noise).astype(np.uint8)


def shrunk(picture: np.ndarray, factor: int) -> np.ndarray:
    """Return the means over squares of ``factor`` pixels."""
    height, width = (side // factor for side in picture.shape[:2])
    squares = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(np.floor(squares.mean(axis=(1, 3)) + 0.5), np.uint8)


def encoded(picture: np.ndarray, streamtype: int = 2) -> bytes:
    """Return a JPEG stream without its tables (2) or its tables (1): 4:2:0, the tables of the quality, nothing optimised."""
    out = io.BytesIO()
    Picture.fromarray(picture).save(out, "JPEG", quality=QUALITY, subsampling="4:2:0", streamtype=streamtype)
    return out.getvalue()


def write_large_slide(path: Path, squares: int, with_tissue: int, seed: int, kinds: int = 2) -> int:
    """Write a slide of ``squares`` x ``squares`` squares, ``with_tissue`` of them tissue; return its side in pixels.

    ``kinds`` different pieces of tissue take turns; slides of two seeds differ in their glass.
    """
    pieces = [glass(seed, SQUARE), *(tissue(1 + kind, SQUARE) for kind in range(kinds))]
    # Tissue in every other row of squares, as cores lie, with glass at both ends.
    places = [row * squares + column for row in range(1, squares, 2) for column in range(1, squares - 1)][:with_tissue]
    kind_of = np.zeros(squares * squares, int)
    kind_of[places] = 1 + np.arange(len(places)) % kinds
    pages = []
    for downsample in DOWNSAMPLES:
        across = SQUARE // downsample // TILE
        coded = [
            [encoded(np.ascontiguousarray(part)) for part in _tiles(shrunk(piece, downsample))] for piece in pieces
        ]  # fmt: skip
        pages.append(_page(coded, kind_of, squares, across, squares * SQUARE // downsample))
    head = f"Aperio Image Library v12.0.0\r\n{squares * SQUARE}x{squares * SQUARE} (256x256) JPEG/RGB Q=80"
    pages[0].fields[270] = (2, f"{head}|AppMag = 40|MPP = {MPP}")
    write_tiff(path, pages, big=True)
    return squares * SQUARE


def _tiles(picture: np.ndarray) -> list[np.ndarray]:
    rows, columns = (side // TILE for side in picture.shape[:2])
    return [picture[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE] for r in range(rows) for c in range(columns)]


def _page(coded: list[list[bytes]], kind_of: np.ndarray, squares: int, across: int, side: int) -> Image:
    """Return a level whose tiles point to the first place at which the same bytes stand."""
    segments: list[bytes] = []
    shared: dict[int, int] = {}
    first: dict[tuple[int, int], int] = {}
    for number in range((squares * across) ** 2):
        row, column = divmod(number, squares * across)
        kind = int(kind_of[row // across * squares + column // across])
        within = row % across * across + column % across
        segments.append(coded[kind][within])
        if (kind, within) in first:
            shared[number] = first[kind, within]
        else:
            first[kind, within] = number
    fields: dict[int, tuple[int, object]] = {
        254: (4, [int(across * TILE < SQUARE)]), 256: (4, [side]), 257: (4, [side]), 258: (3, [8, 8, 8]), 259: (3, [7]),
        262: (3, [6]), 277: (3, [3]), 284: (3, [1]), 322: (4, [TILE]), 323: (4, [TILE]), 530: (3, [2, 2]),
        347: (7, encoded(np.zeros((TILE, TILE, 3), np.uint8), 1)),
    }  # fmt: skip
    return Image(fields, segments, shared=shared)
