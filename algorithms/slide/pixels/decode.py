"""Decode one JPEG tile of a TIFF exactly as OpenSlide does, or say why it cannot be decoded.

A tile's stream is abbreviated: its tables stand once a page, in JPEGTables.  Both are joined into one stream, whose colour
transform is the page's photometric interpretation and nothing else: markers in which a stream speaks of its own colours
(JFIF, Adobe) are replaced by one Adobe marker.  libjpeg-turbo then decodes with its defaults, exact inverse DCT and smooth
chroma upsampling, which are OpenSlide's too; whatever it warns of counts as damage.

References
----------
ITU-T T.81 (1992), annex B; *TIFF Technical Note 2* (1995); Adobe, *Supporting the DCT Filters* (1992), section 18.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import simplejpeg

JPEG = 7
"""TIFF compression of tiles that are JPEG streams (Technical Note 2)."""

YCBCR = 6
"""TIFF photometric interpretation of luma and chroma; RGB is 2."""

SOI, EOI, SOS, COM, APP0, APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEF
NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""Markers in the range of frame headers, 0xC0 to 0xCF, that are none: DHT, JPG and DAC (T.81, table B.1)."""


class UnreadableTileError(Exception):
    """A tile that cannot be decoded, or whose pixels cannot be believed; the message is the reason, without a place."""


class Encoded(NamedTuple):
    """The bytes of a tile, from ``begin`` to ``end`` of what was read from the file."""

    data: bytes
    begin: int
    end: int

    @classmethod
    def whole(cls, data: bytes) -> Encoded:
        """Return a tile that is all that was read."""
        return cls(data, 0, len(data))


class TileDecoder:
    """Decodes the tiles of one page; ``prefix`` is what stands before each tile's own segments.

    Tiles of a page begin alike, so the last header is remembered, with what a decoder is to see instead of it.
    """

    def __init__(self, prefix: bytes, width: int, height: int) -> None:
        self._prefix = prefix
        self._size = (width, height)
        self._known: tuple[bytes, bytes] | None = None

    def decode(self, tile: Encoded, out: np.ndarray) -> None:
        """Write the pixels of one tile to ``out``, contiguous (height, width, 3) uint8 RGB.

        Raises
        ------
        UnreadableTileError
            If the stream is no JPEG, is of another size, or makes libjpeg-turbo warn.
        """
        stream = self.stream(tile)
        try:
            simplejpeg.decode_jpeg(stream, "RGB", buffer=out)
        except ValueError as error:
            raise UnreadableTileError(f"the tile's stream is damaged ({_words(error)})") from None

    def reduced(self, tile: Encoded, factor: int) -> np.ndarray:
        """Return the pixels of one tile reduced by 1, 2, 4 or 8, (height / factor, width / factor, 3); errors as `decode`."""
        width, height = (side // factor for side in self._size)
        stream = self.stream(tile)
        try:
            small = simplejpeg.decode_jpeg(stream, "RGB", min_height=height, min_width=width, min_factor=factor)
        except ValueError as error:
            raise UnreadableTileError(f"the tile's stream is damaged ({_words(error)})") from None
        return np.asarray(small)

    def stream(self, tile: Encoded) -> bytes:
        """Return the tile's whole stream, the page's tables and colours, its own segments and its scan; errors as `decode`."""
        data, begin, end = tile
        known = self._known
        if known is None or not data.startswith(known[0], begin, end):
            own, start = _segments(data[begin:end])
            if self._size != _frame_size(own):
                raise UnreadableTileError("the tile's header is not that of its page")
            kept = [segment for segment in own if not _speaks_of_itself(segment)]
            scan = data[begin:end][start : start + 2]
            self._known = known = (data[begin : begin + start] + scan, b"".join((self._prefix, *kept, scan)))
        head, instead = known
        return instead + memoryview(data)[begin + len(head) : end]


def tile_decoder(tables: bytes, width: int, height: int, photometric: int) -> TileDecoder:
    """Return the decoder of a page's tiles from its JPEGTables, tile size and photometric interpretation."""
    transform = 1 if photometric == YCBCR else 0
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    kept = []
    if tables:
        segments, _ = _segments(tables)
        kept = [segment for segment in segments if not _speaks_of_itself(segment)]
    return TileDecoder(b"".join((b"\xff\xd8", adobe, *kept)), width, height)


def _segments(stream: bytes) -> tuple[list[bytes], int]:
    """Return the segments between SOI and the scan, or EOI, and where the latter begins."""
    if stream[:2] != b"\xff\xd8":
        raise UnreadableTileError("the tile is no JPEG stream")
    found: list[bytes] = []
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in {SOS, EOI}:
            return found, at
        if marker == 0xFF:  # T.81 B.1.1.2: any number of fill bytes may stand before a marker
            at += 1
            continue
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        found.append(stream[at:end])
        at = end
    if stream[at : at + 2] == b"\xff\xd9":
        return found, at
    raise UnreadableTileError("the tile's header is damaged")


def _speaks_of_itself(segment: bytes) -> bool:
    return APP0 <= segment[1] <= APP15 or segment[1] == COM


def _frame_size(segments: list[bytes]) -> tuple[int, int] | None:
    """Return the (width, height) of the frame header, pixels, or ``None`` where there is none."""
    for segment in segments:
        if 0xC0 <= segment[1] <= 0xCF and segment[1] not in NO_FRAME and len(segment) >= 9:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
    return None


def _words(error: ValueError) -> str:
    """Return libjpeg-turbo's complaint; it holds numbers of bytes and markers, nothing of the file's text."""
    return " ".join(str(error).split())[:100].rstrip(".").lower()
