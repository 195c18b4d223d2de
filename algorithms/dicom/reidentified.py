"""A result object as it was before its study was de-identified: filed under the patient and the original study.

Objects of our own making alone come here.  Pseudonymous UIDs become the original ones; UIDs that the result has made itself
become others, by a keyed hash, so that the copy in the archive and the pseudonymous one are never one object with two
contents.  Dates move back by as many days as the study's did.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity
from algorithms.dicom.pseudonym import dicom_date, digest, replaced_uid

STANDARD_ROOT = "1.2.840.10008."
"""Root of the UIDs that DICOM itself assigns (PS3.6 annex A): they identify nobody."""

MARKS = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip
"""What says that an object was de-identified; it no longer is."""

FILED_BY = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
            "ReferringPhysicianName")  # fmt: skip
"""Attributes that become those of the original, and empty where it had none."""

TAKEN_OVER = ("IssuerOfPatientID", "PatientSex", "StudyDescription")
"""Attributes that are added where the original had them."""

UTF_8 = "ISO_IR 192"


def reidentify(dataset: Dataset, identity: Identity, own: Collection[str], secret: bytes) -> None:
    """Change a result object into that of the patient.

    Parameters
    ----------
    dataset
        The object, changed in place.
    identity
        Of the case.
    own
        SOPInstanceUIDs of the case's result objects, which may refer to each other.
    secret
        Of the home: the same object gets the same UID every time.

    Raises
    ------
    DataError
        If the object is of another study, or refers to an object that the case does not know.
    """
    if str(dataset.StudyInstanceUID) not in identity.uids:
        raise DataError("a result object is of another study than the case; name the results of this case")
    days = _days(str(dataset.get("StudyDate") or ""), identity.attributes.get("StudyDate", ""))
    dataset.walk(lambda _, element: _restore(element, identity.uids, own, days, secret), recursive=True)
    for keyword in MARKS:
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.SpecificCharacterSet = UTF_8
    for keyword in FILED_BY:
        setattr(dataset, keyword, identity.attributes.get(keyword, ""))
    for keyword in TAKEN_OVER:
        if keyword in identity.attributes:
            setattr(dataset, keyword, identity.attributes[keyword])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def filed_uid(uid: str, secret: bytes) -> str:
    """Return the UID in the archive of what the result calls ``uid``."""
    return replaced_uid(digest(secret, "reidentified", ""), uid)


def _restore(element: DataElement, uids: Mapping[str, str], own: Collection[str], days: int, secret: bytes) -> None:
    if element.VR == "UI":
        values = [element.value] if element.VM == 1 else list(element.value or [])
        restored = [_uid(str(value), element.keyword, uids, own, secret) for value in values]
        element.value = restored[0] if len(restored) == 1 else restored
    elif element.VR in {"DA", "DT"} and element.value and element.VM == 1:
        element.value = _moved(str(element.value), days)


def _uid(uid: str, keyword: str, uids: Mapping[str, str], own: Collection[str], secret: bytes) -> str:
    if not uid or uid.startswith(STANDARD_ROOT):
        return uid
    if uid in uids:
        return uids[uid]
    if keyword == "ReferencedSOPInstanceUID" and uid not in own:
        raise DataError("a result object refers to an image that the case does not know; name the results of this case")
    return filed_uid(uid, secret)


def _days(shifted: str, original: str) -> int:
    before, after = dicom_date(shifted), dicom_date(original)
    return 0 if before is None or after is None else (after - before).days


def _moved(text: str, days: int) -> str:
    """Return a DA or DT value moved by ``days``; what follows the day stays."""
    day = dicom_date(text)
    return text if day is None else (day + timedelta(days=days)).strftime("%Y%m%d") + text[8:]
