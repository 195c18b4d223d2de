"""Codestreams without comments, and pixels without anything between or behind them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from algorithms.contract.errors import DataError
from algorithms.dicom.hounsfield import read_headers, read_hounsfield, series_grid
from algorithms.dicom.privacy.pixels import Layout, cleaned_codestream, cleaned_raw, encapsulated, frames_of
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import deidentified

WORD = b"Quastenflosser"
LAYOUT = Layout(rows=32, columns=48, bits_allocated=16, bits_stored=16, signed=True)
J2K, JPEG, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"
PIXELS = np.random.default_rng(2).integers(-1000, 1500, (32, 48)).astype(np.int16)


def compressed(tmp_path: Path, compressor: str) -> bytes:
    """Return the frame that GDCM makes of `PIXELS`, lossless."""
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "x.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(SimpleITK.GetImageFromArray(PIXELS[None]))
    return frames_of(pydicom.dcmread(tmp_path / "x.dcm").PixelData, 1)[0]


def with_segment(frame: bytes, marker: int, at: int) -> bytes:
    return frame[:at] + bytes([0xFF, marker]) + (len(WORD) + 4).to_bytes(2, "big") + b"\0\1" + WORD + frame[at:]


def after_siz(frame: bytes) -> int:
    return 4 + int.from_bytes(frame[4:6], "big")


@pytest.mark.parametrize(
    ("compressor", "syntax", "segments"),
    [pytest.param("JPEG", JPEG, (0xFE, 0xE1, 0xEF), id="jpeg"), pytest.param("JPEG2000", J2K, (0x64,), id="jpeg 2000")],
)
def test_text_in_a_codestream_is_gone_and_the_pixels_are_the_same(tmp_path, compressor, syntax, segments):
    """A comment, an application segment and bytes behind the end; the image decodes to the pixels that were compressed."""
    frame = compressed(tmp_path, compressor)
    for marker in segments:
        frame = with_segment(frame, marker, after_siz(frame) if syntax == J2K else 2)

    clean, removed = cleaned_codestream(frame + WORD, syntax, LAYOUT)

    assert frame.count(WORD) == len(segments)
    assert removed >= len(segments)
    assert WORD not in clean
    np.testing.assert_array_equal(decoded(tmp_path, clean, syntax), PIXELS)


def decoded(tmp_path: Path, frame: bytes, syntax: str) -> np.ndarray:
    """Read as the volume stage does: files that de-identification wrote."""
    folder = tmp_path / "dicom"
    folder.mkdir()
    for number in (1, 2):
        dataset = image(PIXELS, number)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 1
        dataset.RescaleIntercept = 0
        dataset.PixelData = pydicom.encaps.encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        clean, _ = deidentified(buffer.getvalue())
        (folder / f"{number}.dcm").write_bytes(clean)
    headers = read_headers(folder)
    return read_hounsfield(folder, headers, series_grid(headers))[0]


def test_a_comment_between_jpeg_scans_is_removed():
    """Structure only: two scans, each with escaped bytes, a restart marker, and text between them."""
    head = b"\xff\xd8" + b"\xff\xc3\x00\x0b\x10" + b"\x00\x20\x00\x30" + b"\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00" + b"\x12\xff\x00\x34\xff\xd0\x56"

    clean, removed = cleaned_codestream(with_segment(head + scan, 0xFE, len(head + scan)) + scan + b"\xff\xd9", JPEG, LAYOUT)

    assert removed == 1
    assert clean == head + scan + scan + b"\xff\xd9"


def test_a_jpeg_ls_scan_is_told_by_its_zero_bit():
    """In JPEG-LS the byte after 0xFF has its high bit clear and any other bits: 0xFF 0x7F is data (ITU-T T.87 A.1)."""
    head = b"\xff\xd8" + b"\xff\xf7\x00\x0b\x10" + b"\x00\x20\x00\x30" + b"\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + b"\x12\xff\x7f\x34\xff\x01\x56"

    clean, removed = cleaned_codestream(with_segment(head, 0xE8, 2) + scan + b"\xff\xd9" + WORD, JPEG_LS, LAYOUT)

    assert removed == 1
    assert clean == head + scan + b"\xff\xd9"


@pytest.mark.parametrize(
    ("damage", "syntax", "found"),
    [
        pytest.param(lambda f: f[: len(f) // 2], "JPEG", "cut off", id="jpeg cut off"),
        pytest.param(lambda f: f[: len(f) // 2], "JPEG2000", "cut off", id="jpeg 2000 cut off"),
        pytest.param(lambda f: b"not a codestream", "JPEG", "no JPEG codestream", id="no jpeg"),
        pytest.param(lambda f: b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000", "no JPEG 2000 codestream", id="jp2 file"),
        pytest.param(lambda f: with_segment(f, 0xB0, 2), "JPEG", "unknown segment", id="reserved marker"),
    ],
)
def test_a_codestream_that_is_not_understood_is_refused(tmp_path, damage, syntax, found):
    """What is not understood could hold anything."""
    frame = damage(compressed(tmp_path, syntax))

    with pytest.raises(DataError, match=found) as failure:
        cleaned_codestream(frame, JPEG if syntax == "JPEG" else J2K, LAYOUT)

    assert "send the series uncompressed" in str(failure.value)


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG", JPEG), ("JPEG2000", J2K)])
def test_a_matrix_other_than_the_headers_is_refused(tmp_path, compressor, syntax):
    """A codestream of 60000 x 60000 behind a header of 512 x 512 is a bomb for the decoder."""
    with pytest.raises(DataError, match="a compressed image is 32 x 48 and its header says otherwise"):
        cleaned_codestream(compressed(tmp_path, compressor), syntax, Layout(512, 512, 16, 16, True))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.201", "1.2.3"])
def test_unknown_compression_is_refused(syntax):
    """MPEG-2, high-throughput JPEG 2000, and one that does not exist."""
    with pytest.raises(DataError, match="compression is not known here"):
        cleaned_codestream(b"\xff\x4f", syntax, LAYOUT)


def test_fragments_are_joined_and_written_as_one():
    """An encoder may split a frame anywhere; the offset table is rebuilt empty."""
    item = b"\xfe\xff\x00\xe0"
    value = item + b"\4\0\0\0" + b"\0\0\0\0" + item + b"\2\0\0\0ab" + item + b"\4\0\0\0cdef"

    assert frames_of(value, 1) == [b"abcdef"]
    assert encapsulated(b"abcde") == item + b"\0\0\0\0" + item + b"\6\0\0\0abcde\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_frames_are_told_apart_by_the_offset_table():
    """Two frames in three fragments: the table says that the second frame begins at the third fragment (PS3.5 A.4)."""
    item = b"\xfe\xff\x00\xe0"
    table = (0).to_bytes(4, "little") + (20).to_bytes(4, "little")
    value = item + b"\x08\0\0\0" + table + item + b"\2\0\0\0ab" + item + b"\2\0\0\0cd" + item + b"\2\0\0\0ef"

    assert frames_of(value, 2) == [b"abcd", b"ef"]


def test_frames_that_nothing_tells_apart_are_refused():
    """Three fragments, two frames and no table: each cut would be a guess."""
    item = b"\xfe\xff\x00\xe0"
    value = item + b"\0\0\0\0" + (item + b"\2\0\0\0ab") * 3

    with pytest.raises(DataError, match="does not say where its frames begin"):
        frames_of(value, 2)


@pytest.mark.parametrize(
    ("stored", "bits", "signed", "clean"),
    [
        pytest.param(0x8123, 12, False, 0x0123, id="unsigned"),
        pytest.param(0x0FFF, 12, True, 0xFFFF, id="sign extended"),
        pytest.param(0xF7FF, 12, True, 0x07FF, id="sign cleared"),
        pytest.param(0x8123, 16, False, 0x8123, id="all bits used"),
    ],
)
def test_bits_above_the_stored_ones_follow_the_standard(stored, bits, signed, clean):
    """PS3.5 8.1.1: the value of a pixel is in its stored bits alone; the rest repeats the sign or is zero."""
    data = np.full(4, stored, dtype="<u2").tobytes()

    cleaned, changed = cleaned_raw(data, Layout(2, 2, 16, bits, signed))

    assert np.frombuffer(cleaned, "<u2").tolist() == [clean] * 4
    assert changed == (stored != clean)


def test_run_length_encoding_leaves_as_plain_pixels():
    """The unused bytes of an RLE frame cannot be told from its used ones without decoding it."""
    dataset = image(PIXELS, 7)
    dataset.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom")
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)

    clean = pydicom.dcmread(BytesIO(deidentified(buffer.getvalue())[0]))

    assert clean.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert clean.PixelData == image(PIXELS, 7).PixelData
