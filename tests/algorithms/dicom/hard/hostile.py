"""Files that are damaged or made to harm a parser: each must become a refused file with a reason, or a clean one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from tests.algorithms.dicom.hard.codestreams import RLE, run_length
from tests.algorithms.dicom.hard.elements import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    Element,
    element,
    encapsulated,
    fragments,
    part10,
    with_value,
    without,
    written,
)
from tests.algorithms.dicom.hard.examination import pixels
from tests.algorithms.dicom.hard.ledger import Ledger

BOMB_BYTES = 1 << 30
"""What one megabyte of the deflate bomb becomes."""


def hostile(ledger: Ledger, image: list[Element], meta: list[Element]) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the bytes of each file; ``image`` and ``meta`` are those of a sound one."""
    whole = part10(written(image), EXPLICIT, meta)
    yield "empty", b""
    yield "text", f"Dear Dr. {ledger.word('text file')},\n".encode()
    yield "only a preamble", b"\0" * 128 + b"DICM"
    yield "zeros", b"\0" * 4096
    yield "half a preamble", ledger.word("half a preamble").encode()
    yield "picture", b"\x89PNG\r\n\x1a\n" + ledger.word("picture").encode()
    for part in range(1, 16):
        yield f"cut at {part} of 16", whole[: len(whole) * part // 16]
    for less in (1, 2, 100):
        yield f"{less} bytes short", whole[:-less]
    yield "without meta and preamble", written(image, IMPLICIT)
    yield (
        "no transfer syntax",
        part10(written(image), EXPLICIT, without(meta, 0x00020010)).replace(b"1.2.840.10008.1.2.1\0", b"\0" * 20),
    )
    yield "unknown transfer syntax", part10(written(image), f"1.2.3.{ledger.number('unknown transfer syntax')}", meta)
    yield "syntax is another one", part10(written(image, IMPLICIT), EXPLICIT, meta)
    yield "big endian said, little written", part10(written(image), BIG, meta)
    yield (
        "deflate said, plain written",
        part10(written(image), EXPLICIT, meta).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0"),
    )
    yield from _lengths(ledger, image, meta)
    yield from _depths(ledger, image, meta)
    yield "deflate bomb", _bomb(image, meta)
    yield "deflate, cut", part10(written(image), DEFLATED, meta)[:-200]
    yield from _codestreams(ledger, image, meta)


def _bomb(image: list[Element], meta: list[Element]) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    head = written(without(image, 0x7FE00010)) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, BOMB_BYTES)
    start = deflate.compress(head) + deflate.flush(zlib.Z_FULL_FLUSH)
    # After a full flush equal input gives equal output, so that one mebibyte need only be deflated once.
    zeros = deflate.compress(b"\0" * 2**20) + deflate.flush(zlib.Z_FULL_FLUSH)
    empty = part10(b"", DEFLATED, meta)
    return empty[: empty.rindex(b"\3\0")] + start + zeros * (BOMB_BYTES >> 20) + deflate.flush()


