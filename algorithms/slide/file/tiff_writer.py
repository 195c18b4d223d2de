"""A BigTIFF file written in one pass: encoded tiles first, then the directories that point to them.

Nothing is left over: every byte of the file is of the header, of a tile, of a directory or of a value of one.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from algorithms.slide.file.tiff import ASCII, TILE_BYTE_COUNTS, TILE_OFFSETS

SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16
"""Field types (TIFF 6.0 section 2; BigTIFF)."""

HEADER = struct.Struct("<2sHHHQ")
BUFFER = 2**20


class BigTiff:
    """Writes tiles and pages to a new file, which is complete when the context ends without an error.

    Parameters
    ----------
    expected_bytes
        About how long the file will be: room for it is taken at once, which fails early on a full disk and makes writing
        four times as cheap as when a file system has to find room block by block.
    """

    def __init__(self, path: Path, expected_bytes: int = 0) -> None:
        self._path = path
        self._expected_bytes = expected_bytes
        self._at = HEADER.size
        self._pointer = HEADER.size - 8
        self._links: list[tuple[int, int]] = []
        self._file: IO[bytes]

    def __enter__(self) -> BigTiff:
        self._file = self._path.open("xb", buffering=BUFFER)
        if self._expected_bytes:
            try:
                os.posix_fallocate(self._file.fileno(), 0, self._expected_bytes)
            except OSError as error:
                # Some network file systems cannot; then room is found block by block.
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                    raise
        self._file.write(HEADER.pack(b"II", 43, 8, 0, 0))
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.truncate(self._at)
                for pointer, place in self._links:
                    self._file.seek(pointer)
                    self._file.write(struct.pack("<Q", place))

    def append(self, data: bytes) -> int:
        """Write ``data`` and return its place."""
        place = self._at
        self._file.write(data)
        self._at += len(data)
        return place

    def page(self, fields: Mapping[int, tuple[int, object]], offsets: np.ndarray, byte_counts: np.ndarray) -> None:
        """Write a directory of ``fields``, code to (type, value), and of the tiles, both (tiles,) int64."""
        values = {code: _encoded(kind, value) for code, (kind, value) in fields.items()}
        values[TILE_OFFSETS] = (LONG8, len(offsets), offsets.astype("<u8").tobytes())
        values[TILE_BYTE_COUNTS] = (LONG8, len(byte_counts), byte_counts.astype("<u8").tobytes())
        entries = b""
        for code, (kind, count, raw) in sorted(values.items()):
            value = raw if len(raw) <= 8 else struct.pack("<Q", self.append(raw))
            entries += struct.pack("<HHQ", code, kind, count) + value.ljust(8, b"\0")
        place = self.append(struct.pack("<Q", len(values)) + entries + b"\0" * 8)
        self._links.append((self._pointer, place))
        self._pointer = self._at - 8


def _encoded(kind: int, value: object) -> tuple[int, int, bytes]:
    """Return type, count and bytes of a value."""
    if kind == ASCII:
        assert isinstance(value, str)
        raw = value.encode("ascii") + b"\0"
        return kind, len(raw), raw
    if kind == UNDEFINED:
        assert isinstance(value, bytes)
        return kind, len(value), value
    numbers = value if isinstance(value, tuple) else (value,)
    form = {SHORT: "H", LONG: "L", RATIONAL: "L", LONG8: "Q"}[kind]
    return kind, len(numbers) // (2 if kind == RATIONAL else 1), struct.pack(f"<{len(numbers)}{form}", *numbers)
