"""The lumen of centrelines with radii has the walls, the cuts and the refusals that it should."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.crop import cropped
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.tree import Tree, read_tree
from tests.algorithms.coronary.invented_case import invented_tree
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, tube
from tests.phantoms import small_coronary

OBLIQUE = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)


def around(axis, points, along, radius):
    """Return points at the given distance along a straight axis and the given radius from it, one a random angle."""
    turn = np.random.default_rng(3).uniform(0, 2 * np.pi, len(along))
    across = np.linalg.svd(axis[None])[2][1:]
    outward = np.cos(turn)[:, None] * across[0] + np.sin(turn)[:, None] * across[1]
    return points + along[:, None] * axis + radius[:, None] * outward


def test_the_wall_of_an_oblique_tube_is_where_it_is():
    """A straight tube of 1.5 mm: the distance is the radius minus the distance from the axis, exactly."""
    lumen = swept_lumen(Tree((tube("LAD", 20, 1.5, direction=tuple(OBLIQUE)),)))
    rng = np.random.default_rng(1)
    along, radius = rng.uniform(0, 20, 2000), rng.uniform(0, 2.4, 2000)

    assert lumen.distance_mm(around(OBLIQUE, np.zeros(3), along, radius)) == pytest.approx(1.5 - radius, abs=1e-9)


def test_a_point_far_away_is_outside():
    """Far from the wall a lower bound is enough: it is negative, and no nearer than it says."""
    lumen = swept_lumen(Tree((tube("LAD", 20, 1.5),)))

    far = lumen.distance_mm(np.array([[5.0, 0, 10], [500, 0, 0], [0, 0, -400]]))
    assert (far < 0).all()
    assert (far >= [-3.5, -500, -400]).all()


def test_the_wall_of_a_cone_is_perpendicular_to_the_wall():
    """From 1.5 to 0.75 mm over 40 mm: the distance is measured along the wall's normal, cos(atan(0.75 / 40)) of the radial."""
    lumen = swept_lumen(Tree((tube("LAD", 40, lambda d: 1.5 - 0.75 * d / 40, direction=tuple(OBLIQUE)),)))
    rng = np.random.default_rng(2)
    along, offset = rng.uniform(1, 39, 2000), rng.uniform(-0.5, 0.5, 2000)
    radius = 1.5 - 0.75 * along / 40 + offset

    # The nearest point of the axis stands for the nearest of the wall: second order in the slope, 0.5 x 0.019^2.
    assert lumen.distance_mm(around(OBLIQUE, np.zeros(3), along, radius)) == pytest.approx(
        -offset * np.cos(np.arctan(0.75 / 40)), abs=2e-4
    )


def test_a_smooth_stenosis_between_points_half_a_millimetre_apart_is_met():
    """Radius of a cosine stenosis of 70 % area over 6 mm: a chain of round cones would be 5 % too wide on its slopes."""
    radius = cosine_stenosis(10, 6, 1.5, 0.7)
    lumen = swept_lumen(Tree((tube("LAD", 20, radius),)))
    along = np.linspace(0.5, 19.5, 500)

    on_the_wall = lumen.distance_mm(around(np.array([0.0, 0, 1]), np.zeros(3), along, radius(along)))
    assert np.abs(on_the_wall).max() < 0.004  # monotone cubic through points 0.5 mm apart; 0.25 % of the radius


def test_a_bend_of_a_torus_keeps_its_radius():
    """A quarter of a torus, 10 mm around and 1.5 mm thick, from points 0.5 mm apart."""
    turn = np.linspace(0, np.pi / 2, 33)
    line = tube("LAD", 16, 1.5)
    lumen = swept_lumen(Tree((replace(line, points_mm=np.stack([10 * np.cos(turn), 10 * np.sin(turn), 0 * turn], axis=1)),)))
    rng = np.random.default_rng(4)
    phi, theta, rho = rng.uniform(0.05, 1.5, 2000), rng.uniform(0, 2 * np.pi, 2000), rng.uniform(0.8, 2.0, 2000)
    ring = 10 + rho * np.cos(theta)
    points = np.stack([ring * np.cos(phi), ring * np.sin(phi), rho * np.sin(theta)], axis=1)

    assert lumen.distance_mm(points) == pytest.approx(1.5 - rho, abs=5e-4)  # pieces of 0.1 mm on a bend of 10 mm


