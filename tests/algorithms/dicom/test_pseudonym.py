"""Replacements: the same for the same, another for another, and nothing of the original in them."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from algorithms.dicom.pseudonym import SHIFT_DAYS, dicom_date, digest, replaced_patient, replaced_uid, shift_days, shifted_date

SECRET = bytes(range(32))


def test_the_digest_is_hmac_sha256():
    """Against Python's hmac; the purpose keeps a UID's digest from being a patient's."""
    assert digest(SECRET, "uid", "1.2.3") == hmac.new(SECRET, b"uid\x001.2.3", hashlib.sha256).digest()
    assert digest(SECRET, "uid", "1.2.3") != digest(SECRET, "patient", "1.2.3")


@given(st.text(max_size=80))
def test_a_replaced_uid_is_a_valid_one_whatever_the_input(text):
    """Path characters, newlines, anything: 2.25. and at most 39 digits (PS3.5 B.2)."""
    uid = UID(replaced_uid(SECRET, text))

    assert uid.is_valid
    assert uid.startswith("2.25.")
    assert uid == replaced_uid(SECRET, text)
    assert uid != replaced_uid(bytes(32), text)


@given(st.text(max_size=40))
def test_the_shift_is_in_its_range_and_each_patients_own(patient):
    """Always back, by more than a year, so that no shifted date lies in the future."""
    assert -SHIFT_DAYS[1] <= shift_days(SECRET, patient) <= -SHIFT_DAYS[0]
    assert shift_days(SECRET, patient) == shift_days(SECRET, patient)


def test_shifts_and_pseudonyms_differ_between_patients():
    """1000 patients: pseudonyms never meet (2^50 of them), and shifts spread over their whole range."""
    patients = [f"MRN{n}" for n in range(1000)]

    assert len({replaced_patient(SECRET, patient) for patient in patients}) == 1000
    assert len({shift_days(SECRET, patient) for patient in patients}) > 800


@pytest.mark.parametrize(
    ("text", "day"),
    [("20260228", date(2026, 2, 28)), ("2026.02.28", date(2026, 2, 28)), ("20260228093000.12", date(2026, 2, 28)),
     ("20260230", None), ("26-02-28", None), ("", None), ("٢٠٢٦٠٢٢٨", None), ("Quastenf", None)],
)  # fmt: skip
def test_dates_are_read_strictly(text, day):
    """What is no date is removed, never guessed."""
    assert dicom_date(text) == day


def test_a_shift_keeps_the_distance_over_a_leap_day():
    """28 February to 1 March 2024 are two days, wherever they are moved to."""
    first, second = (dicom_date(shifted_date(text, -1000)) for text in ("20240228", "20240301"))

    assert first is not None
    assert second is not None
    assert (second - first).days == 2
