"""Centrelines that are found in a lumen, against those from which it was made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.centrelines import centrelines
from algorithms.coronary.geometry.labelled import LabelVolume, labelled_lumen
from algorithms.coronary.geometry.surface import surface_lumen
from algorithms.coronary.geometry.surface_file import Named
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.tree import Branch, Tree
from tests.algorithms.coronary.geometry.surfaces import tube_surface
from tests.algorithms.coronary.lattice.shapes import fork, narrowed, turned, vessel

FINE = np.linspace(0, 1, 4001)[:, None]


def off(branch, axis_mm):
    """Return how far the points of a branch lie from a line (N, 3), over the branch's radius, and where along it (0 to 1)."""
    away, nearest = cKDTree(axis_mm).query(branch.points_mm)
    return away / branch.radius_mm, nearest / (len(axis_mm) - 1)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_a_stenosed_tube_has_its_axis_and_its_radii(axis):
    """80 % of the area taken: the middle within 1 % of the radius, radii within 0.5 %; it ends on the openings."""
    radius = narrowed(1.5, 6, 6, 0.8)
    lumen = vessel(radius, 12, axis, beyond_mm=3)
    (branch,) = centrelines(lumen).branches
    away, place = off(branch, 12 * FINE * lumen.rotation[:, 2])

    assert away.max() < 0.01
    assert branch.radius_mm == pytest.approx(radius(12 * place), rel=5e-3)
    assert branch.points_mm[[0, -1]] == pytest.approx(np.array([o.centre_mm for o in lumen.openings]), abs=0.01)
    assert branch.radius_mm.min() == pytest.approx(1.5 * 0.2**0.5, rel=5e-3)
    assert branch.name == "outlet"


@pytest.mark.parametrize("bend_radii", [3, 5])
def test_a_bent_tube_keeps_its_bend(bend_radii):
    """A quarter of a circle: a smoothed line would cut the bend; 1 % of the radius is allowed."""
    angle = np.pi / 2 * FINE[::50]
    points = 1.5 * bend_radii * np.hstack([np.cos(angle), np.sin(angle), 0 * angle])
    radius = np.full(len(points), 1.5)
    lumen = swept_lumen(Tree((Branch("bent", None, None, points, radius, radius, 0 * radius, np.zeros(len(radius), int)),)))
    (branch,) = centrelines(lumen).branches
    bend = np.linalg.norm(branch.points_mm[:, :2], axis=1)

    assert bend == pytest.approx(1.5 * bend_radii, abs=0.015)
    assert branch.points_mm[:, 2] == pytest.approx(0, abs=0.015)
    assert branch.radius_mm == pytest.approx(1.5, rel=5e-3)
    assert branch.distance_mm[-1] == pytest.approx(np.pi / 2 * 1.5 * bend_radii, rel=2e-3)


@pytest.mark.parametrize("half_angle", [0.35, 0.6, 1.0])
@pytest.mark.parametrize("daughters_mm", [(1.2, 1.2), (1.3, 0.7)])
def test_a_fork_is_a_tree_at_any_angle(half_angle, daughters_mm):
    """The wider daughter goes on from the trunk, the other starts on it; both lie where they should, clear of the division."""
    rotation = turned((1, 2, 3), 0.7)
    lumen = fork(1.5, daughters_mm, 8.0, rotation, half_angle)
    main, side = centrelines(lumen).branches
    ways = {opening.name: 8 * FINE * (opening.centre_mm / 8) for opening in lumen.openings}

    assert (main.name, main.parent, side.name, side.parent) == ("left", None, "right", 0)
    assert (side.points_mm[0] == main.points_mm[side.parent_point]).all()
    assert np.linalg.norm(side.points_mm[0]) < 2  # where their walls part, and not before
    for branch, names, radii in ((main, ("inlet", "left"), (1.5, daughters_mm[0])), (side, ("right",), daughters_mm[1:])):
        for name, radius in zip(names, radii, strict=True):
            away, place = off(branch, ways[name])
            # Daughters of one radius part their walls at r / sin(half angle); half a radius more is clear of their edge.
            clear = (place * 8 > radius / np.sin(half_angle) + radius) & (away < 0.5)
            assert clear.sum() >= 5
            assert away[clear].max() < 0.03
            assert branch.radius_mm[clear] == pytest.approx(radius, rel=0.02)
    assert side.radius_mm[:3] == pytest.approx(daughters_mm[1], rel=0.05)  # its own width, though it starts in the trunk


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_a_surface_shows_no_triangles_in_its_centreline(axis):
    """A taper whose distances are known near the wall only."""
    towards = np.array(axis) / np.linalg.norm(axis)
    vertices, faces = tube_surface(lambda s: 2.2 - 0.1 * s, 12, axis=axis)
    lumen = surface_lumen(Named(vertices, faces, np.full(len(faces), "")))
    (branch,) = centrelines(lumen).branches
    away, place = off(branch, 12 * FINE * towards)

    assert away.max() < 0.01
    assert branch.radius_mm == pytest.approx(2.2 - 1.2 * place, rel=0.01)


def test_a_labelled_volume_shows_no_voxels_in_its_centreline():
    """A tube of 7.5 voxels across, oblique to them: the middle within a twentieth of the radius, the radius within 3 %."""
    voxel, axis = 0.4, np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    points = np.stack(np.meshgrid(*[np.arange(n) for n in (56, 44, 32)], indexing="ij"), axis=-1)[..., ::-1] * voxel
    start = np.array([6.4, 8.8, 11.2]) - 8 * axis
    along = (points - start) @ axis
    inside = (np.linalg.norm(points - start - along[..., None] * axis, axis=-1) < 1.5) & (along > 0) & (along < 16)
    labels = inside.astype(np.int32) + (inside & (along < voxel)) + 2 * (inside & (along > 16 - voxel))
    (branch,) = centrelines(labelled_lumen(LabelVolume(labels, np.full(3, voxel), np.zeros(3), np.eye(3)))).branches
    away, _ = off(branch, start + 16 * FINE * axis)

    assert branch.name == "outlet 3"
    assert away.max() < 0.05
    assert branch.radius_mm == pytest.approx(1.5, rel=0.03)
    assert branch.distance_mm[-1] == pytest.approx(16 - voxel, abs=voxel)


@pytest.mark.parametrize(
    ("lumen", "message"),
    [
        pytest.param(vessel(lambda z: np.abs(z - 4) - 0.3, 8), "outlet outlet is not reached from the inlet", id="closed"),
        pytest.param(replace(vessel(1.5, 8), openings=vessel(1.5, 8).openings[1:]), "0 inlets and 1 outlets", id="no inlet"),
    ],
)
def test_a_lumen_without_a_way_through_is_refused(lumen, message):
    """With what to do."""
    with pytest.raises(DataError, match=message):
        centrelines(lumen)
