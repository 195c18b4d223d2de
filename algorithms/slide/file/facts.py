"""What the index of a slide says of it, and why it cannot be answered.

Sizes are level-0 pixels, (width, height); ``mpp`` is micrometres per level-0 pixel.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.slide.file.formats import APERIO, foreign, vendor
from algorithms.slide.file.tiff import (
    FILL_ORDER,
    IMAGE_DEPTH,
    SAMPLE_FORMAT,
    TYPES,
    Page,
    TiffIndex,
)

NONE, LZW, JPEG, DEFLATE, DEFLATE_OLD, JPEG_2000_YCC, JPEG_2000_RGB = 1, 5, 7, 8, 32946, 33003, 33005

COMPRESSIONS = {NONE: "none", LZW: "LZW", JPEG: "JPEG", DEFLATE: "deflate", DEFLATE_OLD: "deflate",
                JPEG_2000_YCC: "JPEG 2000", JPEG_2000_RGB: "JPEG 2000"}  # fmt: skip
"""Compressions whose encoded tiles are understood, so that they can be copied without what is no pixel."""

OTHER_COMPRESSIONS = {2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "old-style JPEG", 32773: "PackBits", 34712: "JPEG 2000 (34712)",
                      34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}  # fmt: skip
"""Compressions with a name, for the message."""

RGB, YCBCR = 2, 6

MPP_BOUNDS = (0.05, 10.0)
"""Micrometres a pixel that a slide can have: 0.1 at 100x with a small sensor to 10 at 1x.  72 dpi, which programs write when
they do not know, would be 353."""

OBJECTIVES = (1.0, 150.0)
"""Objective powers that exist."""

SQUARE = 0.01
"""Most relative difference of the two sides of a pixel: scanners calibrate better than 1 %."""

TILE_SIDE = (16, 4096)
"""Sides of a tile that are read: the least of TIFF 6.0 section 15, and 50 MB of pixels at the other end."""

MOST_TEXT = 12 * 2**20
"""Bytes of text in all fields; above it the search for what was taken out would take all memory."""

MODELS = ("GT450 DX", "GT450", "GT 450", "AT2", "AT Turbo", "CS2", "ScanScope")
"""Model names of Aperio scanners that may be repeated; the longest that fits wins."""

NO_SLIDE = re.compile(r"(?im)^[ \t]{0,8}(label|macro|thumbnail)\b")
"""What the description of a page says that is no level."""

INCH_UM, CENTIMETRE_UM = 25400.0, 10000.0
RESOLUTION_UNITS = {2: INCH_UM, 3: CENTIMETRE_UM}
"""TIFF 6.0, ResolutionUnit."""


@dataclass(frozen=True)
class Facts:
    """A slide that can be answered.  ``pages`` are its levels, the largest first; level 0 is the file's first page."""

    vendor: str
    width: int
    height: int
    tile_width: int
    tile_height: int
    compression: str
    mpp: float | None
    objective_power: float | None
    scanner: str | None
    empty_tiles: int
    pages: tuple[Page, ...]

    def document(self) -> dict[str, object]:
        """Return the facts as they stand in ``selection.json``."""
        return {
            "vendor": self.vendor,
            "width": self.width,
            "height": self.height,
            "tile_width": self.tile_width,
            "tile_height": self.tile_height,
            "levels": [[page.width, page.height] for page in self.pages],
            "compression": self.compression,
            "mpp": self.mpp,
            "objective_power": self.objective_power,
            "scanner": self.scanner,
            "empty_tiles": self.empty_tiles,
        }


