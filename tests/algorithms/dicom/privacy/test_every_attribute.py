"""Every attribute of the dictionary, with letters in it, in the items of enhanced images, reports and presentation states."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import pytest
from pydicom.config import disable_value_validation
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset

from algorithms.dicom.privacy.syntax import LONG_VRS, Refused
from tests.algorithms.dicom.privacy.cleaning import deidentified
from tests.algorithms.dicom.privacy.drawings import drawing, shape
from tests.algorithms.dicom.privacy.multiframe import ENHANCED_MR, enhanced, file_of
from tests.algorithms.dicom.privacy.reports import everything, report

POLICY = {
    "version": 1, "words": ["plaque"],
    "options": ["retain_modified_dates", "retain_patient_characteristics", "clean_structured_content", "clean_graphics"],
}  # fmt: skip
WORD = b"xanthippemirabellazwo"
NUMBERS = {"US", "SS", "UL", "SL", "FL", "FD", "UV", "SV", "AT"}
MARK = b"@@@@"
HEAD = re.compile(rb"(....)OB\0\0....@@@@([A-Z]{2})(xanthippemirabellazwo!|xanthippemirabel)", re.DOTALL)
STRUCTURE = {"ReferencedSOPClassUID", "ValueType", "RelationshipType", "CodeValue", "CodingSchemeDesignator",
             "SpecificCharacterSet"}  # fmt: skip
"""Attributes without which an item is none: it goes, and would hide what the others do."""


def items_of(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for one in element.value:
                yield one
                yield from items_of(one)


def planted(dataset: Dataset, item: Dataset) -> bytes:
    """Return the file with letters in every attribute of the dictionary that the item has not."""
    for one in [dataset, *items_of(dataset)]:
        one.is_undefined_length_sequence_item = True
        for element in one:
            if element.VR == "SQ":
                element.is_undefined_length = True
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        kind = vr[:2]
        if tag not in item and 8 <= tag >> 16 < 0xFFFE and keyword not in STRUCTURE and kind not in {"SQ", "NO"}:
            raw = WORD[: len(WORD) // 8 * 8] if kind in NUMBERS else WORD
            item.add_new(tag, "OB", MARK + kind.encode() + raw + b"!" * (len(raw) % 2))
    return HEAD.sub(_with_own_vr, file_of(dataset))


def _with_own_vr(found: re.Match[bytes]) -> bytes:
    """Return the element with the VR it should have: what writes files here refuses to write letters as numbers."""
    tag, vr, raw = found.groups()
    length = len(raw)
    return tag + vr + (struct.pack("<HL", 0, length) if vr in LONG_VRS else struct.pack("<H", length)) + raw


def kinds() -> dict[str, FileDataset]:
    return {
        "CT": enhanced(1), "MR": enhanced(1, ENHANCED_MR), "report": report(*everything()),
        "drawing": drawing(shape("POLYLINE", [1.0, 2.0, 3.0, 4.0]), texts=("plaque",)),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["CT", "MR", "report", "drawing"])
def test_letters_in_any_attribute_of_any_item_go(kind):
    """One item after the other, so that one that is refused or goes hides no other."""
    count = len(list(items_of(kinds()[kind])))
    left = []
    for number in range(count):
        dataset = kinds()[kind]
        with disable_value_validation():
            content = planted(dataset, list(items_of(dataset))[number])
        try:
            clean = deidentified(content, policy=POLICY)[0].lower()
        except Refused:
            continue
        left += [(number, part) for part in (WORD[:6], WORD[5:11], WORD[10:16], WORD[15:21], b"zwo") if part in clean]

    assert count > 8
    assert left == []
