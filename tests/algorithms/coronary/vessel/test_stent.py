"""Stents painted strut by strut, and the calcium that must not be taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.tree import Branch, Tree
from algorithms.coronary.vessel.metal import metal_doubts
from algorithms.coronary.vessel.stent import sentence, stents

BLOOD_HU, NOISE_HU, FAT_HU, STRUT_HU, CALCIUM_HU = 420.0, 20.0, -80.0, 7000.0, 1100.0
SPACING_MM, FINE_MM = 0.4, 0.1
RADIUS_MM, LENGTH_MM = 1.5, 40.0
ALONG = np.arange(0.0, LENGTH_MM, 0.5)


def tree_along(start_mm: float = 0.0) -> Tree:
    """Return an LAD straight up the middle, 10 mm behind an LM, that begins ``start_mm`` up."""
    below = np.column_stack([np.zeros(20), np.zeros(20), start_mm - 10 + 0.5 * np.arange(20)])
    points = np.column_stack([np.zeros_like(ALONG), np.zeros_like(ALONG), start_mm + ALONG])
    return Tree((_branch("LM", None, None, below), _branch("LAD", 0, 19, points)))


def _branch(name: str, parent: int | None, parent_point: int | None, points: np.ndarray) -> Branch:
    radius = np.full(len(points), RADIUS_MM)
    return Branch(name, parent, parent_point, points, radius, radius, 0.05 * radius, np.full(len(points), 6))


def image(*paths: tuple[np.ndarray, float, float], noise_hu: float = NOISE_HU) -> Grid:
    """Return a vessel in fat with things beside its lumen: their points (N, 3), radius in mm and HU, blurred as a CT does."""
    half = np.arange(-5.0, 5.0, FINE_MM)
    height = np.arange(-12.0, LENGTH_MM + 4.0, FINE_MM)
    y, x = np.meshgrid(half, half, indexing="ij")
    lumen = (np.hypot(x, y) <= RADIUS_MM)[None]
    hu = np.where(lumen, np.float32(BLOOD_HU), np.float32(FAT_HU)) * np.ones((len(height), 1, 1), np.float32)
    for points, radius, value in paths:
        reach = int(np.ceil(radius / FINE_MM))
        steps = np.argwhere(np.ones((2 * reach + 1,) * 3)) - reach
        steps = steps[np.linalg.norm(steps, axis=1) * FINE_MM <= radius + 1e-6]
        index = np.rint((points[:, ::-1] - [height[0], half[0], half[0]]) / FINE_MM).astype(int)
        hu[tuple((index[:, None] + steps).reshape(-1, 3).T)] = value
    hu = ndimage.gaussian_filter(hu, 0.35 / FINE_MM)
    step = round(SPACING_MM / FINE_MM)
    hu = hu[::step, ::step, ::step] + np.random.default_rng(1).normal(0, noise_hu, hu[::step, ::step, ::step].shape)
    return Grid(np.clip(hu, -1024, 3071).astype(np.int16), (SPACING_MM,) * 3, (half[0], half[0], height[0]))


def struts(start_mm: float, end_mm: float) -> list[tuple[np.ndarray, float, float]]:
    """Return four strands that wind each way about the lumen, a tenth of a millimetre in radius."""
    along = np.arange(start_mm, end_mm, 0.05)
    strands = []
    for hand in (-1, 1):
        for number in range(4):
            turn = 2 * np.pi * (hand * along / 9.0 + number / 4)
            strands.append((np.column_stack([1.55 * np.cos(turn), 1.55 * np.sin(turn), along]), 0.1, STRUT_HU))
    return strands


def spots(*places: tuple[float, float, float]) -> list[tuple[np.ndarray, float, float]]:
    """Return rods of calcium in the wall: from, to (mm along the vessel) and the side they lie on (degrees)."""
    rods = []
    for start, end, side in places:
        along = np.arange(start, end, 0.1)
        turn = np.radians(side)
        rods.append((np.column_stack([1.5 * np.cos(turn) + 0 * along, 1.5 * np.sin(turn) + 0 * along, along]), 0.7, CALCIUM_HU))
    return rods


def test_a_stent_is_found_where_it_lies():
    """From 12 to 27 mm of the LAD, 10 mm of LM before it; a section's neighbours and the blur make it 1.5 mm uncertain."""
    tree = tree_along()

    found = stents(tree, image(*struts(12.0, 27.0)), BLOOD_HU, NOISE_HU)

    assert [tree.branches[s.branch].name for s in found] == ["LAD"]
    assert found[0].start_mm == pytest.approx(21.5, abs=1.5)
    assert found[0].end_mm == pytest.approx(36.5, abs=1.5)
    assert sentence(found[0], tree).startswith("the LAD holds a stent 2")


