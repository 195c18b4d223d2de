"""The scanner of the coronary phantom: blur by the point spread, noise with a kernel's power spectrum, motion."""

from __future__ import annotations

import numpy as np

from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.variety import KERNELS, Variety

OVERSHOOT_MM = 1.3
"""Width of the Gaussian whose complement a sharp kernel lifts."""
FWHM_PER_SIGMA = 2.3548
MIDDLE_Y_MM = 15.0
"""Where, behind the aortic annulus, rays cross most of the chest."""


def blur(hu: np.ndarray, spacing_mm: tuple[float, float, float], variety: Variety) -> None:
    """Blur ``hu`` (Z, Y, X) in place by the scanner's point spread; voxels have already averaged over themselves."""
    from scipy.ndimage import gaussian_filter1d

    kernel = KERNELS[variety.kernel]
    for k in range(len(hu)):
        _blur_slice(hu[k], spacing_mm, kernel.fwhm_mm * variety.blur)
        if kernel.overshoot:
            smooth = hu[k].copy()
            _blur_slice(smooth, spacing_mm, OVERSHOOT_MM)
            hu[k] += np.float32(kernel.overshoot) * (hu[k] - smooth)
    sigma = variety.slice_thickness_mm / FWHM_PER_SIGMA / spacing_mm[0]
    for j in range(hu.shape[1]):
        hu[:, j] = gaussian_filter1d(hu[:, j], sigma, axis=0, mode="nearest", truncate=4.0)


def _blur_slice(hu: np.ndarray, spacing_mm: tuple[float, float, float], fwhm_mm: float) -> None:
    from scipy.ndimage import gaussian_filter1d

    for axis in (0, 1):
        sigma = fwhm_mm / FWHM_PER_SIGMA / spacing_mm[axis + 1]
        hu[:] = gaussian_filter1d(hu, sigma, axis=axis, mode="nearest", truncate=4.0)


def add_noise(hu: np.ndarray, grid: Grid, variety: Variety, rng: np.random.Generator) -> None:
    """Add noise to ``hu`` (Z, Y, X) in place: ramp-times-Gaussian power in the plane, neighbouring slices correlated.

    The standard deviation is ``noise_hu`` in every slice, less towards the rim where ``noise_fall`` says so.  The spectrum
    is that of filtered back-projection with a smooth apodisation, ``f exp(-f^2 / (2 p^2))`` with its peak at ``p``
    (Kijewski and Judy, Phys Med Biol 32:565 (1987) for its shape; Solomon et al., Med Phys 39:6048 (2012) for peaks), and
    ``noise_floor p`` is added to ``f``.
    """
    rows, columns = hu.shape[1:]
    peak = KERNELS[variety.kernel].noise_peak_per_mm / variety.noise_grain
    fy = np.fft.fftfreq(rows, grid.spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(columns, grid.spacing_mm[2])[None, :]
    frequency = np.hypot(fy, fx)
    floor = variety.noise_floor * peak
    gain = np.sqrt((frequency + floor) * np.exp(-0.5 * (frequency / peak) ** 2))
    full = np.sqrt(np.abs(np.fft.fftfreq(columns, grid.spacing_mm[2]))[None, :] ** 2 + fy**2)
    power = np.mean((full + floor) * np.exp(-0.5 * (full / peak) ** 2))
    gain = (gain / np.sqrt(power)).astype(np.float32)
    sigma = variety.slice_thickness_mm / FWHM_PER_SIGMA / grid.spacing_mm[0]
    taps = np.exp(-0.5 * (np.arange(-1, 2) / max(sigma, 0.2)) ** 2)
    taps = taps / np.sqrt((taps**2).sum())
    level = _noise_level(grid, variety)
    window = [_texture(rng, gain, (rows, columns)) for _ in range(3)]
    for k in range(len(hu)):
        hu[k] += level * sum(np.float32(t) * w for t, w in zip(taps, window, strict=True))
        window = [*window[1:], _texture(rng, gain, (rows, columns))]


def _noise_level(grid: Grid, variety: Variety) -> np.float32 | np.ndarray:
    """Return the noise's standard deviation: one number, or (Y, X) where it falls towards the rim of 120 mm."""
    if not variety.noise_fall:
        return np.float32(variety.noise_hu)
    _, y, x = grid.axes_mm()
    square = (x / 120.0) ** 2 + ((y - MIDDLE_Y_MM)[:, None] / 120.0) ** 2
    level: np.ndarray = (variety.noise_hu * (1 - variety.noise_fall * np.minimum(square, 1))).astype(np.float32)
    return level


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
