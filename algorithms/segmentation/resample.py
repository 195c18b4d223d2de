"""A volume at another spacing.  Training and use share this, so that a network sees what it has learnt from.

Arrays are (Z, Y, X); spacing is mm in that order.  The edges of the first voxel keep their place, so its centre moves.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import sparse


def resampled(values: np.ndarray, spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> np.ndarray:
    """Return ``values`` (Z, Y, X) with voxels of ``wanted_mm``, float32.

    A wider voxel is the mean of what it covers, by volume, so that shares of a tissue stay shares; between finer ones values
    are interpolated linearly.  Axes that get coarser are done first: the rest is then less.
    """
    if tuple(spacing_mm) == tuple(wanted_mm):
        return values.astype(np.float32)
    out = values
    for axis in sorted(range(3), key=lambda a: spacing_mm[a] / wanted_mm[a]):
        matrix = _matrix(values.shape[axis], spacing_mm[axis], wanted_mm[axis])
        moved = np.moveaxis(out, axis, 0)
        flat = moved.reshape(len(moved), -1).astype(np.float32)
        out = np.moveaxis((matrix @ flat).reshape(matrix.shape[0], *moved.shape[1:]), 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def origin_mm(origin: Sequence[float], spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> tuple[float, float, float]:
    """Return the centre of the first voxel, LPS (x, y, z) mm, after `resampled`; ``origin`` is its centre before."""
    x, y, z = (float(o) + (w - s) / 2 for o, s, w in zip(origin, reversed(spacing_mm), reversed(wanted_mm), strict=True))
    return x, y, z


def _matrix(count: int, spacing: float, wanted: float) -> sparse.csr_array:
    """Return what turns ``count`` values into those of the other spacing, (wanted count, count)."""
    made = max(1, round(count * spacing / wanted))
    if wanted >= spacing:
        edges = np.clip(np.arange(made + 1) * wanted / spacing, 0, count)
        edges[-1] = min(edges[-1], count)
        rows, columns, shares = [], [], []
        for row, (low, high) in enumerate(itertools.pairwise(edges)):
            covered = np.arange(int(low), min(count, int(np.ceil(high - 1e-9))))
            parts = np.minimum(covered + 1, high) - np.maximum(covered, low)
            rows += [row] * len(covered)
            columns += covered.tolist()
            shares += (parts / parts.sum()).tolist()
        return sparse.csr_array((np.array(shares, np.float32), (rows, columns)), shape=(made, count))
    at = np.clip((np.arange(made) + 0.5) * wanted / spacing - 0.5, 0, count - 1)
    left = np.minimum(at.astype(int), max(count - 2, 0))
    part = (at - left).astype(np.float32)
    rows = np.repeat(np.arange(made), 2).tolist()
    columns = np.stack([left, np.minimum(left + 1, count - 1)], axis=1).ravel().tolist()
    return sparse.csr_array((np.stack([1 - part, part], axis=1).ravel(), (rows, columns)), shape=(made, count))
