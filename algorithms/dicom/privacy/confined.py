"""What the confined child does with untrusted files, in batches: tell whose they are, and write them without identity.

Everything that goes in and comes out is JSON.  Of a file that cannot be read the kind and the sentence come back; a batch that
kills its child is tried again file by file (`algorithms.dicom.privacy.study`), so that one hostile file costs itself only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import policy_of
from algorithms.dicom.privacy.stretches import Stretch, Stretches
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.privacy.syntax import DEFLATED, Readers, Refused, is_dicom, read
from algorithms.dicom.privacy.taken import charset_of
from algorithms.dicom.pseudonym import shifted_date

LARGEST_BYTES = 512 * 2**20
"""Size of a file that is read; the child has 1.5 GiB of memory."""

FIRST_BYTES = 16384
"""What is read of a file to tell whose it is; the whole file where that is not enough."""

LARGE_BYTES = 65536
"""Pieces of a file that are written without joining them to others first."""

WHOSE = {0x00100020: "patient", 0x00100010: "name", 0x00100030: "birth", 0x0020000D: "study", 0x0020000E: "series",
         0x00080018: "image", 0x00200013: "number", 0x00200032: "position", 0x00200037: "orientation"}  # fmt: skip

STUMBLES = (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, RecursionError, ZeroDivisionError)
"""What code may raise on a file that is built to make it stumble."""

Failure = tuple[str, str]
"""Kind and sentence."""


def attempted(work: Callable[[str], Any], path: str) -> tuple[Any, Failure | None]:
    """Return what the work makes of a file, or why it made nothing."""
    try:
        return work(path), None
    except Refused as refusal:
        return None, (refusal.kind, str(refusal))
    except PermissionError:
        return None, ("not readable", "the file may not be read; give this user the right to read it")
    except MemoryError:
        return None, ("too large", "the file takes too much memory; ask the site to send it again")
    except STUMBLES:
        return None, ("damaged", "the file is damaged; ask the site to send it again")


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        if size > LARGEST_BYTES:
            raise Refused(
                "too large", f"the file has {size >> 20} MiB, wanted at most {LARGEST_BYTES >> 20}; send single images"
            )
        data = os.read(file, size)
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


class Survey:
    """Tells of each file whose it is: patient, study, series, and its place in the series; identifying, kept in memory.

    ``context`` holds the folder ``source``, and under ``also`` tags and names of what else is to be told.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._source = context["source"]
        self._readers = Readers()
        self._known: dict[str, Stretches[tuple[int, bytes], dict[int, bytes]]] = {}
        self._wanted = [*WHOSE.items(), *context.get("also", ())]
        self._tags = frozenset(tag for tag, _ in self._wanted)

    def __call__(self, names: list[str]) -> list[list[Any]]:
        """Return (values, failure) of each file."""
        return [list(attempted(self._whose, f"{self._source}/{name}")) for name in names]

    def _whose(self, path: str) -> dict[str, str]:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(file, FIRST_BYTES)
        finally:
            os.close(file)
        if not is_dicom(data):
            raise Refused("not DICOM", "the file is not a DICOM file; it stays where it is")
        if len(data) == FIRST_BYTES and DEFLATED.encode() not in data[:1024]:
            try:
                return self._values(data)
            except Refused:
                pass
        return self._values(_read(path))

    def _values(self, data: bytes) -> dict[str, str]:
        file = read(data, self._readers)
        terms = charset_of(file.data, file.reader.top(file.data, file.start))
        known = self._known.setdefault(file.transfer_syntax, Stretches(self._asked))
        found: dict[int, bytes] = {}
        alone: list[tuple[bytes, tuple[int, bytes]] | None] = []
        for piece in file.reader.walk(file.data, file.start, known, until=0x00210000):
            if isinstance(piece, Stretch):
                found |= piece.sum
                alone.append(None)
            else:
                tag, _, begin, value, stop, end = piece
                alone.append((file.data[begin:end], (tag, file.data[value:stop])))
        found |= self._asked(one[1] for one in alone if one is not None)
        known.seen(alone)
        return {name: decoded(found[tag], terms).strip(" \0") for tag, name in self._wanted if tag in found}

    def _asked(self, values: Iterable[tuple[int, bytes]]) -> dict[int, bytes]:
        return {tag: value for tag, value in values if tag in self._tags}


class Cleaning:
    """Writes the images of one patient's study without identity.

    ``context`` holds the folders ``source`` and ``target``, the subject and the site's policy.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._source, self._target = context["source"], context["target"]
        self._subject = Subject(bytes.fromhex(context["secret"]), context["patient"], context["study"])
        self._engine = Engine(policy_of(context["policy"]), self._subject)

    def __call__(self, pairs: list[list[str]]) -> dict[str, Any]:
        """Write each (file, output name); return failures and bytes written, and what was done since the last batch."""
        engine = self._engine
        results = []
        blanked = []
        for name, output in pairs:
            cleaned, failure = attempted(lambda path: engine.clean(_read(path)), f"{self._source}/{name}")
            if failure is None:
                _write(f"{self._target}/{output}", cleaned.pieces)
                if cleaned.blanked:
                    blanked.append(name)
            results.append(failure)
        fresh = engine.fresh()
        actions = [[keyword, action, count] for (keyword, action), count in sorted(engine.actions.items())]
        engine.actions.clear()
        days = self._subject.days
        return {
            "failures": results,
            "blanked": blanked,
            "actions": actions,
            "taken": [[t.keyword, t.kind, t.text] for t in fresh],
            "kept": sorted(engine.kept),
            "retained": sorted(engine.retained),
            "dates": sorted({shifted_date(t.text, days) for t in fresh if t.kind in {"DA", "DT"}} - {""}),
        }


def _write(path: str, pieces: list[Any]) -> None:
    """Write the pieces of a file one after the other, without joining the pixels to the rest first."""
    large = [index for index, piece in enumerate(pieces) if len(piece) >= LARGE_BYTES]
    cut = large[0] if large else len(pieces)
    left = [memoryview(piece) for piece in (b"".join(pieces[:cut]), *pieces[cut:]) if len(piece)]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        while left:
            written = os.writev(file, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
    finally:
        os.close(file)
