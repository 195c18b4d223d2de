"""Features as an encoder might give them, without pixels: a direction for each thing that tissue shows, and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from algorithms.phantom.biopsy.man import PATTERNS, Man

DIMENSION = 48

_axes = np.linalg.qr(np.random.default_rng(20).standard_normal((DIMENSION, DIMENSION)))[0]


TILES = 16


def embed(seed: int, men: Sequence[Man]) -> np.ndarray:
    """Return the features of men as `pictures.Pictures` does."""
    return np.stack([of_man(one, np.random.default_rng([seed, number, 2])) for number, one in enumerate(men)])


def of_man(one: Man, rng: np.random.Generator, tiles: int = TILES) -> np.ndarray:
    """Return (tiles, D): the pattern, the nuclei where there is cancer, lymphocytes in the stroma, the stain everywhere."""
    share = np.array([one.patterns[name] for name in PATTERNS])
    pattern = rng.choice(len(PATTERNS), size=tiles, p=share / share.sum())
    features = 3.0 * _axes[pattern]
    cancer = pattern >= 2
    features += np.outer(cancer * 4.0 * (one.pleomorphism - 0.5), _axes[5])
    features += np.outer(np.where(cancer, 0.3, 1.0) * 4.0 * (one.lymphocytes - 0.5), _axes[6])
    features += 6.0 * (one.stain.haematoxylin - 1) * _axes[7] + 6.0 * (one.stain.eosin - 1) * _axes[8]
    return features + 0.6 * rng.standard_normal((tiles, DIMENSION))
