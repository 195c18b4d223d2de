"""A slide written anew from its encoded tiles: same pixels, and nothing else of the file.

The new file has the levels of the pyramid and of each the fields of `ALLOWED`, every one rebuilt from a number that was
checked.  Label, macro, thumbnail, every other image, colour profile, private data and free text stay behind, and so does what
is no pixel inside the tiles.  Tiles are copied encoded, so that pixels stay bit for bit and memory does not grow with the
slide.

Whether that came true is for `algorithms.slide.privacy.proof` to show.

References
----------
Bisson et al., *Anonymization of whole slide images in histopathology for research and education*, Digital Health
9:20552076231171475 (2023), for what slide files carry; Clunie et al., *Report of the MIDI task group*, arXiv:2303.10473
(2023), for what to take out of slides.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from algorithms.slide.file import encoded
from algorithms.slide.file.facts import JPEG, Facts, resolution_mpp
from algorithms.slide.file.formats import APERIO
from algorithms.slide.file.jpeg import DamagedTileError, cleaned_tables
from algorithms.slide.file.tiff import (
    ASCII,
    BITS_PER_SAMPLE,
    COMPRESSION,
    IMAGE_DESCRIPTION,
    IMAGE_LENGTH,
    IMAGE_WIDTH,
    JPEG_TABLES,
    NEW_SUBFILE_TYPE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    RESOLUTION_UNIT,
    SAMPLES_PER_PIXEL,
    TILE_BYTE_COUNTS,
    TILE_LENGTH,
    TILE_OFFSETS,
    TILE_WIDTH,
    TYPES,
    X_RESOLUTION,
    Y_RESOLUTION,
    YCBCR_SUBSAMPLING,
    Page,
    TiffIndex,
)
from algorithms.slide.file.tiff_writer import LONG, RATIONAL, SHORT, UNDEFINED, BigTiff
from algorithms.slide.privacy.residue import Taken

log = logging.getLogger(__name__)

ALLOWED = frozenset({
    NEW_SUBFILE_TYPE, IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC_INTERPRETATION, IMAGE_DESCRIPTION,
    SAMPLES_PER_PIXEL, X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION, RESOLUTION_UNIT, PREDICTOR, TILE_WIDTH, TILE_LENGTH,
    TILE_OFFSETS, TILE_BYTE_COUNTS, JPEG_TABLES, YCBCR_SUBSAMPLING,
})  # fmt: skip
"""The only fields that a new file may have."""

GAP = 2**16
MOST_GAPS = 2**22
"""Bytes that are looked at of one gap between tiles, and of all, for texts that the copy must not hold."""

MOST_REMOVED = 2**23
"""Bytes of removed segments that are looked at for texts; more of them are removed all the same."""

PROGRESS_S = 10.0


@dataclass
class Copied:
    """What was done to one slide: counts only."""

    pages_copied: int
    pages_dropped: dict[str, int]
    fields_dropped: int
    segments_stripped: int = 0
    bytes_stripped: int = 0
    tiles: int = 0
    tiles_empty: int = 0
    tiles_damaged: int = 0
    bytes: int = 0


@dataclass
class _Copy:
    """One slide on its way: where it comes from, and what is found on the way."""

    source: int
    writer: BigTiff
    taken: Taken
    copied: Copied
    seen: set[int] = field(default_factory=set)
    looked_at: int = 0

    def note(self, pieces: list[bytes], compression: int) -> None:
        """Count pieces that were taken out of a tile or its tables, and remember their texts."""
        for piece in pieces:
            self.copied.segments_stripped += 1
            self.copied.bytes_stripped += len(piece)
            if hash(piece) not in self.seen and self.looked_at < MOST_REMOVED:
                self.seen.add(hash(piece))
                self.looked_at += len(piece)
                # Behind a tile without segments there may be more pixels.
                add = self.taken.add_runs if compression in encoded.LOSSLESS else self.taken.add_bytes
                add(piece[:GAP])


def description(facts: Facts) -> str:
    """Return the new ImageDescription: what programs need to know an Aperio slide and its scale by, from checked numbers."""
    if facts.vendor != APERIO:
        return ""
    text = f"Aperio Image Library\r\n{facts.width}x{facts.height} ({facts.tile_width}x{facts.tile_height}) {facts.compression}"
    if facts.objective_power is not None:
        text += f"|AppMag = {facts.objective_power:g}"
    if facts.mpp is not None:
        text += f"|MPP = {facts.mpp:g}"
    return text


def copy(slide: TiffIndex, facts: Facts, target: Path, taken: Taken) -> Copied:
    """Write the slide's tiles to ``target``, note in ``taken`` what is left behind, and return the counts.

    Raises
    ------
    DataError
        If the tables of its tiles are damaged.
    """
    levels = {page.place for page in facts.pages}
    others = [page for page in (*slide.pages, *slide.sub_pages) if page.place not in levels]
    kept = sum(len(ALLOWED & set(page.fields)) for page in facts.pages)
    total = sum(len(page.fields) for page in (*slide.pages, *slide.sub_pages))
    copied = Copied(len(facts.pages), dict(sorted(Counter(map(_kind, others)).items())), total - kept)
    expected = min(slide.size, sum(int(page.byte_counts.sum()) for page in facts.pages))
    with slide.path.open("rb") as source, BigTiff(target, expected) as writer:
        state = _Copy(source.fileno(), writer, taken, copied)
        for page in facts.pages:
            taken.allow_codec(page.tables if page.compression == JPEG else b"")
            taken.allow_codec(_first_header(page, state.source))
        _note_fields(slide, taken)
        _note_gaps(slide, state)
        for number, page in enumerate(facts.pages):
            offsets, byte_counts = _copy_tiles(page, state)
            writer.page(_fields(facts, page, number, state), offsets, byte_counts)
    copied.bytes = target.stat().st_size
    return copied


def _kind(page: Page) -> str:
    """Return what a page that is left behind seems to be: label, macro, thumbnail or other."""
    text = page.description[:4096].casefold()
    for name in ("label", "macro", "thumbnail"):
        if f"\n{name}" in text or text.startswith(name):
            return name
    if page.number == 1 and not page.tiled:
        return "thumbnail"
    # Aperio's own marks where the text does not say it: GT450 files have no words there.
    return {1: "label", 9: "macro"}.get(page.subfile_type if not page.tiled else 0, "other")


def _fields(facts: Facts, page: Page, number: int, state: _Copy) -> dict[int, tuple[int, object]]:
    """Return the fields of a level in the new file, but for its tiles."""
    aperio = facts.vendor == APERIO
    fields: dict[int, tuple[int, object]] = {
        # OpenSlide takes further pages of a plain TIFF file for levels only where they say so; Aperio's do not.
        NEW_SUBFILE_TYPE: (LONG, 0 if aperio or number == 0 else 1),
        IMAGE_WIDTH: (LONG, page.width),
        IMAGE_LENGTH: (LONG, page.height),
        BITS_PER_SAMPLE: (SHORT, (8, 8, 8)),
        COMPRESSION: (SHORT, page.compression),
        PHOTOMETRIC_INTERPRETATION: (SHORT, page.photometric),
        SAMPLES_PER_PIXEL: (SHORT, 3),
        PLANAR_CONFIGURATION: (SHORT, 1),
        TILE_WIDTH: (LONG, page.tile_width),
        TILE_LENGTH: (LONG, page.tile_height),
    }
    if page.predictor == 2:
        fields[PREDICTOR] = (SHORT, 2)
    if YCBCR_SUBSAMPLING in page.fields and set(page.subsampling) <= {1, 2, 4}:
        fields[YCBCR_SUBSAMPLING] = (SHORT, page.subsampling)
    if page.compression == JPEG and page.tables:
        cleaned = cleaned_tables(page.tables)
        state.note(cleaned.removed, page.compression)
        fields[JPEG_TABLES] = (UNDEFINED, cleaned.data)
    if aperio:
        fields[IMAGE_DESCRIPTION] = (ASCII, description(facts))
    if facts.mpp is not None and number == 0 and resolution_mpp(page) is not None and page.resolution is not None:
        fields[RESOLUTION_UNIT] = (SHORT, page.resolution_unit)
        for code, value in zip((X_RESOLUTION, Y_RESOLUTION), page.resolution, strict=True):
            fields[code] = (RATIONAL, _rational(value))
    return fields


def _rational(value: float) -> tuple[int, int]:
    """Return a number of six digits as a fraction: the original's own eight bytes could hold anything."""
    return Decimal(f"{value:.6g}").as_integer_ratio()


