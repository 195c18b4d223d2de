"""Telling patients, studies, series and cardiac phases apart from headers.

A *series* here is what one volume can be made of: one SeriesInstanceUID is split by everything that cannot change within a
volume (matrix, orientation, kernel, thickness), and by cardiac phase where one slice position occurs more than once.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.headers import Header

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"
CT_STORAGES = frozenset({CT_IMAGE_STORAGE, ENHANCED_CT_IMAGE_STORAGE, "1.2.840.10008.5.1.4.1.1.2.2"})
"""CT Image, Enhanced CT Image and Legacy Converted Enhanced CT Image Storage (DICOM PS3.4 B.5)."""

MODALITIES = frozenset({"CT", "MR", "PT", "NM", "US", "XA", "RF", "CR", "DX", "MG", "SR", "SC", "OT", "SEG", "PR", "KO", "DOC",
                        "ECG", "HD", "SM", "RTSTRUCT", "RTDOSE", "RTPLAN", "REG", "RWV", "XC", "IVUS", "OCT"})  # fmt: skip
"""Modality values that may be said in a message (DICOM PS3.3 C.7.3.1.1.1); any other value is "other"."""

SAME_POSITION_MM = 0.01
"""Slices nearer than this lie at one position: scanners write positions to 0.1 mm or finer, and no slice is thinner."""


@dataclass(frozen=True)
class Series:
    """Instances that may form one volume, sorted along the slice normal; ``notes`` say what was dropped on the way."""

    headers: tuple[Header, ...]
    phase_percent: float | None = None
    notes: tuple[str, ...] = ()
    conflict: str = ""

    @property
    def first(self) -> Header:
        """Return one header, for what is equal in all."""
        return self.headers[0]


def require_one_patient_and_study(headers: Sequence[Header]) -> None:
    """Raise `DataError` if the headers name more than one patient or study; empty identifiers belong to any."""
    people = {header.text("PatientID") for header in headers} - {""}
    names = {_folded_name(header.text("PatientName")) for header in headers} - {""}
    births = {header.text("PatientBirthDate") for header in headers} - {""}
    remedy = "wanted one; export and send one patient's coronary CT study alone"
    if len(people) > 1:
        raise DataError(f"the study holds images of {len(people)} patients, {remedy}")
    if len(names) > 1 or len(births) > 1:
        raise DataError(
            f"the study's images carry {len(names)} patient names and {len(births)} birth dates, {remedy}, "
            "or correct the record at the archive"
        )
    studies = {header.text("StudyInstanceUID") for header in headers} - {""}
    if len(studies) > 1:
        raise DataError(f"the folder holds {len(studies)} studies, wanted one; send one coronary CT study per case")


def _folded_name(name: str) -> str:
    """Return the alphabetic group of a person name without case and punctuation, so that spellings of one name are equal."""
    return "".join(character for character in name.split("=", maxsplit=1)[0].casefold() if character.isalnum())


def modality_counts(headers: Iterable[Header]) -> str:
    """Return for example ``"120 MR and 2 SR"``; a modality that the standard does not name is counted as ``other``."""
    counts = Counter(modality if (modality := h.text("Modality")) in MODALITIES else "other" for h in headers)
    parts = [f"{count} {modality}" for modality, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def normal(orientation: Sequence[float]) -> np.ndarray:
    """Return the slice normal, row direction x column direction, (3,)."""
    return np.cross(np.asarray(orientation[:3]), np.asarray(orientation[3:]))


def slice_position_mm(header: Header) -> float | None:
    """Return the position of a slice along its own normal, or ``None`` without position and orientation."""
    position, orientation = header.numbers("ImagePositionPatient", 3), header.numbers("ImageOrientationPatient", 6)
    if position is None or orientation is None:
        return None
    return float(normal(orientation) @ np.asarray(position))


def split_series(headers: Iterable[Header], folder: Path) -> list[Series]:
    """Return the CT series among ``headers``; pixel data in ``folder`` is compared where two slices share a position.

    Raises
    ------
    DataError
        If one SOPInstanceUID names two different images.
    """
    groups: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        if header.text("SOPClassUID") in CT_STORAGES or header.text("Modality") == "CT":
            groups[_series_key(header)].append(header)
    series: list[Series] = []
    for key in sorted(groups):
        members, notes = _without_copies(groups[key], folder)
        series.extend(replace(part, notes=(*notes, *part.notes)) for part in _phases(members, folder))
    return series


def _series_key(header: Header) -> tuple[str, ...]:
    """Return what is constant within a volume, as text."""
    orientation = header.numbers("ImageOrientationPatient", 6)
    image_type = header.text("ImageType").upper().split("\\")
    return (
        header.text("SeriesInstanceUID"), str(header.number("SeriesNumber")), header.text("SOPClassUID"),
        "\\".join(image_type[:3]), header.text("ConvolutionKernel"), header.text("ContrastBolusAgent"),
        *(str(header.number(keyword)) for keyword in ("Rows", "Columns", "SliceThickness", "KVP")),
        str(header.numbers("PixelSpacing", 2)),
        str(None if orientation is None else tuple(round(c, 2) + 0.0 for c in orientation)),
    )  # fmt: skip


def _without_copies(headers: Sequence[Header], folder: Path) -> tuple[list[Header], tuple[str, ...]]:
    """Return the headers with one of each SOPInstanceUID, and a note when some were dropped."""
    by_uid: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        by_uid[header.text("SOPInstanceUID") or f"file {header.file}"].append(header)
    for copies in by_uid.values():
        if len(copies) > 1 and len({pixel_digest(folder, header) for header in copies}) > 1:
            raise DataError(
                f"{len(copies)} different images share one SOPInstanceUID (instance number {_instance(copies[0])}); "
                "the study is damaged, ask the site to export it again"
            )
    dropped = len(headers) - len(by_uid)
    notes = (f"{dropped} copies of the same instance were dropped",) if dropped else ()
    return [copies[0] for copies in by_uid.values()], notes


def pixel_digest(folder: Path, header: Header) -> str:
    """Return a digest of the file's bytes from Pixel Data on."""
    with (folder / header.file).open("rb") as file:
        file.seek(header.pixel_start)
        return hashlib.sha256(file.read()).hexdigest()


