"""A data key in an envelope that one recipient can open: what is encrypted under it can go through anybody's store.

``python -m algorithms.contract.envelope KEY_FILE`` makes the recipient's private key (mode 0600) where there is none, and
prints the public key, which is no secret.

An envelope is an ephemeral X25519 public key and the data key encrypted by AES-256-GCM under what HKDF-SHA256 derives from the
agreement of the two.  The ephemeral key is derived from the data key and the recipient, so that the same data key is put into
the same envelope: an upload that is repeated is the same upload.

References
----------
RFC 7748 (X25519); RFC 5869 (HKDF).  Fujisaki and Okamoto, *Secure Integration of Asymmetric and Symmetric Encryption Schemes*,
CRYPTO 1999: randomness derived from the message, which must be hard to guess (here 256 random bits).
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES = 32
TAG_BYTES = 16
ENVELOPE = re.compile(r"[0-9a-f]{160}")
"""An envelope: 32 bytes of ephemeral public key, 32 of data key, 16 of tag, in hexadecimal digits."""

PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


def public_key(path: Path) -> str:
    """Return the public key (64 hexadecimal digits) of the private key in a file, which is made where there is none.

    Raises
    ------
    DataError
        If the file holds no private key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = X25519PrivateKey.generate().private_bytes_raw().hex()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{made}\n")
    return _private(path).public_key().public_bytes_raw().hex()


def seal(data_key: bytes, recipient: str) -> str:
    """Return the envelope of a data key for the owner of a public key; raises `DataError` for what is no public key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not PUBLIC_KEY.fullmatch(recipient):
        raise DataError("a public key is 64 hexadecimal digits, as python -m algorithms.contract.envelope KEY_FILE prints it")
    theirs = bytes.fromhex(recipient)
    ephemeral = X25519PrivateKey.from_private_bytes(_derived(data_key, theirs, b"heartwood ephemeral"))
    ours = ephemeral.public_key().public_bytes_raw()
    agreed = ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
    # The key is used once, so that its nonce may be constant.
    sealed = AESGCM(_derived(agreed, ours + theirs, b"heartwood envelope")).encrypt(bytes(12), data_key, None)
    return (ours + sealed).hex()


def unseal(envelope: str, private_key: Path) -> bytes:
    """Return the data key in an envelope.

    Raises
    ------
    DataError
        If it is for another recipient, or was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content = bytes.fromhex(envelope)
    ours, sealed = content[:KEY_BYTES], content[KEY_BYTES:]
    private = _private(private_key)
    theirs = private.public_key().public_bytes_raw()
    try:
        agreed = private.exchange(X25519PublicKey.from_public_bytes(ours))
        return AESGCM(_derived(agreed, ours + theirs, b"heartwood envelope")).decrypt(bytes(12), sealed, None)
    except (InvalidTag, ValueError):
        raise DataError(
            "the upload is encrypted for another recipient, or was changed; send it with this platform's key"
        ) from None


def _private(path: Path) -> X25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except FileNotFoundError:
        raise DataError("there is no private key; make it with python -m algorithms.contract.envelope KEY_FILE") from None
    except ValueError:
        raise DataError("the file of the private key does not hold 64 hexadecimal digits; restore it from the backup") from None


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=purpose).derive(secret)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    parser = argparse.ArgumentParser(
        "python -m algorithms.contract.envelope", description="Print the public key for which uploads are encrypted."
    )
    parser.add_argument("key_file", type=Path, metavar="KEY_FILE", help="the private key; made where there is none")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print(public_key(options.key_file)), logging.getLogger("algorithms.contract.envelope"))


def _print(text: str) -> int:
    print(text)  # noqa: T201 - the command's result
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
