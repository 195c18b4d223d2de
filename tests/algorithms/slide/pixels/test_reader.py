"""A slide's windows are OpenSlide's pixels, and no damaged tile comes back as pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from algorithms.slide.pixels import pool
from algorithms.slide.pixels.decode import Encoded
from algorithms.slide.pixels.native import NativeTiles
from algorithms.slide.pixels.reader import open_slide
from tests.algorithms.slide.jpeg_slide import Spelling, pyramid, tissue, write_jpeg_slide

SIDE = 1024
TILES_ACROSS = 4
X, Y = (side.ravel() for side in np.meshgrid(np.arange(0, 801, 200), np.arange(0, 801, 200)))
"""A grid of windows of 200 px that parts none of its lines with the native tiles of 256 px."""


@pytest.fixture(scope="module")
def levels() -> list[np.ndarray]:
    """Return a picture and its means over 4 x 4 and 16 x 16 pixels."""
    return pyramid(tissue(SIDE, SIDE))


def read(path: Path, extent: float = 200.0, tile_px: int = 200, **more) -> tuple[np.ndarray, dict[int, str]]:
    """Return all windows, and the reasons of the corrupt ones by their row."""
    with open_slide(path) as slide:
        batches = list(slide.windows(X, Y, extent_px=extent, tile_px=tile_px, **more))
    assert np.concatenate([batch.rows for batch in batches]).tolist() == list(range(len(X)))
    return np.concatenate([batch.tiles for batch in batches]), {lost.row: lost.reason for b in batches for lost in b.corrupt}


def touching(number: int, side: int = 200) -> list[int]:
    """Return the rows of the windows that touch a native tile of level 0."""
    top, left = (256 * place for place in divmod(number, TILES_ACROSS))
    meets = (X < left + 256) & (X + side > left) & (Y < top + 256) & (Y + side > top)
    return np.flatnonzero(meets).tolist()


def test_the_level_is_the_coarsest_that_is_fine_enough(tmp_path, levels):
    """Tiles of 0.5 um from a slide of 0.25, 1 and 4 um come from 0.25 um; those of 1 um from 1 um, give or take 2 %."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels)

    with open_slide(path) as slide:
        assert [0, 0, 0, 1, 1, 1] == [slide.level_for(extent / 200) for extent in (200.0, 201.0, 399.5, 799.0, 800.0, 801.0)]


def test_windows_of_a_coarser_level_are_openslides_pixels_there(tmp_path, levels):
    """Read by level in OpenSlide, whose downsample is a whole number here; ours is asked for the scale alone."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels)

    x, y = (side.ravel() for side in np.meshgrid([0, 100, 624], [8, 396]))

    with open_slide(path) as slide:
        found = np.concatenate([b.tiles for b in slide.windows(x, y, extent_px=400, tile_px=100)])

    with openslide.OpenSlide(path) as slide:
        there = [slide.read_region(place, 1, (100, 100)) for place in zip(x.tolist(), y.tolist(), strict=True)]
    assert np.array_equal(np.stack([np.asarray(image)[..., :3] for image in there]), found)


@pytest.mark.parametrize("how", [{"threads": 2}, {"batch": 1}, {"batch": 7}, {"batch": 1000}])
def test_threads_and_batches_change_nothing(tmp_path, levels, how):
    """A window's pixels are its own: what is read beside it says nothing about it."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=lambda level, tiles: _swap(level, tiles, 5, 10))

    expected, lost = read(path)
    found, found_lost = read(path, **how)

    assert np.array_equal(expected, found)
    assert lost == found_lost


def test_memory_for_fewer_tiles_than_a_row_needs_changes_nothing(tmp_path, levels, monkeypatch):
    """Tiles that were put away are decoded again."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels)
    expected, _ = read(path)
    monkeypatch.setattr(pool, "MOST_BYTES", 5 * 3 * 256 * 256)

    found, lost = read(path)

    assert np.array_equal(expected, found)
    assert not lost


def test_each_native_tile_is_decoded_once(tmp_path, levels, monkeypatch):
    """Windows of 200 px meet tiles of 256 px up to four at a time; 25 windows touch all 16 tiles."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels[:1])
    read_one = NativeTiles.read
    seen = []

    def counted(tiles: NativeTiles, number: int, out: np.ndarray, encoded: Encoded | None = None) -> None:
        seen.append(number)
        read_one(tiles, number, out, encoded)

    monkeypatch.setattr(NativeTiles, "read", counted)
    read(path, batch=4)

    assert list(range(16)) == sorted(seen)


