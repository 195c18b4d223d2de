"""Tubeness against tubes and sheets whose answer is known."""

import numpy as np
import pytest

from algorithms.coronary.vesselness import tubeness

SPACING_MM = 0.5


def _distance_mm(direction: np.ndarray) -> np.ndarray:
    """Return the distance of each voxel of a 30 mm cube to the line through its middle along ``direction`` (z, y, x)."""
    offset = np.stack(np.mgrid[0:61, 0:61, 0:61], -1) * SPACING_MM - 15.0
    along = offset @ direction
    return np.sqrt(np.maximum((offset**2).sum(-1) - along**2, 0))


@pytest.mark.parametrize("radius_mm", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_a_tube_answers_with_its_contrast_and_its_direction(radius_mm):
    """A 400 HU tube reads as 400 HU of contrast: 20 % is what sampling of scales and voxels leaves for these radii."""
    direction = np.array([1.0, 0.5, 0.3]) / np.linalg.norm([1.0, 0.5, 0.3])
    hu = np.clip((radius_mm - _distance_mm(direction)) / SPACING_MM + 0.5, 0, 1).astype(np.float32) * 400
    tube = tubeness(hu, SPACING_MM, np.array([[30, 30, 30]]))

    assert tube.contrast_hu[0] == pytest.approx(400, rel=0.2)
    assert abs(float(tube.axis[0] @ direction)) > 0.999


def test_a_wall_is_no_tube():
    """Curvature across a sheet is great in one direction and none in the other: the middle eigenvalue is 0."""
    hu = np.zeros((61, 61, 61), np.float32)
    hu[:, 28:33] = 400
    tube = tubeness(hu, SPACING_MM, np.array([[30, 30, 30]]))

    assert tube.contrast_hu[0] == pytest.approx(0, abs=1e-2)


def test_a_dark_tube_does_not_answer():
    """A coronary lumen is brighter than what is around it, fat and muscle; a dark line between two vessels is no vessel."""
    direction = np.array([1.0, 0.0, 0.0])
    hu = np.where(_distance_mm(direction) < 1.5, 0, 400).astype(np.float32)

    assert tubeness(hu, SPACING_MM, np.array([[30, 30, 30]])).contrast_hu[0] == 0
