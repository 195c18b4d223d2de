"""The cipher of the vault: AES-256-GCM in blocks, under keys that come from another one by HKDF-SHA256.

Sealed content is a magic word, a salt, and blocks of 1 MiB, each sealed under a key of the content's own.  The nonce holds the
block's number and whether it is the last one, so blocks cannot be swapped, left out or cut off.  The salt is a keyed hash of
name and content: equal content under one name is sealed to equal bytes, and an upload can be repeated.

References
----------
Hoang et al., *Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance*, CRYPTO 2015, section 7 (STREAM).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from algorithms.contract.errors import DataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
SALT_BYTES = 32
BLOCK_BYTES = 2**20
MAGIC = b"HEARTWOOD-1\n"


def seal(source: IO[bytes], sink: IO[bytes], key: bytes, name: str, sha256: str) -> None:
    """Write to ``sink`` what ``source`` holds, whose hash is ``sha256``; ``name`` must be told again to open it."""
    salt = _salt(key, name, sha256)
    sealing = cipher(derived(key, salt))
    sink.write(MAGIC + salt)
    for number, (block, last) in enumerate(_blocks(source, BLOCK_BYTES)):
        sink.write(sealing.encrypt(_nonce(number, last), block, name.encode()))


def unseal(source: IO[bytes], sink: IO[bytes], key: bytes, name: str) -> None:
    """Write to ``sink`` what was sealed.

    Raises
    ------
    DataError
        If it is not, in every byte, what was sealed under this key and name; what ``sink`` got is not to be used then.
    """
    from cryptography.exceptions import InvalidTag

    digest = hashlib.sha256()
    refusal = DataError("an encrypted file is damaged, cut off, of another case or under another name; restore the backup")
    if source.read(len(MAGIC)) != MAGIC:
        raise refusal
    salt = source.read(SALT_BYTES)
    sealing = cipher(derived(key, salt))
    for number, (block, last) in enumerate(_blocks(source, BLOCK_BYTES + TAG_BYTES)):
        try:
            plain = sealing.decrypt(_nonce(number, last), block, name.encode())
        except (InvalidTag, ValueError):
            raise refusal from None
        digest.update(plain)
        sink.write(plain)
    if not hmac.compare_digest(salt, _salt(key, name, digest.hexdigest())):
        raise refusal


def cipher(key: bytes) -> AESGCM:
    """Return the cipher with a key of 32 bytes."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def derived(key: bytes, salt: bytes) -> bytes:
    """Return the key of 32 bytes that comes from another one and a salt (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=MAGIC).derive(key)


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
