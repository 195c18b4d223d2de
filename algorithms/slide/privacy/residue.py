"""The proof: none of the texts that were taken out of a slide is found in the file that was written.

Every text of the original is noted: of all its fields, of comment and application segments, of bytes behind the end of a
tile, between the tiles and behind the last one.  Then

* texts and parts of `LONG` characters or more are searched for in every byte of the new file that is no pixel;
* those of `LONG_IN_PIXELS` or more in every byte of it, compressed pixels included;
* shorter ones, down to `SHORT`, as whole words in the texts of the new file.

Searches know no case of letters; texts are also looked for as UTF-16, without accents and with umlauts spelt out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
from numba import njit

SHORT = 3
LONG = 6
"""Shortest text searched for in bytes: six letters in any case turn up by chance once in 5e12 bytes."""

LONG_IN_PIXELS = 8
"""Shortest text searched for in compressed pixels, which are a million times more."""

GRAM = 4
SMALL = np.uint64(0x20202020)
"""The bit that tells small from capital letters: with it set, grams are equal whatever the case (and rarely else)."""

HASH, MASK = np.uint64(2654435761), np.uint64(0xFFFFFFFF)
"""Multiplicative hash of 32 bits (Knuth, The Art of Computer Programming 3, 6.4)."""

FOLD = bytes(range(256)).lower()

ENCODINGS = ("utf-8", "latin-1", "shift_jis", "euc_jp", "euc_kr", "gb18030", "iso8859_5", "iso8859_7")
UMLAUTS = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("Ä"): "Ae", ord("Ö"): "Oe", ord("Ü"): "Ue"}

STANDARD_HUFFMAN = "%&'()*456789:CDEFGHIJSTUVWXYZcdefghijstuvwxyz &'()*56789:CDEFGHIJSTUVWXYZcdefghijstuvwxyz"
"""What the standard Huffman tables (T.81, K.5 and K.6) look like as text: every JPEG holds it."""

RUN = re.compile(rb"[\x20-\x7e\x80-\xff]{6,}")
ASCII_RUN = re.compile(rb"[\x20-\x7e]{6,}")
WIDE_RUN = re.compile(rb"(?:[\x20-\x7e]\0){6,}")
WORD = re.compile(r"[^\W_]+")
DATE = re.compile(r"(?<!\d)(\d{1,4})[-/.:](\d{1,2})[-/.:](\d{1,4})(?!\d)")
COMPACT_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
NAMED_DATE = re.compile(
    r"(?<!\d)(\d{1,2})[- ](jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[- ](\d{4})", re.IGNORECASE
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Taken:
    """What was taken out of the slides of a case, as the byte strings and words that are to be searched for.

    ``strings`` come from texts; ``runs`` are readable runs of bytes without a known structure, such as a colour profile or
    what lies between the tiles.  A run may be a piece of pixels that an editor left behind, and equal pixels are no leak: so
    runs are searched for in what is no pixel only.

    Parameters
    ----------
    public
        Texts that the new file holds whoever the patient is: its own words and the numbers of its own description.
    """

    def __init__(self, public: Iterable[str]) -> None:
        texts = [text.casefold() for text in public]
        self._public_words = {word for text in texts for word in WORD.findall(text)}
        self._public = "\n".join([*texts, STANDARD_HUFFMAN.casefold()])
        self._codec = b""
        self._seen: set[str] = set()
        self.strings: set[bytes] = set()
        self.runs: set[bytes] = set()
        self.words: set[str] = set()

    def __len__(self) -> int:
        """Return how many byte strings and words are searched for."""
        return len(self.strings | self.runs) + len(self.words)

    def allow_codec(self, header: bytes) -> None:
        """Say which bytes are a codec's own tables: a run of bytes that is part of them is no text."""
        self._codec += header.translate(FOLD) + b"\0"

    def add_text(self, text: str) -> None:
        """Note a text with the parts of it that would identify somebody alone."""
        for part in _parts(text):
            if part not in self._seen:
                self._seen.add(part)
                self.strings |= self._strings(part)

    def add_bytes(self, raw: bytes) -> None:
        """Note the bytes of a field or segment: as a text where they are one from end to end, else their readable runs."""
        text = _plain_text(raw)
        if text:
            self.add_text(text)
        else:
            self.add_runs(raw)

    def add_runs(self, raw: bytes) -> None:
        """Note the readable runs of bytes that may be anything, pixels included."""
        runs = [run for run in RUN.findall(raw) if _is_text(run)]
        texts = [_text(run) for run in runs]
        texts += [run.decode("ascii") for run in ASCII_RUN.findall(raw) if _is_text(run)]
        texts += [run.decode("utf-16-le") for aligned in (raw, raw[1:]) for run in WIDE_RUN.findall(aligned)]
        for part in {part for text in texts for part in _parts(text)} - self._seen:
            if not any(part.encode(form, "replace").translate(FOLD) in self._codec for form in ("utf-8", "latin-1")):
                self.runs |= self._strings(part)

    def _strings(self, part: str) -> set[bytes]:
        """Return the folded bytes that a part may be written as; a short one becomes a word instead."""
        folded = part.casefold()
        if len(set(folded)) <= 2 or folded in self._public or folded in self._public_words:
            return set()
        if part.isascii() and len(part) < LONG:
            if len(part) >= SHORT and not part.isdigit():
                self.words.add(folded)
            return set()
        strings: set[bytes] = set()
        for spelling in _spellings(part):
            for encoding in ("ascii",) if spelling.isascii() else ENCODINGS:
                try:
                    raw = spelling.encode(encoding).translate(FOLD)
                except UnicodeEncodeError:
                    continue
                if len(raw) >= LONG:
                    strings.add(raw)
            # Without its last byte, so that the same bytes are found in either byte order.
            wide = spelling.encode("utf-16-le", "replace").translate(FOLD)[:-1]
            if len(wide) >= LONG:
                strings.add(wide)
        return strings


