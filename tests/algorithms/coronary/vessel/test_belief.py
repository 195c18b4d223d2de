"""Which branches of a mask stay, and what the vessels say of their blood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.vessel.belief import believed, ended_where_closed, ended_where_they_fade
from algorithms.coronary.vessel.calcium import bloom_hu, calcified
from algorithms.coronary.vessel.calibration import blood_of
from algorithms.coronary.vessel.tracing import Vessel


def vessel(name: str, parent: int | None, point: int | None, sd_mm: float) -> Vessel:
    count = 40
    points = np.zeros((count, 3))
    points[:, 2] = 0.5 * np.arange(count)
    return Vessel(
        name, "left", parent, point, points, np.full(count, 1.0), np.full(count, sd_mm), np.full(count, 400.0),
        np.ones(count, dtype=bool), 1.0,
    )  # fmt: skip


def test_a_leak_is_left_out_and_what_stays_hangs_on_the_same_parents():
    """OM1 is a leak (0.2 mm deviation), OM2 a vessel with a branch."""
    tree = [
        vessel("LM", None, None, 0.03), vessel("LCx", 0, 39, 0.04), vessel("OM1", 1, 5, 0.2), vessel("OM2", 1, 20, 0.05),
        vessel("OM2a", 3, 10, 0.05),
    ]  # fmt: skip

    kept, lost_mm = believed(tree)

    assert [(v.name, v.parent) for v in kept] == [("LM", None), ("LCx", 0), ("OM2", 1), ("OM2a", 2)]
    assert lost_mm == pytest.approx(19.5)


@pytest.mark.parametrize("place", [0, 6])
def test_a_side_branch_that_begins_without_lumen_goes_with_what_follows_it(place: int):
    """In its parent's middle, or two mm from its wall, OM1 has none; main vessels stay even so."""
    shut = np.where(np.arange(40) == place, 0.1, 1.0)
    tree = [
        vessel("LM", None, None, 0.03), replace(vessel("LCx", 0, 39, 0.04), radius_mm=shut),
        replace(vessel("OM1", 1, 5, 0.05), radius_mm=shut), vessel("OM1a", 2, 10, 0.05), vessel("OM2", 1, 20, 0.05),
    ]  # fmt: skip

    kept, lost_mm = believed(tree)

    assert [(v.name, v.parent) for v in kept] == [("LM", None), ("LCx", 0), ("OM2", 1)]
    assert lost_mm == pytest.approx(39.0)


def test_a_side_branch_ends_where_it_closes_with_a_doubt_and_a_main_vessel_does_not():
    """OM1 has no lumen 10 mm from its origin: its first branch stays, its second goes; so does none of a closed LCx."""
    shut = np.where(np.arange(40) == 20, 0.1, 1.0)
    tree = [
        replace(vessel("LCx", None, None, 0.03), radius_mm=shut), replace(vessel("OM1", 0, 5, 0.05), radius_mm=shut),
        vessel("OM1a", 1, 10, 0.05), vessel("OM1b", 1, 30, 0.05),
    ]  # fmt: skip

    kept, doubts = ended_where_closed(tree)

    assert [(v.name, len(v.points_mm)) for v in kept] == [("LCx", 40), ("OM1", 20), ("OM1a", 40)]
    assert len(doubts) == 1
    assert doubts[0].startswith("the OM1 has no lumen 10 mm from its origin; 10 mm behind it")


def test_what_leads_to_a_vessel_stays():
    """A branch that is hard to see (calcium) stays if a clear one hangs on it."""
    tree = [vessel("LAD", None, None, 0.03), vessel("D1", 0, 10, 0.2), vessel("D1a", 1, 10, 0.05)]

    assert [v.name for v in believed(tree)[0]] == ["LAD", "D1", "D1a"]


def test_a_tail_behind_a_tip_that_fades_is_cut():
    """Point 30 of 40 is closed and 4.5 mm follow, in which the mask ran on into noise: 30 points are left."""
    tail = vessel("LCx", None, None, 0.05)
    radius = np.concatenate([np.linspace(1.0, 0.4, 30), [0.1, 0.3, 0.5, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1]])  # median 0.3

    (ended,) = ended_where_they_fade([replace(tail, radius_mm=radius)])

    assert [30] * 4 == [len(a) for a in (ended.points_mm, ended.radius_mm, ended.radius_sd_mm, ended.trusted)]


