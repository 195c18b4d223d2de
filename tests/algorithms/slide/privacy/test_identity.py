"""Who is told apart by a slide's text, and who is not."""

from __future__ import annotations

import pytest

from algorithms.contract.errors import DataError
from algorithms.slide.privacy.identity import marks, require_one_patient
from tests.algorithms.slide.aperio_slide import PERSON, Slide, describe

SECRET = bytes.fromhex("ab" * 32)


def told_apart(*texts: str) -> str:
    """Return the message for slides with these texts, or an empty one where they may be one patient's."""
    try:
        require_one_patient([marks([text], SECRET) for text in texts])
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("|PatientID = 1234|", "|PatientID = 1235|", "of 2 patients by their identifiers"),
        ("|Patient ID = 1234|", "|MRN = 99|", "of 2 patients by their identifiers"),
        ("|Patient = Doe, John|", "|Patient = Roe, Richard|", "2 patient names"),
        ('{"patientName": "Doe"}', '{"patientName": "Roe"}', "2 patient names"),
        ("<PatientBirthDate>19510327</PatientBirthDate>", "<PatientBirthDate>19510328<", "2 patient birth dates"),
        ('<case accession="S1"/>', '<case accession="S2"/>', "2 case numbers"),
        ("|Case ID = 17|", "|Case ID = 18|", "2 case numbers"),
        ("|Filename = S24-018833 A1|", "|Filename = S24-018834 A1|", "2 accession numbers"),
        ("|Barcode = SP-22-123456;A;1|", "|Barcode = SP-22-123457;A;1|", "2 accession numbers"),
        ("Slide of patient: Doe", "Slide of patient: Roe", "2 patient names"),
        ("|MRN = 1|PatientID = 2|", "|MRN = 3|PatientID = 4|", "of 2 patients"),
    ],
)
def test_two_patients_are_told_apart(one, other, message):
    """By identifier, name, birth date, case or accession, however a system writes the field."""
    assert message in told_apart(one, other)
    assert "wanted one" in told_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("|PatientID = 001234|", "|PatientID = 1234|"),
        ("|Patient = DOE^JOHN|", "|Patient Name = John Doe|"),
        ("|DOB = 1951-03-27|", "|DOB = 03/27/1951|"),
        ("|DOB = 19510327|", "|DOB = 27.3.1951|"),
        ("|PatientID = 1234|", "|Title = core 2|"),
        ("|PatientID = 1234|", "|PatientID = unknown|"),
        ("|Patient = n/a|", "|Patient = Doe|"),
        ("|MRN = 1|PatientID = 2|", "|PatientID = 2|"),
        ("|Barcode = 1|ImageID = 7|Filename = a|Title = x|", "|Barcode = 2|ImageID = 8|Filename = b|Title = y|"),
        ("|Date = 11/23/24|User = a|ScanScope ID = 1|", "|Date = 11/24/24|User = b|ScanScope ID = 2|"),
        ("|Filename = S24-018833 A1|", "|Barcode = S24-18833 B2|"),
        ("|PatientID = 9|Case = 17|", "|PatientID = 9|Case = 18|"),
        ("|Upper case = yes|", "|Upper case = no|"),
        ("", ""),
    ],
)
def test_one_patient_is_not_told_apart(one, other):
    """Spelling, slides of one patient with other barcodes, two visits of a known patient, and slides that say nothing."""
    assert told_apart(one, other) == ""


def test_real_descriptions_of_one_person_agree_and_of_two_do_not():
    """The whole text as a scanner writes it."""
    other = PERSON | {"barcode": "BC1", "image_id": "5", "date": "11/24/24"}
    stranger = other | {"mrn": "HX-1"}
    texts = [describe(Slide(person=person), 300, 200) for person in (PERSON, other, stranger)]

    assert told_apart(texts[0], texts[1]) == ""
    assert "2 patients" in told_apart(*texts)


def test_marks_tell_nothing_without_the_secret():
    """Hashes under a key: the same under the same, others under another, and no value in them."""
    text = describe(Slide(), 300, 200)

    assert marks([text], SECRET) == marks([text], SECRET)
    assert marks([text], SECRET)["name"].isdisjoint(marks([text], bytes(32))["name"])
    assert PERSON["mrn"].lower() not in str(marks([text], SECRET)).lower()


def test_a_long_text_is_looked_at_in_bounded_time():
    """A megabyte of what a careless pattern would try in endless ways."""
    assert marks(["a " * 2**19, "patient id " * 10**5, "=" * 10**6], SECRET) == {}
