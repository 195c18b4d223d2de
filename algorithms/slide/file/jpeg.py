"""JPEG tiles without anything that is no pixel: no comments, no application data, no bytes behind the end.

A tile is read segment by segment and never decoded.  Tables, frame and scan headers are kept as they are after their lengths
were checked against their contents; of application segments only what tells a decoder the colour space stays, written anew.

References
----------
ITU-T T.81 (1992), annex B, for segments; T.871 (2011) for JFIF; T.872 (2012), 6.5.3, for the Adobe segment.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

START = b"\xff\xd8"
END = b"\xff\xd9"

EMPTY_TILE = START + END
"""A tile that every decoder refuses: it stands for one whose bytes could not be told from text."""

JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
"""JFIF segment with no density and no thumbnail; decoders take the colour space from its being there."""

DRI, DQT, DHT, SOS, COMMENT = 0xDD, 0xDB, 0xC4, 0xDA, 0xFE
FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Frame headers of baseline, extended and progressive Huffman coding; scanners use no other."""

SCAN_END = re.compile(rb"\xff[\x01-\xfe]")
"""In a scan 0xFF is followed by a stuffed zero or another 0xFF; anything else ends it."""

RESTARTED_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""The same where a restart interval is defined.  Elsewhere decoders stop at a restart marker, and what follows is no pixel."""


class DamagedTileError(Exception):
    """The bytes are not what they should be; says nothing of them, as they may be anything."""


@dataclass
class Cleaned:
    """An encoded tile or its tables after cleaning, and the pieces that were taken out."""

    data: bytes
    removed: list[bytes] = field(default_factory=list, repr=False)


def cleaned_tables(tables: bytes) -> Cleaned:
    """Return JPEGTables with nothing but tables.

    Raises
    ------
    DamagedTileError
        If it is no abbreviated table stream (T.81 B.5).
    """
    head = _header(tables, None)
    if head.marker != 0xD9:
        raise DamagedTileError
    trailing = [tables[head.stop + 2 :]] if len(tables) > head.stop + 2 else []
    return Cleaned(head.kept + END, head.removed + trailing)


class TileCleaner:
    """Cleans the tiles of one page, ``width`` x ``height`` pixels each, which share ``tables`` (JPEGTables).

    Tiles of a page begin alike, so the last header is remembered: then a tile costs one look for the end of its scan.
    """

    def __init__(self, width: int, height: int, tables: bytes = b"") -> None:
        self._size = (width, height)
        self._restarts = bool(tables) and _header(tables, None).restarts
        self._head = b""
        self._known = _Header(b"", [], 0, 0, False)

    def cleaned(self, tile: bytes) -> Cleaned:
        """Return the tile without comments, application data and trailing bytes.

        Raises
        ------
        DamagedTileError
            If it is no JPEG image of the page's tile size.
        """
        if not self._head or not tile.startswith(self._head):
            self._known = _header(tile, self._size)
            if self._known.marker != SOS:
                raise DamagedTileError
            self._head = tile[: self._known.stop]
        head, start = self._known, len(self._head)
        unchanged = head.kept == self._head
        scan_end = RESTARTED_SCAN_END if self._restarts or head.restarts else SCAN_END
        found = scan_end.search(tile, start)
        if unchanged and found is not None and found.start() == len(tile) - 2 and tile.endswith(END) and tile[-3] != 0xFF:
            return Cleaned(tile, list(head.removed))
        body, removed = _scans(tile, start, scan_end)
        return Cleaned(head.kept + body, [*head.removed, *removed])


@dataclass(frozen=True)
class _Header:
    """Segments up to the first scan's data (``marker`` SOS) or up to the end marker."""

    kept: bytes
    removed: list[bytes]
    stop: int
    marker: int
    restarts: bool


