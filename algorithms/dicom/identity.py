"""What must be remembered of a study so that its results can be filed under the patient again.

Headers are read in a confined child process, as everything that a site sends.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity
from algorithms.dicom.confinement import Confinement
from algorithms.dicom.headers import PARSE_ERRORS, silent_parsing
from algorithms.dicom.pseudonym import replaced_uid

ATTRIBUTES = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip
"""Attributes of patient and study by which an archive files an object (PS3.3 C.7.1.1, C.7.2.1)."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
"""UIDs that results refer to."""


def identity_of(folder: Path, names: Sequence[str], secret: bytes) -> Identity:
    """Return the identity of the study whose files ``names`` lie in ``folder``; ``secret`` makes the pseudonymous UIDs.

    An attribute that not all files agree on has the value that most of them have.

    Raises
    ------
    DataError
        If a file cannot be read, or there is none.
    """
    read: list[Mapping[str, str]] = []
    with Confinement() as confinement:
        for answer in confinement.map("algorithms.dicom.identity:read_identity", str(folder), list(names)):
            if answer.failure or answer.value is None:
                raise DataError(f"one of {len(names)} files cannot be read; receive the study again")
            read.append(answer.value)
    identity = gathered(read, secret)
    if not identity.uids:
        raise DataError("the study has no file of which anything could be remembered; receive it again")
    return identity


def gathered(read: Sequence[Mapping[str, str]], secret: bytes) -> Identity:
    """Return the identity of a study from the attributes and UIDs of its files, by keyword; what is empty is not known."""
    attributes = {}
    for keyword in ATTRIBUTES:
        if counts := Counter(values[keyword] for values in read if values.get(keyword)):
            attributes[keyword] = counts.most_common(1)[0][0]
    uids = {values[keyword] for values in read for keyword in UIDS if values.get(keyword)}
    return Identity(attributes, {replaced_uid(secret, uid): uid for uid in sorted(uids)})


def remembered(inputs: Mapping[str, Path]) -> Identity:
    """Return the identity of the series that a case has chosen, from the inputs of the stage that takes it out."""
    secret = bytes.fromhex(inputs["secret"].read_text().strip())
    return identity_of(inputs["study"], json.loads(inputs["selection"].read_text())["instances"], secret)


def read_identity(folder: str, name: str) -> dict[str, str] | None:
    """Return the attributes and UIDs of one file as text, ``None`` where it cannot be read; for the child process."""
    import pydicom

    with silent_parsing():
        try:
            dataset = pydicom.dcmread(Path(folder, name), stop_before_pixels=True, specific_tags=[*ATTRIBUTES, *UIDS])
            return {keyword: str(dataset.get(keyword) or "").strip(" \0") for keyword in (*ATTRIBUTES, *UIDS)}
        except (*PARSE_ERRORS, pydicom.errors.InvalidDicomError):
            return None