def test_ends_are_cut_square_and_extended():
    """An inlet 2 diameters before the first point, an outlet 5 behind the last, normals along the axis and outward."""
    lumen = swept_lumen(Tree((tube("LAD", 20, 1.5, direction=tuple(OBLIQUE)),)), inlet_diameters=2, outlet_diameters=5)
    inlet, outlet = lumen.openings

    assert (inlet.name, inlet.inlet, outlet.name, outlet.inlet) == ("inlet", True, "LAD", False)
    assert inlet.centre_mm == pytest.approx(-6 * OBLIQUE)
    assert outlet.centre_mm == pytest.approx(35 * OBLIQUE)
    assert inlet.normal == pytest.approx(-OBLIQUE)
    assert outlet.normal == pytest.approx(OBLIQUE)
    assert (inlet.radius_mm, outlet.radius_mm) == (1.5, 1.5)
    rim = around(OBLIQUE, np.zeros(3), np.array([-6.0, -5, 0, 20, 34, 35]), np.full(6, 1.4))
    assert lumen.distance_mm(rim) == pytest.approx(0.1)  # the wall is known to the very plane of the opening
    assert (lumen.low_mm <= np.minimum(inlet.centre_mm, outlet.centre_mm)).all()


def y_shape():
    """Return a stem that divides into two equal daughters, mirrored in x."""
    stem = tube("stem", 10, 1.5)
    sides = [
        tube(n, 15, 1.2, parent=0, parent_point=20, origin_mm=(0, 0, 10), direction=(x, 0, 2)) for n, x in (("a", 1), ("b", -1))
    ]
    return Tree((stem, *sides))


def test_a_symmetric_bifurcation_is_symmetric_and_has_a_fillet():
    """Mirrored points have one distance; at the crotch blood reaches beyond the plain union, at the outer walls it does not."""
    lumen = swept_lumen(y_shape())
    points = np.random.default_rng(5).uniform(lumen.low_mm, lumen.high_mm, (20000, 3))
    here, there = lumen.distance_mm(points), lumen.distance_mm(points * [-1, 1, 1])
    axis = np.array([1.0, 0, 2]) / np.sqrt(5)
    crotch = 10 + 1.2 * np.sqrt(5)  # where the plain walls of the daughters cross, on the axis of symmetry

    assert here == pytest.approx(there, abs=1e-12)
    assert 0 < lumen.distance_mm(np.array([[0, 0, crotch]]))[0] < 0.25 * 1.2 / 2
    assert lumen.distance_mm(np.array([[0, 1.5, 8.0]])) == pytest.approx(0, abs=1e-9)
    outer = np.array([0, 0, 10]) + 6 * axis + 1.2 * np.array([2.0, 0, -1]) / np.sqrt(5)
    assert lumen.distance_mm(outer[None]) == pytest.approx(0, abs=1e-9)


def test_two_vessels_in_line_are_not_swollen_where_they_meet():
    """A daughter that goes straight on with its parent's radius: a fillet there would widen the vessel."""
    on = tube("on", 10, 1.5, parent=0, parent_point=20, origin_mm=(0, 0, 10))
    off = tube("off", 10, 0.8, parent=0, parent_point=20, origin_mm=(0, 0, 10), direction=(1, 0, 0.2))
    lumen = swept_lumen(Tree((tube("stem", 10, 1.5), on, off)))
    along = np.linspace(1, 19, 100)

    wall = lumen.distance_mm(np.stack([np.full(100, -1.5), np.zeros(100), along], axis=1))
    assert wall == pytest.approx(0, abs=1e-9)


def test_the_openings_of_a_tree_are_its_ostia_and_its_tips():
    """LM divides and has no outlet; names are those of the branches, so that boundary.json can name them."""
    lumen = swept_lumen(coronary_tree())

    assert [o.name for o in lumen.openings if o.inlet] == ["LM inlet", "RCA inlet"]
    assert [o.name for o in lumen.openings if not o.inlet] == ["LAD", "LCx", "D1", "OM1", "RCA", "R-PDA"]


def test_a_curved_tree_has_its_points_inside():
    """Every point of the centrelines lies in blood, as deep as its radius at least."""
    tree = invented_tree()
    lumen = swept_lumen(tree)
    points = np.concatenate([b.points_mm for b in tree.branches])
    radius = np.concatenate([b.radius_mm for b in tree.branches])

    assert (lumen.distance_mm(points) > 0.95 * radius).all()


def test_a_crop_has_an_inlet_the_vessel_and_its_side_branches():
    """Around 5 to 45 mm of the LAD's path: from within the left main to behind the lesion; the circumflex is a side branch."""
    tree = coronary_tree(0.7)
    part = cropped(tree, 1, 5, 45)
    lumen = swept_lumen(part.tree, ends=part.ends)

    assert [(c.name, c.branch) for c in part.cuts] == [("inlet", 0), ("LAD", 1), ("LCx", 2)]
    assert part.cuts[0].distance_mm == pytest.approx(5)
    assert part.cuts[1].distance_mm == pytest.approx(35)
    assert [o.name for o in lumen.openings] == [c.name for c in part.cuts]
    for cut, opening in zip(part.cuts, lumen.openings, strict=True):
        whole = tree.branches[cut.branch]
        where = [np.interp(cut.distance_mm, whole.distance_mm, whole.points_mm[:, k]) for k in range(3)]
        assert opening.centre_mm == pytest.approx(np.array(where))


