"""The aorta against tubes of known course, and against a real study's mask."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from algorithms.coronary.aorta import (
    RADIUS_STEPS_MM,
    RAYS,
    aorta_mask,
    trace_aorta,
    wall_contour,
)
from algorithms.coronary.aortic_discs import ascending_chain, disc_chains
from algorithms.coronary.aortic_valve import cut_at_valve
from algorithms.coronary.grid import Grid, read_grid

SPACING_MM = 1.5


def _chest(root_radius_mm: float = 16.0) -> Grid:
    """Return a chest with an ascending aorta (radius 14 mm, tilted 20 degrees, a root) and a descending one.

    The valve's ring (radius 11 mm) lies at z = 40 mm, the widest sinus at 52 mm; below the ring is a wide ventricle.
    """
    z, y, x = np.meshgrid(*[SPACING_MM * np.arange(n) for n in (80, 90, 90)], indexing="ij")
    axis_x, axis_y = 60 - np.tan(np.deg2rad(20)) * (z - 40), np.full(z.shape, 50.0)
    away = np.hypot((x - axis_x) * np.cos(np.deg2rad(20)), y - axis_y)
    radius = np.interp(z, [40, 44, 52, 60, 64], [11, 13.5, root_radius_mm, 14.5, 14])
    hu = np.full(z.shape, -80.0)
    hu[(away < radius) & (z >= 40)] = 420
    ventricle = np.sqrt((x - 80) ** 2 + (y - 45) ** 2 + (z - 12) ** 2)
    hu[(ventricle < 38) & (z < 40)] = 100
    hu[(ventricle < 28) | ((away < 11) & (z < 40) & (z > 15))] = 420
    hu[np.hypot(x - 70, y - 110) < 12] = 430  # descending aorta, brighter and rounder than the ascending one
    hu = ndimage.gaussian_filter(hu, 0.5) + np.random.default_rng(3).normal(0, 10, hu.shape)
    return Grid(hu.astype(np.float32), (SPACING_MM,) * 3, (-60.0, -50.0, 0.0))


def test_the_ascending_aorta_is_traced_from_the_valve_upwards():
    """Centre line and radii are those the chest was made with; the descending aorta behind it is not taken.

    1 mm of place and radius is two thirds of a voxel; 6 mm at the ring: its place is taken from the widest sinus.
    """
    chest = _chest()
    smooth = chest.with_values(ndimage.gaussian_filter(chest.values, 0.7))
    aorta = cut_at_valve(trace_aorta(smooth, ascending_chain(disc_chains(chest), chest)))
    above = aorta.centres_mm[:, 2] > 66
    made_x = 60 - np.tan(np.deg2rad(20)) * (aorta.centres_mm[above, 2] - 40) - 60

    assert np.abs(aorta.centres_mm[above, 0] - made_x).max() < 1.0
    assert np.abs(aorta.centres_mm[above, 1]).max() < 1.0
    assert np.abs(aorta.mean_radius_mm[above][:-3] - 14).max() < 1.0
    assert aorta.centres_mm[0, 2] == pytest.approx(40, abs=6)
    assert aorta.mean_hu == pytest.approx(420, abs=10)


def test_a_contour_does_not_leak_through_a_thin_wall():
    """Blood of 400 HU within 12 mm, a wall of 1.5 mm that blur leaves at 250 HU, then other blood of 380 HU: the wall holds."""
    profile = np.where(RADIUS_STEPS_MM < 12, 400.0, np.where(RADIUS_STEPS_MM < 13.5, 250.0, 380.0))
    rays = np.tile(profile, (RAYS, 1))
    rays[: RAYS // 2, RADIUS_STEPS_MM >= 12] = -50  # the other half borders on fat
    contour, _ = wall_contour(ndimage.gaussian_filter1d(rays, 1.0, axis=1), 400.0, 12.0)

    assert np.abs(contour - 12).max() <= 1.0  # two steps of a ray


@pytest.mark.skipif("HEARTWOOD_REAL_DATA" not in os.environ, reason="HEARTWOOD_REAL_DATA does not name the shared data")
def test_the_aorta_of_a_real_study_is_found():
    """An arterial-phase CT with its mask (TotalSegmentator test data): the mask includes the wall, ours is the lumen.

    Widened by 1 mm of wall, Dice over the slices of the ascending aorta is over 0.93; the ring lies within 3 mm of the mask's.
    """
    folder = Path(os.environ["HEARTWOOD_REAL_DATA"]) / "ct_aorta"
    volume, truth = read_grid(folder / "ct_cropped.nii.gz"), read_grid(folder / "aorta.nii.gz")
    smooth = volume.with_values(ndimage.gaussian_filter(volume.values.astype(np.float32), 0.7))
    aorta = cut_at_valve(trace_aorta(smooth, ascending_chain(disc_chains(smooth), smooth)))
    slices = slice(84, 118)
    names, _ = ndimage.label(truth.values[slices])
    wanted = names == names[10, 48, 51]
    found = aorta_mask(aorta, volume, margin_mm=1.0)[slices]
    ring = read_grid(folder / "annulus_proper.nii.gz")
    ring_mm = ring.points_mm(np.argwhere(ring.values).mean(axis=0))

    assert 2 * (wanted & found).sum() / (wanted.sum() + found.sum()) > 0.93
    assert np.linalg.norm(aorta.centres_mm[0] - ring_mm) < 3.0
