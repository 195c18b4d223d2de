"""Names by where vessels run about the heart, of courses that are drawn on an ellipsoid."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.coronary.heart_axes import HeartAxes
from algorithms.coronary.vessel.belief import shortened
from algorithms.coronary.vessel.cross_section import arc_length_mm
from algorithms.coronary.vessel.naming import named_again, named_courses
from algorithms.coronary.vessel.tracing import Vessel
from algorithms.coronary.vessel.ways import Course
from tests.algorithms.coronary.painted_heart import ANTERIOR, LENGTH_MM, LONG_AXIS, SEPTUM, on_heart

AXES = HeartAxes(np.zeros(3), LONG_AXIS, LENGTH_MM, SEPTUM, ANTERIOR, measured=True)
FORK = (60, -0.05, 6)


def course(knots: list[tuple[float, float, float]]) -> Course:
    points = on_heart(knots)
    return Course(points, np.full(len(points), 1.5), None, None, "left")


def left_dominant(groove_height: float) -> list[Course]:
    """Return LM, LAD and an LCx that runs at this height to the inferior groove and there on towards the apex."""
    trunk = course([(30, -0.12, 6), (45, -0.1, 8), FORK])
    fork = len(trunk.points_mm) - 1
    lad = course([FORK, (55, 0.15, 3), (50, 0.4, 3), (55, 0.65, 3), (50, 0.88, 3)])
    around = [(angle, groove_height, 3) for angle in (110, 150, 190, 230, 262)]
    lcx = course([FORK, *around, (278, 0.25, 3), (282, 0.5, 3)])
    return [trunk, *(Course(c.points_mm, c.radius_mm, 0, fork, "left") for c in (lad, lcx))]


@pytest.mark.parametrize("groove_height", [-0.05, 0.1, 0.18], ids=["at the base", "a little below it", "well below it"])
def test_the_circumflex_becomes_the_posterior_descending_artery_in_the_inferior_groove(groove_height):
    """However well the base was found; the PDA is what runs to the apex there."""
    found = {c.name: c for c in named_courses(left_dominant(groove_height), AXES)}

    assert set(found) == {"LM", "LAD", "LCx", "L-PDA"}
    assert arc_length_mm(found["LCx"].points_mm)[-1] > 60
    turned = AXES.angle_deg(found["L-PDA"].points_mm) % 360
    assert turned.min() > 255
    assert AXES.height(found["L-PDA"].points_mm)[-1] > 0.45


def with_branch(tree: list[Course], parent: int, at_mm: float, knots: list[tuple[float, float, float]]) -> list[Course]:
    """Return the tree with a branch that leaves a course this far from its beginning and goes through ``knots``."""
    trunk = tree[parent].points_mm
    point = int(np.searchsorted(arc_length_mm(trunk), at_mm))
    branch = np.concatenate([trunk[point : point + 1], on_heart(knots)])
    return [*tree, Course(branch, np.full(len(branch), 1.0), parent, point, "left")]


LAD, LCX = 1, 2
BETWEEN = [(85, 0.15, 3), (105, 0.3, 3), (115, 0.5, 3), (120, 0.65, 3)]


@pytest.mark.parametrize(
    ("parent", "at_mm", "knots", "name"),
    [
        pytest.param(LAD, 5.0, BETWEEN, "RI", id="beside the parting"),
        pytest.param(LAD, 25.0, BETWEEN, "D1", id="farther on"),
        pytest.param(LCX, 50.0, [(160, 0.2, 3), (170, 0.4, 3), (175, 0.6, 3)], "OM1", id="to the side wall"),
        pytest.param(LCX, 80.0, [(215, 0.2, 3), (222, 0.4, 3), (225, 0.6, 3)], "OM1", id="beyond the obtuse margin"),
        pytest.param(LCX, 102.0, [(248, 0.2, 3), (248, 0.4, 3), (248, 0.6, 3)], "L-PLB", id="beside the inferior groove"),
    ],
)
def test_a_side_branch_is_named_by_where_it_leaves_and_where_it_leads(parent, at_mm, knots, name):
    """Also beside an LAD that wraps around the apex, whose tip lies on the inferior wall."""
    tree = left_dominant(-0.05)
    around = on_heart([(50, 0.88, 3), (30, 0.97, 3), (-60, 0.97, 3), (-75, 0.85, 3)])
    lad = np.concatenate([tree[LAD].points_mm, around[1:]])
    tree[LAD] = replace(tree[LAD], points_mm=lad, radius_mm=np.full(len(lad), 1.5))

    found = named_courses(with_branch(tree, parent, at_mm, knots), AXES)

    assert {c.name for c in found} == {"LM", "LAD", "LCx", "L-PDA", name}


def test_a_short_right_artery_is_the_one_in_the_groove_and_not_its_longer_marginal():
    """Where the left tree feeds the inferior wall; the marginal's tip lies far down, but before the lower side."""
    trunk = on_heart([(30, -0.12, 20), (10, -0.08, 32), (0, -0.06, 34)])
    fork = len(trunk) - 1
    groove = on_heart([(0, -0.06, 34), (-20, 0.0, 34), (-40, 0.02, 26), (-50, 0.03, 20)])
    marginal = on_heart([(0, -0.06, 34), (-14, 0.2, 36), (-24, 0.45, 34), (-31, 0.7, 22)])
    tree = [(trunk, None, None), (groove, 0, fork), (marginal, 0, fork)]

    found = named_courses([Course(p, np.full(len(p), 1.0), parent, at, "right") for p, parent, at in tree], AXES)

    ends = {c.name: c.points_mm[-1] for c in found}
    assert ends["RCA"] == pytest.approx(groove[-1])
    assert len(ends) == 2


