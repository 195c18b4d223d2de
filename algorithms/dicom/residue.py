"""The proof: none of the texts that were taken out is found in any byte of what was written.

What is searched for, and where, is decided by what a text is and how long it is (docs/privacy.md has the table):

* names, identifiers, UIDs, dates and other removed texts of `LONG` characters or more: in every byte of the file, in any
  case, in every encoding that DICOM knows, headers also as UTF-16;
* shorter ones, down to `SHORT` characters: as whole words in the text values of the output;
* shorter still, plain numbers under `LONG` digits, and words that every output of ours holds: not at all, since finding
  "A" or "CT" proves nothing.

The output is also walked by a parser of its own, which knows nothing of pydicom: every byte of the file must belong to an
element that the allow-list knows.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.ct_policy import PUBLIC_WORDS
from algorithms.dicom.deidentification import Taken
from algorithms.dicom.pseudonym import dicom_date

LONG = 6
SHORT = 3
SHORTEST_BYTES = 4
LONG_IN_COMPRESSED = 8
"""Shortest text searched for in compressed pixels: six letters in any case turn up by chance in one study of 400."""

ENCODINGS = ("utf-8", "latin-1", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "gb18030", "iso8859_5", "iso8859_7")
UMLAUTS = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("Ä"): "Ae", ord("Ö"): "Oe", ord("Ü"): "Ue"}
STANDARD_UIDS = "1.2.840.10008."
NUMBER = re.compile(r"[+-]?\d*\.?\d*([eE][+-]?\d+)?(\\[+-]?\d*\.?\d*([eE][+-]?\d+)?)*")
FOLD = bytes(range(256)).lower()
TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
LONG_VRS = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"})
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True)
class Wanted:
    """What to search for: folded bytes with the attributes that they came from, by how they are searched."""

    anywhere: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)
    in_header: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)
    words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)

    def __len__(self) -> int:
        """Return how many different byte strings and words are searched for."""
        return len(self.anywhere) + len(self.in_header) + len(self.words)


def wanted(taken: Iterable[Taken], kept: Iterable[str], shifted_dates: Iterable[str]) -> Wanted:
    """Return what to search for.

    Parameters
    ----------
    taken
        All texts that were taken out of all images.
    kept
        Free texts that the outputs hold on purpose (model, kernel); they were compared with names when they were kept.
    shifted_dates
        Dates that the outputs hold on purpose; the shifted date of one study may be the true date of another.
    """
    public = "\n".join([*PUBLIC_WORDS, *kept, *shifted_dates]).casefold()
    found = Wanted()
    for entry in dict.fromkeys(taken):
        if entry.kind == "BYTES":
            raw = entry.text.encode("latin-1").strip(b" \0").translate(FOLD)
            if len(raw) >= LONG:
                found.anywhere[raw].add(entry.keyword)
            continue
        for text in tokens(entry):
            if text.casefold() not in public:
                _add(found, text, entry.keyword)
    return found


def tokens(entry: Taken) -> Iterator[str]:
    """Yield the text and the parts of it that would identify somebody alone."""
    text = entry.text.strip()
    if entry.kind == "UI":
        if not text.startswith(STANDARD_UIDS):
            yield text
    elif entry.kind in {"DA", "DT"}:
        yield from _date_spellings(text)
    elif entry.kind == "TM":
        if len(text) > 7 and text.strip("0."):
            yield text
    elif entry.kind == "PN":
        yield text
        yield from (part for part in re.split(r"[\s^=,.;()/\\]+", text) if len(part) >= SHORT or not part.isascii())
    elif entry.kind == "ID":
        yield text
        yield from (part for part in re.split(r"[\W_]+", text) if len(part) > SHORT)
        yield from re.findall(r"\d{6,}", text)
    elif not NUMBER.fullmatch(text):
        yield from _free_text(text)
    elif text.isdigit():
        yield text


def _free_text(text: str) -> Iterator[str]:
    if len(text) >= LONG:
        yield text
    yield from (part for part in re.split(r"[\W_\d]+", text) if len(part) >= LONG)
    yield from re.findall(r"(?<![\d.])\d{6,}(?![\d.])", text)


def _date_spellings(text: str) -> Iterator[str]:
    if len(text) > 8:
        yield text
    day = dicom_date(text)
    if day is not None:
        yield from (day.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y.%m.%d"))


def _add(found: Wanted, text: str, keyword: str) -> None:
    if text.isdigit() and len(set(text)) == 1:
        return
    if text.isascii() and len(text) < LONG:
        if len(text) >= SHORT and not text.isdigit():
            found.words[text.casefold()].add(keyword)
        return
    for spelling in _spellings(text):
        for encoding in ("ascii",) if spelling.isascii() else ENCODINGS:
            try:
                raw = spelling.encode(encoding).translate(FOLD)
            except UnicodeEncodeError:
                continue
            # Two ideographs are a family name; as four bytes they would turn up in any compressed image.
            if len(raw) >= LONG:
                found.anywhere[raw].add(keyword)
            elif len(raw) >= SHORTEST_BYTES:
                found.in_header[raw].add(keyword)
        # Without its last byte, so that the same bytes are found in either byte order.
        if len(spelling) > 1:
            found.in_header[spelling.encode("utf-16-le").translate(FOLD)[:-1]].add(keyword)


def _spellings(text: str) -> set[str]:
    """Return the text as it is, without accents, and with German umlauts spelt out."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    spelt = text.translate(UMLAUTS)
    return {spelling for spelling in (text, text.upper(), text.lower(), plain, spelt) if len(spelling) > 1}


