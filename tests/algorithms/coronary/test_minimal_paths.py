"""Cheapest paths where the cheapest path is known."""

import numpy as np
import pytest

from algorithms.coronary.minimal_paths import march, path_to


def test_cost_along_an_axis_is_length_times_cost_per_mm():
    """Through 2 per mm, 10 voxels of 0.5 mm along an axis are 5 mm and cost 10."""
    cost = np.full((5, 5, 11), 2.0, np.float32)
    arrival, before = march(cost, 0.5, np.array([0]), 1e9)

    assert arrival[0, 0, 10] == pytest.approx(10.0)
    assert path_to(before, 10).tolist() == list(range(11))


def test_a_path_goes_around_what_is_closed():
    """A wall with one hole: the path goes through the hole."""
    cost = np.ones((1, 21, 21), np.float32)
    cost[0, :, 10] = np.inf
    cost[0, 20, 10] = 1.0
    _, before = march(cost, 1.0, np.array([0]), 1e9)

    assert 20 * 21 + 10 in path_to(before, 20).tolist()


def test_nothing_is_reached_beyond_the_budget():
    """With 3 to spend at 1 per mm, a voxel 4 mm away is not reached."""
    arrival, before = march(np.ones((1, 1, 9), np.float32), 1.0, np.array([0]), 3.0)

    assert np.isfinite(arrival[0, 0]).tolist() == [True] * 4 + [False] * 5
    assert before[4] == -1


def test_of_two_seeds_the_nearer_one_is_the_origin():
    """Each voxel's path starts at the seed that is cheapest to come from."""
    _, before = march(np.ones((1, 1, 10), np.float32), 1.0, np.array([0, 9]), 1e9)

    assert path_to(before, 3)[0] == 0
    assert path_to(before, 6)[0] == 9
