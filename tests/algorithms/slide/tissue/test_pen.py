"""Pen marks of four colours on glass and on tissue, and stained tissue that must not be taken for pen."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from algorithms.phantom.biopsy.man import man
from algorithms.phantom.biopsy.tissue import tile
from algorithms.slide.tissue.mask import background, balanced
from algorithms.slide.tissue.pen import of_area, pen_mask
from tests.algorithms.slide.painted_slide import PENS, Canvas, mark, shrunk

SLIDE = Canvas(1600, 1600, step=4)
PIXEL_UM = 8.0


def seen(picture: np.ndarray) -> np.ndarray:
    small = SLIDE.overview(picture)
    return pen_mask(balanced(small, background(small)), PIXEL_UM)


@pytest.mark.parametrize("pen", PENS)
@pytest.mark.parametrize("below", ["glass", "tissue"])
@pytest.mark.parametrize("width_um", [80, 400])
def test_a_mark_is_found_whole_and_little_else(pen, below, width_um):
    """All of a stroke's pixels; and nothing beyond the margin of 16 um and the two pixels that its rim shares."""
    picture = SLIDE.glass()
    if below == "tissue":
        SLIDE.stain(picture, SLIDE.disc((800, 800), 620))
    shape = SLIDE.stroke((400, 300), (1100, 1300), width_um * 2)
    around = SLIDE.stroke((400 - 70, 300 - 100), (1100 + 70, 1300 + 100), width_um * 2 + 4 * 2 * 16)
    mark(picture, shape, pen)

    found = seen(picture)

    assert found[SLIDE.part(shape) == 1].all()
    assert not found[SLIDE.part(around) == 0].any()


@pytest.mark.parametrize("seed", range(4))
def test_stained_tissue_is_no_pen(seed):
    """Tissue of men whose slides were stained differently, at the overview's scale, with no mark on it."""
    rng = np.random.default_rng(seed)
    one = man(rng)
    picture = np.concatenate([tile(rng, one, pattern, size_px=320)[0] for pattern in ("stroma", "gleason3", "gleason5")])

    assert not seen_of(picture).any()


def seen_of(picture: np.ndarray) -> np.ndarray:
    return pen_mask(balanced(shrunk(picture, 16), np.full(3, 245.0)), PIXEL_UM)


@pytest.mark.parametrize("hue", [255, 270, 285, 300, 315, 330, 340])
@pytest.mark.parametrize("depth", [0.25, 0.45, 0.6])
def test_no_colour_between_haematoxylin_and_eosin_is_pen(hue, depth):
    """Violet to pink, pale to dense: all that the two stains make."""
    colour = np.array(colorsys.hsv_to_rgb(hue / 360, depth, 1 - 0.5 * depth))

    assert not pen_mask(np.full((40, 40, 3), colour, dtype=np.float32), PIXEL_UM).any()


def test_specks_of_ink_are_no_mark():
    """0.1 mm of green is dust or the inked margin of a core: 0.008 mm2, below 0.02."""
    picture = SLIDE.glass()
    mark(picture, SLIDE.disc((500, 500), 100), "green")

    assert not seen(picture).any()


def test_regions_are_kept_by_their_area():
    """Squares of 3 and 4 pixels of 10 um are 0.0009 and 0.0016 mm2; pixels that touch at a corner are one region."""
    mask = np.zeros((20, 20), dtype=bool)
    mask[1:4, 1:4] = mask[10:14, 10:14] = True
    mask[14, 14] = True

    kept = of_area(mask, 0.001, 10.0)

    assert kept.sum() == 17
    assert kept[10:14, 10:14].all()
