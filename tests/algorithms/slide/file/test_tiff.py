"""Directories against tifffile, and files that lie."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from algorithms.contract.errors import DataError
from algorithms.slide.file.tiff import MOST_FIELDS, MOST_PAGES, index
from tests.algorithms.slide.written_tiff import Image, write_tiff

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
PIXELS = np.random.default_rng(0).integers(0, 255, (70, 100, 3), dtype=np.uint8)


def small_image(**fields: tuple[int, object]) -> Image:
    """Return a tiled RGB image of 2 x 1 tiles of 16 pixels whose tiles are not real."""
    plain = {256: (3, 32), 257: (3, 16), 258: (3, [8, 8, 8]), 259: (3, 1), 262: (3, 2), 277: (3, 3), 322: (3, 16), 323: (3, 16)}
    return Image(plain | {int(code[1:]): value for code, value in fields.items()}, [b"a" * 768, b"b" * 768])


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_index_is_what_tifffile_reads(tmp_path, big, order):
    """Another program's answer, for both sizes of file and both byte orders; sub-directories are apart."""
    path = tmp_path / "slide"
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as writer:
        writer.write(
            PIXELS, tile=(32, 16), photometric="rgb", compression="zlib", predictor=True, description="A|MPP = 0.5 µm".encode(),
            metadata=None, subifds=1, resolution=(20000, 20000), resolutionunit="CENTIMETER",
        )  # fmt: skip
        writer.write(PIXELS[::2, ::2], tile=(32, 16), photometric="rgb", subfiletype=1, metadata=None)
        writer.write(PIXELS[:, :, 0], photometric="minisblack", rowsperstrip=7, metadata=None)

    found = index(path)

    assert (found.big, found.little_endian, found.size) == (big, order == "<", path.stat().st_size)
    assert len(found.pages) == 2
    assert [(page.width, page.height) for page in found.sub_pages] == [(50, 35)]
    with tifffile.TiffFile(path) as tiff:
        for page, other in zip(found.pages, tiff.pages, strict=True):
            assert (page.width, page.height) == (other.imagewidth, other.imagelength)
            assert (page.tile_width, page.tile_height) == (other.tilewidth, other.tilelength)
            assert (page.compression, page.photometric, page.predictor) == (
                other.compression,
                other.photometric,
                other.predictor,
            )
            assert page.offsets.tolist() == list(other.dataoffsets)
            assert page.byte_counts.tolist() == list(other.databytecounts)
            assert page.tiled == other.is_tiled
    first = found.pages[0]
    assert first.description == "A|MPP = 0.5 µm"
    assert (first.columns, first.rows) == (7, 3)
    assert (first.resolution, first.resolution_unit) == ((20000.0, 20000.0), 3)
    assert first.bits_per_sample == (8, 8, 8)


def test_a_description_of_ten_megabytes_costs_one(tmp_path):
    """Bounded text: what lies beyond the first MiB is no fact of a slide."""
    path = write_tiff(tmp_path / "slide", [small_image(_270=(2, "Aperio |" * 1_300_000))])

    tracemalloc.start()
    found = index(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found.pages[0].description) == 2**20
    assert peak < 6e6  # the bytes, their text, and the directories


