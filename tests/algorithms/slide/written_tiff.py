"""TIFF files written byte by byte, so that a test can say anything in them: what no library would write included."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FORMATS = {1: "B", 2: "s", 3: "H", 4: "L", 5: "LL", 7: "s", 13: "L", 16: "Q", 18: "Q"}


@dataclass
class Image:
    """One directory: its fields (code: (type, value)), and its encoded tiles or strips."""

    fields: dict[int, tuple[int, object]]
    segments: Sequence[bytes] = ()
    tiled: bool = True
    below: Sequence[Image] = ()
    slack: bytes = b""
    """Bytes put between the segments, which no field points to."""
    shared: Mapping[int, int] = field(default_factory=dict)
    """Segments that point to another one's bytes: number to number."""


def write_tiff(path: Path, images: Sequence[Image], *, big: bool = False, order: str = "<", tail: bytes = b"") -> Path:
    """Write the images: all segments first, then the directories, as scanners do that stream."""
    data = bytearray(_header(big, order, 0))
    places: list[int] = []
    pointers: list[int] = []
    for image in images:
        below = [_directory(data, sub, big, order, []) for sub in image.below]
        places.append(_directory(data, image, big, order, below))
        pointers.append(len(data) - (8 if big else 4))
    for pointer, place in zip(pointers, places[1:], strict=False):
        struct.pack_into(order + ("Q" if big else "L"), data, pointer, place)
    start = _header(big, order, places[0] if places else 0)
    data[: len(start)] = start
    path.write_bytes(bytes(data) + tail)
    return path


def _header(big: bool, order: str, place: int) -> bytes:
    magic = b"II" if order == "<" else b"MM"
    return magic + (struct.pack(order + "HHHQ", 43, 8, 0, place) if big else struct.pack(order + "HL", 42, place))


def _directory(data: bytearray, image: Image, big: bool, order: str, below: Sequence[int]) -> int:
    """Append segments, values and the directory; return the directory's place.  Its pointer to the next one is zero."""
    offsets: list[int] = []
    for number, segment in enumerate(image.segments):
        if number in image.shared:
            offsets.append(offsets[image.shared[number]])
            continue
        data += image.slack
        offsets.append(len(data) if segment else 0)
        data += segment
    fields = dict(image.fields)
    if image.segments:
        kind = 16 if big else 4
        fields.setdefault(324 if image.tiled else 273, (kind, offsets))
        fields.setdefault(325 if image.tiled else 279, (kind, [len(segment) for segment in image.segments]))
    if below:
        fields[330] = (18 if big else 13, list(below))
    entries = b""
    inline = 8 if big else 4
    for code, (kind, value) in sorted(fields.items()):
        raw, count = _raw(kind, value, order)
        if len(raw) > inline:
            data += b"\0" * (len(data) % 2)
            place = len(data)
            data += raw
            raw = struct.pack(order + ("Q" if big else "L"), place)
        entries += struct.pack(order + ("HHQ" if big else "HHL"), code, kind, count) + raw.ljust(inline, b"\0")
    data += b"\0" * (len(data) % 2)
    place = len(data)
    data += struct.pack(order + ("Q" if big else "H"), len(fields)) + entries + b"\0" * inline
    return place


def _raw(kind: int, value: object, order: str) -> tuple[bytes, int]:
    if isinstance(value, str):
        value = value.encode() + b"\0"
    if isinstance(value, bytes):
        return value, len(value)
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    count = len(numbers) // 2 if kind == 5 else len(numbers)
    return struct.pack(f"{order}{len(numbers)}{FORMATS[kind][0]}", *numbers), count
