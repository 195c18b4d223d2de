"""Facts as OpenSlide reads them, scales that are none, and levels that are levels."""

from __future__ import annotations

import numpy as np
import openslide
import pytest
import tifffile

from algorithms.slide.file.facts import aperio_values, facts
from algorithms.slide.file.tiff import index
from tests.algorithms.slide.aperio_slide import TILE, Slide, jpeg, tissue, write_slide
from tests.algorithms.slide.written_tiff import Image, write_tiff


def tiled(width: int, height: int, **fields: tuple[int, object]) -> Image:
    """Return a page of JPEG tiles."""
    count = -(-width // TILE) * -(-height // TILE)
    base = {254: (4, 0), 256: (4, width), 257: (4, height), 258: (3, [8, 8, 8]), 259: (3, 7), 262: (3, 6), 277: (3, 3),
            322: (3, TILE), 323: (3, TILE)}  # fmt: skip
    return Image(base | {int(code[1:]): value for code, value in fields.items()}, [jpeg(tissue(TILE, TILE))] * count)


@pytest.mark.parametrize(("big", "order"), [(False, "<"), (True, "<"), (True, ">")])
def test_facts_are_openslides(tmp_path, big, order):
    """Another program's answer for vendor, size, levels, tile size, scale and objective power.

    OpenSlide 4.0.1 opens no classic file in big-endian order, whoever wrote it; the next test has that one.
    """
    path = tmp_path / "slide.svs"
    write_slide(path, Slide(width=1100, height=700, levels=3, options={"big": big, "order": order}))

    found = facts(index(path))

    with openslide.OpenSlide(path) as slide:
        properties = slide.properties
        assert found.vendor == properties["openslide.vendor"]
        assert [(page.width, page.height) for page in found.pages] == list(slide.level_dimensions)
        assert found.mpp == float(properties["openslide.mpp-x"])
        assert found.objective_power == float(properties["openslide.objective-power"])
        assert found.tile_width == int(properties["openslide.level[0].tile-width"])


def test_facts_do_not_hang_on_the_order_of_bytes(tmp_path):
    """The fourth kind of file, against the first."""
    for order in "<>":
        write_slide(tmp_path / order, Slide(options={"order": order}))

    assert facts(index(tmp_path / ">")).document() == facts(index(tmp_path / "<")).document()


def test_a_plain_tiff_is_read_with_its_resolution(tmp_path):
    """Pixels per centimetre; levels that say so, one below the first page; OpenSlide agrees on the scale."""
    path = tmp_path / "slide.tiff"
    pixels = tissue(300, 200)
    with tifffile.TiffWriter(path) as writer:
        options = {"tile": (64, 64), "photometric": "rgb", "metadata": None}
        writer.write(pixels, resolution=(20000, 20000), resolutionunit="CENTIMETER", subifds=1, **options)
        writer.write(pixels[::2, ::2], subfiletype=1, **options)

    found = facts(index(path))

    assert found.document() == {
        "vendor": "generic-tiff", "width": 300, "height": 200, "tile_width": 64, "tile_height": 64,
        "levels": [[300, 200], [150, 100]], "compression": "none", "mpp": 0.5, "objective_power": None, "scanner": None,
        "empty_tiles": 0,
    }  # fmt: skip
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        pytest.param((20000, 20000), "CENTIMETER", 0.5, id="half a micrometre"),
        pytest.param((50800, 50800), "INCH", 0.5, id="in inches"),
        pytest.param((72, 72), "INCH", None, id="72 dpi, which is no scale"),
        pytest.param((96, 96), "INCH", None, id="96 dpi"),
        pytest.param((1, 1), "NONE", None, id="without a unit"),
        pytest.param((300, 300), "CENTIMETER", None, id="print"),
    ],
)
def test_a_resolution_is_a_scale_only_where_a_slide_can_have_it(tmp_path, resolution, unit, mpp):
    """Programs write 72 dpi where they know nothing: a pixel of 353 micrometres."""
    path = tmp_path / "slide"
    tifffile.imwrite(path, tissue(99, 99), tile=(64, 64), photometric="rgb", metadata=None, resolution=resolution,
                     resolutionunit=unit)  # fmt: skip

    assert facts(index(path)).mpp == mpp


@pytest.mark.parametrize(
    ("text", "mpp"),
    [("0.2520", 0.252), ("0.25", 0.25), ("0", None), ("353", None), ("0,25", None), ("", None), ("0.25 Doe", None),
     ("1e-1", None), ("nan", None), ("0.2520000000000000000000001", None)],
)  # fmt: skip
def test_the_scale_of_an_aperio_slide_is_a_number_and_nothing_else(tmp_path, text, mpp):
    """The value goes into the copy, so that it must not be able to carry anything."""
    write_slide(tmp_path / "slide", Slide(mpp=text))

    assert facts(index(tmp_path / "slide")).mpp == mpp


@pytest.mark.parametrize(
    ("width", "height", "changes", "kept"),
    [
        pytest.param(128, 96, {}, True, id="a fourth"),
        pytest.param(129, 97, {}, True, id="rounded up twice"),
        pytest.param(128, 64, {}, False, id="another shape"),
        pytest.param(171, 128, {}, False, id="a third"),
        pytest.param(512, 384, {}, False, id="another plane of level 0"),
        pytest.param(128, 96, {"_270": (2, "Aperio\r\nlabel 128x96")}, False, id="called a label"),
        pytest.param(128, 96, {"_270": (2, "Macro")}, False, id="called a macro"),
        pytest.param(128, 96, {"_262": (3, 2)}, False, id="other colours"),
        pytest.param(128, 96, {"_325": (4, [0, 0, 0, 0])}, False, id="without a tile"),
        pytest.param(128, 96, {"_322": (3, 32), "_323": (3, 128)}, False, id="other tiles"),
    ],
)
def test_a_tiled_page_is_a_level_only_if_its_sides_are(tmp_path, width, height, changes, kept):
    """A label or macro stored in tiles, as newer scanners do, is told by its sides, whatever its text says."""
    write_tiff(tmp_path / "slide", [tiled(512, 384, _270=(2, "Aperio")), tiled(width, height, **changes)])

    pages = facts(index(tmp_path / "slide")).pages

    assert len(pages) == 1 + kept


def test_values_of_a_description_are_read_once_and_bounded():
    """The first of each key, as OpenSlide; a description of nothing but keys ends."""
    text = "Aperio|AppMag = 20|MPP = 0.5|MPP = 0.9|x=" + "|".join(f"k{n}=1" for n in range(5000))

    values = aperio_values(text)

    assert (values["AppMag"], values["MPP"]) == ("20", "0.5")
    assert len(values) == 1000
    assert np.all([len(key) <= 64 for key in values])
