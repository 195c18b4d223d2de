"""The lumen mask against phantoms whose tree is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.anatomy import document, find_anatomy
from algorithms.coronary.grid import Grid, read_grid, write_grid
from algorithms.coronary.segment import run, segment
from algorithms.phantom.coronary.phantom import CoronaryPhantom
from tests.phantoms import small_coronary

SEED = 101
CLASSICAL = {"segmenter": "classical", "lumen_model": "fine", "lumen_precision": "float32"}


def _volume(phantom: CoronaryPhantom) -> Grid:
    return Grid(phantom.volume_hu, phantom.spacing_mm, phantom.origin_mm)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segment")


def inputs_in(folder: Path) -> dict[str, Path]:
    return {"volume": folder / "volume.nii", "heart": folder / "heart.nii.gz", "anatomy": folder / "anatomy.json"}


@pytest.fixture(scope="module")
def found(folder: Path) -> tuple[CoronaryPhantom, Grid, dict[str, float | int | str]]:
    """Run anatomy and the stage on the small phantom: it, the mask as written, and the measurements."""
    phantom = small_coronary(SEED)
    anatomy = find_anatomy(_volume(phantom))
    write_grid(_volume(phantom), folder / "volume.nii")
    write_grid(anatomy.heart.labels, folder / "heart.nii.gz")
    (folder / "anatomy.json").write_text(json.dumps(document(anatomy)))
    measured = run(inputs_in(folder), folder, **CLASSICAL)
    return phantom, read_grid(folder / "lumen.nii.gz"), measured


@pytest.mark.slow
def test_no_lesion_parts_a_main_vessel(found):
    """From a root's ostium to 0.6 of each main vessel's length the mask is one piece, stenoses included."""
    phantom, lumen, _ = found
    names, _ = ndimage.label(lumen.values, ndimage.generate_binary_structure(3, 3))
    voxels = np.argwhere(lumen.values)
    tree = cKDTree(lumen.points_mm(voxels))
    branches = {b["name"]: np.array(b["points_mm"]) for b in phantom.tree["branches"]}

    def piece(point: np.ndarray) -> int:
        return int(names[tuple(voxels[tree.query(point)[1]])])

    for root, vessel in (("LM", "LAD"), ("LM", "LCx"), ("RCA", "RCA")):
        points = branches[vessel][: int(0.6 * len(branches[vessel]))]
        assert {piece(branches[root][4])} == {piece(p) for p in points}


@pytest.mark.slow
def test_measurements_are_those_of_the_mask(found):
    """The volume in the manifest is the number of voxels times their volume."""
    _, lumen, measured = found
    voxel_ml = float(np.prod(lumen.spacing_mm)) / 1000

    assert measured["lumen_ml"] == pytest.approx(float(lumen.values.sum()) * voxel_ml, abs=5e-4)  # rounded to a microlitre
    assert measured["longest_gap_mm"] <= 15.0


def test_without_an_ostium_nothing_is_guessed():
    """The growth needs a place to start: the message asks for another series."""
    empty = Grid(np.zeros((4, 4, 4), np.int16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    with pytest.raises(DataError, match="no coronary ostium was found"):
        segment(empty, empty, {"ostia": {}})


@pytest.mark.slow
def test_the_same_input_is_the_same_mask(found, folder, tmp_path):
    """The result's hash names it: another run finds the same anatomy and writes the same bytes."""
    phantom, _, _ = found

    again = find_anatomy(_volume(phantom))
    run(inputs_in(folder), tmp_path, **CLASSICAL)

    assert json.loads(json.dumps(document(again))) == json.loads((folder / "anatomy.json").read_text())
    assert (tmp_path / "lumen.nii.gz").read_bytes() == (folder / "lumen.nii.gz").read_bytes()
