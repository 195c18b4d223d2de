"""The lumens that solvers are judged in have the walls and openings that they say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.references.nozzle import CONE_LENGTH_MM, radius_mm, wall_mm
from tests.algorithms.coronary.lattice.shapes import bend, revolved, turned, vessel

ROTATIONS = [turned((0, 0, 1)), turned((1, 2, 3), 0.7)]


@pytest.mark.parametrize("rotation", ROTATIONS, ids=["along", "oblique"])
def test_a_bent_tubes_wall_lies_one_radius_from_its_axis(rotation):
    """On the arc, inside and outside of the bend, above it and behind both openings."""
    lumen = bend(1.5, 10.0, 4.0, rotation, beyond_mm=2.0)
    x, y, z = rotation.T

    def at(angle: float, out: float, up: float) -> np.ndarray:
        return 10 * x + (10 + out) * (-np.cos(angle) * x + np.sin(angle) * z) + up * y

    on_axis = np.stack([at(angle, 0, 0) for angle in (0, 1, 3.9)] + [-z])
    on_wall = np.stack([at(2, 1.5, 0), at(2, -1.5, 0), at(3.5, 0, 1.5), 1.5 * y - 1.9 * z])

    # Rounding of sums of tens.
    assert lumen.distance_mm(on_axis) == pytest.approx(1.5, abs=1e-12)
    assert lumen.distance_mm(on_wall) == pytest.approx(0, abs=1e-12)
    assert lumen.distance_mm(at(5.2, 0, 0)[None])[0] < -1


@pytest.mark.parametrize("rotation", ROTATIONS, ids=["along", "oblique"])
def test_a_bent_tubes_openings_cut_it_across(rotation):
    """Their normals lead out along the axis, and blood lies on both sides of their planes."""
    lumen = bend(1.5, 10.0, 4.0, rotation)
    for opening in lumen.openings:
        points = opening.centre_mm + np.array([[-0.5], [0], [0.5]]) * opening.normal

        assert lumen.distance_mm(points) == pytest.approx(
            1.5, abs=2e-2
        )  # half a millimetre of arc is off its tangent by 0.0125
        assert np.linalg.norm(opening.normal) == pytest.approx(1)
    assert (lumen.low_mm < lumen.openings[1].centre_mm).all()
    assert (lumen.high_mm > lumen.openings[1].centre_mm).all()


@pytest.mark.parametrize("rotation", ROTATIONS, ids=["along", "oblique"])
def test_the_nozzles_wall_is_that_of_the_benchmark(rotation):
    """12 mm, a cone of 20 degrees, 40 mm of 4 mm, and a face across at 0."""
    lumen = revolved(wall_mm(), (-100.0, 160.0), rotation)
    x, z = rotation[:, 0], rotation[:, 2]
    middle = -40 - CONE_LENGTH_MM / 2

    def depth(place: float, away: float) -> float:
        return float(lumen.distance_mm((place * z + away * x)[None])[0])

    assert CONE_LENGTH_MM == pytest.approx(22.685, abs=5e-4)
    assert depth(-90, 0) == pytest.approx(6)
    assert depth(middle, 0) == pytest.approx(4 * np.cos(np.radians(10)))  # the cone's wall is nearest at a right angle to it
    assert depth(-20, 1) == pytest.approx(1)
    assert depth(1, 4) == pytest.approx(1)  # the face
    assert depth(-1, 4) == pytest.approx(-1)
    assert [radius_mm(np.array([at]))[0] for at in (-90, middle, -20, 0, 1)] == pytest.approx([6, 4, 2, 2, 6])


def test_the_nozzles_openings_are_those_of_its_wide_ends():
    """Blood lies on both sides of each."""
    lumen = revolved(wall_mm(), (-100.0, 160.0), turned((1, 2, 3)))
    for opening in lumen.openings:
        points = opening.centre_mm + np.array([[-1], [0], [1]]) * opening.normal

        assert lumen.distance_mm(points) == pytest.approx(6)
        assert opening.radius_mm == 6


def test_a_vessel_of_a_whole_number_of_millimetres_has_the_openings_of_any_other():
    """A radius is no whole number because a length is."""
    assert vessel(1.5, 9).openings[1].radius_mm == vessel(1.5, 9.0).openings[1].radius_mm
