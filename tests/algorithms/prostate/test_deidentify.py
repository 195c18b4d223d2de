"""The whole stage: what is written, what is said of it, and that a leak stops the case."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openslide
import pytest

from algorithms.prostate import deidentify, receive
from tests.algorithms.slide.aperio_slide import PERSON, planted_values, write_slide

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
COMPRESSIONS = [
    pytest.param({"compression": 7}, id="JPEG YCbCr with tables"),
    pytest.param({"compression": 7, "tables": False}, id="JPEG YCbCr, each tile whole"),
    pytest.param({"compression": 7, "rgb": True}, id="JPEG RGB with tables"),
    pytest.param({"compression": 7, "rgb": True, "tables": False}, id="JPEG RGB, each tile whole"),
    pytest.param({"compression": 33005}, id="JPEG 2000 RGB"),
    pytest.param({"compression": 33003}, id="JPEG 2000 YCC"),
    pytest.param({"compression": 8}, id="deflate"),
    pytest.param({"compression": 5}, id="LZW"),
    pytest.param({"compression": 1}, id="none"),
]


def run(study: Path, out: Path, secret: str = "ab" * 32) -> dict:
    """Run both stages on the files of a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "secret").write_text(secret)
    receive.run({"study": study, "secret": out / "secret"}, out)
    return deidentify.run({"study": study, "selection": out / "selection.json", "secret": out / "secret"}, out)


def picture(path: Path) -> np.ndarray:
    """Return all pixels of all levels as OpenSlide decodes them, one after the other."""
    with openslide.OpenSlide(path) as slide:
        return np.concatenate(
            [np.asarray(slide.read_region((0, 0), n, size)).ravel() for n, size in enumerate(slide.level_dimensions)]
        )


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_pixels_are_equal_and_no_planted_value_is_in_any_byte(tmp_path, kind):
    """The two promises at once, on a slide with a person in every place a file has, read by another program."""
    study = tmp_path / "study"
    study.mkdir()
    write_slide(study / "000001", planted=kind["compression"] in {7}, **kind)

    measured = run(study, tmp_path / "out")

    copy = tmp_path / "out" / "slides" / "s01.tiff"
    written = copy.read_bytes().lower() + (tmp_path / "out" / "privacy.json").read_bytes().lower()
    before = (study / "000001").read_bytes().lower()
    assert any(value in before for value in planted_values())
    assert [value for value in planted_values() if value in written] == []
    np.testing.assert_array_equal(picture(copy), picture(study / "000001"))
    assert measured["values_found"] == 0
    assert measured["values_searched"] > 30


def test_openslide_still_knows_the_slide(tmp_path):
    """Vendor, scale, objective and levels are the slide's; nothing else of its text is there."""
    study = tmp_path / "study"
    study.mkdir()
    write_slide(study / "000001", planted=True)

    run(study, tmp_path / "out")

    with openslide.OpenSlide(study / "000001") as old, openslide.OpenSlide(tmp_path / "out/slides/s01.tiff") as new:
        for name in ("vendor", "mpp-x", "mpp-y", "objective-power", "level-count"):
            assert new.properties[f"openslide.{name}"] == old.properties[f"openslide.{name}"]
        assert new.level_dimensions == old.level_dimensions
        assert set(old.associated_images) == {"label", "macro", "thumbnail"}
        assert set(new.associated_images) == set()
        assert {key for key in new.properties if key.startswith("aperio.")} == {"aperio.AppMag", "aperio.MPP"}
        assert PERSON["name"] not in "".join(new.properties.values())


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real slides")
def test_a_real_slide_leaves_without_its_text(tmp_path):
    """Scanner, user, date, file name and image number of CMU-1 are found in the input and gone from the output."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "000001").write_bytes((Path(str(REAL_DATA)) / "slide" / "cmu-1-small-region.svs").read_bytes())

    run(study, tmp_path / "out")

    before, after = (study / "000001").read_bytes(), (tmp_path / "out/slides/s01.tiff").read_bytes()
    for word in (b"CPAPERIOCS", b"CMU-1", b"b414003d", b"1004486", b"12/29/09", b"USM Filter", b"label 387x463"):
        assert word in before
        assert word not in after
    np.testing.assert_array_equal(picture(tmp_path / "out/slides/s01.tiff"), picture(study / "000001"))
