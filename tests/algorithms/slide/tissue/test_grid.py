"""The grid of tiles against closed forms: where tiles begin, and how much of each a mask covers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from algorithms.slide.tissue import grid
from tests.algorithms.slide.painted_slide import disc


def test_a_tile_of_an_odd_scale_begins_within_half_a_pixel_of_where_it_should():
    """At 0.499 um a tile of 112 um is 224.449 pixels: the 400th begins at 89,779.6, not at 400 times 224 = 89,600."""
    extent = grid.extent_px(224, 0.5, 0.499)

    x, y = grid.positions(100_000, 300, extent)

    assert extent == pytest.approx(112 / 0.499)
    assert set(y) == {0}
    np.testing.assert_allclose(x, np.arange(len(x)) * extent, atol=0.5)
    assert x[400] == 89_780


@example(width=157, height=625, mpp=0.7168354203168068, tile_px=224)
@given(
    width=st.integers(1, 5000), height=st.integers(1, 5000), mpp=st.floats(0.1, 1.1), tile_px=st.sampled_from([64, 224, 512])
)
def test_tiles_lie_inside_the_slide_and_none_is_missing(width, height, mpp, tile_px):
    """As many tiles as fit; the last may be dropped where its rounded corner pushes it out by less than a pixel.

    Half a pixel may come from rounding that corner up, and half from rounding the corner before it down.
    """
    extent = grid.extent_px(tile_px, 0.5, mpp)

    x, y = grid.positions(width, height, extent)

    assert (x + extent <= width + 1e-5).all()
    assert (y + extent <= height + 1e-5).all()
    for side, starts in ((width, np.unique(x)), (height, np.unique(y))):
        if len(x):
            assert side - (starts[-1] + extent) < extent + 1
    assert [(b, a) for a, b in zip(x, y, strict=True)] == sorted((b, a) for a, b in zip(x, y, strict=True))  # row by row


def test_the_same_scene_at_twice_the_pixels_has_the_same_tiles():
    """10 x 8 mm at 0.5 and at 0.25 um: positions in micrometres are equal."""
    coarse = grid.positions(20_000, 16_000, grid.extent_px(224, 0.5, 0.5))
    fine = grid.positions(40_000, 32_000, grid.extent_px(224, 0.5, 0.25))

    np.testing.assert_array_equal(np.array(coarse) * 2, fine)


def test_cover_is_the_mean_of_the_mask_over_the_tile():
    """A mask of pixels 16 wide, and tiles that cut through them: the mean of the mask drawn at full size."""
    mask = np.random.default_rng(0).random((20, 30)) < 0.4
    drawn = np.kron(mask, np.ones((16, 16)))
    x, y = np.array([0, 5, 133, 479 - 101]), np.array([0, 7, 50, 319 - 101])

    covered = grid.cover(mask, 16, x, y, 101.0)

    expected = [drawn[b : b + 101, a : a + 101].mean() for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(covered, expected, atol=1e-12)


def test_a_half_pixel_of_extent_counts_half():
    """A tile of 1.5 mask pixels over a mask whose second column is set: 0.5 of 1.5 columns."""
    mask = np.array([[False, True, False]] * 3)

    assert grid.cover(mask, 10, np.array([0]), np.array([0]), 15.0) == pytest.approx([0.5 / 1.5])


def test_tiles_of_a_disc_sum_up_to_its_area():
    """Tiles that part the plane keep the area: pi r^2 for r = 700 of 1600 pixels, to what a pixel of 8 rounds at the rim."""
    mask = disc((200, 200), (100, 100), 700 / 8)
    extent = 100.0
    x, y = grid.positions(1600, 1600, extent)

    area = grid.cover(mask, 8, x, y, extent).sum() * extent**2

    assert area == pytest.approx(mask.sum() * 64, rel=1e-12)
    assert area == pytest.approx(np.pi * 700**2, rel=2e-3)
