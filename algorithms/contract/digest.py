"""Names of content: the sha256 of a file or of a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_path(path: Path) -> str:
    """Return the sha256 of a file's bytes, or of a folder's sorted listing of relative paths and file hashes."""
    if path.is_dir():
        listing = "".join(f"{p.relative_to(path).as_posix()}\0{sha256_path(p)}\n" for p in _files(path))
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in _files(path)) if path.is_dir() else path.stat().st_size


def _files(folder: Path) -> list[Path]:
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).as_posix())
