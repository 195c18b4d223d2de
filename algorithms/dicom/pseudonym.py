"""Keyed replacements for what identifies: UIDs, the patient's identifier, the dates' shift.

All are HMAC-SHA256 (RFC 2104) under the site's secret: the same input gives the same replacement in every study of the site,
and without the secret nothing can be computed back or forth.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from datetime import date, timedelta
from uuid import UUID

SHIFT_DAYS = (366, 3653)
"""Dates move back by one to ten years, so that no shifted date lies in the future and none stays in its year."""

PATIENT = re.compile(r"HW[A-Z2-7]{10}")
"""What `replaced_patient` makes."""


def digest(secret: bytes, purpose: str, value: str) -> bytes:
    """Return the 32-byte HMAC of ``value`` for one ``purpose``; purposes keep the replacements independent."""
    return hmac.digest(secret, f"{purpose}\0{value}".encode(), "sha256")


def replaced_uid(secret: bytes, uid: str) -> str:
    """Return the UID that stands for ``uid``: 2.25. and a UUID as one number (DICOM PS3.5 B.2)."""
    return f"2.25.{UUID(bytes=digest(secret, 'uid', uid)[:16], version=4).int}"


def replaced_patient(secret: bytes, patient: str) -> str:
    """Return the pseudonym of ``patient``, 50 bits in 10 letters and digits."""
    return f"HW{b32encode(digest(secret, 'patient', patient)).decode()[:10]}"


def shift_days(secret: bytes, patient: str) -> int:
    """Return by how many days every date of ``patient`` moves; negative."""
    low, high = SHIFT_DAYS
    return -(low + int.from_bytes(digest(secret, "date", patient)[:8], "big") % (high - low + 1))


def dicom_date(text: str) -> date | None:
    """Return the date of a DA value (also in ACR-NEMA's spelling with dots), or the day of a DT value; else ``None``."""
    digits = text.strip(" \0").replace(".", "")[:8] if text.count(".") == 2 else text.strip(" \0")[:8]
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def shifted_date(text: str, days: int) -> str:
    """Return the DA value moved by ``days``, or an empty text where ``text`` is no date."""
    day = dicom_date(text)
    try:
        return "" if day is None else (day + timedelta(days=days)).strftime("%Y%m%d")
    except OverflowError:
        return ""
