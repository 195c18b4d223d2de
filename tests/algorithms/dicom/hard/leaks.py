"""A search for planted values in everything that a program left behind, in every spelling and packing that was thought of.

It knows nothing of the de-identifier: it is given names and bytes.  Each file is looked at in layers (its bytes as they
are, in turned word orders, inflated, decoded pixels, ...), and in each layer for every spelling of every value.
"""

from __future__ import annotations

import base64
import calendar
import io
import re
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pydicom

from tests.algorithms.dicom.hard.codestreams import JPEG_LOSSLESS, lossless_jpeg_decoded
from tests.algorithms.dicom.hard.elements import DEFLATED
from tests.algorithms.dicom.hard.ledger import Planted

CODINGS = (
    "utf-8", "utf-16-le", "utf-16-be", "iso8859-1", "iso8859-2", "iso8859-4", "iso8859-5", "iso8859-7", "cp1251", "cp1253",
    "koi8-r", "tis-620", "gb18030", "gbk", "big5", "shift_jis", "euc_jp", "euc_kr", "iso2022_jp", "iso2022_jp_2", "iso2022_kr",
)  # fmt: skip
MONTHS = [calendar.month_name[month].lower() for month in range(1, 13)]
LEAST = 6
"""Bytes of the shortest spelling that is looked for: shorter ones turn up by chance."""

PLAIN, TURNED_LEAST = frozenset({"its bytes", "its inflated data set"}), 8
"""Layers as they are; in all others, where digits stand in no order, a spelling has as many bytes at least."""

INFLATED_AT_MOST = 1 << 22
"""Bytes of a data set or a file beyond which no pixels are decoded: no output of the hard set is as large as that."""

HASH_BITS = 22
ESCAPED = re.compile(rb"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|&#(\d{1,6});")
ESCAPES = re.compile(rb"\x1b(?:[$][()]?[@-Z]|[()][@-Z])|[\x0e\x0f]")


@dataclass(frozen=True)
class Leak:
    """A planted value that was found: in which file, in which layer of it."""

    planted: Planted
    file: str
    layer: str

    def __str__(self) -> str:
        return f"{self.planted.kind} planted in [{self.planted.where}] is in {self.file}, {self.layer}"


def leaks_below(folder: Path, planted: Iterable[Planted], *, texts: Iterable[tuple[str, bytes]] = ()) -> list[Leak]:
    """Return every planted value that is in a name or a file below ``folder``, or in ``texts`` (name, bytes)."""
    contents = list(texts)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        contents.append((f"the name of {name}", name.encode(errors="surrogateescape")))
        if path.is_file() and not path.is_symlink():
            contents.append((name, path.read_bytes()))
    return Needles(planted).found_in(contents)


class Needles:
    """All spellings of the planted values, by their first six bytes, of which four are looked for at once."""

    def __init__(self, planted: Iterable[Planted]) -> None:
        self._by_start: dict[bytes, list[tuple[bytes, Planted]]] = defaultdict(list)
        self._known = np.zeros(1 << HASH_BITS, bool)
        for value in planted:
            for spelling in spellings(value):
                self._by_start[spelling[:LEAST]].append((spelling, value))
        self._known[_hashed(np.array([int.from_bytes(start[:4], "little") for start in self._by_start], np.uint32))] = True

    def found_in(self, contents: Iterable[tuple[str, bytes]]) -> list[Leak]:
        """Return the leaks of files given as (name, bytes); each value once a file, in the first layer that shows it."""
        found: dict[tuple[Planted, str], Leak] = {}
        for name, content in contents:
            for layer, data in layers(content):
                for value in self._in(data, LEAST if layer in PLAIN else TURNED_LEAST):
                    found.setdefault((value, name), Leak(value, name, layer))
        return list(found.values())

    def _in(self, data: bytes, least: int) -> Iterator[Planted]:
        lower = data.lower()
        if len(lower) < LEAST:
            return
        letters = np.frombuffer(lower, np.uint8).astype(np.uint32)
        windows = letters[:-3] | letters[1:-2] << 8 | letters[2:-1] << 16 | letters[3:] << 24
        for at in np.flatnonzero(self._known[_hashed(windows)]).tolist():
            for spelling, value in self._by_start.get(lower[at : at + LEAST], ()):
                if (
                    len(spelling) >= least
                    and lower.startswith(spelling, at)
                    and _stands_alone(lower, at, len(spelling), value.kind)
                ):
                    yield value


def _hashed(windows: np.ndarray) -> np.ndarray:
    return (windows * np.uint32(2_654_435_761)) >> np.uint32(32 - HASH_BITS)


def _stands_alone(data: bytes, at: int, length: int, kind: str) -> bool:
    """Return whether digits are not merely part of a longer number, such as a hashed UID: eight of a date, six of a time.

    A date may be followed by a time, and with its fraction a time is long enough to be no chance.
    """
    if kind not in {"date", "time"} or length > 8:
        return True
    before, behind = data[max(at - 1, 0) : at], data[at + length : at + length + 1]
    return not before.isdigit() and (length == 8 or not (behind.isdigit() or before == b"."))


