"""Invented patients and their CT studies, as elements: every value that could name somebody is noted in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tests.algorithms.dicom.hard.elements import Element, element
from tests.algorithms.dicom.hard.ledger import Ledger

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SIDE = 32
"""Rows and columns: the smallest that JPEG 2000 encoders take with their usual five levels."""


@dataclass(frozen=True)
class Patient:
    """Who was scanned; sex, age, size and weight may stay."""

    name: str
    identifier: str
    birth_date: str
    sex: str = "F"
    age: str = "067Y"
    size_m: str = "1.71"
    weight_kg: str = "74.5"


@dataclass(frozen=True)
class Study:
    """One study of a patient with one series."""

    patient: Patient
    date: str
    time: str
    identifiers: Mapping[str, str]
    uid: str
    series_uid: str
    frame_of_reference_uid: str
    image_uids: dict[int, str] = field(default_factory=dict)


def patient(ledger: Ledger, who: str, **characteristics: str) -> Patient:
    """Return a patient with a name of five parts."""
    parts = [ledger.word(f"PatientName of {who}") for _ in range(5)]
    name = f"{parts[0]}-{parts[1]}^{parts[2]} {parts[3]}^{parts[4]}"
    return Patient(name, ledger.number(f"PatientID of {who}"), ledger.date(f"PatientBirthDate of {who}"), **characteristics)


def study(ledger: Ledger, whose: Patient, what: str) -> Study:
    """Return a study with UIDs, a date and texts of its own."""
    identifiers = {keyword: ledger.word(f"{keyword} of {what}") for keyword in WORDS}
    return Study(
        whose, ledger.moved_date(f"StudyDate of {what}"), ledger.time(f"StudyTime of {what}"), identifiers,
        *(ledger.uid(f"{keyword} of {what}") for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")),
    )  # fmt: skip


WORDS = {
    "AccessionNumber": (0x00080050, "SH"), "InstitutionName": (0x00080080, "LO"), "InstitutionAddress": (0x00080081, "ST"),
    "ReferringPhysicianName": (0x00080090, "PN"), "StationName": (0x00081010, "SH"), "StudyDescription": (0x00081030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"), "InstitutionalDepartmentName": (0x00081040, "LO"),
    "PhysiciansOfRecord": (0x00081048, "PN"), "OperatorsName": (0x00081070, "PN"), "OtherPatientIDs": (0x00101000, "LO"),
    "PatientComments": (0x00104000, "LT"), "DeviceSerialNumber": (0x00181000, "LO"), "ProtocolName": (0x00181030, "LO"),
    "StudyID": (0x00200010, "SH"), "ImageComments": (0x00204000, "LT"), "RequestedProcedureDescription": (0x00321060, "LO"),
    "PerformedProcedureStepID": (0x00400253, "SH"), "PerformedProcedureStepDescription": (0x00400254, "LO"),
}  # fmt: skip
"""Texts that name a person, a place, a device or an order, in any ordinary image."""


NAMING = frozenset({tag for tag, _ in WORDS.values()} | {
    0x00080018, 0x00080020, 0x00080030, 0x00100010, 0x00100020, 0x00100030, 0x0020000D, 0x0020000E, 0x00200052,
})  # fmt: skip
"""Attributes of `image` whose values are noted in the ledger."""


def pixels(number: int, bits_stored: int = 12) -> np.ndarray:
    """Return a small picture of its own for each number: structure with noise, so that no codec finds it trivial."""
    row, column = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(number).integers(0, 1 << (bits_stored - 2), (SIDE, SIDE))
    return ((row * 5 + column * 3 + noise * 3) % (1 << bits_stored)).astype(np.uint16)


def image(ledger: Ledger, of: Study, number: int) -> list[Element]:
    """Return the elements of image ``number`` of a study; its UID is noted in the study for others to refer to."""
    if number not in of.image_uids:
        of.image_uids[number] = ledger.uid(f"SOPInstanceUID of image {number}")
    person = of.patient
    return [
        element(0x00080005, "CS", "ISO_IR 100"),
        element(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        element(0x00080016, "UI", CT_IMAGE),
        element(0x00080018, "UI", of.image_uids[number]),
        *(element(tag, "DA", of.date) for tag in (0x00080020, 0x00080021, 0x00080022, 0x00080023)),
        *(element(tag, "TM", of.time) for tag in (0x00080030, 0x00080031, 0x00080032, 0x00080033)),
        element(0x00080060, "CS", "CT"),
        element(0x00080070, "LO", "SIEMENS"),
        element(0x00081090, "LO", "SOMATOM Force"),
        *(element(*WORDS[keyword], word) for keyword, word in of.identifiers.items()),
        element(0x00100010, "PN", person.name),
        element(0x00100020, "LO", person.identifier),
        element(0x00100030, "DA", person.birth_date),
        element(0x00100040, "CS", person.sex),
        element(0x00101010, "AS", person.age),
        element(0x00101020, "DS", person.size_m),
        element(0x00101030, "DS", person.weight_kg),
        element(0x00180015, "CS", "HEART"),
        element(0x00180050, "DS", "0.75"),
        element(0x00180060, "DS", "120"),
        element(0x00181210, "SH", "Bv40"),
        element(0x00185100, "CS", "HFS"),
        element(0x0020000D, "UI", of.uid),
        element(0x0020000E, "UI", of.series_uid),
        element(0x00200011, "IS", "3"),
        element(0x00200012, "IS", "1"),
        element(0x00200013, "IS", str(number)),
        element(0x00200032, "DS", f"-95.5\\-101.25\\{number * 0.5}"),
        element(0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        element(0x00200052, "UI", of.frame_of_reference_uid),
        element(0x00201040, "LO"),
        element(0x00280002, "US", 1),
        element(0x00280004, "CS", "MONOCHROME2"),
        element(0x00280010, "US", SIDE),
        element(0x00280011, "US", SIDE),
        element(0x00280030, "DS", "0.3515625\\0.3515625"),
        element(0x00280100, "US", 16),
        element(0x00280101, "US", 12),
        element(0x00280102, "US", 11),
        element(0x00280103, "US", 0),
        element(0x00281050, "DS", "200"),
        element(0x00281051, "DS", "800"),
        element(0x00281052, "DS", "-1024"),
        element(0x00281053, "DS", "1"),
        element(0x00281054, "LO", "HU"),
        element(0x7FE00010, "OW", pixels(number).astype("<u2").tobytes()),
    ]


def meta(ledger: Ledger, dataset: list[Element], where: str = "file meta information") -> list[Element]:
    """Return file meta information for a data set, with names where the standard has room for them."""
    uids = {one.tag: one.value for one in dataset if one.tag in {0x00080016, 0x00080018}}
    class_uid, uid = uids.get(0x00080016, b""), uids.get(0x00080018, b"")
    assert isinstance(class_uid, bytes)
    assert isinstance(uid, bytes)
    return [
        element(0x00020001, "OB", b"\0\1"),
        element(0x00020002, "UI", class_uid),
        element(0x00020003, "UI", uid),
        element(0x00020012, "UI", ledger.uid(f"{where}, ImplementationClassUID")),
        element(0x00020013, "SH", ledger.word(f"{where}, ImplementationVersionName")),
        element(0x00020016, "AE", ledger.word(f"{where}, SourceApplicationEntityTitle")),
    ]
