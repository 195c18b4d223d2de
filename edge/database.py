"""The rows of a spool: studies, instances, counts; what they mean together with the files is `edge.spool`'s affair.

Studies and instances have names of ours, keyed hashes, so there is no identity in here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, step TEXT NOT NULL DEFAULT 'receiving', revision INTEGER NOT NULL DEFAULT 0, expected INTEGER,
    last_arrival REAL NOT NULL, step_at REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0, dead TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS instances (
    instance TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, sha256 TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS instances_of_study ON instances (study);
CREATE TABLE IF NOT EXISTS sent (instance TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL, last_at REAL NOT NULL) STRICT;
"""


class Step(StrEnum):
    """How far a study has come."""

    RECEIVING = "receiving"
    DEIDENTIFIED = "deidentified"
    SEALED = "sealed"
    SENT = "sent"
    ANNOUNCED = "announced"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Study:
    """A study as the spool knows it; times are seconds since 1970, ``dead`` says why nobody works on it any more."""

    study: str
    step: Step
    revision: int
    expected: int | None
    last_arrival: float
    step_at: float
    attempts: int
    next_try: float
    dead: str | None
    instances: int


@dataclass(frozen=True)
class Row:
    """An instance on its way into the database."""

    instance: str
    study: str
    sha256: str
    expected: int | None


class Database:
    """The database of a spool; any number of threads may use it, and other processes through their own.

    Who does several things that belong together holds ``lock``, or `transaction` if they are to be one.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # in WAL mode the default would lose the last commits with the power
        self._db.executescript(TABLES)

    def close(self) -> None:
        """Close it."""
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have all changes within committed, or none of them."""
        with self.lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def insert(self, row: Row, now: float) -> None:
        """Add an instance, within a `transaction`: its study has a revision more and begins again."""
        self._db.execute(
            "INSERT INTO studies (study, expected, last_arrival, revision) VALUES (?1, ?2, ?3, 1) "
            "ON CONFLICT DO UPDATE SET expected = coalesce(?2, expected), last_arrival = ?3, revision = revision + 1, "
            "step = 'receiving', attempts = 0, next_try = 0, dead = NULL",
            (row.study, row.expected, now),
        )
        self._db.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", (row.instance, row.study, row.sha256))

    def count(self, name: str, now: float) -> None:
        """Count one thing that happened, within a `transaction`."""
        self._db.execute(
            "INSERT INTO counts VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET count = count + 1, last_at = ?2", (str(name), now)
        )

    def counts(self) -> dict[str, tuple[int, float]]:
        """Return how often each counted thing happened, and when last."""
        with self.lock:
            rows: Sequence[tuple[str, int, float]] = self._db.execute("SELECT name, count, last_at FROM counts").fetchall()
        return {name: (count, at) for name, count, at in rows}

    def instance(self, instance: str) -> Row | None:
        """Return the row of an instance."""
        with self.lock:
            found = self._db.execute("SELECT study, sha256 FROM instances WHERE instance = ?", (instance,)).fetchone()
        return Row(instance, found[0], found[1], None) if found else None

    def instances(self) -> list[tuple[str, str]]:
        """Return the names of every instance: its study's and its own."""
        with self.lock:
            rows: list[tuple[str, str]] = self._db.execute("SELECT study, instance FROM instances").fetchall()
        return rows

    def studies(self) -> list[Study]:
        """Return every study, the one that has waited longest first."""
        with self.lock:
            rows = self._db.execute(
                "SELECT study, step, revision, expected, last_arrival, step_at, attempts, next_try, dead, "
                "(SELECT count(*) FROM instances WHERE instances.study = studies.study) FROM studies ORDER BY last_arrival"
            ).fetchall()
        return [Study(row[0], Step(row[1]), *row[2:]) for row in rows]

    def expect(self, study: str, instances: int, now: float) -> None:
        """Note how many instances a study has, which may not have begun to arrive."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO studies (study, expected, last_arrival) VALUES (?1, ?2, ?3) "
                "ON CONFLICT DO UPDATE SET expected = ?2",
                (study, instances, now),
            )

    def resume(self, missing: Sequence[tuple[str, str]], now: float) -> None:
        """Drop the instances (study, instance) whose files are gone, and let what was on its way begin to wait at ``now``."""
        with self.transaction():
            for study, instance in missing:
                self._db.execute("DELETE FROM instances WHERE instance = ?", (instance,))
                self._db.execute("UPDATE studies SET revision = revision + 1 WHERE study = ?", (study,))
            # While nobody listened nothing could come: what was on its way gets its time anew.
            self._db.execute("UPDATE studies SET last_arrival = max(last_arrival, ?) WHERE step = 'receiving'", (now,))
            self._db.execute(
                "DELETE FROM studies WHERE expected IS NULL AND study NOT IN (SELECT study FROM instances)",
            )

    def update(self, study: Study, changes: Mapping[str, Any], counted: Sequence[str], now: float) -> bool:
        """Change a study's columns and count; returns False where an instance has come since ``study`` was read."""
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self.transaction():
            done = self._db.execute(
                f"UPDATE studies SET {assignments} WHERE study = ? AND revision = ?",
                (*changes.values(), study.study, study.revision),
            ).rowcount
            for name in counted if done else ():
                self.count(name, now)
        return bool(done)

    def revive(self, studies: Iterable[str], changes: Mapping[str, Any]) -> int:
        """Change the columns of dead letters among ``studies``; return how many there were."""
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self.transaction():
            return sum(
                self._db.execute(
                    f"UPDATE studies SET {assignments} WHERE study = ? AND dead IS NOT NULL",
                    (*changes.values(), study),
                ).rowcount
                for study in studies
            )

    def remember_sent(self, study: Study) -> None:
        """Note of every instance of a study when it was announced."""
        with self.transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO sent SELECT instance, ? FROM instances WHERE study = ?",
                (study.step_at, study.study),
            )

    def was_sent(self, instance: str) -> bool:
        """Return whether an instance is noted as sent."""
        with self.lock:
            found = self._db.execute("SELECT 1 FROM sent WHERE instance = ?", (instance,)).fetchone()
        return found is not None

    def forget_sent(self, before: float) -> None:
        """Forget what was sent before then."""
        with self.transaction():
            self._db.execute("DELETE FROM sent WHERE at < ?", (before,))

    def remove(self, study: str) -> None:
        """Remove a study with its instances."""
        with self.transaction():
            self._db.execute("DELETE FROM instances WHERE study = ?", (study,))
            self._db.execute("DELETE FROM studies WHERE study = ?", (study,))
