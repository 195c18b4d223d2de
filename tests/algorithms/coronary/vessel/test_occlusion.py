"""Closed arteries on a painted heart: bridged by the trace, cut off before it, and what must not be taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from algorithms.coronary.answer.cadrads import suggest
from algorithms.coronary.grid import Grid
from algorithms.coronary.heart_axes import heart_axes
from algorithms.coronary.tree import Branch, Stenosis, Tree
from algorithms.coronary.vessel.cross_section import arc_length_mm, resampled
from algorithms.coronary.vessel.occlusion import closed_pieces, long_narrow_pieces, loose_doubts, stumps, with_occlusions
from tests.algorithms.coronary.painted_heart import BLOOD_HU, Painted, Tube, healthy_tubes, narrowed, paint

NAMES = ("LM", "LAD")
CLOSED_FROM_MM, CLOSED_TO_MM = 40.0, 48.0
PLUG_HU, COLLATERAL_HU = 60.0, 40 + 0.75 * (BLOOD_HU - 40)


@pytest.fixture(scope="module")
def healthy() -> Painted:
    return paint(main_tubes())


@pytest.fixture(scope="module")
def occluded() -> Painted:
    """8 mm of the LAD hold soft plaque; behind them collaterals leave three quarters of the contrast."""
    return paint(plugged_tubes(COLLATERAL_HU))


@pytest.fixture(scope="module")
def unfilled() -> Painted:
    """Behind the plug there is no contrast."""
    return paint(plugged_tubes(PLUG_HU))


def main_tubes() -> dict[str, Tube]:
    return {name: tube for name, tube in healthy_tubes().items() if name in NAMES}


def plugged_tubes(behind_hu: float) -> dict[str, Tube]:
    tubes = main_tubes()
    lad = tubes.pop("LAD")
    along = arc_length_mm(lad.points_mm)
    parts = {
        "LAD": (along <= CLOSED_FROM_MM, BLOOD_HU),
        "behind": (along >= CLOSED_TO_MM, behind_hu),
        "plug": ((along >= CLOSED_FROM_MM) & (along <= CLOSED_TO_MM), PLUG_HU),
    }
    for name, (part, hu) in parts.items():
        tubes[name] = Tube(lad.points_mm[part], lad.radius_mm[part], hu=hu)
    return tubes


def tree_of_tubes(end_mm: float = np.inf, closed_mm: tuple[float, float] = (0.0, 0.0)) -> Tree:
    """Return the painted vessels as a tree, the LAD cut at ``end_mm`` and without lumen between ``closed_mm``."""
    tubes = healthy_tubes()
    branches: list[Branch] = []
    for name in NAMES:
        points = resampled(tubes[name].points_mm)
        radius = np.interp(np.linspace(0, 1, len(points)), np.linspace(0, 1, len(tubes[name].radius_mm)), tubes[name].radius_mm)
        reference = radius.copy()
        if name == "LAD":
            along = arc_length_mm(points)
            radius[(along >= closed_mm[0]) & (along < closed_mm[1])] = 0.15
            kept = along <= end_mm
            points, radius, reference = points[kept], radius[kept], reference[kept]
        root = name == "LM"
        branches.append(
            Branch(
                name, None if root else 0, None if root else len(branches[0].points_mm) - 1, points, radius, reference,
                np.full(len(radius), 0.05), np.full(len(radius), 6),
            )
        )  # fmt: skip
    return Tree(tuple(branches))


def examined(tree: Tree, scene: Painted) -> Tree:
    axes = heart_axes(scene.heart, np.array(list(scene.ostia_mm.values())))
    return with_occlusions(tree, scene.volume, scene.heart, axes, BLOOD_HU)


def test_an_occlusion_that_the_trace_bridged_is_a_stenosis_of_100_per_cent(occluded):
    """CAD-RADS 5, and a doubt that says where: 8 mm from 40 mm on, behind the LM."""
    tree = tree_of_tubes(closed_mm=(CLOSED_FROM_MM, CLOSED_TO_MM))
    lad = NAMES.index("LAD")
    bridged = Stenosis(lad, 78, 88, 100, 0.9, 0.99, 0.3, 3.0, 11.0, 6)
    other = replace(bridged, start=10, throat=15, end=20, diameter_stenosis=0.4)
    from_mm = tree.ostium_distance_mm(lad)[0] + CLOSED_FROM_MM

    found = examined(replace(tree, stenoses=(other, bridged)), occluded)

    assert [s.diameter_stenosis for s in found.stenoses] == [0.4, 1.0]
    assert found.stenoses[1].minimal_lumen_diameter_mm == 0
    assert len(found.doubts) == 1
    assert found.doubts[0].startswith(f"the LAD is occluded {from_mm:.0f} mm from its ostium: no lumen is seen over 8 mm")
    entry = {"branch_name": "LAD", "diameter_stenosis": found.stenoses[1].diameter_stenosis, "ffr": None, "band": None}
    assert suggest([entry])["category"] == "5"


def test_a_vessel_that_ends_before_its_occlusion_is_doubted_with_place_and_calibre(occluded):
    """The trace ends 1 mm before the plug; the vessel behind begins 9 mm ahead, less what blur lets it reach back."""
    tree = tree_of_tubes(end_mm=CLOSED_FROM_MM - 1)
    lad = NAMES.index("LAD")
    end_mm = tree.ostium_distance_mm(lad)[-1]

    found = stumps(tree, occluded.volume, occluded.heart, heart_axes(occluded.heart, np.zeros((1, 3))), BLOOD_HU)

    assert [tree.branches[s.branch].name for s in found] == ["LAD"]
    assert found[0].gap_mm == pytest.approx(9.0, abs=2.0)
    assert found[0].behind_mm > 8
    said = examined(tree, occluded).doubts
    assert len(said) == 1
    assert said[0].startswith(f"the LAD ends {end_mm:.0f} mm from its ostium at a calibre of 2.9 mm")


def test_a_vessel_that_nothing_connects_is_said_with_where_it_begins(occluded):
    """The mask holds what lies behind the plug; the tree ends at 39 mm, so some 9 mm before it, less half of its width."""
    tree = tree_of_tubes(end_mm=CLOSED_FROM_MM - 1)
    end_mm = tree.ostium_distance_mm(NAMES.index("LAD"))[-1]

    said = loose_doubts(tree, plugless(occluded))

    assert len(said) == 1
    assert f"from the LAD, {end_mm:.0f} mm from its ostium, and no lumen connects the two" in said[0]
    assert loose_doubts(tree_of_tubes(), plugless(occluded)) == []


def plugless(scene: Painted) -> Grid:
    """Return the mask without the plug."""
    lad = healthy_tubes()["LAD"].points_mm
    along = arc_length_mm(lad)
    voxels = np.argwhere(scene.lumen.values > 0)
    away = cKDTree(lad[(along > CLOSED_FROM_MM) & (along < CLOSED_TO_MM)]).query(scene.lumen.points_mm(voxels))[0]
    mask = scene.lumen.values.copy()
    mask[tuple(voxels[away < 2.5].T)] = 0
    return scene.lumen.with_values(mask)


def test_a_wide_end_is_doubted_even_if_nothing_is_seen_behind(unfilled):
    """An LAD does not end 2.9 mm wide, half-way to the apex."""
    said = examined(tree_of_tubes(end_mm=CLOSED_FROM_MM - 1), unfilled).doubts

    assert len(said) == 1
    assert "as an occluded vessel does" in said[0]


@pytest.mark.parametrize("end_mm", [pytest.param(np.inf, id="whole"), pytest.param(40.0, id="cut off by the mask")])
def test_open_vessels_are_not_said_to_be_occluded(healthy, end_mm):
    """The LAD ends at the apex; where only the mask ends, the lumen goes on in the image and the vessel is not closed."""
    assert examined(tree_of_tubes(end_mm=end_mm), healthy).doubts == ()


@pytest.mark.parametrize(
    ("severity", "length_mm"), [pytest.param(0.85, 18.0, id="85 % over 18 mm"), pytest.param(0.9, 8.0, id="90 % over 8 mm")]
)
def test_a_severe_stenosis_is_not_an_occlusion(severity, length_mm):
    """The throat of 0.4 to 0.6 mm lets blood through, and is as narrow as that for less than 4 mm."""
    tree = tree_of_tubes()
    lad = tree.branches[NAMES.index("LAD")]
    tight = replace(lad, radius_mm=narrowed(lad.radius_mm, lad.points_mm, 40.0, length_mm, severity))

    assert closed_pieces(Tree((tight,))) == []


@pytest.mark.parametrize(
    ("between", "closed"), [pytest.param(0.5, True, id="a spot of calcium"), pytest.param(0.8, False, id="an open vessel")]
)
def test_pieces_are_one_occlusion_unless_the_vessel_opens_between_them(between, closed):
    """Two closed pieces of 2.5 mm with 3 mm between them, at half of the healthy radius or at eight tenths."""
    tree = tree_of_tubes()
    lad = tree.branches[NAMES.index("LAD")]
    radius = lad.radius_mm.copy()
    radius[80:85] = radius[91:96] = 0.15
    radius[85:91] *= between

    found = closed_pieces(Tree((replace(lad, parent=None, parent_point=None, radius_mm=radius),)))

    assert [(piece.start, piece.end) for piece in found] == ([(80, 95)] if closed else [])


def test_a_branch_that_is_closed_from_its_beginning_is_a_wrong_connection():
    """Its first 6 mm, of which 2 lie in the LM, hold no lumen: that is how a vein is joined to an artery by mistake."""
    assert closed_pieces(tree_of_tubes(closed_mm=(0.0, 6.0))) == []


@pytest.mark.parametrize(
    ("share", "length_mm", "said"),
    [
        pytest.param(0.2, 8.0, True, id="a fifth of the width over 8 mm"),
        pytest.param(0.2, 4.0, False, id="the throat of a severe stenosis"),
        pytest.param(0.3, 12.0, False, id="a third of the width over 12 mm"),
    ],
)
def test_a_long_thread_of_lumen_may_be_an_occlusion(share, length_mm, said):
    """Plaque brighter than fat reads as a narrow lumen; what is that narrow for long is doubted, not reported as closed."""
    tree = tree_of_tubes()
    lad = tree.branches[1]
    along = arc_length_mm(lad.points_mm)
    thread = (along >= 40.0) & (along < 40.0 + length_mm)
    changed = replace(lad, radius_mm=np.where(thread, share * lad.reference_radius_mm, lad.radius_mm))

    found = long_narrow_pieces(replace(tree, branches=(tree.branches[0], changed)))

    assert len(found) == said
    assert closed_pieces(replace(tree, branches=(tree.branches[0], changed))) == []
