"""Tiles decode to OpenSlide's pixels, in every spelling of JPEG in TIFF; what libjpeg complains of is damage."""

from __future__ import annotations

import numpy as np
import openslide
import pytest

from algorithms.slide.pixels.decode import Encoded, UnreadableTileError, tile_decoder
from algorithms.slide.pixels.reader import open_slide
from tests.algorithms.slide.jpeg_slide import Spelling, tissue, write_jpeg_slide

SPELLINGS = {
    "4:2:0 with tables apart": Spelling(),
    "4:2:2": Spelling("4:2:2"),
    "4:4:4": Spelling("4:4:4"),
    "4:2:0 with tables in each tile": Spelling(tables_apart=False),
    "restart markers": Spelling(restart_every=3),
    "coarse quantisation": Spelling(quality=20),
    "RGB with tables apart": Spelling("4:4:4", rgb=True),
    "RGB with tables in each tile": Spelling("4:4:4", rgb=True, tables_apart=False),
    "optimal Huffman codes": Spelling(tables_apart=False, more={"optimize": True}),
    "progressive": Spelling(tables_apart=False, more={"progressive": True}),
    "a comment in each tile": Spelling(tables_apart=False, more={"comment": b"a text"}),
}


def pixels_of_openslide(path) -> np.ndarray:
    """Return level 0, (Y, X, 3)."""
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_pixels_are_those_of_openslide(tmp_path, spelling):
    """OpenSlide joins tables, chooses the colour transform and decodes by itself; the slide ends inside its last tiles."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", [tissue(300, 420)], spelling)
    x, y = (side.ravel() for side in np.meshgrid([0, 100, 220], [0, 100]))

    with open_slide(path) as slide:
        found = np.concatenate([batch.tiles for batch in slide.windows(x, y, extent_px=200, tile_px=200)])

    whole = pixels_of_openslide(path)
    expected = np.stack([whole[top : top + 200, left : left + 200] for left, top in zip(x, y, strict=True)])
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("marker", [b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\1"])
def test_a_tile_that_calls_itself_luma_and_chroma_is_rgb_where_its_page_says_so(marker):
    """TIFF's photometric interpretation counts; without it a JFIF or Adobe segment would turn red tissue green."""
    spelling = Spelling("4:4:4", rgb=True)
    picture = tissue(256, 256)
    tables, tile = spelling.encoded(picture, 1), spelling.encoded(picture, 2)
    decoder = tile_decoder(tables, 256, 256, photometric=2)
    plain, marked = np.empty((2, 256, 256, 3), np.uint8)

    decoder.decode(Encoded.whole(tile), plain)
    decoder.decode(Encoded.whole(tile[:2] + marker + tile[2:]), marked)

    assert np.array_equal(plain, marked)
    assert np.abs(plain.astype(int) - picture).mean() < 5  # quality 80 loses less; a colour transform too many, 50 and more


def _cut(tile):
    return tile[: len(tile) // 2]


def _zeros(tile):
    return tile[: len(tile) // 2] + bytes(512) + tile[len(tile) // 2 + 512 :]


def _other_size(_):
    return Spelling().encoded(tissue(128, 256), 2)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(_cut, "the tile's stream is damaged", id="cut"),
        pytest.param(_zeros, "the tile's stream is damaged", id="zero bytes"),
        pytest.param(lambda tile: tile[:-2], "the tile's stream is damaged", id="no end marker"),
        pytest.param(lambda tile: tile[:30], "the tile's", id="cut in the header"),
        pytest.param(lambda tile: tile[:1], "no JPEG", id="one byte"),
        pytest.param(lambda tile: bytes(len(tile)), "no JPEG", id="nothing but zeros"),
        pytest.param(lambda _: b"\xff\xd8\xff\xd9", "the tile's header", id="an empty image, what de-identification leaves"),
        pytest.param(_other_size, "the tile's header is not that of its page", id="another size"),
    ],
)
def test_damage_is_an_error(damage, reason):
    """Each of these decodes to pixels in a program that does not listen to libjpeg's warnings, or to no pixels at all."""
    spelling, picture = Spelling(), tissue(256, 256)
    decoder = tile_decoder(spelling.encoded(picture, 1), 256, 256, photometric=6)

    with pytest.raises(UnreadableTileError, match=reason):
        decoder.decode(Encoded.whole(damage(spelling.encoded(picture, 2))), np.empty((256, 256, 3), np.uint8))
