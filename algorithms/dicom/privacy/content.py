"""Items of a structured report: each is rebuilt by its value type and its concept, or goes with all that hangs on it.

A concept must be a known code, because a name of a concept is free text otherwise.  Names of persons and references by
position go, texts keep the words of the site's policy, dates only of concepts that are no date of a person's life.
References: DICOM PS3.3 C.17.3, PS3.16 TID 1007 for the subject's own characteristics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CONTENT_SEQUENCE, CONCEPT, VALUE_TYPE, RELATIONSHIP = 0x0040A730, 0x0040A043, 0x0040A040, 0x0040A010
CODE, TEXT, DATE, TIME, DATETIME, UID = 0x0040A168, 0x0040A160, 0x0040A121, 0x0040A122, 0x0040A120, 0x0040A124
MEASURED, QUALIFIER, REFERENCED = 0x0040A300, 0x0040A301, 0x00081199
GRAPHIC_DATA, GRAPHIC_TYPE, ORIGIN, FRAME_OF_REFERENCE = 0x00700022, 0x00700023, 0x00480301, 0x30060024
CONTINUITY, TEMPLATE = 0x0040A050, 0x0040A504
UNITS, NUMBER = 0x004008EA, 0x0040A30A

COMMON = frozenset({RELATIONSHIP, VALUE_TYPE, CONCEPT, CONTENT_SEQUENCE, 0x0040A171, 0x0040A032})
"""Attributes of every item: relationship, type, concept, what hangs on it, UID and moment of the observation."""

NEEDED: Mapping[str, frozenset[int]] = {
    "CONTAINER": frozenset(), "TEXT": frozenset({TEXT}), "NUM": frozenset({MEASURED}), "CODE": frozenset({CODE}),
    "DATE": frozenset({DATE}), "TIME": frozenset({TIME}), "DATETIME": frozenset({DATETIME}), "UIDREF": frozenset({UID}),
    "IMAGE": frozenset({REFERENCED}), "COMPOSITE": frozenset({REFERENCED}), "WAVEFORM": frozenset({REFERENCED}),
    "SCOORD": frozenset({GRAPHIC_DATA, GRAPHIC_TYPE}),
    "SCOORD3D": frozenset({GRAPHIC_DATA, GRAPHIC_TYPE, FRAME_OF_REFERENCE}),
}  # fmt: skip
"""What an item of each value type must have to mean anything; other types do not pass."""

MORE: Mapping[str, frozenset[int]] = {
    "CONTAINER": frozenset({CONTINUITY, TEMPLATE}), "NUM": frozenset({QUALIFIER}), "SCOORD": frozenset({ORIGIN}),
}  # fmt: skip
"""What it may have beside that."""

NAMELESS = frozenset({"CONTAINER", "IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D"})
"""Types that may go without a concept (PS3.3 table C.17-5)."""

OF_THE_PATIENT = re.compile(r"\b(age|sex|gender|race|ethnic\w*|height|weight|body mass|pregnan\w*)\b", re.IGNORECASE)
"""Meanings of concepts that Table E.1-1 lets stay with the option Retain Patient Characteristics only."""

MOMENTS = frozenset(
    ("DCM", code)
    for code in ("111018", "111019", "111060", "111061", "111469", "111526", "111527", "111702", "113723", "113809", "113810",
                 "121125", "122105", "122146", "122712", "123003", "123004", "126201", "126202")
)  # fmt: skip
"""Concepts of dates and times of examinations (PS3.16 annex D); dates of birth, death, ovulation and the like are no such."""

YEARS = {"a": 1.0, "mo": 12.0, "wk": 52.18, "d": 365.25}
"""Units of ages in one year."""

OLDEST_YEARS = 89


def admitted(kind: str, concept: tuple[str, str, str] | None, named: bool, *, characteristics: bool) -> frozenset[int]:
    """Return the tags that an item may have; none if it may not be there at all.

    Parameters
    ----------
    kind
        Its value type.
    concept
        Scheme, code and meaning of its concept, if that is known.
    named
        Whether it has a concept at all, known or not.
    characteristics
        Whether characteristics of the patient may stay.
    """
    if kind not in NEEDED or (concept is None and kind not in NAMELESS):
        return frozenset()
    if concept is not None and not characteristics and OF_THE_PATIENT.search(concept[2]):
        return frozenset()
    if kind in {"DATE", "TIME", "DATETIME"} and (concept is None or concept[:2] not in MOMENTS):
        return frozenset()
    common = COMMON - {CONCEPT} if named and concept is None else COMMON
    return common | NEEDED[kind] | MORE.get(kind, frozenset())


def is_old_age(number: bytes, unit: str) -> bool:
    """Return whether a decimal string in days, weeks, months or years may be an age above the oldest group."""
    if unit not in YEARS:
        return False
    try:
        return not abs(float(number.strip(b" \0"))) / YEARS[unit] < OLDEST_YEARS + 1
    except ValueError:
        return True
