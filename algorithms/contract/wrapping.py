"""What wraps the data keys of a home: its own secret, or a key of AWS KMS that never leaves the service.

::

    vault/kms-key              id, ARN or alias of the KMS key; where this file is absent, the secret wraps

Every wrapped key belongs to one case: its id is authenticated with it (KMS calls that an encryption context), so that keys
cannot be exchanged.  What wrapped a key is seen from its bytes: a home that changes over to KMS still reads its earlier keys.
"""

from __future__ import annotations

import secrets
from typing import Any, Protocol

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.seal import NONCE_BYTES, cipher, derived

KMS_KEY = "kms-key"
KMS_MARK = b"HEARTWOOD-KMS\n"
"""Before what KMS returned; a key wrapped by the secret is as good as never begins so: it begins with random bytes."""

ATTEMPTS = 5

TRANSIENT_CODES = frozenset(
    {
        "DependencyTimeoutException",
        "KMSInternalException",
        "KeyUnavailableException",
        "ThrottlingException",
        "LimitExceededException",
    }
)
"""KMS's answers that ask for the same request later (AWS KMS API Reference, Common Errors and Decrypt)."""


class Wrapping(Protocol):
    """Wraps and unwraps the data key of a case."""

    def wrap(self, key: bytes, case_id: str) -> bytes:
        """Return ``key`` as only this wrapping can open it."""

    def unwrap(self, wrapped: bytes, case_id: str) -> bytes:
        """Return what was wrapped; raises `DataError` for anything else."""


class SecretWrapping:
    """By AES-256-GCM under a key that comes from the home's secret."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def wrap(self, key: bytes, case_id: str) -> bytes:
        """See `Wrapping.wrap`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + bytes(cipher(self._key()).encrypt(nonce, key, case_id.encode()))

    def unwrap(self, wrapped: bytes, case_id: str) -> bytes:
        """See `Wrapping.unwrap`."""
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(cipher(self._key()).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], case_id.encode()))
        except (InvalidTag, ValueError):
            raise _damaged(case_id) from None

    def _key(self) -> bytes:
        return derived(bytes.fromhex(self._home.secret().read_text().strip()), b"heartwood data keys")


class KmsWrapping:
    """By a symmetric key of AWS KMS; region, credentials and endpoint are boto3's own settings."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id

    def wrap(self, key: bytes, case_id: str) -> bytes:
        """See `Wrapping.wrap`."""
        answer = self._call("encrypt", case_id, Plaintext=key)
        return KMS_MARK + bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, case_id: str) -> bytes:
        """See `Wrapping.unwrap`."""
        return bytes(self._call("decrypt", case_id, CiphertextBlob=wrapped.removeprefix(KMS_MARK))["Plaintext"])

    def _call(self, operation: str, case_id: str, **content: bytes) -> dict[str, Any]:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            client = boto3.client("kms", config=Config(retries={"mode": "standard", "max_attempts": ATTEMPTS}))
            answer: dict[str, Any] = getattr(client, operation)(
                KeyId=self._key_id, EncryptionContext={"case": case_id}, **content
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in TRANSIENT_CODES:
                raise TransientError(f"KMS answered {code}; {ATTEMPTS} attempts") from error
            if code == "InvalidCiphertextException":
                raise _damaged(case_id) from None
            raise DataError(
                f"KMS refused to {operation} the data key of a case ({code}); see to the key and the right to it"
            ) from None
        except NoCredentialsError:
            raise DataError("no credentials for KMS; give the process a role that may use the key") from None
        except BotoCoreError as error:
            raise TransientError(f"KMS out of reach ({type(error).__name__}); {ATTEMPTS} attempts") from error
        return answer


def wrapping_for_new(home: Home) -> Wrapping:
    """Return what wraps the keys that a home makes from now on."""
    path = home.vault / KMS_KEY
    return KmsWrapping(path.read_text().strip()) if path.exists() else SecretWrapping(home)


def wrapping_of(home: Home, wrapped: bytes) -> Wrapping:
    """Return what has wrapped a key.

    Raises
    ------
    DataError
        If it was KMS and the home no longer says which key.
    """
    if not wrapped.startswith(KMS_MARK):
        return SecretWrapping(home)
    path = home.vault / KMS_KEY
    if not path.exists():
        raise DataError(f"a data key was wrapped by KMS and vault/{KMS_KEY} is not there; name the KMS key in it again")
    return KmsWrapping(path.read_text().strip())


def _damaged(case_id: str) -> DataError:
    return DataError(f"the data key of case {case_id} is damaged, or was made with another secret of the home")
