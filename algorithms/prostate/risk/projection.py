"""Features on few, decorrelated axes, and how far a tile's features lie from those of the training tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Projection:
    """Principal components of the training tiles' features, each scaled to a variance of 1.

    ``mean`` is (D,), ``axes`` (D, K) orthonormal, ``deviation`` (K,); ``rest`` is the mean square of what the axes leave.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviation: np.ndarray
    rest: float

    def __call__(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (T, K) float32 coordinates and (T,) distances of (T, D) features.

        The distance is Mahalanobis' under a normal law with one variance for all that the axes leave (probabilistic
        principal components), divided by the square root of D, so that it is about 1 for a usual tile.

        References
        ----------
        Tipping and Bishop, *Probabilistic principal component analysis*, J R Stat Soc B 61:611 (1999); Lee et al., NeurIPS
        2018, arXiv:1807.03888, for Mahalanobis' distance of features as a sign of unfamiliar input.
        """
        centred = np.asarray(features, np.float32) - self.mean
        along = centred @ self.axes
        left = np.maximum((centred * centred).sum(axis=1) - (along * along).sum(axis=1), 0.0)
        coordinates = along / self.deviation
        left_axes = max(1, self.axes.shape[0] - self.axes.shape[1])
        squared = (coordinates * coordinates).sum(axis=1) + left_axes * left / self.rest
        return coordinates.astype(np.float32), np.sqrt(squared / self.axes.shape[0])


def projection_of(features: np.ndarray, axes: int) -> Projection:
    """Return the first ``axes`` principal components (fewer where there are no more) of (T, D) features."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    variances, vectors = np.linalg.eigh(np.cov(features - mean, rowvar=False))
    count = min(axes, int((variances > 1e-9 * variances[-1]).sum()))
    kept = vectors[:, ::-1][:, :count]
    # An eigenvector's sign is the library's choice; this one is ours, so that another machine finds the same.
    kept = kept * np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(count)])
    rest = float(max(variances[:-count].sum(), 1e-9 * variances[-1])) if count < len(variances) else 1.0
    deviation = np.sqrt(variances[::-1][:count])
    return Projection(mean.astype(np.float32), kept.astype(np.float32), deviation.astype(np.float32), rest)
