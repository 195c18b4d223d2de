"""Whose slides these are: what their text says of a patient and an examination, compared as keyed hashes.

A slide's text is written by scanners, laboratory systems and people, each in a way of its own, so that only what says what it
is counts: a field called like a patient's identifier, name or birth date, or like a case or accession number, and a number of
the form in which laboratories write accessions (S22-12345).  Barcode, title, file name and image number differ from slide to
slide of one patient and tell nobody apart by themselves.  Two slides are compared only in what both of them say.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from algorithms.contract.errors import DataError

Marks = Mapping[str, frozenset[str]]
"""Hashes of what a slide says, by kind."""

MOST_TEXT = 2**20
"""Characters of a text that are looked at."""

KINDS: dict[str, tuple[str, ...]] = {
    "identifier": (
        "patientid", "patientidentifier", "patientnumber", "patientno", "patientmrn", "patmrn", "mrn", "medicalrecordnumber",
        "medicalrecordno", "hospitalnumber", "hospitalno", "nhsnumber", "nhsno", "ssn", "socialsecuritynumber", "subjectid",
        "personid", "pid", "patid",
    ),
    "name": ("patientname", "patientfullname", "patient", "nameofpatient", "patname", "subjectname"),
    "birth date": ("patientbirthdate", "patientdob", "dob", "birthdate", "dateofbirth", "patientdateofbirth"),
    "case number": (
        "case", "caseid", "casenumber", "caseno", "caseaccession", "accession", "accessionnumber", "accessionno", "accessionid",
        "accno", "specimenaccession", "labnumber", "labno", "surgicalnumber", "requestnumber",
    ),
}  # fmt: skip
"""Names of fields, in small letters without anything between."""

NAMES = {name: kind for kind, names in KINDS.items() for name in names}
WHOLE = frozenset({"case", "pid"})
"""Words that count only as a whole name (``Upper case = no``)."""

PATIENT = ("identifier", "name", "birth date")
ACCESSION = "accession in its text"

NOBODY = frozenset(
    ("", "0", "none", "na", "nan", "null", "unknown", "anonymous", "anon", "anonymized", "deidentified", "removed", "test", "x",
     "xx", "xxx", "undefined", "notavailable", "notapplicable", "tbd")
)  # fmt: skip
"""What programs write where they know nothing, in small letters without anything between."""

FIELD = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]{1,15}(?:[ _.-]{1,2}[A-Za-z0-9]{1,15}){0,3})"
    r"[\"']?\s{0,4}[:=>]\s{0,4}[\"']?([^|\r\n;<>\"\0]{1,128})"
)
"""``Patient ID = 4``, ``"PatientID": "4"``, ``PatientID="4"``, ``<PatientID>4<``."""

ACCESSION_NUMBER = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,4}[- ]?(?:\d{2}|(?:19|20)\d{2}))-(?=\d{3})0*(\d{1,7})(?![0-9])")
"""Letters, year, dash, running number: the form of surgical pathology accessions (as S22-12345; part and block follow)."""


def marks(texts: Iterable[str], secret: bytes) -> dict[str, frozenset[str]]:
    """Return keyed hashes (HMAC-SHA256) of what the texts of one slide say of patient and case, by kind."""
    found: dict[str, set[str]] = {}
    for text in texts:
        for match in FIELD.finditer(text[:MOST_TEXT]):
            kind = _kind(match[1])
            value = "" if kind is None else FORMS[kind](match[2])
            if kind is not None and value not in NOBODY:
                found.setdefault(kind, set()).add(_hash(secret, kind, value))
        for match in ACCESSION_NUMBER.finditer(text[:MOST_TEXT]):
            found.setdefault(ACCESSION, set()).add(_hash(secret, ACCESSION, f"{_letters(match[1])} {match[2]}"))
    return {kind: frozenset(hashes) for kind, hashes in found.items()}


def require_one_patient(slides: Sequence[Marks]) -> None:
    """Raise `DataError` if the slides say that they are of more than one patient or case; says how many, never who."""
    counts = {kind: _different(slides, kind) for kind in (*KINDS, ACCESSION)}
    remedy = "wanted one; send the slides of one patient's one biopsy alone"
    if counts["identifier"] > 1:
        raise DataError(f"the slides are of {counts['identifier']} patients by their identifiers, {remedy}")
    for kind in ("name", "birth date"):
        if counts[kind] > 1:
            raise DataError(f"the slides carry {counts[kind]} patient {kind}s, {remedy}, or correct the record at the archive")
    # Two case numbers of a patient who is known to be one are two visits, or two systems; of unknown patients they are two.
    for kind in ("case number", ACCESSION):
        if counts[kind] > 1 and not _known_as_one(slides, kind):
            name = "case numbers" if kind == "case number" else "accession numbers in their text"
            raise DataError(f"the slides carry {counts[kind]} {name} and nothing says that the patient is one, {remedy}")


def _different(slides: Sequence[Marks], kind: str) -> int:
    """Return how many different values the slides have; a slide with several values agrees with any that shares one."""
    groups: list[set[str]] = []
    for slide in slides:
        values = set(slide.get(kind, ()))
        if not values:
            continue
        touching = [group for group in groups if group & values]
        groups = [group for group in groups if not group & values]
        groups.append(values.union(*touching))
    return len(groups)


def _known_as_one(slides: Sequence[Marks], kind: str) -> bool:
    numbered = [slide for slide in slides if slide.get(kind)]
    return any(all(slide.get(person) for slide in numbered) for person in PATIENT if _different(slides, person) == 1)


def _kind(key: str) -> str | None:
    """Return what a field is, by its name or the last words of it (``Slide of patient``)."""
    words = re.split(r"[ _.-]+", key)
    endings = (_letters("".join(words[start:])) for start in range(len(words)))
    return next((NAMES[e] for n, e in enumerate(endings) if e in NAMES and (n == 0 or e not in WHOLE)), None)


def _hash(secret: bytes, kind: str, value: str) -> str:
    return hmac.new(secret, f"slide {kind}\0{value}".encode(), hashlib.sha256).hexdigest()


def _letters(text: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(character for character in plain.casefold() if character.isalnum())


def _number(text: str) -> str:
    return _letters(text).lstrip("0")


def _name(text: str) -> str:
    """Return the words of a name in order of the alphabet: DOE^JOHN, Doe, John and John Doe are one."""
    words = sorted(filter(None, (_letters(word) for word in re.split(r"[\s^,._-]+", text))))
    return "".join(word for word in words if word not in {"mr", "dr"})


def _date(text: str) -> str:
    """Return the numbers of a date in order: years first or last, with or without zeros, are one."""
    numbers = re.findall(r"\d+", text)
    if len(numbers) == 1 and len(numbers[0]) == 8:
        numbers = [numbers[0][:4], numbers[0][4:6], numbers[0][6:]]
    return " ".join(sorted(number.lstrip("0") for number in numbers[:3]))


FORMS: dict[str, Callable[[str], str]] = {"identifier": _number, "name": _name, "birth date": _date, "case number": _number}
"""How a value of each kind is written in one way before it is hashed."""
