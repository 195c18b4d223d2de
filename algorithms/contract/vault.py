"""A data key for each case, and what is encrypted under it: destroy the key, and nobody reads it again.

::

    vault/secret               the home's secret
    vault/keys/<case id>       the case's data key (AES-256), wrapped by the secret or by KMS (wrapping.py), mode 0600
    vault/identities/<case id> who the case is about (identity.py), sealed under its data key, mode 0600
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from algorithms.contract.case import CASE_ID, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.seal import KEY_BYTES, seal, unseal
from algorithms.contract.wrapping import wrapping_for_new, wrapping_of

KEYS = "keys"
"""Folder in the vault of the data keys."""

IDENTITIES = "identities"
"""Folder in the vault of the records of who a case is about."""


def data_key(home: Home, case_id: str) -> bytes:
    """Return the data key of a case, made when it is first asked for."""
    path = _place(home, case_id)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        wrapped = wrapping_for_new(home).wrap(secrets.token_bytes(KEY_BYTES), case_id)
        draft = path.with_name(f".{case_id}-{secrets.token_hex(8)}")
        with new_file(draft) as file:
            file.write(wrapped)
        # link() refuses to replace: of two first callers both end with the same key.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        flush_folder(path.parent)
    return read_key(home, case_id)


def read_key(home: Home, case_id: str) -> bytes:
    """Return the data key of a case; raises `DataError` if it has none, or it was destroyed."""
    try:
        wrapped = _place(home, case_id).read_bytes()
    except FileNotFoundError:
        raise DataError(f"case {case_id} has no data key: nothing was encrypted for it, or it was shredded") from None
    return wrapping_of(home, wrapped).unwrap(wrapped, case_id)


def has_key(home: Home, case_id: str) -> bool:
    """Return whether a case has a data key."""
    return _place(home, case_id).exists()


def destroy_key(home: Home, case_id: str) -> None:
    """Overwrite and remove the data key of a case; one that is gone stays gone."""
    path = _place(home, case_id)
    # A killed first caller may have left a second name of the same file.
    for name in [*path.parent.glob(f".{case_id}-*"), path]:
        try:
            with name.open("r+b") as file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
            name.unlink()
        except FileNotFoundError:
            continue
    if path.parent.exists():
        flush_folder(path.parent)
    # Nobody can read it any more; without it, an examination that is sent again is remembered anew.
    (home.vault / IDENTITIES / case_id).unlink(missing_ok=True)


def encrypt(path: Path, sealed: Path, key: bytes, name: str) -> None:
    """Write a file to ``sealed``, encrypted under the data key of its case; ``name`` must be told again to read it."""
    with path.open("rb") as source, sealed.open("wb") as sink:
        seal(source, sink, key, name, sha256_path(path))


def decrypt(sealed: Path, path: Path, key: bytes, name: str) -> None:
    """Write to ``path`` what was encrypted.

    Raises
    ------
    DataError
        If it is not, in every byte, what was encrypted under this key and name; ``path`` is not to be used then.
    """
    with sealed.open("rb") as source, path.open("wb") as sink:
        unseal(source, sink, key, name)


def _place(home: Home, case_id: str) -> Path:
    if not CASE_ID.fullmatch(case_id):
        raise DataError("a case id is 16 hexadecimal digits")
    return home.vault / KEYS / case_id


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file of mode 0600 that is on the disk at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
