"""Data elements written byte by byte, so that what no library would write can be written: any VR for any attribute, anywhere.

Values are bytes as they stand in little endian; a writer for big endian turns them round by the VR's word size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1", ".2", ".1.99"))

LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""VRs with a 32 bit length in explicit encodings (PS3.5 7.1.2)."""

WORD_BYTES = {
    "US": 2,
    "SS": 2,
    "OW": 2,
    "AT": 2,
    "UL": 4,
    "SL": 4,
    "FL": 4,
    "OF": 4,
    "OL": 4,
    "FD": 8,
    "OD": 8,
    "OV": 8,
    "SV": 8,
    "UV": 8,
}
"""Size of what big endian turns round; the VRs of text and OB and UN are left as they are."""

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclass(frozen=True)
class Element:
    """One element: ``value`` is its bytes, or the items of a sequence, each a list of elements.

    ``open`` leaves the length of a sequence and its items undefined; ``length`` writes another length than the true one.
    """

    tag: int
    vr: str
    value: bytes | tuple[tuple[Element, ...], ...]
    open: bool = False
    length: int | None = None


def element(
    tag: int, vr: str, value: str | bytes | int | float | Iterable[Iterable[Element]] = b"", *, coding: str = "ascii"
) -> Element:
    """Return an element from a text, a number, bytes or items; padded to even length with what its VR is padded with."""
    if isinstance(value, str):
        return Element(tag, vr, even(value.encode(coding), b"\0" if vr in {"UI", "OB", "UN"} else b" "))
    if isinstance(value, bytes):
        return Element(tag, vr, even(value))
    if isinstance(value, int):
        return Element(tag, vr, struct.pack({"US": "<H", "SS": "<h", "UL": "<L", "SL": "<l"}[vr], value))
    if isinstance(value, float):
        return Element(tag, vr, struct.pack({"FL": "<f", "FD": "<d"}[vr], value))
    return Element(tag, vr, tuple(tuple(item) for item in value))


def even(value: bytes, padding: bytes = b"\0") -> bytes:
    """Return ``value`` with one more byte where its length is odd."""
    return value + padding * (len(value) % 2)


def written(elements: Iterable[Element], syntax: str = EXPLICIT) -> bytes:
    """Return the elements in ascending order in one of the uncompressed encodings; deflated ones are not yet deflated."""
    return b"".join(_element(one, syntax) for one in sorted(elements, key=lambda one: one.tag))


def _element(one: Element, syntax: str) -> bytes:
    order = ">" if syntax == BIG else "<"
    if isinstance(one.value, bytes):
        value, length = one.value, len(one.value)
        if order == ">" and one.vr in WORD_BYTES:
            value = turned(value, WORD_BYTES[one.vr])
    else:
        inner = (
            IMPLICIT if one.vr == "UN" else syntax
        )  # PS3.5 6.2.2 note 2: a sequence coded UN is implicit little endian inside
        value = b"".join(_item(item, inner, one.open, order if one.vr != "UN" else "<") for item in one.value)
        length = len(value)
        if one.open:
            value += _head(SEQUENCE_END, 0, order if one.vr != "UN" else "<")
            length = UNDEFINED
    length = length if one.length is None else one.length
    tag = struct.pack(f"{order}HH", one.tag >> 16, one.tag & 0xFFFF)
    if syntax == IMPLICIT:
        return tag + struct.pack("<L", length) + value
    if one.vr in LONG_VRS:
        return tag + one.vr.encode() + b"\0\0" + struct.pack(f"{order}L", length) + value
    return tag + one.vr.encode() + struct.pack(f"{order}H", length) + value


def _item(elements: tuple[Element, ...], syntax: str, undefined: bool, order: str) -> bytes:
    content = written(elements, syntax)
    if undefined:
        return _head(ITEM, UNDEFINED, order) + content + _head(ITEM_END, 0, order)
    return _head(ITEM, len(content), order) + content


def _head(tag: int, length: int, order: str) -> bytes:
    return struct.pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, length)


def turned(value: bytes, size: int) -> bytes:
    """Return ``value`` with the bytes of each word of ``size`` bytes in the other order; a rest stays as it is."""
    whole = len(value) - len(value) % size
    return b"".join(value[at : at + size][::-1] for at in range(0, whole, size)) + value[whole:]


def fragments(frames: Iterable[bytes], offsets: bytes = b"") -> bytes:
    """Return the value of encapsulated Pixel Data: the offset table, one fragment a frame, the delimiter (PS3.5 A.4)."""
    items = b"".join(_head(ITEM, len(even(frame)), "<") + even(frame) for frame in (offsets, *frames))
    return items + _head(SEQUENCE_END, 0, "<")


def encapsulated(value: bytes) -> Element:
    """Return Pixel Data that holds `fragments`."""
    return Element(0x7FE00010, "OB", value, length=UNDEFINED)


def with_value(elements: Iterable[Element], *changes: Element) -> list[Element]:
    """Return the elements with ``changes`` in the place of those of the same tag, or added."""
    new = {one.tag: one for one in changes}
    return [one for one in elements if one.tag not in new] + list(new.values())


def without(elements: Iterable[Element], *tags: int) -> list[Element]:
    """Return the elements but those of ``tags``."""
    return [one for one in elements if one.tag not in tags]


def part10(
    dataset: bytes, syntax: str, meta: Iterable[Element], *, preamble: bytes = b"\0" * 128, behind: bytes = b""
) -> bytes:
    """Return a DICOM file (PS3.10 7): preamble, file meta information with its true group length, data set, bytes behind it."""
    group = written(with_value(meta, element(0x00020010, "UI", syntax)))
    head = written([element(0x00020000, "UL", len(group))])
    if syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-15)
        dataset = even(deflate.compress(dataset) + deflate.flush())
    return preamble.ljust(128, b"\0")[:128] + b"DICM" + head + group + dataset + behind


def nested(elements: Iterable[Element], tags: Iterable[int], *, vr: str = "SQ", open: bool = False) -> Element:
    """Return the elements inside sequences within sequences, the first of ``tags`` outermost."""
    *outer, innermost = tags
    one = Element(innermost, vr, (tuple(elements),), open=open)
    for tag in reversed(outer):
        one = Element(tag, vr if vr == "UN" else "SQ", ((one,),), open=open)
    return one


def as_un(one: Element) -> Element:
    """Return the same element coded UN."""
    return replace(one, vr="UN")
