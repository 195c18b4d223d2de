"""What the proof looks for: every text that was taken out, in every spelling and encoding that a file may give it.

How a text is searched for is decided by what it is and how long it is (docs/privacy.md has the table):

* names, identifiers, UIDs, dates and other removed texts of `LONG` characters or more: in every byte of the file, in any
  case, in every encoding that DICOM knows, headers also as UTF-16;
* shorter ones, down to `SHORT` characters: as whole words in the text values of the output;
* shorter still, plain numbers under `LONG` digits, and words that every output of ours holds: not at all, since finding
  "A" or "CT" proves nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from algorithms.dicom.privacy.charset import ENCODINGS
from algorithms.dicom.privacy.syntax import STANDARD
from algorithms.dicom.privacy.taken import Taken
from algorithms.dicom.pseudonym import dicom_date

LONG = 6
SHORT = 3
SHORTEST_BYTES = 4

STATIONS = frozenset({"StationName", "PerformedStationName", "PerformedStationAETitle"})
"""Names of machines: some sites call one by its model, which stays."""

UMLAUTS = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("Ä"): "Ae", ord("Ö"): "Oe", ord("Ü"): "Ue"}
NUMBER = re.compile(r"[+-]?\d*\.?\d*([eE][+-]?\d+)?(\\[+-]?\d*\.?\d*([eE][+-]?\d+)?)*")
STANDARD_UID = re.compile(r"(?<![\d.])1\.2\.840\.10008(\.\d+)*")
FOLD = bytes(range(256)).lower()

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True)
class Wanted:
    """What to search for: folded bytes with the attributes that they came from, by how they are searched."""

    anywhere: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)
    in_header: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)
    words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set), repr=False)

    def __len__(self) -> int:
        """Return how many different byte strings and words are searched for."""
        return len(self.anywhere) + len(self.in_header) + len(self.words)


def wanted(taken: Iterable[Taken], public: Iterable[str], kept: Iterable[str], shifted_dates: Iterable[str]) -> Wanted:
    """Return what to search for.

    Parameters
    ----------
    taken
        All texts that were taken out of all images of one patient.
    public
        Fixed texts that an output may hold, whoever the patient is, and values that an option of the profile keeps.
    kept
        Free texts that the outputs hold on purpose (model, kernel); they excuse descriptions only, no name and no date.
    shifted_dates
        Dates that the outputs hold on purpose; the shifted date of one study may be the true date of another.
    """
    fixed = "\n".join(public).casefold()
    outputs = "\n".join([fixed, *kept, *shifted_dates]).casefold()
    dated = "\n".join([fixed, *shifted_dates])
    excuses = {"PN": fixed, "ID": fixed, "DA": dated, "DT": dated, "TM": dated, "UI": dated}
    excused = {text: (text, frozenset(re.findall(r"\w+", text))) for text in {fixed, dated, outputs}}
    found = Wanted()
    for entry in dict.fromkeys(taken):
        if entry.kind == "BYTES":
            raw = entry.text.encode("latin-1").strip(b" \0").translate(FOLD)
            if len(raw) >= LONG:
                found.anywhere[raw].add(entry.keyword)
            continue
        within, words = excused[outputs if entry.keyword in STATIONS else excuses.get(entry.kind, outputs)]
        if entry.kind == "TEXT" and _harmless(entry.text, words):
            continue
        for text in tokens(entry):
            folded = text.casefold()
            # Long texts are found inside of others, short ones only as whole words.
            if folded not in (within if len(text) >= LONG or not text.isascii() else words):
                _add(found, text, entry.keyword, within)
    return found


def _harmless(text: str, words: frozenset[str]) -> bool:
    """Return whether a text is made of nothing but words of ours, numbers and UIDs of the standard: a copy of a header, say."""
    if "\\" not in text and STANDARD not in text:
        return False
    parts = [part.strip() for part in text.split("\\")]
    return all(
        part.startswith(STANDARD) or NUMBER.fullmatch(part) or words.issuperset(re.findall(r"\w+", part.casefold()))
        for part in parts
    )


def tokens(entry: Taken) -> Iterator[str]:
    """Yield the text and the parts of it that would identify somebody alone."""
    text = entry.text.strip()
    if entry.kind == "UI":
        if not text.startswith(STANDARD):
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
    text = STANDARD_UID.sub(" ", text).strip()
    if len(text) >= LONG:
        yield text
    yield from (part for part in re.split(r"[\W_\d]+", text) if len(part) >= LONG)
    yield from re.findall(r"(?<![\d.])\d{6,}(?![\d.])", text)


def _date_spellings(text: str) -> Iterator[str]:
    if len(text) > 8:
        yield text
    day = dicom_date(text)
    if day is not None:
        yield from spellings_of_day(day)


def spellings_of_day(day: date) -> Iterator[str]:
    """Yield a day in the orders and with the separators that people and programs write it with."""
    year, month, number = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}"
    yield year + month + number
    for mark in ("-", ".", "/"):
        yield mark.join((year, month, number))
        yield mark.join((number, month, year))
        yield mark.join((month, number, year))
    for name in {MONTHS[day.month - 1], MONTHS[day.month - 1][:3]}:
        for short in {number, str(day.day)}:
            yield from (f"{short} {name} {year}", f"{short}-{name}-{year}", f"{name} {short}, {year}", f"{name} {short} {year}")


def _add(found: Wanted, text: str, keyword: str, excused: str) -> None:
    if text.isdigit() and len(set(text)) == 1:
        return
    if text.isascii():
        folded = text.lower()
        if len(text) >= LONG:
            found.anywhere[folded.encode()].add(keyword)
            found.in_header[folded.encode("utf-16-le")].add(keyword)
            found.in_header[folded.encode("utf-16-be")].add(keyword)
        elif len(text) >= SHORT and not text.isdigit():
            found.words[folded].add(keyword)
        return
    for spelling in {one for one in _spellings(text) if one.casefold() not in excused}:
        for encoding in ("ascii",) if spelling.isascii() else ENCODINGS:
            try:
                raw = spelling.encode(encoding).removesuffix(b"\x1b(B").translate(FOLD)
            except UnicodeEncodeError:
                continue
            # Two ideographs are a family name; as four bytes they would turn up in any compressed image.
            if len(raw) >= LONG:
                found.anywhere[raw].add(keyword)
            elif len(raw) >= SHORTEST_BYTES:
                found.in_header[raw].add(keyword)
        for wide in ("utf-16-le", "utf-16-be"):
            found.in_header[spelling.encode(wide, "surrogatepass").translate(FOLD)].add(keyword)


def _spellings(text: str) -> set[str]:
    """Return the text as it is, without accents, and with German umlauts spelt out."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    spelt = text.translate(UMLAUTS)
    return {spelling for spelling in (text, text.upper(), text.lower(), plain, spelt) if len(spelling) > 1}
