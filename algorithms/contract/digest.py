"""Names of content: the sha256 of a file or of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


def sha256_path(path: Path) -> str:
    """Return the sha256 of a file's bytes, or of a folder's sorted listing of relative paths and file hashes."""
    if path.is_dir():
        return sha256_listing({p.relative_to(path).as_posix(): sha256_path(p) for p in _files(path)})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_entries(folder: Path) -> dict[str, str]:
    """Return the sha256 of each entry of a folder, by name, sorted."""
    return {path.name: sha256_path(path) for path in sorted(folder.iterdir())}


def sha256_listing(entries: Mapping[str, str]) -> str:
    """Return the sha256 of a collection from those of its entries; that of `sha256_path` where all entries are files."""
    listing = "".join(f"{name}\0{sha256}\n" for name, sha256 in sorted(entries.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in _files(path)) if path.is_dir() else path.stat().st_size


def _files(folder: Path) -> list[Path]:
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).as_posix())
