"""A volume at another spacing: shares are kept, slopes are kept, places are kept."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.segmentation.resample import origin_mm, resampled


def test_a_coarser_voxel_holds_the_mean_of_what_it_covers():
    """By hand: 1.5 voxels of 0, 3, 6 weigh 1 and 1/2, then 1/2 and 1."""
    line = np.array([0, 3, 6], np.float32).reshape(1, 1, 3)

    out = resampled(line, (1, 1, 1), (1, 1, 1.5))

    assert np.allclose([1, 5], out.ravel())


def test_shares_of_a_tissue_are_kept():
    """2.4 voxels into one, in every axis: the volume of the tissue does not change where the edges meet."""
    values = np.random.default_rng(1).random((12, 24, 36))

    out = resampled(values, (0.5, 0.5, 0.5), (1.2, 1.2, 1.2))

    assert (5, 10, 15) == out.shape
    assert values.sum() == pytest.approx(out.sum() * 2.4**3, rel=1e-5)


@pytest.mark.parametrize("wanted", [0.4, 0.8, 2.0])
def test_a_slope_stays_where_it_is_in_the_patient(wanted):
    """Hounsfield units that equal the place in mm do so at every spacing, away from the edges."""
    x = 5.0 + 0.8 * np.arange(60)
    values = np.broadcast_to(x, (4, 4, 60))

    out = resampled(values, (0.8, 0.8, 0.8), (0.8, 0.8, wanted))

    first = origin_mm((5.0, 0, 0), (0.8, 0.8, 0.8), (0.8, 0.8, wanted))[0]
    places = first + wanted * np.arange(out.shape[2])
    inner = slice(3, -3)
    # A voxel that is cut counts as its mean on both sides of the cut: the slope wavers by a twentieth of a voxel.
    assert np.allclose(places[inner], out[0, 0, inner], atol=0.8 / 20 + 1e-3)


def test_the_same_spacing_changes_nothing():
    """Phantoms are made at the network's spacing."""
    values = np.arange(8, dtype=np.int16).reshape(2, 2, 2)

    assert np.array_equal(values, resampled(values, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