def _copy_tiles(page: Page, state: _Copy) -> tuple[np.ndarray, np.ndarray]:
    """Write a level's tiles and return their new places and lengths; tiles that share bytes share them again."""
    clean = encoded.cleaner(page)
    refused = encoded.refused_tile(page.compression)
    most = encoded.most_bytes(page)
    offsets, byte_counts = np.zeros(len(page.offsets), np.int64), np.zeros(len(page.offsets), np.int64)
    first_of = _first_of(page)
    told = time.monotonic()
    for number, (offset, size) in enumerate(zip(page.offsets.tolist(), page.byte_counts.tolist(), strict=True)):
        first = number if first_of is None else int(first_of[number])
        state.copied.tiles += 1
        if size == 0:
            state.copied.tiles_empty += 1
            continue
        if first != number:
            offsets[number], byte_counts[number] = offsets[first], byte_counts[first]
            continue
        try:
            if size > most:
                raise DamagedTileError
            tile = clean(os.pread(state.source, size, offset))
        except DamagedTileError:
            state.copied.tiles_damaged += 1
            offsets[number], byte_counts[number] = state.writer.append(refused), len(refused)
            continue
        if tile.removed:
            state.note(tile.removed, page.compression)
        offsets[number], byte_counts[number] = state.writer.append(tile.data), len(tile.data)
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            log.info("copied tile %d of %d of a level", number, len(offsets))
    return offsets, byte_counts


