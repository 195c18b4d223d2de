"""Which instance and study an encoded data set is of, read from its first elements without decoding the rest.

Only top-level elements up to (0020,1208) are looked at; sequences before them are walked over by their lengths or delimiters.
Nothing here allocates what a length field claims, and of a deflated data set only the beginning is inflated.

References
----------
DICOM PS3.5 sections 7.1 (elements), 7.5 (sequences), 6.2.2 note 4 (UN), annex A (transfer syntaxes); PS3.10 section 7.1.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from algorithms.contract.errors import DataError

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer syntaxes whose whole data set is deflated: Deflated Explicit VR, and the two of JPIP with deflate."""

MEDIA_STORAGE_SOP_CLASS_UID = 0x0002_0002
SOP_INSTANCE_UID = 0x0008_0018
STUDY_INSTANCE_UID = 0x0020_000D
NUMBER_OF_STUDY_RELATED_INSTANCES = 0x0020_1208
ITEM, ITEM_END, SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
UNDEFINED = 0xFFFF_FFFF

LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a length of four bytes behind two reserved ones (PS3.5 table 7.1-1)."""

MAX_INFLATED_BYTES = 2**20
"""Of a deflated data set so much is inflated: a header has some ten thousand bytes, a bomb has gigabytes."""

PREAMBLE_BYTES = 128
MAX_META_BYTES = 1024
"""More than preamble and file meta information that `part_10` writes."""

IMPLEMENTATION = "2.25.322788514224358200816490679396724880796"
"""Who wrote the file meta information: a UID of our own, from a random UUID (PS3.5 annex B.2)."""

UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True)
class Head:
    """What tells instances and studies apart; ``expected`` is how many instances the sender says that the study has."""

    SOPInstanceUID: str
    StudyInstanceUID: str
    expected: int | None


def head_of(content: bytes | memoryview, transfer_syntax: str) -> Head:
    """Return the head of an encoded data set.

    Raises
    ------
    DataError
        If it does not name an instance and a study, or is not encoded as its transfer syntax says.
    """
    if transfer_syntax in DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, MAX_INFLATED_BYTES)
        except zlib.error:
            raise DataError("the data set is not deflated as its transfer syntax says; send it again") from None
    values = _values(memoryview(content), transfer_syntax)
    instance, study = (
        values.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace") for tag in (SOP_INSTANCE_UID, STUDY_INSTANCE_UID)
    )
    if not (UID.fullmatch(instance) and UID.fullmatch(study)):
        raise DataError("the data set names no SOP instance and study by valid UIDs; send it as the standard wants it")
    expected = values.get(NUMBER_OF_STUDY_RELATED_INSTANCES, b"").strip(b"\0 ")
    return Head(instance, study, int(expected) if re.fullmatch(rb"[1-9][0-9]{0,6}", expected) else None)


def part_10(SOPClassUID: str, SOPInstanceUID: str, transfer_syntax: str, caller: str) -> bytes:
    """Return what comes before a data set in a file: preamble, prefix and file meta information (PS3.10 table 7.1-1).

    Written here because pydicom takes longer for these few elements than everything else takes for the image.
    """
    elements = _explicit(0x0001, b"OB", b"\0\1")
    for number, uid in ((0x0002, SOPClassUID), (0x0003, SOPInstanceUID), (0x0010, transfer_syntax), (0x0012, IMPLEMENTATION)):
        elements += _explicit(number, b"UI", uid.encode())
    elements += _explicit(0x0016, b"AE", caller.encode())
    return bytes(PREAMBLE_BYTES) + b"DICM" + _explicit(0x0000, b"UL", len(elements).to_bytes(4, "little")) + elements


def _explicit(number: int, kind: bytes, value: bytes) -> bytes:
    """Return an element of group 2 in explicit little endian, padded to an even length."""
    value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
    length = bytes(2) + len(value).to_bytes(4, "little") if kind in LONG else len(value).to_bytes(2, "little")
    return (0x0002).to_bytes(2, "little") + number.to_bytes(2, "little") + kind + length + value


def of_file(path: Path) -> tuple[Head, str, int]:
    """Return the head of a Part 10 file, its transfer syntax, and where its data set begins; raises as `head_of`."""
    content = path.read_bytes()
    meta = memoryview(content)[PREAMBLE_BYTES + 4 :]
    group_length = int.from_bytes(meta[8:12], "little")
    start = PREAMBLE_BYTES + 4 + 12 + group_length
    if content[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != b"DICM" or len(content) < start:
        raise DataError("the file is not DICOM (Part 10)")
    syntax = _values(meta[: 12 + group_length], "explicit").get(0x0002_0010, b"").rstrip(b"\0 ").decode("ascii", "replace")
    return head_of(memoryview(content)[start:], syntax), syntax, start


def class_of(path: Path) -> str:
    """Return the SOP class that the file meta information of a file of ours names, empty where it names none."""
    with path.open("rb") as file:
        meta = file.read(MAX_META_BYTES)[PREAMBLE_BYTES + 4 :]
    return _values(memoryview(meta), "explicit").get(MEDIA_STORAGE_SOP_CLASS_UID, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _values(content: memoryview, transfer_syntax: str) -> dict[int, bytes]:
    """Return the top-level values of interest by tag."""
    order: Literal["big", "little"] = "big" if transfer_syntax == EXPLICIT_BIG_ENDIAN else "little"
    wanted = {MEDIA_STORAGE_SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, NUMBER_OF_STUDY_RELATED_INSTANCES, 0x0002_0010}
    values: dict[int, bytes] = {}
    explicit = transfer_syntax != IMPLICIT_LITTLE_ENDIAN
    around: list[bool] = []  # whether what is outside each open sequence or item is explicit
    place = 0
    while place + 8 <= len(content):
        group = int.from_bytes(content[place : place + 2], order)
        tag = group << 16 | int.from_bytes(content[place + 2 : place + 4], order)
        if not around and NUMBER_OF_STUDY_RELATED_INSTANCES < tag:
            break
        kind = bytes(content[place + 4 : place + 6])
        marker = tag in {ITEM, ITEM_END, SEQUENCE_END}
        if marker or not explicit:
            length, place = int.from_bytes(content[place + 4 : place + 8], order), place + 8
        elif kind in LONG:
            length, place = int.from_bytes(content[place + 8 : place + 12], order), place + 12
        else:
            length, place = int.from_bytes(content[place + 6 : place + 8], order), place + 8
        if marker and tag != ITEM:
            explicit = around.pop() if around else explicit
        elif length == UNDEFINED:
            around.append(explicit)
            # A sequence of unknown representation holds implicit elements, whatever is around it.
            explicit = explicit and (marker or kind != b"UN")
        else:
            if not around and tag in wanted:
                values[tag] = bytes(content[place : place + length])
            place += length
    return values
