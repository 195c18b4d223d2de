"""Rules for values that only images of many frames have: types of frames, pointers to attributes, moments."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from algorithms.dicom.privacy.dictionary import label_of
from algorithms.dicom.privacy.objects import TEXT_TYPES
from algorithms.dicom.privacy.syntax import Refused
from algorithms.dicom.pseudonym import dicom_date

if TYPE_CHECKING:
    from algorithms.dicom.privacy.policy import Rule
    from algorithms.dicom.privacy.values import Value

OTHER = "OTHER"
"""Stands for a value that is not on the list, where those behind it must keep their places."""

MOMENT = re.compile(r"\d{8}(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?([+-]\d{4})?")


def in_place(rule: Rule, value: Value) -> bytes | None:
    """Return the values with ``OTHER`` for each that is not on the rule's list."""
    parts = [part.strip(" \0").upper() for part in value.text().split("\\")]
    if parts == [""] or len(parts) > 8:
        return None
    return "\\".join(part if part in rule.terms else OTHER for part in parts).encode()


def frame_type(rule: Rule, value: Value) -> bytes | None:
    """Return the type of a frame, as `in_place` does.

    Raises
    ------
    Refused
        If the frame may show text.
    """
    parts = [part.strip(" \0").upper() for part in value.text().split("\\")]
    kind = next((TEXT_TYPES[part] for part in parts if part in TEXT_TYPES), "")
    if not kind and "SECONDARY" in parts[:2]:
        kind = "derived image"
    if kind:
        raise Refused(kind, f"a frame is no original image but {kind}, which may show text; send the axial series")
    return in_place(rule, value)


def pointer(_: Rule, value: Value) -> bytes | None:
    """Return the tag of an attribute of the standard, in little endian order."""
    if len(value.raw) != 4:
        return None
    group, number = struct.unpack(value.order + "HH", value.raw)
    known = label_of(group << 16 | number) not in {"private", "unknown", "overlay", "curve"}
    return struct.pack("<HH", group, number) if known else None


def moment_kept(_: Rule, value: Value) -> bytes | None:
    """Return a date with its time as it is."""
    text = value.text()
    return text.encode() if MOMENT.fullmatch(text) and dicom_date(text) else None
