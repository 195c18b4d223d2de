"""Voxel paths of masks drawn by hand, whose branches and lengths are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from algorithms.coronary.vessel.cross_section import resampled
from algorithms.coronary.vessel.skeleton import skeleton_of

SPACING = np.array([0.5, 0.4, 0.4])
SHORTEST_MM = 5.0


def drawn(*ways: tuple[list[tuple[float, float, float]], float], shape: tuple[int, int, int] = (100, 60, 60)) -> np.ndarray:
    """Return the mask of tubes: corner points (z, y, x) in mm, and a radius in mm."""
    centres = (np.indices(shape).reshape(3, -1).T * SPACING).astype(np.float32)
    mask = np.zeros(len(centres), dtype=bool)
    for corners, radius in ways:
        far, _ = cKDTree(resampled(np.array(corners, dtype=float), 0.1)).query(centres, distance_upper_bound=radius)
        mask |= np.isfinite(far)
    return mask.reshape(shape)


def seed_at(mask: np.ndarray, point_mm: tuple[float, float, float]) -> np.ndarray:
    voxels = np.argwhere(mask)
    return voxels[[int(np.argmin(np.linalg.norm(voxels * SPACING - point_mm, axis=1)))]]


def traced(mask: np.ndarray, start: tuple[float, float, float] = (5, 12, 12)):
    return skeleton_of(mask, SPACING, seed_at(mask, start), SHORTEST_MM)


TRUNK = ([(5, 12, 12), (45, 12, 12)], 1.2)
SIDE = ([(20, 12, 12), (35, 20, 20)], 0.8)


def test_a_tube_is_one_path_along_its_middle():
    """40 mm and two round ends of 1.2 mm; the voxel path strays from the axis by less than a voxel's diagonal."""
    found = traced(drawn(TRUNK))

    (path,) = found.paths
    middle = path.voxels[3:-3] * SPACING
    assert np.linalg.norm(middle[:, 1:] - 12, axis=1).max() < 0.6
    assert np.ptp(path.voxels[:, 0]) * SPACING[0] == pytest.approx(41.2, abs=1.2)


def test_a_side_branch_starts_on_its_parent_where_it_leaves():
    """It leaves the trunk at z = 20 mm; in the mask it parts up to two diameters later."""
    found = traced(drawn(TRUNK, SIDE))

    trunk, side = found.paths
    assert side.parent == 0
    assert tuple(side.voxels[0]) == tuple(trunk.voxels[side.parent_point])
    assert 18 < side.voxels[0, 0] * SPACING[0] < 25


def test_a_hole_makes_no_second_path():
    """A bubble of 0.6 mm radius in a lumen of 1.2 mm: shortest paths go around it on one side."""
    mask = drawn(TRUNK) & ~drawn(([(25, 12, 12), (25.2, 12, 12)], 0.6))

    assert len(traced(mask).paths) == 1


def test_a_ragged_edge_makes_no_branches():
    """A third of the rim's voxels taken away and a third of those outside added at random: bumps are shorter than 5 mm."""
    rng = np.random.default_rng(1)
    mask = drawn(TRUNK)
    inner, outer = drawn((TRUNK[0], 0.9)), drawn((TRUNK[0], 1.5))
    mask = (mask & ~((mask & ~inner) & (rng.random(mask.shape) < 0.33))) | ((outer & ~mask) & (rng.random(mask.shape) < 0.33))

    assert len(traced(mask).paths) == 1


def test_a_loop_is_cut_and_told():
    """A second way of 30 mm that leaves the trunk and comes back to it: a tree has no loop, and the doubt needs to know."""
    loop = ([(10, 12, 12), (16, 20, 12), (34, 20, 12), (40, 12, 12)], 0.8)

    found = traced(drawn(TRUNK, loop))

    assert len(found.contacts) == 1
    assert found.contacts[0][2] > 25


def test_branches_without_a_loop_have_no_contact():
    """The same branch with an open end."""
    found = traced(drawn(TRUNK, ([(10, 12, 12), (16, 20, 12), (34, 20, 12)], 0.8)))

    assert found.contacts == ()


def test_two_seeds_in_one_piece_are_told():
    """Left and right coronary artery never meet; where the mask joins them something lies between."""
    mask = drawn(TRUNK)
    seeds = np.concatenate([seed_at(mask, (5, 12, 12)), seed_at(mask, (45, 12, 12))])

    assert skeleton_of(mask, SPACING, seeds, SHORTEST_MM).seeds_joined


def test_two_pieces_with_a_seed_each_are_two_trees():
    """Each path knows its seed."""
    mask = drawn(TRUNK, ([(5, 20, 20), (40, 20, 20)], 1.0))
    seeds = np.concatenate([seed_at(mask, (5, 20, 20)), seed_at(mask, (5, 12, 12))])

    found = skeleton_of(mask, SPACING, seeds, SHORTEST_MM)

    assert not found.seeds_joined
    assert [path.seed for path in found.paths] == [1, 0]  # the longer one first
