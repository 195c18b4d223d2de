"""The proof: none of the texts that were taken out is found in any byte of what was written.

The output is walked by a parser of its own, which shares nothing with the reader and the writer: the preamble must be empty,
every byte of the file must belong to an element, and every element must be on the allow-list in a VR that it may have.

Every distinct element is walked and searched once for a patient, with its head, and known by its bytes from then on; a text
cannot lie across two elements, because the zero bytes of the second one's head would be part of it.  Raw pixels need no search
where their values cannot spell a text: if every pixel is below 4096, every second byte is below 16, and no letter is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.marks import stood_in
from algorithms.dicom.privacy.needles import FOLD, Wanted
from algorithms.dicom.privacy.objects import FAMILIES, PIXELLESS
from algorithms.dicom.privacy.search import Search
from algorithms.dicom.privacy.stretches import Stretches

TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
LONG_VRS = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"})
PIXEL_DATA = 0x7FE00010
MEDIA_CLASS = 0x00020002
META = {0x00020000: {"UL"}, 0x00020001: {"OB"}, 0x00020002: {"UI"}, 0x00020003: {"UI"}, 0x00020010: {"UI"},
        0x00020012: {"UI"}, 0x00020013: {"SH"}}  # fmt: skip
MARKS = {0x00080005: {"CS"}, 0x00200060: {"CS"}, 0x00120062: {"CS"}, 0x00120063: {"LO"}, 0x00120064: {"SQ"}, 0x00280303: {"CS"},
         0x00080100: {"SH"}, 0x00080119: {"UC"}, 0x00080102: {"SH"}, 0x00080104: {"LO"}}  # fmt: skip
"""What every output has beside the attributes that a policy lets through."""

STRAY = "a de-identified file holds bytes that belong to no attribute"


class Proof:
    """Searches the files of one patient for what was taken out, and counts what it looked at.

    Parameters
    ----------
    searched
        What must not be there.
    allowed
        VRs that each attribute may have.
    private
        Safe private attributes: by creator, group and the lower half of the element; their creators may stand too.
    """

    def __init__(
        self, searched: Wanted, allowed: Mapping[int, Iterable[str]], private: Iterable[tuple[str, int, int]] = ()
    ) -> None:
        self._wanted = searched
        self._allowed: dict[int, frozenset[str]] = {}
        for tag, vrs in [*allowed.items(), *stood_in().items(), *META.items(), *MARKS.items()]:
            self._allowed[tag] = self._allowed.get(tag, frozenset()).union(vrs)
        self._creators = {(creator.encode("latin-1"), group) for creator, group, _ in private}
        self._private = {(group, element) for _, group, element in private}
        self._search = Search({**searched.anywhere, **searched.in_header})
        self._spelt: dict[tuple[int, int], Search | None] = {}
        self._proved: Stretches[int, tuple[int, int]] = Stretches(lambda tags: (tags[0], tags[-1]))
        self.bytes_searched = 0
        self.files_searched = 0

    def clean(self, files: Iterable[Any]) -> bool:
        """Return whether nothing is found in any of the output files; if something is, `leaks` of a new proof tells where.

        Parameters
        ----------
        files
            The bytes of each file, or what gives bytes where it is sliced, as a `mmap` does.

        Raises
        ------
        DataError
            If a file is not built as an output must be.
        """
        headers: list[bytes] = []
        hits: set[str] = set()
        for data in files:
            found, fresh = self._walk(data)
            self._proved.seen(fresh)
            headers += [one[0] for one in fresh if one is not None]
            hits |= found
        return not hits | self._in_headers(headers)

    def leaks(self, data: Any) -> set[str]:
        """Return the attributes of the input whose values are found in an output file.

        Raises
        ------
        DataError
            If the file is not built as an output must be.
        """
        hits, fresh = self._walk(data)
        hits |= self._in_headers([one[0] for one in fresh if one is not None])
        if not hits:
            self._proved.seen(fresh)
        return hits

    def _in_headers(self, elements: list[bytes]) -> set[str]:
        hits = self._search.found(b"".join(elements).translate(FOLD))
        return {label for hit in hits for label in self._labels(hit)}

    def _labels(self, hit: bytes) -> set[str]:
        return self._wanted.anywhere.get(hit, set()) | self._wanted.in_header.get(hit, set())

    def _walk(self, data: Any) -> tuple[set[str], list[tuple[bytes, int] | None]]:
        """Return what is found in pixels and words, and what is not known, with its tag; ``None`` for a stretch."""
        if data[:132] != b"\0" * 128 + b"DICM":
            raise DataError("a de-identified file does not begin with an empty preamble")
        at, stop = 132, len(data)
        before = -1
        hits: set[str] = set()
        fresh: list[tuple[bytes, int] | None] = []
        while at < stop:
            stretch = self._proved.at(data, at)
            if stretch is not None:
                tag, last = stretch.sum
                end = at + len(stretch.source)
                fresh.append(None)
            else:
                tag, vr, start, end = _element(data, at, stop)
                if tag == PIXEL_DATA:
                    hits |= self._in_pixels(data, vr, start, end)
                    break
                last = tag
                self._require_allowed(tag, vr, data[start:end])
                element = data[at:end]
                hits |= self._words(element)
                fresh.append((element, tag))
            if tag <= before:
                raise DataError("the attributes of a de-identified file are not in order")
            before, at = last, end
        else:
            if FAMILIES.get(_sop_class(data)) not in PIXELLESS:
                raise DataError("a de-identified file holds no pixels")
        self.bytes_searched += stop
        self.files_searched += 1
        return hits, fresh

    def _require_allowed(self, tag: int, vr: str, value: bytes) -> None:
        group, number = tag >> 16, tag & 0xFFFF
        if group & 1:
            known = (value.strip(b" "), group) in self._creators if number <= 0xFF else (group, number & 0xFF) in self._private
        else:
            known = vr in self._allowed.get(tag, ())
        if not known:
            raise DataError("a de-identified file holds 1 attribute that the allow-list does not know")

    def _words(self, element: bytes) -> set[str]:
        """Return the short texts that stand in an element as whole words, those inside sequences too."""
        _, vr, start, end = _element(element, 0, len(element))
        if vr == "SQ":
            found: set[str] = set()
            for first, last in _items(element, start, end):
                at = first
                while at < last:
                    inner, inner_vr, value, stop = _element(element, at, last)
                    self._require_allowed(inner, inner_vr, element[value:stop])
                    found |= self._words(element[at:stop])
                    at = stop
            return found
        if vr not in TEXT_VRS:
            return set()
        text = element[start:end].decode("utf-8", "replace").casefold()
        return {label for word in WORDS.findall(text) for label in self._wanted.words.get(word, ())}

    def _in_pixels(self, data: Any, vr: str, start: int, end: int) -> set[str]:
        if end != len(data) or vr != "OW":
            raise DataError(STRAY)
        extent = _high_bytes(data, start, end)
        if extent not in self._spelt:
            self._spelt[extent] = self._possible(*extent)
        search = self._spelt[extent]
        if search is None:
            return set()
        return {label for hit in search.found(data[start:end].translate(FOLD)) for label in self._wanted.anywhere[hit]}

    def _possible(self, low: int, high: int) -> Search | None:
        """Return a search for the strings that pixels can spell whose high bytes lie between two values."""
        octets = {value & 0xFF for value in range(low, high + 1)}
        folded = octets | {FOLD[octet] for octet in octets}
        able = [s for s in self._wanted.anywhere if folded.issuperset(s[::2]) or folded.issuperset(s[1::2])]
        return Search(able) if able else None


WORDS = re.compile(r"[^\W_]+")


def _high_bytes(data: Any, start: int, end: int) -> tuple[int, int]:
    """Return the least and the greatest high byte of 16-bit pixels; a negative number's high bytes are few, too."""
    words = np.frombuffer(data, dtype="<u2", offset=start, count=(end - start) // 2)
    greatest = int(words.max()) >> 8 if words.size else 0
    if greatest <= 0x7F:
        return 0, greatest
    signed = words.view("<i2")
    return int(signed.min()) >> 8, int(signed.max()) >> 8


def _element(data: Any, at: int, stop: int) -> tuple[int, str, int, int]:
    """Return tag, VR, and where the value begins and ends."""
    try:
        group, number = struct.unpack_from("<HH", data, at)
        vr = data[at + 4 : at + 6].decode("latin-1")
        if vr in LONG_VRS:
            (length,) = struct.unpack_from("<L", data, at + 8)
            start = at + 12
        else:
            (length,) = struct.unpack_from("<H", data, at + 6)
            start = at + 8
    except struct.error:
        raise DataError(STRAY) from None
    tag = group << 16 | number
    end = start + length
    if end > stop:
        raise DataError(STRAY)
    return tag, vr, start, end


def _sop_class(data: bytes) -> str:
    """Return what the file meta information says."""
    at, stop = 132, len(data)
    while at < stop:
        tag, _, start, at = _element(data, at, stop)
        if tag == MEDIA_CLASS:
            return data[start:at].decode("latin-1").strip("\0")
    return ""


def _items(data: bytes, at: int, stop: int) -> list[tuple[int, int]]:
    found = []
    while at < stop:
        if at + 8 > stop:
            raise DataError(STRAY)
        tag, length = struct.unpack_from("<LL", data, at)
        if tag != 0xE000FFFE or at + 8 + length > stop:
            raise DataError(STRAY)
        found.append((at + 8, at + 8 + length))
        at += 8 + length
    return found


def elements(data: bytes) -> list[tuple[int, str]]:
    """Return tag and VR of all elements of an output, those inside sequences too."""
    found: list[tuple[int, str]] = []
    pending = [(132, len(data))]
    while pending:
        at, stop = pending.pop()
        while at < stop:
            tag, vr, start, end = _element(data, at, stop)
            found.append((tag, vr))
            if vr == "SQ":
                pending += _items(data, start, end)
            at = end
    return found
