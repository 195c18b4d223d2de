"""Pixel Data without anything that is no pixel: no comments in codestreams, no spare bits, no trailing bytes.

A codestream can carry text in its application and comment segments, an old overlay can hide in the unused high bits of
raw pixels, and bytes may follow where the image ends.  All of that goes; the pixels' values stay bit for bit.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from algorithms.dicom.privacy.dictionary import tag_of, vr_of
from algorithms.dicom.privacy.syntax import Refused, damaged

RAW = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91))
"""Transfer syntaxes whose pixel data is understood; frames of the last three families are copied without decoding."""

REMEDY = "ask the site to send the series uncompressed"


@dataclass(frozen=True)
class Layout:
    """What the header says of the pixels."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    frames: int = 1
    samples: int = 1
    """Values of a pixel: one grey value, or three colours."""
    planar: bool = False
    """Whether each colour of a frame lies by itself."""


LAYOUT = tuple(tag_of(k) or 0 for k in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation",
                                        "SamplesPerPixel", "NumberOfFrames", "HighBit", "PlanarConfiguration"))  # fmt: skip
"""Attributes that say how pixels lie."""


def layout_of(key: tuple[bytes | None, ...]) -> Layout:
    """Return the layout from encoded elements in the order of `LAYOUT`; the last four may be missing.

    Raises
    ------
    Refused
        If they do not say how pixels lie, or not in the lower bits.
    """
    numbers: list[int | None] = []
    for tag, output in zip(LAYOUT, key, strict=True):
        raw = (output or b"")[8:]
        if vr_of(tag) == "IS":
            numbers.append(int(raw) if raw.strip() else None)
        else:
            numbers.append(struct.unpack("<H", raw)[0] if len(raw) == 2 else None)
    rows, columns, allocated, stored, signed, samples, frames, high, planar = numbers
    if rows is None or columns is None or allocated is None or stored is None or signed is None:
        raise damaged("it does not say how its pixels lie")
    if samples not in {None, 1, 3} or (high is not None and high != stored - 1):
        raise Refused("unknown pixels", "an image's pixels do not lie in the lower bits; send the original series")
    return Layout(rows, columns, allocated, stored, bool(signed), frames or 1, samples or 1, bool(planar) and samples == 3)


def _damage(message: str) -> Refused:
    return Refused("damaged pixels", message)


def cleaned_raw(data: Any, layout: Layout, *, big_endian: bool = False) -> tuple[Any, bool]:
    """Return exactly the pixels of an image, little endian, and whether unused high bits had to be cleared.

    They are a view of ``data`` where they can stay as they are.  A signed value's high bits repeat its sign, an unsigned
    one's are zero (DICOM PS3.5 8.1.1).

    Raises
    ------
    Refused
        If the data is shorter than the image.
    """
    if layout.bits_allocated not in {8, 16} or not 0 < layout.bits_stored <= layout.bits_allocated:
        raise Refused("unknown pixels", f"{layout.bits_allocated} bits a pixel, wanted 8 or 16; send the original CT series")
    wanted = layout.rows * layout.columns * layout.samples * layout.frames * layout.bits_allocated // 8
    if len(data) < wanted:
        raise _damage("an image's pixel data is shorter than its matrix; ask the site to resend the series")
    data = data[:wanted]
    bits, spare = layout.bits_stored, layout.bits_allocated - layout.bits_stored
    kind = f"{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}"
    values = np.frombuffer(data, dtype=(">" if big_endian else "<") + kind)
    if big_endian:
        values = values.astype("<" + kind)
    if spare and values.size:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if layout.signed else (0, (1 << bits) - 1)
        if int(values.max()) > high or (layout.signed and int(values.min()) < low):
            return (values << spare >> spare).tobytes(), True
    return (values.tobytes() if big_endian else data), False


def fragments(value: bytes) -> list[bytes]:
    """Return the pieces of encapsulated Pixel Data, the offset table first (PS3.5 A.4)."""
    found: list[bytes] = []
    start = 0
    while start + 8 <= len(value):
        tag, length = value[start : start + 4], struct.unpack_from("<L", value, start + 4)[0]
        if tag != b"\xfe\xff\x00\xe0" or start + 8 + length > len(value):
            break
        found.append(value[start + 8 : start + 8 + length])
        start += 8 + length
    if start != len(value) or len(found) < 2:
        raise _damage(f"an image's compressed pixel data is cut off or damaged; {REMEDY}")
    return found