def facts(index: TiffIndex) -> Facts:
    """Return the facts of a slide.

    Raises
    ------
    DataError
        If it is no slide, or one that cannot be answered: says what it is and what to send.
    """
    name = foreign(index)
    if name:
        raise DataError(f"it is {name}, whose text cannot be taken out safely; export it as a tiled pyramid TIFF or Aperio SVS")
    page = index.pages[0]
    _require_plain_rgb(index, page)
    _require_tiles(page)
    largest = max(other.width * other.height for other in (*index.pages, *index.sub_pages))
    if NO_SLIDE.search(page.description) or page.subfile_type not in {0, 2} or page.width * page.height < largest:
        raise DataError("its first image is not the slide but a label, a macro picture or a reduced copy; send it as scanned")
    _require_whole(index, page, "tiles")
    _require_text(index)
    maker = vendor(index)
    levels = pyramid(index)
    for level in levels[1:]:
        _require_whole(index, level, f"tiles of the {level.width} x {level.height} level")
    values = aperio_values(page.description) if maker == APERIO else {}
    return Facts(
        vendor=maker,
        width=page.width,
        height=page.height,
        tile_width=page.tile_width,
        tile_height=page.tile_height,
        compression=COMPRESSIONS[page.compression],
        mpp=_bounded(values.get("MPP", ""), MPP_BOUNDS) if maker == APERIO else resolution_mpp(page),
        objective_power=_bounded(values.get("AppMag", ""), OBJECTIVES),
        scanner=_scanner(page.description, values) if maker == APERIO else None,
        empty_tiles=int(np.count_nonzero(page.byte_counts == 0)),
        pages=levels,
    )


def _require_plain_rgb(index: TiffIndex, page: Page) -> None:
    """Raise `DataError` unless the page holds 8-bit RGB in a compression that is understood."""
    bits = set(page.bits_per_sample)
    if not page.tiled:
        raise DataError("it is stored in strips, wanted tiles; export it as a tiled pyramid TIFF or Aperio SVS")
    if page.samples_per_pixel == 1:
        raise DataError(f"it has one {max(bits)}-bit channel (grey), wanted 8-bit RGB of a stained slide in bright field")
    if page.samples_per_pixel != 3:
        raise DataError(f"it has {page.samples_per_pixel} channels, wanted 8-bit RGB of a stained slide in bright field")
    if bits != {8} or _field(index, page, SAMPLE_FORMAT, 1) != 1:
        raise DataError(f"it has {max(bits)} bits a channel, wanted 8-bit RGB")
    if page.compression not in COMPRESSIONS:
        other = OTHER_COMPRESSIONS.get(page.compression, f"number {page.compression}")
        raise DataError(f"its compression is {other}, wanted JPEG, JPEG 2000, deflate, LZW or none; export it again")
    if page.photometric not in ({RGB, YCBCR} if page.compression in {JPEG, JPEG_2000_YCC, JPEG_2000_RGB} else {RGB}):
        raise DataError(f"its colours are stored as TIFF photometric {page.photometric}, wanted RGB; export it again")
    if page.planar_configuration != 1 or _field(index, page, FILL_ORDER, 1) != 1 or page.predictor not in {1, 2}:
        raise DataError("its channels or bits are stored in an order that slides do not use; export it again")
    if page.orientation != 1 or _field(index, page, IMAGE_DEPTH, 1) != 1:
        raise DataError("it is stored turned, mirrored or as a volume; export it upright as one plane")


def _require_tiles(page: Page) -> None:
    low, high = TILE_SIDE
    if not (low <= page.tile_width <= high and low <= page.tile_height <= high):
        raise DataError(
            f"its tiles are {page.tile_width} x {page.tile_height} px, wanted {low} to {high} a side; export it again"
        )
    wanted = page.columns * page.rows
    if page.width < 1 or page.height < 1 or len(page.offsets) != wanted:
        raise DataError(
            f"it lists {len(page.offsets)} tiles and its {page.width} x {page.height} px need {wanted}; "
            "the file is damaged, send it again"
        )
    if not page.byte_counts.any():
        raise DataError(f"all its {wanted} tiles are empty; send the slide as its scanner wrote it")


def _require_whole(index: TiffIndex, page: Page, what: str) -> None:
    """Raise `DataError` if tiles lie beyond the end of the file, or take more room than the file has."""
    stored = page.byte_counts > 0
    # Compared without adding the two, since either may be near the largest number.
    beyond = stored & ((page.offsets > index.size) | (page.byte_counts > index.size - np.minimum(page.offsets, index.size)))
    count = int(np.count_nonzero(beyond))
    if count:
        raise DataError(f"it is cut off: {count} of {len(page.offsets)} {what} lie beyond the end of the file; send it again")
    distinct = np.unique(np.stack([page.offsets[stored], page.byte_counts[stored]]), axis=1)
    if int(distinct[1].sum()) > index.size:
        raise DataError(f"its {what} overlap each other; the file is damaged, send it again")


