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
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.store.unfinished import flush
from edge.database import Database, Row, Step, Study
from edge.head import Head, of_file

NAME_DIGITS = 16
"""Of a study or an instance: 64 bits of a keyed hash, as a case id has."""


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


class Spool:
    """The spool in a folder; any number of threads may use it, and other processes through their own."""

    def __init__(self, home: Path, secret: bytes) -> None:
        self.home = home
        self._secret = secret
        for name in ("incoming", "studies", "aside", "work", "erased"):
            (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        flush(home)
        self._db = Database(home / "spool.db")

    def close(self) -> None:
        """Close the database."""
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
            with self._db.lock:
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
        with self._db.lock:
            known = self._known(instance)
            sent = self._db.was_sent(instance)
        if known is None:
            return (Whereabouts.SENT if sent else Whereabouts.UNKNOWN), None
        others = any((self.home / "aside" / known.study).glob(f"{instance}-*.dcm"))
        return (Whereabouts.CONTRADICTED if others else Whereabouts.HERE), self.folder(known.study) / f"{instance}.dcm"

    def forget_sent(self, before: float) -> None:
        """Forget the instances of studies that were sent before then and are gone."""
        self._db.forget_sent(before)

    def expect(self, study: str, instances: int, now: float) -> None:
        """Note how many instances a study has, which may not have begun to arrive."""
        self._db.expect(study, instances, now)

    def recover(self, now: float) -> dict[str, int]:
        """Bring database and folder together after whatever ended the last process; return what was done, as counts."""
        with self._db.lock:
            for folder in (self.home / "incoming", self.home / "erased"):
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            known = {f"{study}/{instance}.dcm" for study, instance in self._db.instances()}
            found = {p.relative_to(self.home / "studies").as_posix() for p in (self.home / "studies").glob("*/*.dcm")}
            for extra in sorted(found - known):
                self._adopt(self.home / "studies" / extra, now)
            self._db.resume([(Path(missing).parent.name, Path(missing).stem) for missing in sorted(known - found)], now)
        return {"adopted": len(found - known), "dropped": len(known - found)}

    def studies(self) -> list[Study]:
        """Return every study, the one that has waited longest first."""
        return self._db.studies()

    def advance(self, study: Study, step: Step, now: float) -> bool:
        """Record that a step is done; returns False where an instance has come since ``study`` was read."""
        changes = {"step": step, "step_at": now, "attempts": 0, "next_try": 0.0}
        return self._db.update(study, changes, [step] if step == Step.ANNOUNCED else [], now)

    def put_off(self, study: Study, until: float) -> bool:
        """Record that a step failed for reasons that pass; it is tried again at ``until``."""
        return self._db.update(study, {"attempts": study.attempts + 1, "next_try": until}, [], 0)

    def give_up(self, study: Study, reason: str) -> bool:
        """Make a dead letter of a study; ``reason`` must hold nothing that identifies."""
        return self._db.update(study, {"dead": reason}, [], 0)

    def redrive(self, studies: Iterable[str]) -> int:
        """Have dead letters tried again as they are, from the step that failed; return how many there were."""
        return self._db.revive(studies, {"expected": None, "dead": None, "attempts": 0, "next_try": 0.0})

    def discard(self, studies: Iterable[str]) -> int:
        """Have dead letters removed with their originals, for good; return how many there were."""
        return self._db.revive(studies, {"step": Step.DISCARDED, "dead": None})

    def erase(self, study: Study) -> bool:
        """Remove a study with all that was kept of it; returns False where an instance has come since ``study`` was read."""
        gone = self.home / "erased" / secrets.token_hex(8)
        with self._db.lock:
            if study.step == Step.ANNOUNCED:
                self._db.remember_sent(study)
            if not self._db.update(study, {"step": Step.DISCARDED}, [], 0):
                return False
            # Files go first, in one step each: rows without a file are dropped after a kill, files without a row adopted.
            gone.mkdir()
            for name in ("studies", "aside", "work", "quarantine"):
                place = self.home / name / study.study
                if place.exists():
                    place.rename(gone / name)
                    flush(place.parent)
            self._db.remove(study.study)
        shutil.rmtree(gone)
        return True

    def count(self, name: str, now: float) -> None:
        """Count one thing that happened."""
        with self._db.transaction():
            self._db.count(name, now)

    def counts(self) -> dict[str, tuple[int, float]]:
        """Return how often each counted thing happened, and when last."""
        return self._db.counts()

    def _place(self, draft: Path, row: Row, now: float) -> None:
        place = self.folder(row.study) / f"{row.instance}.dcm"
        try:
            with self._db.transaction():
                _rename(draft, place)
                self._db.insert(row, now)
                self._db.count(Arrived.NEW, now)
        except BaseException:
            place.unlink(missing_ok=True)  # nobody is told that it is here
            raise

    def _adopt(self, path: Path, now: float) -> None:
        try:
            head, transfer_syntax, start = of_file(path)
        except DataError:  # never acknowledged: somebody put it there
            _rename(path, self.home / "aside" / path.parent.name / path.name)
            return
        digest = _sha256(transfer_syntax, memoryview(path.read_bytes())[start:])
        with self._db.transaction():
            self._db.insert(Row(path.stem, path.parent.name, digest, head.expected), now)
            self._db.count(Arrived.NEW, now)

    def _known(self, instance: str) -> Row | None:
        row = self._db.instance(instance)
        # A commit whose success was not told leaves a row without a file; nobody may be told that it is here.
        return row if row and (self.folder(row.study) / f"{instance}.dcm").exists() else None

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
