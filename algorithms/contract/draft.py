"""Where a result is written before it is published: a folder that no reader looks into."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from algorithms.contract.errors import DataError


@contextmanager
def draft(place: Path) -> Iterator[Path]:
    """Yield a new folder below ``place`` that is gone at the end; one that a killed run of this machine left goes now.

    Raises
    ------
    DataError
        If ``place`` cannot be written.
    """
    host = socket.gethostname()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob(f".draft-{host}-*"):
            if not psutil.pid_exists(int(old.name.split("-")[-2])):
                shutil.rmtree(old, ignore_errors=True)
        folder = place / f".draft-{host}-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise DataError(
            f"cannot write into the case folder ({error.strerror}); give this user the right to, or move it"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_draft(place: Path, key: str) -> Iterator[Path]:
    """Yield the folder of an unfinished result, with what an earlier run of the same key has left in it.

    It stays after an interruption and goes when the result is published or the data are refused.  Of two runs at once the
    second gets a `draft` of its own.
    """
    with draft(place) as other:
        folder = place / f".unfinished-{key[:12]}"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield other
                return
            try:
                yield folder
            except DataError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)
