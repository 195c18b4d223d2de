"""What a store is, and what its names look like."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Protocol

SHA256 = "sha256"
"""Metadata name of an object's hash, and the suffix of the file beside a file."""

DRAFT = ".draft-"
"""How the name of a file begins that is on its way into a folder."""


class Store(Protocol):
    """Where originals, published reports and models are kept."""

    uri: str

    def put_file(self, path: Path, name: str) -> str:
        """Store a file under ``name`` and return its URI.

        Raises
        ------
        FileExistsError
            If other content has that name.
        DataError
            If the file changes while it is stored.
        """
        ...

    def get_file(self, name: str, path: Path) -> Path:
        """Write the object to ``path`` and return it; what a killed call has fetched is not fetched again.

        Raises
        ------
        DataError
            If there is no such object, or it is no longer what was stored.
        """
        ...

    def sha256(self, name: str) -> str | None:
        """Return the sha256 that was stored with the object, or ``None`` where there is no such object."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is an object of this name."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return the names that start with ``prefix``, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove the object of this name; one that is gone stays gone, and a bucket that keeps versions keeps them."""
        ...

    def sweep(self, older_than_s: float) -> int:
        """Remove what uploads have left that were killed so long ago and that nobody went on with; return how many."""
        ...


def checked(name: str) -> str:
    """Return ``name`` if it is one that an object may have, else raise ``ValueError``."""
    path = PurePosixPath(name)
    plain = name == str(path) and not path.is_absolute() and ".." not in path.parts and name.isprintable() and "\\" not in name
    if not plain or name in {"", "."} or name.endswith(f".{SHA256}") or any(part.startswith(DRAFT) for part in path.parts):
        raise ValueError("an object's name is a relative path with / between its parts")
    return name


def same(stored: str | None, digest: str, name: str) -> bool:
    """Return whether the object is there already; raises ``FileExistsError`` if it is another one."""
    if stored is not None and stored != digest:
        raise FileExistsError(f"the store has other content under the name {name}")
    return stored is not None
