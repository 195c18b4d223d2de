"""Instance and study are found in every encoding, and nothing that was made up does harm."""

from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from algorithms.contract.errors import DataError
from edge.head import MAX_INFLATED_BYTES, Head, head_of, of_file
from tests.edge.images import image

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def nested(undefined: bool) -> Dataset:
    """Return an image with decoys before its UIDs: the same attributes inside sequences, with either kind of length."""
    data = image("1.2.3", 7)
    decoy = Dataset()
    decoy.SOPInstanceUID, decoy.StudyInstanceUID, decoy.NumberOfStudyRelatedInstances = "9.9", "9.8", 97
    inner, outer = Dataset(), Dataset()
    inner.ReferencedImageSequence = Sequence([decoy])
    outer.ReferencedStudySequence = Sequence([inner, decoy])
    data.ReferencedStudySequence = Sequence([outer, decoy])
    data.add_new(0x0019_0010, "LO", "A MAKER")
    data.add_new(0x0019_1001, "SQ", Sequence([decoy]))
    for owner in (data, outer, inner):
        for element in owner:
            if element.VR == "SQ":
                element.is_undefined_length = undefined
    decoy.is_undefined_length_sequence_item = undefined
    outer.is_undefined_length_sequence_item = undefined
    data.NumberOfStudyRelatedInstances = 300
    return data


def encoded(data: Dataset, syntax: str) -> bytes:
    """Return a Part 10 file."""
    data.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_the_head_is_that_of_the_data_set_and_not_of_its_sequences(tmp_path, syntax, undefined):
    """What pydicom writes, our reader walks over."""
    data = nested(undefined)
    path = tmp_path / "a.dcm"
    path.write_bytes(encoded(data, syntax))

    head, found, start = of_file(path)

    assert Head(data.SOPInstanceUID, "1.2.3", 300) == head
    assert syntax == found
    assert head == head_of(path.read_bytes()[start:], syntax)


def test_an_unknown_sequence_of_undefined_length_holds_implicit_elements():
    """PS3.5 6.2.2 note 4: in an explicit data set too; an element read as explicit there would be walked over wrongly."""
    uid = b"1.2"
    inner = b"\x08\x00\x18\x00" + (4).to_bytes(4, "little") + b"9.9\0"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
    unknown = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    first = b"\x08\x00\x18\x00UI\x04\x00" + uid + b"\0"
    last = b"\x20\x00\x0d\x00UI\x04\x00" + b"4.5\0"

    assert Head("1.2", "4.5", None) == head_of(first + unknown + last, ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x08\x00\x18\x00UI\x04\x001.2\0", id="no study"),
        pytest.param(b"\x08\x00\x18\x00UI\x06\x00../../\x20\x00\x0d\x00UI\x04\x001.2\0", id="a path for a UID"),
        pytest.param(b"\x08\x00\x18\x00UN\0\0\xfe\xff\xff\xff1.2", id="a length of 4 GiB"),
    ],
)
def test_what_names_no_instance_and_study_is_refused(content):
    """The sender is told, and no value is repeated."""
    with pytest.raises(DataError, match="names no SOP instance"):
        head_of(content, ExplicitVRLittleEndian)


def test_of_a_deflate_bomb_only_the_beginning_is_inflated(monkeypatch):
    """A gigabyte of zeros takes a megabyte to send; the search for the head ends where that of a header would."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(b"\x08\x00\x00\x10OB\0\0\x00\x00\x00\x40") + b"".join(
        deflate.compress(bytes(2**20)) for _ in range(64)
    )
    inflated = []
    real = zlib.decompressobj

    class Measured:
        def __init__(self, window: int) -> None:
            self.real = real(window)

        def decompress(self, content: bytes, limit: int) -> bytes:
            inflated.append(len(found := self.real.decompress(content, limit)))
            return found

    monkeypatch.setattr(zlib, "decompressobj", Measured)

    with pytest.raises(DataError):
        head_of(bomb + deflate.flush(), DeflatedExplicitVRLittleEndian)
    assert [MAX_INFLATED_BYTES] == inflated


WHOLE = encoded(nested(True), ExplicitVRLittleEndian)[132:]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*map(str, SYNTAXES), "1.2.3"]), st.integers(0, len(WHOLE)), st.binary(max_size=40))
def test_damage_ends_in_an_answer_or_a_refusal(syntax, place, damage):
    """Whatever arrives, the listener goes on."""
    content = WHOLE[:place] + damage + WHOLE[place + len(damage) :]

    try:
        head = head_of(content, syntax)
    except DataError:
        return
    assert set(head.SOPInstanceUID + head.StudyInstanceUID) <= set("0123456789.")