def _instance(header: Header) -> str:
    number = header.number("InstanceNumber")
    return "unknown" if number is None else f"{number:.0f}"


PHASE_KEYS: tuple[Callable[[Header], float | None], ...] = (
    lambda h: h.number("NominalPercentageOfCardiacPhase"),
    lambda h: h.number("TemporalPositionIndex"),
    lambda h: h.number("TemporalPositionIdentifier"),
    lambda h: h.number("AcquisitionNumber"),
    lambda h: h.number("TriggerTime"),
)
"""What tells the cardiac phases of one series apart, best first; the first that leaves every position once is used."""


def _phases(headers: Sequence[Header], folder: Path) -> list[Series]:
    """Return one series, or one a phase where positions repeat; a series whose repeats nothing tells apart has a conflict."""
    ordered = sorted(headers, key=_order)
    if not _repeats(ordered):
        return [_series_of(ordered)]
    for key in PHASE_KEYS:
        parts: dict[float | None, list[Header]] = defaultdict(list)
        for header in ordered:
            parts[key(header)].append(header)
        if None not in parts and len(parts) > 1 and not any(_repeats(part) for part in parts.values()):
            return [_series_of(parts[value]) for value in sorted(parts, key=lambda v: v or 0.0)]
    return [_without_equal_neighbours(ordered, folder)]


def _order(header: Header) -> tuple[float, float, str]:
    position = slice_position_mm(header)
    return (position if position is not None else 0.0, header.number("InstanceNumber") or 0.0, header.file)


def _repeats(ordered: Sequence[Header]) -> bool:
    positions = [slice_position_mm(header) for header in ordered]
    if len(positions) < 2 or any(position is None for position in positions):
        return False
    return bool(np.diff(np.asarray(positions, dtype=float)).min() < SAME_POSITION_MM)


def _series_of(headers: Sequence[Header]) -> Series:
    percents = {header.number("NominalPercentageOfCardiacPhase") for header in headers}
    return Series(tuple(headers), phase_percent=percents.pop() if len(percents) == 1 else None)


def _without_equal_neighbours(ordered: Sequence[Header], folder: Path) -> Series:
    """Return the series with one of the slices that share position and pixels; different pixels are a conflict."""
    kept: list[Header] = []
    conflict = ""
    for header in ordered:
        if not kept or not _repeats([kept[-1], header]):
            kept.append(header)
        elif pixel_digest(folder, kept[-1]) != pixel_digest(folder, header):
            conflict = (
                f"instances {_instance(kept[-1])} and {_instance(header)} show different images of one position and nothing in "
                "the header tells the phases apart; send one reconstruction as one series"
            )
    dropped = len(ordered) - len(kept)
    if conflict:
        return Series(tuple(ordered), conflict=conflict)
    return replace(_series_of(kept), notes=(f"{dropped} slices with the position and pixels of another were dropped",))
