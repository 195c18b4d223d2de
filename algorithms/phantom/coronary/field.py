"""Smooth fields laid over a phantom's voxels: unevenness of tissues, roughness of walls, shadows.

A field is sampled on a coarse grid that is fixed in space, so that every size and every part of a scan shows the same one.
Arrays are (Z, Y, X); points are (..., 3) LPS mm; intensities are Hounsfield units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from algorithms.phantom.coronary.paint import Canvas

TILE = 64
"""Samples along each edge of a texture, which repeats itself beyond: 64 to 320 mm, more than any one tissue shows at once."""


@dataclass(frozen=True, eq=False)
class Field:
    """Values (Z, Y, X) float32 every ``step_mm`` (z, y, x) from ``origin_mm`` (x, y, z); ``endless`` ones repeat."""

    values: np.ndarray
    step_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    endless: bool


def texture(rng: np.random.Generator, step_mm: float, grain_mm: float, skew: float = 0.0) -> Field:
    """Return an endless field of mean 0 and deviation 1 whose grain has the deviation ``grain_mm`` of a Gaussian.

    A positive ``skew`` makes the high values rare and peaked (vessels in a lung) and the low ones common.
    """
    from scipy.ndimage import gaussian_filter

    white = rng.standard_normal((TILE,) * 3, dtype=np.float32)
    values = gaussian_filter(white, grain_mm / step_mm, mode="wrap")
    values = (values - values.mean()) / values.std()
    if skew:
        values = np.exp(np.float32(skew) * values)
        values = (values - values.mean()) / values.std()
    return Field(values.astype(np.float32), (step_mm,) * 3, (0.0, 0.0, 0.0), True)


def add_field(
    canvas: Canvas, field: Field, amplitude: dict[int, float], window_hu: tuple[float, float] = (-2000.0, 4000.0)
) -> None:
    """Add ``field`` to the canvas, times the amplitude of each voxel's label, where a voxel lies within ``window_hu``."""
    factor = np.zeros(256, dtype=np.float32)
    for label, value in amplitude.items():
        factor[label] = value
    first = np.array(canvas.grid.origin_mm[::-1]) - np.array(field.origin_mm[::-1])
    frame = np.stack([first, canvas.grid.spacing_mm]) / np.array(field.step_mm)
    _add(canvas.hu, canvas.labels, (field.values, field.endless), frame, (factor, *window_hu))


@numba.njit(cache=True, nogil=True)
def _place(at: float, count: int, endless: bool) -> tuple[int, int, float]:
    """Return the samples on both sides of ``at`` and the share of the second."""
    low = int(np.floor(at))
    share = at - low
    if endless:
        return low % count, (low + 1) % count, share
    return min(max(low, 0), count - 1), min(max(low + 1, 0), count - 1), share


@numba.njit(cache=True, nogil=True)
def _add(
    hu: np.ndarray,
    labels: np.ndarray,
    field: tuple[np.ndarray, bool],
    frame: np.ndarray,
    rule: tuple[np.ndarray, float, float],
) -> None:
    """Add ``field`` (values, endless) sampled along ``frame`` (2, 3: start and pace) by ``rule`` (factors, low, high)."""
    values, endless = field
    factor, low_hu, high_hu = rule
    start, pace = frame[0], frame[1]
    for z in range(hu.shape[0]):
        z0, z1, sz = _place(start[0] + pace[0] * z, values.shape[0], endless)
        for y in range(hu.shape[1]):
            y0, y1, sy = _place(start[1] + pace[1] * y, values.shape[1], endless)
            for x in range(hu.shape[2]):
                weight = factor[labels[z, y, x]]
                if weight == 0 or hu[z, y, x] < low_hu or hu[z, y, x] > high_hu:
                    continue
                x0, x1, sx = _place(start[2] + pace[2] * x, values.shape[2], endless)
                near = (values[z0, y0, x0] * (1 - sx) + values[z0, y0, x1] * sx) * (1 - sy)
                near += (values[z0, y1, x0] * (1 - sx) + values[z0, y1, x1] * sx) * sy
                far = (values[z1, y0, x0] * (1 - sx) + values[z1, y0, x1] * sx) * (1 - sy)
                far += (values[z1, y1, x0] * (1 - sx) + values[z1, y1, x1] * sx) * sy
                hu[z, y, x] += weight * (near * (1 - sz) + far * sz)


@dataclass(frozen=True, eq=False)
class Ridges:
    """Ridges in a wall: a sum of plane waves, (N, 3) radians per mm, with their phases (N,)."""

    waves: np.ndarray
    phases: np.ndarray

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return how far ridges stand out at ``points`` (..., 3), in units of their deviation: >= 0."""
        total = np.zeros(points.shape[:-1], dtype=np.float32)
        for wave, phase in zip(self.waves.astype(np.float32), self.phases.astype(np.float32), strict=True):
            total += np.cos(points.astype(np.float32) @ wave + phase)
        raised: np.ndarray = np.maximum(total / np.sqrt(np.float32(len(self.phases)) / 2) - np.float32(0.2), 0)
        return raised


def draw_ridges(rng: np.random.Generator, along: np.ndarray, width_mm: tuple[float, float]) -> Ridges:
    """Return ridges 6 times as long, along the unit vector ``along`` (3,), as wide: ``width_mm`` from crest to crest."""
    count = 24
    across = rng.normal(0, 1, (count, 3))
    across -= (across @ along)[:, None] * along
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    number = 2 * np.pi / rng.uniform(*width_mm, count)
    waves = number[:, None] * (across + rng.normal(0, 1 / 6, count)[:, None] * along)
    return Ridges(waves, rng.uniform(0, 2 * np.pi, count))