def spellings(planted: Planted) -> set[bytes]:
    """Return how a value may be written, in small ASCII letters; Latin words stay one in every encoding but UTF-16."""
    value = planted.value
    found = set() if planted.kind in {"text", "uid"} else {value.lower().encode()}
    if planted.kind == "text":
        for text in (value, value.lower(), value.upper()):
            for coding in CODINGS:
                try:
                    coded = text.encode(coding)
                except UnicodeEncodeError:
                    continue
                # Lowered like the layers are, for the bytes of many a script contain those of ASCII capitals.
                found |= {coded.lower(), *(part.lower() for part in ESCAPES.split(coded))}
            found.add(text.encode("unicode_escape").lower())
    if planted.kind == "uid":  # its last digits are its own, the rest is that of all
        found.add(value.rpartition(".")[2].encode())
    if planted.kind == "date":
        found |= set(dates(value))
    if planted.kind == "time":
        clock = f"{value[:2]}:{value[2:4]}:{value[4:6]}"
        found |= {value[:10].encode(), f"{clock}{value[6:10]}".encode(), value.replace(".", "").encode()}
        if value[0] != "0":  # small numbers of six digits count files
            found |= {value[:6].encode()}
    return {spelling for spelling in found if len(spelling) >= LEAST}


def dates(value: str) -> Iterator[bytes]:
    """Yield the usual spellings of ``YYYYMMDD``, in small letters."""
    year, month, day = value[:4], value[4:6], value[6:]
    for mark in "-./ \\":
        yield f"{year}{mark}{month}{mark}{day}".encode()
        yield f"{day}{mark}{month}{mark}{year}".encode()
        yield f"{month}{mark}{day}{mark}{year}".encode()
        yield f"{int(day)}{mark}{int(month)}{mark}{year}".encode()
    name = MONTHS[int(month) - 1]
    for word in (name, name[:3]):
        for number in (day, str(int(day))):
            yield from (f"{number}{mark}{word}{mark}{year}".encode() for mark in ("", " ", "-", ". ", "."))
            yield from (f"{word} {number}{mark}{year}".encode() for mark in (", ", " "))


def layers(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of a file, and what they become when they are unpacked, each with a name."""
    yield from _orders(content, "its bytes")
    if content[128:132] == b"DICM":
        inflated = _inflated(content)
        if inflated:
            yield from _orders(inflated, "its inflated data set")
        yield from _pixels(content)


def _orders(content: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    yield name, content
    # Every second byte is the text of UTF-16, whichever byte comes first.
    yield f"{name}, every second", content[0::2]
    yield f"{name}, every other second", content[1::2]
    for size in (2, 4, 8):
        for start in range(0, size, 1 if size == 2 else 2):
            words = content[start : len(content) - (len(content) - start) % size]
            yield (
                f"{name}, words of {size} turned",
                np.frombuffer(words, f"V{size}").view(np.uint8).reshape(-1, size)[:, ::-1].tobytes(),
            )
    yield f"{name}, reversed", content[::-1]
    if b"%" in content:
        yield f"{name}, percent-decoded", unquote_to_bytes(content)
    if ESCAPED.search(content):
        yield f"{name}, unescaped", ESCAPED.sub(_character, content)
    letters = re.findall(rb"[A-Za-z0-9+/_-]{11,}", content)
    yield f"{name}, base64", b"\n".join(piece for run in letters for piece in _base64(run))
    digits = re.findall(rb"[0-9A-Fa-f]{12,}", content)
    yield f"{name}, hexadecimal", b"\n".join(_hexadecimal(run[start:]) for run in digits for start in range(2))


def _base64(run: bytes) -> Iterator[bytes]:
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for start in range(4):  # the text may have begun anywhere, so that four letters may begin at any of these
        yield base64.b64decode(run[start : len(run) - (len(run) - start) % 4])


def _hexadecimal(run: bytes) -> bytes:
    return bytes.fromhex(run[: len(run) - len(run) % 2].decode())


def _character(match: re.Match[bytes]) -> bytes:
    wide, narrow, entity = match.groups()
    code = int(entity) if entity else int(wide or narrow, 16)
    return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else b""


def _inflated(content: bytes) -> bytes:
    length = int.from_bytes(content[140:144], "little")
    if DEFLATED.encode() not in content[: 144 + min(length, 4096)]:
        return b""
    try:
        return zlib.decompressobj(wbits=-15).decompress(content[144 + length :], INFLATED_AT_MOST)
    except zlib.error:
        return b""


def _pixels(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the decoded pixels and each of their bit planes, packed in both orders; nothing where there are none to be had."""
    pixels = decoded(content)
    if pixels is None:
        return
    yield "its decoded pixels", pixels.tobytes()
    for bit in range(pixels.dtype.itemsize * 8):
        plane = (pixels.reshape(-1) >> bit & 1).astype(np.uint8)
        yield f"bit {bit} of its pixels", np.packbits(plane, bitorder="little").tobytes()
        yield f"bit {bit} of its pixels, turned", np.packbits(plane, bitorder="big").tobytes()


def decoded(content: bytes) -> np.ndarray | None:
    """Return the pixels of a DICOM file as its codec gives them, or ``None`` for a file that pydicom does not understand."""
    if len(content) > INFLATED_AT_MOST or len(_inflated(content)) >= INFLATED_AT_MOST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(content))
            if dataset.file_meta.TransferSyntaxUID == JPEG_LOSSLESS:
                return lossless_jpeg_decoded(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
            if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                # As they lie there: pydicom clears the bits of an overlay in them.
                order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
                word = np.dtype(f"{order}u{dataset.BitsAllocated // 8}")
                data = dataset.PixelData[: len(dataset.PixelData) // word.itemsize * word.itemsize]
                return np.frombuffer(data, word).astype(word.newbyteorder("="))
            pixels: np.ndarray = dataset.pixel_array
            return pixels if pixels.dtype.kind in "iu" else None
    except Exception:  # noqa: BLE001 - whatever a damaged file makes a parser raise
        return None
