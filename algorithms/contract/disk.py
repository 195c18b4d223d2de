"""What a result needs of the disk under the case folder: room for all of it, and to be there after a power loss."""

from __future__ import annotations

import os
from pathlib import Path

from algorithms.contract.errors import TransientError

LEAST_ROOM_BYTES = 64 * 2**10
"""A disk with less is full: what did not fit may have been cut without a word."""


def require_room(folder: Path) -> None:
    """Return if the disk under ``folder`` has room left.

    Some libraries write what there is room for and say nothing, others say that they cannot write and not why.

    Raises
    ------
    TransientError
        If it is full.
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < LEAST_ROOM_BYTES:
        raise TransientError("the disk of the case folder is full; make room on it")


def flush(folder: Path) -> None:
    """Have every file below ``folder`` written to the disk, so that a result that is there after a power loss is whole."""
    for path in [*(p for p in folder.rglob("*") if not p.is_symlink()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
