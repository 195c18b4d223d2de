"""The table is the standard's, and the allow-list keeps nothing that the table forbids."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from algorithms.dicom.privacy.table import EDITION, Option, row, table

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
COLUMNS = {
    "basicProfile": Option.BASIC, "rtnSafePrivOpt": Option.RETAIN_SAFE_PRIVATE, "rtnUIDsOpt": Option.RETAIN_UIDS,
    "rtnDevIdOpt": Option.RETAIN_DEVICE_IDENTITY, "rtnInstIdOpt": Option.RETAIN_INSTITUTION_IDENTITY,
    "rtnPatCharsOpt": Option.RETAIN_PATIENT_CHARACTERISTICS, "rtnLongFullDatesOpt": Option.RETAIN_FULL_DATES,
    "rtnLongModifDatesOpt": Option.RETAIN_MODIFIED_DATES, "cleanDescOpt": Option.CLEAN_DESCRIPTORS,
    "cleanStructContOpt": Option.CLEAN_STRUCTURED_CONTENT, "cleanGraphOpt": Option.CLEAN_GRAPHICS,
}  # fmt: skip


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder with the standard's table")
def test_the_table_is_the_standards():
    """Row by row against the extract of PS3.15 2024e that it was made from."""
    source = json.loads((Path(str(REAL_DATA)) / "ps3_15" / "confidentiality_profile_attributes.json").read_text())
    expected = {}
    for entry in source:
        tag = "private" if entry["tag"].startswith("(GGGG") else entry["tag"].strip("()").replace(",", "").upper()
        expected[tag] = {option: entry[column] for column, option in COLUMNS.items() if column in entry}

    assert {tag: entry.actions for tag, entry in table().items()} == expected
    assert len(expected) == 621


def test_edition_and_number_of_rows():
    """Whoever takes up a newer edition must look at every new row; this test makes him."""
    assert EDITION == "2024e"
    assert len(table()) == 621


@pytest.mark.parametrize("option", [o for o in Option if "PIXEL" not in o.name and "VISUAL" not in o.name])
def test_every_option_of_the_table_says_something(option):
    """Eleven columns; an empty one would mean that it was lost on the way."""
    assert any(option in entry.actions for entry in table().values())


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x00100010, "Patient's Name"),
        (0x60023000, "Overlay Data"),
        (0x50FE1234, "Curve Data"),
        (0x00291010, "Private Attributes"),
    ],
)
def test_a_tag_finds_its_row(tag, name):
    """Repeating groups and private groups have one row for all their tags."""
    found = row(tag)

    assert found is not None
    assert found.name == name


def test_options_carry_the_codes_of_context_group_7050():
    """Against pydicom's copy of CID 7050, which is made from PS3.16."""
    known = {
        code.value: code.meaning for code in (getattr(codes.DCM, name) for name in dir(codes.cid7050) if name[0].isupper())
    }

    for option in Option:
        value, meaning = option.value
        assert known[value] == meaning