def _lengths(ledger: Ledger, image: list[Element], meta: list[Element]) -> Iterator[tuple[str, bytes]]:
    word = ledger.word("element of a wrong length").encode()
    for name, length in (("huge", 0xFFFFFFF0), ("one too long", 0x7FFFFFFF), ("odd", 11)):
        yield (
            f"{name} length",
            part10(written(with_value(image, Element(0x00204000, "UT", word, length=length))), EXPLICIT, meta),
        )
    yield (
        "undefined length of a text",
        part10(written(with_value(image, Element(0x00204000, "UT", word, length=UNDEFINED))), EXPLICIT, meta),
    )
    yield (
        "pixels longer than the file",
        part10(written(with_value(image, Element(0x7FE00010, "OW", word, length=0xFFFFFFFE))), EXPLICIT, meta),
    )
    explicit = Element(0x00081140, "UN", b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + written([element(0x00081155, "LO", word)])
                       + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0", length=UNDEFINED)  # fmt: skip
    yield "explicit items in a sequence coded UN", part10(written(with_value(image, explicit)), EXPLICIT, meta)
    mixed = written([one for one in image if one.tag < 0x00200000]) + written(
        [one for one in image if one.tag >= 0x00200000], IMPLICIT
    )
    yield "implicit elements behind explicit ones", part10(mixed, EXPLICIT, meta)
    yield "elements twice", part10(written([*image, *image]), EXPLICIT, meta)
    yield (
        "elements in no order",
        part10(
            written([one for one in image if one.tag > 0x00100020]) + written([one for one in image if one.tag <= 0x00100020]),
            EXPLICIT,
            meta,
        ),
    )
    yield "unknown VR", part10(written(with_value(image, Element(0x00204000, "ZZ", word))), EXPLICIT, meta)
    yield "VR of control characters", part10(written(with_value(image, Element(0x00204000, "\0\0", word))), EXPLICIT, meta)
    yield "rows as text", part10(written(with_value(image, element(0x00280010, "LO", word))), EXPLICIT, meta)
    yield (
        "huge matrix",
        part10(written(with_value(image, element(0x00280010, "US", 65535), element(0x00280011, "US", 65535))), EXPLICIT, meta),
    )
    yield "no pixels at all", part10(written(without(image, 0x7FE00010)), EXPLICIT, meta)
    yield "no matrix", part10(written(without(image, 0x00280010, 0x00280011)), EXPLICIT, meta)
    yield "meta group length wrong", part10(written(image), EXPLICIT, meta).replace(b"UL\4\0", b"UL\4\0\xff\xff\xff\x7f", 1)
    for tag, name in ((0x00080018, "SOPInstanceUID"), (0x0020000D, "StudyInstanceUID"), (0x00100020, "PatientID")):
        kind = "LO" if tag == 0x00100020 else "UI"
        for form in ("../../../{}", "/etc/{}", "{}\0/../x", "..", ""):
            planted = form.format(ledger.word(f"{name} as a path")) if "{" in form else form
            yield (
                f"{name} is a path like {form[:9]!r}",
                part10(written(with_value(image, element(tag, kind, planted))), EXPLICIT, meta),
            )
        yield f"without {name}", part10(written(without(image, tag)), EXPLICIT, meta)


def _depths(ledger: Ledger, image: list[Element], meta: list[Element]) -> Iterator[tuple[str, bytes]]:
    text = written([element(0x00100010, "PN", ledger.word("5000 sequences deep"))])
    opened = struct.pack("<HH2sHLHHL", 0x0040, 0xA730, b"SQ", 0, UNDEFINED, 0xFFFE, 0xE000, UNDEFINED)
    closed = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    before = written([one for one in image if one.tag < 0x0040A730])
    behind = written([one for one in image if one.tag > 0x0040A730])
    yield "5000 sequences deep", part10(before + opened * 5000 + text + closed * 5000 + behind, EXPLICIT, meta)
    yield "sequences never closed", part10(before + opened * 5000 + text, EXPLICIT, meta)
    inner = text
    for _ in range(2000):
        inner = struct.pack("<HHLHHL", 0x0040, 0xA730, len(inner) + 8, 0xFFFE, 0xE000, len(inner)) + inner
    yield (
        "2000 deep, coded UN",
        part10(before + struct.pack("<HH2sHL", 0x0040, 0xA730, b"UN", 0, len(inner)) + inner + behind, EXPLICIT, meta),
    )
    yield "twenty thousand items", part10(
        before + struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, UNDEFINED) + struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 20_000
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) + behind, EXPLICIT, meta,
    )  # fmt: skip


def _codestreams(ledger: Ledger, image: list[Element], meta: list[Element]) -> Iterator[tuple[str, bytes]]:
    word = ledger.word("damaged codestream").encode()
    streams = {
        "RLE that makes decoders panic": (RLE, struct.pack("<16L", 2, 64, 2**31, *[0] * 13) + b"\x81"),
        "RLE with a segment behind its end": (RLE, struct.pack("<16L", 1, 5000, *[0] * 14)),
        "RLE with 200 segments": (RLE, struct.pack("<16L", 200, *[64] * 15)),
        "RLE, cut": (RLE, run_length(pixels(1))[:200]),
        "JPEG that is a text": ("1.2.840.10008.1.2.4.50", word),
        "JPEG of nothing": ("1.2.840.10008.1.2.4.70", b"\xff\xd8\xff\xd9"),
        "JPEG with an endless segment": ("1.2.840.10008.1.2.4.70", b"\xff\xd8\xff\xe0\xff\xff" + word),
        "JPEG 2000 that is a JP2 file": ("1.2.840.10008.1.2.4.90", b"\0\0\0\x0cjP  \r\n\x87\n" + word),
        "JPEG-LS, start only": ("1.2.840.10008.1.2.4.80", b"\xff\xd8"),
        "video": ("1.2.840.10008.1.2.4.102", word),
    }
    for name, (syntax, stream) in streams.items():
        yield name, part10(written(with_value(image, encapsulated(fragments([stream])))), syntax, meta)
    yield (
        "no delimiter behind fragments",
        part10(written(with_value(image, encapsulated(fragments([run_length(pixels(1))])[:-8]))), RLE, meta),
    )
    yield (
        "fragment longer than the file",
        part10(
            written(with_value(image, encapsulated(struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, 2**31) + word))),
            RLE,
            meta,
        ),
    )
    yield "compressed with a defined length", part10(written(with_value(image, element(0x7FE00010, "OB", word))), RLE, meta)