def _parts(text: str) -> Iterator[str]:
    text = text.strip(" \t\r\n\0")
    if 2 < len(text) <= 4096:
        yield text
    for piece in dict.fromkeys(re.split(r"[|\r\n\t;<>\"\0]+", text)):
        _, equals, value = piece.partition("=")
        for whole in (piece.strip(), value.strip()) if equals else (piece.strip(),):
            if SHORT <= len(whole) <= 256 and not _is_measure(whole):
                yield whole
    yield from _dates(text)
    for word in dict.fromkeys(re.split(r"[\W_]+", text)):
        if len(word) >= SHORT and not word.isdigit():
            yield word
    yield from dict.fromkeys(re.findall(r"(?<![\d.])\d{6,}(?![\d.])", text))


def _is_measure(text: str) -> bool:
    """Return whether a text is a number with a point or of few digits: finding 0.25 or 20 proves nothing."""
    return bool(re.fullmatch(r"[+-]?\d*\.\d*([eE][+-]?\d+)?|[+-]?\d{1,5}", text))


def _dates(text: str) -> Iterator[str]:
    """Yield the dates in a text in the spellings in which they may stand elsewhere."""
    stated: dict[date, None] = {}
    for found in dict.fromkeys(DATE.findall(text)):
        first, second, third = (int(number) for number in found)
        # Americans put the month first, the rest of the world the day or the year.
        for year, month, day in ((first, second, third), (third, first, second), (third, second, first)):
            stated |= _day(year, month, day)
    for year, month, day in dict.fromkeys(COMPACT_DATE.findall(text)):
        stated |= _day(int(year), int(month), int(day))
    for day, month, year in dict.fromkeys(NAMED_DATE.findall(text)):
        stated |= _day(int(year), MONTHS.index(month.casefold()) + 1, int(day))
    for one in stated:
        yield from (one.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%Y:%m:%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"))
        yield f"{one.day:02d} {MONTHS[one.month - 1]} {one.year}"


def _day(year: int, month: int, day: int) -> dict[date, None]:
    """Return the day, or nothing where there is no such day in living memory."""
    try:
        found = date(year + 2000 if year < 50 else year + 1900 if year < 100 else year, month, day)
    except ValueError:
        return {}
    return {found: None} if 1900 <= found.year < 2100 else {}


def _plain_text(raw: bytes) -> str:
    """Return the text that bytes are, if they are one from end to end, else an empty text."""
    raw = raw.rstrip(b"\0")
    wide = (raw + b"\0" * (len(raw) % 2)).decode("utf-16-le" if raw[1:2] == b"\0" else "utf-16-be", "replace")
    candidates = (wide,) if b"\0" in raw[:2] else (raw.decode("utf-8", "replace"), raw.decode("latin-1"))
    return next((text for text in candidates if all(c.isprintable() or c.isspace() for c in text) and "\ufffd" not in text), "")


def _is_text(run: bytes) -> bool:
    plain = sum(byte == 32 or 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 for byte in run[:256])
    return plain >= 0.6 * min(len(run), 256)


def _text(run: bytes) -> str:
    try:
        return run.decode("utf-8")
    except UnicodeDecodeError:
        return run.decode("latin-1")


def _spellings(text: str) -> set[str]:
    """Return the text as it is, without accents, and with German umlauts spelt out."""
    if text.isascii():
        return {text}
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return {spelling for spelling in (text, text.upper(), text.lower(), plain, text.translate(UMLAUTS)) if len(spelling) > 1}


class Search:
    """Finds texts that were taken out in bytes that were written.  ``found`` holds the strings and words that turned up."""

    def __init__(self, taken: Taken) -> None:
        self._words = taken.words
        self._all = _Finder(taken.strings | taken.runs, LONG - GRAM + 1)
        self._long = _Finder((string for string in taken.strings if len(string) >= LONG_IN_PIXELS), GRAM)
        self._headers: set[int] = set()
        self.found: set[bytes] = set()

    def in_pixels(self, data: bytes) -> None:
        """Search every byte of ``data``, which may be compressed pixels, for long texts."""
        self.found |= self._long.found(data)

    def in_headers(self, data: bytes) -> None:
        """Search ``data``, which holds no pixels, for every text; the same bytes are searched once."""
        seen = hash(data)
        if seen not in self._headers:
            self._headers.add(seen)
            self.found |= self._all.found(data)

    def in_texts(self, text: str) -> None:
        """Search a text of the new file for words that are too short to be searched for in bytes."""
        self.found |= {word.encode() for word in WORD.findall(text.casefold()) if word in self._words}


class _Finder:
    """Finds any of many strings, looking at four bytes in every ``stride`` places: it misses none of ``stride`` + 3 bytes.

    A table of bits leaves few places, a sorted list of all grams fewer; what is left is compared in full.
    """

    def __init__(self, strings: Iterable[bytes], stride: int) -> None:
        self._stride = stride
        self._strings = sorted(strings)
        octets = np.frombuffer(b"".join(self._strings), dtype=np.uint8)
        lengths = np.array([len(string) for string in self._strings], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        places = (starts[:, None] + np.arange(self._stride)).ravel()
        grams = np.zeros(len(places), dtype=np.uint32)
        for byte in range(GRAM):
            grams |= octets[places + byte].astype(np.uint32) << np.uint32(8 * byte)
        grams |= SMALL.astype(np.uint32)
        order = np.argsort(grams, kind="stable")
        self._grams, self._owners = grams[order], order
        # A table that stays in the nearest cache for a usual slide, and a sparse one for a slide with megabytes of text.
        self._bits = 14 if len(grams) < 2**10 else 24
        self._table = np.zeros(2**self._bits, dtype=np.uint8)
        self._table[(grams.astype(np.uint64) * HASH & MASK) >> np.uint64(32 - self._bits)] = 1

    def found(self, data: bytes) -> set[bytes]:
        """Return the strings that occur in ``data``, whatever the case of its letters."""
        hits: set[bytes] = set()
        if not self._strings or len(data) < GRAM:
            return hits
        octets = np.frombuffer(data, dtype=np.uint8)
        if self._stride == GRAM:
            words = octets[: len(octets) // GRAM * GRAM].view("<u4")
            places = [GRAM * place for place in _places_in_words(words, self._table, self._bits, self._grams)]
        else:
            places = _places(octets, self._table, self._bits, self._grams, self._stride)
        for place in places:
            hits |= self._compared(data, place)
        return hits

    def _compared(self, data: bytes, place: int) -> set[bytes]:
        """Return the strings of which a gram lies at ``place`` and that are there in full."""
        hits = set()
        gram = np.uint32(int.from_bytes(data[place : place + GRAM], "little")) | SMALL.astype(np.uint32)
        at = int(np.searchsorted(self._grams, gram))
        while at < len(self._grams) and self._grams[at] == gram:
            number, shift = divmod(int(self._owners[at]), self._stride)
            string, start = self._strings[number], place - shift
            if start >= 0 and data[start : start + len(string)].translate(FOLD) == string and _whole(data, start, string):
                hits.add(string)
            at += 1
        return hits


@njit(cache=True)
def _places(data: np.ndarray, table: np.ndarray, bits: int, grams: np.ndarray, stride: int) -> list[int]:
    """Return the places, every ``stride`` bytes, at which one of the sorted ``grams`` occurs."""
    found = [0 for _ in range(0)]
    shift = np.uint64(32 - bits)
    for at in range(0, len(data) - 3, stride):
        gram = (
            np.uint64(data[at])
            | np.uint64(data[at + 1]) << np.uint64(8)
            | np.uint64(data[at + 2]) << np.uint64(16)
            | np.uint64(data[at + 3]) << np.uint64(24)
        ) | SMALL
        if table[(gram * HASH & MASK) >> shift]:
            position = np.searchsorted(grams, np.uint32(gram))
            if position < len(grams) and grams[position] == gram:
                found.append(at)
    return found


@njit(cache=True)
def _places_in_words(words: np.ndarray, table: np.ndarray, bits: int, grams: np.ndarray) -> list[int]:
    """Return the places in ``words``, uint32, at which one of the sorted ``grams`` stands: one load for four bytes."""
    found = [0 for _ in range(0)]
    shift = np.uint64(32 - bits)
    for at in range(len(words)):
        gram = np.uint64(words[at]) | SMALL
        if table[(gram * HASH & MASK) >> shift]:
            position = np.searchsorted(grams, np.uint32(gram))
            if position < len(grams) and grams[position] == gram:
                found.append(at)
    return found


def _whole(data: bytes, start: int, string: bytes) -> bool:
    """Return whether a plain number stands alone: not part of a longer one, nor the digits after its point."""
    if not string.isdigit():
        return True
    before, after = data[max(start - 2, 0) : start], data[start + len(string) : start + len(string) + 1]
    return not (before[-1:].isdigit() or after.isdigit() or (before[-1:] == b"." and before[:1].isdigit()))
