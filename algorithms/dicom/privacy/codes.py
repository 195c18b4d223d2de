"""Coded concepts of the standard: a code that is known passes with the meaning that the standard gives it, any other goes.

A code's meaning is free text, a code of an unknown scheme may be a number of the hospital, and a code of a known scheme that
no list holds may be anything.  The lists are pydicom's, which are made from PS3.16; they are read when a code is first met,
because that takes a second.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from algorithms.dicom.privacy.syntax import encoded

LONGEST_CODE = 16
"""Characters of CodeValue; a longer one stands in LongCodeValue (PS3.3 8.1)."""

OLD_SNOMED = ("SRT", "SNM3", "99SDM")
"""Designators of SNOMED codes as they were before they became numbers (PS3.16 8.1)."""

UNIT = re.compile(
    r"1|%|\[hnsf'U\]|\[ppth\]|\[arb'U\]|mm\[Hg\]|/min|/s|10\*-?\d|"
    r"(?:[munpkMGdch]?(?:m|g|s|L|l|Gy|Sv|Hz|V|A|W|J|T|Bq|Pa|eV|mol|N|Ohm|C|F)|min|h|d|wk|mo|a|deg|rad|Cel|cps|B|dB)-?[1-4]?"
)
MOST_UNITS = 4
"""A unit of the Unified Code: atoms that measurements of images have, without its free text in braces, and how many at most."""


@cache
def _known() -> dict[tuple[str, str], str]:
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    by_scheme: dict[str, Any] = concepts
    found = {
        (scheme, code): str(entry[0])
        for scheme, by_keyword in by_scheme.items()
        for by_code in by_keyword.values()
        for code, entry in by_code.items()
    }
    for old, new in mapping["SRT"].items():
        if (meaning := found.get(("SCT", new))) is not None:
            found |= {(scheme, old): meaning for scheme in OLD_SNOMED}
    return found


def meaning_of(scheme: str, code: str, own: Mapping[tuple[str, str], str]) -> str | None:
    """Return the meaning that a code has by the standard or by the site's ``own`` list; ``None`` where it is unknown."""
    found = own.get((scheme, code)) or _known().get((scheme, code))
    if found is None and scheme == "UCUM" and _is_unit(code):
        return code
    return found


def _is_unit(code: str) -> bool:
    parts = re.split(r"(?<=.)[./]", code)
    return len(code) <= LONGEST_CODE and len(parts) <= MOST_UNITS and all(UNIT.fullmatch(part) for part in parts)


def encoded_code(scheme: str, code: str, meaning: str) -> dict[int, bytes]:
    """Return the elements of a coded entry by tag (PS3.3 table 8.8-1)."""
    plain = unicodedata.normalize("NFKD", meaning).encode("ascii", "ignore")
    value = (0x00080100, "SH") if len(code) <= LONGEST_CODE else (0x00080119, "UC")
    return {
        value[0]: encoded(*value, code.encode()),
        0x00080102: encoded(0x00080102, "SH", scheme.encode()),
        0x00080104: encoded(0x00080104, "LO", plain[:64].rstrip()),
    }