def _header(data: bytes, size: tuple[int, int] | None) -> _Header:
    """Return the segments before the scan; ``size`` is what the frame header must say, ``None`` where none may be."""
    if data[:2] != START:
        raise DamagedTileError
    kept: list[bytes] = [START]
    removed: list[bytes] = []
    at, framed, restarts = 2, False, False
    while True:
        marker, stop = _segment(data, at)
        if marker == 0xD9:
            return _Header(b"".join(kept), removed, at, marker, restarts)
        payload = data[at + 4 : stop]
        if marker == COMMENT or 0xE0 <= marker <= 0xEF:
            replaced = _application(marker, payload)
            kept.append(replaced)
            if replaced != data[at:stop]:
                removed.append(payload)
        elif marker in FRAMES:
            if framed or size is None or not _is_frame(payload, size):
                raise DamagedTileError
            framed = True
            kept.append(data[at:stop])
        elif marker == SOS:
            if not framed or not _is_scan(payload):
                raise DamagedTileError
            return _Header(b"".join([*kept, data[at:stop]]), removed, stop, marker, restarts)
        else:
            kept.append(_table(marker, payload))
            restarts = restarts or (marker == DRI and payload != b"\0\0")
        at = stop


def _segment(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker at ``at`` and where its segment stops."""
    if at + 2 > len(data) or data[at] != 0xFF:
        raise DamagedTileError
    marker = data[at + 1]
    if marker == 0xD9:
        return marker, at + 2
    if at + 4 > len(data):
        raise DamagedTileError
    stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if stop < at + 4 or stop > len(data):
        raise DamagedTileError
    return marker, stop


def _application(marker: int, payload: bytes) -> bytes:
    """Return what stays of an application or comment segment: a JFIF mark, an Adobe colour transform, or nothing."""
    if marker == 0xE0 and payload.startswith(b"JFIF\0"):
        return JFIF
    if marker == 0xEE and payload.startswith(b"Adobe") and len(payload) >= 12 and payload[11] <= 2:
        return b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + payload[11:12]
    return b""


def _is_frame(payload: bytes, size: tuple[int, int]) -> bool:
    if len(payload) < 6:
        return False
    precision, height, width, components = struct.unpack_from(">BHHB", payload)
    return precision == 8 and (width, height) == size and components == 3 and len(payload) == 6 + 3 * components


def _is_scan(payload: bytes) -> bool:
    return len(payload) >= 1 and 1 <= payload[0] <= 4 and len(payload) == 4 + 2 * payload[0]


def _table(marker: int, payload: bytes) -> bytes:
    """Return a table segment if its contents fill it exactly: nothing can hide behind the last table."""
    at = 0
    if marker == DQT:
        while at < len(payload):
            at += 1 + (128 if payload[at] >> 4 else 64)
    elif marker == DHT:
        while at < len(payload):
            at += 17 + sum(payload[at + 1 : at + 17])
    elif marker == DRI:
        at = 2
    else:
        raise DamagedTileError
    if at != len(payload) or not payload:
        raise DamagedTileError
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _scans(data: bytes, at: int, scan_end: re.Pattern[bytes]) -> tuple[bytes, list[bytes]]:
    """Return scan data from ``at`` to the end of the image, with the tables and scan headers between, and what was removed."""
    kept: list[bytes] = []
    removed: list[bytes] = []
    while True:
        found = scan_end.search(data, at)
        if found is None:
            # Without an end marker decoders assume one where the data stops.
            return b"".join([*kept, data[at:].rstrip(b"\xff"), END]), removed
        place = found.start()
        kept.append(data[at:place].rstrip(b"\xff"))
        at = place
        marker = 0
        while marker != SOS:
            marker, stop = _segment(data, at)
            if marker == 0xD9:
                if stop < len(data):
                    removed.append(data[stop:])
                return b"".join([*kept, END]), removed
            payload = data[at + 4 : stop]
            if marker == COMMENT or 0xE0 <= marker <= 0xEF:
                removed.append(payload)
            elif marker == SOS:
                if not _is_scan(payload):
                    raise DamagedTileError
                kept.append(data[at:stop])
            else:
                kept.append(_table(marker, payload))
            at = stop
