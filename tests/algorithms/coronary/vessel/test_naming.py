"""Names by where vessels run about the heart, of courses that are drawn on an ellipsoid."""

import numpy as np
import pytest

from algorithms.coronary.heart_axes import HeartAxes
from algorithms.coronary.vessel.cross_section import arc_length_mm
from algorithms.coronary.vessel.naming import Course, named_courses
from tests.algorithms.coronary.painted_heart import ANTERIOR, LENGTH_MM, LONG_AXIS, SEPTUM, on_heart

AXES = HeartAxes(np.zeros(3), LONG_AXIS, LENGTH_MM, SEPTUM, ANTERIOR, measured=True)
FORK = (60, -0.05, 6)


def course(knots: list[tuple[float, float, float]], parent: int | None = None) -> Course:
    points = on_heart(knots)
    end = None if parent is None else -1
    return Course(points, np.full(len(points), 1.5), parent, end, "left")


def left_dominant(groove_height: float) -> list[Course]:
    """Return LM, LAD and an LCx that runs at this height to the inferior groove and there on towards the apex."""
    trunk = course([(30, -0.12, 6), (45, -0.1, 8), FORK])
    fork = len(trunk.points_mm) - 1
    lad = course([FORK, (55, 0.15, 3), (50, 0.4, 3), (55, 0.65, 3), (50, 0.88, 3)])
    around = [(angle, groove_height, 3) for angle in (110, 150, 190, 230, 262)]
    lcx = course([FORK, *around, (278, 0.25, 3), (282, 0.5, 3)])
    return [trunk, *(Course(c.points_mm, c.radius_mm, 0, fork, "left") for c in (lad, lcx))]


@pytest.mark.parametrize("groove_height", [-0.05, 0.1], ids=["at the base", "a little below it"])
def test_the_circumflex_becomes_the_posterior_descending_artery_in_the_inferior_groove(groove_height):
    """However well the base was found; the PDA is what runs to the apex there."""
    found = {c.name: c for c in named_courses(left_dominant(groove_height), AXES)}

    assert set(found) == {"LM", "LAD", "LCx", "L-PDA"}
    assert arc_length_mm(found["LCx"].points_mm)[-1] > 60
    turned = AXES.angle_deg(found["L-PDA"].points_mm) % 360
    assert turned.min() > 225
    assert AXES.height(found["L-PDA"].points_mm)[-1] > 0.45