def _first_header(page: Page, source: int) -> bytes:
    """Return the header of a page's first tile that is whole: the codec's tables as the other tiles have them."""
    clean = encoded.cleaner(page)
    for number in np.flatnonzero(page.byte_counts)[:100].tolist():
        size = min(int(page.byte_counts[number]), encoded.most_bytes(page))
        try:
            tile = clean(os.pread(source, size, int(page.offsets[number])))
        except DamagedTileError:
            continue
        return encoded.header(tile.data, page.compression)
    return b""


def _first_of(page: Page) -> np.ndarray | None:
    """Return for each tile the first one with the same bytes in the file, or ``None`` where no two share any."""
    if len(np.unique(page.offsets)) == len(page.offsets):
        return None
    ranges = np.stack([page.offsets, page.byte_counts], axis=1)
    _, firsts, which = np.unique(ranges, axis=0, return_index=True, return_inverse=True)
    first_of: np.ndarray = firsts[which.reshape(-1)]
    return first_of


def _note_fields(slide: TiffIndex, taken: Taken) -> None:
    """Note the texts of all fields of all pages; the same bytes are looked at once."""
    seen: set[tuple[int, int]] = set()
    for page in (*slide.pages, *slide.sub_pages):
        for code, entry in sorted(page.fields.items()):
            if TYPES[entry.kind] not in {"S1", "u1", "i1"} or code == JPEG_TABLES or (entry.start, entry.size) in seen:
                continue
            seen.add((entry.start, entry.size))
            raw = slide.bytes_of(entry, entry.size)
            for piece in raw.split(b"\0") if entry.kind == ASCII else (raw,):
                taken.add_bytes(piece)


def _note_gaps(slide: TiffIndex, state: _Copy) -> None:
    """Note the texts that lie between the tiles and behind the last one, where no field points."""
    pages = (*slide.pages, *slide.sub_pages)
    entries = [entry for page in pages for entry in page.fields.values()]
    # A field may claim any 64-bit place; in a file it lies before the end.
    values = np.array([(min(e.start, slide.size), min(e.size, slide.size)) for e in entries], np.int64).reshape(-1, 2)
    starts = np.concatenate([[0], *(np.minimum(page.offsets, slide.size) for page in pages), values[:, 0], [slide.size]])
    sizes = np.concatenate([[16], *(np.minimum(page.byte_counts, slide.size) for page in pages), values[:, 1], [0]])
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(starts[order] + sizes[order])
    looked_at = 0
    for place in np.flatnonzero(starts[1:] > ends[:-1]).tolist():
        gap = os.pread(state.source, min(int(starts[place + 1] - ends[place]), GAP), int(ends[place]))
        looked_at += len(gap)
        state.taken.add_runs(gap)
        if looked_at > MOST_GAPS:
            break