@pytest.mark.parametrize("how", [{}, {"batch": 3}, {"threads": 3}], ids=["plain", "small batches", "three threads"])
def test_windows_that_are_native_tiles_are_openslides_pixels(tmp_path, how):
    """They are decoded into the batch itself: in any order, twice, and at edges that cut a tile."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", pyramid(tissue(700, 600)))
    x, y = np.array([512, 0, 256, 512, 0, 0, 256]), np.array([512, 256, 0, 0, 0, 256, 512])
    with openslide.OpenSlide(path) as peer:
        width, height = peer.dimensions
        expected = np.full((len(x), 256, 256, 3), 255, np.uint8)
        for window, left, top in zip(expected, x.tolist(), y.tolist(), strict=True):
            size = (min(256, width - left), min(256, height - top))
            window[: size[1], : size[0]] = np.asarray(peer.read_region((left, top), 0, size))[..., :3]

    with open_slide(path) as slide:
        found = np.concatenate([b.tiles.copy() for b in slide.windows(x, y, extent_px=256, tile_px=256, **how)])

    assert np.array_equal(expected, found)


def test_a_damaged_native_tile_costs_its_own_window_only(tmp_path, levels):
    """Tiles 5 and 10 have changed places: both decode, and neither shows what its place shows in the next level."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=lambda level, tiles: _swap(level, tiles, 5, 10))
    x, y = (side.ravel() for side in np.meshgrid(np.arange(0, SIDE, 256), np.arange(0, SIDE, 256)))

    with open_slide(path) as slide:
        batches = list(slide.windows(x, y, extent_px=256, tile_px=256))

    corrupt = [lost for batch in batches for lost in batch.corrupt]
    assert [(5, 256, 256), (10, 512, 512)] == [lost[:3] for lost in corrupt]
    assert (batches[0].tiles[[5, 10]] == 255).all()
    assert (batches[0].tiles[[4, 6, 9, 11]].reshape(4, -1).std(axis=1) > 0).all()


def test_a_batch_that_is_kept_is_not_written_over(tmp_path, levels):
    """Memory is used again only when nothing refers to it: here the first line of each window is kept, and no more."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels)
    expected, _ = read(path)

    with open_slide(path) as slide:
        kept = [batch.tiles[:, 0] for batch in slide.windows(X, Y, extent_px=200, tile_px=200, batch=2)]

    assert np.array_equal(expected[:, 0], np.concatenate(kept))


def _swap(level, tiles, one, other):
    if level == 0:
        tiles[one], tiles[other] = tiles[other], tiles[one]


def _silently_wrong(level, tiles):
    """Write bytes over the middle of tile 5 such that libjpeg-turbo notices nothing, and more than a tenth is wrong."""
    if level:
        return
    from algorithms.slide.pixels.decode import UnreadableTileError, tile_decoder

    spelling = Spelling()
    decoder = tile_decoder(spelling.encoded(tissue(256, 256), 1), 256, 256, photometric=6)
    right, wrong = np.empty((2, 256, 256, 3), np.uint8)
    decoder.decode(Encoded.whole(tiles[5]), right)
    rng = np.random.default_rng(0)
    for _ in range(1000):
        at = int(rng.integers(len(tiles[5]) // 4, len(tiles[5]) // 2))
        changed = tiles[5][:at] + bytes(4) + tiles[5][at + 4 :]
        try:
            decoder.decode(Encoded.whole(changed), wrong)
        except UnreadableTileError:
            continue
        if (np.abs(right.astype(int) - wrong).max(axis=2) > 16).mean() > 0.1:
            tiles[5] = changed
            return
    raise AssertionError("no silent damage found")


def _zeros(level, tiles):
    if level == 0:
        tiles[5] = tiles[5][:2000] + bytes(800) + tiles[5][2800:]


def _gone(level, tiles):
    if level == 0:
        tiles[5] = b""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(_zeros, "the tile's stream is damaged", id="zero bytes that libjpeg notices"),
        pytest.param(_silently_wrong, "coarser levels", id="zero bytes that libjpeg does not notice"),
        pytest.param(_gone, "no bytes", id="a byte count of zero"),
    ],
)
def test_a_damaged_tile_costs_the_windows_that_touch_it_and_no_other(tmp_path, levels, damage, reason):
    """The other windows are those of the slide before it was damaged, bit for bit."""
    whole = write_jpeg_slide(tmp_path / "whole.tiff", levels)
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=damage)

    expected, _ = read(whole)
    found, lost = read(path)

    assert touching(5) == sorted(lost)
    assert all(reason in text for text in lost.values())
    kept = [row for row in range(len(X)) if row not in lost]
    assert np.array_equal(expected[kept], found[kept])
    assert (found[sorted(lost)] == 255).all()


def test_a_tile_in_another_ones_place_is_corrupt_though_it_decodes(tmp_path, levels):
    """Two whole tiles change places: OpenSlide shows them, no checksum of the stream would complain, the pyramid does."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=lambda level, tiles: _swap(level, tiles, 5, 10))

    _, lost = read(path)

    assert sorted({*touching(5), *touching(10)}) == sorted(lost)


