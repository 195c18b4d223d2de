"""The pictures show what was computed, in the right place, and are the same on every run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from algorithms.coronary import render
from algorithms.coronary.grid import Grid
from algorithms.coronary.pictures import flow as pictures_flow
from algorithms.coronary.pictures import tree as pictures_tree
from algorithms.coronary.pictures.path import shown_paths, vessel_path
from algorithms.coronary.pictures.style import FFR_RANGE, ffr_colours, ffr_norm
from algorithms.coronary.pictures.vessel import frames, hounsfield
from algorithms.coronary.tree import write_tree
from tests.algorithms.coronary.invented_case import build, invented_heart, invented_tree

ARRAYS = ("points_mm", "radius_mm", "reference_radius_mm", "radius_sd_mm", "segment")


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """Return the artefacts of an invented case, coarse enough for seconds."""
    return build(tmp_path_factory.mktemp("case"), spacing_mm=1.0)


@pytest.fixture(scope="module")
def drawn(artefacts, tmp_path_factory):
    """Return the folder of pictures with the tree drawn flat, which every machine can."""
    out = tmp_path_factory.mktemp("drawn")
    render.run(artefacts, out, tree_pictures="flat")
    return out / "pictures"


def listed(folder):
    """Return the entries of pictures.json."""
    return json.loads((folder / "pictures.json").read_text())["pictures"]


@pytest.mark.parametrize(
    ("part", "kinds"),
    [pytest.param("solved", ["streamlines", "wall_shear"], id="used"), pytest.param("failed", [], id="failed")],
)
def test_a_part_in_three_dimensions_that_is_used_is_drawn(tmp_path, monkeypatch, part, kinds):
    """Read back from the stage's own files; nothing is drawn of a solution that is not believed."""
    monkeypatch.setattr(pictures_flow, "PIXELS_PER_IN", 40)
    case = build(tmp_path / "case", spacing_mm=4.0, part=part)
    flow = json.loads(case["flow"].read_text())

    (tmp_path / "drawn").mkdir()
    entries = render._flow_entries(flow, case["fields"], tmp_path / "drawn", invented_tree())

    if part == "solved" and not entries:
        pytest.skip("this machine draws nothing off screen: libegl1, libgl1 and libegl-mesa0 are not installed")
    assert [entry["kind"] for entry in entries] == kinds
    assert {entry["path"] for entry in entries} == {path.name for path in (tmp_path / "drawn").iterdir()}
    assert all("LAD L1" in entry["caption"] for entry in entries)


def test_every_vessel_and_lesion_has_its_pictures(drawn):
    """Three views, a graph and a reformation for LAD, LCx and RCA, a close-up for each of three lesions, the slices."""
    entries = listed(drawn)
    kinds = [entry["kind"] for entry in entries]

    assert {kind: kinds.count(kind) for kind in kinds} == {
        "tree": 3,
        "pullback": 3,
        "reformation": 3,
        "lesion": 3,
        "quality": 1,
    }
    assert [e["vessel"] for e in entries if e["kind"] == "pullback"] == ["LAD", "LCx", "RCA"]
    assert {e["path"] for e in entries} | {"pictures.json"} == {path.name for path in drawn.iterdir()}
    assert all(entry["caption"] and entry["alt"] for entry in entries)


def test_pictures_are_the_same_on_every_run(artefacts, drawn, tmp_path):
    """Content keys need it: no date, no version and no random name is in a file."""
    render.run(artefacts, tmp_path, tree_pictures="flat")

    for path in sorted(drawn.iterdir()):
        again = tmp_path / "pictures" / path.name
        assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest(), path.name


def test_a_flat_tree_says_what_to_install(drawn):
    """Who sees the plain picture learns how to get the solid one."""
    notes = json.loads((drawn / "pictures.json").read_text())["notes"]

    assert notes == [pictures_tree.MISSING]


