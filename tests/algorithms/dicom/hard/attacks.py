"""Cunning places: values that keep to every rule but hold a text, codestreams that carry one, and words that are no secret."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from tests.algorithms.dicom.hard import codestreams
from tests.algorithms.dicom.hard.elements import Element, element, encapsulated, fragments, with_value
from tests.algorithms.dicom.hard.examination import pixels
from tests.algorithms.dicom.hard.ledger import Ledger
from tests.algorithms.dicom.hard.places import PIXEL_DATA


def letters_as_numbers(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Binary numbers whose bytes are letters and whose size is that of a measurement; more values than there should be."""
    first, second = (ledger.text(value, "mantissa of a double", "ascii") for value in ("zxqwkv", "wkzvxq"))
    words = {tag: ledger.word(f"{tag:08x}, one letter pair a value").encode() for tag in (0x00181310, 0x00280120, 0x00280106)}
    return with_value(
        image,
        element(0x00189345, "FD", first.encode() + b"Y@"),
        element(0x00189311, "FD", second.encode() + b"\x10@"),
        *(element(tag, "US", word) for tag, word in words.items()),
    )


def digits_behind_the_point(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Registration numbers as the decimals of plausible measurements, sixteen characters long as DS allows."""
    kept = ((0x00180060, 120), (0x00180050, 0), (0x00180090, 500), (0x00181100, 200), (0x00181110, 950), (0x00281050, 200))
    return with_value(
        image, *(element(tag, "DS", f"{whole}.{ledger.number(f'decimals of {tag:08x}')}"[:16]) for tag, whole in kept)
    )


def dates_in_values(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Dates written as names of models and as several numbers, each of which is plausible."""
    days = [ledger.date(f"date as {place}") for place in ("model name", "values of a number", "kernel", "decimals")]
    split = [f"{day[:4]}.{day[4:6]}.{day[6:]}" for day in days]
    return with_value(
        image,
        element(0x00081090, "LO", f"SOMATOM {split[0]}"),
        element(0x00201041, "DS", split[1].replace(".", "\\")),
        element(0x00181210, "SH", split[2]),
        element(0x00181120, "DS", f"0.{days[3]}"),
    )


PLACES = {
    change.__name__.replace("_", " "): change for change in (letters_as_numbers, digits_behind_the_point, dates_in_values)
}


def cunning_codestreams(ledger: Ledger, number: int) -> Iterator[tuple[str, str, bytes, np.ndarray]]:
    """Yield name, transfer syntax, codestream and decoded picture: texts in segments that a decoder needs, or seems to."""
    picture = pixels(number)

    def word(where: str) -> bytes:
        return ledger.word(f"codestream, {where}").encode()

    lossless = codestreams.lossless_jpeg(picture)
    tables = {
        "unused quantisation table": (0xDB, b"\x03" + word("quantisation table").ljust(64, b"\1")),
        "unused Huffman table": (0xC4, b"\x13" + bytes([0] * 7 + [12] + [0] * 8) + word("Huffman table")),
        "restart interval": (0xDD, b"\0\0" + word("restart interval")),
    }
    for name, segment in tables.items():
        yield name, codestreams.JPEG_LOSSLESS, codestreams.with_segments(lossless, segment), picture
    tail = lossless[:-2] + word("behind the last pixel's code") + lossless[-2:]
    yield "behind the last pixel's code", codestreams.JPEG_LOSSLESS, tail, picture
    before = lossless[:2] + b"\xff" * 8 + lossless[2:-2] + lossless[-2:] + word("behind the end")
    yield "fill bytes and a text behind the end", codestreams.JPEG_LOSSLESS, before, picture
    scan = lossless.index(b"\xff\xda")
    longer = (
        lossless[: scan + 2]
        + struct.pack(">H", 8 + 12)
        + lossless[scan + 4 : scan + 10]
        + word("scan header")
        + lossless[scan + 10 :]
    )
    yield "scan header too long", codestreams.JPEG_LOSSLESS, longer, picture
    loco = codestreams.jpeg_ls(picture)
    mapping = b"\x02\x01\x01" + word("mapping table")
    yield "mapping table of JPEG-LS", codestreams.JPEG_LS, codestreams.with_segments(loco, (0xF8, mapping)), picture
    yield "behind the code of JPEG-LS", codestreams.JPEG_LS, loco[:-2] + word("behind JPEG-LS") + loco[-2:], picture
    wavelet = codestreams.jpeg_2000(picture, 12)
    size_end = 4 + struct.unpack_from(">H", wavelet, 4)[0]
    for marker, name in (
        (0x63, "registration"),
        (0x55, "tile-part lengths"),
        (0x57, "packet lengths"),
        (0x74, "unknown marker"),
    ):
        text = word(f"JPEG 2000, {name}")
        segment = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(text)) + text
        yield f"JPEG 2000, {name}", codestreams.JPEG_2000, wavelet[:size_end] + segment + wavelet[size_end:], picture
    start = wavelet.index(b"\xff\x90")
    length = struct.unpack_from(">L", wavelet, start + 6)[0]
    text = word("JPEG 2000, behind the packets")
    packed = wavelet[: start + 6] + struct.pack(">L", length + len(text)) + wavelet[start + 10 : start + length] + text
    yield "JPEG 2000, behind the packets", codestreams.JPEG_2000, packed + wavelet[start + length :], picture


