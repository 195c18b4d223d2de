"""The painted tissue: a function of place, with the colours, nuclei and lumens that its labels promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes
from skimage.morphology import disk, opening

from algorithms.phantom.biopsy import man as men
from algorithms.phantom.biopsy import tissue

PLAIN = men.Stain(1.0, 1.0, (0.0, 0.0))


@pytest.fixture(scope="module")
def one():
    """Return a man of middling tissue in the usual stain."""
    return replace(men.man(np.random.default_rng(3)), pleomorphism=0.5, lymphocytes=0.1, stain=PLAIN)


def only(pattern, size=60):
    """Return a region wholly of one pattern, 480 um wide."""
    code = men.PATTERNS.index(pattern)
    return tissue.Region(np.full((size, size), code, np.uint8), np.full((size, size), 100.0, np.float32), (0.0, 0.0), 8.0)


def window(one, pattern, corner=(128.0, 128.0), size=(400, 400), mpp=0.5):
    """Return a picture of one pattern."""
    return tissue.field(one, one.stain, only(pattern), tissue.Window(corner, size, mpp), 5)


def haematoxylin(picture):
    """Return the strength of haematoxylin at each pixel by colour deconvolution (Ruifrok and Johnston 2001)."""
    density = -np.log10(np.maximum(picture, 1) / np.array(tissue.GLASS_RGB))
    dyes = np.array([np.array(v) / np.linalg.norm(v) for v in (tissue.HAEMATOXYLIN, tissue.EOSIN)])
    return (density @ np.linalg.pinv(dyes))[..., 0]


@pytest.mark.parametrize("pattern", men.PATTERNS)
def test_a_window_shows_what_the_whole_shows(one, pattern):
    """Tissue is a function of place: slides are painted in strips, and no seam may betray them."""
    whole = window(one, pattern)
    part = window(one, pattern, corner=(128.0 + 70.0, 128.0 + 35.0), size=(120, 90))

    assert np.array_equal(whole[70:160, 140:260], part)


def test_both_magnifications_show_the_same_tissue(one):
    """Four pixels of 0.25 um average to about one of 0.5 um; nuclear borders and grain make up the tolerance."""
    coarse = window(one, "gleason3").astype(float)
    fine = window(one, "gleason3", size=(800, 800), mpp=0.25).reshape(400, 2, 400, 2, 3).mean(axis=(1, 3))

    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.97
    assert np.abs(coarse - fine).mean() < 6


def test_lumens_tell_the_gland_patterns_from_stroma_and_sheets(one):
    """Bright holes: large in benign glands, small in Gleason 3 and 4, none in stroma and in Gleason 5."""
    white = {name: (window(one, name).min(axis=2) > 225).mean() for name in men.PATTERNS}

    assert white["benign"] > 0.15
    assert 0.02 < white["gleason3"] < white["benign"]
    assert 0.02 < white["gleason4"] < white["benign"]
    assert max(white["stroma"], white["gleason5"]) < 0.02


def test_sheets_hold_more_nuclei_than_stroma(one):
    """Solid Gleason 5 is the most cellular pattern, stroma the least."""
    nuclei = {name: (haematoxylin(window(one, name)) > 0.4).mean() for name in men.PATTERNS}

    assert nuclei["stroma"] < nuclei["gleason3"] < nuclei["gleason5"]


def test_lymphocytes_darken_the_stroma_in_proportion(one):
    """The share of very dark pixels must rise with the man's variable, or no image could tell who benefits from ADT."""
    dark = [(haematoxylin(window(replace(one, lymphocytes=level), "stroma")) > 0.85).mean() for level in (0.0, 0.5, 1.0)]

    assert dark[0] < 0.005
    assert 1.5 < dark[2] / dark[1] < 2.5


def test_nuclei_grow_with_pleomorphism(one):
    """Opening removes what is narrower than 8 um: more nuclear area survives where nuclei are larger."""
    survives = []
    for level in (0.1, 0.5, 0.9):
        nuclei = binary_fill_holes(haematoxylin(window(replace(one, pleomorphism=level), "gleason5")) > 0.35)
        survives.append(opening(nuclei, disk(8)).sum() / nuclei.sum())

    assert 2 * survives[0] < survives[1]
    assert 1.3 * survives[1] < survives[2]


def test_a_tile_has_its_size_and_its_labels(one):
    """A pattern asked for fills the middle; shares of the tissue are a partition."""
    picture, labels = tissue.tile(np.random.default_rng(1), one, "gleason4", size_px=96)

    assert (96, 96, 3) == picture.shape
    assert np.uint8 == picture.dtype
    assert 1 == pytest.approx(sum(labels[name] for name in men.PATTERNS))
    assert labels["gleason4"] > 0.5


def test_tiles_of_a_man_hold_his_patterns(one):
    """The mean share of each pattern over many tiles is his area fraction; 4 standard errors of 400 tiles."""
    rng = np.random.default_rng(2)
    shares = [tissue.tile(rng, one, size_px=32)[1] for _ in range(400)]

    for name in men.PATTERNS:
        found = np.mean([labels[name] for labels in shares])
        assert found == pytest.approx(one.patterns[name], abs=4 * 0.5 / 20)


def test_a_seed_gives_the_same_tile(one):
    """Training sets and slides must be the same on every run."""
    first, second = (tissue.tile(np.random.default_rng(9), one)[0] for _ in range(2))

    assert np.array_equal(first, second)


def test_stains_differ_in_hue_and_strength(one):
    """A model that learns one stain is worth nothing at the next laboratory."""
    strong = replace(one, stain=men.Stain(1.3, 0.8, (0.05, -0.05)))

    assert np.abs(window(one, "gleason3").astype(int) - window(strong, "gleason3")).mean() > 8
