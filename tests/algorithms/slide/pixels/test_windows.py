"""Windows are cut from tiles without losing a pixel, and reduced by exact area means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.slide.pixels.windows import DAMAGED, EMPTY, Mosaic, Squares, Store, cut, cut_of, damage, touched

MOSAIC = Mosaic(width=75, height=50, tile_width=20, tile_height=16)


def store_of(picture: np.ndarray) -> Store:
    """Return the tiles of ``picture``, which is as large as `MOSAIC`, in slots of another order; black beyond its edge."""
    padded = np.zeros((MOSAIC.rows * 16, MOSAIC.columns * 20, 3), np.uint8)
    padded[:50, :75] = picture
    tiles = padded.reshape(MOSAIC.rows, 16, MOSAIC.columns, 60).transpose(0, 2, 1, 3).reshape(-1, 16, 60)
    order = np.random.default_rng(1).permutation(len(tiles)).astype(np.int32)
    slots = np.empty_like(tiles)
    slots[order] = tiles
    return Store(slots, order)


def picture(seed: int = 0) -> np.ndarray:
    """Return noise of the size of `MOSAIC`."""
    return np.random.default_rng(seed).integers(0, 256, (50, 75, 3), dtype=np.uint8)


def shares(extent: float, pixels: int, side: int) -> np.ndarray:
    """Return what part of each output pixel, (pixels, side), each of ``side`` level pixels fills."""
    scale = extent / pixels
    edges = np.arange(pixels + 1) * scale
    below = np.clip(edges[:, None] - np.arange(side), 0, 1)
    return (below[1:] - below[:-1]) / scale


@settings(max_examples=30, deadline=None, derandomize=True)
@given(left=st.integers(-30, 80), top=st.integers(-30, 60), side=st.integers(1, 40))
def test_a_copied_window_is_the_picture_there_and_white_beyond_it(left, top, side):
    """What numpy cuts from the whole picture in a white surrounding."""
    whole = np.full((170, 195, 3), 255, np.uint8)
    whole[50:100, 50:125] = picture()
    out = np.empty((1, side, side, 3), np.uint8)

    cut(store_of(picture()), MOSAIC, Squares(np.array([left]), np.array([top]), side), cut_of(side, side), out)

    expected = whole[50 + top : 50 + top + side, 50 + left : 50 + left + side]
    assert np.array_equal(expected, out[0, : expected.shape[0], : expected.shape[1]])
    assert (out[0, expected.shape[0] :] == 255).all()
    assert (out[0, :, expected.shape[1] :] == 255).all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(left=st.integers(-5, 70), top=st.integers(-5, 45), extent=st.floats(4, 40), pixels=st.integers(2, 16))
def test_a_reduced_window_holds_the_means_over_the_area_of_each_pixel(left, top, extent, pixels):
    """The closed form in floating point: the part of every level pixel that an output pixel covers, times its value."""
    how = cut_of(extent, pixels)
    out = np.empty((1, pixels, pixels, 3), np.uint8)

    cut(store_of(picture()), MOSAIC, Squares(np.array([left]), np.array([top]), how.side), how, out)

    if how.factor:
        return
    whole = np.full((150, 175, 3), 255.0)
    whole[50:100, 50:125] = picture()
    part = whole[50 + top : 50 + top + how.side, 50 + left : 50 + left + how.side]
    weights = shares(extent, pixels, how.side)
    expected = np.einsum("iy,yxc,jx->ijc", weights[:, : part.shape[0]], part, weights[:, : part.shape[1]])
    inside = (slice(0, int(min(pixels, (part.shape[0] - 1) // (extent / pixels)))),) * 2
    # Weights of 11 bits are off by half of 2^-11 each; with 255 grey levels, two axes and up to 12 taps that is a grey level.
    assert np.abs(expected - out[0])[inside].max(initial=0) < 1.5


@pytest.mark.parametrize("extent", [7.0, 8.1, 15.9, 23.456, 37.5])
def test_a_reduced_window_of_one_grey_level_keeps_it(extent):
    """Conservation: the weights of a pixel add up to one exactly, so that white glass stays white."""
    for grey in (0, 1, 127, 254, 255):
        how = cut_of(extent, 8)
        out = np.empty((1, 8, 8, 3), np.uint8)
        flat = np.full((50, 75, 3), grey, np.uint8)
        cut(store_of(flat), MOSAIC, Squares(np.array([3]), np.array([2]), how.side), how, out)

        assert (out == grey).all()


def test_a_scale_within_two_percent_of_a_whole_one_is_taken_for_whole():
    """224 px of 0.5 um are 224.45 px of 0.499 um and 443.6 px of 0.2525 um: to resample would blur for one percent or less."""
    assert [1, 1, 2, 2, 4] == [cut_of(extent, 224).factor for extent in (224.45, 220.0, 448.0, 443.6, 900.0)]
    assert [0, 0, 0] == [cut_of(extent, 224).factor for extent in (229.0, 336.0, 480.0)]


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_a_whole_scale_gives_means_of_squares(factor):
    """Numpy's sums; halves are rounded up."""
    pixels = 40 // factor
    out = np.empty((1, pixels, pixels, 3), np.uint8)
    how = cut_of(float(factor * pixels), pixels)

    cut(store_of(picture()), MOSAIC, Squares(np.array([17]), np.array([9]), how.side), how, out)

    part = picture()[9 : 9 + how.side, 17 : 17 + how.side].reshape(pixels, factor, pixels, factor, 3).astype(int)
    assert np.array_equal((part.sum(axis=(1, 3)) + factor * factor // 2) // factor**2, out[0])


def test_windows_know_which_tiles_they_need_and_which_of_those_are_damaged():
    """Windows of 20 px in tiles of 20 x 16: the first lies in two tiles, the second in six, the third at the edge in one."""
    squares = Squares(np.array([0, 10, 60]), np.array([0, 10, 48]), 20)
    slot_of = np.full(MOSAIC.rows * MOSAIC.columns, EMPTY, np.int32)
    slot_of[5] = DAMAGED

    assert [0, 4, 0, 1, 4, 5, 15] == touched(MOSAIC, squares).tolist()
    assert [-1, 5, -1] == damage(MOSAIC, squares, slot_of).tolist()
