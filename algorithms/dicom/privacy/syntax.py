"""A small strict reader of DICOM files, and the writer of Explicit VR Little Endian (PS3.5 chapter 7, PS3.10).

It knows the uncompressed encodings, the deflated one and encapsulated pixels, defined and undefined lengths, nested sequences,
and sequences coded UN.  What it does not understand it refuses; it never passes on a byte that belongs to nothing.

A *span* is where one element of a data set lies: ``(tag, vr, begin, value, stop, end)``; the value is ``data[value:stop]`` and
the element ``data[begin:end]``, which differ behind the value by the delimiter of an undefined length.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.dictionary import vr_of
from algorithms.dicom.privacy.stretches import Stretch, Stretches, Sum

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
STANDARD = "1.2.840.10008."

PIXEL_DATA = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

SHORT_HEAD, LONG_HEAD = struct.Struct("<HH2sH"), struct.Struct("<HH2s2xL")
"""The heads of elements in Explicit VR Little Endian (PS3.5 7.1.2)."""

DEEPEST = 16
"""Sequences within sequences: enhanced images and structured reports of scanners nest about 8 deep."""

MOST_INFLATED_BYTES = 256 * 2**20
"""What a deflated file may grow to: a study's largest single frame is some megabytes, and a bomb has no end."""

REMEDY = "ask the site to send it again"

Span = tuple[int, str, int, int, int, int]