@pytest.mark.parametrize(("paths", "found"), [pytest.param(struts(12, 30), 1, id="a stent"), pytest.param([], 0, id="none")])
def test_noise_neither_hides_a_stent_nor_makes_one(paths, found):
    """Its struts, blurred, exceed the blood by three deviations of this noise here and there."""
    noise_hu = 85.0

    assert found == len(stents(tree_along(), image(*paths, noise_hu=noise_hu), BLOOD_HU, noise_hu))


def test_a_stent_in_which_the_trace_ends_is_found_ahead():
    """The lumen was lost 2 mm before the struts begin: the way is looked at straight ahead, as far as a short stent reaches."""
    tree = tree_along(start_mm=-32.0 + 10.0)  # ends 18 mm up

    found = stents(tree, image(*struts(19.0, 31.0)), BLOOD_HU, NOISE_HU)

    assert [tree.branches[s.branch].name for s in found] == ["LAD"]


@pytest.mark.parametrize(
    "places",
    [
        pytest.param((), id="healthy"),
        pytest.param(((10, 14, 0), (15, 19, 40), (20, 25, 330)), id="spots of one side"),
        pytest.param(((8, 28, 90),), id="a rod of 20 mm"),
        pytest.param(((10, 22, 0), (10, 22, 180)), id="two rods that face each other"),
        pytest.param(((12, 17, 0), (12, 17, 90), (12, 17, 180), (12, 17, 270)), id="a ring of 5 mm"),
    ],
)
def test_calcium_is_no_stent(places):
    """As bright as a strut's bloom, but not all around over 8 mm."""
    assert stents(tree_along(), image(*spots(*places)), BLOOD_HU, NOISE_HU) == []


def test_a_denser_ventricle_beside_the_artery_is_no_stent():
    """Undiluted contrast of 900 HU fills what lies 2 mm beside the vessel over all its length."""
    volume = image()
    x = volume.points_mm(np.argwhere(np.ones(volume.values.shape)))[:, 0].reshape(volume.values.shape)

    assert stents(tree_along(), volume.with_values(np.where(x > 2.0, 900, volume.values)), BLOOD_HU, NOISE_HU) == []


@pytest.mark.parametrize(("away_mm", "doubts"), [pytest.param(5.0, 1, id="beside"), pytest.param(16.0, 0, id="far")])
def test_a_lead_is_doubted_where_its_streaks_reach(away_mm, doubts):
    """A wire of 1 mm radius along the vessel, 5 and 16 mm from its axis; the sentence names the vessel and the distance."""
    empty = Grid(np.zeros((60, 60, 60), np.int16), (1.0, 1.0, 1.0), (-20.0, -20.0, -12.0))
    points = empty.points_mm(np.argwhere(np.ones(empty.values.shape)))
    wire = (np.hypot(points[:, 0] - away_mm, points[:, 1]) < 1.0).reshape(empty.values.shape)

    said = metal_doubts(tree_along(), empty.with_values(np.where(wire, 3071, 0).astype(np.int16)))

    assert len(said) == doubts
    assert all(f"metal lies {away_mm:.0f} mm from the L" in sentence for sentence in said)
