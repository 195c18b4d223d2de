"""What the statistics of phantoms and real scans measure, on a cylinder of which everything is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmarks.phantom_statistics import aorta, mean_frequency, tissues

SPACING_MM = (0.8, 0.5, 0.5)
BLUR_MM = 0.8


@pytest.fixture(scope="module")
def cylinder():
    """Return a blurred cylinder of 400 HU, 30 mm wide, in muscle of 50 HU with 15 HU of noise, and its mask."""
    y, x = np.mgrid[:140, :140] * 0.5 - 35.0
    mask = np.broadcast_to(np.hypot(x, y) < 15.0, (20, 140, 140))
    hu = gaussian_filter(np.where(mask, 400.0, 50.0), [0, BLUR_MM / 0.5, BLUR_MM / 0.5])
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 1, hu.shape), [0, 1.2, 1.2])
    return (hu + 15.0 * noise / noise.std()).astype(np.float32), mask


def test_blood_noise_and_edge_are_those_of_the_cylinder(cylinder):
    """The steepest slope of a step blurred by a Gaussian is step / (sqrt(2 pi) sigma): 2.0 mm here.

    8 % for bins of half a mm, a slope over one mm, and the raster of the mask.
    """
    found = aorta(cylinder[0], SPACING_MM, cylinder[1])

    assert found["blood_hu"] == pytest.approx(400, abs=1)
    assert found["blood_noise_hu"] == pytest.approx(15, rel=0.05)
    assert found["edge_mm"] == pytest.approx(np.sqrt(2 * np.pi) * BLUR_MM, rel=0.08)


def test_coarser_noise_has_a_lower_frequency(cylinder):
    """White noise blurred twice as much loses its high frequencies; squares that do not fit into the aorta give none."""
    rng = np.random.default_rng(1)
    frequencies = []
    for sigma in (0.8, 1.6):
        noise = gaussian_filter(rng.normal(0, 100, cylinder[0].shape), [0, sigma, sigma]).astype(np.float32)
        frequencies.append(aorta(400 + noise, SPACING_MM, cylinder[1])["noise_frequency_per_mm"])

    assert frequencies[1] == pytest.approx(frequencies[0] / 2, rel=0.25)  # the lowest ring is as wide as a sixth of these
    assert mean_frequency(cylinder[0], 0.5, np.full(cylinder[0].shape, 1.5)) is None


def test_tissues_are_told_apart_by_their_hounsfield_units(cylinder):
    """Muscle is where the cylinder is not, and there is neither fat nor lung."""
    found = tissues(cylinder[0], SPACING_MM)

    assert found["muscle_hu"] == pytest.approx(50, abs=3)
    assert found["muscle_deviation_hu"] == pytest.approx(15, rel=0.15)  # the most even tenth of cubes
    assert found["fat_hu"] is None
    assert found["lung_hu"] is None