def test_a_damaged_witness_condemns_nothing(tmp_path, levels):
    """Level 1 lies about its only tile; the tiles of level 0 agree with level 2, encoded by itself."""

    def lie(level, tiles):
        if level == 1:
            tiles[0] = Spelling().encoded(tissue(256, 256, seed=9), 2)

    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=lie)

    assert not read(path)[1]


def test_an_unreadable_witness_leaves_the_next_one_to_speak(tmp_path, levels):
    """Level 1 cannot be decoded, tiles 5 and 10 of level 0 have changed places, and level 2 says so."""

    def both(level, tiles):
        _swap(level, tiles, 5, 10)
        if level == 1:
            tiles[0] = tiles[0][:3000]

    path = write_jpeg_slide(tmp_path / "slide.tiff", levels, damage=both)

    assert sorted({*touching(5), *touching(10)}) == sorted(read(path)[1])


def test_a_slide_of_one_level_has_no_witness_and_says_so(tmp_path, levels, caplog):
    """The limit that docs/prostate.md states: with one level only what libjpeg notices is found."""
    path = write_jpeg_slide(tmp_path / "slide.tiff", levels[:1], damage=lambda level, tiles: _swap(level, tiles, 5, 10))

    _, lost = read(path)

    assert not lost
    assert "no coarser level" in caplog.text


def test_a_file_that_ends_early_loses_the_tiles_behind_its_end(tmp_path, levels):
    """Its directories stand in front, as some writers put them; the last tiles' bytes are missing."""
    path = tmp_path / "slide.tiff"
    write_jpeg_slide(path, levels[:1])
    with open_slide(path) as slide:
        page = slide.levels[0].page
        behind = int(page.offsets[12] + page.byte_counts[12] // 2)
        # The file ends after its directories, so it is shortened in the eyes of one who opened it before.
        os.truncate(path, behind)
        batches = list(slide.windows(X, Y, extent_px=200, tile_px=200))

    lost = {row for batch in batches for row, *_ in batch.corrupt}
    assert {row for number in (12, 13, 14, 15) for row in touching(number)} == lost


@pytest.mark.parametrize("compression", ["none", "adobe_deflate"])
def test_what_is_no_jpeg_is_read_by_openslide(tmp_path, levels, compression):
    """Lossless tiles, so that the picture itself is the known answer; written by tifffile."""
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, levels[0], tile=(256, 256), photometric="rgb", compression=compression, metadata=None)

    found, lost = read(path)

    assert not lost
    assert np.array_equal(np.stack([levels[0][y : y + 200, x : x + 200] for x, y in zip(X, Y, strict=True)]), found)


def test_a_lossless_tile_that_openslide_refuses_is_corrupt_and_the_rest_is_read(tmp_path, levels):
    """OpenSlide's handle answers with its first error for ever; each tile after it needs a new one."""
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, levels[0], tile=(256, 256), photometric="rgb", compression="adobe_deflate", metadata=None)
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    with path.open("r+b") as file:
        assert count > 200
        file.seek(start)
        file.write(bytes(200))

    found, lost = read(path)

    assert touching(5) == sorted(lost)
    kept = [row for row in range(len(X)) if row not in lost]
    assert np.array_equal(np.stack([levels[0][Y[r] : Y[r] + 200, X[r] : X[r] + 200] for r in kept]), found[kept])


@pytest.mark.skipif("HEARTWOOD_REAL_DATA" not in os.environ, reason="needs the folder of real data")
def test_a_real_slide_read_whole_is_openslides_bit_for_bit():
    """Aperio, RGB JPEG of 240 px tiles with tables apart, one level, 2220 x 2967 pixels."""
    path = Path(os.environ["HEARTWOOD_REAL_DATA"]) / "slide" / "cmu-1-small-region.svs"
    with openslide.OpenSlide(path) as slide:
        width, height = slide.dimensions
        whole = np.full((height + 224, width + 224, 3), 255, np.uint8)
        whole[:height, :width] = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
    x, y = (side.ravel() for side in np.meshgrid(np.arange(0, width, 224), np.arange(0, height, 224)))

    with open_slide(path) as slide:
        batches = list(slide.windows(x, y, extent_px=224 * 0.5 / 0.499, tile_px=224))

    assert not any(batch.corrupt for batch in batches)
    expected = np.stack([whole[top : top + 224, left : left + 224] for left, top in zip(x, y, strict=True)])
    assert np.array_equal(expected, np.concatenate([batch.tiles for batch in batches]))