class Refused(DataError):  # noqa: N818 - a refusal is no error of ours
    """A file cannot be de-identified; ``kind`` is a short name of the reason, for counting."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def damaged(what: str) -> Refused:
    """Return the refusal of a file that breaks the standard."""
    return Refused("damaged", f"the file is damaged: {what}; {REMEDY}")


@dataclass(frozen=True)
class File:
    """A file opened: its meta elements, the bytes that the data set lies in, and where it begins in them."""

    transfer_syntax: str
    meta: dict[int, bytes] = field(repr=False)
    reader: Reader
    data: bytes = field(repr=False)
    start: int
    tail: bytes = field(repr=False, default=b"")
    """Bytes behind a data set that was deflated."""

    @cached_property
    def spans(self) -> list[Span]:
        """All elements of the data set; raises `Refused` if it breaks the standard so that bytes are left without meaning."""
        return list(self.reader.top(self.data, self.start))

    def behind(self, end: int) -> bytes:
        """Return the bytes behind the data set, which ends at ``end``, but for zeros that fill up."""
        return (self.data[end:] + self.tail).strip(b"\0")


def is_dicom(data: bytes) -> bool:
    """Return whether the bytes begin as a DICOM file does."""
    return data[128:132] == b"DICM"


def read(data: bytes, readers: Readers) -> File:
    """Return a file with its meta elements; those of the data set are read when they are asked for.

    Parameters
    ----------
    data
        The whole file.
    readers
        Those of earlier files are faster: they know the heads of elements.

    Raises
    ------
    Refused
        If the file is no DICOM file, or its meta elements break the standard.
    """
    if not is_dicom(data):
        raise Refused("not DICOM", "the file is not a DICOM file; it stays where it is")
    meta, at = _meta(data, readers.of(EXPLICIT))
    syntax = meta.get(0x00020010, b"").rstrip(b"\0 ").decode("ascii", "replace")
    if not syntax.startswith(STANDARD):
        raise damaged("it names no transfer syntax of the standard")
    if syntax == DEFLATED:
        plain, tail = _inflated(data[at:])
        return File(syntax, meta, readers.of(syntax), plain, 0, tail)
    return File(syntax, meta, readers.of(syntax), data, at)


def _meta(data: bytes, reader: Reader) -> tuple[dict[int, bytes], int]:
    """Return the values of group 2, which is always Explicit VR Little Endian, and where it ends."""
    found: dict[int, bytes] = {}
    at, end = 132, len(data)
    while at + 8 <= end and data[at : at + 2] == b"\x02\0":
        tag, _, _, value, stop, at = reader.span(data, at, end, 0)
        found[tag] = data[value:stop]
    return found, at


def _inflated(data: bytes) -> tuple[bytes, bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data, MOST_INFLATED_BYTES)
    except zlib.error:
        raise damaged("its deflated data set cannot be inflated") from None
    if not inflater.eof and (inflater.unconsumed_tail or len(plain) >= MOST_INFLATED_BYTES):
        raise Refused("too large", f"the file inflates to more than {MOST_INFLATED_BYTES >> 20} MiB; send it uncompressed")
    return plain, inflater.unused_data


class Readers:
    """One reader for each encoding; kept over many files."""

    def __init__(self) -> None:
        self._explicit = Reader(implicit=False, order="<")
        self._others = {IMPLICIT: Reader(implicit=True, order="<"), BIG_ENDIAN: Reader(implicit=False, order=">")}

    def of(self, syntax: str) -> Reader:
        """Return the reader of a transfer syntax; every compressed one is Explicit VR Little Endian."""
        return self._others.get(syntax, self._explicit)


class Reader:
    """Finds the elements of a data set in one encoding.

    It remembers the heads that it has seen (tag, VR and length in eight bytes), which are nearly the same in every slice.
    """

    MOST_HEADS = 20000

    def __init__(self, *, implicit: bool, order: str) -> None:
        self.implicit = implicit
        self.order = order
        self._heads: dict[bytes, tuple[int, str, int]] = {}
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "L")

    def top(self, data: bytes, at: int) -> Iterator[Span]:
        """Yield the elements of a data set."""
        return (piece for piece in self.walk(data, at, Stretches(len)) if not isinstance(piece, Stretch))

    def walk(
        self, data: bytes, at: int, known: Stretches[Any, Sum], until: int = UNDEFINED
    ) -> Iterator[Span | Stretch[Any, Sum]]:
        """Yield the elements of a data set before the tag ``until``, those that are known in stretches.

        What follows Pixel Data and is no element is no part of the data set; anywhere else it is refused.
        """
        stop, pixels = len(data), False
        while at < stop:
            stretch = known.at(data, at)
            if stretch is not None:
                yield stretch
                at += len(stretch.source)
                continue
            try:
                span = self.span(data, at, stop, 0)
            except Refused:
                if pixels:
                    return
                raise
            if span[0] >= until:
                return
            pixels = pixels or span[0] == PIXEL_DATA
            yield span
            at = span[5]

    def span(self, data: bytes, at: int, stop: int, depth: int) -> Span:
        """Return the element at ``at``; raises `Refused` if it is none, or reaches beyond ``stop``."""
        if at + 8 > stop:
            raise damaged("it ends within an attribute")
        tag, vr, length = self._head(data, at)
        value = at + 8
        if length == -1:
            if at + 12 > stop:
                raise damaged("it ends within an attribute")
            (length,) = self._long.unpack_from(data, at + 8)
            value = at + 12
        if length == UNDEFINED:
            if tag == PIXEL_DATA and depth == 0:
                last, end = self._fragments(data, value, stop)
            else:
                last, end = self._undefined(data, value, stop, depth, vr)
            return tag, vr, at, value, last, end
        if value + length > stop:
            raise damaged("an attribute is longer than the file")
        return tag, vr, at, value, value + length, value + length

    def value(self, element: bytes) -> bytes:
        """Return the value of one element."""
        _, _, _, value, stop, _ = self.span(element, 0, len(element), 0)
        return element[value:stop]

    def _head(self, data: bytes, at: int) -> tuple[int, str, int]:
        """Return tag, VR and length of the value, -1 where the length stands in the next four bytes."""
        head = data[at : at + 8]
        known = self._heads.get(head)
        if known is None:
            group, number = self._tag.unpack_from(head)
            tag = group << 16 | number
            if group == 0xFFFE:
                raise damaged("an item stands outside a sequence")
            if self.implicit:
                (length,) = self._long.unpack_from(head, 4)
                known = (tag, vr_of(tag), length)
                if length == UNDEFINED:
                    return known
            elif head[4:6] in SHORT_VRS:
                known = (tag, head[4:6].decode(), self._short.unpack_from(head, 6)[0])
            elif head[4:6] in LONG_VRS:
                known = (tag, head[4:6].decode(), -1)
            else:
                raise damaged("an attribute has no value representation of the standard")
            if len(self._heads) >= self.MOST_HEADS:
                self._heads.clear()
            self._heads[head] = known
        return known

    def _undefined(self, data: bytes, at: int, stop: int, depth: int, vr: str) -> tuple[int, int]:
        """Return where a sequence of undefined length ends, and where its delimiter ends."""
        if vr not in {"SQ", "UN"}:
            raise damaged("an attribute that is no sequence has no length")
        end = self._inside(vr).items(data, at, stop, depth, closed=True)[-1][2]
        return end - 8, end

    def _inside(self, vr: str) -> Reader:
        # A sequence coded UN is always Implicit VR Little Endian inside (PS3.5 6.2.2).
        return self if vr == "SQ" or self.implicit else Reader(implicit=True, order="<")

    def items(self, data: bytes, at: int, stop: int, depth: int, *, closed: bool) -> list[tuple[int, int, int]]:
        """Return (start, stop) of the elements of each item and where the item ends.

        With ``closed`` the sequence ends at its delimiter, which is returned as a last empty item.
        """
        if depth >= DEEPEST:
            raise Refused("nested too deeply", f"sequences are nested more than {DEEPEST} deep; {REMEDY}")
        found: list[tuple[int, int, int]] = []
        while at + 8 <= stop:
            group, number = self._tag.unpack_from(data, at)
            (length,) = self._long.unpack_from(data, at + 4)
            tag = group << 16 | number
            if tag == SEQUENCE_END and closed:
                found.append((at, at, at + 8))
                return found
            if tag != ITEM:
                raise damaged("a sequence holds something else than items")
            at += 8
            if length == UNDEFINED:
                last, end = self._item_end(data, at, stop, depth + 1)
            else:
                last = end = at + length
                if end > stop:
                    raise damaged("an item is longer than its sequence")
            found.append((at, last, end))
            at = end
        if closed or at != stop:
            raise damaged("a sequence does not end")
        return found

    def _item_end(self, data: bytes, at: int, stop: int, depth: int) -> tuple[int, int]:
        while at + 8 <= stop:
            group, number = self._tag.unpack_from(data, at)
            if group << 16 | number == ITEM_END:
                return at, at + 8
            at = self.span(data, at, stop, depth)[5]
        raise damaged("an item does not end")

    def _fragments(self, data: bytes, at: int, stop: int) -> tuple[int, int]:
        while at + 8 <= stop:
            group, number = self._tag.unpack_from(data, at)
            (length,) = self._long.unpack_from(data, at + 4)
            tag = group << 16 | number
            if tag == SEQUENCE_END:
                return at, at + 8
            if tag != ITEM or at + 8 + length > stop:
                break
            at += 8 + length
        raise damaged("its compressed pixels do not end")

    def datasets(self, data: bytes, span: Span, depth: int) -> tuple[Reader, list[list[Span]]] | None:
        """Return the elements of each item of a sequence and the reader that they need; ``None`` where it is no sequence."""
        _, vr, _, value, stop, end = span
        if vr != "SQ" and not (vr == "UN" and data[value : value + 4] == b"\xfe\xff\0\xe0"):
            return None
        inner = self._inside(vr)
        found = []
        try:
            for first, last, _ in inner.items(data, value, stop, depth, closed=False):
                found.append(inner.within(data, first, last, depth + 1))
        except Refused:
            if vr == "UN" and stop == end:
                return None  # bytes that begin like a sequence and are none
            raise
        return inner, found

    def within(self, data: bytes, at: int, stop: int, depth: int) -> list[Span]:
        """Return the elements between two places, which they must fill."""
        spans = []
        while at < stop:
            span = self.span(data, at, stop, depth)
            spans.append(span)
            at = span[5]
        return spans


def encoded(tag: int, vr: str, value: bytes) -> bytes:
    """Return one element in Explicit VR Little Endian, padded to an even length (PS3.5 6.2)."""
    if len(value) & 1:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    code = vr.encode()
    if code in LONG_VRS:
        return LONG_HEAD.pack(tag >> 16, tag & 0xFFFF, code, len(value)) + value
    return SHORT_HEAD.pack(tag >> 16, tag & 0xFFFF, code, len(value)) + value


def encoded_items(items: list[bytes]) -> bytes:
    """Return the value of a sequence with these items, each of defined length."""
    return b"".join(b"\xfe\xff\0\xe0" + struct.pack("<L", len(item)) + item for item in items)
