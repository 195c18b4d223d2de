"""The index of a TIFF file: what its directories say of each page, read without touching a pixel.

Classic TIFF and BigTIFF in both byte orders.  Only directories and the values that they point to are read, each by its
place, so that a slide of many gigabytes costs a few megabytes.  A file is never believed: every place is held against the
file's length, every count against what a slide can have, and directories that form a loop end the reading.

Sizes are pixels, (width, height); tiles are numbered row by row.

References
----------
Adobe, *TIFF Revision 6.0* (1992), sections 2, 8, 15 and 22; *TIFF Technical Note 2* (1995) for JPEG in TIFF;
Library of Congress, FDD000328, for BigTIFF.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError

NEW_SUBFILE_TYPE = 254
IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC_INTERPRETATION = 262
FILL_ORDER = 266
IMAGE_DESCRIPTION = 270
MAKE = 271
STRIP_OFFSETS = 273
ORIENTATION = 274
SAMPLES_PER_PIXEL = 277
STRIP_BYTE_COUNTS = 279
X_RESOLUTION = 282
Y_RESOLUTION = 283
PLANAR_CONFIGURATION = 284
RESOLUTION_UNIT = 296
SOFTWARE = 305
PREDICTOR = 317
TILE_WIDTH = 322
TILE_LENGTH = 323
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
SUB_IFDS = 330
SAMPLE_FORMAT = 339
JPEG_TABLES = 347
YCBCR_SUBSAMPLING = 530
XMP = 700
IMAGE_DEPTH = 32997

TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8",
         13: "u4", 16: "u8", 17: "i8", 18: "u8"}  # fmt: skip
"""Element of each field type (TIFF 6.0 section 2, BigTIFF for 16 to 18); rationals (5, 10) are pairs."""

RATIONALS = frozenset({5, 10})
ASCII = 2

MOST_PAGES = 256
"""Directories read of one file; a slide has some 10, a stack in fluorescence some 100."""

MOST_FIELDS = 512
"""Fields read of one directory; the standard and all makers together know about 200."""

MOST_TILES = 2**22
"""Tiles and strips of all pages together: 14 times those of a slide of 100,000 x 200,000 pixels with 256 px tiles."""

LONGEST_TEXT = 2**20
"""Bytes of an ImageDescription that are read, of the first 16 pages 1 MiB each; makers write 1 to 30 KB."""

LONGEST_TABLES = 2**16
"""Bytes of JPEGTables: four quantisation and eight Huffman tables are under 4 KB."""

MOST_NUMBERS = 64
"""Numbers read of one field that is no list of tiles."""

CUT = "the file is cut off or damaged, send it again"


@dataclass(frozen=True)
class Field:
    """One entry of a directory: its value is ``count`` elements of TIFF type ``kind``, ``size`` bytes from ``start``."""

    code: int
    kind: int
    count: int
    start: int
    size: int


@dataclass(frozen=True)
class Page:
    """One image of the file.

    ``offsets`` and ``byte_counts`` are (tiles,) int64: of the tiles where the page is tiled, else of the strips, and then
    ``tile_width`` and ``tile_height`` are 0.  ``subsampling`` is YCbCrSubSampling, (2, 2) where the page does not say.
    ``description`` is at most the first MiB of ImageDescription.
    """

    number: int
    place: int
    fields: Mapping[int, Field] = field(repr=False)
    width: int
    height: int
    tile_width: int
    tile_height: int
    compression: int
    photometric: int
    bits_per_sample: tuple[int, ...]
    samples_per_pixel: int
    planar_configuration: int
    orientation: int
    predictor: int
    subfile_type: int
    subsampling: tuple[int, int]
    resolution: tuple[float, float] | None
    resolution_unit: int
    tables: bytes = field(repr=False)
    description: str = field(repr=False)
    offsets: np.ndarray = field(repr=False, compare=False)
    byte_counts: np.ndarray = field(repr=False, compare=False)

    @property
    def tiled(self) -> bool:
        """Return whether the page is stored in tiles; the others are stored in strips."""
        return self.tile_width > 0

    @property
    def columns(self) -> int:
        """Return the number of tiles in a row, 0 where there are none."""
        return -(-self.width // self.tile_width) if self.tiled else 0

    @property
    def rows(self) -> int:
        """Return the number of rows of tiles, 0 where there are none."""
        return -(-self.height // self.tile_height) if self.tiled else 0


@dataclass(frozen=True)
class TiffIndex:
    """The directories of a file: ``pages`` in the order of the file, ``sub_pages`` those that hang below one."""

    path: Path
    size: int
    big: bool
    little_endian: bool
    pages: tuple[Page, ...]
    sub_pages: tuple[Page, ...] = ()

    def bytes_of(self, entry: Field, most: int) -> bytes:
        """Return the first ``most`` bytes of a field's value, as they stand in the file; fewer where the file ends."""
        if entry.start >= self.size:
            return b""
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), min(entry.size, most), entry.start)

    def text(self, page: Page, code: int, most: int = 4096) -> str:
        """Return a text field of a page, at most its first ``most`` bytes, or an empty text."""
        entry = page.fields.get(code)
        return "" if entry is None else decoded(self.bytes_of(entry, most))


