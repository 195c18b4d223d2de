"""A scanned slide as a file like Aperio's: JPEG tiles in three levels, thumbnail, label, macro, and text that names a person.

The layout is that of Aperio's scanners as OpenSlide documents it: page 0 tiled, page 1 a striped thumbnail, then levels of
1/4 and 1/16, then label and macro, each with an ImageDescription.
Tiles are abbreviated JPEG streams with their tables in JPEGTables.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageDraw, ImageFont

from algorithms.phantom.biopsy.identity import Identity
from algorithms.phantom.biopsy.noise import TEXTURE_PX, texture
from algorithms.phantom.biopsy.slide import Scan, lamp, picture, tile_kind
from algorithms.phantom.biopsy.tiff import ARTIST, DATE_TIME, HOST_COMPUTER, LZW, RGB, Page, lzw, write_tiff
from algorithms.phantom.biopsy.tissue import GLASS_RGB

log = logging.getLogger(__name__)

QUALITY = 80
"""JPEG quality of all tiles; scanners use 30 to 90."""
THUMBNAIL_PX = 1024
LABEL_PX = (387, 463)
MACRO_PX = (1280, 431)
"""Width and height, as in the CMU-1 slide that OpenSlide distributes."""
STRIP_PX = 16
LIBRARY = "Aperio Leica Biosystems v12.4.3"
PROGRESS_S = 10.0
BIG_BYTES = 3 << 30
"""Bytes of tiles from which a file is BigTIFF."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A scanned slide in memory: encoded tiles of the first two levels by rows, and the whole third level."""

    first: list[list[bytes]]
    second: list[list[bytes]]
    third: np.ndarray


