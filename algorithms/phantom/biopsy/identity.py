"""Who the slides name: an invented person, and everything a scanner writes about him and the laboratory into a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

GIVEN = (
    "Anselm",
    "Bartolo",
    "Casimir",
    "Dagobert",
    "Evander",
    "Florentin",
    "Gaspard",
    "Hadrian",
    "Isidor",
    "Jolyon",
    "Leander",
    "Odilo",
)
FAMILY = (
    "Quillfeather",
    "Brandwijk",
    "Ostrowane",
    "Vellacott",
    "Thistlemoor",
    "Zaunreiter",
    "Marchbanks",
    "Ildefonsen",
    "Greyhollow",
)
STAFF = ("r.pemberly", "k.aldersgate", "m.oyelaran", "s.winterbourne")
PLACES = ("St Corvin Hospital", "Klinikum Altenried", "Lakeside Urology Pavilion")


@dataclass(frozen=True)
class Identity:
    """An invented man and the place that scanned his slides.

    Attributes
    ----------
    patient_name, birth_date, hospital_number, accession_number
        As on the label of the slide.
    hospital, user, scan_date, scan_time, scanner_serial
        As the scanner writes them.
    """

    patient_name: str
    birth_date: str
    hospital_number: str
    accession_number: str
    hospital: str
    user: str
    scan_date: str
    scan_time: str
    scanner_serial: str

    def file_stem(self, slide: int) -> str:
        """Return the name that the laboratory gave the file of a slide."""
        family, _, given = self.patient_name.partition(", ")
        return f"{family.upper()}_{given.upper()}_{self.accession_number}_{slide}"

    @property
    def date_time(self) -> str:
        """When the slide was scanned, as TIFF writes it."""
        month, day, year = self.scan_date.split("/")
        return f"20{year}:{month}:{day} {self.scan_time}"

    def planted(self, slides: int) -> dict[str, list[str]]:
        """Return every identifying value that is written into the files, by kind."""
        values = {name: [value] for name, value in asdict(self).items()}
        family, _, given = self.patient_name.partition(", ")
        values["name_parts"] = [family, given, family.upper(), given.upper()]
        values["file_name"] = [self.file_stem(slide) for slide in range(1, slides + 1)]
        values["date_time"] = [self.date_time]
        values["barcode"] = [f"{self.accession_number}-A{slide}" for slide in range(1, slides + 1)]
        return values


def invent(rng: np.random.Generator, age_years: float) -> Identity:
    """Return an invented identity of a man of that age; no such person, hospital or scanner is known to us."""

    def number(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    year = number(2021, 2025)
    return Identity(
        patient_name=f"{FAMILY[number(0, len(FAMILY))]}, {GIVEN[number(0, len(GIVEN))]}",
        birth_date=f"{year - int(age_years) - 1}-{number(1, 13):02d}-{number(1, 29):02d}",
        hospital_number=f"HN{number(10**7, 10**8)}",
        accession_number=f"B{year % 100}-{number(10000, 100000)}",
        hospital=PLACES[number(0, len(PLACES))],
        user=STAFF[number(0, len(STAFF))],
        scan_date=f"{number(1, 13):02d}/{number(1, 29):02d}/{year % 100:02d}",
        scan_time=f"{number(7, 19):02d}:{number(0, 60):02d}:{number(0, 60):02d}",
        scanner_serial=f"SS{number(10000, 100000)}",
    )