def decoded(raw: bytes) -> str:
    """Return the text of an ASCII field, which writers fill with UTF-8 or Latin-1; what follows a NUL at the end is cut."""
    raw = raw.rstrip(b"\0")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def index(path: Path) -> TiffIndex:
    """Return the index of a TIFF file.

    Raises
    ------
    DataError
        If the file is no TIFF, is cut off inside its directories, or claims what no slide has.
    """
    with path.open("rb") as file:
        reader = _Reader(file.fileno())
        first = reader.header()
        pages: list[Page] = []
        below: list[int] = []
        for place in reader.chain(first):
            page = reader.page(place, len(pages))
            pages.append(page)
            below += reader.sub_places(page)
        sub_pages = [reader.page(place, -1) for start in below for place in reader.chain(start)]
    if not pages:
        raise DataError(f"the TIFF file holds no image; {CUT}")
    return TiffIndex(path, reader.size, reader.big, reader.little_endian, tuple(pages), tuple(sub_pages))


class _Reader:
    """Reads directories of one open file and counts what it has read, so that no file can ask for more than there is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.big = False
        self.little_endian = True
        self._visited: set[int] = set()
        self._texts = 0
        self._tiles = 0

    def header(self) -> int:
        """Read the file's first bytes; return the place of the first directory."""
        start = os.pread(self._descriptor, 16, 0)
        if start[:2] not in {b"II", b"MM"} or len(start) < 8:
            raise DataError("the file is no TIFF; send the slide as its scanner wrote it")
        self.little_endian = start[:2] == b"II"
        version = self._integer(start[2:4])
        if version == 43 and len(start) == 16 and self._integer(start[4:6]) == 8 and self._integer(start[6:8]) == 0:
            self.big = True
            return self._integer(start[8:16])
        if version == 42:
            return self._integer(start[4:8])
        raise DataError("the file is no TIFF; send the slide as its scanner wrote it")

    def chain(self, place: int) -> Iterator[int]:
        """Yield the places of a directory and of those after it."""
        while place:
            if place in self._visited:
                raise DataError("the TIFF file's directories form a loop; the file is damaged, send it again")
            self._visited.add(place)
            if len(self._visited) > MOST_PAGES:
                raise DataError(f"the TIFF file holds more than {MOST_PAGES} images, wanted one slide; send it as scanned")
            if place >= self.size:
                missing = 100 * (1 - self.size / place)
                raise DataError(
                    f"the file is cut off: it has {self.size} bytes and a directory at byte {place}, "
                    f"so at least {missing:.0f} % of it is missing; send it again"
                )
            yield place
            place = self._after(place)

    def _after(self, place: int) -> int:
        count = self._field_count(place)
        width = 8 if self.big else 4
        return self._integer(self._read(place + (8 + 20 * count if self.big else 2 + 12 * count), width))

    def _field_count(self, place: int) -> int:
        count = self._integer(self._read(place, 8 if self.big else 2))
        if count > MOST_FIELDS:
            raise DataError(f"a directory of the TIFF file claims more than {MOST_FIELDS} fields; {CUT}")
        return count

    def page(self, place: int, number: int) -> Page:
        """Return the page whose directory lies at ``place``."""
        fields = self._fields(place)
        tiled = TILE_OFFSETS in fields or TILE_WIDTH in fields
        offsets = self._list(fields, TILE_OFFSETS if tiled else STRIP_OFFSETS)
        byte_counts = self._list(fields, TILE_BYTE_COUNTS if tiled else STRIP_BYTE_COUNTS)
        if len(offsets) != len(byte_counts):
            raise DataError(f"a page lists {len(offsets)} places and {len(byte_counts)} lengths of its tiles; {CUT}")
        bits = tuple(self._integers(fields, BITS_PER_SAMPLE, (1,)))
        subsampling = self._integers(fields, YCBCR_SUBSAMPLING, (2, 2))
        tables = fields.get(JPEG_TABLES)
        return Page(
            number=number,
            place=place,
            fields=fields,
            width=self._one(fields, IMAGE_WIDTH, 0),
            height=self._one(fields, IMAGE_LENGTH, 0),
            tile_width=self._one(fields, TILE_WIDTH, 0) if tiled else 0,
            tile_height=self._one(fields, TILE_LENGTH, 0) if tiled else 0,
            compression=self._one(fields, COMPRESSION, 1),
            photometric=self._one(fields, PHOTOMETRIC_INTERPRETATION, -1),
            bits_per_sample=bits,
            samples_per_pixel=self._one(fields, SAMPLES_PER_PIXEL, 1),
            planar_configuration=self._one(fields, PLANAR_CONFIGURATION, 1),
            orientation=self._one(fields, ORIENTATION, 1),
            predictor=self._one(fields, PREDICTOR, 1),
            subfile_type=self._one(fields, NEW_SUBFILE_TYPE, 0),
            subsampling=(subsampling[0], subsampling[1]) if len(subsampling) == 2 else (2, 2),
            resolution=self._resolution(fields),
            resolution_unit=self._one(fields, RESOLUTION_UNIT, 2),
            tables=b"" if tables is None else self._bounded(tables, LONGEST_TABLES, "JPEGTables"),
            description=self._description(fields),
            offsets=offsets,
            byte_counts=byte_counts,
        )

    def sub_places(self, page: Page) -> list[int]:
        """Return the places of the directories below a page."""
        return [place for place in self._integers(page.fields, SUB_IFDS, ()) if place]

    def _fields(self, place: int) -> dict[int, Field]:
        count = self._field_count(place)
        width, head, inline = (20, 8, 8) if self.big else (12, 2, 4)
        raw = self._read(place + head, count * width)
        fields: dict[int, Field] = {}
        for at in range(0, len(raw), width):
            code, kind = self._integer(raw[at : at + 2]), self._integer(raw[at + 2 : at + 4])
            number = self._integer(raw[at + 4 : at + width - inline])
            if kind not in TYPES:
                continue
            size = number * np.dtype(TYPES[kind]).itemsize * (2 if kind in RATIONALS else 1)
            value = raw[at + width - inline : at + width]
            start = place + head + at + width - inline if size <= inline else self._integer(value)
            fields.setdefault(code, Field(code, kind, number, start, size))
        return fields

    def _description(self, fields: Mapping[int, Field]) -> str:
        entry = fields.get(IMAGE_DESCRIPTION)
        if entry is None or self._texts >= 16 * LONGEST_TEXT:
            return ""
        size = min(entry.size, LONGEST_TEXT)
        self._texts += size
        return decoded(self._read(entry.start, size))

    def _list(self, fields: Mapping[int, Field], code: int) -> np.ndarray:
        """Return the places or lengths of the tiles, (tiles,) int64."""
        entry = fields.get(code)
        if entry is None:
            return np.empty(0, dtype=np.int64)
        self._tiles += entry.count
        if self._tiles > 2 * MOST_TILES:
            raise DataError(f"the TIFF file claims more than {MOST_TILES} tiles, which no slide has; {CUT}")
        if np.dtype(TYPES[entry.kind]).kind != "u" or entry.kind in RATIONALS:
            raise DataError(f"field {code} of the TIFF file is no list of whole numbers; {CUT}")
        values = self._values(entry).astype(np.uint64)
        # A place of 2^63 or more is beyond every file; as the largest int64 it stays so.
        limited: np.ndarray = np.minimum(values, np.uint64(np.iinfo(np.int64).max)).astype(np.int64)
        return limited

    def _integers(self, fields: Mapping[int, Field], code: int, default: tuple[int, ...]) -> list[int]:
        entry = fields.get(code)
        if entry is None or entry.kind in RATIONALS or TYPES[entry.kind][0] not in "ui" or entry.count == 0:
            return list(default)
        if entry.count > MOST_NUMBERS:
            raise DataError(f"field {code} of the TIFF file has more than {MOST_NUMBERS} numbers; {CUT}")
        return [int(value) for value in self._values(entry)]

    def _one(self, fields: Mapping[int, Field], code: int, default: int) -> int:
        return self._integers(fields, code, (default,))[0]

    def _resolution(self, fields: Mapping[int, Field]) -> tuple[float, float] | None:
        """Return pixels per unit in x and y, or ``None`` where the page does not say."""
        found = []
        for code in (X_RESOLUTION, Y_RESOLUTION):
            entry = fields.get(code)
            if entry is None or entry.kind != 5 or entry.count != 1:
                return None
            numerator, denominator = (int(value) for value in self._values(entry))
            if not numerator or not denominator:
                return None
            found.append(numerator / denominator)
        return found[0], found[1]

    def _bounded(self, entry: Field, most: int, name: str) -> bytes:
        if entry.size > most:
            raise DataError(f"{name} of the TIFF file has {entry.size} bytes, wanted at most {most}; {CUT}")
        return self._read(entry.start, entry.size)

    def _values(self, entry: Field) -> np.ndarray:
        order = "<" if self.little_endian else ">"
        return np.frombuffer(self._read(entry.start, entry.size), dtype=order + TYPES[entry.kind])

    def _integer(self, raw: bytes) -> int:
        return int.from_bytes(raw, "little" if self.little_endian else "big")

    def _read(self, start: int, size: int) -> bytes:
        if start + size > self.size:
            raise DataError(f"the TIFF file has {self.size} bytes and its directories point beyond its end; {CUT}")
        raw = os.pread(self._descriptor, size, start)
        if len(raw) != size:
            raise DataError(f"the TIFF file is shorter than it was a moment ago; {CUT}")
        return raw
