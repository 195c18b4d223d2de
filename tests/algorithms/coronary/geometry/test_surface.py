"""The lumen inside a surface has the walls and the openings of the file, and what is no vessel is refused."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.sampled import closed_surface, interpolated_mm, sampled
from algorithms.coronary.geometry.surface import surface_lumen
from algorithms.coronary.geometry.surface_file import Named, read_stl, read_vtp
from tests.algorithms.coronary.geometry.surfaces import (
    lidded,
    sphere_surface,
    tube_surface,
    write_solids,
    write_stl,
    write_vtp,
)

AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)


def named(vertices, faces, name=None):
    """Return the surface as a file would give it."""
    return Named(vertices, faces, np.full(len(faces), "") if name is None else name)


def in_the_tube(along_mm, radius_mm):
    """Return points at distances along and from the oblique axis, at random angles."""
    turn = np.random.default_rng(3).uniform(0, 2 * np.pi, len(along_mm))
    across = np.linalg.svd(AXIS[None])[2][1:]
    return along_mm[:, None] * AXIS + radius_mm[:, None] * (
        np.cos(turn)[:, None] * across[0] + np.sin(turn)[:, None] * across[1]
    )


def test_the_distance_to_a_sphere():
    """Inside and outside, near and far; the surface itself is 5 um inside the sphere by its flat triangles of 0.2 mm."""
    vertices, faces = sphere_surface()
    samples = sampled(closed_surface(vertices, faces), 0.1, 0.5)
    points = np.random.default_rng(1).uniform(-3, 3, (20000, 3))
    true = 2 - np.linalg.norm(points, axis=1)
    found = interpolated_mm(points, samples)
    near = np.abs(true) < 0.4

    assert found[near] == pytest.approx(true[near], abs=0.01)
    assert ((found > 0) == (true > 0))[np.abs(true) > 0.01].all()
    assert (np.abs(found[~near]) > 0.38).all()
    assert (np.abs(found) <= 0.5 + 1e-6).all()


def test_the_wall_of_an_oblique_tube_is_where_it_is():
    """96 sides of equal area lie within 0.1 % of the radius; samples 0.1 mm apart add a micrometre."""
    lumen = surface_lumen(named(*tube_surface(1.5, 20)))
    rng = np.random.default_rng(2)
    along, radius = rng.uniform(0, 20, 20000), rng.uniform(1.05, 1.95, 20000)

    assert lumen.distance_mm(in_the_tube(along, radius)) == pytest.approx(1.5 - radius, abs=0.004)


def test_an_end_is_cut_square_and_extended():
    """The larger end of a taper is the inlet; 2 diameters before it and 3 behind the outlet, with the end's own radius."""
    surface = named(*tube_surface(lambda s: 1.5 - 0.75 * s / 20, 20))
    lumen = surface_lumen(surface, inlet_diameters=2, outlet_diameters=3)
    inlet, outlet = lumen.openings

    assert (inlet.name, inlet.inlet, outlet.name, outlet.inlet) == ("inlet", True, "outlet 1", False)
    assert inlet.centre_mm == pytest.approx(-6 * AXIS, abs=1e-5)
    assert outlet.centre_mm == pytest.approx((20 + 4.5) * AXIS, abs=1e-5)
    assert inlet.normal == pytest.approx(-AXIS, abs=1e-6)
    assert outlet.normal == pytest.approx(AXIS, abs=1e-6)
    assert (inlet.radius_mm, outlet.radius_mm) == pytest.approx((1.5, 0.75), rel=1e-6)
    rim = in_the_tube(np.array([-6.0, -3, 21, 24.5]), np.array([1.5, 1.5, 0.75, 0.75]))
    assert lumen.distance_mm(rim) == pytest.approx(0, abs=0.004)
    assert lumen.distance_mm(in_the_tube(np.array([-8.0, 26]), np.zeros(2))).max() < 0  # one radius further it is closed
    ends = np.stack([inlet.centre_mm, outlet.centre_mm])
    assert (lumen.low_mm < ends).all()
    assert (lumen.high_mm > ends).all()


def test_a_surface_turned_inside_out_is_the_same_lumen():
    """Programs disagree on which side of a triangle is outside."""
    vertices, faces = tube_surface(1.5, 10)
    points = np.random.default_rng(4).uniform(-1, 8, (2000, 3))
    one, two = (surface_lumen(named(vertices, f)).distance_mm(points) for f in (faces, faces[:, ::-1]))

    assert one == pytest.approx(two, abs=1e-6)


@pytest.mark.parametrize("kind", ["stl", "vtp"])
def test_lids_name_the_openings(tmp_path, kind):
    """Solids of an ASCII STL, or the string array of a VTP; who asks may say which of them is the inlet."""
    path = tmp_path / f"vessel.{kind}"
    write, read = (write_solids, read_stl) if kind == "stl" else (write_vtp, read_vtp)
    write(path, *lidded(*tube_surface(1.5, 10)))
    lumen = surface_lumen(read(path), inlet="ostium")

    assert [(o.name, o.inlet) for o in sorted(lumen.openings, key=lambda o: o.centre_mm @ AXIS)] == [
        ("ostium", True),
        ("LAD", False),
    ]


