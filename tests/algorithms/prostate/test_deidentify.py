"""The whole stage: what is written, what is said of it, and that a leak stops the case."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import openslide
import pytest

from algorithms.contract.errors import DataError
from algorithms.prostate import deidentify, receive
from algorithms.slide.file.tiff import index
from tests.algorithms.slide.aperio_slide import PERSON, jpeg, planted_values, tissue, write_slide
from tests.algorithms.slide.written_tiff import Image, write_tiff

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


def prepared(tmp_path: Path, **changes: object) -> Path:
    """Return a study of one slide."""
    study = tmp_path / "study"
    study.mkdir()
    write_slide(study / "000001", **changes)
    return study


def test_privacy_json_says_what_was_done_and_no_value(tmp_path):
    """Counts by kind: the report shows it."""
    run(prepared(tmp_path, planted=True), tmp_path / "out")

    text = (tmp_path / "out" / "privacy.json").read_text()
    privacy = json.loads(text)

    slide = privacy["slides"][0]
    assert slide["slide"] == "s01"
    assert slide["pages_copied"] == 2
    assert slide["pages_dropped"] == {"label": 1, "macro": 1, "other": 2, "thumbnail": 1}
    assert slide["tiles"] == 5 * 4 + 2
    assert (
        slide["segments_stripped"] == 20 + 10 + 2
    )  # a comment in each tile of level 0, a tail in half of them, two in the tables
    assert slide["tiles_damaged"] == 0
    assert slide["bytes"] == (tmp_path / "out/slides/s01.tiff").stat().st_size
    assert privacy["scan"]["found"] == 0
    assert not any(value in text for value in PERSON.values())


def test_equal_input_gives_equal_bytes(tmp_path):
    """No clock, no random number and no order of a set is in the copy."""
    study = prepared(tmp_path, planted=True)

    run(study, tmp_path / "a")
    run(study, tmp_path / "b")

    for name in ("slides/s01.tiff", "privacy.json", "selection.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_equal_pixels_of_two_patients_give_equal_bytes(tmp_path):
    """The strongest form of the promise: the copy depends on pixels and scale alone, so it cannot tell whose they are."""
    other = {key: value[::-1] for key, value in PERSON.items()}
    for name, person, planted in (("a", PERSON, True), ("b", other, True), ("c", None, False)):
        (tmp_path / name).mkdir()
        run(prepared(tmp_path / name, person=person, planted=planted), tmp_path / name / "out")

    copies = {(tmp_path / name / "out/slides/s01.tiff").read_bytes() for name in "abc"}

    assert len(copies) == 1


def test_a_name_in_the_pixels_stops_the_case(tmp_path):
    """The one place that is copied unread: compressed data that spells the name is found by the search of the copy."""
    study = prepared(tmp_path)
    raw = bytearray((study / "000001").read_bytes())
    page = index(study / "000001").pages[0]
    place = int(page.offsets[7] + page.byte_counts[7]) - 100
    raw[place : place + 14] = PERSON["name"].encode()
    (study / "000001").write_bytes(raw)

    with pytest.raises(DataError) as failure:
        run(study, tmp_path / "out")

    assert "found in the de-identified slides (s01); the case is stopped" in str(failure.value)
    assert PERSON["name"].lower() not in str(failure.value).lower()
    assert not (tmp_path / "out" / "privacy.json").exists()


def test_a_damaged_tile_is_refused_by_every_reader_and_the_others_stay(tmp_path):
    """Zeros where a tile was: nobody can tell them from text, so a tile that no decoder takes stands for it."""
    study = prepared(tmp_path, levels=1)
    raw = bytearray((study / "000001").read_bytes())
    page = index(study / "000001").pages[0]
    raw[int(page.offsets[7]) : int(page.offsets[7] + page.byte_counts[7])] = bytes(int(page.byte_counts[7]))
    (study / "000001").write_bytes(raw)

    measured = run(study, tmp_path / "out")

    assert measured["tiles_damaged"] == 1
    with openslide.OpenSlide(study / "000001") as old, openslide.OpenSlide(tmp_path / "out/slides/s01.tiff") as new:
        for number in range(20):
            place = (number % 5 * 64, number // 5 * 64)
            if number != 7:
                np.testing.assert_array_equal(
                    np.asarray(new.read_region(place, 0, (64, 64))), np.asarray(old.read_region(place, 0, (64, 64)))
                )
    with openslide.OpenSlide(tmp_path / "out/slides/s01.tiff") as new, pytest.raises(openslide.OpenSlideError):
        new.read_region((2 * 64, 64), 0, (64, 64))


@pytest.mark.parametrize("compression", [1, 5, 8, 33005])
def test_the_tile_that_stands_for_a_damaged_one_is_refused_in_every_compression(tmp_path, compression):
    """A decoder that took it for pixels would show tissue that is not there."""
    study = prepared(tmp_path, levels=1, compression=compression)
    raw = bytearray((study / "000001").read_bytes())
    slide = index(study / "000001")
    entry = slide.pages[0].fields[325]
    raw[entry.start + 4 * 7 : entry.start + 4 * 8] = (9).to_bytes(4, "little")  # a length of nine bytes
    (study / "000001").write_bytes(raw)

    measured = run(study, tmp_path / "out")

    assert measured["tiles_damaged"] == 1
    with openslide.OpenSlide(tmp_path / "out/slides/s01.tiff") as new, pytest.raises(openslide.OpenSlideError):
        new.read_region((2 * 64, 64), 0, (64, 64))


def test_a_tile_with_a_megabyte_behind_its_end_is_given_up(tmp_path):
    """More bytes than its pixels could take are not read at all, and the proof agrees."""
    fields = {256: (4, 128), 257: (4, 64), 258: (3, [8, 8, 8]), 259: (3, 7), 262: (3, 6), 277: (3, 3), 322: (3, 64),
              323: (3, 64), 270: (2, "Aperio Image|MPP = 0.5")}  # fmt: skip
    study = tmp_path / "study"
    study.mkdir()
    write_tiff(study / "000001", [Image(fields, [jpeg(tissue(64, 64)), jpeg(tissue(64, 64, 1)) + bytes(10**6)])])

    measured = run(study, tmp_path / "out")

    assert measured["tiles_damaged"] == 1
    assert measured["bytes"] < 10_000


def test_shared_and_empty_tiles_stay_shared_and_empty(tmp_path):
    """Scanners let blank tiles share one place or have none; copying each would make a file of any size."""
    fields = {256: (4, 1920), 257: (4, 640), 258: (3, [8, 8, 8]), 259: (3, 7), 262: (3, 6), 277: (3, 3), 322: (3, 64),
              323: (3, 64), 270: (2, "Aperio Image|MPP = 0.5")}  # fmt: skip
    tiles = [jpeg(tissue(64, 64, seed % 3)) if seed % 10 else b"" for seed in range(300)]
    shared = {number: number % 3 + 3 for number in range(6, 300) if number % 10}
    study = tmp_path / "study"
    study.mkdir()
    write_tiff(study / "000001", [Image(fields, tiles, shared=shared)])

    run(study, tmp_path / "out")

    old, new = index(study / "000001"), index(tmp_path / "out/slides/s01.tiff")
    assert new.size < old.size + 20_000  # places and lengths take eight bytes each instead of four
    assert len(set(new.pages[0].offsets.tolist())) == len(set(old.pages[0].offsets.tolist()))
    np.testing.assert_array_equal(new.pages[0].byte_counts == 0, old.pages[0].byte_counts == 0)


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