def _require_text(index: TiffIndex) -> None:
    total = sum(
        entry.size
        for page in (*index.pages, *index.sub_pages)
        for entry in page.fields.values()
        if TYPES[entry.kind] in {"S1", "u1", "i1"}
    )
    if total > MOST_TEXT:
        raise DataError(
            f"it holds {total / 2**20:.0f} MiB of text and private data, wanted at most {MOST_TEXT // 2**20}; export it again"
        )


def pyramid(index: TiffIndex) -> tuple[Page, ...]:
    """Return the first page and those that are smaller copies of it, the largest first.

    A level is tiled as level 0 is, and its sides are those of level 0 divided by one power of two: that tells it from a label
    or a macro picture that happens to be tiled, whatever its text says.
    """
    first = index.pages[0]
    found = [first]
    others = sorted((*index.pages[1:], *index.sub_pages), key=lambda page: (-page.width, page.place))
    for page in others:
        if page.width < found[-1].width and _is_level(first, page):
            found.append(page)
    return tuple(found)


def _is_level(first: Page, page: Page) -> bool:
    kind = (page.compression, page.photometric, page.samples_per_pixel, page.bits_per_sample, page.predictor)
    same = kind == (first.compression, first.photometric, first.samples_per_pixel, first.bits_per_sample, first.predictor)
    tiled_alike = (page.tile_width, page.tile_height) == (first.tile_width, first.tile_height)
    if not same or not tiled_alike or page.width < 1 or page.height < 1:
        return False
    if page.planar_configuration != 1 or page.orientation != 1 or len(page.offsets) != page.columns * page.rows:
        return False
    if not page.byte_counts.any() or NO_SLIDE.search(page.description):
        return False
    down = 2 ** round(math.log2(first.width / page.width))
    # A level's side is the quotient rounded down or up, or rounded so at every halving on the way.
    return down >= 2 and all(
        abs(small * down - large) <= 2 * down for small, large in ((page.width, first.width), (page.height, first.height))
    )


def aperio_values(description: str) -> dict[str, str]:
    """Return what an Aperio description says after its first bar: ``Key = Value`` pairs, the first of each key."""
    values: dict[str, str] = {}
    for found in re.finditer(r"\|([^|=]{1,64})=([^|]{0,256})", description):
        values.setdefault(found[1].strip(), found[2].strip(" \r\n\t\0"))
        if len(values) >= 1000:
            break
    return values


def resolution_mpp(page: Page) -> float | None:
    """Return the scale from the resolution fields where it is one of a slide, else ``None``."""
    unit = RESOLUTION_UNITS.get(page.resolution_unit)
    if page.resolution is None or unit is None:
        return None
    x, y = (unit / value for value in page.resolution)
    low, high = MPP_BOUNDS
    if not (low <= x <= high and low <= y <= high):
        return None
    if abs(x - y) > SQUARE * max(x, y):
        raise DataError(f"its pixels are {x:.3g} x {y:.3g} µm, wanted square ones; export it again")
    return float(f"{x:.6g}")


def _bounded(text: str, bounds: tuple[float, float]) -> float | None:
    """Return the number a text is, if it is nothing else and within the bounds."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,12})?", text):
        return None
    value = float(f"{float(text):.6g}")
    return value if bounds[0] <= value <= bounds[1] else None


def _scanner(description: str, values: dict[str, str]) -> str | None:
    """Return the scanner's model where it is one of the known names."""
    stated = f"{values.get('ScannerType', '')} {description[:80]}".upper()
    return next((f"Aperio {model}" for model in MODELS if re.search(rf"\b{model.upper()}\b", stated)), None)


def _field(index: TiffIndex, page: Page, code: int, default: int) -> int:
    entry = page.fields.get(code)
    if entry is None or entry.kind not in {1, 3, 4}:
        return default
    size = {1: 1, 3: 2, 4: 4}[entry.kind]
    return int.from_bytes(index.bytes_of(entry, size), "little" if index.little_endian else "big")
