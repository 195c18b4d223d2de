"""The headers of a folder of untrusted files: what is needed to tell patients, studies, series and slices apart.

``Header.values`` hold identifying values; they stay in memory and never reach a message, a log or a file.
Parsing happens in a confined child process (`algorithms.dicom.confinement`), which is also the only place where pydicom
meets the file; deflated files are refused before they are inflated.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from algorithms.contract.errors import DataError
from algorithms.dicom.confinement import Confinement

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TEXTS = (
    "SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "Manufacturer", "ConvolutionKernel", "PatientID",
    "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "ImageComments",
    "ContrastBolusAgent", "PhotometricInterpretation", "BurnedInAnnotation", "AcquisitionTime", "ContentTime",
)  # fmt: skip
NUMBERS = (
    "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "NominalPercentageOfCardiacPhase", "TriggerTime",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "SliceThickness", "KVP", "Rows", "Columns", "NumberOfFrames",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "BitsAllocated", "BitsStored", "SamplesPerPixel",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "GantryDetectorTilt",
)  # fmt: skip

DEFLATED_TRANSFER_SYNTAXES = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1"})
"""Deflated Explicit VR Little Endian and Deflated Image Frame Compression: a megabyte inflates to gigabytes."""

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
PARSE_ERRORS = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, NotImplementedError, OverflowError, AssertionError,
    EOFError, struct.error, OSError, RecursionError,
)  # fmt: skip
"""What pydicom was seen to raise on damaged and hostile files, beside ``MemoryError``."""


@dataclass(frozen=True)
class Header:
    """What one DICOM file says of itself; an attribute that is absent, empty or malformed is missing from ``values``.

    ``pixels`` is ``"whole"``, ``"missing"`` or ``"truncated"``; ``pixel_start`` is the byte where Pixel Data's value begins.
    """

    file: str
    transfer_syntax: str
    pixels: str
    pixel_start: int
    values: dict[str, Any] = field(repr=False)

    def text(self, keyword: str) -> str:
        """Return the value as stripped text; several values stay joined by a backslash; empty where it is missing."""
        return str(self.values.get(keyword, ""))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return exactly ``count`` numbers, or ``None``."""
        numbers = self.values.get(keyword)
        return tuple(numbers) if numbers is not None and len(numbers) == count else None

    def number(self, keyword: str) -> float | None:
        """Return the first number, or ``None``."""
        numbers = self.values.get(keyword)
        return float(numbers[0]) if numbers else None


@dataclass(frozen=True)
class Folder:
    """The files of a study folder by what they are; the last four are counts."""

    headers: tuple[Header, ...]
    not_dicom: int
    directories: int
    deflated: int
    unreadable: int


def read_folder(folder: Path) -> Folder:
    """Return the headers of every DICOM file below ``folder``, and how many files were something else."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    headers: list[Header] = []
    counts = dict.fromkeys(("not DICOM", "directory", "deflated", "unreadable"), 0)
    with Confinement() as confinement:
        for name, answer in zip(names, _answers(confinement, folder, names), strict=True):
            if isinstance(answer, str):
                counts[answer] += 1
            else:
                headers.append(Header(file=name, **answer))
    return Folder(tuple(headers), counts["not DICOM"], counts["directory"], counts["deflated"], counts["unreadable"])


def read_named(confinement: Confinement, folder: Path, names: Sequence[str]) -> list[Header]:
    """Return the headers of the files ``names`` in ``folder``.

    Raises
    ------
    DataError
        If one of them is not a readable DICOM file.
    """
    answers = list(_answers(confinement, folder, names))
    bad = [answer for answer in answers if isinstance(answer, str)]
    if bad:
        raise DataError(f"{len(bad)} of {len(names)} chosen files are {bad[0]}; receive the study again")
    return [Header(file=name, **answer) for name, answer in zip(names, answers, strict=True) if not isinstance(answer, str)]


def _answers(confinement: Confinement, folder: Path, names: Sequence[str]) -> Iterator[dict[str, Any] | str]:
    for answer in confinement.map("algorithms.dicom.headers:read_header", str(folder), names):
        yield "unreadable" if answer.failure else answer.value


def read_header(folder: str, name: str) -> dict[str, Any] | str:
    """Return a `Header`'s fields, or the kind of the file if it is not a DICOM image or document; for the child process."""
    path = Path(folder, name)
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            return "not DICOM"
    with silent_parsing():
        try:
            return _parsed(path)
        except PARSE_ERRORS:
            return "unreadable"