class Search:
    """Finds any of many byte strings in a file, in a fraction of a second for a study.

    Two table look-ups with numpy leave the few places where a string's first four bytes occur; those are compared.
    """

    def __init__(self, strings: Iterable[bytes]) -> None:
        self._by_start: dict[int, list[bytes]] = defaultdict(list)
        self._pairs = np.zeros(65536, dtype=bool)
        for string in strings:
            self._by_start[int.from_bytes(string[:4], "little")].append(string)
            self._pairs[int.from_bytes(string[:2], "little")] = True
        self._starts = np.array(sorted(self._by_start), dtype=np.uint32)

    def found(self, data: bytes) -> set[bytes]:
        """Return the strings that occur in ``data``, which must be folded; plain numbers count only as whole numbers."""
        hits: set[bytes] = set()
        if len(self._starts) == 0 or len(data) < 4:
            return hits
        octets = np.frombuffer(data, dtype=np.uint8)
        for offset in (0, 1):
            pairs = np.frombuffer(data, dtype="<u2", offset=offset, count=(len(data) - offset) // 2)
            places = np.flatnonzero(self._pairs[pairs]) * 2 + offset
            places = places[places + 4 <= len(data)]
            fours = octets[places[:, None] + np.arange(4)].astype(np.uint32) @ np.array(
                [1, 256, 65536, 16777216], dtype=np.uint32
            )
            index = np.minimum(np.searchsorted(self._starts, fours), len(self._starts) - 1)
            for place, four in zip(places[self._starts[index] == fours], fours[self._starts[index] == fours], strict=True):
                hits |= {s for s in self._by_start[int(four)] if data.startswith(s, int(place)) and _whole(data, int(place), s)}
        return hits


def _whole(data: bytes, start: int, string: bytes) -> bool:
    """Return whether a plain number stands alone: not part of a longer one, nor the digits after its point."""
    if not string.isdigit():
        return True
    before, after = data[max(start - 2, 0) : start], data[start + len(string) : start + len(string) + 1]
    return not (before[-1:].isdigit() or after.isdigit() or (before[-1:] == b"." and before[:1].isdigit()))


@dataclass(frozen=True)
class Element:
    """One element of an output: its value is ``data[start:stop]``."""

    tag: int
    vr: str
    start: int
    stop: int


def elements(data: bytes) -> list[Element]:
    """Return all elements of an Explicit VR Little Endian file of ours, those inside sequences too.

    Raises
    ------
    DataError
        If the preamble is not empty, or any byte of the file belongs to no element.
    """
    if data[:132] != b"\0" * 128 + b"DICM":
        raise DataError("a de-identified file does not begin with an empty preamble")
    found: list[Element] = []
    try:
        _walk(data, 132, len(data), found)
    except struct.error:
        raise DataError("a de-identified file holds bytes that belong to no attribute") from None
    return found


def _walk(data: bytes, at: int, stop: int, found: list[Element]) -> None:
    while at < stop:
        group, number = struct.unpack_from("<HH", data, at)
        vr = data[at + 4 : at + 6].decode("ascii", "replace")
        if vr in LONG_VRS:
            (length,) = struct.unpack_from("<L", data, at + 8)
            start = at + 12
        else:
            (length,) = struct.unpack_from("<H", data, at + 6)
            start = at + 8
        tag = group << 16 | number
        end = stop if tag == PIXEL_DATA and length == 0xFFFFFFFF else start + length
        if end > stop:
            raise DataError("a de-identified file holds bytes that belong to no attribute")
        found.append(Element(tag, vr, start, end))
        if vr == "SQ":
            for item_start, item_stop in _items(data, start, end):
                _walk(data, item_start, item_stop, found)
        at = end
    if at != stop:
        raise DataError("a de-identified file holds bytes that belong to no attribute")


def _items(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int]]:
    while at < stop:
        tag, length = struct.unpack_from("<LL", data, at)
        if tag != 0xE000FFFE or at + 8 + length > stop:
            raise DataError("a de-identified file holds bytes that belong to no attribute")
        yield at + 8, at + 8 + length
        at += 8 + length


class Proof:
    """Searches files for what was taken out, and counts what it looked at."""

    def __init__(self, searched: Wanted, allowed: frozenset[int]) -> None:
        self._wanted = searched
        self._allowed = allowed
        self._anywhere = Search(searched.anywhere)
        self._compressed = Search(s for s in searched.anywhere if len(s) >= LONG_IN_COMPRESSED or s.isdigit())
        self._in_header = Search(searched.in_header)
        self._words = re.compile(r"[^\W_]+")
        self.bytes_searched = 0

    def leaks(self, data: bytes) -> set[str]:
        """Return the attributes of the input whose values are found in an output file."""
        parts = elements(data)
        unknown = [part for part in parts if part.tag not in self._allowed]
        if unknown:
            raise DataError(f"a de-identified file holds {len(unknown)} attributes that the allow-list does not know")
        pixels = next((part for part in parts if part.tag == PIXEL_DATA), None)
        header_end = len(data) if pixels is None else pixels.start
        folded = data.translate(FOLD)
        header = folded[:header_end]
        within_pixels = self._compressed if pixels is not None and pixels.vr == "OB" else self._anywhere
        hits = self._anywhere.found(header) | within_pixels.found(folded[max(header_end - 64, 0) :])
        labels = {label for hit in hits for label in self._wanted.anywhere[hit]}
        labels |= {label for hit in self._in_header.found(header) for label in self._wanted.in_header[hit]}
        for part in parts:
            if part.vr in TEXT_VRS:
                value = data[part.start : part.stop].decode("utf-8", "replace").casefold()
                labels |= {label for word in self._words.findall(value) for label in self._wanted.words.get(word, ())}
        self.bytes_searched += len(data)
        return labels
