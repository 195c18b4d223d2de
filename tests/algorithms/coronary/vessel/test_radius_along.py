"""Radii along a vessel: noise is evened, lesions keep their depth."""

import numpy as np
import pytest

from algorithms.coronary.vessel.cross_section import STEP_MM, smoothed
from algorithms.coronary.vessel.radius_along import MOST_SHARPENED_MM, evened, sharpened

AT_MM = np.arange(0, 60, STEP_MM)


def lesion(share: float, length_mm: float = 10.0) -> np.ndarray:
    """Return the radii (N,) of a vessel of 1.5 mm with a stenosis of this share in its middle."""
    shape = np.where(np.abs(AT_MM - 30) < length_mm / 2, 1 + np.cos(2 * np.pi * (AT_MM - 30) / length_mm), 0)
    return np.asarray(1.5 * (1 - share / 2 * shape))


def noisy(true: np.ndarray, sd_mm: float, seed: int) -> np.ndarray:
    """Return radii (N,) with errors that neighbouring sections share in part."""
    errors = np.random.default_rng(seed).normal(size=len(true) + 1)
    return np.asarray(true + sd_mm * (errors[1:] + 0.5 * errors[:-1]) / np.hypot(1, 0.5))


@pytest.mark.parametrize("seed", range(5))
def test_unsure_sections_make_no_stenosis(seed):
    """Errors of 0.25 mm in a healthy vessel, as in a scan with a contrast to noise of 6: a single section falls to 0.9 mm."""
    radius = noisy(np.full(len(AT_MM), 1.5), 0.25, seed)

    found = evened(radius, np.full(len(AT_MM), 0.25))

    assert radius.min() < 1.1
    assert found.min() > 1.5 * 0.75


@pytest.mark.parametrize("seed", range(5))
def test_a_throat_that_was_measured_well_keeps_its_depth(seed):
    """Errors of 0.07 mm, as in a good scan: a stenosis of 70 % within 5 points."""
    true = lesion(0.7)

    found = evened(noisy(true, 0.07, seed), np.full(len(AT_MM), 0.07))

    assert found.min() / 1.5 == pytest.approx(0.3, abs=0.05)


def test_noise_makes_a_throat_no_deeper():
    """Errors of 0.25 mm around a stenosis of 60 %: the deepest section alone says 73 % on the average."""
    true = lesion(0.6)
    radii = [noisy(true, 0.25, seed) for seed in range(20)]

    found = np.mean([evened(radius, np.full(len(AT_MM), 0.25)).min() for radius in radii])

    assert np.mean([radius.min() for radius in radii]) < 0.45
    assert found == pytest.approx(true.min(), abs=0.1)


def test_a_section_that_is_unsure_follows_its_neighbours():
    """One section beside calcium, closed as far as it can tell."""
    radius, deviation = np.full(len(AT_MM), 1.5), np.full(len(AT_MM), 0.05)
    radius[60], deviation[60] = 0.1, 0.8

    assert evened(radius, deviation)[60] > 1.4


def test_a_throat_that_was_blurred_along_the_vessel_is_as_narrow_again():
    """A stenosis of 70 % over 10 mm, blurred by 0.4 mm: a third of what that adds to the throat stays at most."""
    at = np.arange(0, 40, STEP_MM)
    true = 1.5 * (1 - 0.35 * np.where(abs(at - 20) < 5, 1 + np.cos(2 * np.pi * (at - 20) / 10), 0))
    blurred = smoothed(true, 0.4)
    throat = int(np.argmin(true))

    found = sharpened(blurred, 0.4)

    assert blurred[throat] - true[throat] > 0.01
    assert abs(found[throat] - true[throat]) < (blurred[throat] - true[throat]) / 3
    assert np.abs(found - true)[20:-20].max() < np.abs(blurred - true)[20:-20].max()


def test_noise_is_not_sharpened_beyond_its_bound():
    """Radii that jump from one section to the next."""
    radius = 1.0 + 0.8 * np.sign(np.sin(np.arange(200)))

    assert np.abs(sharpened(radius, 0.5) - radius).max() <= MOST_SHARPENED_MM + 1e-9


def test_a_lumen_that_is_nearly_closed_is_not_closed_by_sharpening():
    """A closed lumen refuses the whole case."""
    radius = np.full(200, 0.8)
    radius[90:110] = 0.12

    assert sharpened(radius, 0.5).min() > 0.1
