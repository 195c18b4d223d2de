"""Where a result is written before it is published: a folder that no reader looks into.

Whoever writes in one holds a lock on it (flock), which ends with the process however that ends.  So one that a killed run has
left is told from one in use on any machine and in any container that shares the file system, whatever its process ids are.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from algorithms.contract.errors import DataError

LOCK = "lock"
"""The file in a draft that its writer holds locked."""


@contextmanager
def draft(place: Path) -> Iterator[Path]:
    """Yield a new folder below ``place`` that is gone at the end; those that killed runs have left go now.

    Raises
    ------
    DataError
        If ``place`` cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        remove_abandoned(place)
        folder, lock = _new(place)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise DataError(
            f"cannot write into the folder of results ({error.strerror}); give this user the right to, or name another"
        ) from error
    try:
        yield folder
    finally:
        lock.close()  # a file that is open cannot be removed from NFS
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_draft(place: Path, key: str) -> Iterator[Path]:
    """Yield the folder of an unfinished result, with what an earlier run of the same key has left in it.

    It stays after an interruption and goes when the result is published or the data are refused.  Of two runs at once the
    second gets a `draft` of its own.
    """
    with draft(place) as other:
        folder = place / f".unfinished-{key[:12]}"
        lock = _taken(folder)
        if lock is None:
            yield other
            return
        try:
            with lock:
                try:
                    yield folder
                except DataError:
                    _put_away(folder)
                    raise
                _put_away(folder)
        finally:
            remove_abandoned(place)


def remove(folder: Path) -> None:
    """Remove a folder in one step, so that nobody finds half of it."""
    _put_away(folder)
    remove_abandoned(folder.parent)


def remove_abandoned(place: Path) -> None:
    """Remove the drafts below ``place`` that nobody writes in."""
    for old in place.glob(".draft-*"):
        try:
            with (old / LOCK).open("r+") as lock:
                if not _locked(lock):
                    continue
                _sweep(old)
        except FileNotFoundError:
            _sweep(old)  # killed while it was being removed, or before it was locked
        except OSError:
            continue  # another user's


def _sweep(old: Path) -> None:
    """Remove a draft, under a name of its own first.

    Who makes a draft may lock and rename it while we look at it; a removal that has opened the folder would follow it there.
    Once the old name is gone, it cannot be renamed any more, and its maker makes another one.
    """
    mine = old.with_name(f".draft-swept-{secrets.token_hex(8)}")
    if _renamed(old, mine):
        shutil.rmtree(mine, ignore_errors=True)


def _new(place: Path) -> tuple[Path, IO[str]]:
    """Return a new draft and the lock on it."""
    while True:
        token = secrets.token_hex(8)
        early, folder = place / f".draft-new-{token}", place / f".draft-{token}"
        early.mkdir()
        # Before it is locked, it looks abandoned: whoever cleans up may take it away, and then another one is made.
        with suppress(FileNotFoundError):
            lock = (early / LOCK).open("w")
            if _locked(lock) and _renamed(early, folder):
                return folder, lock
            lock.close()


def _taken(folder: Path) -> IO[str] | None:
    """Return the lock on a folder that is made where it is missing, or ``None`` while somebody else holds it."""
    while True:
        with suppress(FileNotFoundError):
            folder.mkdir(exist_ok=True)
            lock = (folder / LOCK).open("w")
            if not _locked(lock):
                lock.close()
                return None
            # The run before may have finished, and put the folder away, between our two calls.
            if os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
                return lock
            lock.close()


def _put_away(folder: Path) -> None:
    _renamed(folder, folder.with_name(f".draft-{secrets.token_hex(8)}"))


def _renamed(old: Path, new: Path) -> bool:
    """Return whether there was something to rename."""
    try:
        old.rename(new)
    except FileNotFoundError:
        return False
    return True


def _locked(file: IO[str]) -> bool:
    """Return whether the lock could be taken; it is held until ``file`` is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
