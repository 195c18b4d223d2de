"""A data key for each case, and what is encrypted under it: destroy the key, and nobody reads it again.

::

    vault/secret               the home's secret; the key that wraps the others comes from it (HKDF-SHA256)
    vault/keys/<case id>       the case's data key (AES-256), wrapped (AES-256-GCM), mode 0600

An encrypted file is a magic word, a salt, and blocks of 1 MiB, each sealed by AES-256-GCM under a key of the file's own.  The
nonce holds the block's number and whether it is the last one, so blocks cannot be swapped, left out or cut off.  The salt is a
keyed hash of name and content: equal content under one name is encrypted to equal bytes, and an upload can be repeated.

References
----------
Hoang et al., *Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance*, CRYPTO 2015, section 7 (STREAM).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from algorithms.contract.case import CASE_ID, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
SALT_BYTES = 32
BLOCK_BYTES = 2**20
MAGIC = b"HEARTWOOD-1\n"


def data_key(home: Home, case_id: str) -> bytes:
    """Return the data key of a case, made when it is first asked for."""
    path = _place(home, case_id)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = _cipher(_wrapping_key(home)).encrypt(nonce, secrets.token_bytes(KEY_BYTES), case_id.encode())
        draft = path.with_name(f".{case_id}-{secrets.token_hex(8)}")
        with _new(draft) as file:
            file.write(nonce + wrapped)
        # link() refuses to replace: of two first callers both end with the same key.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        _flush_folder(path.parent)
    return read_key(home, case_id)


def read_key(home: Home, case_id: str) -> bytes:
    """Return the data key of a case; raises `DataError` if it has none, or it was destroyed."""
    from cryptography.exceptions import InvalidTag

    path = _place(home, case_id)
    try:
        content = path.read_bytes()
        key: bytes = _cipher(_wrapping_key(home)).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], case_id.encode())
    except FileNotFoundError:
        raise DataError(f"case {case_id} has no data key: nothing was encrypted for it, or it was shredded") from None
    except (InvalidTag, ValueError):
        raise DataError(f"the data key of case {case_id} is damaged, or was made with another secret of the home") from None
    return key


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
        _flush_folder(path.parent)


def encrypt(path: Path, sealed: Path, key: bytes, name: str) -> None:
    """Write a file to ``sealed``, encrypted under the data key of its case; ``name`` must be told again to read it."""
    salt = _salt(key, name, sha256_path(path))
    cipher = _cipher(_derived(key, salt))
    with path.open("rb") as source, sealed.open("wb") as sink:
        sink.write(MAGIC + salt)
        for number, (block, last) in enumerate(_blocks(source, BLOCK_BYTES)):
            sink.write(cipher.encrypt(_nonce(number, last), block, name.encode()))


def decrypt(sealed: Path, path: Path, key: bytes, name: str) -> None:
    """Write to ``path`` what was encrypted.

    Raises
    ------
    DataError
        If it is not, in every byte, what was encrypted under this key and name; ``path`` is not to be used then.
    """
    from cryptography.exceptions import InvalidTag

    digest = hashlib.sha256()
    refusal = DataError("an encrypted file is damaged, cut off, of another case or under another name; restore the backup")
    with sealed.open("rb") as source, path.open("wb") as sink:
        if source.read(len(MAGIC)) != MAGIC:
            raise refusal
        salt = source.read(SALT_BYTES)
        cipher = _cipher(_derived(key, salt))
        for number, (block, last) in enumerate(_blocks(source, BLOCK_BYTES + TAG_BYTES)):
            try:
                plain = cipher.decrypt(_nonce(number, last), block, name.encode())
            except (InvalidTag, ValueError):
                raise refusal from None
            digest.update(plain)
            sink.write(plain)
    if not hmac.compare_digest(salt, _salt(key, name, digest.hexdigest())):
        raise refusal


def _place(home: Home, case_id: str) -> Path:
    if not CASE_ID.fullmatch(case_id):
        raise DataError("a case id is 16 hexadecimal digits")
    return home.vault / "keys" / case_id


def _wrapping_key(home: Home) -> bytes:
    return _derived(bytes.fromhex(home.secret().read_text().strip()), b"heartwood data keys")


def _derived(key: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=MAGIC).derive(key)


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _salt(key: bytes, name: str, sha256: str) -> bytes:
    return hmac.new(key, f"{sha256} {name}".encode(), hashlib.sha256).digest()


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(NONCE_BYTES - 1, "big") + bytes([last])


def _blocks(source: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield blocks and whether each is the last one; an empty file has one empty block."""
    block = source.read(size)
    while True:
        after = source.read(size)
        yield block, not after
        if not after:
            return
        block = after


@contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file of mode 0600 that is on the disk at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
