"""The reader finds every element that pydicom finds, and refuses what is built to hurt it."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from algorithms.dicom.privacy.syntax import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Reader,
    Readers,
    Refused,
    Span,
    encoded,
    read,
)

TAGS = (0x00081030, 0x00100010, 0x00181020, 0x00204000, 0x00280010, 0x00291010, 0x00400275, 0x30060020)
SIMPLE = {"LO": "some text", "US": 7, "OB": b"\1\2\3\4", "UT": "long", "FD": 1.5, "DS": "1.25"}

datasets = st.recursive(
    st.dictionaries(st.sampled_from(TAGS), st.sampled_from(sorted(SIMPLE)), max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(TAGS), st.one_of(st.sampled_from(sorted(SIMPLE)), st.lists(inner, max_size=3)), max_size=5
    ),
    max_leaves=12,
)


def built(plan: dict, undefined: bool) -> Dataset:
    dataset = Dataset()
    for tag, what in plan.items():
        if isinstance(what, str):
            dataset.add(DataElement(tag, what, SIMPLE[what]))
            continue
        items = [built(inner, undefined) for inner in what]
        for item in items:
            item.is_undefined_length_sequence_item = undefined
        element = DataElement(tag, "SQ", Sequence(items))
        element.is_undefined_length = undefined
        dataset.add(element)
    return dataset


def file_of(dataset: Dataset, syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.file_meta = meta
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def nested(data: bytes, spans: list[Span], reader: Reader, depth: int = 0) -> list:
    found: list = []
    for span in spans:
        inside = reader.datasets(data, span, depth)
        if inside is None:
            found.append(span[0])
        else:
            inner, items = inside
            found.append((span[0], [nested(data, item, inner, depth + 1) for item in items]))
    return found


def taken_apart(data: bytes) -> list:
    file = read(data, Readers())
    return nested(file.data, file.spans, file.reader)


def expected(dataset: Dataset) -> list:
    return [
        (int(e.tag), [expected(item) for item in e.value]) if e.VR == "SQ" else int(e.tag)
        for e in dataset
    ]  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=datasets, undefined=st.booleans(), syntax=st.sampled_from([EXPLICIT, BIG_ENDIAN, DEFLATED]))
def test_every_element_that_was_written_is_found(plan, undefined, syntax):
    """Written by pydicom in each encoding that tells its VRs, with lengths and without."""
    dataset = built(plan, undefined)

    file = read(file_of(dataset, syntax), Readers())

    assert nested(file.data, file.spans, file.reader) == expected(dataset)
    assert file.behind(file.spans[-1][5] if file.spans else file.start) == b""


def test_implicit_vr_takes_its_vrs_from_the_dictionary():
    """Sequences, private ones of undefined length too, which no dictionary knows (PS3.5 6.2.2)."""
    dataset = built({0x00081030: "LO", 0x00400275: [{0x00100010: "LO"}], 0x00291010: [{0x00100010: "LO"}]}, True)

    file = read(file_of(dataset, IMPLICIT), Readers())

    assert nested(file.data, file.spans, file.reader) == [
        0x00081030,
        (0x00291010, [[0x00100010]]),
        (0x00400275, [[0x00100010]]),
    ]
    assert [span[1] for span in file.spans] == ["LO", "UN", "SQ"]


def test_a_sequence_coded_un_is_looked_into():
    """Whoever did not know the attribute wrote UN; inside it is Implicit VR Little Endian (PS3.5 6.2.2 note 2)."""
    inner = struct.pack("<HHL", 0x0010, 0x0010, 4) + b"Anna"
    value = b"\xfe\xff\0\xe0" + struct.pack("<L", len(inner)) + inner
    data = file_of(Dataset(), EXPLICIT) + encoded(0x00091001, "UN", value)

    file = read(data, Readers())

    assert nested(file.data, file.spans, file.reader) == [(0x00091001, [[0x00100010]])]


def explicit(body: bytes) -> bytes:
    return file_of(Dataset(), EXPLICIT) + body


DEEP = b"".join(b"\x40\0\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" for _ in range(2000))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"", "not DICOM", id="0 bytes"),
        pytest.param(b"\0" * 132 + b"no", "not DICOM", id="no DICM"),
        pytest.param(b"\0" * 128 + b"DICM", "damaged", id="no meta"),
        pytest.param(explicit(b"\x08\0\x60\0CS\x10\0CT"), "damaged", id="truncated"),
        pytest.param(explicit(b"\x08\0\x60\0ZZ\x02\0CT"), "damaged", id="unknown VR"),
        pytest.param(explicit(b"\x08\0\x60\0OB\0\0\xf0\xff\xff\xffCT"), "damaged", id="huge length"),
        pytest.param(explicit(b"\x08\0\x60\0CS"), "damaged", id="half a head"),
        pytest.param(explicit(b"\xfe\xff\0\xe0\0\0\0\0"), "damaged", id="item outside a sequence"),
        pytest.param(explicit(b"\x08\0\x60\0OB\0\0\xff\xff\xff\xffCT"), "damaged", id="undefined length of bytes"),
        pytest.param(explicit(DEEP), "nested too deeply", id="2000 sequences deep"),
        pytest.param(
            explicit(encoded(0x00400275, "SQ", b"\xfe\xff\0\xe0\xff\0\0\0")), "damaged", id="item longer than its sequence"
        ),
    ],
)
def test_what_breaks_the_standard_is_refused(data, kind):
    """With a kind to count it by; inside a sequence that is looked into, when it is looked into."""
    with pytest.raises(Refused) as refusal:
        taken_apart(data)

    assert refusal.value.kind == kind


def test_a_deflate_bomb_stops_at_its_limit():
    """A file of 0.3 MB that would grow to 300 MB; it may take 256 MiB, and is refused."""
    meta = file_of(Dataset(), DEFLATED)
    start = 132 + 12 + struct.unpack_from("<L", meta, 140)[0]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 300 + packer.flush()

    with pytest.raises(Refused, match="inflates to more than 256 MiB"):
        read(meta[:start] + bomb, Readers())


def test_bytes_behind_the_pixels_belong_to_nothing():
    """They are told apart from the data set, so that they can be searched for and left out."""
    pixels = encoded(0x7FE00010, "OW", bytes(8))

    file = read(explicit(pixels + b"a letter"), Readers())

    assert [span[0] for span in file.spans] == [0x7FE00010]
    assert file.behind(file.spans[-1][5]) == b"a letter"
