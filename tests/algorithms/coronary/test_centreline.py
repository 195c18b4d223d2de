"""The whole stage on a painted heart whose vessels are known, and on masks of it that are damaged on purpose."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.centreline import run, tree_of
from algorithms.coronary.tree import Tree, read_tree
from algorithms.coronary.vessel.cross_section import arc_length_mm, frames
from tests.algorithms.coronary.painted_heart import (
    BLOOD_HU,
    Painted,
    Tube,
    healthy_tubes,
    narrowed,
    on_heart,
    paint,
    write,
)

PLANTED = {"LAD": (40.0, 12.0, 0.65), "LCx": (15.0, 10.0, 0.5), "RCA": (45.0, 12.0, 0.75)}
"""Middle and length in mm, and diameter stenosis."""


@pytest.fixture(scope="module")
def scene() -> Painted:
    tubes = healthy_tubes()
    for name, (middle, length, severity) in PLANTED.items():
        tubes[name].radius_mm = narrowed(tubes[name].radius_mm, tubes[name].points_mm, middle, length, severity)
    return paint(tubes, spacing_mm=0.5)


@pytest.fixture(scope="module")
def written(scene: Painted, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], Path]:
    folder = tmp_path_factory.mktemp("scene")
    inputs = write(scene, folder)
    out = tmp_path_factory.mktemp("out")
    run(inputs, out)
    return inputs, out


@pytest.fixture(scope="module")
def tree(written: tuple[dict[str, Path], Path]) -> Tree:
    return read_tree(written[1] / "tree.json")


def traced(scene: Painted, mask: np.ndarray, ostia_mm: dict[str, np.ndarray] | None = None) -> Tree:
    """Return the tree of a damaged mask."""
    tree, _ = tree_of(
        scene.lumen.with_values(mask.astype(np.uint8)),
        scene.volume,
        scene.heart,
        scene.ostia_mm if ostia_mm is None else ostia_mm,
        blood_hu=BLOOD_HU,
        noise_hu=15.0,
        stenosis_least=0.25,
        branch_least_mm=5.0,
        gap_widest_mm=6.0,
        ostium_reach_mm=6.0,
        blur_fwhm_mm=0.82,
    )
    return tree


def without(scene: Painted, name: str, start_mm: float, end_mm: float = np.inf) -> np.ndarray:
    """Return the mask without the part of a vessel between two distances from its start."""
    tube = scene.tubes[name]
    along = arc_length_mm(tube.points_mm)
    part = tube.points_mm[(along >= start_mm) & (along <= end_mm)]
    mask = scene.lumen.values > 0
    voxels = np.argwhere(mask)
    near = cKDTree(part).query(scene.lumen.points_mm(voxels))[0] < 2.6
    mask = mask.copy()
    mask[tuple(voxels[near].T)] = False
    return mask


def test_every_vessel_is_found_and_named(tree):
    """The painted tree has these, with LM and RCA as roots and children on their parents."""
    parents = {b.name: None if b.parent is None else tree.branches[b.parent].name for b in tree.branches}

    assert parents == {
        "LM": None, "LAD": "LM", "LCx": "LM", "D1": "LAD", "OM1": "LCx", "RCA": None, "R-PDA": "RCA", "R-PLB": "RCA",
    }  # fmt: skip
    for branch in tree.branches:
        if branch.parent is not None:
            start = tree.branches[branch.parent].points_mm[branch.parent_point]
            assert np.linalg.norm(branch.points_mm[0] - start) < 1e-3  # stored to 0.1 um


def test_a_sound_tree_has_no_doubt(tree):
    """Whatever is doubted here would hold every case."""
    assert tree.doubts == ()


def test_segments_are_those_of_the_vessels(tree):
    """SCCT numbers; LAD, LCx and RCA run through theirs in order."""
    found = {b.name: list(dict.fromkeys(b.segment.tolist())) for b in tree.branches}

    assert found == {
        "LM": [5], "LAD": [6, 7, 8], "LCx": [11, 13], "D1": [9], "OM1": [12], "RCA": [1, 2, 3], "R-PDA": [4], "R-PLB": [16],
    }  # fmt: skip


def test_centrelines_run_in_the_middle(scene, tree):
    """Mean distance to the true axis (0.25 mm between its points) below half a voxel; beyond the fork's first 3 mm."""
    for branch in tree.branches:
        far, _ = cKDTree(scene.tubes[branch.name].points_mm).query(branch.points_mm[6:])

        assert far.mean() < 0.2, branch.name


def test_radii_are_those_painted(scene, tree):
    """The voxel is 0.5 mm and the blur 0.82 mm: to 0.06 mm, in the median along each vessel."""
    for branch in tree.branches:
        tube = scene.tubes[branch.name]
        _, near = cKDTree(tube.points_mm).query(branch.points_mm)

        assert abs(np.median(branch.radius_mm - tube.radius_mm[near])) < 0.06, branch.name
        assert (branch.radius_sd_mm > 0).all()


