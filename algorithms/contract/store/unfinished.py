"""Where an object lies until all of it is here: a file beside its place, which a killed process leaves for the next one."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.store.contract import DRAFT

SHOWN = 16
"""Digits of the sha256 in the name of an unfinished file: what it is going to be."""


@contextmanager
def unfinished(place: Path, sha256: str) -> Iterator[Path]:
    """Yield a file beside ``place``, with what an interrupted call for the same content has left in it; rename it when done.

    It stays after an interruption, and goes when the content is refused.  Of two calls at once the second gets another file.
    """
    path = place.with_name(f".unfinished-{sha256[:SHOWN]}")
    while True:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
            if not _is(path, file.fileno()):
                continue  # whoever had it finished between our opening it and our locking it
            try:
                yield path
            except DataError:
                path.unlink(missing_ok=True)
                raise
            return
    with draft(place) as other:
        other.touch()
        yield other


@contextmanager
def draft(place: Path) -> Iterator[Path]:
    """Give a path beside ``place`` that is gone afterwards, unless it was renamed."""
    path = place.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
