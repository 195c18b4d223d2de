"""A witness's blocks lie where they must, and the limits stand though part of the sample is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.slide.pixels.suspicion import LEAST_LIMITS, STEPS, UNKNOWN, Grid, Judged, blocks, differences, limits
from algorithms.slide.pixels.windows import Mosaic


@pytest.mark.parametrize(("ratio", "factor"), [(2, 8), (4, 8), (8, 4), (16, 2), (32, 1), (64, 1), (128, 1)])
def test_blocks_cover_about_32_pixels_of_the_judged_level(ratio, factor):
    """Factor times ratio is 32 where JPEG can be reduced by that; 16 pixels of a level half as fine are the least there is."""
    side = 8192
    found = blocks(Mosaic(side, side, 256, 256), Mosaic(side // ratio, side // ratio, 256, 256), ratio)

    assert factor == found.factor
    assert (np.diff(found.x_edges) == factor * ratio).all()


def test_a_level_whose_pixels_are_larger_than_half_a_tile_is_no_witness():
    """One pixel would have to speak for the whole tile."""
    assert blocks(Mosaic(65536, 65536, 256, 256), Mosaic(256, 256, 256, 256), 256) is None


def test_differences_are_those_of_the_means():
    """A tile of one colour with a stripe: the block that holds a quarter of the stripe is off by a quarter, its row by less."""
    tile = np.full((64, 64, 3), 100, np.uint8)
    tile[32:, 32:40] = 180
    edges = np.array([0, 32, 64])
    grid = Grid(np.full((2, 2, 3), 100 * STEPS, np.int16), edges, edges)

    found = differences(Judged(tile.reshape(1, 64, -1), np.array([0]), np.array([0]), 1), grid)

    assert [[20 * STEPS, 10 * STEPS]] == found.tolist()


def test_fibres_along_a_row_do_not_put_the_whole_row_off():
    """One line in four is dark, and of a block one line in four is read: four blocks side by side read one each, so their mean
    is exact, where with the same lines read in all of them an intact tile of fibrous tissue would look damaged.
    """
    tile = np.full((16, 64, 3), 200, np.uint8)
    tile[::4] = 100
    x_edges, y_edges = np.arange(0, 65, 16), np.array([0, 16])
    grid = Grid(np.full((1, 4, 3), 175 * STEPS, np.int16), x_edges, y_edges)

    found = differences(Judged(tile.reshape(1, 16, -1), np.array([0]), np.array([0]), 1), grid)

    assert [[75 * STEPS, 0]] == found.tolist()


def test_blocks_of_fewer_lines_than_are_skipped_are_still_read():
    """A witness half as fine of small tiles has blocks of two lines."""
    tile = np.full((2, 16, 3), 90, np.uint8)
    grid = Grid(np.full((1, 8, 3), 90 * STEPS, np.int16), np.arange(0, 17, 2), np.array([0, 2]))

    found = differences(Judged(tile.reshape(1, 2, -1), np.array([0]), np.array([0]), 1), grid)

    assert [[0, 0]] == found.tolist()


def test_a_tile_of_which_the_witness_knows_nothing_is_not_judged():
    """A level that could not be decoded there neither clears nor condemns."""
    edges = np.array([0, 32, 64])
    grid = Grid(np.full((2, 2, 3), UNKNOWN, np.int16), edges, edges)

    found = differences(Judged(np.zeros((1, 64, 192), np.uint8), np.array([0]), np.array([0]), 1), grid)

    assert [[UNKNOWN, UNKNOWN]] == found.tolist()


def test_limits_stand_though_two_fifths_of_the_sample_are_damaged():
    """The median does not move by much; an average would let everything pass."""
    whole = np.tile([[100, 40]], (30, 1))
    damaged = np.tile([[1500, 900]], (18, 1))

    assert limits(whole).tolist() == limits(np.concatenate([whole, damaged])).tolist()
    assert [300, 120] == limits(whole).tolist()


def test_a_pyramid_of_exact_means_has_the_least_limits():
    """Below them JPEG itself makes a difference."""
    assert LEAST_LIMITS.tolist() == limits(np.zeros((48, 2), np.int64)).tolist()
    assert LEAST_LIMITS.tolist() == limits(np.empty((0, 2), np.int64)).tolist()
