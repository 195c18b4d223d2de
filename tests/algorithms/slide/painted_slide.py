"""Slides painted for tests: stained texture of nuclei and stroma in any shape, pen strokes, folds, blur; tiled JPEG pyramids.

Pictures are (Y, X, 3) uint8 RGB at ``MPP`` micrometres a pixel; shapes are (Y, X) bool.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from scipy import ndimage

from tests.algorithms.slide.written_tiff import Image, write_tiff

MPP = 0.5
TILE = 256
GLASS = np.array([242, 241, 243], dtype=np.uint8)
STROMA = np.array([222, 160, 196], dtype=float)
NUCLEUS = np.array([98, 66, 140], dtype=float)
PENS = {"blue": (30, 60, 165), "green": (20, 120, 60), "black": (28, 28, 32), "red": (205, 25, 35)}


@functools.cache
def texture(side: int = 256, nuclei: int = 95, mpp: float = MPP) -> np.ndarray:
    """Return a square of stained tissue that repeats without a seam: fibres, and nuclei of 6 um with sharp rims."""
    rng = np.random.default_rng(7)
    fibres = ndimage.gaussian_filter(rng.standard_normal((side, side)), (1.2, 6), mode="wrap")
    fibres += 2 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 5, mode="wrap")
    fibres += 0.6 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 0.7, mode="wrap")
    away = np.full((side, side), np.inf)
    reach = np.arange(side)
    for row, column in rng.uniform(0, side, (nuclei, 2)):
        down, across = (np.abs((reach - at + side / 2) % side - side / 2) for at in (row, column))
        np.minimum(away, np.hypot(down[:, None], across[None, :]), out=away)
    nucleus = ndimage.gaussian_filter((away < 3 / mpp).astype(float), 0.6, mode="wrap")[..., None]
    picture = (STROMA + 60 * fibres[..., None]) * (1 - nucleus) + (NUCLEUS + 60 * fibres[..., None]) * nucleus
    return np.clip(picture, 0, 255).astype(np.uint8)


def glass(height: int, width: int, colour: Sequence[int] = tuple(GLASS)) -> np.ndarray:
    """Return an empty slide with the noise of a camera."""
    noise = np.random.default_rng(3).integers(-2, 3, (256, 256, 3), dtype=np.int16)
    tiled = np.tile(noise, (-(-height // 256), -(-width // 256), 1))[:height, :width]
    return np.clip(tiled + np.asarray(colour, dtype=np.int16), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Canvas:
    """Shapes on a slide of (rows, columns) pixels of 0.5 um, drawn with every ``step``-th pixel: a quick, coarser picture."""

    rows: int
    columns: int
    step: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Return the rows and columns that are drawn."""
        return self.rows // self.step, self.columns // self.step

    def glass(self, colour: Sequence[int] = tuple(GLASS)) -> np.ndarray:
        """Return an empty slide."""
        return glass(*self.shape, colour)

    def disc(self, centre: tuple[float, float], radius: float) -> np.ndarray:
        """Return a disc around (row, column)."""
        return disc(self.shape, (centre[0] / self.step, centre[1] / self.step), radius / self.step)

    def stroke(self, begin: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
        """Return a straight stroke with square ends between two points (row, column)."""
        first, last = ((at[0] / self.step, at[1] / self.step) for at in (begin, end))
        return stroke(self.shape, first, last, width / self.step)

    def stain(self, picture: np.ndarray, shape: np.ndarray, layers: int = 1) -> None:
        """Paint tissue into ``shape``."""
        stain(picture, shape, layers, self.step)

    def overview(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture at 8 um a pixel."""
        return shrunk(picture, 16 // self.step)

    def part(self, shape: np.ndarray) -> np.ndarray:
        """Return how much of each pixel of 8 um a shape covers."""
        rows, columns = self.shape
        block = 16 // self.step
        return shape.reshape(rows // block, block, columns // block, block).mean(axis=(1, 3))


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Return a disc around (row, column); all in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows + 0.5 - centre[0]) ** 2 + (columns + 0.5 - centre[1]) ** 2 <= radius**2)


def stroke(shape: tuple[int, int], begin: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """Return a straight stroke with square ends between two points (row, column)."""
    run = np.subtract(end, begin)
    length = float(np.hypot(*run))
    low = np.maximum(np.minimum(begin, end) - width, 0).astype(int)
    high = np.minimum(np.maximum(begin, end) + width, shape).astype(int)
    rows, columns = np.ogrid[low[0] : high[0], low[1] : high[1]]
    along = ((rows - begin[0]) * run[0] + (columns - begin[1]) * run[1]) / length
    aside = ((rows - begin[0]) * run[1] - (columns - begin[1]) * run[0]) / length
    drawn = np.zeros(shape, dtype=bool)
    drawn[low[0] : high[0], low[1] : high[1]] = (along >= 0) & (along <= length) & (np.abs(aside) <= width / 2)
    return drawn


def box(shape: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns between which a shape lies."""
    rows, columns = (np.flatnonzero(shape.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def stain(picture: np.ndarray, shape: np.ndarray, layers: int = 1, step: int = 1) -> None:
    """Paint tissue into ``shape``; two layers are a fold, through which light passes twice."""
    part, inside = picture[box(shape)], shape[box(shape)]
    one = shrunk(texture(), step)
    repeats = [-(-size // len(one)) for size in inside.shape]
    for layer in range(layers):
        patches = np.roll(one, (137 * layer, 71 * layer), axis=(0, 1))
        passed = np.tile(patches, (*repeats, 1))[: inside.shape[0], : inside.shape[1]].astype(np.uint16)
        np.copyto(part, np.minimum(part * passed // 245, 255).astype(np.uint8), where=inside[..., None])


def mark(picture: np.ndarray, shape: np.ndarray, pen: str, cover: float = 0.92) -> None:
    """Draw with a pen: it lets ``1 - cover`` of the light of other colours pass."""
    ink = 1 - cover * (1 - np.array(PENS[pen]) / 255)
    part, inside = picture[box(shape)], shape[box(shape)]
    np.copyto(part, (part * ink).astype(np.uint8), where=inside[..., None])


def blur(picture: np.ndarray, shape: np.ndarray, sigma_px: float) -> None:
    """Put a part of the picture out of focus."""
    part, inside = picture[box(shape)], shape[box(shape)]
    for channel in range(3):
        soft = ndimage.gaussian_filter(part[..., channel].astype(np.float32), sigma_px, truncate=3)
        np.copyto(part[..., channel], soft.round().astype(np.uint8), where=inside)


def shrunk(picture: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of whole blocks; rows and columns that fill no block are left out, as scanners do."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def write_slide(
    path: Path, picture: np.ndarray, mpp: float | None = MPP, downsamples: Sequence[int] = (1, 4, 16), quality: int = 85
) -> Path:
    """Write a pyramid of JPEG tiles; ``mpp`` stands in the resolution fields, nowhere where it is ``None``."""
    levels = [(downsample, picture if downsample == 1 else shrunk(picture, downsample)) for downsample in downsamples]
    return write_tiff(path, [_page(level, quality, None if mpp is None else mpp * d, d > 1) for d, level in levels])


def _page(picture: np.ndarray, quality: int, mpp: float | None, reduced: bool) -> Image:
    """Return one page: TIFF fields by number, as TIFF 6.0 and Technical Note 2 name them."""
    height, width = picture.shape[:2]
    fields: dict[int, tuple[int, object]] = {
        254: (4, [int(reduced)]), 256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [7]), 262: (3, [6]),
        277: (3, [3]), 284: (3, [1]), 322: (4, [TILE]), 323: (4, [TILE]), 530: (3, [1, 1]),
    }  # fmt: skip
    if mpp is not None:
        per_cm = [round(1e7 / mpp), 1000]
        fields |= {282: (5, per_cm), 283: (5, per_cm), 296: (3, [3])}
    return Image(fields, list(encoded(picture, quality)))


def encoded(picture: np.ndarray, quality: int) -> Iterator[bytes]:
    """Yield the JPEG tiles of a picture, row by row; those at the edge are filled with their last row and column."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            block = np.ascontiguousarray(padded[top : top + TILE, left : left + TILE])
            yield simplejpeg.encode_jpeg(block, quality=quality, colorsubsampling="444")
