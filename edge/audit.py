"""The audit of a vault: a line for each time that somebody asked who a case is about, in ``vault/audit.jsonl``.

A line is written, and on the disk, before anything is looked up.  Each holds the sha256 of the line before it, so that a line
that was changed or taken out shows; lines cut off at the end do not, unless the last hash is kept elsewhere.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError

FILE = "audit.jsonl"
FIRST = "0" * 64
"""What stands in the place of the hash before the first line."""


def audit_path(home: Home) -> Path:
    """Return where the audit of a home lies."""
    return home.vault / FILE


def append(home: Home, action: str, case_id: str, objects: int) -> None:
    """Write who does what to which case now.

    Raises
    ------
    DataError
        If the line cannot be written; what was to be audited must not be done then.
    """
    try:
        home.vault.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(audit_path(home), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            lines = file.read().splitlines()
            line = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "who": getpass.getuser(),
                "action": action,
                "case_id": case_id,
                "objects": objects,
                "before": hashlib.sha256(lines[-1]).hexdigest() if lines else FIRST,
            }
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"the audit of the vault cannot be written ({error.strerror}); nothing is done without it") from None


def broken(home: Home) -> int | None:
    """Return the number of the first line that does not follow from the one before it, ``None`` where all do."""
    path = audit_path(home)
    before = FIRST
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], start=1):
        try:
            told = json.loads(line)["before"]
        except (ValueError, KeyError, TypeError):
            return number
        if told != before:
            return number
        before = hashlib.sha256(line).hexdigest()
    return None
