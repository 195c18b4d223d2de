"""TIFF and BigTIFF files of segments that are encoded already: tiles or strips of JPEG, LZW or plain bytes.

References
----------
*TIFF Revision 6.0* (1992), sections 2, 13, 15; *TIFF Technical Note 2* (1995) for JPEGTables; the BigTIFF design (2007).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

PLAIN, LZW, JPEG = 1, 5, 7
RGB, YCBCR = 2, 6
SHORT, LONG, UNDEFINED, ASCII, LONG8 = 3, 4, 7, 2, 16
DATE_TIME, ARTIST, HOST_COMPUTER = 306, 315, 316
FORMATS = {SHORT: "H", LONG: "I", LONG8: "Q"}
LITERALS = 250
"""Literal codes after which the LZW table is cleared: before its codes would need more than nine bits."""


@dataclass(frozen=True)
class Page:
    """One image of a file: its size, its segments in row-major order, and how to read them.

    ``tile`` is (width, height) of a tile, or ``None`` for strips of ``strip`` rows; ``texts`` are further tags and their text.
    """

    width: int
    height: int
    segments: Iterable[bytes]
    description: str
    compression: int = JPEG
    photometric: int = YCBCR
    tile: tuple[int, int] | None = None
    strip: int = 0
    tables: bytes = b""
    subfile: int = 0
    predictor: int = 1
    bits: int = 8
    texts: tuple[tuple[int, str], ...] = ()


def lzw(pixels: np.ndarray) -> bytes:
    """Return a strip (rows, columns, 3) uint8 as LZW with horizontal differences, in literal codes only: valid, not small."""
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    data = differences.ravel()
    codes: list[np.ndarray] = []
    for start in range(0, data.size, LITERALS):
        codes += [np.array([256]), data[start : start + LITERALS].astype(np.int64)]
    codes.append(np.array([257]))
    bits = (np.concatenate(codes)[:, None] >> np.arange(8, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def write_tiff(path: Path, pages: Iterable[Page], *, big: bool = False) -> None:
    """Write the pages into a little-endian file; ``big`` for more than 4 GiB."""
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
        link = 8 if big else 4
        for page in pages:
            link = _write_page(file, page, link, big)


def _write_page(file: BinaryIO, page: Page, link: int, big: bool) -> int:
    """Write the segments and the directory of a page, enter it at ``link``, and return where the next one is to be entered."""
    offsets, counts = [], []
    for segment in page.segments:
        offsets.append(file.tell())
        counts.append(len(segment))
        file.write(segment)
        file.write(b"\0" * (len(segment) % 2))
    wide = LONG8 if big else LONG
    entries: list[tuple[int, int, list[int] | bytes]] = [
        (254, LONG, [page.subfile]),
        (256, LONG, [page.width]),
        (257, LONG, [page.height]),
        (258, SHORT, [page.bits] * (1 if page.bits > 8 else 3)),
        (259, SHORT, [page.compression]),
        (262, SHORT, [page.photometric]),
        (270, ASCII, page.description.encode("ascii") + b"\0"),
        (277, SHORT, [1 if page.bits > 8 else 3]),
        (284, SHORT, [1]),
    ]
    if page.tile:
        entries += [(322, LONG, [page.tile[0]]), (323, LONG, [page.tile[1]]), (324, wide, offsets), (325, LONG, counts)]
    else:
        entries += [(273, wide, offsets), (278, LONG, [page.strip]), (279, LONG, counts)]
    entries += [(tag, ASCII, text.encode("ascii") + b"\0") for tag, text in page.texts]
    if page.predictor != 1:
        entries.append((317, SHORT, [page.predictor]))
    if page.tables:
        entries.append((347, UNDEFINED, page.tables))
    if page.photometric == YCBCR:
        entries.append((530, SHORT, [2, 2]))
    return _write_directory(file, sorted(entries), link, big)


def _write_directory(file: BinaryIO, entries: list[tuple[int, int, list[int] | bytes]], link: int, big: bool) -> int:
    """Write values that do not fit into their entries, then the directory; return the place of its link to the next one."""
    room = 8 if big else 4
    packed = []
    for tag, kind, values in entries:
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
        if len(data) > room:
            file.write(b"\0" * (file.tell() % 2))
            place = file.tell()
            file.write(data)
            data = struct.pack("<Q" if big else "<I", place)
        packed.append(struct.pack("<HHQ" if big else "<HHI", tag, kind, len(values)) + data.ljust(room, b"\0"))
    file.write(b"\0" * (file.tell() % 2))
    start = file.tell()
    file.write(struct.pack("<Q" if big else "<H", len(packed)) + b"".join(packed))
    end = file.tell()
    file.write(b"\0" * room)
    file.seek(link)
    file.write(struct.pack("<Q" if big else "<I", start))
    file.seek(0, 2)
    return end
