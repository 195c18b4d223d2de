"""Encoded tiles: what is no pixel goes, the pixels stay, and what cannot be understood is said to be damaged."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from algorithms.slide.file import jpeg2000, lossless
from algorithms.slide.file.jpeg import EMPTY_TILE, DamagedTileError, TileCleaner, cleaned_tables
from algorithms.slide.file.tiff import index
from tests.algorithms.slide.aperio_slide import TILE, abbreviated, comment, jpeg, jpeg_2000, lzw, segments, tissue

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
PIXELS = tissue(TILE, TILE, seed=3)
WHO = "Quastenflosser, Ottokar"


def decoded(image: bytes) -> np.ndarray:
    """Return the pixels as Pillow decodes them."""
    with Picture.open(io.BytesIO(image)) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(
    "options", [{}, {"rgb": True}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_blocks": 2}]
)
def test_a_clean_tile_stays_as_it_is_and_a_planted_one_becomes_it(options):
    """Segments before, between and behind, in all three kinds of coding; the pixels are another decoder's."""
    clean = jpeg(PIXELS, **options)
    found, scan = segments(clean)
    planted = b"\xff\xd8" + b"".join(comment(WHO, 0xE0 + n) + raw for n, (_, raw) in enumerate(found)) + comment(WHO)
    planted += scan + WHO.encode()
    cleaner = TileCleaner(TILE, TILE)

    once, twice = cleaner.cleaned(clean), TileCleaner(TILE, TILE).cleaned(planted)

    assert WHO.encode() not in twice.data
    assert len(twice.removed) == len(found) + 2
    assert twice.removed[-1] == WHO.encode()
    np.testing.assert_array_equal(decoded(twice.data), decoded(clean))
    assert twice.data == once.data
    assert TileCleaner(TILE, TILE).cleaned(once.data).data == once.data


def test_comments_between_the_scans_of_a_progressive_tile_go(tmp_path):
    """The second place where a decoder skips text; each scan of a progressive image begins with tables of its own."""
    clean = jpeg(PIXELS, progressive=True)
    at = clean.find(b"\xff\xc4", clean.find(b"\xff\xda"))
    planted = clean[:at] + comment(WHO) + comment(WHO, 0xE1) + clean[at:]

    cleaned = TileCleaner(TILE, TILE).cleaned(planted)

    assert cleaned.data == TileCleaner(TILE, TILE).cleaned(clean).data
    assert cleaned.removed == [WHO.encode()] * 2


def test_the_colour_transform_stays_and_the_rest_of_its_segment_goes():
    """Adobe's segment tells RGB from YCbCr: without it a decoder would show other colours."""
    clean = jpeg(PIXELS, rgb=True)
    planted = clean[:2] + comment("Exif") + clean[2:]
    longer = planted.replace(b"\xff\xee\x00\x0eAdobe\x00\x64", b"\xff\xee\x00\x0eAdobe\x12\x34", 1)

    cleaned = TileCleaner(TILE, TILE).cleaned(longer)

    assert b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" in cleaned.data
    np.testing.assert_array_equal(decoded(cleaned.data), decoded(clean))


def test_a_thumbnail_in_a_jfif_segment_goes():
    """JFIF carries a picture of its own; the mark stays since decoders take the colour space from it."""
    clean = jpeg(PIXELS)
    thumbnail = struct.pack(">HH5s7BBB", 0xFFE0, 16 + 3 * 64, b"JFIF\0", 1, 2, 1, 0, 72, 0, 72, 8, 8) + b"face" * 48
    planted = b"\xff\xd8" + thumbnail + clean[20:]

    cleaned = TileCleaner(TILE, TILE).cleaned(planted)

    assert b"face" not in cleaned.data
    assert b"JFIF" in cleaned.data
    np.testing.assert_array_equal(decoded(cleaned.data), decoded(clean))