def test_planted_stenoses_are_found_and_no_others(scene, tree):
    """% diameter to 8 points, under a blur as wide as the throats."""
    found = {tree.branches[s.branch].name: s for s in tree.stenoses if s.diameter_stenosis >= 0.3}

    assert set(found) == set(PLANTED)
    for name, (_, _, severity) in PLANTED.items():
        assert found[name].diameter_stenosis == pytest.approx(severity, abs=0.08), name


def test_stenoses_refer_to_points_of_their_branch(tree):
    """Start, throat and end are in order, and the figures are those at the throat."""
    for lesion in tree.stenoses:
        branch = tree.branches[lesion.branch]

        assert lesion.start <= lesion.throat <= lesion.end < len(branch.points_mm)
        assert lesion.minimal_lumen_diameter_mm == pytest.approx(2 * branch.radius_mm[lesion.throat], abs=1e-3)
        assert lesion.segment == branch.segment[lesion.throat]


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(written, tmp_path):
    """A key names one result: run again, byte for byte."""
    inputs, out = written

    run(inputs, tmp_path)

    digests = [hashlib.sha256((folder / "tree.json").read_bytes()).hexdigest() for folder in (out, tmp_path)]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_lad_that_breaks_off_is_doubted(scene):
    """Cut after 20 mm, its diagonal with it: no other vessel becomes the LAD in silence."""
    tree = traced(scene, without(scene, "LAD", 20.0) & without(scene, "D1", 0.0))

    assert any(doubt.startswith(("the LAD ends after", "no LAD")) for doubt in tree.doubts)


@pytest.mark.slow
def test_a_diagonal_taken_for_the_lad_is_doubted(scene):
    """The LAD is cut right beyond D1, which is as long as an LAD then, but does not lead to the apex."""
    tree = traced(scene, without(scene, "LAD", 30.0))

    assert any(doubt.startswith("the LAD ends at") for doubt in tree.doubts)


@pytest.mark.slow
def test_an_rca_that_breaks_off_is_doubted(scene):
    """Cut after 60 mm, before it reaches the lower wall, which no other vessel leads to."""
    mask = without(scene, "RCA", 60.0) & without(scene, "R-PDA", 0.0) & without(scene, "R-PLB", 0.0)

    assert any("lower wall" in doubt for doubt in traced(scene, mask).doubts)


@pytest.mark.slow
def test_a_missing_circumflex_is_doubted(scene):
    """LCx and OM1 gone: there is no LCx, and what is left is not renamed into one."""
    mask = without(scene, "LCx", 0.0) & without(scene, "OM1", 0.0)

    assert any(doubt.startswith("no LCx") for doubt in traced(scene, mask).doubts)


@pytest.mark.slow
def test_a_missing_right_tree_is_doubted(scene):
    """The right ostium is known but nothing begins there."""
    mask = without(scene, "RCA", 0.0) & without(scene, "R-PDA", 0.0) & without(scene, "R-PLB", 0.0)

    doubts = traced(scene, mask).doubts
    assert any("right ostium" in doubt for doubt in doubts)
    assert any(doubt.startswith("no RCA") for doubt in doubts)


@pytest.mark.slow
def test_a_gap_in_a_vessel_is_doubted(scene):
    """4 mm of the healthy RCA missing: it is bridged, since the image shows it, and told."""
    tree = traced(scene, without(scene, "RCA", 70.0, 71.0))

    assert "RCA" in {b.name for b in tree.branches}
    assert any("bridged" in doubt for doubt in tree.doubts)


