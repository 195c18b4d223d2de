"""Arrivals in a watched folder: every upload in it whose manifest is there.

::

    <folder>/<upload>/manifest.json, files/...     as `python -m edge.upload --to file:///<folder>` writes it
    <folder>/.held/<upload>                        who works on it (a lock that ends with its process); a byte an attempt
    <folder>/.refused/<upload>/, <upload>.json     dead letters: the upload, and why
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from algorithms.contract.errors import DataError
from algorithms.contract.intake import MAX_MANIFEST_BYTES, UPLOAD_ID, Message, announcement
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.store import SHA256
from operators.intake.arrivals import Arrival, Letter

LONGEST_PUT_OFF_S = 3600
"""Between two tries of what fails for reasons that pass."""

STRANGE_S = 3600
"""After which a manifest without its sha256 beside it is not one that is being written."""

PUT_OFF_S = 60
"""After the first failure; twice as long after each further one."""


class FolderArrivals:
    """See `operators.intake.arrivals.Arrivals`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, IO[bytes]] = {}

    def waiting(self) -> int:
        """See `Arrivals.waiting`; an upload that somebody works on, or that was put off, is not counted."""
        return sum(self._free(name) for name in self._whole())

    def take(self) -> Arrival | None:
        """See `Arrivals.take`; the oldest first."""
        for left in self.folder.glob(".gone-*"):
            shutil.rmtree(left, ignore_errors=True)
        for name in self._whole():
            if not self._free(name):
                continue
            lock = self._lock(name)
            if lock is None:
                continue
            # Somebody else may have finished it between the look and the lock.
            if not (self.folder / name).exists():
                self._unlock(name, lock)
                continue
            lock.write(b".")
            lock.flush()
            self._locks[name] = lock
            return Arrival(os.fstat(lock.fileno()).st_size, name)
        return None

    def message(self, arrival: Arrival) -> Message:
        """See `Arrivals.message`."""
        if not UPLOAD_ID.fullmatch(arrival.handle):
            raise DataError("the upload's folder is not called by 32 hexadecimal digits; send with python -m edge.upload")
        return _announced(self.folder / arrival.handle)

    @contextmanager
    def held(self, arrival: Arrival) -> Iterator[None]:
        """See `Arrivals.held`."""
        lock = self._locks[arrival.handle]
        try:
            yield
        except BaseException:
            later = time.time() + min(LONGEST_PUT_OFF_S, PUT_OFF_S * 2 ** (arrival.attempts - 1))
            os.utime(lock.fileno(), (later, later))
            raise
        finally:
            self._locks.pop(arrival.handle).close()

    def release(self, arrival: Arrival) -> None:
        """See `Arrivals.release`; the originals go, the inbox has them now."""
        self._remove(self.folder / arrival.handle)
        self._hold(arrival.handle).unlink(missing_ok=True)

    def refuse(self, arrival: Arrival, reason: str) -> None:
        """See `Arrivals.refuse`; the upload is kept, under a name that says nothing."""
        refused = self.folder / ".refused"
        refused.mkdir(exist_ok=True, mode=0o700)
        place = refused / _opaque(arrival.handle)
        _write(place.with_suffix(".json"), {"reason": reason})
        if place.exists():
            self._remove(place)
        (self.folder / arrival.handle).rename(place)
        self._hold(arrival.handle).unlink(missing_ok=True)

    @contextmanager
    def letters(self) -> Iterator[Sequence[Letter]]:
        """See `Arrivals.letters`."""
        yield [self._letter(path) for path in sorted((self.folder / ".refused").glob("*/"))]

    def redrive(self, letter: Letter) -> None:
        """See `Arrivals.redrive`."""
        if letter.message is None:
            raise DataError("the refused upload has no sound manifest; let the site send it again, and discard this one")
        place = self.folder / ".refused" / letter.letter_id
        place.rename(self.folder / letter.letter_id)
        place.with_suffix(".json").unlink(missing_ok=True)

    def discard(self, letter: Letter) -> None:
        """See `Arrivals.discard`."""
        place = self.folder / ".refused" / letter.letter_id
        self._remove(place)
        place.with_suffix(".json").unlink(missing_ok=True)

    def _letter(self, place: Path) -> Letter:
        note = place.with_suffix(".json")
        reason = json.loads(note.read_text())["reason"] if note.exists() else "refused, and no reason was left"
        try:
            message = _announced(place)
        except (DataError, OSError):
            message = None
        return Letter(place.name, reason, message)

    def _whole(self) -> list[str]:
        found = [(path.stat().st_mtime, path) for path in self.folder.glob(f"[!.]*/{MANIFEST}")]
        # An object of a store on disk is there when its sha256 is; another program's upload is refused, in its time.
        return [
            path.parent.name
            for written, path in sorted(found)
            if path.with_name(f"{MANIFEST}.{SHA256}").exists() or time.time() - written > STRANGE_S
        ]

    def _hold(self, name: str) -> Path:
        return self.folder / ".held" / _opaque(name)

    def _free(self, name: str) -> bool:
        """Return whether nobody holds the upload, and it is not put off."""
        path = self._hold(name)
        if not path.exists():
            return True
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return os.fstat(file.fileno()).st_mtime <= time.time()

    def _lock(self, name: str) -> IO[bytes] | None:
        path = self._hold(name)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed the file: then this lock is on nothing.
            if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                return lock
        except BlockingIOError:
            pass
        lock.close()
        return None

    def _remove(self, upload: Path) -> None:
        """Remove an upload: it is gone from its place at once, and what a crash leaves of it goes with the next one."""
        gone = self.folder / f".gone-{secrets.token_hex(8)}"
        upload.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _unlock(self, name: str, lock: IO[bytes]) -> None:
        self._hold(name).unlink(missing_ok=True)
        lock.close()


def _announced(upload: Path) -> Message:
    manifest = upload / MANIFEST
    if manifest.stat().st_size > MAX_MANIFEST_BYTES:
        raise DataError(f"the upload's manifest has more than {MAX_MANIFEST_BYTES // 2**20} MiB; make the upload again")
    return announcement(upload.name, manifest.read_bytes())


def _opaque(name: str) -> str:
    return name if UPLOAD_ID.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()[:32]


def _write(path: Path, document: dict[str, str]) -> None:
    draft = path.with_name(f".draft-{secrets.token_hex(8)}")
    draft.write_text(json.dumps(document) + "\n")
    draft.rename(path)