def test_a_solid_tree_is_drawn_in_the_colours_of_its_ffr(monkeypatch):
    """RCA at FFR 0.6 is red, the left vessels at 1.0 blue; from the front the RCA lies on the picture's left."""
    monkeypatch.setattr(pictures_tree, "PIXELS_PER_IN", 80)
    tree = invented_tree()
    values = [0.6 if b.name == "RCA" else 1.0 for b in tree.branches]
    ffr = {"branches": [{"ffr": [v] * len(b.points_mm)} for v, b in zip(values, tree.branches, strict=True)]}
    images = pictures_tree.solid_pictures(pictures_tree.Scene(tree, ffr), pictures_tree.Frame.around(tree))
    if images is None:
        pytest.skip("this machine draws nothing off screen: libegl1, libgl1 and libegl-mesa0 are not installed")
    front = images[0].astype(float)
    inked = front.min(axis=2) < 200
    red = inked & (front[..., 0] > front[..., 2])
    columns = np.arange(front.shape[1])[None] / front.shape[1]

    assert 0.1 < red.sum() / inked.sum() < 0.6
    assert (columns * red).sum() / red.sum() < 0.4 < (columns * (inked & ~red)).sum() / (inked & ~red).sum()


def test_a_vessel_behind_the_heart_is_paler(monkeypatch):
    """From the front the posterior descending artery lies behind the ventricle, the LAD before it: only the first fades."""
    monkeypatch.setattr(pictures_tree, "PIXELS_PER_IN", 80)
    tree = invented_tree()
    ffr = {"branches": [{"ffr": [1.0] * len(b.points_mm)} for b in tree.branches]}
    frame = pictures_tree.Frame.around(tree)
    alone = pictures_tree.solid_pictures(pictures_tree.Scene(tree, ffr), frame)
    shaded = pictures_tree.solid_pictures(pictures_tree.Scene(tree, ffr, invented_heart()), frame)
    if alone is None or shaded is None:
        pytest.skip("this machine draws nothing off screen: libegl1, libgl1 and libegl-mesa0 are not installed")
    size = np.array(alone[0].shape[1::-1])

    def change(name):
        """Return how much lighter the middle of a branch became, at each of its points."""
        points = next(b.points_mm for b in tree.branches if b.name == name)
        flat = pictures_tree.VIEWS[0].project(points - frame.centre_mm) / (frame.width_mm, frame.height_mm)
        x, y = np.rint((flat * (1, -1) + 0.5) * size - 0.5).astype(int).T
        return shaded[0][y, x].min(axis=1).astype(int) - alone[0][y, x].min(axis=1)

    assert np.abs(change("LAD")).max() <= 2
    assert np.median(change("R-PDA")) > 60


