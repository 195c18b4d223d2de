"""Veins among arteries, told by the brightness of their blood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.coronary.vessel.calibration import Blood
from algorithms.coronary.vessel.tracing import Vessel
from algorithms.coronary.vessel.veins import without_veins

BLOOD, BLUR_SD_MM = {"left": Blood(400.0)}, 0.36
COUNT = 40


def vessel(name: str, parent: int | None, point: int | None, core_hu: np.ndarray | float = 400.0) -> Vessel:
    """Return a straight vessel of 1 mm radius and 19.5 mm length."""
    points = np.zeros((COUNT, 3))
    points[:, 2] = 0.5 * np.arange(COUNT)
    core = np.broadcast_to(core_hu, COUNT).astype(float)
    return Vessel(
        name, "left", parent, point, points, np.full(COUNT, 1.0), np.full(COUNT, 0.05), core, np.ones(COUNT, dtype=bool), 1.0
    )


def from_point(start: int, hu: float) -> np.ndarray:
    """Return arterial blood up to a point, and other blood from there on."""
    return np.where(np.arange(COUNT) < start, 400.0, hu)


def kept(*tree: Vessel) -> list[tuple[str, int]]:
    """Return name and number of points of what stays."""
    return [(v.name, len(v.points_mm)) for v in without_veins(list(tree), BLOOD, BLUR_SD_MM)]


def test_veins_are_cut_off_and_an_artery_that_goes_on_as_one_is_shortened():
    """Half of the arteries' brightness all along is a vein; behind 10 mm of artery it is its end; a stenosis is neither."""
    dip = np.where((np.arange(COUNT) > 10) & (np.arange(COUNT) < 20), 200.0, 400.0)

    assert [("LM", 40), ("LCx", 40), ("OM2", 20)] == kept(
        vessel("LM", None, None, dip), vessel("LCx", 0, 39),
        vessel("OM1", 1, 5, 200.0), vessel("OM1a", 2, 10), vessel("OM2", 1, 20, from_point(20, 200.0)), vessel("OM2a", 4, 30),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_vein_of_nearly_arterial_contrast_is_told_in_noise_by_its_length(seed: int):
    """0.83 of the arteries' contrast over 20 mm under noise of 15 % a section: no single section tells, the sum does."""
    noise = 60.0 * np.random.default_rng(seed).standard_normal((2, COUNT))

    assert [("LAD", 40), ("D2", 40)] == kept(
        vessel("LAD", None, None), vessel("D1", 0, 5, 0.83 * 400.0 + noise[0]), vessel("D2", 0, 20, 400.0 + noise[1])
    )  # fmt: skip


def test_where_every_vessel_is_faint_none_is_a_vein():
    """A blur that was taken for too narrow, or motion, makes all of them fainter than they should be."""
    assert [("LAD", 40), ("D1", 40)] == kept(vessel("LAD", None, None, 330.0), vessel("D1", 0, 5, 330.0))


def test_a_lumen_that_was_measured_narrow_says_nothing():
    """How much of its brightness the blur leaves is not known then."""
    narrow = replace(vessel("D1", 0, 5, 200.0), radius_mm=np.full(COUNT, 0.4))

    assert [("LAD", 40), ("D1", 40)] == kept(vessel("LAD", None, None), narrow)


def test_a_main_vessel_keeps_its_half_and_must_lack_more():
    """5 mm of faint end shorten a side branch and no main vessel; one that is faint all along keeps half of its length."""
    assert [("LAD", 40), ("D1", 30)] == kept(
        vessel("LAD", None, None, from_point(30, 320.0)), vessel("D1", 0, 5, from_point(30, 320.0))
    )
    assert [("LM", 40), ("LCx", 20)] == kept(vessel("LM", None, None), vessel("LCx", 0, 39, 200.0))


def test_faint_blood_behind_an_occlusion_is_no_vein():
    """It came by collaterals: what is closed must be said, and what lies behind are arteries, branches too."""
    closed = np.where(np.arange(COUNT) == 12, 0.1, 1.0)
    lcx = replace(vessel("LCx", 0, 39, from_point(14, 260.0)), radius_mm=closed)

    assert [("LM", 40), ("LCx", 40), ("OM1", 40)] == kept(vessel("LM", None, None), lcx, vessel("OM1", 1, 20, 260.0))


def test_the_beginning_of_a_vein_stays_where_an_artery_leaves_it():
    """The artery was taken for a branch of the vein beside it: 2 mm after their common beginning it goes its own way."""
    assert [("LAD", 40), ("D1", 4), ("D1a", 40)] == kept(
        vessel("LAD", None, None), vessel("D1", 0, 5, from_point(5, 200.0)), vessel("D1a", 1, 3)
    )
