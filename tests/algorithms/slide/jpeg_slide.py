"""Slides of JPEG tiles in every spelling that scanners use: tables apart or inside, RGB or luma and chroma, restart markers."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from scipy import ndimage

from tests.algorithms.slide.written_tiff import Image, write_tiff

MPP = 0.25


@dataclass(frozen=True)
class Spelling:
    """How tiles are encoded; ``chroma`` is 4:4:4, 4:2:2 or 4:2:0, and ``rgb`` stores red, green and blue as they are."""

    chroma: str = "4:2:0"
    rgb: bool = False
    tables_apart: bool = True
    restart_every: int = 0
    quality: int = 80
    more: dict[str, object] = field(default_factory=dict)

    def encoded(self, tile: np.ndarray, streamtype: int) -> bytes:
        """Return a JPEG stream (T.81 B.4, B.5) of ``tile``: all of it (0), its tables (1) or all but its tables (2)."""
        out = io.BytesIO()
        Picture.fromarray(tile).save(
            out, "JPEG", quality=self.quality, subsampling=self.chroma, keep_rgb=self.rgb, streamtype=streamtype,
            restart_marker_blocks=self.restart_every, **self.more,
        )  # fmt: skip
        return out.getvalue()


def tissue(height: int, width: int, seed: int = 5) -> np.ndarray:
    """Return a picture with colour and detail at every scale, (height, width, 3), so that no two places look the same."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for sigma, amplitude in ((1, 20), (4, 35), (12, 45)):
        noise = ndimage.gaussian_filter(rng.standard_normal((height, width, 3)), (sigma, sigma, 0), mode="wrap")
        picture += amplitude * noise / noise.std()
    return np.clip(np.array([190, 130, 175]) + picture, 0, 255).astype(np.uint8)


Damage = Callable[[int, list[bytes]], None]
"""Changes the encoded tiles of a level in place; gets the level's number."""


def write_jpeg_slide(
    path: Path,
    levels: Sequence[np.ndarray],
    spelling: Spelling = Spelling(),
    tile: int = 256,
    damage: Damage | None = None,
) -> Path:
    """Write a pyramid whose levels show ``levels``, finest first."""
    pages = []
    for number, picture in enumerate(levels):
        height, width = picture.shape[:2]
        padded = np.pad(picture, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
        blocks = [padded[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
        tiles = [spelling.encoded(np.ascontiguousarray(block), 2 if spelling.tables_apart else 0) for block in blocks]
        if damage is not None:
            damage(number, tiles)
        down, across = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}[spelling.chroma]
        fields: dict[int, tuple[int, object]] = {
            254: (4, [int(number > 0)]), 256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [7]),
            262: (3, [2 if spelling.rgb else 6]), 277: (3, [3]), 284: (3, [1]), 322: (4, [tile]), 323: (4, [tile]),
        }  # fmt: skip
        if not spelling.rgb:
            fields[530] = (3, [across, down])
        if spelling.tables_apart:
            fields[347] = (7, spelling.encoded(np.ascontiguousarray(blocks[0]), 1))
        pages.append(Image(fields, tiles))
    return write_tiff(path, pages)


def pyramid(picture: np.ndarray, downsamples: Sequence[int] = (1, 4, 16)) -> list[np.ndarray]:
    """Return the picture and its means over blocks."""
    levels = []
    for down in downsamples:
        height, width = (side // down for side in picture.shape[:2])
        blocks = picture[: height * down, : width * down].reshape(height, down, width, down, 3)
        levels.append(np.round(blocks.mean(axis=(1, 3))).astype(np.uint8))
    return levels
