"""Aperio-like slides of an invented person, whose name is planted wherever a slide file can carry text."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from tests.algorithms.slide.written_tiff import Image, write_tiff

TILE = 64
PERSON = {
    "name": "Quastenflosser",
    "given": "Ottokar",
    "mrn": "HX-4471902",
    "accession": "S24-018833",
    "birth": "1951-03-27",
    "barcode": "BC99120037",
    "user": "dr.wiesengrund",
    "serial": "SS7734X",
    "date": "11/23/24",
    "image_id": "7719034",
    "hospital": "Klinikum Waldesruh",
}
"""Nobody; every value is one that no other text of a slide resembles."""


def tissue(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Return smooth coloured pixels, (height, width, 3) uint8, as a stained slide would be compressed."""
    noise = np.random.default_rng(seed).normal(0, 60, (height, width, 3))
    return np.clip(gaussian_filter(noise, (2, 2, 0)) * 4 + (200, 120, 180), 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, *, rgb: bool = False, subsampling: int = 2, quality: int = 85, **options: object) -> bytes:
    """Return a JPEG image as Pillow writes it: with a JFIF segment, or for RGB with an Adobe one."""
    buffer = io.BytesIO()
    options = {"keep_rgb": True} | options if rgb else {"subsampling": subsampling} | options
    Picture.fromarray(pixels).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def segments(image: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the segments of a JPEG image up to its scan, marker and bytes, and the scan with the end."""
    found, at = [], 2
    while image[at + 1] != 0xDA:
        stop = at + 2 + struct.unpack_from(">H", image, at + 2)[0]
        found.append((image[at + 1], image[at:stop]))
        at = stop
    return found, image[at:]


def abbreviated(image: bytes) -> tuple[bytes, bytes]:
    """Return JPEGTables and the tile without tables (TIFF technical note 2)."""
    found, scan = segments(image)
    tables = b"".join(raw for marker, raw in found if marker in {0xDB, 0xC4})
    others = b"".join(raw for marker, raw in found if marker not in {0xDB, 0xC4, 0xE0})
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + others + scan


def comment(text: str, marker: int = 0xFE) -> bytes:
    """Return a comment (or application) segment."""
    return struct.pack(">BBH", 0xFF, marker, len(text.encode()) + 2) + text.encode()


def lzw(raw: bytes) -> bytes:
    """Return an LZW stream as libtiff writes it: the only strip of a one-line TIFF file."""
    buffer = io.BytesIO()
    Picture.frombytes("L", (len(raw), 1), raw).save(buffer, "TIFF", compression="tiff_lzw")
    buffer.seek(0)
    with Picture.open(buffer) as picture:
        (offset,), (size,) = picture.tag_v2[273], picture.tag_v2[279]
    return buffer.getvalue()[offset : offset + size]


def jpeg_2000(pixels: np.ndarray, **options: object) -> bytes:
    """Return a JPEG 2000 codestream with its three components as they are."""
    buffer = io.BytesIO()
    Picture.fromarray(pixels).save(buffer, "JPEG2000", no_jp2=True, mct=0, quality_layers=[8], irreversible=True, **options)
    return buffer.getvalue()


ENCODERS: dict[int, Callable[[np.ndarray], bytes]] = {
    1: lambda pixels: pixels.tobytes(),
    5: lambda pixels: lzw(pixels.tobytes()),
    8: lambda pixels: zlib.compress(pixels.tobytes()),
    33003: jpeg_2000,
    33005: jpeg_2000,
}
"""Tile encoders by TIFF compression, but for JPEG."""


@dataclass
class Slide:
    """What a slide shall be like."""

    width: int = 300
    height: int = 200
    compression: int = 7
    rgb: bool = False
    tables: bool = True
    levels: int = 2
    seed: int = 0
    person: dict[str, str] | None = field(default_factory=lambda: dict(PERSON))
    mpp: str = "0.2520"
    planted: bool = False
    options: dict[str, object] = field(default_factory=dict)


def describe(slide: Slide, width: int, height: int) -> str:
    """Return an Aperio description that names the person."""
    text = f"Aperio Leica Biosystems GT450 v1.0.1 \r\n{width}x{height} [0,0,{width}x{height}] ({TILE}x{TILE}) JPEG/YCC Q=91"
    text += f"|AppMag = 40|MPP = {slide.mpp}|ScannerType = GT450"
    if slide.person:
        p = slide.person
        text += (
            f"|ScanScope ID = {p['serial']}|Filename = {p['accession']} {p['name']}|Title = {p['name']}, {p['given']}"
            f"|Date = {p['date']}|Time = 09:59:15|User = {p['user']}|Barcode = {p['barcode']}|ImageID = {p['image_id']}"
            f"|Patient = {p['name']}^{p['given']}|PatientID = {p['mrn']}|DOB = {p['birth']}|Case = {p['accession']}"
        )
    return text


def write_slide(path: Path, slide: Slide | None = None, **changes: object) -> np.ndarray:
    """Write the slide and return the pixels of level 0 before they were compressed."""
    slide = slide or Slide(**changes)  # type: ignore[arg-type]
    pixels = tissue(slide.width, slide.height, slide.seed)
    images = [_level(slide, pixels[:: 4**n, :: 4**n], n) for n in range(slide.levels)]
    name = slide.person["name"] if slide.person else ""
    thumbnail = _strip(tissue(80, 60), f"Aperio Image Library\r\n{slide.width}x{slide.height} -> 80x60 - |{name}", 0)
    label = _strip(tissue(50, 40), f"Aperio Image Library\r\nlabel 50x40 {name}", 1)
    macro = _strip(tissue(90, 30), f"Aperio Image Library\r\nmacro 90x30 {name}", 9)
    pages = [images[0], thumbnail, *images[1:], label, macro]
    tail = b""
    if slide.planted and slide.person:
        tail = _plant(pages, slide.person)
    write_tiff(path, pages, tail=tail, **slide.options)  # type: ignore[arg-type]
    return pixels


def _level(slide: Slide, pixels: np.ndarray, number: int) -> Image:
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.pad(pixels, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), mode="edge")
    tiles = [padded[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE].copy() for y in range(rows) for x in range(columns)]
    fields = _size(width, height) | {
        258: (3, [8, 8, 8]), 259: (3, slide.compression), 262: (3, 2 if slide.rgb or slide.compression != 7 else 6),
        277: (3, 3), 284: (3, 1), 322: (3, TILE), 323: (3, TILE), 270: (2, describe(slide, width, height)),
    }  # fmt: skip
    if slide.compression == 7:
        encoded = [jpeg(tile, rgb=slide.rgb) for tile in tiles]
        if slide.tables:
            fields[347] = (7, abbreviated(encoded[0])[0])
            encoded = [abbreviated(tile)[1] for tile in encoded]
        if not slide.rgb:
            fields[530] = (3, [2, 2])
    else:
        encoded = [ENCODERS[slide.compression](tile) for tile in tiles]
    return Image(fields, encoded)


def _size(width: int, height: int) -> dict[int, tuple[int, object]]:
    return {254: (4, 0), 256: (4, width), 257: (4, height)}


def _strip(pixels: np.ndarray, text: str, subfile: int) -> Image:
    height, width = pixels.shape[:2]
    return Image(
        _size(width, height) | {254: (4, subfile), 258: (3, [8, 8, 8]), 259: (3, 7), 262: (3, 6), 270: (2, text), 277: (3, 3),
                                278: (4, height)},
        [jpeg(pixels)],
        tiled=False,
    )  # fmt: skip


def _plant(pages: list[Image], person: dict[str, str]) -> bytes:
    """Put the person into every place of a file where text can be; return what follows the file's end."""
    who = f"{person['name']} {person['given']} {person['mrn']} {person['accession']} {person['hospital']}"
    first = pages[0]
    tiles = list(first.segments)
    codes = (0xE0, 0xE1, 0xED, 0xEE, 0xFE)
    tiles = [
        tile[:2] + comment(who, codes[n % 5]) + tile[2:] + (who.encode() if n % 2 else b"") for n, tile in enumerate(tiles)
    ]
    first.segments = tiles
    tables = first.fields.get(347)
    if tables:
        raw = bytes(tables[1])  # type: ignore[call-overload]
        first.fields[347] = (7, raw[:2] + comment(who) + raw[2:] + who.encode())
    first.slack = f"[{who}]".encode()
    first.fields |= {
        271: (2, who), 285: (2, who), 305: (2, f"Scanner of {person['hospital']}"), 306: (2, "2024:11:23 09:59:15"),
        315: (2, person["user"]), 316: (2, person["serial"]), 700: (1, f"<xmp><who>{who}</who></xmp>".encode()),
        33432: (2, who), 34675: (7, _profile(who)), 34665: (4, 8), 50000: (7, who.encode("utf-16-le")), 65000: (2, who),
        65001: (7, b"\0\1\2\3" + who.encode() + bytes(range(128, 160))),
    }  # fmt: skip
    first.below = [Image(_size(1, 1) | {270: (2, who)}, [b"x"], tiled=False)]
    pages.append(Image(_size(20, 20) | {258: (3, [8, 8, 8]), 262: (3, 2), 277: (3, 3), 270: (2, who), 278: (4, 20)},
                       [bytes(1200)], tiled=False))  # fmt: skip
    return who.encode() + who.encode("utf-16-be")


def _profile(who: str) -> bytes:
    """Return a colour profile with a text in it."""
    text = b"desc" + bytes(4) + struct.pack(">L", len(who) + 1) + who.encode() + b"\0"
    return struct.pack(">L", 128 + len(text)) + b"APPL" + bytes(28) + b"acsp" + bytes(88) + text


def planted_values(person: dict[str, str] | None = None) -> list[bytes]:
    """Return what may be in no byte of a copy, in small letters and two encodings."""
    person = person or PERSON
    words = {word for value in person.values() for word in re.split(r"[ ,]", value) if len(word) >= 6}
    words |= {"20241123", "2024:11:23", "2024-11-23", "09:59:15"}
    return [word.lower().encode(encoding) for word in sorted(words) for encoding in ("utf-8", "utf-16-le")]
