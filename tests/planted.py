"""Identifying values that were planted in an examination, and a search for them in every spelling that software gives them."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pydicom
from pydicom.dataset import Dataset

LEAST = 5
"""Characters of a value that is looked for: shorter ones are found in any large file by chance."""

STANDARD = "1.2.840.10008."
"""DICOM's own UIDs name kinds of things, not things."""

NAMING = frozenset({"PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName"})
"""Elements that name somebody, somewhere or something, and whose kind of value does not say so."""

EMBEDDED = re.compile(rb";base64,([A-Za-z0-9+/]+)")
"""Content of a data URI (RFC 2397).  Five letters in any case stand somewhere in the letters of a large picture by chance."""

PDF_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)


def of_study(folder: Path) -> set[str]:
    """Return what the headers of a DICOM study say of a person, a place, a time or an object, in all of its files."""
    return {value for path in folder.rglob("*") if path.is_file() for value in _of_header(pydicom.dcmread(path))}


def of_slides(folder: Path) -> set[str]:
    """Return what the biopsy phantom planted beside ``folder``: label text, descriptions, file names, dates."""
    planted = json.loads((folder.parent / "truth" / "planted.json").read_text())
    return {value for values in planted.values() for value in values}


def _of_header(dataset: Dataset) -> Iterator[str]:
    for element in dataset.iterall():
        values = element.value if isinstance(element.value, list | pydicom.multival.MultiValue) else [element.value]
        for value in map(str, values):
            if element.VR == "PN":
                yield from (part for part in re.split(r"[\^=\s]+", value))
            elif element.VR == "DA" and value:
                yield from (value, f"{value[:4]}-{value[4:6]}-{value[6:]}")
            elif element.keyword in NAMING or (element.VR == "UI" and not value.startswith(STANDARD)):
                yield value


@dataclass(frozen=True)
class Needles:
    """The spellings of planted values: some in any case of letters, some exactly so."""

    folded: tuple[bytes, ...]
    exact: tuple[bytes, ...]

    def found_in(self, content: bytes) -> list[bytes]:
        """Return the spellings that are in a file's bytes, or in what is packed in it."""
        return sorted({needle for layer in layers(content) for needle in self._in(layer)})

    def _in(self, content: bytes) -> Iterator[bytes]:
        lower = content.lower()
        yield from (needle for needle in self.folded if needle in lower)
        yield from (needle for needle in self.exact if needle in content)


def needles(values: Iterable[str]) -> Needles:
    """Return every spelling of the values that are long enough to mean anything."""
    kept = sorted({value.strip() for value in values if len(value.strip()) >= LEAST})
    folded: set[bytes] = set()
    exact: set[bytes] = set()
    for value in kept:
        # bytes.lower() knows the letters of ASCII only.
        for text in {value, value.lower(), value.upper()}:
            spelt = {
                text,
                json.dumps(text)[1:-1],
                quote(text, safe=""),
                quote(text, safe="", encoding="latin-1", errors="replace"),
            }
            folded |= {spelling.encode().lower() for spelling in spelt}
            folded |= {text.encode(coding, errors="replace").lower() for coding in ("latin-1", "utf-16-le", "utf-16-be")}
        folded.add(value.encode().hex().encode())
        exact |= set(_base64(value))
    return Needles(tuple(sorted(folded)), tuple(sorted(exact)))


def _base64(value: str) -> Iterator[bytes]:
    """Yield what base64 of any text with this value in it holds: one spelling for each place that it can begin at."""
    for before in range(3):  # pieces below 8 letters stand in any long base64 by chance
        coded = base64.b64encode(b"\0" * before + value.encode())
        # The first letters mix with what stands before, the last ones with what follows.
        piece = coded[4 if before else 0 :].rstrip(b"=")
        piece = piece[: len(piece) - len(piece) % 4]
        if len(piece) >= 8:
            yield piece


def layers(content: bytes) -> Iterator[bytes]:
    """Yield the bytes, and what is packed in them: data URIs, members of a ZIP (also ``.npz``), streams of a PDF."""
    yield EMBEDDED.sub(b"", content)
    for coded in EMBEDDED.findall(content):
        whole = coded[: len(coded) - (len(coded) % 4 == 1)]  # a message may be cut anywhere
        yield from layers(base64.b64decode(whole + b"=="))
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from layers(archive.read(name))
    elif content.startswith(b"%PDF"):
        for stream in PDF_STREAM.findall(content):
            try:
                yield zlib.decompress(stream)
            except zlib.error:
                continue  # another filter: a picture


def found_below(folder: Path, wanted: Needles, but: Iterable[Path] = ()) -> list[str]:
    """Return "path: spelling" for every name and every content below a folder that holds a planted value."""
    left_out = tuple(but)
    found = []
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(other) for other in left_out):
            continue
        name = str(path.relative_to(folder))
        texts = [name.encode(), path.read_bytes() if path.is_file() and not path.is_symlink() else b""]
        found += [f"{name}: {needle!r}" for text in texts for needle in wanted.found_in(text)]
    return found
