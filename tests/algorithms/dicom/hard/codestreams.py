"""One small image in each compression that DICOM knows, with places where a text can be hidden in it."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

JPEG_BASELINE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE = (
    f"1.2.840.10008.1.2.{suffix}" for suffix in ("4.50", "4.70", "4.80", "4.90", "5")
)


def baseline_jpeg(pixels: np.ndarray) -> bytes:
    """Return an 8 bit grey image as baseline JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def jpeg_ls(pixels: np.ndarray) -> bytes:
    """Return an image losslessly as JPEG-LS."""
    import jpeg_ls as codec

    return bytes(codec.encode_array(pixels))


def jpeg_2000(pixels: np.ndarray, bits_stored: int) -> bytes:
    """Return an unsigned image losslessly as a bare JPEG 2000 codestream."""
    from openjpeg.utils import encode_array

    return bytes(encode_array(pixels, bits_stored=bits_stored, photometric_interpretation=2))


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """Return a 16 bit image as lossless JPEG, process 14, selection value 1 (ITU-T T.81 annex H).

    The Huffman table gives each of the 17 categories a code of 5 bits; 0xFF bytes of the scan are stuffed.
    """
    rows, columns = pixels.shape
    head = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHBBBB", 11, 16, rows, columns, 1, 1, 0x11, 0)
    counts = bytes([0, 0, 0, 0, 17, *[0] * 11])
    head += b"\xff\xc4" + struct.pack(">HB", 2 + 1 + 16 + 17, 0) + counts + bytes(range(17))
    head += b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    bits = ""
    for row in range(rows):
        for column in range(columns):
            difference = (int(pixels[row, column]) - _predicted(pixels, row, column) + 0x7FFF) % 0x10000 - 0x7FFF
            size = abs(difference).bit_length()
            bits += f"{size:05b}"
            if 0 < size < 16:
                bits += f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return head + scan + b"\xff\xd9"


def _predicted(pixels: np.ndarray, row: int, column: int) -> int:
    """Return the pixel to the left, in the first column the one above, at the start half the range (T.81 H.1.2.1)."""
    if column:
        return int(pixels[row, column - 1])
    return int(pixels[row - 1, 0]) if row else 1 << 15


def lossless_jpeg_decoded(stream: bytes) -> np.ndarray:
    """Return the image of a codestream with one component, selection value 1, whatever its Huffman table is."""
    at, lengths, symbols, rows, columns = 2, b"", b"", 0, 0
    while stream[at + 1] != 0xDA:
        marker, size = stream[at + 1], struct.unpack_from(">H", stream, at + 2)[0]
        if marker == 0xC3:
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
        if marker == 0xC4:
            lengths = stream[at + 5 : at + 21]
            symbols = stream[at + 21 : at + 2 + size]
        at += 2 + size
    at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    codes, code, symbol = {}, 0, 0
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            codes[f"{code:0{length}b}"] = symbols[symbol]
            code, symbol = code + 1, symbol + 1
        code <<= 1
    scan = stream[at : stream.rindex(b"\xff\xd9")].replace(b"\xff\x00", b"\xff")
    bits = f"{int.from_bytes(scan, 'big'):0{8 * len(scan)}b}"
    pixels, place = np.zeros((rows, columns), np.uint16), 0
    for row in range(rows):
        for column in range(columns):
            end = place + 1
            while bits[place:end] not in codes:
                end += 1
            size, place = codes[bits[place:end]], end
            difference = 32768 if size == 16 else 0
            if 0 < size < 16:
                difference = int(bits[place : place + size], 2)
                if bits[place] == "0":
                    difference -= (1 << size) - 1
                place += size
            pixels[row, column] = (_predicted(pixels, row, column) + difference) % 0x10000
    return pixels


def run_length(pixels: np.ndarray, hidden: bytes = b"") -> bytes:
    """Return a 16 bit image run-length coded in two segments (PS3.5 annex G), literal runs only.

    ``hidden`` lies between the header and the first segment, where no decoder looks, and in the unused words of the header.
    """
    planes = [(pixels >> 8).astype(np.uint8).tobytes(), (pixels & 0xFF).astype(np.uint8).tobytes()]
    segments = []
    for plane in planes:
        runs = b"".join(bytes([len(plane[at : at + 128]) - 1]) + plane[at : at + 128] for at in range(0, len(plane), 128))
        segments.append(runs + b"\x80" * (len(runs) % 2))  # -128 is a run of nothing
    hidden += b"\0" * (len(hidden) % 2)
    first = 64 + len(hidden)
    offsets = struct.pack("<3L", 2, first, first + len(segments[0]))
    return offsets + hidden[:52].ljust(52, b"\0") + hidden + b"".join(segments)


def with_segments(stream: bytes, *texts: tuple[int, bytes]) -> bytes:
    """Return a JPEG or JPEG-LS codestream with marker segments (marker, content) behind its start."""
    segments = b"".join(bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content for marker, content in texts)
    return stream[:2] + segments + stream[2:]


def with_comment_2000(stream: bytes, text: bytes) -> bytes:
    """Return a JPEG 2000 codestream with a comment in Latin letters behind its SIZ segment (ITU-T T.800 A.9.2)."""
    end = 4 + struct.unpack_from(">H", stream, 4)[0]
    return stream[:end] + b"\xff\x64" + struct.pack(">HH", 4 + len(text), 1) + text + stream[end:]


def baseline_jpeg_decoded(stream: bytes) -> np.ndarray:
    """Return the 8 bit grey image of a baseline JPEG."""
    with Image.open(io.BytesIO(stream)) as picture:
        return np.asarray(picture.convert("L"))
