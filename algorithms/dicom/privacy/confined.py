"""What the confined child does with untrusted files, in batches: tell whose they are, and write them without identity.

Everything that goes in and comes out is JSON.  Of a file that cannot be read the kind and the sentence come back; a batch that
kills its child is tried again file by file (`algorithms.dicom.privacy.study`), so that one hostile file costs itself only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import policy_of
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.privacy.syntax import DEFLATED, Readers, Refused, is_dicom, read
from algorithms.dicom.privacy.taken import charset_of
from algorithms.dicom.pseudonym import shifted_date

LARGEST_BYTES = 512 * 2**20
"""Size of a file that is read; the child has 1.5 GiB of memory."""

FIRST_BYTES = 65536
"""What is read of a file to tell whose it is; the whole file where that is not enough."""

WHOSE = {0x00100020: "patient", 0x00100010: "name", 0x00100030: "birth", 0x0020000D: "study", 0x0020000E: "series",
         0x00080018: "image", 0x00200013: "number", 0x00200032: "position", 0x00200037: "orientation"}  # fmt: skip

STUMBLES = (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, RecursionError, ZeroDivisionError)
"""What code may raise on a file that is built to make it stumble."""

Failure = tuple[str, str]
"""Kind and sentence."""


def attempted(work: Callable[[Path], Any], path: Path) -> tuple[Any, Failure | None]:
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


def _read(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_BYTES:
            raise Refused(
                "too large", f"the file has {size >> 20} MiB, wanted at most {LARGEST_BYTES >> 20}; send single images"
            )
        return file.readall()


class Survey:
    """Tells of each file whose it is: patient, study, series, and its place in the series; identifying, kept in memory."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._source = Path(context["source"])
        self._readers = Readers()

    def __call__(self, names: list[str]) -> list[list[Any]]:
        """Return (values, failure) of each file."""
        return [list(attempted(self._whose, self._source / name)) for name in names]

    def _whose(self, path: Path) -> dict[str, str]:
        with path.open("rb", buffering=0) as file:
            data = file.read(FIRST_BYTES)
            if not is_dicom(data):
                raise Refused("not DICOM", "the file is not a DICOM file; it stays where it is")
            whole = len(data) < FIRST_BYTES
        if not whole and DEFLATED.encode() not in data[:1024]:
            try:
                return self._values(data)
            except Refused:
                pass
        return self._values(_read(path))

    def _values(self, data: bytes) -> dict[str, str]:
        file = read(data, self._readers, until=0x00210000)
        terms = charset_of(file.data, file.spans)
        return {WHOSE[s[0]]: decoded(file.data[s[3] : s[4]], terms).strip(" \0") for s in file.spans if s[0] in WHOSE}


class Cleaning:
    """Writes the images of one patient's study without identity.

    ``context`` holds the folders ``source`` and ``target``, the subject and the site's policy.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._source, self._target = Path(context["source"]), Path(context["target"])
        self._subject = Subject(bytes.fromhex(context["secret"]), context["patient"], context["study"])
        self._engine = Engine(policy_of(context["policy"]), self._subject)

    def __call__(self, pairs: list[list[str]]) -> dict[str, Any]:
        """Write each (file, output name); return failures and bytes written, and what was done since the last batch."""
        engine = self._engine
        results = []
        blanked = []
        for name, output in pairs:
            cleaned, failure = attempted(lambda path: engine.clean(_read(path)), self._source / name)
            if failure is None:
                _write(self._target / output, cleaned.pieces)
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


def _write(path: Path, pieces: list[Any]) -> None:
    """Write the pieces of a file one after the other, without joining the pixels to them first."""
    small = [piece for piece in pieces if len(piece) < FIRST_BYTES]
    if len(small) == len(pieces):
        path.write_bytes(b"".join(pieces))
        return
    large = next(index for index, piece in enumerate(pieces) if len(piece) >= FIRST_BYTES)
    with path.open("wb", buffering=0) as file:
        for piece in (b"".join(pieces[:large]), *pieces[large:]):
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
