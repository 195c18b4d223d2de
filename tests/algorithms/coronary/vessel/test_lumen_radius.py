"""The fit of a blurred lumen, on sections whose blur and noise are made by numerical integration, not by the fit's model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from algorithms.coronary.vessel.calibration import blur_sd_of
from algorithms.coronary.vessel.cross_section import Raster
from algorithms.coronary.vessel.lumen_radius import blurred_disc, fit_sections

BLOOD, WALL, FAT, MUSCLE = 420.0, 40.0, -90.0, 110.0
BLUR_MM = 0.35
CELL_MM = 0.02


def section(
    radius_mm: float, *, wall_mm: float = 0.7, shift_mm: float = 0.0, noise_hu: float = 0.0, count: int = 1
) -> np.ndarray:
    """Return polar sections of a lumen in a wall, fat on one side and muscle on the other; blurred on a fine raster."""
    axis = np.arange(-6, 6, CELL_MM) + CELL_MM / 2
    x, y = np.meshgrid(axis, axis)
    far = np.hypot(x - shift_mm, y)
    tissue = np.where(x > 1.2, MUSCLE, FAT)
    picture = np.where(far < radius_mm, BLOOD, np.where(far < radius_mm + wall_mm, WALL, tissue))
    picture = ndimage.gaussian_filter(picture, BLUR_MM / CELL_MM)
    raster = Raster.of(5.0)
    where = raster.ring_mm[:, None] * np.stack([np.sin(raster.spoke_rad), np.cos(raster.spoke_rad)])[:, None]
    clean = ndimage.map_coordinates(picture, (where + 6 - CELL_MM / 2) / CELL_MM, order=1)
    rng = np.random.default_rng(3)
    noisy = []
    for _ in range(count):
        texture = ndimage.gaussian_filter(rng.standard_normal((60, 60)), 1.75)  # correlated over 0.35 mm as CT noise is
        texture *= noise_hu / texture.std()
        noisy.append(clean + ndimage.map_coordinates(texture, (where + 6) / 0.2, order=1))
    return np.array(noisy)


def fitted(values: np.ndarray, start_mm: float, blur_mm: float = BLUR_MM, noise_hu: float = 15.0):
    return fit_sections(
        values, np.ones_like(values), Raster.of(5.0), bloom_sd_hu=np.zeros(values.shape),
        blood_hu=np.full(len(values), BLOOD), blur_sd_mm=blur_mm, start_mm=np.full(len(values), start_mm), noise_hu=noise_hu,
    )  # fmt: skip


@pytest.mark.parametrize("radius_mm", [0.3, 0.6, 1.0, 2.0])
def test_blurred_disc_equals_a_disc_blurred_numerically(radius_mm):
    """The noncentral chi-squared form is exact; 0.005 is what a raster of 0.02 mm leaves of the disc's edge."""
    axis = np.arange(-6, 6, CELL_MM) + CELL_MM / 2
    x, y = np.meshgrid(axis, axis)
    disc = ndimage.gaussian_filter((np.hypot(x, y) < radius_mm).astype(float), BLUR_MM / CELL_MM)[len(axis) // 2]

    profile, _ = blurred_disc(np.abs(axis), np.full(len(axis), radius_mm), BLUR_MM)

    assert np.abs(profile - disc).max() < 0.005


def test_slope_of_the_blurred_disc_is_its_derivative():
    """A central difference over 2 um of the tabulated profile, whose linear interpolation is good to about 0.01 / mm."""
    far = np.linspace(0.05, 3, 40)
    up, _ = blurred_disc(far, np.full(40, 1.07), BLUR_MM)
    down, _ = blurred_disc(far, np.full(40, 1.03), BLUR_MM)

    _, slope = blurred_disc(far, np.full(40, 1.05), BLUR_MM)

    assert np.abs((up - down) / 0.04 - slope).max() < 0.02


@pytest.mark.parametrize("radius_mm", [0.3, 0.45, 0.6, 1.0, 1.5, 2.0])
def test_radius_is_found_even_where_the_lumen_is_narrower_than_the_blur(radius_mm):
    """The blur is 0.82 mm wide; half of the peak would make the lumen of 0.3 mm 0.45 mm.  The wall's thickness is not known."""
    fit = fitted(section(radius_mm), 1.5 * radius_mm)

    assert fit.radius_mm[0] == pytest.approx(radius_mm, abs=0.04)


def test_the_claimed_deviation_covers_what_noise_does():
    """40 noisy sections: their scatter is below the claim, which also holds what is not known about the wall."""
    fit = fitted(section(0.8, noise_hu=25.0, count=40), 1.0, noise_hu=25.0)

    assert abs(fit.radius_mm.mean() - 0.8) < 0.04
    assert fit.radius_mm.std() < fit.radius_sd_mm.mean() < 0.15


def test_offset_points_at_the_lumens_centre():
    """A lumen 0.3 mm along the first axis: the fit moves there, to a tenth of a voxel."""
    fit = fitted(section(1.0, shift_mm=0.3), 1.0)

    assert fit.offset_mm[0] == pytest.approx([0.3, 0.0], abs=0.06)


@pytest.mark.parametrize("noise_hu", [15.0, 60.0])
def test_the_blur_is_found_in_noise(noise_hu):
    """A narrow blur lets the fit follow noise, so that more noise looked like less blur: 0.30 for 0.35 mm at 60 HU."""
    vessels = ((1.3, 0.3), (1.6, 0.7), (2.0, 0.5))
    values = np.concatenate([section(radius, noise_hu=noise_hu, count=20, wall_mm=wall) for radius, wall in vessels])

    found = blur_sd_of(
        values, np.ones_like(values), Raster.of(5.0), blood_hu=np.full(60, BLOOD),
        radius_mm=np.repeat([1.3, 1.6, 2.0], 20), noise_hu=noise_hu,
    )  # fmt: skip

    assert found == pytest.approx(BLUR_MM, abs=0.02)
