"""The range of the phantom: what a word stands for, and that a scan shows what it says."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from algorithms.phantom.coronary.person import ct_grid, draw_person
from algorithms.phantom.coronary.phantom import coronary_parts
from algorithms.phantom.coronary.variety import CASES, DIFFICULTIES, KERNELS, NAMES, USUAL, Variety, variety_of, wide
from tests.phantoms import small_coronary


def test_every_word_stands_for_settings():
    """All words are known, the plain ones are plain, and each named case differs from the usual scan."""
    for name in NAMES:
        assert isinstance(variety_of(name, 3), Variety)
    assert variety_of("easy", 3) == Variety()
    assert len(set(CASES.values())) == len(CASES)


def test_wide_covers_the_range_and_repeats_itself():
    """Of 200 seeds every kernel occurs, noise and contrast reach both ends, and one seed always gives the same scan."""
    drawn = [wide(seed) for seed in range(200)]

    assert drawn[7] == wide(7)
    assert {v.kernel for v in drawn} == set(KERNELS)
    assert min(v.noise_hu for v in drawn) < 11
    assert max(v.noise_hu for v in drawn) > 45
    assert min(v.contrast for v in drawn) < 0.6
    assert max(v.contrast for v in drawn) > 1.2
    for field in fields(Variety):
        if field.name == "smear_mm":  # the plain scan's motion; the wide one moves the whole heart
            continue
        assert len({getattr(v, field.name) for v in drawn}) > 1, field.name


def test_settings_are_put_over_a_difficulty():
    """Numbers, words and none are read; what is not declared is refused by name."""
    variety = variety_of("usual", 1, {"kernel": "sharp", "noise_hu": "30", "slice_step_mm": "none"})

    assert (variety.kernel, variety.noise_hu, variety.slice_step_mm) == ("sharp", 30.0, None)
    assert variety.hardening == USUAL.hardening
    for wrong in ({"colour": "red"}, {"kernel": "blunt"}, {"noise_hu": "much"}):
        with pytest.raises(ValueError, match=r"must be|no setting"):
            variety_of("easy", 1, wrong)
    with pytest.raises(ValueError, match="difficulty must be one of"):
        variety_of("simple", 1)


@pytest.mark.parametrize("scale", [0.82, 1.2])
def test_small_and_large_hearts_fit_into_the_scan(scale):
    """Vessels grow with the heart, and the scan grows where the heart would not fit into its 125 mm."""
    usual, other = draw_person(2), draw_person(2, Variety(heart_scale=scale))
    grid = ct_grid(other, "full", Variety(heart_scale=scale))
    index = grid.index_zyx(np.concatenate([v.points_mm for v in other.vessels]))

    assert other.heart.scale == pytest.approx(usual.heart.scale * scale)
    assert (index > 3).all()
    assert (index < np.array(grid.shape) - 4).all()
    assert grid.shape[0] <= 320


def test_slices_are_as_far_apart_as_asked_but_never_nearer_than_pixels():
    """1 mm stays 1 mm at every size; 0.4 mm becomes 0.8 mm where pixels are that large."""
    person = draw_person(2)

    assert ct_grid(person, "small", Variety(slice_step_mm=1.0)).spacing_mm[0] == 1.0
    assert ct_grid(person, "small", Variety(slice_step_mm=0.4)).spacing_mm[0] == 0.8
    assert ct_grid(person, "full", Variety(slice_step_mm=0.4)).shape[0] == 312


def test_left_dominance_can_be_asked_for():
    """The posterior descending artery then comes from the circumflex, whatever the seed would have drawn."""
    names = {v.name for v in draw_person(2, CASES["left-dominant"]).vessels}

    assert "L-PDA" in names
    assert "R-PDA" not in names


def test_the_smallest_hearts_have_room_for_their_branches():
    """In seed 472 of the wide range the anterior descending artery ends before its third diagonal would begin."""
    vessels = draw_person(472, wide(472)).vessels

    assert next(v for v in vessels if v.name == "LAD").distance_mm[-1] < 78.0  # where the third begins at the latest
    assert "D3" not in {v.name for v in vessels}


@pytest.fixture(scope="module")
def block():
    """Return a block of the small plain phantom around its aortic root, painted by itself."""
    return coronary_parts(1, "small", "easy", [(slice(90, 130), slice(90, 150), slice(100, 160))])[0]


def test_a_part_is_cut_from_the_whole(block):
    """Labels and lumen of a part are those of the whole scan there; intensities differ by their noise alone."""
    whole = small_coronary(1)
    here = (slice(90, 130), slice(90, 150), slice(100, 160))
    difference = block.volume_hu.astype(float) - whole.volume_hu[here]

    assert np.array_equal(block.labels, whole.labels[here])
    assert np.array_equal(block.lumen_fraction, whole.lumen_fraction[here])
    assert block.origin_mm == pytest.approx(whole.grid.block(here).origin_mm)
    assert block.labels.max() > 0
    assert difference.mean() == pytest.approx(0, abs=0.3)
    assert difference.std() == pytest.approx(np.sqrt(2) * DIFFICULTIES["easy"].noise_hu, rel=0.1)
    assert block.tree == whole.tree