def split_tables(stream: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG stream's tables as a stream of their own, and the stream without them and without its JFIF header."""
    tables, rest, at = [], [], 2
    while True:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        segment = stream[at : at + 2 + length]
        at += 2 + length
        if marker in {0xDB, 0xC4}:  # DQT, DHT
            tables.append(segment)
        elif marker == 0xDA:  # SOS: the coded data follow
            rest.append(segment + stream[at:])
            return b"\xff\xd8" + b"".join(tables) + b"\xff\xd9", b"\xff\xd8" + b"".join(rest)
        elif marker != 0xE0:  # APP0
            rest.append(segment)


def _encode(pixels: np.ndarray) -> bytes:
    """Return pixels as a whole JPEG stream, YCbCr 4:2:0."""
    return bytes(
        simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB", colorsubsampling="420")
    )


def _tile(pixels: np.ndarray) -> bytes:
    return split_tables(_encode(pixels))[1]


def commented(stream: bytes, comment: str) -> bytes:
    """Return a JPEG stream with a comment segment after its first marker, as some laboratory systems leave it."""
    text = comment.encode("ascii")
    return stream[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + stream[2:]


def _quarter(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of each 4 x 4 pixels."""
    height, width, _ = pixels.shape
    rows = pixels[0::4].astype(np.uint16) + pixels[1::4] + pixels[2::4] + pixels[3::4]
    return np.asarray(rows.reshape(height // 4, width // 4, 4, 3).sum(axis=2, dtype=np.uint16) + 8 >> 4).astype(np.uint8)


def _glass(scan: Scan) -> list[np.ndarray]:
    """Return what an empty tile of each column looks like."""
    size = scan.tile_px
    grain = 0.8 * texture()[:size, :size, None] if size <= TEXTURE_PX else 0.0
    columns = np.arange(scan.tiles[0] * size).reshape(-1, size)
    return [np.asarray((np.array(GLASS_RGB) + grain) * lamp(c)[None, :, None] + 0.5, np.uint8) for c in columns]


def _row(scan: Scan, row: int, glass: list[tuple[bytes, np.ndarray]]) -> tuple[list[bytes], np.ndarray]:
    """Return the encoded tiles of one row, and the row at a quarter of its size."""
    size, columns = scan.tile_px, scan.tiles[0]
    empty = [tile_kind(scan, column, row) == "glass" for column in range(columns)]
    tiles = [stream for stream, _ in glass]
    quarter = np.concatenate([small for _, small in glass], axis=1)
    column = 0
    while column < columns:
        if empty[column]:
            column += 1
            continue
        last = column
        while last < columns and not empty[last] and last - column < 8:
            last += 1
        seen = picture(scan, column * size, row * size, ((last - column) * size, size))
        for k in range(last - column):
            tiles[column + k] = _tile(seen[:, k * size : (k + 1) * size])
        quarter[:, column * size // 4 : last * size // 4] = _quarter(seen)
        column = last
    return tiles, quarter


def scan_slide(scan: Scan) -> Pyramid:
    """Return the slide's tiles, rendered on all cores of the machine; the result does not depend on their number."""
    size = scan.tile_px
    glass = [(_tile(pixels), _quarter(pixels)) for pixels in _glass(scan)]
    section_rows = (
        min(round(scan.layout.section / (size * scan.mpp)), scan.tiles[1]) if scan.layout.copies > 1 else scan.tiles[1]
    )
    first: list[list[bytes]] = []
    quarters: list[np.ndarray] = []
    second: list[list[bytes]] = []
    sixteenths: list[np.ndarray] = []
    said = time.monotonic()
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for tiles, quarter in pool.map(lambda row: _row(scan, row, glass), range(section_rows)):
            first.append(tiles)
            quarters.append(quarter)
            if len(quarters) == 4:
                _level_down(quarters, size, second, sixteenths)
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                log.info("row %d of %d", len(first), section_rows)
    blank = np.concatenate([small for _, small in glass], axis=1)
    if quarters:
        quarters += [blank] * (4 - len(quarters))
        _level_down(quarters, size, second, sixteenths)
    if scan.layout.copies == 1:
        return Pyramid(first, second, np.concatenate(sixteenths))
    below: list[list[bytes]] = []
    low: list[np.ndarray] = []
    _level_down([blank] * 4, size, below, low)
    copies, rows = scan.layout.copies, scan.tiles[1]
    rest = -(-max(rows - copies * section_rows, 0) // 4)
    return Pyramid(
        (first * copies + [[stream for stream, _ in glass]] * (4 * rest))[:rows],
        second * copies + below * rest,
        np.concatenate(sixteenths * copies + low * rest),
    )


def _level_down(quarters: list[np.ndarray], size: int, second: list[list[bytes]], sixteenths: list[np.ndarray]) -> None:
    """Turn four rows at a quarter of their size into one row of the second level's tiles and a strip of the third level."""
    strip = np.concatenate(quarters)
    quarters.clear()
    missing = -strip.shape[1] % size
    strip = np.pad(strip, ((0, 0), (0, missing), (0, 0)), mode="edge")
    second.append([_tile(strip[:, x : x + size]) for x in range(0, strip.shape[1], size)])
    sixteenths.append(_quarter(strip))


def write_svs(path: Path, scan: Scan, identity: Identity, number: int) -> dict[str, int | float]:
    """Write the scanned slide and return its facts; ``number`` is the slide's in the set, on its label and in its text."""
    pyramid = scan_slide(scan)
    size = scan.tile_px
    width, height = scan.size_px
    third = pyramid.third[: height // 16, : width // 16]
    tables = split_tables(_encode(np.zeros((16, 16, 3), np.uint8)))[0]
    text = description(scan, identity, number)
    label = label_picture(identity, number)
    thumbnail = np.asarray(Image.fromarray(third).resize(_fit(third.shape[1], third.shape[0]), Image.Resampling.BOX))
    rows, columns = -(-(height // 4) // size), -(-(width // 4) // size)
    second = [stream for tiles in pyramid.second[:rows] for stream in tiles[:columns]]

    tags = ((DATE_TIME, identity.date_time), (ARTIST, identity.user), (HOST_COMPUTER, identity.scanner_serial))

    tiles = (stream for row in pyramid.first for stream in row)
    first = itertools.chain([commented(next(tiles), f"{identity.patient_name} {identity.hospital_number}")], tiles)

    def level(pixels: tuple[int, int], tiles: Iterable[bytes], note: str) -> Page:
        return Page(*pixels, tiles, note, tile=(size, size), tables=tables, texts=tags)

    def striped(pixels: np.ndarray, note: str, subfile: int) -> Page:
        strips = (_tile(pixels[y : y + STRIP_PX]) for y in range(0, pixels.shape[0], STRIP_PX))
        return Page(pixels.shape[1], pixels.shape[0], strips, note, strip=STRIP_PX, tables=tables, subfile=subfile)

    quarter, sixteenth = (width // 4, height // 4), (third.shape[1], third.shape[0])
    label_strips = (lzw(label[y : y + STRIP_PX]) for y in range(0, LABEL_PX[1], STRIP_PX))
    note = f"{LIBRARY} \r\n"
    pages = [
        level((width, height), first, text),
        striped(thumbnail, _resized(text, (thumbnail.shape[1], thumbnail.shape[0])), 0),
        level(quarter, second, _resized(text, quarter)),
        level(sixteenth, _cut(third, size), _resized(text, sixteenth)),
        Page(
            *LABEL_PX,
            label_strips,
            f"{note}label {LABEL_PX[0]}x{LABEL_PX[1]}",
            LZW,
            RGB,
            strip=STRIP_PX,
            subfile=1,
            predictor=2,
        ),
        striped(_macro(label, thumbnail), f"{note}macro {MACRO_PX[0]}x{MACRO_PX[1]}", 9),
    ]
    write_tiff(path, pages, big=sum(len(stream) for tiles in pyramid.first for stream in tiles) > BIG_BYTES)
    return {"width": width, "height": height, "mpp": scan.mpp, "bytes": path.stat().st_size}


def _cut(pixels: np.ndarray, size: int) -> Iterator[bytes]:
    """Return an image as tiles, its right and lower edges continued."""
    padded = np.pad(pixels, ((0, -pixels.shape[0] % size), (0, -pixels.shape[1] % size), (0, 0)), mode="edge")
    return (
        _tile(padded[y : y + size, x : x + size])
        for y in range(0, padded.shape[0], size)
        for x in range(0, padded.shape[1], size)
    )


def description(scan: Scan, identity: Identity, number: int) -> str:
    """Return the text that a scanner would write: facts of the scan, and far too much about the man."""
    width, height = scan.size_px
    power = 40 if scan.mpp < 0.4 else 20
    size = scan.tile_px
    return (
        f"{LIBRARY} \r\n{width}x{height} [0,0 {width}x{height}] ({size}x{size}) JPEG/YCC Q={QUALITY}"
        f"|AppMag = {power}|StripeWidth = 2040|ScanScope ID = {identity.scanner_serial}"
        f"|Filename = {identity.file_stem(number)}|Title = {identity.patient_name} {identity.birth_date}"
        f"|Date = {identity.scan_date}|Time = {identity.scan_time}|User = {identity.user}"
        f"|Hospital = {identity.hospital}|MRN = {identity.hospital_number}|Barcode = {identity.accession_number}-A{number}"
        f"|MPP = {scan.mpp:.4f}|Left = 21.442310|Top = 18.093212|LineCameraSkew = -0.000320|Focus Offset = 0.000000"
        f"|OriginalWidth = {width}|OriginalHeight = {height}|ICC Profile = ScanScope v1"
    )


def _resized(text: str, size_px: tuple[int, int]) -> str:
    """Return the text of a smaller page of the same slide."""
    facts, _, rest = text.partition("|")
    return f"{facts} -> {size_px[0]}x{size_px[1]} - |{rest}"


def _fit(width: int, height: int) -> tuple[int, int]:
    """Return the size of a thumbnail."""
    scale = min(1.0, THUMBNAIL_PX / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def label_picture(identity: Identity, number: int) -> np.ndarray:
    """Return the paper label of a slide: who, when, which, and a bar code."""
    image = Image.new("RGB", LABEL_PX, (236, 232, 222))
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(20), ImageFont.load_default(30)
    family, _, given = identity.patient_name.partition(", ")
    lines = [
        (identity.hospital, small),
        (f"{identity.accession_number}-A{number}", large),
        (f"{family},", large),
        (given, large),
        (f"*{identity.birth_date}", small),
        (identity.hospital_number, small),
        (f"PROSTATE  H&E  {identity.scan_date}", small),
    ]
    y = 14
    for text, font in lines:
        draw.text((16, y), text, fill=(28, 28, 34), font=font)
        y += 44
    bars = np.unpackbits(np.frombuffer(f"{identity.accession_number}-A{number}".encode(), np.uint8))
    for k, bit in enumerate(bars[:118]):
        if bit:
            draw.rectangle((16 + 3 * k, 350, 18 + 3 * k, 440), fill=(20, 20, 20))
    return np.asarray(image)


def _macro(label: np.ndarray, thumbnail: np.ndarray) -> np.ndarray:
    """Return the camera's view of the whole glass: the label at the left, the tissue beside it."""
    image = Image.new("RGB", MACRO_PX, (206, 210, 208))
    image.paste(Image.fromarray(label).resize((330, 395)), (18, 18))
    small = Image.fromarray(thumbnail)
    small.thumbnail((860, 380))
    image.paste(small, (380, 25))
    return np.asarray(image)