@pytest.mark.slow
def test_a_leak_into_a_chamber_is_doubted(scene):
    """A ball of 7 mm radius, lumen by the mask, hangs on the LCx."""
    centre = scene.tubes["LCx"].points_mm[len(scene.tubes["LCx"].points_mm) // 2]
    voxels = np.indices(scene.lumen.values.shape).reshape(3, -1).T
    ball = (np.linalg.norm(scene.lumen.points_mm(voxels) - centre, axis=1) < 7).reshape(scene.lumen.values.shape)

    assert any("chamber" in doubt for doubt in traced(scene, (scene.lumen.values > 0) | ball).doubts)


@pytest.mark.slow
def test_a_vein_in_the_mask_is_no_branch():
    """A vein beside the LAD, with half the contrast, wide and joined to it in the mask: the tree is as without it."""
    tubes = healthy_tubes()
    way = on_heart([(55, 0.15, 3), (75, 0.2, 3), (105, 0.3, 3), (120, 0.5, 3), (125, 0.7, 3)])
    tubes["vein"] = Tube(way, np.linspace(1.6, 1.3, len(way)), hu=0.5 * BLOOD_HU)
    scene = paint(tubes)

    tree = traced(scene, scene.lumen.values > 0)
    assert {b.name for b in tree.branches} == set(tubes) - {"vein"}
    assert tree.doubts == ()
    for branch in tree.branches:
        from_vein = np.linalg.norm(branch.points_mm[:, None] - tubes["vein"].points_mm, axis=2).min(axis=1)
        assert np.mean(from_vein < tubes["vein"].radius_mm.min()) < 0.1, branch.name  # where it touches the LAD


@pytest.mark.slow
def test_an_occlusion_inside_the_mask_is_reported_as_one():
    """8 mm of soft plaque fill the LAD, the mask runs through them: 100 %, and a doubt, not a stenosis of nine tenths."""
    tubes = healthy_tubes()
    lad = tubes["LAD"].points_mm
    along = arc_length_mm(lad)
    plug = (along > 38) & (along < 46)
    tubes["plug"] = Tube(lad[plug], tubes["LAD"].radius_mm[plug], hu=60.0)
    scene = paint(tubes)

    tree = traced(scene, scene.lumen.values > 0)

    assert {tree.branches[s.branch].name for s in tree.stenoses if s.diameter_stenosis == 1} == {"LAD"}
    assert any(doubt.startswith("the LAD is occluded") for doubt in tree.doubts)


@pytest.mark.slow
def test_a_stent_refuses_the_case():
    """16 mm of struts in the LAD from 20 mm on: the message names the vessel."""
    tubes = healthy_tubes()
    lad, radius = tubes["LAD"].points_mm, tubes["LAD"].radius_mm
    along = arc_length_mm(lad)
    first, second = frames(lad)
    part = (along > 20) & (along < 36)
    for strand in range(8):
        turn = (2 * np.pi * ((-1) ** strand * along / 9 + strand / 8))[:, None]
        way = lad + (radius + 0.05)[:, None] * (np.cos(turn) * first + np.sin(turn) * second)
        tubes[f"strut {strand}"] = Tube(way[part], np.full(part.sum(), 0.12), hu=7000.0, masked=False)
    scene = paint(tubes)

    with pytest.raises(DataError, match=r"the LAD holds a stent .* wanted arteries without stents"):
        traced(scene, scene.lumen.values > 0)


@pytest.mark.slow
def test_a_ragged_mask_gives_the_same_tree(scene, tree):
    """Bumps, holes and crumbs at random; the radii come from the image, not from the mask."""
    rng = np.random.default_rng(5)
    mask = scene.lumen.values > 0
    rim = ndimage.binary_dilation(mask) & ~mask
    ragged = (mask & ~(rng.random(mask.shape) < 0.05)) | (rim & (rng.random(mask.shape) < 0.25))
    ragged |= ndimage.binary_dilation(rng.random(mask.shape) < 2e-6)

    again = traced(scene, ragged)

    assert {b.name for b in again.branches} == {b.name for b in tree.branches}
    worst = {again.branches[s.branch].name: s.diameter_stenosis for s in again.stenoses if s.diameter_stenosis >= 0.4}
    assert set(worst) == set(PLANTED)
    for name, (_, _, severity) in PLANTED.items():
        assert worst[name] == pytest.approx(severity, abs=0.1)


def test_no_ostium_at_all_is_a_data_error(scene):
    """Without an ostium there is no tree; the message says what to do."""
    with pytest.raises(DataError, match="check that the aortic root is in the scan"):
        traced(scene, scene.lumen.values > 0, {})


def test_no_lumen_at_the_ostia_is_a_data_error(scene):
    """Both ostia lie 60 mm away from any lumen."""
    far = {side: point + np.array([0.0, 0.0, 80.0]) for side, point in scene.ostia_mm.items()}

    with pytest.raises(DataError, match="check the ostia"):
        traced(scene, scene.lumen.values > 0, far)


def test_an_empty_mask_is_a_data_error(scene, tmp_path):
    """Nothing segmented: nothing to answer."""
    inputs = write(replace(scene, lumen=scene.lumen.with_values(np.zeros_like(scene.lumen.values))), tmp_path)

    with pytest.raises(DataError, match="empty"):
        run(inputs, tmp_path)


@pytest.mark.slow
def test_a_heart_without_labels_names_with_a_doubt(scene, tmp_path):
    """The typical heart stands in, and that is said."""
    blank = replace(scene, heart=scene.heart.with_values(np.zeros_like(scene.heart.values)))

    tree = traced(blank, without(scene, "RCA", 0.0) & without(scene, "R-PDA", 0.0) & without(scene, "R-PLB", 0.0))

    assert any("typical heart" in doubt for doubt in tree.doubts)
