"""The stage encode: tiles of a slide file become features, whatever is wrong with one of them or with the tiles' scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.prostate import tiles as tiles_stage
from algorithms.prostate.encode import run
from algorithms.slide.encoder.encoder import load
from algorithms.slide.encoder.shards import read_features
from tests.algorithms.slide.jpeg_slide import Spelling, pyramid, tissue, write_jpeg_slide

SIDE = 680
TILE = 224
SETTINGS: dict[str, Any] = {"encoder": "heartwood-small", "precision": "float32", "tiles_at_once": 4}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Return what the slide shows at 0.5 um a pixel, (680, 680, 3)."""
    return tissue(SIDE, SIDE)


def table(path: Path, places: list[tuple[int, int]], **facts: object) -> Path:
    """Write a table of tiles at level-0 places of a slide of 0.5 um."""
    x, y = (np.array([place[axis] for place in places], np.int32) for axis in (0, 1))
    known = {"slide": "s01", "tile_px": TILE, "tile_mpp": 0.5, "mpp": 0.5, "extent_px": 224.0, "width": SIDE, "height": SIDE}
    tiles_stage.write({"x": x, "y": y}, known | facts, path)
    return path


PLACES = [(x, y) for y in (0, 224, 448) for x in (0, 224, 448)]


def test_features_are_the_embeddings_of_the_slides_tiles(tmp_path, picture):
    """The slide is stored without loss of colour at quality 100, so its tiles are the picture's but for JPEG's rounding."""
    slide = write_jpeg_slide(tmp_path / "s01.tiff", pyramid(picture), Spelling(rgb=True, quality=100, chroma="4:4:4"))
    inputs = {"slides": slide, "tiles": table(tmp_path / "s01.parquet", PLACES)}
    measured = run(inputs, tmp_path, **SETTINGS)
    encoder = load("heartwood-small")
    cut = np.stack([picture[y : y + TILE, x : x + TILE] for x, y in PLACES])

    found = read_features(tmp_path / "features").astype(float)

    assert {"tiles": 9, "corrupt_tiles": 0, "dimension": 192, "weights_sha256": encoder.weights_sha256} == measured
    distance = np.linalg.norm(found - encoder.embed(cut), axis=1)
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)[~np.eye(9, dtype=bool)].min()
    assert distance.max() < 0.1 * apart  # rounding of JPEG and float16 against the nearest of the other tiles


def test_a_damaged_native_tile_costs_the_tiles_that_touch_it(tmp_path, picture):
    """Native tile (1, 1) of 256 px spans 256 to 511: tiles from 224 and 448 touch it; the others keep their bytes."""

    def damage(level: int, encoded: list[bytes]) -> None:
        if level == 0:
            encoded[4] = encoded[4][:200] + bytes(400) + encoded[4][600:]

    whole = write_jpeg_slide(tmp_path / "whole.tiff", pyramid(picture), Spelling())
    broken = write_jpeg_slide(tmp_path / "broken.tiff", pyramid(picture), Spelling(), damage=damage)
    grid = table(tmp_path / "s01.parquet", PLACES)
    for name, slide in (("a", whole), ("b", broken)):
        (tmp_path / name).mkdir()
        run({"slides": slide, "tiles": grid}, tmp_path / name, **SETTINGS)
    before, after = (read_features(tmp_path / name / "features") for name in "ab")
    named = json.loads((tmp_path / "b" / "features" / "features.json").read_text())["corrupt"]
    touched = [row for row, (x, y) in enumerate(PLACES) if {x, y} <= {224, 448}]

    assert touched == [bad["row"] for bad in named]
    assert [PLACES[row] for row in touched] == [(bad["x"], bad["y"]) for bad in named]
    assert touched == np.flatnonzero(np.isnan(after).all(axis=1)).tolist()
    others = np.setdiff1d(np.arange(9), touched)
    assert np.array_equal(before[others], after[others])


def test_equal_runs_write_equal_bytes(tmp_path, picture):
    """The key of what follows is made of these bytes."""
    slide = write_jpeg_slide(tmp_path / "s01.tiff", pyramid(picture), Spelling())
    inputs = {"slides": slide, "tiles": table(tmp_path / "s01.parquet", PLACES[:5])}
    for name in "ab":
        (tmp_path / name).mkdir()
        run(inputs, tmp_path / name, **SETTINGS)
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / name / "features").iterdir()} for name in "ab")

    assert one == other
    assert {"features.json", "shard-00000.npy"} == set(one)


@pytest.mark.parametrize(("tile_px", "tile_mpp", "found"), [(256, 0.5, "256 px at 0.5 um"), (224, 0.25, "224 px at 0.25 um")])
def test_tiles_of_another_scale_say_what_mends_it(tmp_path, picture, tile_px, tile_mpp, found):
    """An encoder sees nonsense at another scale, without any error of its own."""
    slide = write_jpeg_slide(tmp_path / "s01.tiff", pyramid(picture), Spelling())
    grid = table(tmp_path / "s01.parquet", PLACES, tile_px=tile_px, tile_mpp=tile_mpp)

    with pytest.raises(DataError, match=rf"tiles of {found} .* use --set tile_px=224 --set tile_mpp=0\.5$"):
        run({"slides": slide, "tiles": grid}, tmp_path, **SETTINGS)
