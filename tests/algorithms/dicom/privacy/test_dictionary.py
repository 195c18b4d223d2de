"""The dictionary is that of the standard."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

from algorithms.dicom.privacy.dictionary import label_of, sop_classes, tag_of, vr_of


def test_the_dictionary_is_the_standards():
    """Against pydicom's, which is made from PS3.6; where that offers a choice, the first VR counts."""
    expected = {tag: (entry[0].split(" or ")[0], entry[4]) for tag, entry in DicomDictionary.items() if entry[4]}
    expected = {tag: entry for tag, entry in expected.items() if tag >> 16 != 0xFFFE}

    assert {tag: (vr_of(tag) if tag & 0xFFFF else vr, label_of(tag)) for tag, (vr, _) in expected.items()} == expected
    assert all(tag_of(keyword) == tag for tag, (_, keyword) in expected.items())
    assert sop_classes() == {uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"}


@pytest.mark.parametrize(
    ("tag", "vr", "label"),
    [(0x00290010, "LO", "private"), (0x00291001, "UN", "private"), (0x60023000, "OW", "overlay"), (0x50003000, "UN", "curve"),
     (0x00080000, "UL", "unknown"), (0x00081234, "UN", "unknown")],
)  # fmt: skip
def test_what_the_dictionary_does_not_list(tag, vr, label):
    """Private creators, repeating groups, group lengths (PS3.5 7.8, 7.6, 7.2)."""
    assert (vr_of(tag), label_of(tag)) == (vr, label)
