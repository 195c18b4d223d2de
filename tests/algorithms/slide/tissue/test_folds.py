"""Folds are found where light passed twice, and dense tissue of one stain is not taken for them."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.slide.tissue.folds import elongation, fold_mask
from algorithms.slide.tissue.mask import background, balanced
from tests.algorithms.slide.painted_slide import Canvas

SLIDE = Canvas(1600, 1600, step=4)
PIECE = SLIDE.disc((800, 800), 740)
STRIP = SLIDE.stroke((500, 250), (1000, 1350), 160)
"""80 um wide, 0.6 mm long."""


def seen(picture: np.ndarray) -> np.ndarray:
    small = SLIDE.overview(picture)
    tissue = SLIDE.part(PIECE) == 1
    return fold_mask(balanced(small, background(small)), tissue, 8.0)


def tissue() -> np.ndarray:
    picture = SLIDE.glass()
    SLIDE.stain(picture, PIECE)
    return picture


def dyed(densities: tuple[float, float, float]) -> np.ndarray:
    """Return tissue with more of a stain in the strip: light is weakened by these densities."""
    picture = tissue()
    picture[STRIP] = (picture[STRIP] * 10 ** -np.array(densities)).astype(np.uint8)
    return picture


def test_a_fold_is_found():
    """A second layer of the section in the strip: nine tenths of it, and nothing two pixels away."""
    picture = tissue()
    SLIDE.stain(picture, STRIP)

    found = seen(picture)

    assert found[SLIDE.part(STRIP) == 1].mean() > 0.9
    assert not found[SLIDE.part(SLIDE.stroke((485, 217), (1015, 1383), 160 + 64)) == 0].any()


@pytest.mark.parametrize(
    "densities",
    [pytest.param((0.33, 0.35, 0.15), id="haematoxylin"), pytest.param((0.03, 0.45, 0.05), id="eosin")],
)
def test_a_dense_strip_of_one_stain_is_no_fold(densities):
    """Crowded nuclei and thick collagen are dense too, but not in both stains alike."""
    assert not seen(dyed(densities)).any()


def test_a_dense_round_nest_is_no_fold():
    """Two layers in a disc: folds are strips."""
    picture = tissue()
    SLIDE.stain(picture, SLIDE.disc((800, 800), 160))

    assert not seen(picture).any()


def test_even_tissue_has_no_folds():
    """Nothing is twice as dense as what lies beside it."""
    assert not seen(tissue()).any()


@pytest.mark.parametrize(("length", "width"), [(100, 10), (60, 20), (200, 8)])
def test_elongation_is_length_over_width(length, width):
    """A rectangle; the mean distance in pixels to the rim, and the ends, are off by what a pixel of the width is."""
    assert elongation(np.ones((width, length), dtype=bool)) == pytest.approx(length / width, rel=0.35)