def test_a_machine_that_draws_nothing_gets_no_solid_picture(monkeypatch, tmp_path):
    """Empty files stand before the libraries that VTK draws with: it ends its process there, and the caller goes on."""
    tree = invented_tree()
    for name in ("libEGL.so.1", "libEGL.so", "libOSMesa.so", "libOSMesa.so.8", "libOSMesa.so.6"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    ffr = {"branches": [{"ffr": [0.9] * len(b.points_mm)} for b in tree.branches]}
    drawn = pictures_tree.solid_pictures(pictures_tree.Scene(tree, ffr), pictures_tree.Frame.around(tree))

    assert drawn is None


def test_anterior_view_has_the_patients_left_on_the_right():
    """As in every angiogram: LPS +x (left) points right, +z (head) up; the cranial view looks down from the head's side."""
    anterior, lao, cranial = pictures_tree.VIEWS

    assert anterior.project(np.eye(3)) == pytest.approx(np.array([[1, 0], [0, 0], [0, 1]]), abs=1e-12)
    assert lao.depth(np.array([1.0, 0, 0])) > 0 > lao.depth(np.array([0, 1.0, 0]))  # seen from left and front
    assert cranial.depth(np.array([0, 0, 1.0])) > 0  # seen from above


def test_a_path_runs_from_the_ostium_through_the_left_main():
    """The path of D1 is LM, LAD as far as D1, D1; its length is the ostium distance that the tree gives for the tip."""
    tree = invented_tree()
    path = vessel_path(tree, 4)

    assert list(dict.fromkeys(path.branch.tolist())) == [0, 1, 4]
    assert path.distance_mm[-1] == pytest.approx(tree.ostium_distance_mm(4)[-1], abs=1e-9)  # the same steps, summed twice
    assert path.points_mm[0] == pytest.approx(tree.branches[0].points_mm[0])


def test_a_side_branch_gets_a_page_only_with_a_lesion():
    """D1 has none in the invented tree; moved onto D1, the stenosis brings it."""
    tree = invented_tree()
    moved = replace(tree, stenoses=(replace(tree.stenoses[0], branch=4, start=5, throat=8, end=11),))

    assert [path.name for path in shown_paths(tree)] == ["LAD", "LCx", "RCA"]
    assert [path.name for path in shown_paths(moved)] == ["LAD", "LCx", "RCA", "D1"]


def test_a_lesion_of_the_left_main_is_shown_close_by_once(artefacts, tmp_path):
    """LAD and LCx both run through the left main; its lesion stands on the page of the first."""
    tree = invented_tree()
    lesion = replace(tree.stenoses[0], branch=0, start=2, throat=6, end=10, segment=5)
    write_tree(replace(tree, stenoses=(lesion,)), tmp_path / "tree.json")
    ffr = json.loads(artefacts["ffr"].read_text())
    ffr["lesions"] = []
    (tmp_path / "ffr.json").write_text(json.dumps(ffr))
    render.run(artefacts | {n: tmp_path / f"{n}.json" for n in ("tree", "ffr")}, tmp_path, tree_pictures="flat")

    assert [(e["vessel"], e["stenosis"]) for e in listed(tmp_path / "pictures") if e["kind"] == "lesion"] == [("LAD", 0)]


def test_a_stump_has_no_page():
    """A vessel of 2 mm cannot be straightened; the others are shown all the same."""
    tree = invented_tree()
    rca = tree.branches[3]
    cut = {name: getattr(rca, name)[:5] for name in ARRAYS}
    stump = replace(tree, branches=(*tree.branches[:3], replace(rca, **cut), *tree.branches[4:6]), stenoses=())

    assert [path.name for path in shown_paths(stump)] == ["LAD", "LCx"]


def test_frames_stay_across_the_path_and_do_not_twist():
    """On a circle in a plane the frame that turns least keeps the plane's normal fixed (Wang 2008)."""
    turn = np.linspace(0, np.pi, 200)
    points = 20 * np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    one, two = frames(points)
    tangents = np.gradient(points, axis=0)

    assert np.abs(np.einsum("ij,ij->i", one, tangents)).max() < 1e-9
    assert np.einsum("ij,ij->i", one[1:], one[:-1]).min() > 0.999  # 0.9 degrees a step, all of it bend
    assert np.abs(two @ np.array([0, 0, 1.0])).std() < 1e-3


def test_the_volume_is_read_between_its_voxels():
    """HU = x + 10 y + 100 z mm is linear, so trilinear reading gives it exactly; beyond the volume is air."""
    z, y, x = np.meshgrid(7 + 2.0 * np.arange(8), -3 + 2.0 * np.arange(10), 5 + 2.0 * np.arange(12), indexing="ij")
    volume = Grid((x + 10 * y + 100 * z).astype(np.int16), (2.0, 2.0, 2.0), (5.0, -3.0, 7.0))
    inside, outside = np.array([13.5, 8.25, 14.5]), np.array([-40.0, 0.0, 10.0])

    assert hounsfield(volume, inside[None])[0] == pytest.approx(inside @ [1, 10, 100], abs=1e-2)  # float32
    assert hounsfield(volume, outside[None])[0] == -1000


def test_a_value_below_the_scale_is_shown_as_its_end():
    """An FFR of 0.3 is the darkest red, not a wrapped or missing colour."""
    assert ffr_colours()(ffr_norm()(0.3)) == ffr_colours()(ffr_norm()(FFR_RANGE[0]))


def test_a_reformation_is_bright_along_the_vessel(drawn):
    """The centreline runs along the middle of each cut: there the contrasted lumen is far brighter than beside it."""
    picture = imread(drawn / "reformation-RCA.png")[..., :3].mean(axis=2)
    height = picture.shape[0]
    upper = picture[int(0.12 * height) : int(0.5 * height), 200:900]

    assert upper[len(upper) // 2 - 4 : len(upper) // 2 + 4].mean() > 2 * upper[: len(upper) // 4].mean()
