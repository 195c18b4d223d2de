"""What every output has whatever the input says: file meta information, the marks of de-identification, required attributes."""

from __future__ import annotations

import struct

from algorithms.dicom.privacy.dictionary import tag_of, vr_of
from algorithms.dicom.privacy.objects import FAMILIES, MODALITIES
from algorithms.dicom.privacy.policy import Policy
from algorithms.dicom.privacy.syntax import EXPLICIT, encoded, encoded_items
from algorithms.dicom.privacy.table import Option

IMPLEMENTATION_CLASS_UID = b"2.25.196130207213462373498427512103386912047"
IMPLEMENTATION_VERSION_NAME = b"HEARTWOOD"

PRESENT = {
    "*": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
          "ReferringPhysicianName", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
          "FrameOfReferenceUID", "PositionReferenceIndicator", "Manufacturer", "Modality", "SeriesNumber", "InstanceNumber"),
    "CT": ("AcquisitionNumber", "KVP", "SliceThickness", "PatientPosition"),
    "MR": ("RepetitionTime", "EchoTime", "EchoTrainLength", "ScanOptions", "MRAcquisitionType", "SliceThickness",
           "PatientPosition"),
}  # fmt: skip
"""Type 1 and 2 attributes of the image objects (PS3.3 A.3.3, A.4.3): written even if the input lacks them, the latter empty."""


PRESENT_ANY = tuple(keyword for keyword in PRESENT["*"] if keyword not in {"FrameOfReferenceUID", "PositionReferenceIndicator"})
PRESENT_OTHER = {
    "document": ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence", "ConceptNameCodeSequence"),
    "presentation": ("ContentLabel", "ContentDescription", "PresentationCreationDate", "PresentationCreationTime",
                     "ContentCreatorName"),
    "picture": (),
}  # fmt: skip
"""The same for structured reports (PS3.3 A.35), presentation states (A.33), captures (A.8) and ultrasound (A.6), beside those
of any object."""

FIXED = {"ContentLabel": "REMOVED", "PresentationCreationDate": "19000101", "PresentationCreationTime": "000000"}
"""What stands for attributes that must have a value."""

TITLE = ("LN", "18748-4", "Diagnostic Imaging Report")
"""Title of a report whose own is no code of the standard (PS3.16 CID 7000)."""

PRESENT_ENHANCED = ("AcquisitionContextSequence",)
"""The same for enhanced images, beside those of every image."""


def present(sop_class: str) -> tuple[str, ...]:
    """Return the keywords of attributes that an object must have, if only empty."""
    if FAMILIES[sop_class] in PRESENT_OTHER:
        return PRESENT_ANY + PRESENT_OTHER[FAMILIES[sop_class]]
    more = PRESENT_ENHANCED if FAMILIES[sop_class] == "enhanced" else PRESENT[MODALITIES[sop_class]]
    return PRESENT["*"] + more


def stood_in() -> dict[int, frozenset[str]]:
    """Return the attributes that are written even where no rule lets one through, with their VR."""
    lists = (PRESENT_ENHANCED, *PRESENT.values(), *PRESENT_OTHER.values())
    every = {keyword for keywords in lists for keyword in keywords}
    return {tag: frozenset({vr_of(tag)}) for tag in map(tag_of, every) if tag is not None}


WINDOW = (0x00281050, 0x00281051)
"""WindowCenter and WindowWidth: one without the other means nothing (PS3.3 C.11.2.1.2)."""

BODY_PART, LATERALITY = 0x00180015, 0x00200060
WITH_LATERALITY = frozenset({"image", "presentation", "picture"})
"""Laterality is there, and empty, where no body part says that it is not paired (PS3.3 C.7.3.1); not in every family."""

NEEDED = {
    "reference": frozenset({0x00081150, 0x00081155}),
    "frame_reference": frozenset({0x00081150, 0x00081155}),
    "presented_series": frozenset({0x0020000E, 0x00081140}),
    "graphic_layer": frozenset({0x00700002}),
    "annotation": frozenset({0x00700002, 0x00700009}),
    "graphic_object": frozenset({0x00700005, 0x00700020, 0x00700021, 0x00700022, 0x00700023}),
    "measured": frozenset({0x0040A30A, 0x004008EA}),
    "template": frozenset({0x00080105, 0x0040DB00}),
    "evidence": frozenset({0x0020000D, 0x00081115}),
    "evidence_series": frozenset({0x0020000E, 0x00081199}),
}
"""Attributes without which an item of a set means nothing: class and instance of a reference."""


def meta(sop_class: bytes, uid: bytes) -> bytes:
    """Return preamble and file meta information (PS3.10 7.1)."""
    body = (
        b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
        + encoded(0x00020002, "UI", sop_class)
        + encoded(0x00020003, "UI", uid.rstrip(b"\0"))
        + encoded(0x00020010, "UI", EXPLICIT.encode())
        + encoded(0x00020012, "UI", IMPLEMENTATION_CLASS_UID)
        + encoded(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME)
    )
    return b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<L", len(body)) + body


def marks(policy: Policy) -> dict[int, bytes]:
    """Return the attributes that say what was done (PS3.15 E.1.1, PS3.3 C.7.1.1 and C.12.1)."""
    modified = "MODIFIED" if Option.RETAIN_MODIFIED_DATES in policy.options else "REMOVED"
    if Option.RETAIN_FULL_DATES in policy.options:
        modified = "UNMODIFIED"
    codes = [
        encoded(0x00080100, "SH", code.encode())
        + encoded(0x00080102, "SH", b"DCM")
        + encoded(0x00080104, "LO", meaning.encode())
        for code, meaning in policy.methods()
    ]
    method = "\\".join(meaning[:64] for _, meaning in policy.methods())
    return {
        0x00120062: encoded(0x00120062, "CS", b"YES"),
        0x00120063: encoded(0x00120063, "LO", method.encode()),
        0x00120064: encoded(0x00120064, "SQ", encoded_items(codes)),
        0x00280303: encoded(0x00280303, "CS", modified.encode()),
    }
