"""The scanner of the coronary phantom: blur by the point spread, noise with a kernel's power spectrum, motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.paint import Grid

PSF_IN_PLANE_MM = 0.65
"""Full width at half maximum in the slice plane, of a medium cardiac kernel on a 0.5-0.6 mm detector."""
PSF_ACROSS_MM = 0.75
"""Full width at half maximum of the slice sensitivity profile."""
NOISE_PEAK_PER_MM = 0.32
"""Spatial frequency at which a medium cardiac kernel's noise power is greatest (Solomon et al., Med Phys 39:6048 (2012))."""
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Difficulty:
    """How well a scan went: noise standard deviation in the aorta, contrast relative to the best, motion."""

    noise_hu: float
    contrast: float
    vein_contrast: float
    motion_mm: float


DIFFICULTIES = {
    "easy": Difficulty(12.0, 1.0, 0.45, 0.0),
    "moderate": Difficulty(25.0, 0.92, 0.55, 0.0),
    "hard": Difficulty(40.0, 0.80, 0.65, 1.2),
}


def blur(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> None:
    """Blur ``hu`` (Z, Y, X) in place by the scanner's point spread."""
    from scipy.ndimage import gaussian_filter1d

    widths = (PSF_ACROSS_MM, PSF_IN_PLANE_MM, PSF_IN_PLANE_MM)
    for k in range(len(hu)):
        for axis in (0, 1):
            sigma = widths[axis + 1] / FWHM_PER_SIGMA / spacing_mm[axis + 1]
            hu[k] = gaussian_filter1d(hu[k], sigma, axis=axis, mode="nearest", truncate=4.0)
    sigma = widths[0] / FWHM_PER_SIGMA / spacing_mm[0]
    for j in range(hu.shape[1]):
        hu[:, j] = gaussian_filter1d(hu[:, j], sigma, axis=0, mode="nearest", truncate=4.0)


def add_noise(hu: np.ndarray, grid: Grid, noise_hu: float, rng: np.random.Generator) -> None:
    """Add noise to ``hu`` (Z, Y, X) in place: ramp-times-Gaussian power in the plane, neighbouring slices correlated.

    The standard deviation is ``noise_hu`` in every slice.  The spectrum is that of filtered back-projection with a
    smooth apodisation, ``f exp(-f^2 / (2 p^2))`` with its peak at ``p`` (Solomon et al.).
    """
    rows, columns = hu.shape[1:]
    fy = np.fft.fftfreq(rows, grid.spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(columns, grid.spacing_mm[2])[None, :]
    frequency = np.hypot(fy, fx)
    gain = np.sqrt(frequency * np.exp(-0.5 * (frequency / NOISE_PEAK_PER_MM) ** 2))
    full = np.sqrt(np.abs(np.fft.fftfreq(columns, grid.spacing_mm[2]))[None, :] ** 2 + fy**2)
    power = np.mean(full * np.exp(-0.5 * (full / NOISE_PEAK_PER_MM) ** 2))
    gain = (gain / np.sqrt(power)).astype(np.float32)
    sigma = PSF_ACROSS_MM / FWHM_PER_SIGMA / grid.spacing_mm[0]
    taps = np.exp(-0.5 * (np.arange(-1, 2) / max(sigma, 0.2)) ** 2)
    taps = taps / np.sqrt((taps**2).sum())
    window = [_texture(rng, gain, (rows, columns)) for _ in range(3)]
    for k in range(len(hu)):
        hu[k] += np.float32(noise_hu) * sum(np.float32(t) * w for t, w in zip(taps, window, strict=True))
        window = [*window[1:], _texture(rng, gain, (rows, columns))]


def _texture(rng: np.random.Generator, gain: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from scipy.fft import irfft2, rfft2

    white = rng.standard_normal(shape, dtype=np.float32)
    texture: np.ndarray = irfft2(rfft2(white) * gain, s=shape)
    return texture


def add_motion(hu: np.ndarray, grid: Grid, centre_mm: np.ndarray, reach_mm: float, shift_mm: np.ndarray) -> None:
    """Smear ``hu`` in place around ``centre_mm`` (x, y, z): the mean over a path of ``shift_mm`` through the true place.

    The smear fades with a Gaussian of ``reach_mm``; the middle of the path is where the truth says the vessel is.
    """
    from scipy.ndimage import shift

    part = grid.around(centre_mm[None], 2.2 * reach_mm)
    block = hu[part]
    voxels = shift_mm[::-1] / np.array(grid.spacing_mm)
    moved = sum(shift(block, voxels * t, order=1, mode="nearest") for t in (-0.5, -0.25, 0.0, 0.25, 0.5)) / 5
    z, y, x = grid.block(part).axes_mm()
    square = (z[:, None, None] - centre_mm[2]) ** 2 + (y[:, None] - centre_mm[1]) ** 2 + (x - centre_mm[0]) ** 2
    weight = np.exp(-0.5 * square / reach_mm**2).astype(np.float32)
    block += weight * (moved.astype(np.float32) - block)
