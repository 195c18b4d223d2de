"""Tables of tiles over masks whose area is known, and that no tile is taken that a mask speaks against."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from algorithms.contract.errors import DataError
from algorithms.prostate import tiles
from algorithms.prostate.pipeline import TILES
from algorithms.slide.tissue.mask import BLURRED, FOLD, PEN, TISSUE
from tests.algorithms.slide.painted_slide import disc

SCALE = 16


def run(
    folder: Path, labels: dict[str, np.ndarray], mpp: float = 0.5, scale: int = SCALE, **settings: float
) -> dict[str, dict]:
    """Run the stage over these masks; return each slide's table as arrays, with its schema's metadata."""
    slides = []
    for name, mask in labels.items():
        (folder / "tissue" / name).mkdir(parents=True)
        Image.fromarray(mask.astype(np.uint8)).save(folder / "tissue" / name / "mask.png")
        facts = {"mpp": mpp, "width": mask.shape[1] * scale, "height": mask.shape[0] * scale}
        slides.append({"slide": name, "usable": True, "facts": facts, "overview": {"level0_px_per_px": scale}})
    slides.append({"slide": "s99", "usable": False})
    (folder / "quality.json").write_text(json.dumps({"slides": slides}))
    tiles.run({"tissue": folder / "tissue", "quality": folder / "quality.json"}, folder, **TILES.settings(dict(settings)))
    return {path.stem: read(path) for path in sorted((folder / "tiles").iterdir())}


def read(path: Path) -> dict:
    table = pyarrow.parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names} | {"schema": table.schema}


def test_every_tile_of_a_disc_is_taken_that_it_half_covers(tmp_path):
    """A disc of 1 mm across: the taken tiles are those that a drawing at full size covers by half, with the same part."""
    mask = disc((150, 160), (75, 80), 62) * TISSUE

    table = run(tmp_path, {"s01": mask})["s01"]

    drawn = np.kron(mask, np.ones((SCALE, SCALE)))
    expected = [
        (left, top, share)
        for top in range(0, drawn.shape[0] - 223, 224)
        for left in range(0, drawn.shape[1] - 223, 224)
        if (share := drawn[top : top + 224, left : left + 224].mean()) >= 0.5
    ]
    np.testing.assert_array_equal(np.stack([table["x"], table["y"]], axis=1), [place[:2] for place in expected])
    np.testing.assert_allclose(table["tissue"], [place[2] for place in expected], rtol=1e-6)
    assert not table["pen"].any()
    assert not table["blurred"].any()


def test_blurred_and_folded_tissue_is_tissue_and_is_named(tmp_path):
    """Four tiles in a row: whole, a quarter blurred, a quarter folded, an eighth pen; the last has an eighth less tissue."""
    mask = np.full((14, 56), TISSUE)
    mask[:7, 14:21] = BLURRED
    mask[:7, 28:35] = FOLD
    mask[:7, 42:46] = PEN

    table = run(tmp_path, {"s01": mask}, pen_most=0.5)["s01"]

    assert table["x"].tolist() == [0, 224, 448, 672]
    assert table["tissue"].tolist() == pytest.approx([1, 1, 1, 1 - 1 / 7])
    assert table["blurred"].tolist() == pytest.approx([0, 0.25, 0, 0])
    assert table["fold"].tolist() == pytest.approx([0, 0, 0.25, 0])
    assert table["pen"].tolist() == pytest.approx([0, 0, 0, 1 / 7])


@pytest.mark.parametrize("label", [PEN, BLURRED, FOLD])
def test_a_tile_with_too_much_of_an_artefact_is_left_out(tmp_path, label):
    """Two tiles, of which the second is six sevenths artefact."""
    mask = np.full((14, 28), TISSUE)
    mask[:12, 14:] = label

    assert run(tmp_path, {"s01": mask}, tissue_least=0.01)["s01"]["x"].tolist() == [0]


def test_the_table_says_how_large_its_tiles_are(tmp_path):
    """The reader needs the extent in level-0 pixels and the scale; 112 um are 224.449 pixels of 0.499 um."""
    schema = run(tmp_path, {"s01": np.full((60, 60), TISSUE)}, mpp=0.499)["s01"]["schema"]

    assert [(field.name, str(field.type)) for field in schema] == [
        ("x", "int32"), ("y", "int32"), ("tissue", "float"), ("pen", "float"), ("blurred", "float"), ("fold", "float")
    ]  # fmt: skip
    assert schema.metadata == {
        b"slide": b"s01", b"tile_px": b"224", b"tile_mpp": b"0.5", b"mpp": b"0.499", b"extent_px": b"224.4488977955912",
        b"width": b"960", b"height": b"960",
    }  # fmt: skip


def test_a_scene_scanned_twice_as_finely_has_the_same_tiles(tmp_path):
    """The grid is laid by micrometres: at 0.25 um a pixel the same masks give the same tiles at twice the positions."""
    mask = disc((200, 200), (90, 110), 80) * TISSUE
    coarse = run(tmp_path / "coarse", {"s01": mask}, mpp=0.5, scale=16)["s01"]
    fine = run(tmp_path / "fine", {"s01": mask}, mpp=0.25, scale=32)["s01"]

    np.testing.assert_array_equal(fine["x"], 2 * coarse["x"])
    np.testing.assert_array_equal(fine["y"], 2 * coarse["y"])
    np.testing.assert_array_equal(fine["tissue"], coarse["tissue"])


def test_the_grid_says_how_many_tiles_were_taken(tmp_path):
    """5 x 5 tiles fit into 1200 pixels; the left two columns are tissue.  A slide that is not usable has no table."""
    mask = np.zeros((75, 75))
    mask[:, :28] = TISSUE

    tables = run(tmp_path, {"s01": mask, "s02": np.full((75, 75), TISSUE)})

    grid = json.loads((tmp_path / "tiles.json").read_text())
    assert list(tables) == ["s01", "s02"]
    assert (grid["tile_px"], grid["tile_mpp"]) == (224, 0.5)
    assert grid["slides"][0] == {"slide": "s01", "tiles": 10, "candidates": 25, "extent_px": 224.0, "mpp": 0.5}
    assert grid["slides"][1]["tiles"] == 25


def test_tissue_too_thin_for_any_tile_is_refused(tmp_path):
    """A thread of 32 um fills two sevenths of a tile: nothing would be left to encode."""
    mask = np.zeros((75, 75))
    mask[:, 20:24] = TISSUE

    with pytest.raises(DataError, match=r"no tile of 112 um on 1 usable slides has 50% tissue or more"):
        run(tmp_path, {"s01": mask})


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    """Tables are compared by their hash."""
    mask = disc((75, 75), (37, 37), 35) * TISSUE
    for name in ("first", "second"):
        run(tmp_path / name, {"s01": mask})

    first, second = (tmp_path / name / "tiles" / "s01.parquet" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
