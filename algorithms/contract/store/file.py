"""Objects as files below a folder, each with its sha256 beside it; an object is there when its sha256 is."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store.contract import DRAFT, SHA256, checked, same
from algorithms.contract.store.unfinished import draft, flush, unfinished


class FileStore:
    """A folder as a `Store`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri()

    def put_file(self, path: Path, name: str) -> str:
        """See `Store.put_file`."""
        place = self.root / checked(name)
        digest = sha256_path(path)
        if not same(self.sha256(name), digest, name):
            place.parent.mkdir(parents=True, exist_ok=True)
            with draft(place) as copy:
                shutil.copyfile(path, copy)
                if sha256_path(copy) != digest:
                    raise DataError(f"the file for {name} changed while it was stored; store it again")
                flush(copy)
                self._create(copy, place, digest, name)
            with draft(_beside(place)) as note:
                note.write_text(f"{digest}  {place.name}\n")
                flush(note)
                note.rename(_beside(place))
            flush(place.parent)
        return f"{self.uri}/{name}"

    def get_file(self, name: str, path: Path) -> Path:
        """See `Store.get_file`."""
        wanted = self.sha256(name)
        if wanted is None:
            raise DataError(f"no object {name} in the store")
        with unfinished(path, wanted) as copy:
            shutil.copyfile(self.root / name, copy)
            if sha256_path(copy) != wanted:
                raise DataError(f"object {name} is not what was stored; restore it from the backup or make it again")
            copy.rename(path)
        return path

    def sha256(self, name: str) -> str | None:
        """See `Store.sha256`."""
        place = self.root / checked(name)
        try:
            return _beside(place).read_text().split()[0] if place.is_file() else None
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """See `Store.exists`."""
        return self.sha256(name) is not None

    def list(self, prefix: str = "") -> list[str]:
        """See `Store.list`."""
        names = {p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file()}
        return sorted(n for n in names if n.startswith(prefix) and f"{n}.{SHA256}" in names)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        place = self.root / checked(name)
        # An object is there when its sha256 is, so that goes first.
        _beside(place).unlink(missing_ok=True)
        place.unlink(missing_ok=True)

    def sweep(self, older_than_s: float) -> int:
        """See `Store.sweep`."""
        latest = time.time() - older_than_s
        old = [p for p in self.root.rglob(f"{DRAFT}*") if p.stat().st_mtime <= latest]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    @staticmethod
    def _create(copy: Path, place: Path, digest: str, name: str) -> None:
        try:
            # Unlike a rename it never replaces: of two writers the first one's content stays.
            os.link(copy, place)
        except FileExistsError:
            # One who was killed, or is about to, has not written the hash yet.
            same(sha256_path(place), digest, name)
        except OSError:
            # A file system without hard links: a moment remains between look and rename.
            if not (place.exists() and same(sha256_path(place), digest, name)):
                copy.rename(place)


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.{SHA256}")
