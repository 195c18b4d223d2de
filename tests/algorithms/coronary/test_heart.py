"""The left ventricle: its muscle is weighed where no border can be seen, its axes do not follow strange blood."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.grid import Grid
from algorithms.coronary.heart import FAT_BELOW_HU, LEFT_VENTRICLE, MYOCARDIUM, OTHER_POOL, myocardium
from algorithms.coronary.heart_axes import TYPICAL_SEPTUM, heart_axes

SPACING_MM = (1.5, 1.5, 1.5)
BLOOD_HU, MUSCLE_HU, FAT_HU = 400.0, 105.0, -80.0
WALL_MM = 10.0


def ellipsoid_depth_mm(place_mm: np.ndarray, more_mm: float) -> np.ndarray:
    """Return how deep points lie in a ventricle of 40 by 40 by 70 mm along z that is wider by ``more_mm``, about mm."""
    axes = np.array([20.0, 20.0, 35.0]) + more_mm
    return np.asarray((1 - np.linalg.norm(place_mm / axes, axis=-1)) * axes[0])


def ventricle() -> tuple[Grid, np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid of fat, the places of its voxels in mm, and which of them are blood and muscle."""
    shape = (80, 80, 80)
    grid = Grid(np.full(shape, FAT_HU, np.float32), SPACING_MM, (-60.0, -60.0, -60.0))
    place = grid.points_mm(np.indices(shape).reshape(3, -1).T).reshape(*shape, 3)
    blood = ellipsoid_depth_mm(place, 0.0) > 0
    muscle = (ellipsoid_depth_mm(place, WALL_MM) > 0) & ~blood
    return grid, place, blood, muscle


@pytest.mark.parametrize("hidden", [0.0, 0.3, 0.5])
def test_muscle_is_weighed_right_where_its_end_is_hidden(hidden: float):
    """Behind a part of the wall lies what has the muscle's own attenuation: a right ventricle without contrast, or liver."""
    grid, place, blood, muscle = ventricle()
    values = grid.values.copy()
    values[place[..., 0] < np.quantile(place[muscle][:, 0], hidden)] = MUSCLE_HU
    values[muscle] = MUSCLE_HU
    values[blood] = BLOOD_HU

    found, wall_mm = myocardium(blood, np.zeros(blood.shape, bool), grid.with_values(values), MUSCLE_HU + 30)

    assert FAT_HU < FAT_BELOW_HU < MUSCLE_HU
    assert wall_mm == pytest.approx(WALL_MM, abs=1.5)  # rays cross it aslant
    assert found.sum() == pytest.approx(muscle.sum(), rel=0.1)


def test_the_septum_faces_the_blood_beside_the_muscle_not_a_larger_pool_far_off():
    grid, place, blood, muscle = ventricle()
    labels = np.zeros(blood.shape, np.uint8)
    labels[np.linalg.norm(place - [0.0, 62.0, -10.0], axis=-1) < 16] = OTHER_POOL  # behind
    labels[(ellipsoid_depth_mm(place, WALL_MM + 12.0) > 0) & (place[..., 0] < -20.0)] = OTHER_POOL  # to the right
    labels[muscle] = MYOCARDIUM
    labels[blood] = LEFT_VENTRICLE

    axes = heart_axes(grid.with_values(labels), np.array([[0.0, 0.0, 45.0]]))

    assert axes.measured
    assert axes.long_axis @ [0.0, 0.0, -1.0] > 0.99
    assert axes.septum @ [-1.0, 0.0, 0.0] > np.cos(np.radians(15))


def test_without_blood_beside_the_muscle_the_septum_is_where_it_usually_is():
    grid, place, blood, muscle = ventricle()
    labels = np.zeros(blood.shape, np.uint8)
    labels[np.linalg.norm(place - [0.0, 62.0, -10.0], axis=-1) < 16] = OTHER_POOL
    labels[muscle] = MYOCARDIUM
    labels[blood] = LEFT_VENTRICLE

    axes = heart_axes(grid.with_values(labels), np.array([[0.0, 0.0, 45.0]]))

    across = TYPICAL_SEPTUM * [1, 1, 0]
    assert axes.septum @ across / np.linalg.norm(across) > 0.99


def test_an_atrium_that_was_taken_for_the_ventricle_moves_no_base():
    """Its blood lies above the ostia, behind the root; unheeded it lengthened one heart from 94 to 131 mm."""
    grid, place, blood, muscle = ventricle()
    labels = np.zeros(blood.shape, np.uint8)
    labels[muscle] = MYOCARDIUM
    labels[blood] = LEFT_VENTRICLE
    leaked = labels.copy()
    leaked[np.linalg.norm(place - [0.0, 25.0, 50.0], axis=-1) < 18] = LEFT_VENTRICLE

    alone, both = (heart_axes(grid.with_values(told), np.array([[0.0, 0.0, 45.0]])) for told in (labels, leaked))

    assert both.length_mm == pytest.approx(alone.length_mm, rel=0.05)
    assert both.long_axis @ alone.long_axis > np.cos(np.radians(5))
