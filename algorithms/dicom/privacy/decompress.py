"""Compressed pixels as plain ones: whatever a codestream carries beside its pixels stays behind.

Text can hide in tables that no scan uses, in optional segments and behind the last code, where only a decoder would see that
it means nothing.  So no codestream leaves; GDCM decodes it, in the confined child.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from algorithms.dicom.privacy.pixels import REMEDY, Layout, encapsulated
from algorithms.dicom.privacy.syntax import Refused, encoded

SECONDARY_CAPTURE = b"1.2.840.10008.5.1.4.1.1.7"


def decoded(frame: bytes, transfer_syntax: str, layout: Layout) -> bytes:
    """Return the pixels of one frame, little endian.

    Raises
    ------
    Refused
        If GDCM cannot decode it, or it has another matrix than its header says.
    """
    import SimpleITK

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.dcm")
        path.write_bytes(_file(frame, transfer_syntax, layout))
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        try:
            image: np.ndarray = SimpleITK.GetArrayFromImage(reader.Execute())
        except RuntimeError:
            raise Refused("damaged pixels", f"an image's compressed pixel data cannot be decoded; {REMEDY}") from None
    kind = f"{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}"
    if image.size != layout.rows * layout.columns or image.dtype.kind not in "iu":
        raise Refused("damaged pixels", f"a compressed image does not decode to the matrix that its header states; {REMEDY}")
    return image.astype(f"<{kind}").tobytes()


def _file(frame: bytes, transfer_syntax: str, layout: Layout) -> bytes:
    """Return a DICOM file of the frame and of what a decoder must know, and nothing else."""

    def number(tag: int, value: int) -> bytes:
        return encoded(tag, "US", value.to_bytes(2, "little"))

    meta = (
        encoded(0x00020002, "UI", SECONDARY_CAPTURE) + encoded(0x00020003, "UI", b"2.25.1")
        + encoded(0x00020010, "UI", transfer_syntax.encode())
    )  # fmt: skip
    body = (
        encoded(0x00080016, "UI", SECONDARY_CAPTURE) + encoded(0x00080018, "UI", b"2.25.1") + number(0x00280002, 1)
        + encoded(0x00280004, "CS", b"MONOCHROME2") + number(0x00280010, layout.rows) + number(0x00280011, layout.columns)
        + number(0x00280100, layout.bits_allocated) + number(0x00280101, layout.bits_stored)
        + number(0x00280102, layout.bits_stored - 1) + number(0x00280103, int(layout.signed))
        + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + encapsulated(frame)
    )  # fmt: skip
    return b"\0" * 128 + b"DICM" + encoded(0x00020000, "UL", len(meta).to_bytes(4, "little")) + meta + body
