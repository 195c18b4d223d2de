"""The series that a result was made from, and what every object made from it says of patient, study, maker and time.

Equal inputs give equal bytes: UIDs are hashes of the study's pseudonymous UID and the result, and dates are those of the study,
never the clock's.  The de-identified study has no times, and an object that must state one says midnight.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

Code = tuple[str, str, str]
"""Code value, coding scheme designator, code meaning (PS3.3 section 8)."""

MAKER = "Heartwood"

OWN_SCHEME = "99HEARTWOOD"
"""Coding scheme of our own codes; a private designator begins with 99 (PS3.3 section 8.2)."""

IMPLEMENTATION_UID = "2.25.243829640512317264387461253049201384717"
"""Implementation Class UID of what writes these files (PS3.7 D.3.3.2)."""

MIDNIGHT = "000000"
NO_DATE = "19000101"
"""What an object that must state a time or date states where the de-identified study has none."""

PATIENT_AND_STUDY = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "StudyID",
)  # fmt: skip
"""What a result object takes over from the series (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2, C.12.1)."""

EMPTY_WHERE_ABSENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "StudyID",
)  # fmt: skip
"""Attributes of type 2 among them."""


@dataclass(frozen=True)
class Origin:
    """The images of the series without their pixels, and what the objects made from it share.

    ``seed`` stands for the content of the result; objects of another content get other UIDs.  ``released`` is whether the
    result is an answer, and not preliminary.
    """

    images: Sequence[Dataset]
    seed: str
    product: str
    version: str
    released: bool

    @property
    def date(self) -> str:
        """Return the day of the images as DA text."""
        first = self.images[0]
        dates = (str(first.get(keyword, "")) for keyword in ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate"))
        return next((date for date in dates if date), NO_DATE)

    @property
    def framed(self) -> bool:
        """Return whether the images say in which frame of reference their positions are (PS3.3 C.7.4.1)."""
        return bool(self.images[0].get("FrameOfReferenceUID"))

    def uid(self, *names: str) -> str:
        """Return the UID of what is called ``names`` in this result: 2.25. and a UUID as one number (PS3.5 B.2)."""
        text = "\0".join((str(self.images[0].StudyInstanceUID), self.seed, *names))
        return f"2.25.{UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4).int}"

    def title(self, text: str) -> str:
        """Return a description that says where the result is not released."""
        return text if self.released else f"PRELIMINARY {text}"


def read_images(paths: Sequence[Path]) -> list[Dataset]:
    """Return the de-identified images in ``paths`` without their pixels."""
    return [dcmread(path, stop_before_pixels=True) for path in paths]


def new_object(origin: Origin, sop_class: str, modality: str, name: str, series: tuple[int, str]) -> Dataset:
    """Return an object with the modules of patient, study, series and SOP filled; ``series`` is its number and description."""
    dataset = Dataset()
    first = origin.images[0]
    for keyword in PATIENT_AND_STUDY:
        if keyword in first:
            dataset[keyword] = first[keyword]
    for keyword in EMPTY_WHERE_ABSENT:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, origin.uid(name)
    dataset.Modality = modality
    dataset.SeriesInstanceUID = origin.uid("series", str(series[0]))
    dataset.SeriesNumber, dataset.InstanceNumber = series[0], 1
    dataset.SeriesDescription = origin.title(series[1])
    dataset.ContentDate, dataset.ContentTime = origin.date, MIDNIGHT
    return dataset


def finished(dataset: Dataset, origin: Origin) -> Dataset:
    """Return the object with what makes it a file of ours: maker, marks of de-identification, nothing of the clock.

    A library that built it has filled in today's date and time, and a new UID where it needed one.
    """
    first = origin.images[0]
    for keyword in PATIENT_AND_STUDY:
        if keyword in first and keyword not in dataset:
            dataset[keyword] = first[keyword]
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContributingEquipmentSequence"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.ContentDate, dataset.ContentTime = origin.date, MIDNIGHT
    dataset.SeriesDate = origin.date
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, origin.product
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = origin.version, origin.version
    if "ContentSequence" in dataset:
        dataset.CodingSchemeIdentificationSequence = [_own_scheme()]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID(IMPLEMENTATION_UID), MAKER.upper()
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    return dataset


def _own_scheme() -> Dataset:
    """Return who answers for our codes (PS3.3 C.12.1, table C.12-1)."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName, item.CodingSchemeResponsibleOrganization = OWN_SCHEME, MAKER, MAKER
    return item


@contextmanager
def quiet_library() -> Iterator[None]:
    """Let highdicom build an object without a line for each module, and without doubting that a pseudonym is a name."""
    log = logging.getLogger("highdicom")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The string .* is unlikely to represent the intended person name")
            yield
    finally:
        log.setLevel(before)


def write_object(dataset: Dataset, path: Path) -> None:
    """Write a finished object as a DICOM file (PS3.10)."""
    dataset.save_as(path, enforce_file_format=True)
