"""What every output has whatever the input says: file meta information, the marks of de-identification, required attributes."""

from __future__ import annotations

import struct

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


BODY_PART, LATERALITY = 0x00180015, 0x00200060
"""Laterality is there, and empty, where no body part says that it is not paired (PS3.3 C.7.3.1)."""

WINDOW = (0x00281050, 0x00281051)
"""WindowCenter and WindowWidth: one without the other means nothing (PS3.3 C.11.2.1.2)."""

NEEDED = {"reference": frozenset({0x00081150, 0x00081155})}
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
