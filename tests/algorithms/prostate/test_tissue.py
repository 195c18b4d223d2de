"""The verdict on each slide, and what its mask says, against slides whose tissue, pen, blur and folds were painted."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from algorithms.contract.errors import DataError
from algorithms.prostate import tissue
from algorithms.prostate.pipeline import TISSUE
from algorithms.slide.file.tiff import index
from tests.algorithms.slide.painted_slide import MPP, blur, disc, glass, mark, stain, stroke, write_slide

SHAPE = (1536, 1536)
CORE = stroke(SHAPE, (720, 100), (800, 1430), 1100)
"""A piece of 0.67 x 0.55 mm."""
CORE_MM2 = CORE.sum() * (MPP / 1000) ** 2


def painted(kind: str) -> np.ndarray:
    """Return the picture of a slide of this kind."""
    picture = glass(*SHAPE, (205, 204, 200)) if kind == "grey" else glass(*SHAPE)
    if kind in {"good", "blurred"}:
        stain(picture, CORE)
    if kind == "blurred":
        blur(picture, np.ones(SHAPE, dtype=bool), 3 / MPP)
    if kind == "fragment":
        stain(picture, disc(SHAPE, (700, 700), 200))
    if kind == "pen":
        for row, pen in zip((200, 550, 900, 1250), ("blue", "green", "black", "red"), strict=True):
            mark(picture, stroke(SHAPE, (row, 200), (row, 1300), 160), pen)
    return picture


@functools.cache
def slide_bytes(kind: str, mpp: float | None) -> bytes:
    """Return the file of a slide of this kind, made once.

    ``text`` is no slide, ``damaged`` has zeros in place of its second row of tiles, 6 of 36, and no other level.
    """
    if kind == "text":
        return b"no slide" * 999
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tiff"
        if kind != "damaged":
            return write_slide(path, painted(kind), mpp).read_bytes()
        content = bytearray(write_slide(path, painted("good"), mpp, downsamples=(1,)).read_bytes())
        page = index(path).pages[0]
        for start, size in zip(page.offsets[6:12].tolist(), page.byte_counts[6:12].tolist(), strict=True):
            content[start : start + size] = bytes(size)
        return bytes(content)


def run(folder: Path, *kinds: str, scale: float | None = MPP, **settings: float) -> list[dict]:
    """Run the stage on slides of these kinds, whose files state ``scale``; return the entries of ``quality.json``."""
    (folder / "slides").mkdir(parents=True)
    for number, kind in enumerate(kinds, start=1):
        (folder / "slides" / f"s{number:02d}.tiff").write_bytes(slide_bytes(kind, scale))
    tissue.run({"slides": folder / "slides"}, folder, **TISSUE.settings(dict(settings)))
    return json.loads((folder / "quality.json").read_text())["slides"]


def refusal(folder: Path, *kinds: str, scale: float | None = MPP) -> str:
    with pytest.raises(DataError) as failure:
        run(folder, *kinds, scale=scale)
    assert not (folder / "quality.json").exists()
    return str(failure.value)


def test_a_good_slide_is_usable_and_its_area_is_what_was_painted(tmp_path):
    """The overview's pixels of 8 um round the rim of 2.4 mm by half a pixel: 10,000 um2 of 370,000."""
    (slide,) = run(tmp_path, "good")

    assert (slide["usable"], slide["reasons"]) == (True, [])
    assert slide["measures"]["tissue_mm2"] == pytest.approx(CORE_MM2, rel=0.03)
    assert slide["measures"]["blurred_fraction"] == slide["measures"]["fold_fraction"] == slide["measures"]["pen_fraction"] == 0
    assert slide["facts"]["mpp"] == pytest.approx(MPP, rel=1e-4)
    assert slide["facts"] | {"mpp": MPP} == {
        "vendor": "generic-tiff", "width": 1536, "height": 1536, "levels": [[1536, 1536], [384, 384], [96, 96]],
        "mpp": MPP, "mpp_from": "file", "objective_power": None, "compression": "JPEG",
    }  # fmt: skip
    assert slide["overview"] == {"width": 96, "height": 96, "level0_px_per_px": 16}
    assert [c["name"] for c in slide["checks"] if not c["passed"]] == []
    with Image.open(tmp_path / "tissue/s01/mask.png") as mask, Image.open(tmp_path / "tissue/s01/thumbnail.png") as thumbnail:
        assert (mask.mode, mask.size, thumbnail.mode, thumbnail.size) == ("L", (96, 96), "RGB", (96, 96))


