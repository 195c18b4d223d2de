"""What a bucket's answers mean for us: later again, never with these credentials, or no such object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from algorithms.contract.errors import TransientError

ATTEMPTS = 6
"""Most tries of one request; with boto3's standard back-off this outlives 20 % of answers being 503 (tests/faults).

A client whose requests go on failing makes fewer: boto3 counts retries against a stock that successes fill again, so that a
store in trouble is left alone and the task is tried again later.
"""

TRANSIENT_CODES = frozenset(
    {
        *("500", "502", "503", "504", "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "Throttling"),
        *("ConditionalRequestConflict", "OperationAborted", "PreconditionFailed", "412"),  # somebody else is at that name
        *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"),  # damaged on the way
        *("ExpiredToken", "RequestTimeTooSkewed"),  # new credentials come with the next try; a clock is put right
    }
)
"""S3's answers that ask for the same request later."""

ABSENT_CODES = frozenset({"404", "NoSuchKey", "NotFound"})

REFUSED_CODES = frozenset({"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"})


def code_of(error: Any) -> str:
    """Return the code of a ``botocore.exceptions.ClientError``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def s3_errors(name: str) -> Iterator[None]:
    """Turn what S3 answers when it is busy or out of reach into `TransientError`, and a refusal into ``PermissionError``."""
    from botocore.exceptions import (
        ClientError,
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        ResponseStreamingError,
    )

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in TRANSIENT_CODES:
            raise TransientError(f"S3 answered {code} for {name}; at most {ATTEMPTS} attempts") from error
        if code in REFUSED_CODES:
            raise PermissionError(
                f"S3 refused {name} ({code}); give the role, or the Connection named in store_connection, the right to it"
            ) from error
        raise
    except NoCredentialsError as error:
        raise PermissionError("no credentials for S3; name a Connection in store_connection, or give a role") from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
        raise TransientError(f"S3 out of reach for {name} ({type(error).__name__}); at most {ATTEMPTS} attempts") from error
