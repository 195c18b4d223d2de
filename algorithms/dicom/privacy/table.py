"""What the standard asks: PS3.15 Table E.1-1 (edition 2024e) as data, and the options of the profile.

The table says what *must* go; what *may* stay is said by an allow-list (`attributes.tsv`), and a test holds one against the
other.  Attributes that a later edition added to the table are not on the allow-list either, so they go too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

EDITION = "2024e"
"""Edition of PS3.15 that the table was made from."""

TABLE = Path(__file__).with_name("table.tsv")

STRICTNESS = {"K": 0, "C": 1, "U": 2, "D": 2, "Z": 2, "X": 3}
"""Actions from keep to remove: one may stand in for a weaker one.  The standard's Z allows a dummy value, as D does."""


class Option(Enum):
    """Options of the profile (PS3.15 E.3), named as the table's columns; the value is the code in CID 7050 and its meaning.

    The two that are about pixels have no column.
    """

    BASIC = ("113100", "Basic Application Confidentiality Profile")
    CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = ("113102", "Clean Recognizable Visual Features Option")
    CLEAN_GRAPHICS = ("113103", "Clean Graphics Option")
    CLEAN_STRUCTURED_CONTENT = ("113104", "Clean Structured Content Option")
    CLEAN_DESCRIPTORS = ("113105", "Clean Descriptors Option")
    RETAIN_FULL_DATES = ("113106", "Retain Longitudinal Temporal Information Full Dates Option")
    RETAIN_MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
    RETAIN_PATIENT_CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
    RETAIN_DEVICE_IDENTITY = ("113109", "Retain Device Identity Option")
    RETAIN_UIDS = ("113110", "Retain UIDs Option")
    RETAIN_SAFE_PRIVATE = ("113111", "Retain Safe Private Option")
    RETAIN_INSTITUTION_IDENTITY = ("113112", "Retain Institution Identity Option")


@dataclass(frozen=True)
class Row:
    """One attribute of the table: ``actions`` by option; an option that does not speak of it is missing."""

    tag: str
    name: str
    actions: dict[Option, str]

    def least_action(self, options: frozenset[Option]) -> str:
        """Return the weakest single action that the table allows under ``options``.

        An option's K or C overrides the basic profile; a choice such as ``X/Z/D`` allows each of its letters.
        """
        chosen = [self.actions[o] for o in options if o is not Option.BASIC and o in self.actions]
        letters = chosen or self.actions[Option.BASIC].replace("*", "").split("/")
        return min(letters, key=STRICTNESS.__getitem__)


@cache
def table() -> dict[str, Row]:
    """Return the table by tag (eight hexadecimal digits, ``X`` for any digit, or ``private``)."""
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    columns = [Option[name.upper()] for name in lines[0].split("\t")[2:]]
    rows: dict[str, Row] = {}
    for line in lines[1:]:
        tag, name, *actions = line.split("\t")
        rows[tag] = Row(tag, name, {option: action for option, action in zip(columns, actions, strict=True) if action})
    return rows


def row(tag: int) -> Row | None:
    """Return the table's row for ``tag``, or ``None`` where the table does not speak of it."""
    if (tag >> 16) % 2:
        return table()["private"]
    text = f"{tag:08X}"
    return table().get(text) or table().get(f"{text[:2]}XX{text[4:]}") or table().get(f"{text[:2]}XXXXXX")
