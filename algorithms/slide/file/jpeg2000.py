"""JPEG 2000 tiles without comments: a codestream's headers written anew, its packets copied.

Comments go, and so do lists of lengths, which decoders do not need and which would no longer be true.

References
----------
ITU-T T.800 (2002), annex A.
"""

from __future__ import annotations

import struct

from algorithms.slide.file.jpeg import Cleaned, DamagedTileError

START, END = b"\xff\x4f", b"\xff\xd9"

EMPTY_TILE = START + END
"""A tile that every decoder refuses."""

SIZ, SOT, SOD = 0x51, 0x90, 0x93

KEPT = {0x52: 45, 0x53: 43, 0x5C: 198, 0x5D: 200, 0x5E: 6, 0x5F: 9 * 32 + 2}
"""COD COC QCD QCC RGN POC, which are needed to decode, and how long each can be for three components and 32 levels (T.800 A.6;
at most 32 changes of progression).  Packet headers apart from their packets (PPM, PPT) no scanner writes."""

DROPPED = frozenset({0x55, 0x57, 0x58, 0x63, 0x64})
"""TLM PLM PLT: lengths; CRG: registration; COM: comment."""


def cleaned(tile: bytes, width: int, height: int) -> Cleaned:
    """Return the codestream with only those segments that a decoder needs.

    Raises
    ------
    DamagedTileError
        If it is no JPEG 2000 codestream of three 8-bit components of the tile's size.
    """
    if tile[:2] != START:
        raise DamagedTileError
    removed: list[bytes] = []
    main, at = _header(tile, 2, len(tile), removed, (width, height))
    parts = [START, *main]
    while tile[at : at + 2] != END:
        at = _tile_part(tile, at, parts, removed)
    if at + 2 < len(tile):
        removed.append(tile[at + 2 :])
    return Cleaned(b"".join([*parts, END]), removed)


def _header(
    data: bytes, at: int, stop: int, removed: list[bytes], size: tuple[int, int] | None = None
) -> tuple[list[bytes], int]:
    """Return the segments to keep and where the header ends: at the first tile-part, or behind start of data."""
    kept: list[bytes] = []
    sized = size is None
    while True:
        if at + 4 > stop or data[at] != 0xFF:
            raise DamagedTileError
        marker = data[at + 1]
        if marker == SOT and size is not None and sized:
            return kept, at
        if marker == SOD and size is None:
            return kept, at
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end < at + 4 or end > stop:
            raise DamagedTileError
        if marker == SIZ and size is not None and not sized:
            if not _is_size(data[at + 4 : end], size):
                raise DamagedTileError
            sized = True
            kept.append(data[at:end])
        elif marker in KEPT and sized and end - at - 2 <= KEPT[marker]:
            kept.append(data[at:end])
        elif marker in DROPPED:
            removed.append(data[at + 4 : end])
        else:
            raise DamagedTileError
        at = end


def _is_size(payload: bytes, size: tuple[int, int]) -> bool:
    if len(payload) != 36 + 3 * 3:
        return False
    right, bottom, left, top = struct.unpack_from(">4L", payload, 2)
    components = struct.unpack_from(">H", payload, 34)[0]
    return (right - left, bottom - top) == size and components == 3 and all(payload[n] == 7 for n in (36, 39, 42))


def _tile_part(data: bytes, at: int, parts: list[bytes], removed: list[bytes]) -> int:
    """Append one tile-part with a header of its own and return where it ends."""
    if len(data) < at + 12 or data[at : at + 4] != b"\xff\x90\x00\x0a":
        raise DamagedTileError
    number, length, part, count = struct.unpack_from(">HLBB", data, at + 4)
    # No code of a packet is above 0xFF8F but those of its own markers, so the first end marker is the end (T.800 A.1).
    end = at + length if length else data.find(END, at)
    if not at + 14 <= end <= len(data) - 2:
        raise DamagedTileError
    kept, start = _header(data, at + 12, end, removed)
    if data.find(END, start, end) >= 0:
        raise DamagedTileError
    header = b"".join(kept)
    parts += [
        struct.pack(">2sHHLBB", b"\xff\x90", 10, number, 12 + len(header) + end - start, part, count), header, data[start:end]
    ]  # fmt: skip
    return end
