"""The eighteen identifiers of 45 CFR 164.514(b)(2)(i), each planted where DICOM has it, and the page that lists them."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from pydicom.config import disable_value_validation

from algorithms.dicom.privacy.policy import SCHEMA, policy_of
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import deidentified

PAGE = Path(__file__).resolve().parents[4] / "docs" / "privacy.md"
PIXELS = np.full((16, 16), 40, dtype=np.int16)

PLANTED = {
    "A": {"PatientName": "Kormoran^Edda", "PatientMotherBirthName": "Haubentaucher", "OtherPatientNames": "Kranich^E"},
    "B": {"PatientAddress": "Moorweg 12, 26721 Emden", "RegionOfResidence": "Ostfriesland", "InstitutionAddress": "Moorweg 13"},
    "C": {"PatientBirthDate": "19340229", "AdmittingDate": "20260311", "PatientAge": "091Y"},
    "D": {"PatientTelephoneNumbers": "04921 555 0173", "PersonTelephoneNumbers": "04921 555 0174"},
    "E": {"PatientTelecomInformation": "fax 04921 555 0175"},
    "F": {"ImageComments": "edda.kormoran@example.org"},
    "G": {"OtherPatientIDs": "123-45-6789", "PatientComments": "SSN 123-45-6789"},
    "H": {"PatientID": "MRN8812345", "AccessionNumber": "ACC7713"},
    "I": {"PatientInsurancePlanCodeSequence": None, "AdditionalPatientHistory": "beneficiary 5550199887"},
    "J": {"AdmissionID": "ACCOUNT-99120"},
    "K": {"MedicalAlerts": "licence B072RRE2I55"},
    "L": {"PatientState": "drives EMD KO 777"},
    "M": {"DeviceSerialNumber": "SN4477112", "DeviceUID": "1.2.3.4.5.999", "DetectorID": "DET-3344", "StationName": "CTBAY7"},
    "N": {"RetrieveURL": "https://pacs.example.org/kormoran"},
    "O": {"StudyComments": "sent from 192.0.2.77"},
    "P": {"AllergiesText": None, "PatientBreedDescription": "fingerprint FP-99001-LOOP"},
    "R": {
        "StudyInstanceUID": "1.3.6.1.4.1.99999.88.1",
        "RequestedProcedureID": "RP-20260311-7",
        "ProtocolName": "Edda-Spezial",
    },
}
"""By letter of the paragraph: attributes and invented values; Q is refused, see below."""


def cleaned(values: dict[str, str | None], **others: object) -> bytes:
    dataset, buffer = image(PIXELS, 7), BytesIO()
    with disable_value_validation():
        for keyword, value in {**values, **others}.items():
            if value is not None:
                setattr(dataset, keyword, value)
        dataset.save_as(buffer, enforce_file_format=True)
    planted = buffer.getvalue()
    assert all(str(value).encode() in planted for value in values.values() if value is not None)
    return deidentified(planted)[0]


@pytest.mark.parametrize("letter", sorted(PLANTED))
def test_an_identifier_of_safe_harbor_is_gone(letter):
    """Whole and in parts of four characters or more, in any case of letters; an age above 89 becomes 90."""
    clean = cleaned(PLANTED[letter])

    for value in PLANTED[letter].values():
        for part in re.split(r"[\^ ,@]+", value or ""):
            assert len(part) < 4 or part.lower().encode() not in clean.lower(), part
    assert letter != "C" or pydicom.dcmread(BytesIO(clean)).PatientAge == "090Y"


def test_a_picture_of_a_face_is_refused():
    """(Q): an image that says that somebody can be recognised in it, and photographs."""
    with pytest.raises(Refused, match="can be recognised"):
        cleaned({}, RecognizableVisualFeatures="YES")
    with pytest.raises(Refused, match="no original CT image"):
        cleaned({}, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.4")


def test_the_page_maps_all_eighteen():
    """A to R, each in one row of the table."""
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \([A-R]\)", line)]

    letters = [letter for row in rows for letter in re.findall(r"\(([A-R])\)", row.split("|")[1])]
    assert letters == list("ABCDEFGHIJKLMNOPQR")


def test_the_page_shows_a_policy_that_works_and_names_every_option():
    """A reader copies it."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    offered = yaml.safe_load(SCHEMA.read_text())["properties"]["options"]["items"]["enum"]

    assert len(policy_of(yaml.safe_load(shown)).options) == 6
    assert all(f"`{option}`" in PAGE.read_text() for option in offered)