@contextmanager
def silent_parsing() -> Iterator[None]:
    """Let pydicom take any value as it is and say nothing: its warnings and its log repeat the values that they complain of."""
    import pydicom

    log = logging.getLogger("pydicom")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _parsed(path: Path) -> dict[str, Any] | str:
    import pydicom
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    transfer_syntax = str(meta.get("TransferSyntaxUID", ""))
    if transfer_syntax in DEFLATED_TRANSFER_SYNTAXES:
        return "deflated"
    if meta.get("MediaStorageSOPClassUID") == MEDIA_STORAGE_DIRECTORY:
        return "directory"
    with path.open("rb") as file:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*TEXTS, *NUMBERS])
        pixels, start = _pixels(file, dataset)
    values = _values(dataset)
    values.setdefault("SOPClassUID", str(meta.get("MediaStorageSOPClassUID", "")))
    values.setdefault("SOPInstanceUID", str(meta.get("MediaStorageSOPInstanceUID", "")))
    if not values["SOPClassUID"] and "Modality" not in values:
        return "unreadable"
    return {"transfer_syntax": transfer_syntax, "pixels": pixels, "pixel_start": start, "values": values}


def _values(dataset: Dataset) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for keyword in TEXTS:
        text = _text(dataset, keyword)
        if text:
            values[keyword] = text
    for keyword in NUMBERS:
        numbers = _numbers(dataset, keyword)
        if numbers:
            values[keyword] = numbers
    return values


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
    except PARSE_ERRORS:
        return ""
    if value is None:
        return ""
    parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return "\\".join(str(part).strip(" \0") for part in parts)


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    try:
        numbers = [float(part) for part in _text(dataset, keyword).split("\\")]
    except ValueError:
        return []
    return numbers if all(abs(number) < 1e9 for number in numbers) else []


def _pixels(file: BinaryIO, dataset: Dataset) -> tuple[str, int]:
    """Return whether Pixel Data is whole, and where its value begins; ``file`` stands where the parser stopped before it."""
    implicit, little = bool(dataset.original_encoding[0]), bool(dataset.original_encoding[1])
    offset = file.tell()
    end = file.seek(0, 2)
    file.seek(offset)
    order = "<" if little else ">"
    head = file.read(8 if implicit else 12)
    start = offset + len(head)
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return "missing", start
    if not implicit and len(head) < 12:
        return "truncated", start
    (length,) = struct.unpack(order + "L", head[-4:])
    if length == 0:
        return "missing", start
    if length == 0xFFFFFFFF:
        return ("whole" if _items_end(file, start, end) else "truncated"), start
    wanted = 1.0
    for keyword, default in (
        ("Rows", 0.0),
        ("Columns", 0.0),
        ("BitsAllocated", 16.0),
        ("SamplesPerPixel", 1.0),
        ("NumberOfFrames", 1.0),
    ):
        wanted *= (_numbers(dataset, keyword) or [default])[0]
    return ("whole" if start + length <= end and length >= wanted / 8 else "truncated"), start


def _items_end(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether the encapsulated fragments from ``start`` reach their sequence delimiter before ``end``."""
    while start + 8 <= end:
        file.seek(start)
        group, element, length = struct.unpack("<HHL", file.read(8))
        if (group, element) == (0xFFFE, 0xE0DD):
            return True
        if (group, element) != (0xFFFE, 0xE000):
            return False
        start += 8 + length
    return False
