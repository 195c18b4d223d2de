"""Masks of slides whose tissue is known: what must be found, and what must not."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from algorithms.slide.tissue import mask
from algorithms.slide.tissue.mask import PEN, TISSUE, Areas, find
from tests.algorithms.slide.painted_slide import Canvas, mark

AREAS = Areas(speck_mm2=0.02, hole_mm2=0.02)
SLIDE = Canvas(1600, 3200, step=4)


def labels(picture: np.ndarray) -> np.ndarray:
    return find(SLIDE.overview(picture), 8.0, AREAS)


def dice(found: np.ndarray, shape: np.ndarray) -> float:
    true = SLIDE.part(shape) >= 0.5
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def test_otsu_is_that_of_scikit_image():
    """Two humps of different height and width."""
    rng = np.random.default_rng(0)
    values = np.clip(np.concatenate([rng.normal(6, 3, 9000), rng.normal(90, 20, 1500)]), 0, 255).astype(np.uint8)

    assert mask.otsu(values) == pytest.approx(threshold_otsu(values), abs=1)  # where the humps are parted, many thresholds do


@pytest.mark.parametrize("colour", [(255, 255, 255), (242, 241, 243), (205, 205, 200), (236, 230, 214)])
def test_an_empty_slide_has_no_tissue(colour):
    """White, as a scanner gives it, grey, and yellowish; noise of two grey levels.  Otsu alone would halve the noise."""
    assert not labels(SLIDE.glass(colour)).any()


def test_fragments_of_a_thin_core_are_all_found():
    """A core of 0.3 mm in pieces of 0.15 to 0.5 mm with gaps of 50 um: all of them, with their shape."""
    picture = SLIDE.glass()
    shape = np.zeros(SLIDE.shape, dtype=bool)
    for begin, end in ((100, 400), (500, 1300), (1400, 2400), (2500, 3100)):
        shape |= SLIDE.stroke((800, begin), (800, end), 600)
    SLIDE.stain(picture, shape)

    assert dice(labels(picture) == TISSUE, shape) > 0.96  # half a pixel of the rim, all around


@pytest.mark.parametrize("colour", [(242, 241, 243), (210, 210, 206)])
def test_pale_stroma_is_found_beside_dense_tissue(colour):
    """A third of the stain, saturation 25 of 255 against the other half's 80: Otsu alone would leave it out."""
    picture = SLIDE.glass(colour)
    dense, pale = SLIDE.stroke((800, 200), (800, 1600), 900), SLIDE.stroke((800, 1600), (800, 3000), 900)
    whole = picture.copy()
    SLIDE.stain(whole, pale)
    picture[pale] = (0.66 * picture[pale] + 0.34 * whole[pale]).astype(np.uint8)
    SLIDE.stain(picture, dense)

    assert dice(labels(picture) == TISSUE, dense | pale) > 0.96


def test_lumens_belong_to_tissue_and_large_holes_do_not():
    """Holes of 0.1 mm are 0.008 mm2, one of 0.4 mm is 0.126 mm2; the bound is 0.02."""
    picture = SLIDE.glass()
    small = SLIDE.disc((800, 900), 100) | SLIDE.disc((600, 1300), 100)
    large = SLIDE.disc((800, 2300), 400)
    SLIDE.stain(picture, SLIDE.stroke((800, 200), (800, 3000), 1200) & ~small & ~large)

    found = labels(picture) == TISSUE

    assert found[50, 56]
    assert found[37, 81]
    assert not found[50, 143]


def test_dust_shadows_and_specks_are_no_tissue():
    """Dark neutral dust, the grey shadow of a coverslip's edge, brown grains, and stained specks of 0.1 mm."""
    picture = SLIDE.glass()
    picture[:, 25:35] = (picture[:, 25:35] * 0.6).astype(np.uint8)
    for column in range(400, 3000, 400):
        picture[SLIDE.disc((400, column), 30)] = (60, 50, 45)
        picture[SLIDE.disc((900, column), 12)] = (20, 20, 20)
    SLIDE.stain(picture, SLIDE.disc((1300, 1500), 90))

    assert not (labels(picture) == TISSUE).any()


def test_glue_of_yellow_or_green_is_no_tissue():
    """Hues that haematoxylin and eosin do not make."""
    picture = SLIDE.glass()
    picture[SLIDE.disc((800, 800), 500)] = (235, 225, 150)
    picture[SLIDE.disc((800, 2300), 500)] = (215, 235, 190)

    assert not (labels(picture) == TISSUE).any()


def test_pen_is_never_tissue_and_tissue_beside_it_stays():
    """A blue mark across a core: the core's rest is tissue, the mark is pen."""
    picture = SLIDE.glass()
    core, line = SLIDE.stroke((800, 200), (800, 3000), 900), SLIDE.stroke((100, 1500), (1500, 1700), 160)
    SLIDE.stain(picture, core)
    mark(picture, line, "blue")

    found = labels(picture)

    assert not (found[SLIDE.part(line) == 1] != PEN).any()
    margin = SLIDE.stroke((60, 1494), (1540, 1706), 160 + 96)
    assert dice(found == TISSUE, core & ~margin) > 0.96
