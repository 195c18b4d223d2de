"""Whose images they are: what a patient is known by at the site, and what stands for it outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from algorithms.dicom.pseudonym import replaced_patient, shift_days


@dataclass(frozen=True)
class Subject:
    """Whose images these are; ``study`` stands in for study and series identifiers that the images lack."""

    secret: bytes = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)

    @property
    def days(self) -> int:
        """Return the shift of this patient's dates."""
        return shift_days(self.secret, self.patient)

    @property
    def pseudonym(self) -> str:
        """Return what stands for this patient's name and identifier."""
        return replaced_patient(self.secret, self.patient)


def patient_key(identifiers: Iterable[str], others: Iterable[str], studies: Iterable[str]) -> str:
    """Return what one patient is known by at the site.

    Parameters
    ----------
    identifiers
        Values of PatientID; the first in order counts.
    others
        Names and birth dates, which stand in where there is no identifier.
    studies
        Values of StudyInstanceUID, where there is neither.
    """
    known = sorted(set(identifiers) - {""})
    return known[0] if known else "\n".join(sorted((set(others) - {""}) or set(studies)))
