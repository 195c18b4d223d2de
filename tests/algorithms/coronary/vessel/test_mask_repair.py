"""What is mended of a mask, and that nothing is mended in silence that might be a finding."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.grid import Grid
from algorithms.coronary.vessel.mask_repair import repaired

BLOOD, FAT = 420.0, -80.0
SHAPE, SPACING = (120, 40, 40), (0.5, 0.5, 0.5)


def tube(*gaps_mm: tuple[float, float], radius_mm: float = 1.2) -> np.ndarray:
    """Return the mask of a straight vessel along z from 5 to 55 mm without some intervals."""
    z, y, x = np.indices(SHAPE) * 0.5
    mask = (np.hypot(y - 10, x - 10) <= radius_mm) & (z >= 5) & (z <= 55)
    for start, end in gaps_mm:
        mask &= ~((z > start) & (z < end))
    return mask


def mended(mask: np.ndarray, vessel: np.ndarray, ostia: dict[str, tuple[float, float, float]] | None = None):
    lumen = Grid(mask.astype(np.uint8), SPACING, (0.0, 0.0, 0.0))
    ostia = {"left": (10.0, 10.0, 5.0), "right": (10.0, 10.0, 55.0)} if ostia is None else ostia
    return repaired(
        lumen,
        np.where(vessel, BLOOD, FAT).astype(np.float32),
        {side: np.array(point) for side, point in ostia.items()},
        blood_hu=BLOOD,
        widest_gap_mm=6.0,
        farthest_ostium_mm=6.0,
    )


LEFT = {"left": (10.0, 10.0, 5.0)}
NO_RIGHT = "the right coronary ostium was not found"


def test_a_whole_mask_is_left_alone():
    """No doubts, and the same voxels."""
    mask = tube()

    repair = mended(mask, mask)

    assert repair.doubts == ()
    assert (repair.mask == mask).all()


def test_a_short_gap_that_the_image_fills_is_closed_without_a_doubt():
    """2 mm in which the image shows full contrast: the mask is wrong there, the vessel is not."""
    repair = mended(tube((30, 32)), tube(), LEFT)

    assert repair.bridges == 1
    assert [d for d in repair.doubts if NO_RIGHT not in d] == []


def test_a_dark_gap_is_closed_with_a_doubt():
    """1.5 mm without contrast may be an occlusion: connected, so that there is a tree, but never in silence."""
    repair = mended(tube((30, 31.6)), tube((30, 31.6)), LEFT)

    assert repair.bridges == 1
    assert any("occlusion" in doubt for doubt in repair.doubts)


def test_a_wide_gap_is_doubted_even_if_bright():
    """5 mm: too much to be a narrow throat that the mask missed."""
    repair = mended(tube((30, 35)), tube(), LEFT)

    assert repair.bridges == 1
    assert any("gap of 5" in doubt for doubt in repair.doubts)


def test_a_wide_dark_gap_is_not_bridged():
    """The distal vessel stays out of the tree, and the doubt says how long it is: 20 mm, 21 across its box."""
    repair = mended(tube((30, 35)), tube((30, 35)), LEFT)

    assert repair.bridges == 0
    assert any("not connected" in doubt and "21 mm" in doubt for doubt in repair.doubts)


def test_crumbs_are_dropped():
    """A speck of 1.5 mm is noise: gone, and no doubt."""
    mask = tube()
    mask[60:63, 30:33, 30:33] = True

    repair = mended(mask, mask)

    assert (repair.mask == tube()).all()
    assert repair.doubts == ()


def test_holes_are_filled():
    """A bubble inside the lumen is lumen."""
    mask = tube()
    mask[60, 20, 20] = False

    assert (mended(mask, tube()).mask == tube()).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_ostium_without_lumen_is_doubted(side):
    """The nearest lumen is 15 mm away: that tree is missing."""
    ostia = {"left": (10.0, 10.0, 5.0), "right": (10.0, 10.0, 55.0)} | {side: (10.0, 25.0, 30.0)}

    repair = mended(tube(), tube(), ostia)

    assert side not in repair.seeds
    assert any(f"{side} ostium" in doubt for doubt in repair.doubts)