def with_codestream(image: list[Element], stream: bytes) -> list[Element]:
    """Return the image with a codestream as its pixels."""
    return with_value(image, encapsulated(fragments([stream])))


def odd_pixels(ledger: Ledger, number: int) -> Iterator[tuple[str, list[Element], np.ndarray]]:
    """Yield name, changed elements and the pixels as they should come out: signed ones, and such as lie in the high bits."""
    picture = pixels(number)
    signed = picture.astype(np.int16) - 2048
    stored = signed.astype("<i2").view("<u2") & 0x0FFF | _plane(ledger, "spare bit of signed pixels", picture.shape) << 13
    yield "signed pixels with a text above", [
        element(0x00280103, "US", 1), element(PIXEL_DATA, "OW", stored.astype("<u2").tobytes())
    ], signed.view(np.uint16)  # fmt: skip
    high = picture << 4 | _plane(ledger, "bit below the pixels", picture.shape)
    yield "pixels in the high bits", [
        element(0x00280102, "US", 15), element(PIXEL_DATA, "OW", high.astype("<u2").tobytes())
    ], picture << 4  # fmt: skip


def _plane(ledger: Ledger, where: str, shape: tuple[int, ...]) -> np.ndarray:
    text = ledger.word(where).encode().ljust(shape[0] * shape[1] // 8, b"\0")
    return np.unpackbits(np.frombuffer(text, np.uint8), bitorder="little").astype(np.uint16).reshape(shape)


def ordinary_words() -> Iterator[tuple[str, Element]]:
    """Yield texts that are words that any output holds: finding these is no leak, and no reason to stop a patient."""
    texts = {
        "maker as a name": (0x00100010, "PN", "Siemens^Philips"),
        "codes as a name": (0x00100010, "PN", "AXIAL^HELIX^PRIMARY"),
        "letters as a name": (0x00100010, "PN", "M^F^CT"),
        "mark as a name": (0x00100010, "PN", "YES^MODIFIED"),
        "number as an identifier": (0x00100020, "LO", "120"),
        "digits of the spacing as an identifier": (0x00100020, "LO", "3515625"),
        "offset as a serial number": (0x00181000, "LO", "-1024"),
        "class as a comment": (0x00204000, "LT", "1.2.840.10008.5.1.4.1.1.2"),
        "model as a description": (0x00081030, "LO", "SOMATOM Force"),
        "values as a comment": (0x00204000, "LT", "0.3515625\\0.3515625 and 1\\0\\0\\0\\1\\0"),
        "contrast agent as a protocol": (0x00181030, "LO", "CONTRAST AGENT Bv40 HFS HEART"),
        "institution of the maker": (0x00080080, "LO", "SIEMENS"),
        "character set as a station": (0x00081010, "SH", "ISO_IR 100"),
        "method as a comment": (0x00204000, "LT", "Basic Application Confidentiality Profile"),
        "zeros as an identifier": (0x00100020, "LO", "000000"),
        "file name as an accession number": (0x00080050, "SH", "0001.dcm"),
    }
    for name, (tag, vr, value) in texts.items():
        yield name, element(tag, vr, value)


def odd_structures(ledger: Ledger) -> Iterator[tuple[str, Element]]:
    """Yield elements that break a rule of encoding which readers forgive, with a text where they do."""
    odd = ledger.word("value of odd length").encode() + b"!"
    yield "value of odd length", Element(0x00204000, "LT", odd)
    text = ledger.word("delimiter with a length").encode()
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, len(text)) + text
    start = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    yield "delimiter with a length", Element(0x00081140, "SQ", start + end, length=0xFFFFFFFF)
    loose = ledger.word("bytes between items").encode()
    yield "bytes between items", Element(0x00081140, "SQ", start + loose + start)
    provider = element(0x00287FE0, "UR", f"https://example.org/{ledger.word('PixelDataProviderURL')}")
    yield "address of the pixels", provider
    floats = element(0x7FE00008, "OF", ledger.word("FloatPixelData").encode())
    yield "float pixels too", floats
