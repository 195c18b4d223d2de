"""Reproducible randomness of a place: a hash of integer coordinates, and a periodic texture sampled anywhere.

A tissue is a function of position, so that any window of it can be painted alone and neighbouring windows fit without a seam.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter

TEXTURE_PX = 512
"""Edge of the texture; a power of two."""


@cache
def texture() -> np.ndarray:
    """Return smooth periodic noise of zero mean and unit variance, correlated over about two pixels."""
    white = np.random.default_rng(20240229).standard_normal((TEXTURE_PX, TEXTURE_PX))
    smooth = gaussian_filter(white, 1.0, mode="wrap")
    return np.ascontiguousarray(smooth / smooth.std(), dtype=np.float32)


@njit(cache=True)
def chance(i: int, j: int, salt: int, seed: int) -> float:
    """Return a number in [0, 1) that hangs on the four integers only (a 32-bit finalizer over their mixed bits)."""
    h = np.uint32((i * 0x9E3779B1) ^ (j * 0x85EBCA77) ^ (salt * 0xC2B2AE3D) ^ (seed * 0x27D4EB2F) & 0xFFFFFFFF)
    h ^= h >> np.uint32(15)
    h = np.uint32(h * np.uint32(0x2C1B3C6D))
    h ^= h >> np.uint32(12)
    h = np.uint32(h * np.uint32(0x297A2D39))
    h ^= h >> np.uint32(15)
    return h / 4294967296.0


@njit(cache=True)
def sample(t: np.ndarray, u: float, v: float) -> float:
    """Return the texture at (u, v) in its pixels, by bilinear interpolation, wrapped."""
    fu, fv = np.floor(u), np.floor(v)
    a, b = u - fu, v - fv
    i0, j0 = int(fu) & (TEXTURE_PX - 1), int(fv) & (TEXTURE_PX - 1)
    i1, j1 = (i0 + 1) & (TEXTURE_PX - 1), (j0 + 1) & (TEXTURE_PX - 1)
    top = t[j0, i0] * (1 - a) + t[j0, i1] * a
    bottom = t[j1, i0] * (1 - a) + t[j1, i1] * a
    return float(top * (1 - b) + bottom * b)


@njit(cache=True)
def bilinear(a: np.ndarray, x: float, y: float) -> float:
    """Return an array's value at (x, y) in its pixels, clamped at the borders."""
    h, w = a.shape
    x = min(max(x, 0.0), w - 1.001)
    y = min(max(y, 0.0), h - 1.001)
    i, j = int(x), int(y)
    p, q = x - i, y - j
    return float((a[j, i] * (1 - p) + a[j, i + 1] * p) * (1 - q) + (a[j + 1, i] * (1 - p) + a[j + 1, i + 1] * p) * q)