def test_a_crop_of_a_side_branch_leaves_the_parent_as_a_side_branch():
    """Along the first diagonal from within the LAD: what goes on of the LAD becomes an outlet."""
    part = cropped(coronary_tree(), 3, 40, 70)

    assert [(c.name, c.branch) for c in part.cuts] == [("inlet", 1), ("D1", 3), ("LAD", 1)]
    assert part.cuts[2].distance_mm > 40


@pytest.mark.parametrize("from_mm", [9.0, 10.5, 12.0, 13.0])
def test_a_cut_in_a_bifurcation_is_moved_upstream(from_mm):
    """The left main ends at 10 mm: a plane there, or where its daughters still touch, would cut both of them."""
    part = cropped(coronary_tree(0.7), 1, from_mm, 45)
    lumen = swept_lumen(part.tree, ends=part.ends)

    assert part.cuts[0].branch == 0
    assert part.cuts[0].distance_mm < 9
    assert [o.name for o in lumen.openings] == ["inlet", "LAD", "LCx"]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_lesion_of_a_phantom_can_be_cut_out(seed, tmp_path):
    """From 10 mm before to 20 mm behind each stenosis of a painted tree, and the whole tree too."""
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(small_coronary(seed).tree))
    tree = read_tree(path)

    assert len(swept_lumen(tree).openings) > 5
    for lesion in tree.stenoses:
        distance = tree.ostium_distance_mm(lesion.branch)
        part = cropped(tree, lesion.branch, distance[lesion.start] - 10, distance[lesion.end] + 20)
        assert [o.name for o in swept_lumen(part.tree, ends=part.ends).openings] == [c.name for c in part.cuts]


def test_nothing_left_to_crop_is_refused():
    """A lesion beyond the vessel's tip is a mistake of whoever asks."""
    with pytest.raises(DataError, match=r"110\.0 mm long and nothing of it lies from 150\.0"):
        cropped(coronary_tree(), 1, 150, 160)


def bad(name, **changed):
    """Return a tube with some of its fields changed."""
    return Tree((replace(tube(name, 20, 1.5), **changed),))


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        pytest.param(bad("LAD", radius_mm=np.r_[np.full(40, 1.5), 0.0]), "radius of 0 mm", id="zero"),
        pytest.param(bad("LAD", radius_mm=np.r_[np.full(40, 1.5), -1.0]), "radius of -1 mm", id="negative"),
        pytest.param(bad("LAD", radius_mm=np.r_[np.full(40, 1.5), np.nan]), "radius of nan mm", id="no number"),
        pytest.param(bad("LAD", radius_mm=np.full(41, 1.5e-3)), "in metres multiply its lengths by 1000", id="metres"),
        pytest.param(bad("LAD", radius_mm=np.full(41, 1500.0)), "divide its lengths by 1000", id="micrometres"),
        pytest.param(Tree((tube("LAD", 1.0, 1.5),)), "longer than wide", id="stump"),
    ],
)
def test_a_bad_radius_is_refused(tree, said):
    """Never a wrong number: the message names the branch, what was found and what to do."""
    with pytest.raises(DataError, match=said) as caught:
        swept_lumen(tree)
    assert "LAD" in str(caught.value)


def test_an_outlet_inside_another_branch_is_refused():
    """A side branch of 1.2 mm on a trunk of 1.5 mm radius ends before it has left it."""
    side = tube("D1", 1.2, 0.5, parent=0, parent_point=20, origin_mm=(0, 0, 10), direction=(1, 0, 0))

    with pytest.raises(DataError, match="opening D1 lies inside branch LAD"):
        swept_lumen(Tree((tube("LAD", 20, 1.5), side)))


def test_vessels_that_touch_where_they_do_not_meet_are_refused():
    """Two roots cross 10 mm from the beginning of the second, each 1.5 mm in radius: blood would flow across."""
    crossing = tube("RCA", 20, 1.5, origin_mm=(-10, 0, 10), direction=(1, 0, 0))

    with pytest.raises(DataError, match=r"RCA touches branch LAD 7\.\d mm from its origin"):
        swept_lumen(Tree((tube("LAD", 20, 1.5), crossing)))
