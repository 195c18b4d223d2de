"""Tubeness of voxels: how much brighter a voxel is than what lies on both sides of it, in two directions at once.

The Hessian of the Gaussian-smoothed volume is taken at candidate voxels only; a full field of it costs eight times the
memory of the volume.  Arrays are (Z, Y, X) on a grid of equal spacing in mm; directions are (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

SCALES_MM = (0.6, 0.9, 1.3, 1.8, 2.4)
"""Standard deviations of the Gaussians, mm: a tube of radius r answers best at 0.7 r, and arteries have 0.6 to 3 mm."""

IDEAL_ANSWER = 0.34
"""Answer of a long disc-shaped tube at its best scale, per HU of its contrast (1); test_vesselness.py measures it."""


@dataclass(frozen=True, eq=False)
class Tubeness:
    """For N voxels: ``contrast_hu`` of the ideal tube that would answer as strongly, its ``scale_mm`` and ``axis`` (N, 3)."""

    contrast_hu: np.ndarray
    scale_mm: np.ndarray
    axis: np.ndarray


@numba.njit(cache=True, parallel=True)
def _transverse_curvature(smooth: np.ndarray, index: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return minus the middle eigenvalue of the Hessian, HU per voxel squared (N,); fill ``axis`` with the first eigenvector.

    The middle eigenvalue is the curvature across the tube in its less curved direction: it vanishes on sheets and edges.
    """
    answer = np.zeros(len(index), np.float32)
    nz, ny, nx = smooth.shape
    for i in numba.prange(len(index)):
        z, y, x = index[i, 0], index[i, 1], index[i, 2]
        if z < 1 or y < 1 or x < 1 or z > nz - 2 or y > ny - 2 or x > nx - 2:
            continue
        c2 = 2 * smooth[z, y, x]
        hzz = smooth[z + 1, y, x] + smooth[z - 1, y, x] - c2
        hyy = smooth[z, y + 1, x] + smooth[z, y - 1, x] - c2
        hxx = smooth[z, y, x + 1] + smooth[z, y, x - 1] - c2
        if hzz + hyy + hxx >= 0:
            continue
        hzy = (smooth[z + 1, y + 1, x] + smooth[z - 1, y - 1, x] - smooth[z + 1, y - 1, x] - smooth[z - 1, y + 1, x]) / 4
        hzx = (smooth[z + 1, y, x + 1] + smooth[z - 1, y, x - 1] - smooth[z + 1, y, x - 1] - smooth[z - 1, y, x + 1]) / 4
        hyx = (smooth[z, y + 1, x + 1] + smooth[z, y - 1, x - 1] - smooth[z, y + 1, x - 1] - smooth[z, y - 1, x + 1]) / 4
        # closed form for symmetric 3 x 3: Smith, Comm ACM 4:168 (1961)
        q = (hzz + hyy + hxx) / 3
        p2 = (hzz - q) ** 2 + (hyy - q) ** 2 + (hxx - q) ** 2 + 2 * (hzy**2 + hzx**2 + hyx**2)
        p = np.sqrt(p2 / 6)
        if p <= 0:
            continue
        a, b, c = (hzz - q) / p, (hyy - q) / p, (hxx - q) / p
        d, e, f = hzy / p, hzx / p, hyx / p
        r = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2
        phi = np.arccos(min(1.0, max(-1.0, r))) / 3
        high = q + 2 * p * np.cos(phi)
        low = q + 2 * p * np.cos(phi + 2 * np.pi / 3)
        middle = 3 * q - high - low
        if middle >= 0:
            continue
        answer[i] = -middle
        # the eigenvector of the highest eigenvalue: the longest cross product of two rows of H - high
        r0z, r0y, r0x = hzz - high, hzy, hzx
        r1z, r1y, r1x = hzy, hyy - high, hyx
        r2z, r2y, r2x = hzx, hyx, hxx - high
        best = 0.0
        for k in range(3):
            if k == 0:
                uz, uy, ux, vz, vy, vx = r0z, r0y, r0x, r1z, r1y, r1x
            elif k == 1:
                uz, uy, ux, vz, vy, vx = r0z, r0y, r0x, r2z, r2y, r2x
            else:
                uz, uy, ux, vz, vy, vx = r1z, r1y, r1x, r2z, r2y, r2x
            wz, wy, wx = uy * vx - ux * vy, ux * vz - uz * vx, uz * vy - uy * vz
            size = np.sqrt(wz * wz + wy * wy + wx * wx)
            if size > best:
                best = size
                axis[i, 0], axis[i, 1], axis[i, 2] = wz / size, wy / size, wx / size
    return answer


def tubeness(hu: np.ndarray, spacing_mm: float, index: np.ndarray, scales_mm: tuple[float, ...] = SCALES_MM) -> Tubeness:
    """Return the tubeness of the voxels ``index`` (N, 3) of ``hu`` (Z, Y, X) float32.

    References
    ----------
    Sato et al., *Three-dimensional multi-scale line filter*, Med Image Anal 2:143 (1998): the scale-normalised second
    eigenvalue as the line measure.
    """
    best = np.zeros(len(index), np.float32)
    scale = np.full(len(index), scales_mm[0], np.float32)
    axis = np.zeros((len(index), 3), np.float32)
    for sigma in scales_mm:
        smooth = ndimage.gaussian_filter(hu, sigma / spacing_mm, truncate=3.0)
        here = np.zeros((len(index), 3), np.float32)
        answer = _transverse_curvature(smooth, index, here) * (sigma / spacing_mm) ** 2 / IDEAL_ANSWER
        better = answer > best
        best[better], scale[better], axis[better] = answer[better], sigma, here[better]
    return Tubeness(best, scale, axis)
