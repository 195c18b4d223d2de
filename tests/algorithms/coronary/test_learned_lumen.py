"""A network asked along what it finds, with networks whose answers are known: brightness, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from algorithms.contract.errors import DataError
from algorithms.coronary.grid import Grid
from algorithms.coronary.learned_lumen import learned_lumen
from algorithms.segmentation.entry import Entry, Input
from algorithms.segmentation.segmenter import Segmenter

SPACING = (0.5, 0.5, 0.5)
SHAPE = (40, 40, 160)
BLOCK = 16
BLOOD_HU = 400.0


class Brightness(nn.Module):
    """Lumen is what is brighter than ``threshold`` (100 HU), half of blood, of which nothing is plaque."""

    def __init__(self, threshold: float = 2.0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lumen = torch.sigmoid(20 * (x - self.threshold))
        return torch.cat([lumen, torch.zeros_like(lumen)], dim=1)


def bright(
    channels: tuple[str, ...] = ("coronary lumen", "calcified plaque"), spacing=SPACING, threshold: float = 2.0
) -> Segmenter:
    seen = Input(spacing, (BLOCK,) * 3, 4, (-1000.0, 1000.0), 0.0, 100.0)
    entry = Entry("b", "Brightness", "toy", "none", "w", "0" * 64, "none", "none", seen, channels, "none")
    return Segmenter(entry, Brightness(threshold), "float32")


def tube(*gap: int) -> Grid:
    """A vessel of 1.5 mm radius along x through fat, with blood of 400 HU and a gap of muscle between two voxels."""
    z, y, _ = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    hu = np.where((z - 20) ** 2 + (y - 20) ** 2 <= 9, BLOOD_HU, -100.0) * np.ones(SHAPE)
    if gap:
        hu[..., gap[0] : gap[1]] = 60.0
    return Grid(hu.astype(np.int16), SPACING, (0.0, 0.0, 0.0))


OSTIUM = np.array([[1.0, 10.0, 10.0]])


def test_the_lumen_is_followed_to_its_end_and_nothing_else_is_asked():
    """From one end of a vessel to the other; the fat beside it stays unasked."""
    found = learned_lumen(tube(), OSTIUM, [bright()], BLOOD_HU)

    assert found.share is not None
    assert found.share[20, 20].min() > 0.9
    assert found.likeness[20, 20].min() > 0.9
    assert not found.open[:6, :6].any()


def test_a_short_gap_is_crossed_and_a_long_one_is_not():
    """A stenosis may be invisible for some millimetres; beyond a long gap nobody has asked."""
    near, far = (learned_lumen(tube(40, 40 + length), OSTIUM, [bright()], BLOOD_HU) for length in (4, 60))

    assert near.likeness[20, 20, 150] > 0.9
    assert far.likeness[20, 20, 150] == 0


def test_of_two_networks_the_mean_counts_and_leads_on():
    """Where one of them sees nothing the other carries the lumen half, and what only one of them tells of is its word."""
    blind = bright(channels=("other vessel", "coronary lumen"), threshold=9.0)

    alone, both = (learned_lumen(tube(), OSTIUM, asked, BLOOD_HU) for asked in ([bright()], [bright(), blind]))

    assert alone.share is not None
    assert both.share is not None
    assert np.allclose(both.share, alone.share / 2, atol=1e-3)
    assert both.share[20, 20].min() > 0.45


def test_the_scale_is_that_of_the_tube():
    """0.7 of the radius, to a third of a voxel."""
    found = learned_lumen(tube(), OSTIUM, [bright()], BLOOD_HU)

    assert found.scale_mm[20, 20, 80] / 0.7 == pytest.approx(1.5, abs=0.25)


def test_a_model_that_knows_no_lumen_is_refused():
    """The message names what is missing; so does one of voxels that are no cubes."""
    with pytest.raises(DataError, match="coronary lumen"):
        learned_lumen(tube(), OSTIUM, [bright(channels=("heart", "aorta"))], BLOOD_HU)
    with pytest.raises(DataError, match="equal sides"):
        learned_lumen(tube(), OSTIUM, [bright(spacing=(1.0, 0.5, 0.5))], BLOOD_HU)
    with pytest.raises(DataError, match="one of them, or two"):
        learned_lumen(tube(), OSTIUM, [bright(), bright(spacing=(0.4, 0.4, 0.4))], BLOOD_HU)
