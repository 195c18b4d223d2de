"""The developed velocity over a cut, against closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.lattice.profile import developed
from tests.algorithms.coronary.lattice.shapes import vessel


@dataclass(frozen=True)
class Ellipse:
    """A straight vessel along z with half axes of 2 and 1 mm."""

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return a first-order distance: the level over its gradient."""
        x, y = points_mm[:, 0], points_mm[:, 1]
        level = 1 - x**2 / 4 - y**2
        return level / np.maximum(np.hypot(x / 2, 2 * y), 0.3)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_a_circle_has_a_parabola(axis):
    """2 / (pi R^2) (1 - r^2/R^2) per unit of flow; on 24 points across."""
    lumen = vessel(1.5, 9, axis, beyond_mm=3)
    profile = developed(lumen, lumen.openings[0], 0.125)
    places = np.array([[r] for r in (0.0, 0.6, 1.2)]) * profile.axes[:1]

    assert profile.area_mm2 == pytest.approx(np.pi * 1.5**2, rel=2e-3)
    assert profile.at(places) == pytest.approx(2 / (np.pi * 1.5**2) * (1 - np.array([0, 0.16, 0.64])), rel=0.01)


def test_an_ellipse_has_its_own():
    """2 / (pi a b) (1 - x^2/a^2 - y^2/b^2): the exact solution of Poisson's equation; not a function of the distance."""
    cut = Opening("cut", True, np.zeros(3), np.array([0.0, 0, 1]), 2**0.5)
    profile = developed(Ellipse(), cut, 0.1)
    places = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0.5, 0], [1, 0.5, 0]])

    assert profile.at(places) == pytest.approx(2 / (2 * np.pi) * np.array([1, 0.75, 0.75, 0.5]), rel=0.02)