def test_an_index_of_many_tiles_is_quick_and_small(tmp_path):
    """300,000 tiles are a slide of 140,000 x 140,000 pixels; places and lengths are two arrays of 2.4 MB."""
    count = 300_000
    offsets = np.arange(8, 8 + count, dtype="<u8")
    fields = {256: (4, 256 * count), 257: (4, 256), 322: (3, 256), 323: (3, 256), 324: (16, offsets.tobytes()),
              325: (16, np.ones(count, "<u8").tobytes())}  # fmt: skip
    path = write_tiff(tmp_path / "slide", [Image(fields)], big=True)
    raw = path.read_bytes()
    for code in (324, 325):  # the writer counts bytes, the field counts numbers
        raw = raw.replace(struct.pack("<HHQ", code, 16, 8 * count), struct.pack("<HHQ", code, 16, count))
    path.write_bytes(raw + b"\0" * count)

    tracemalloc.start()
    found = index(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.pages[0].columns == count
    np.testing.assert_array_equal(found.pages[0].offsets, offsets.astype(np.int64))
    assert peak < 20e6


def hostile(name: str) -> bytes:
    """Return a classic file that lies in one way; each lie is written as an attacker would, in a few bytes."""

    def directory(*entries: tuple[int, int, int, int], after: int = 0) -> bytes:
        return struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *e) for e in entries) + struct.pack("<L", after)

    head = b"II*\0" + struct.pack("<L", 8)
    size = ((256, 4, 1, 16), (257, 4, 1, 16), (322, 4, 1, 16), (323, 4, 1, 16))
    big_head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16)
    return {
        "loop": head + directory(*size, after=8),
        "loop below": head + directory(*size, (330, 4, 1, 8)),
        "beyond": b"II*\0" + struct.pack("<L", 10**9),
        "tiles": head + directory(*size, (324, 4, 2**32 - 1, 8), (325, 4, 2**32 - 1, 8)),
        "tiles in the file": head + directory(*size, (324, 4, 10**6, 8), (325, 4, 10**6, 8)),
        "tables": head + directory(*size, (347, 7, 2**31, 8)) + b"\0" * 100,
        "sub-directories": head + directory(*size, (330, 4, 10**5, 8)) + b"\0" * 500_000,
        "counts of 2^63": big_head + struct.pack("<QHHQQQ", 1, 324, 16, 2**63, 16, 0),
        "fields": big_head + struct.pack("<Q", 2**63),
        "place of 2^64": b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**64 - 1),
        "lengths of other number": head + directory(*size, (324, 4, 1, 8), (325, 3, 2, 8)),
        "places that are no numbers": head + directory(*size, (324, 11, 1, 8), (325, 4, 1, 8)),
        "many pages": head + b"".join(directory((256, 4, 1, 16), after=8 + 18 * n) for n in range(1, MOST_PAGES + 5)),
        "many fields": head + directory(*[(n, 4, 1, 1) for n in range(MOST_FIELDS + 1)]),
        "no page": b"II*\0\0\0\0\0",
        "no tiff": b"MM\0\0 and so on",
        "three bytes": b"II*",
        "empty": b"",
    }[name]


@pytest.mark.parametrize(
    "name",
    ["loop", "loop below", "beyond", "tiles", "tiles in the file", "tables", "sub-directories", "counts of 2^63",
     "fields", "place of 2^64", "lengths of other number", "places that are no numbers", "many pages", "many fields",
     "no page", "no tiff", "three bytes", "empty"],
)  # fmt: skip
def test_a_file_that_lies_is_refused_with_a_reason_and_no_memory(tmp_path, name):
    """A count is 8 bytes of an attacker and could be gigabytes of ours."""
    path = tmp_path / "slide"
    path.write_bytes(hostile(name))

    tracemalloc.start()
    with pytest.raises(DataError) as refusal:
        index(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "send" in str(refusal.value)
    assert peak < 3e6


def test_any_bytes_give_an_index_or_a_reason(tmp_path):
    """Three hundred files with ten random bytes changed: never another exception, which would be a bug that stops a case."""
    rng = np.random.default_rng(5)
    whole = write_tiff(tmp_path / "whole", [small_image(_270=(2, "text" * 20)), small_image(_347=(7, b"\xff\xd8\xff\xd9" * 9))])
    raw = np.frombuffer(whole.read_bytes(), dtype=np.uint8)
    directories = np.arange(1536, len(raw))
    outcomes = set()
    for _ in range(300):
        changed = raw.copy()
        changed[rng.choice(directories, 10)] = rng.integers(0, 256, 10)
        (tmp_path / "slide").write_bytes(changed.tobytes())
        try:
            index(tmp_path / "slide")
            outcomes.add("index")
        except DataError:
            outcomes.add("reason")

    assert outcomes == {"index", "reason"}


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real slides")
def test_a_real_aperio_file_is_read_as_its_makers_say():
    """OpenSlide's CMU-1-Small-Region: one level in 240 px tiles, thumbnail, label and macro in strips."""
    found = index(Path(str(REAL_DATA)) / "slide" / "cmu-1-small-region.svs")

    assert [(page.width, page.height, page.tiled) for page in found.pages] == [
        (2220, 2967, True), (574, 768, False), (387, 463, False), (1280, 431, False),
    ]  # fmt: skip
    assert len(found.pages[0].offsets) == 10 * 13
    assert len(found.pages[0].tables) == 289
    assert found.pages[0].subsampling == (2, 2)
