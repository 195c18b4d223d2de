"""Tiles of synthetic men as JPEG, and their features: rendered and encoded once, kept in a folder that may be deleted.

A man's tiles depend on the cohort's seed and his number only, so a smaller cohort is the beginning of a larger one.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg

from algorithms.phantom.biopsy.man import Man
from algorithms.phantom.biopsy.tissue import tile
from algorithms.slide.encoder.encoder import Encoder

log = logging.getLogger(__name__)

BLOCK = 50
"""Men whose tiles lie in one file."""

TILES = 24
"""Tiles of a man: a sample of his tissue; a whole case has hundreds."""

JPEG_QUALITY = 80
"""As scanners compress; features of a case are made of decoded JPEG too (own choice)."""

PROGRESS_S = 10.0
"""Least time between two lines of progress."""


class Pictures:
    """The tiles of men, kept below ``folder``; called with a seed and men it returns their features."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = folder
        self.encoder = encoder

    def __call__(self, seed: int, men: Sequence[Man]) -> np.ndarray:
        """Return the features, (N, TILES, D) float16, of the tiles of all men of a cohort."""
        found = []
        said = time.monotonic()
        for start in range(0, len(men), BLOCK):
            found.append(self._features(seed, start, men[start : start + BLOCK]))
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                log.info("cohort %d: encoded %d of %d men", seed, min(start + BLOCK, len(men)), len(men))
        return np.concatenate(found)

    def _features(self, seed: int, start: int, men: Sequence[Man]) -> np.ndarray:
        path = self.folder / f"features-{self.encoder.weights_sha256[:16]}" / f"{seed}-{start:05d}-{len(men)}.npy"
        if path.exists():
            features: np.ndarray = np.load(path, allow_pickle=False)
            return features
        pictures = decoded(rendered(self.folder, seed, start, men))
        features = self.encoder.embed(pictures).astype(np.float16).reshape(len(men), TILES, -1)
        _keep(path, features)
        return features


def rendered(folder: Path, seed: int, start: int, men: Sequence[Man]) -> list[bytes]:
    """Return the JPEGs of the tiles of ``men``, who are numbered from ``start`` in the cohort of ``seed``."""
    path = folder / "tiles" / f"{seed}-{start:05d}-{len(men)}.npy"
    if not path.exists():
        files = [jpeg for number, one in enumerate(men, start) for jpeg in _tiles(seed, number, one)]
        ends = np.cumsum([len(jpeg) for jpeg in files]).astype("<u4")
        _keep(path, np.concatenate([ends.view(np.uint8), np.frombuffer(b"".join(files), np.uint8)]))
    kept = np.load(path, allow_pickle=False)
    head = 4 * TILES * len(men)
    ends = kept[:head].view("<u4").tolist()
    return [kept[head + a : head + b].tobytes() for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _tiles(seed: int, number: int, one: Man) -> list[bytes]:
    rng = np.random.default_rng([seed, number, 2])
    pictures = [np.ascontiguousarray(tile(rng, one)[0]) for _ in range(TILES)]
    return [simplejpeg.encode_jpeg(picture, quality=JPEG_QUALITY, colorsubsampling="420") for picture in pictures]


def decoded(files: Sequence[bytes]) -> np.ndarray:
    """Return the pictures, (N, Y, X, 3) uint8 RGB."""
    return np.stack([simplejpeg.decode_jpeg(file) for file in files])


def _keep(path: Path, array: np.ndarray) -> None:
    """Write an array by one rename, so that a killed run leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    with draft.open("wb") as file:
        np.save(file, array)
    os.replace(draft, path)  # noqa: PTH105