@pytest.mark.parametrize("kind", ["stl", "vtp"])
def test_a_file_without_names_is_read(tmp_path, kind):
    """A binary STL in single precision and a VTP: the corners that STL repeats are one again."""
    path = tmp_path / f"vessel.{kind}"
    (write_stl if kind == "stl" else write_vtp)(path, *tube_surface(1.5, 10))
    lumen = surface_lumen((read_stl if kind == "stl" else read_vtp)(path))

    assert {o.name for o in lumen.openings} == {"inlet", "outlet 1"}
    assert [o.radius_mm for o in lumen.openings] == pytest.approx([1.5, 1.5], rel=1e-5)


def joined(*surfaces):
    """Return several surfaces as one file."""
    count = np.cumsum([0, *(len(v) for v, _ in surfaces)])
    return np.concatenate([v for v, _ in surfaces]), np.concatenate([f + n for (_, f), n in zip(surfaces, count, strict=False)])


def with_a_fin():
    """Return a tube with a triangle that stands on one of its edges."""
    vertices, faces = tube_surface(1.5, 10)
    return np.concatenate([vertices, vertices[500:501] * 1.1]), np.concatenate([faces, [[*faces[500][:2], len(vertices)]]])


def with_a_hole():
    """Return a tube that lacks one triangle of its wall."""
    vertices, faces = tube_surface(1.5, 10)
    return vertices, np.delete(faces, 500, axis=0)


def folded():
    """Return a tube whose wall is pushed through the opposite wall in one place."""
    vertices, faces = tube_surface(1.5, 10)
    pushed = vertices.copy()
    row = np.arange(20 * 96, 20 * 96 + 3)
    pushed[row] -= 2.4 * (vertices[row] - (vertices[row] @ AXIS)[:, None] * AXIS)
    return pushed, faces


def turned_in_part():
    """Return a tube with one triangle seen from inside."""
    vertices, faces = tube_surface(1.5, 10)
    faces[500] = faces[500][::-1]
    return vertices, faces


def one_end():
    """Return a tube with a lid on its first end."""
    vertices, faces, _ = lidded(*tube_surface(1.5, 10))
    return vertices, faces[: -(96 - 2)]


def against_a_branch():
    """Return a U whose outlet faces its own other leg: an extension of the outlet would run into it."""
    turn = np.linspace(0, 1.75 * np.pi, 150)
    angle = 2 * np.pi * np.arange(48) / 48
    ring = 4 + np.cos(angle)
    vertices = np.stack([np.outer(np.cos(turn), ring), np.outer(np.sin(turn), ring), np.tile(np.sin(angle), (150, 1))], axis=-1)
    number = np.arange(150 * 48).reshape(150, 48)
    a, b = number[:-1].ravel(), np.roll(number[:-1], -1, axis=1).ravel()
    c, d = np.roll(number[1:], -1, axis=1).ravel(), number[1:].ravel()
    return vertices.reshape(-1, 3), np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


@pytest.mark.parametrize(
    ("surface", "said"),
    [
        pytest.param(sphere_surface(), "the surface is closed", id="closed"),
        pytest.param(one_end(), "has one open end", id="blind"),
        pytest.param(joined(tube_surface(1.5, 10), sphere_surface(0.5)), "in 2 separate pieces", id="island"),
        pytest.param(with_a_fin(), "three triangles or more", id="fin"),
        pytest.param(turned_in_part(), "inside and outside change sides", id="turned"),
        pytest.param(folded(), "crosses itself", id="crossing"),
        pytest.param(with_a_hole(), r"a hole of 0\.\d+ mm radius at", id="hole"),
        pytest.param((np.zeros((3, 3)) * np.nan, np.array([[0, 1, 2]])), "no number", id="nan"),
        pytest.param(tube_surface(1.5e-3, 10e-3, step_mm=1e-3), "multiply its lengths by 1000", id="metres"),
        pytest.param(tube_surface(1500, 10000, step_mm=1000), "divide its lengths by 1000", id="micrometres"),
    ],
)
def test_what_is_no_vessel_is_refused(surface, said):
    """Each message says what was found, and what to do."""
    with pytest.raises(DataError, match=said):
        surface_lumen(named(*surface))


def test_an_opening_against_another_branch_is_refused():
    """The end of a ring of 315 degrees faces its beginning: the straight extension runs into it."""
    assert len(surface_lumen(named(*against_a_branch())).openings) == 2
    with pytest.raises(DataError, match="runs into the vessel"):
        surface_lumen(named(*against_a_branch()), inlet_diameters=0, outlet_diameters=4)


def test_an_inlet_that_is_not_there_is_refused():
    """The message lists the openings that there are."""
    with pytest.raises(DataError, match="no opening named ostium to be the inlet; there are inlet, outlet 1"):
        surface_lumen(named(*tube_surface(1.5, 10)), inlet="ostium")


def test_a_file_cut_short_is_refused(tmp_path):
    """An STL announces how many triangles it has."""
    path = tmp_path / "vessel.stl"
    write_stl(path, *tube_surface(1.5, 10))
    path.write_bytes(path.read_bytes()[:-700])

    with pytest.raises(DataError, match="cut short"):
        read_stl(path)
