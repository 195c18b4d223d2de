"""The overview against the means of the pixels that were written, and what a damaged tile costs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from algorithms.slide.file.tiff import index
from algorithms.slide.pixels.reader import open_slide
from algorithms.slide.tissue.overview import Overview, overview, scale_for
from tests.algorithms.slide.painted_slide import MPP, disc, glass, shrunk, stain, write_slide

SHAPE = (1100, 1500)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    drawn = glass(*SHAPE)
    stain(drawn, disc(SHAPE, (500, 700), 420))
    return drawn


def look(path: Path, wanted_um: float = 8.0) -> Overview:
    with open_slide(path) as slide:
        return overview(slide, MPP, wanted_um)


@pytest.mark.parametrize("downsamples", [(1,), (1, 4), (1, 4, 16)], ids=["one level", "two", "three"])
def test_an_overview_is_the_mean_of_the_level_0_pixels(tmp_path, picture, downsamples):
    """16 x 16 pixels of 0.5 um make one of 8 um, whatever level was read; JPEG at quality 98 keeps each to some levels."""
    seen = look(write_slide(tmp_path / "slide.tiff", picture, downsamples=downsamples, quality=98))

    expected = shrunk(picture, 16).astype(int)
    height, width = expected.shape[:2]
    assert seen.scale == 16
    assert seen.rgb.shape == (69, 94, 3)  # 1100 / 16 and 1500 / 16, rounded up
    np.testing.assert_allclose(seen.rgb[:height, :width], expected, atol=8)
    assert np.abs(seen.rgb[:height, :width] - expected).mean() < 1.5
    assert seen.unreadable == 0


@pytest.mark.parametrize(
    ("width", "height", "mpp", "wanted_um", "scale"),
    [
        pytest.param(60_000, 60_000, 0.25, 8.0, 32, id="40x"),
        pytest.param(2220, 2967, 0.499, 8.0, 16, id="20x"),
        pytest.param(60_000, 60_000, 0.2275, 8.0, 35, id="no power of two"),
        pytest.param(1000, 1000, 1.1, 0.5, 1, id="never finer than the slide"),
        pytest.param(400_000, 240_000, 0.1, 1.0, 64, id="never more than 24 million pixels"),
    ],
)
def test_the_scale_is_a_whole_number_near_what_is_wanted(width, height, mpp, wanted_um, scale):
    """Wanted over mpp, rounded; the last: sqrt(400,000 * 240,000 / 24 million) = 63.2."""
    assert scale_for(width, height, mpp, wanted_um) == scale


def test_a_damaged_tile_is_white_and_counted_and_the_rest_is_read(tmp_path, picture):
    """Tile (2, 1) of a slide of one level is overwritten with zeros: 256 x 256 of 1100 x 1500 pixels, and at most what lies
    in the parts of 64 pixels that touch it.
    """
    path = write_slide(tmp_path / "slide.tiff", picture, downsamples=(1,))
    whole = look(path)
    page = index(path).pages[0]
    number = 2 * page.columns + 1
    with path.open("r+b") as file:
        file.seek(int(page.offsets[number]), io.SEEK_SET)
        file.write(bytes(int(page.byte_counts[number])))

    seen = look(path)

    hole = np.zeros(seen.rgb.shape[:2], dtype=bool)
    hole[32:48, 16:32] = True
    assert (seen.rgb[hole] == 255).all()
    np.testing.assert_array_equal(seen.rgb[~hole], whole.rgb[~hole])
    assert seen.unreadable == pytest.approx(hole.mean())