def test_one_bad_slide_of_three_does_not_cost_the_others(tmp_path):
    """A case goes on with what can be answered, and says of each other slide why it cannot."""
    slides = run(tmp_path, "good", "white", "text")

    assert [(slide["slide"], slide["usable"]) for slide in slides] == [("s01", True), ("s02", False), ("s03", False)]
    assert slides[1]["reasons"][0].startswith("no tissue: nothing on the slide is stained")


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        pytest.param(["white"], "s01: no tissue: nothing on the slide is stained", id="white"),
        pytest.param(["grey"], "s01: no tissue: nothing on the slide is stained", id="grey"),
        pytest.param(["pen"], "s01: no tissue, only pen marks", id="only pen"),
        pytest.param(["text"], "s01: the file is no TIFF", id="unreadable"),
        pytest.param(["fragment"], "s01: only 0.03 mm2 of tissue; wanted at least 0.25 mm2", id="fragment of 0.2 mm"),
        pytest.param(["blurred"], "of the tissue is out of focus (blurred by more than 1.5 um)", id="blurred by 3 um"),
        pytest.param(["damaged"], "s01: 17% of the slide cannot be decoded, wanted at most 5%", id="a sixth is damaged"),
        pytest.param(["white", "pen"], "s02: no tissue, only pen marks", id="two"),
    ],
)
def test_a_case_without_a_usable_slide_is_refused_with_each_reason(tmp_path, kinds, words):
    """Nothing can be answered; the message names every slide's reason and what to do."""
    message = refusal(tmp_path, *kinds)

    assert words in message
    assert f"none of {len(kinds)} slides can be answered: s01: " in message


def test_a_slide_without_scale_is_refused_until_the_case_declares_one(tmp_path):
    """Nothing has a size without micrometres per pixel; a declared scale is used, and marked as given."""
    message = refusal(tmp_path / "without", "good", scale=None)
    (slide,) = run(tmp_path / "with", "good", scale=None, mpp=0.5)

    assert "the file states no um per pixel that can be true" in message
    assert "set mpp to" in message
    assert (slide["facts"]["mpp"], slide["facts"]["mpp_from"]) == (0.5, "given")
    assert slide["measures"]["tissue_mm2"] == pytest.approx(CORE_MM2, rel=0.03)


def test_a_scale_that_cannot_be_true_is_refused(tmp_path):
    """353 um a pixel is a screen's 72 dots an inch, which image programs write; 4 um is a 2.5x objective."""
    screen = refusal(tmp_path / "screen", "good", scale=352.8)
    loupe = refusal(tmp_path / "loupe", "good", scale=4.0)

    assert "the file states no um per pixel that can be true" in screen
    assert "the file states 4 um per pixel, wanted 0.1 to 1.1" in loupe


def test_a_declared_scale_does_not_replace_one_that_the_file_states(tmp_path):
    """The scanner measured it; a form's value serves the slides that have none."""
    (slide,) = run(tmp_path, "good", mpp=0.25)

    assert (slide["facts"]["mpp"], slide["facts"]["mpp_from"]) == (pytest.approx(0.5, rel=1e-4), "file")


def test_the_same_slide_gives_the_same_bytes(tmp_path):
    """A result that depends on nothing but its inputs can be compared by its hash."""
    for name in ("first", "second"):
        run(tmp_path / name, "good")

    for file in ("quality.json", "tissue/s01/mask.png", "tissue/s01/thumbnail.png"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
