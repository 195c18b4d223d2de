"""What has been received and what became of it: files below one folder, and a SQLite database that says the same.

::

    home/
      spool.db                          instances, studies, counts; names are keyed hashes, so it holds no identity
      incoming/                         what is being received; nobody was told that it is here
      studies/<study>/<instance>.dcm    acknowledged originals; identifying
      aside/<study>/                    other bytes under a UID that is here already; identifying
      work/<study>/                     what the steps make of a study
      quarantine/<study>/               what de-identification would not let go; identifying
      records/<study>/                  what de-identification says of its work; nothing identifying
      erased/                           on the way out

An instance is acknowledged when its file and the name of its file are on the disk and its row is committed, in this order.  So
after a kill the folder is right: a file without a row is adopted, a row without a file is dropped (`Spool.recover`).

Every new instance raises its study's ``revision``.  A step is recorded for the revision that it worked on only, so what
arrives meanwhile sends the study back to be done again, whole.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.contract.store.unfinished import flush
from edge.head import Head, of_file

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

NAME_DIGITS = 16
"""Of a study or an instance: 64 bits of a keyed hash, as a case id has."""


class Step(StrEnum):
    """How far a study has come."""

    RECEIVING = "receiving"
    DEIDENTIFIED = "deidentified"
    SEALED = "sealed"
    SENT = "sent"
    ANNOUNCED = "announced"
    DISCARDED = "discarded"


class Arrived(StrEnum):
    """What an instance turned out to be."""

    NEW = "received"
    DUPLICATE = "duplicates"
    OTHER_BYTES = "aside"


class Whereabouts(StrEnum):
    """What the spool can say of an instance; ``CONTRADICTED`` is one that came with two contents."""

    HERE = "here"
    SENT = "sent"
    CONTRADICTED = "contradicted"
    UNKNOWN = "unknown"


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


class Spool:
    """The spool in a folder; any number of threads may use it, and other processes through their own."""

    def __init__(self, home: Path, secret: bytes) -> None:
        self.home = home
        self._secret = secret
        self._lock = threading.RLock()
        for name in ("incoming", "studies", "aside", "work", "erased"):
            (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        flush(home)
        self._db = sqlite3.connect(home / "spool.db", timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # in WAL mode the default would lose the last commits with the power
        self._db.executescript(TABLES)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def study_name(self, StudyInstanceUID: str) -> str:
        """Return what a study is called here: nothing that can be computed without the secret."""
        return self._name("study", StudyInstanceUID)

    def folder(self, study: str) -> Path:
        """Return where a study's originals are."""
        return self.home / "studies" / study

    def work(self, study: str) -> Path:
        """Return where a study's steps leave what they made."""
        return self.home / "work" / study

    def free_bytes(self) -> int:
        """Return what the disk still takes."""
        disk = os.statvfs(self.home)
        return disk.f_bavail * disk.f_frsize

    def receive(self, head: Head, transfer_syntax: str, meta: bytes, content: bytes | memoryview, now: float) -> Arrived:
        """Keep an instance; when this returns it survives a power loss.

        Parameters
        ----------
        head
            Of ``content``.
        transfer_syntax
            How ``content`` is encoded.
        meta
            Preamble, prefix and file meta information.
        content
            The data set as it came.
        now
            Seconds since 1970.

        Raises
        ------
        OSError, sqlite3.Error
            If it cannot be kept; then nothing of it is.
        """
        instance, study = self._name("instance", head.SOPInstanceUID), self.study_name(head.StudyInstanceUID)
        digest = _sha256(transfer_syntax, content)
        known = self._known(instance)
        if known and known.sha256 == digest:
            self.count(Arrived.DUPLICATE, now)
            return Arrived.DUPLICATE
        draft = self.home / "incoming" / secrets.token_hex(8)
        try:
            with draft.open("xb") as file:
                file.write(meta)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                known = self._known(instance)  # another association may have been faster
                if known is None:
                    self._place(draft, Row(instance, study, digest, head.expected), now)
                    return Arrived.NEW
                if known.sha256 == digest:
                    self.count(Arrived.DUPLICATE, now)
                    return Arrived.DUPLICATE
                # With the study whose image it contradicts, whatever study it names itself: they go together.
                _rename(draft, self.home / "aside" / known.study / f"{instance}-{digest[:NAME_DIGITS]}.dcm")
                self.count(Arrived.OTHER_BYTES, now)
                return Arrived.OTHER_BYTES
        finally:
            draft.unlink(missing_ok=True)

    def whereabouts(self, SOPInstanceUID: str) -> tuple[Whereabouts, Path | None]:
        """Return where an instance is, and its file if that is here; what was sent and removed is known until `forget_sent`."""
        instance = self._name("instance", SOPInstanceUID)
        with self._lock:
            known = self._known(instance)
            sent = self._db.execute("SELECT 1 FROM sent WHERE instance = ?", (instance,)).fetchone()
        if known is None:
            return (Whereabouts.SENT if sent else Whereabouts.UNKNOWN), None
        others = any((self.home / "aside" / known.study).glob(f"{instance}-*.dcm"))
        return (Whereabouts.CONTRADICTED if others else Whereabouts.HERE), self.folder(known.study) / f"{instance}.dcm"

    def forget_sent(self, before: float) -> None:
        """Forget the instances of studies that were sent before then and are gone."""
        with self._transaction():
            self._db.execute("DELETE FROM sent WHERE at < ?", (before,))

    def expect(self, study: str, instances: int, now: float) -> None:
        """Note how many instances a study has, which may not have begun to arrive."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO studies (study, expected, last_arrival) VALUES (?1, ?2, ?3) "
                "ON CONFLICT DO UPDATE SET expected = ?2",
                (study, instances, now),
            )

    def recover(self, now: float) -> dict[str, int]:
        """Bring database and folder together after whatever ended the last process; return what was done, as counts."""
        with self._lock:
            for folder in (self.home / "incoming", self.home / "erased"):
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            known = {f"{study}/{instance}.dcm" for study, instance in self._db.execute("SELECT study, instance FROM instances")}
            found = {p.relative_to(self.home / "studies").as_posix() for p in (self.home / "studies").glob("*/*.dcm")}
            for extra in sorted(found - known):
                self._adopt(self.home / "studies" / extra, now)
            with self._transaction():
                for missing in sorted(known - found):
                    self._db.execute("DELETE FROM instances WHERE instance = ?", (Path(missing).stem,))
                    self._db.execute("UPDATE studies SET revision = revision + 1 WHERE study = ?", (Path(missing).parent.name,))
                # While nobody listened nothing could come: what was on its way gets its time anew.
                self._db.execute("UPDATE studies SET last_arrival = max(last_arrival, ?) WHERE step = 'receiving'", (now,))
                self._db.execute(
                    "DELETE FROM studies WHERE expected IS NULL AND study NOT IN (SELECT study FROM instances)",
                )
        return {"adopted": len(found - known), "dropped": len(known - found)}

    def studies(self) -> list[Study]:
        """Return every study, the one that has waited longest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT study, step, revision, expected, last_arrival, step_at, attempts, next_try, dead, "
                "(SELECT count(*) FROM instances WHERE instances.study = studies.study) FROM studies ORDER BY last_arrival"
            ).fetchall()
        return [Study(row[0], Step(row[1]), *row[2:]) for row in rows]

    def advance(self, study: Study, step: Step, now: float) -> bool:
        """Record that a step is done; returns False where an instance has come since ``study`` was read."""
        changes = {"step": step, "step_at": now, "attempts": 0, "next_try": 0.0}
        return self._update(study, changes, [step] if step == Step.ANNOUNCED else [], now)

    def put_off(self, study: Study, until: float) -> bool:
        """Record that a step failed for reasons that pass; it is tried again at ``until``."""
        return self._update(study, {"attempts": study.attempts + 1, "next_try": until}, [], 0)

    def give_up(self, study: Study, reason: str) -> bool:
        """Make a dead letter of a study; ``reason`` must hold nothing that identifies."""
        return self._update(study, {"dead": reason}, [], 0)

    def redrive(self, studies: Iterable[str]) -> int:
        """Have dead letters tried again as they are, from the step that failed; return how many there were."""
        return self._revive(studies, {"expected": None, "dead": None, "attempts": 0, "next_try": 0.0})

    def discard(self, studies: Iterable[str]) -> int:
        """Have dead letters removed with their originals, for good; return how many there were."""
        return self._revive(studies, {"step": Step.DISCARDED, "dead": None})

    def erase(self, study: Study) -> bool:
        """Remove a study with all that was kept of it; returns False where an instance has come since ``study`` was read."""
        gone = self.home / "erased" / secrets.token_hex(8)
        with self._lock:
            if study.step == Step.ANNOUNCED:
                with self._transaction():
                    self._db.execute(
                        "INSERT OR REPLACE INTO sent SELECT instance, ? FROM instances WHERE study = ?",
                        (study.step_at, study.study),
                    )
            if not self._update(study, {"step": Step.DISCARDED}, [], 0):
                return False
            # Files go first, in one step each: rows without a file are dropped after a kill, files without a row adopted.
            gone.mkdir()
            for name in ("studies", "aside", "work", "quarantine"):
                place = self.home / name / study.study
                if place.exists():
                    place.rename(gone / name)
                    flush(place.parent)
            with self._transaction():
                self._db.execute("DELETE FROM instances WHERE study = ?", (study.study,))
                self._db.execute("DELETE FROM studies WHERE study = ?", (study.study,))
        shutil.rmtree(gone)
        return True

    def count(self, name: str, now: float) -> None:
        """Count one thing that happened."""
        with self._transaction():
            self._count(name, now)

    def counts(self) -> dict[str, tuple[int, float]]:
        """Return how often each counted thing happened, and when last."""
        with self._lock:
            rows: Sequence[tuple[str, int, float]] = self._db.execute("SELECT name, count, last_at FROM counts").fetchall()
        return {name: (count, at) for name, count, at in rows}

    def _place(self, draft: Path, row: Row, now: float) -> None:
        place = self.folder(row.study) / f"{row.instance}.dcm"
        try:
            with self._transaction():
                _rename(draft, place)
                self._insert(row, now)
        except BaseException:
            place.unlink(missing_ok=True)  # nobody is told that it is here
            raise

    def _insert(self, row: Row, now: float) -> None:
        self._db.execute(
            "INSERT INTO studies (study, expected, last_arrival, revision) VALUES (?1, ?2, ?3, 1) "
            "ON CONFLICT DO UPDATE SET expected = coalesce(?2, expected), last_arrival = ?3, revision = revision + 1, "
            "step = 'receiving', attempts = 0, next_try = 0, dead = NULL",
            (row.study, row.expected, now),
        )
        self._db.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", (row.instance, row.study, row.sha256))
        self._count(Arrived.NEW, now)

    def _adopt(self, path: Path, now: float) -> None:
        try:
            head, transfer_syntax, start = of_file(path)
        except DataError:  # never acknowledged: somebody put it there
            _rename(path, self.home / "aside" / path.parent.name / path.name)
            return
        digest = _sha256(transfer_syntax, memoryview(path.read_bytes())[start:])
        with self._transaction():
            self._insert(Row(path.stem, path.parent.name, digest, head.expected), now)

    def _known(self, instance: str) -> Row | None:
        with self._lock:
            found = self._db.execute("SELECT study, sha256 FROM instances WHERE instance = ?", (instance,)).fetchone()
        # A commit whose success was not told leaves a row without a file; nobody may be told that it is here.
        if not found or not (self.folder(found[0]) / f"{instance}.dcm").exists():
            return None
        return Row(instance, found[0], found[1], None)

    def _update(self, study: Study, changes: Mapping[str, Any], counted: Sequence[str], now: float) -> bool:
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self._transaction():
            done = self._db.execute(
                f"UPDATE studies SET {assignments} WHERE study = ? AND revision = ?",
                (*changes.values(), study.study, study.revision),
            ).rowcount
            for name in counted if done else ():
                self._count(name, now)
        return bool(done)

    def _revive(self, studies: Iterable[str], changes: Mapping[str, Any]) -> int:
        assignments = ", ".join(f"{column} = ?" for column in changes)
        with self._transaction():
            return sum(
                self._db.execute(
                    f"UPDATE studies SET {assignments} WHERE study = ? AND dead IS NOT NULL",
                    (*changes.values(), study),
                ).rowcount
                for study in studies
            )

    def _count(self, name: str, now: float) -> None:
        self._db.execute(
            "INSERT INTO counts VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET count = count + 1, last_at = ?2", (str(name), now)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _name(self, kind: str, uid: str) -> str:
        return hmac.new(self._secret, f"{kind} {uid}".encode(), hashlib.sha256).hexdigest()[:NAME_DIGITS]


def _sha256(transfer_syntax: str, content: bytes | memoryview) -> str:
    digest = hashlib.sha256(f"{transfer_syntax}\n".encode())
    digest.update(content)
    return digest.hexdigest()


def _rename(draft: Path, place: Path) -> None:
    """Move a file to its place, whose name is on the disk when this returns."""
    if not place.parent.exists():
        place.parent.mkdir(mode=0o700)
        flush(place.parent.parent)
    draft.rename(place)
    flush(place.parent)
