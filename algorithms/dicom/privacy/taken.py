"""The texts that do not get into an output, for the proof that none of them is left.  They stay in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.dictionary import label_of, tag_of, vr_of
from algorithms.dicom.privacy.syntax import Reader, Refused, Span

TEXT_VRS = frozenset({"AE", "AS", "CS", "DS", "IS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
NAMED_KINDS = frozenset({"PN", "UI", "DA", "DT", "TM"})
BINARY_VRS = frozenset({"OB", "OW", "UN", "OL", "OD", "OF", "OV"})
MULTIPLE = frozenset({"LT", "ST", "UT", "UR"})
"""Texts in which a backslash is a letter (PS3.5 6.2)."""

LONGEST_BINARY = 65536
"""Bytes of an opaque element that are looked through for texts."""

RUN = re.compile(rb"[\x20-\x7e]{6,}")

IDENTIFIERS = frozenset(
    tag_of(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress", "StationName",
        "DeviceSerialNumber", "IssuerOfPatientID", "PatientAddress", "PatientTelephoneNumbers", "PersonAddress", "AdmissionID",
        "InstitutionalDepartmentName", "PersonTelephoneNumbers", "ServiceEpisodeID", "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest", "RequestedProcedureID", "ScheduledProcedureStepID",
        "PerformedProcedureStepID", "PerformedStationName", "PerformedStationAETitle", "RetrieveAETitle",
        "SourceApplicationEntityTitle",
    )
)  # fmt: skip


class Taken(NamedTuple):
    """A text that was taken out: from which attribute, of which kind (a VR, or ``ID``, ``TEXT``, ``BYTES``)."""

    keyword: str
    kind: str
    text: str

    def __repr__(self) -> str:
        """Return the attribute and the kind; the text identifies somebody."""
        return f"Taken({self.keyword!r}, {self.kind!r})"


@dataclass(frozen=True)
class Place:
    """Where an element lies: its data set's encoding and character set, and how many sequences are around it."""

    reader: Reader
    terms: tuple[str, ...]
    depth: int

    def below(self, reader: Reader, data: bytes, spans: list[Span]) -> Place:
        """Return the place of the elements of an item, which may have a character set of its own."""
        return Place(reader, charset_of(data, spans) or self.terms, self.depth + 1)


def taken(data: bytes, span: Span, place: Place, above: str = "") -> Iterator[Taken]:
    """Return every text below an element; ``above`` names the sequence it lies in, for elements without a name."""
    tag, vr, _, value, stop, _ = span
    label = label_of(tag)
    if above and label in {"private", "unknown"}:
        label = above
    if vr in {"SQ", "UN"}:
        try:
            inside = place.reader.datasets(data, span, place.depth)
        except Refused:
            inside = None
        if inside is not None:
            return _within(data, inside, place, label)
    if vr == "UN" and not tag >> 16 & 1:
        vr = vr_of(tag)  # an attribute that somebody did not know when he wrote it
    return texts(label, tag, vr, data[value:stop], place.terms)


def _within(data: bytes, inside: tuple[Reader, list[list[Span]]], place: Place, label: str) -> Iterator[Taken]:
    inner, datasets = inside
    for dataset in datasets:
        own = place.below(inner, data, dataset)
        for one in dataset:
            yield from taken(data, one, own, label)


def charset_of(data: bytes, spans: Iterable[Span]) -> tuple[str, ...]:
    """Return the values of SpecificCharacterSet among the elements."""
    for tag, _, _, value, stop, _ in spans:
        if tag >= 0x00080005:
            if tag == 0x00080005:
                return terms_of(data[value:stop])
            break
    return ()


def terms_of(raw: bytes) -> tuple[str, ...]:
    """Return the terms of a value of SpecificCharacterSet."""
    return tuple(part.strip() for part in raw.strip(b" \0").decode("ascii", "replace").split("\\"))


def swallowed(vr: str, raw: bytes) -> bool:
    """Return whether a text holds zero bytes before its end: a damaged length has let it take its neighbours in."""
    return (vr in TEXT_VRS or vr in NAMED_KINDS) and b"\0" in raw.rstrip(b"\0 ")


def texts(label: str, tag: int, vr: str, raw: bytes, terms: tuple[str, ...]) -> Iterator[Taken]:
    """Yield the texts of a value that is no sequence."""
    if vr in BINARY_VRS or vr == "SQ":
        for run in RUN.findall(raw[:LONGEST_BINARY]):
            yield Taken(label, "TEXT", run.decode("ascii"))
        if vr == "UN" and not raw[:LONGEST_BINARY].isascii() and len(raw) <= 256:
            yield Taken(label, "BYTES", raw.decode("latin-1"))
        return
    if swallowed(vr, raw):
        for run in RUN.findall(raw[:LONGEST_BINARY]):
            yield Taken(label, "TEXT", run.decode("ascii"))
        return
    kind = _kind(tag, vr)
    if not kind:
        return
    if not raw.isascii() or b"\x1b" in raw:
        yield Taken(label, "BYTES", raw.decode("latin-1"))
    text = decoded(raw, terms)
    if vr == "DS" and re.fullmatch(r"[\d.eE+\-\\ \0]*", text):
        return
    for part in [text] if vr in MULTIPLE else text.split("\\"):
        if stripped := part.strip(" \0"):
            yield Taken(label, kind, stripped)


@lru_cache(4096)
def _kind(tag: int, vr: str) -> str:
    """Return the kind of a text; empty where the value is none."""
    if vr in NAMED_KINDS:
        return vr
    if vr not in TEXT_VRS:
        return ""
    return "ID" if tag in IDENTIFIERS or tag >> 16 == 0x0010 else "TEXT"