def test_a_lumen_that_closes_before_a_branch_or_a_long_vessel_stays():
    """That is an occlusion with a vessel behind it; the flow stage refuses it and says so."""
    closed = np.where(np.arange(40) == 10, 0.05, 1.0)
    stem = replace(vessel("LAD", None, None, 0.05), radius_mm=closed)
    long = replace(stem, points_mm=stem.points_mm * 2.0)

    assert len(ended_where_they_fade([stem, vessel("D1", 0, 25, 0.05)])[0].radius_mm) == 40
    assert len(ended_where_they_fade([stem])[0].radius_mm) == 40  # 14.5 mm of it, 1 mm wide and well seen
    assert len(ended_where_they_fade([long])[0].radius_mm) == 40


def test_a_noisy_scan_keeps_its_branches():
    """Where the main vessels have 0.08 mm themselves, 0.14 mm in a small branch is no leak."""
    tree = [vessel("LAD", None, None, 0.08), vessel("D1", 0, 10, 0.14)]

    assert len(believed(tree)[0]) == 2


def test_contrast_that_falls_along_the_vessel_is_followed():
    """From 420 HU by 0.5 HU/mm over 100 mm, with 15 HU noise: to 5 HU at the ostium, 0.1 HU/mm of slope (2.7 sd)."""
    distance = np.linspace(0, 100, 200)
    core = 420 - 0.5 * distance + 15 * np.random.default_rng(4).standard_normal(200)

    blood = blood_of(core, distance, np.full(200, 1.6), aorta_hu=430.0)

    assert blood.at(np.array([0.0]))[0] == pytest.approx(420, abs=5)
    assert blood.fall_hu_mm == pytest.approx(0.5, abs=0.1)


def test_blood_that_is_no_arterial_blood_is_not_believed():
    """Half of the aorta's contrast: a vein was traced; its contrast must not become the yardstick."""
    assert blood_of(np.full(100, 200.0), np.arange(100.0), np.full(100, 1.6), aorta_hu=430.0).ostium_hu == 430.0


def test_bloom_is_what_the_calcium_adds():
    """A cube of 2 mm with 1000 HU in soft tissue of 40 HU, blurred by 0.35 mm: what is left beside it is soft tissue to 30 HU.

    Left alone, blooming adds 180 HU in the voxel beside the cube.
    """
    spacing = (0.4, 0.4, 0.4)
    sharp = np.full((30, 30, 30), 40.0)
    sharp[12:17, 12:17, 12:17] = 1000.0
    volume = Grid(ndimage.gaussian_filter(sharp, 0.35 / 0.4), spacing, (0.0, 0.0, 0.0))
    lumen = np.zeros(sharp.shape, dtype=bool)
    lumen[14, 14, 18] = True

    calcium = calcified(volume, lumen, blood_hu=470.0, noise_hu=10.0)
    left = volume.values - bloom_hu(volume, calcium, 0.35).values

    assert calcium.any()
    assert volume.values[14, 14, 17] > 200
    assert np.abs(left[14, 14, 17:22] - 40).max() < 30


def test_noise_is_no_calcium_and_calcium_is_not_lost_in_it():
    """Noise of 40 HU in blood of 400 HU exceeds it by 100 HU here and there; a cube of 1.2 mm of 600 HU is still all found."""
    rng = np.random.default_rng(1)
    hu = 400 + rng.normal(0, 40, (40, 40, 40))
    cube = (slice(18, 21),) * 3
    hu[cube] += 200
    volume = Grid(hu, (0.4, 0.4, 0.4), (0.0, 0.0, 0.0))

    found = calcified(volume, np.ones(hu.shape, dtype=bool), blood_hu=400.0, noise_hu=40.0)

    assert (hu > 500).sum() > 300
    assert found[cube].mean() > 0.9
    assert found.sum() < 2 * 27


def test_the_lumen_beside_calcium_is_not_taken_for_calcium():
    """A cube against a wall of blood: with what the blood adds to the cube's voxels known, its bloom is the cube's own."""
    spacing, blur = (0.4, 0.4, 0.4), 0.35 / 0.4
    cube, blood = np.zeros((30, 30, 30)), np.zeros((30, 30, 30))
    cube[12:17, 12:17, 12:17] = 960.0
    blood[:, :, 17:] = 400.0
    cube, blood = ndimage.gaussian_filter(cube, blur), ndimage.gaussian_filter(blood, blur)
    volume = Grid(40 + cube + blood, spacing, (0.0, 0.0, 0.0))
    calcium = volume.values > 570

    without, knowing = (bloom_hu(volume, calcium, 0.35, told).values for told in (None, blood[calcium]))

    beside = (14, 14, slice(17, 20))
    assert np.abs(knowing - cube)[beside].max() < 40
    assert (without - cube)[beside].max() > 80
