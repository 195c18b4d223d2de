"""What a de-identified slide is held against before the original may go.

Tile by tile against the original, field by field against the list of those that may be, byte by byte for any that belongs to
nothing, and for every text that was taken out.  The copy is read back from the disk by its own directories.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from algorithms.slide.file import encoded
from algorithms.slide.file.facts import Facts
from algorithms.slide.file.jpeg import DamagedTileError
from algorithms.slide.file.tiff import Page, TiffIndex, index
from algorithms.slide.privacy.deidentification import ALLOWED
from algorithms.slide.privacy.residue import Search

BLOCK = 2**23
"""Bytes searched at once."""

OVERLAP = 2**14
"""Blocks overlap by more than the longest text that is searched for: 4096 characters in four bytes each."""


def prove(original: TiffIndex, facts: Facts, target: Path, search: Search) -> int:
    """Hold the copy against the original and search every byte of it; return the bytes searched.

    What the search found stands in ``search.found``.

    Raises
    ------
    ValueError
        If the copy is not what it should be, which is a bug: nothing is published.
    """
    copy_index = index(target)
    if [(p.width, p.height) for p in copy_index.pages] != [(p.width, p.height) for p in facts.pages] or copy_index.sub_pages:
        raise ValueError("the copy has other pages than the slide's levels")
    if any(set(page.fields) - ALLOWED for page in copy_index.pages):
        raise ValueError("the copy has a field that no copy may have")
    _require_every_byte_owned(copy_index)
    with original.path.open("rb") as source, target.open("rb") as written:
        for old, new in zip(facts.pages, copy_index.pages, strict=True):
            _prove_tiles(old, new, source.fileno(), written.fileno(), search)
            search.in_headers(new.tables)
            search.in_texts(new.description)
            for entry in new.fields.values():
                search.in_headers(copy_index.bytes_of(entry, entry.size))
        for block in _blocks(written.fileno(), copy_index.size):
            search.in_pixels(block)
    return copy_index.size


def _require_every_byte_owned(copy_index: TiffIndex) -> None:
    """Raise `ValueError` unless every byte is of the header, a directory, a value or a tile."""
    starts, sizes = [np.array([0])], [np.array([16])]
    for page in copy_index.pages:
        outside = [entry for entry in page.fields.values() if entry.size > 8]
        starts += [page.offsets, np.array([page.place, *(entry.start for entry in outside)])]
        sizes += [page.byte_counts, np.array([8 + 20 * len(page.fields) + 8, *(entry.size for entry in outside)])]
    start, size = np.concatenate(starts), np.concatenate(sizes)
    start, size = start[size > 0], size[size > 0]
    order = np.argsort(start, kind="stable")
    ends = np.maximum.accumulate(start[order] + size[order])
    if ends[-1] != copy_index.size or np.any(start[order][1:] > ends[:-1]):
        raise ValueError("the copy holds bytes that belong to nothing")


def _prove_tiles(old: Page, new: Page, source: int, written: int, search: Search) -> None:
    """Raise `ValueError` unless each tile of the copy is that of the original, and cleaning it changes nothing more."""
    clean, again = encoded.cleaner(old), encoded.cleaner(new)
    refused = encoded.refused_tile(old.compression)
    shown = (old.compression, old.photometric, old.predictor, old.tile_width, old.tile_height, old.columns)
    if shown != (new.compression, new.photometric, new.predictor, new.tile_width, new.tile_height, new.columns):
        raise ValueError("a level of the copy is stored in another way than the slide's")
    if not np.array_equal(old.byte_counts == 0, new.byte_counts == 0):
        raise ValueError("the copy has other empty tiles than the slide")
    most = encoded.most_bytes(old)
    for offset, size, place, length in _places(old, new).tolist():
        tile, copied = os.pread(source, min(size, most + 1), offset), os.pread(written, length, place)
        if copied == refused:
            if size > most:
                continue
            try:
                clean(tile)
            except DamagedTileError:
                continue
            raise ValueError("the copy gave up a tile that is whole")
        if tile != copied and clean(tile).data != copied:
            raise ValueError("a tile of the copy is not that of the slide")
        if again(copied).removed:
            raise ValueError("a tile of the copy holds what should have been taken out")
        search.in_headers(encoded.header(copied, new.compression))


def _blocks(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield the file in blocks that overlap by more than the longest text."""
    for start in range(0, size, BLOCK - OVERLAP):
        yield os.pread(descriptor, BLOCK, start)


def _places(old: Page, new: Page) -> np.ndarray:
    """Return where each tile lies in both files, (tiles, 4): place and length; those that share their bytes once."""
    places: np.ndarray = np.stack([old.offsets, old.byte_counts, new.offsets, new.byte_counts], axis=1)[old.byte_counts > 0]
    return places if len(np.unique(places[:, 2])) == len(places) else np.unique(places, axis=0)
