"""A folder as objects below one prefix: its manifest goes last, so a tree is whole where its manifest is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.store.contract import Store


def put_tree(store: Store, folder: Path, prefix: str) -> list[str]:
    """Store every file below ``folder`` under ``prefix``, the folder's manifest last, and return the URIs in that order."""
    files = _manifest_last(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return [store.put_file(folder / name, f"{prefix}/{name}") for name in files]


def get_tree(store: Store, prefix: str, folder: Path) -> Path:
    """Write every object below ``prefix`` into ``folder``, the manifest last, and return it; what is there already stays.

    Raises
    ------
    DataError
        If there is no manifest (nobody has finished storing it), or an object is no longer what was stored.
    """
    names = [name.removeprefix(f"{prefix}/") for name in store.list(f"{prefix}/")]
    if MANIFEST not in names:
        raise DataError(f"the store has no whole {prefix}: its {MANIFEST} is absent")
    for name in _manifest_last(names):
        path = folder / name
        if not (path.is_file() and sha256_path(path) == store.sha256(f"{prefix}/{name}")):
            path.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(f"{prefix}/{name}", path)
    return folder


def _manifest_last(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name == MANIFEST, name))