def test_the_last_diagonal_is_not_the_lad_because_it_ends_nearer_to_the_apex():
    """It runs beside the groove, on the side wall."""
    trunk, lad, lcx = left_dominant(-0.05)
    short = replace(lad, points_mm=on_heart([FORK, (70, 0.15, 3), (78, 0.4, 3), (86, 0.65, 3), (87, 0.92, 3)]))
    short = replace(short, radius_mm=np.full(len(short.points_mm), 1.5))
    beside = [(84, 0.5, 3), (88, 0.7, 3), (90, 0.9, 3), (90, 1.0, 3)]

    found = named_courses(with_branch([trunk, short, lcx], LAD, 35.0, beside), AXES)

    ends = {c.name: c.points_mm[-1] for c in found}
    assert ends["LAD"] == pytest.approx(short.points_mm[-1])
    assert "D1" in ends


def test_a_right_artery_that_sinks_before_the_crux_is_one_up_to_it():
    """Its last 30 mm slope towards the apex at 45 degrees; the posterior descending artery begins where it turns down."""
    groove = [(20, -0.12, 20), (-10, -0.1, 14), (-40, -0.1, 8), (-66, -0.1, 5), (-93, 0.12, 3)]
    trunk = on_heart([*groove, (-90, 0.35, 3), (-86, 0.72, 3)])
    crux = on_heart(groove)[-1]

    found = {c.name: c for c in named_courses([Course(trunk, np.full(len(trunk), 1.5), None, None, "right")], AXES)}

    assert set(found) == {"RCA", "R-PDA"}
    assert np.linalg.norm(found["RCA"].points_mm[-1] - crux) < 6


def test_what_hung_on_a_vein_gets_the_name_that_it_has_without_it():
    """A vein beside the diagonal was D1 and the diagonal its branch: cut down to their common beginning, they are one D1."""
    tree = with_branch(left_dominant(-0.05), LAD, 25.0, BETWEEN)
    vein = tree[-1].points_mm
    aside = np.concatenate([vein[8:9], vein[9:] + np.array([0.0, -2.0, 0.0])])
    courses = named_courses([*tree, Course(aside, np.full(len(aside), 0.7), 3, 8, "left")], AXES)
    vessels = [traced_like(c) for c in courses]
    (branch,) = (i for i, v in enumerate(vessels) if v.name == "D1a")
    (stub,) = (i for i, v in enumerate(vessels) if v.name == "D1")
    vessels[stub] = shortened(vessels[stub], (vessels[branch].parent_point or 0) + 1)

    found = {v.name: v for v in named_again(vessels, AXES)}

    assert set(found) == {"LM", "LAD", "LCx", "L-PDA", "D1"}
    assert len(found["D1"].points_mm) == len(vessels[stub].points_mm) + len(vessels[branch].points_mm) - 1
    assert found["D1"].core_hu[-1] == vessels[branch].core_hu[-1]
    assert all(len(a) == len(v.points_mm) for v in found.values() for a in (v.radius_mm, v.radius_sd_mm, v.core_hu, v.trusted))


def traced_like(course: Course) -> Vessel:
    """Return a course as if it had been traced, with the length of its name for its blood."""
    count = len(course.points_mm)
    place = (course.name, course.side, course.parent, course.parent_point, course.points_mm, course.radius_mm)
    return Vessel(*place, np.full(count, 0.05), np.full(count, float(len(course.name))), np.ones(count, dtype=bool), 1.0)