def test_tables_keep_tables_only():
    """JPEGTables can carry comments as any JPEG can."""
    tables, tile = abbreviated(jpeg(PIXELS))
    planted = tables[:2] + comment(WHO) + tables[2:-2] + comment(WHO, 0xE5) + tables[-2:] + WHO.encode()

    cleaned = cleaned_tables(planted)

    assert cleaned.data == tables
    assert cleaned.removed == [WHO.encode()] * 3
    assert TileCleaner(TILE, TILE).cleaned(tile).data == tile


def test_the_remembered_header_is_never_another_tiles():
    """Tiles of one page with other tables, comments and none: each is cleaned as if it were the first."""
    one, two = jpeg(PIXELS), jpeg(PIXELS, quality=40)
    tiles = [one, two, one[:2] + comment("a") + one[2:], one, one + b"tail", two, one[:2] + comment("b") + one[2:]]
    cleaner = TileCleaner(TILE, TILE)

    cleaned = [cleaner.cleaned(tile) for tile in tiles]

    assert [entry.data for entry in cleaned] == [TileCleaner(TILE, TILE).cleaned(tile).data for tile in tiles]
    assert [len(entry.removed) for entry in cleaned] == [0, 0, 1, 0, 1, 0, 1]


DAMAGED = {
    "nothing": b"",
    "zeros": bytes(500),
    "text": b"Quastenflosser" * 9,
    "no scan": jpeg(PIXELS)[:300],
    "no frame": b"\xff\xd8" + b"".join(raw for marker, raw in segments(jpeg(PIXELS))[0] if marker != 0xC0)
    + segments(jpeg(PIXELS))[1],
    "other size": jpeg(PIXELS[:32]),
    "grey": jpeg(PIXELS[:, :, 0]),
    "two frames": jpeg(PIXELS)[:2] + b"".join(raw for marker, raw in segments(jpeg(PIXELS))[0] if marker == 0xC0)
    + jpeg(PIXELS)[2:],
    "text behind a table": jpeg(PIXELS).replace(b"\xff\xdb\x00\x43", b"\xff\xdb\x00\x45", 1),
    "a marker in the scan": jpeg(PIXELS)[:-40] + b"\xff\x3a" + jpeg(PIXELS)[-40:],
    "text behind a restart marker that no interval allows": jpeg(PIXELS)[:-2] + b"\xff\xd0" + WHO.encode() + b"\xff\xd9",
    "tables alone": abbreviated(jpeg(PIXELS))[0],
    "empty tile": EMPTY_TILE,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_bytes_that_cannot_be_told_from_text_are_damaged(name):
    """They are not copied: a decoder could not read them, and nobody knows what they say."""
    with pytest.raises(DamagedTileError):
        TileCleaner(TILE, TILE).cleaned(DAMAGED[name])


def test_restart_markers_stay_where_the_shared_tables_define_them():
    """The interval may stand in JPEGTables; decoders then expect the markers in every tile."""
    image = jpeg(PIXELS, restart_marker_blocks=2)
    found, scan = segments(image)
    interval = b"".join(raw for marker, raw in found if marker == 0xDD)
    tile = b"\xff\xd8" + b"".join(raw for marker, raw in found if marker != 0xDD) + scan

    cleaned = TileCleaner(TILE, TILE, b"\xff\xd8" + interval + b"\xff\xd9").cleaned(tile)

    assert len(interval) == 6
    assert cleaned.data == tile
    with pytest.raises(DamagedTileError):
        TileCleaner(TILE, TILE).cleaned(tile)


def test_a_scan_that_stops_early_gets_an_end_and_no_more():
    """Decoders assume an end there; the reader finds the tile by its warning."""
    cleaned = TileCleaner(TILE, TILE).cleaned(jpeg(PIXELS)[:-200])

    assert cleaned.data.endswith(b"\xff\xd9")
    assert len(cleaned.data) <= len(jpeg(PIXELS)) - 198


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_change_gives_a_clean_tile_or_damage(data):
    """Cleaning twice is cleaning once, and there is no other exception."""
    raw = bytearray(jpeg(PIXELS[:, ::-1].copy()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        once = TileCleaner(TILE, TILE).cleaned(bytes(raw)).data
    except DamagedTileError:
        return

    assert TileCleaner(TILE, TILE).cleaned(once).data == once


@pytest.mark.parametrize("options", [{}, {"tile_size": (64, 64)}, {"progression": "RPCL", "num_resolutions": 3}, {"plt": True}])
def test_jpeg_2000_loses_comments_and_lists_of_lengths(options):
    """Main header, and bytes behind the end; the pixels are OpenJPEG's."""
    clean = jpeg_2000(PIXELS, comment=WHO, **options)

    cleaned = jpeg2000.cleaned(clean + WHO.encode(), TILE, TILE)

    assert WHO.encode() in clean
    assert WHO.encode() not in cleaned.data
    assert b"\xff\x64" not in cleaned.data[:120]
    np.testing.assert_array_equal(decoded(cleaned.data), decoded(clean))
    assert jpeg2000.cleaned(cleaned.data, TILE, TILE).data == cleaned.data
    assert jpeg2000.cleaned(cleaned.data, TILE, TILE).removed == []


def test_a_comment_in_a_tile_part_of_jpeg_2000_goes():
    """The tile-part says how long it is, so its length is written anew (T.800 A.4.2)."""
    clean = jpeg_2000(PIXELS)
    at = clean.find(b"\xff\x90")
    (length,) = struct.unpack_from(">L", clean, at + 6)
    text = b"\xff\x64" + struct.pack(">HH", 4 + len(WHO), 1) + WHO.encode()
    planted = clean[: at + 6] + struct.pack(">L", length + len(text)) + clean[at + 10 : at + 12] + text + clean[at + 12 :]

    cleaned = jpeg2000.cleaned(planted, TILE, TILE)

    assert cleaned.data == jpeg2000.cleaned(clean, TILE, TILE).data
    np.testing.assert_array_equal(decoded(cleaned.data), decoded(clean))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_a_cut_jpeg_2000_tile_is_damaged(share):
    """Its tile-part says more than there is."""
    clean = jpeg_2000(PIXELS)

    with pytest.raises(DamagedTileError):
        jpeg2000.cleaned(clean[: int(len(clean) * share)], TILE, TILE)


@pytest.mark.parametrize(
    "pixels", [PIXELS, np.zeros_like(PIXELS), np.random.default_rng(1).integers(0, 256, PIXELS.shape, "u1")]
)
def test_lossless_tiles_end_with_their_last_pixel(pixels):
    """LZW as libtiff writes it, with all widths of code; what follows the stream is not copied."""
    raw = pixels.tobytes()
    for encoded, clean in ((lzw(raw), lossless.cleaned_lzw), (zlib.compress(raw), lossless.cleaned_deflate),
                           (raw, lossless.cleaned_raw)):  # fmt: skip
        found = clean(encoded + WHO.encode(), len(raw))

        assert found.data == encoded
        assert found.removed == [WHO.encode()]
        assert clean(encoded, len(raw)).removed == []
        with pytest.raises(DamagedTileError):
            clean(encoded[: len(encoded) // 2], len(raw))
        with pytest.raises(DamagedTileError):
            clean(encoded, len(raw) + 1)


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real slides")
def test_lzw_strips_of_a_real_label_are_understood():
    """Aperio's own writer: each strip of CMU-1's label ends where its directory says."""
    slide = index(Path(str(REAL_DATA)) / "slide" / "cmu-1-small-region.svs")
    label = slide.pages[2]
    raw = slide.path.read_bytes()
    rows = [7] * 66 + [463 - 66 * 7]

    for offset, size, height in zip(label.offsets, label.byte_counts, rows, strict=True):
        strip = raw[offset : offset + size]
        assert len(strip) - 1 <= len(lossless.cleaned_lzw(strip, height * 387 * 3).data) <= len(strip)