def frames_of(value: bytes, frames: int) -> list[bytes]:
    """Return the codestream of each frame, whatever fragments it was cut into.

    Raises
    ------
    Refused
        If the fragments cannot be told apart by frame.
    """
    table, *pieces = fragments(value)
    if frames == 1:
        return [b"".join(pieces)]
    if len(pieces) == frames:
        return pieces
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + 8 + len(piece))
    offsets = list(struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4]))
    if len(offsets) != frames or offsets[0] != 0 or sorted(set(offsets)) != offsets or not set(offsets) <= set(starts[:-1]):
        raise _damage(f"an image's compressed pixel data does not say where its frames begin; {REMEDY}")
    cuts = [starts.index(offset) for offset in offsets] + [len(pieces)]
    return [b"".join(pieces[first:last]) for first, last in pairwise(cuts)]


def encapsulated(frame: bytes) -> bytes:
    """Return the value of Pixel Data for one frame: an empty offset table, one fragment, the delimiter."""
    frame += b"\0" * (len(frame) % 2)
    item = b"\xfe\xff\x00\xe0"
    return item + b"\0\0\0\0" + item + struct.pack("<L", len(frame)) + frame + b"\xfe\xff\xdd\xe0\0\0\0\0"


def cleaned_frames(value: bytes, transfer_syntax: str, layout: Layout) -> tuple[list[bytes], int]:
    """Return the codestreams of all frames without application and comment segments, and how many of those there were."""
    cleaned = [cleaned_codestream(frame, transfer_syntax, layout) for frame in frames_of(value, layout.frames)]
    return [frame for frame, _ in cleaned], sum(segments for _, segments in cleaned)


def decoded_rle(value: bytes, layout: Layout) -> bytes:
    """Return the pixels of RLE frames, little endian: unused bytes of a frame cannot be told from used ones otherwise.

    References
    ----------
    DICOM PS3.5 annex G.
    """
    planes = layout.bits_allocated // 8
    size = layout.rows * layout.columns
    decoded = []
    for frame in frames_of(value, layout.frames):
        if len(frame) < 64 or struct.unpack_from("<L", frame)[0] != planes:
            raise _damage(f"an image's run-length coded pixels are damaged; {REMEDY}")
        offsets = [*struct.unpack_from(f"<{planes}L", frame, 4), len(frame)]
        pixels = np.empty((size, planes), dtype=np.uint8)
        for plane in range(planes):  # the most significant byte comes first
            segment = frame[offsets[plane] : offsets[plane + 1]]
            pixels[:, planes - 1 - plane] = np.frombuffer(_unpacked(segment, size), dtype=np.uint8)
        decoded.append(pixels.tobytes())
    return b"".join(decoded)


def _unpacked(segment: bytes, size: int) -> bytes:
    parts, length, at = [], 0, 0
    while length < size:
        if at + 1 >= len(segment):
            raise _damage(f"an image's run-length coded pixels are cut off; {REMEDY}")
        control = segment[at]
        if control < 128:
            part = segment[at + 1 : at + 2 + control]
            at += 2 + control
        elif control > 128:
            part = segment[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
            continue
        parts.append(part)
        length += len(part)
    unpacked = b"".join(parts)
    if length != size:
        raise _damage(f"an image's run-length coded pixels do not fill its matrix; {REMEDY}")
    return unpacked


def cleaned_codestream(frame: bytes, transfer_syntax: str, layout: Layout) -> tuple[bytes, int]:
    """Return the codestream without application and comment segments, and how many there were.

    Raises
    ------
    Refused
        If its structure is not understood, or its matrix is not the header's.
    """
    try:
        if transfer_syntax in JPEG_2000:
            return _cleaned_jpeg_2000(frame, layout)
        if transfer_syntax in JPEG | JPEG_LS:
            return _cleaned_jpeg(frame, layout, lossless_scans=transfer_syntax in JPEG_LS)
    except (struct.error, IndexError):
        raise _damage(f"an image's compressed pixel data is cut off or damaged; {REMEDY}") from None
    raise Refused("unknown compression", f"an image's compression is not known here; {REMEDY}")


JPEG_KEPT = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, 0xF7, 0xF8})
"""Frame headers, Huffman and arithmetic tables, quantisation, lines, restart interval, JPEG-LS frame and parameters."""

JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers (ITU-T T.81 table B.1, T.87 for 0xF7)."""


def _cleaned_jpeg(frame: bytes, layout: Layout, *, lossless_scans: bool) -> tuple[bytes, int]:
    # In a JPEG-LS scan a byte 0xFF is followed by a zero bit, in a JPEG scan by a zero byte or a restart marker.
    scan_end = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]" if lossless_scans else rb"\xff[\x01-\xcf\xd8-\xfe]")
    if frame[:2] != b"\xff\xd8":
        raise _damage(f"an image's compressed pixel data is no JPEG codestream; {REMEDY}")
    kept, dropped, at = [frame[:2]], 0, 2
    while True:
        if frame[at] != 0xFF:
            raise _damage(f"an image's compressed pixel data is damaged; {REMEDY}")
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            return b"".join([*kept, b"\xff\xd9"]), dropped
        end = at + 2 + struct.unpack_from(">H", frame, at + 2)[0]
        if marker == 0xFE or 0xE0 <= marker <= 0xEF:
            dropped += 1
        elif marker == 0xDA:
            found = scan_end.search(frame, end)
            if found is None:
                raise _damage(f"an image's compressed pixel data is cut off; {REMEDY}")
            end = found.start()
            kept.append(frame[at:end])
        elif marker in JPEG_KEPT:
            if marker in JPEG_FRAMES:
                _require_matrix(struct.unpack_from(">HH", frame, at + 5), layout)
            kept.append(frame[at:end])
        else:
            raise _damage(f"an image's compressed pixel data holds an unknown segment; {REMEDY}")
        at = end


def _require_matrix(matrix: tuple[int, ...], layout: Layout) -> None:
    if matrix != (layout.rows, layout.columns):
        raise _damage(f"a compressed image is {matrix[0]} x {matrix[1]} and its header says otherwise; {REMEDY}")


J2K_MAIN = frozenset({0x51, 0x52, 0x53, 0x55, 0x57, 0x58, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61, 0x63, 0x64})
"""Segments of JPEG 2000 headers (ITU-T T.800 table A.2): SIZ COD COC TLM PLM PLT QCD QCC RGN POC PPM PPT CRG COM."""


def _cleaned_jpeg_2000(frame: bytes, layout: Layout) -> tuple[bytes, int]:
    """Blank comments in place: their length counts in tile-part lengths elsewhere in the codestream."""
    if frame[:2] != b"\xff\x4f":
        raise _damage(f"an image's compressed pixel data is no JPEG 2000 codestream; {REMEDY}")
    clean, blanked, at, tile_end = bytearray(frame), 0, 2, 0
    while True:
        if frame[at] != 0xFF:
            raise _damage(f"an image's compressed pixel data is damaged; {REMEDY}")
        marker = frame[at + 1]
        if marker == 0xD9:
            return bytes(clean[: at + 2]), blanked
        if marker == 0x93:
            at = tile_end
            continue
        length = struct.unpack_from(">H", frame, at + 2)[0]
        if marker == 0x90:
            part = struct.unpack_from(">L", frame, at + 6)[0]
            tile_end = at + part if part else frame.rindex(b"\xff\xd9")
            if not at + 12 < tile_end <= len(frame) - 2:
                raise _damage(f"an image's compressed pixel data is cut off; {REMEDY}")
        elif marker == 0x64:
            clean[at + 6 : at + 2 + length] = b" " * (length - 4)
            blanked += 1
        elif marker == 0x51:
            right, bottom, left, top = struct.unpack_from(">4L", frame, at + 6)
            _require_matrix((bottom - top, right - left), layout)
        elif marker not in J2K_MAIN:
            raise _damage(f"an image's compressed pixel data holds an unknown segment; {REMEDY}")
        at += 2 + length
