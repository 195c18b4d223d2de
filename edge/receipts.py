"""What an archive said of every object that was sent to it, kept in SQLite; no value of a patient is in it.

An object is known by its SOPInstanceUID and the sha256 of its file; an archive by the address that it was sent to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from algorithms.contract.errors import DataError

SENT, FAILED, REFUSED = "sent", "failed", "refused"
"""The archive has it; it may have it later; it will not have it as it is."""

TABLE = """
create table if not exists receipt (
    archive text not null,
    SOPInstanceUID text not null,
    sha256 text not null,
    state text not null check (state in ('sent', 'failed', 'refused')),
    status text not null,
    attempts integer not null,
    at text not null,
    primary key (archive, SOPInstanceUID)
) strict
"""


@dataclass(frozen=True)
class Receipt:
    """The last answer of an archive on one object: ``status`` is its code, ``at`` when it came (UTC)."""

    archive: str
    SOPInstanceUID: str
    sha256: str
    state: str
    status: str
    attempts: int
    at: str


class Receipts:
    """The receipts in one file; open it with `open_receipts`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, archive: str, uid: str) -> Receipt | None:
        """Return the receipt of an object, ``None`` where it was never sent there."""
        row = self._connection.execute(
            "select * from receipt where archive = ? and SOPInstanceUID = ?", (archive, uid)
        ).fetchone()
        return None if row is None else Receipt(*row)

    def wanted(self, archive: str, uid: str, sha256: str) -> bool:
        """Return whether an object is still to be sent.

        Raises
        ------
        DataError
            If the archive has another object under the same UID.
        """
        receipt = self.of(archive, uid)
        if receipt is None or receipt.state != SENT:
            return True
        if receipt.sha256 != sha256:
            raise DataError("the archive has an object of this UID with other content; make the results anew, with new UIDs")
        return False

    def keep(self, archive: str, uid: str, sha256: str, state: str, status: str) -> None:
        """Write down an answer; it is on the disk when this returns."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._connection:
            self._connection.execute(
                "insert into receipt values (?, ?, ?, ?, ?, 1, ?) on conflict (archive, SOPInstanceUID) do update set "
                "sha256 = excluded.sha256, state = excluded.state, status = excluded.status, attempts = attempts + 1, "
                "at = excluded.at",
                (archive, uid, sha256, state, status, at),
            )

    def all(self) -> list[Receipt]:
        """Return every receipt, by archive and UID."""
        rows = self._connection.execute("select * from receipt order by archive, SOPInstanceUID").fetchall()
        return [Receipt(*row) for row in rows]


@contextmanager
def open_receipts(path: Path) -> Iterator[Receipts]:
    """Give the receipts in ``path``, made with mode 0600 where there are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path)
    try:
        connection.execute("pragma synchronous = full")
        connection.execute(TABLE)
        yield Receipts(connection)
    finally:
        connection.close()
