"""An S3 bucket as a store: conditional create, sha256 in the metadata, KMS if told so.

Region, credentials and endpoint are boto3's own settings.  What one who opens a store may give instead is in `VARIABLES`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.store import multipart
from algorithms.contract.store.answers import ABSENT_CODES, ATTEMPTS, code_of, s3_errors
from algorithms.contract.store.contract import SHA256, checked, same
from algorithms.contract.store.ranges import Held, fetch, sha256_of
from algorithms.contract.store.unfinished import unfinished

KMS_KEY = "HEARTWOOD_STORE_KMS_KEY"
"""Variable with the id, ARN or alias of the key under which S3 shall encrypt what we store; the bucket's own rule if unset."""

VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", KMS_KEY),
)
"""What opens a store; all but the last are known to every AWS client, and an empty one counts as unset."""

CONNECT_S = 10
"""Longest wait for a connection; a server that is down is asked again after it."""

IN_FLIGHT = 10
"""Connections kept open; more than the parts or ranges under way at once."""


class S3Store:
    """Objects in an S3 bucket."""

    def __init__(self, bucket: str, prefix: str, environment: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        kms_key = environment.get(KMS_KEY) or os.environ.get(KMS_KEY)
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._client = _client(environment)

    def put_file(self, path: Path, name: str) -> str:
        """See `Store.put_file`."""
        digest, size_bytes = sha256_path(path), path.stat().st_size
        with s3_errors(name):
            if not self._there(name, digest, size_bytes):
                self._put(path, name, digest, size_bytes)
        return f"{self.uri}/{name}"

    def get_file(self, name: str, path: Path) -> Path:
        """See `Store.get_file`."""
        with s3_errors(name):
            held = self._held(name)
            if held is None:
                raise DataError(f"no object {name} in the store")
            with unfinished(path, held.sha256) as draft:
                if not fetch(self._client, held, draft):
                    raise DataError(f"object {name} is not what was stored; restore it from the backup or make it again")
                draft.rename(path)
        return path

    def sha256(self, name: str) -> str | None:
        """See `Store.sha256`; an object that somebody else put there without a hash has the hash ``""``."""
        with s3_errors(name):
            held = self._held(name)
        return held.sha256 if held else None

    def exists(self, name: str) -> bool:
        """See `Store.exists`."""
        return self.sha256(name) is not None

    def list(self, prefix: str = "") -> list[str]:
        """See `Store.list`."""
        start = f"{self.prefix}/" if self.prefix else ""
        with s3_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start + prefix)
            return sorted(entry["Key"].removeprefix(start) for page in pages for entry in page.get("Contents", ()))

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        with s3_errors(name):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def sweep(self, older_than_s: float) -> int:
        """See `Store.sweep`; a rule of the bucket (AbortIncompleteMultipartUpload) does the same."""
        with s3_errors("unfinished uploads"):
            begun = multipart.uploads(self._client, self.bucket, f"{self.prefix}/" if self.prefix else "")
            old = [upload for upload in begun if upload["Age"].total_seconds() >= older_than_s]
            for upload in old:
                multipart.abort(self._client, self.bucket, upload)
        return len(old)

    def _put(self, path: Path, name: str, digest: str, size_bytes: int) -> None:
        from botocore.exceptions import ClientError

        told = {"Metadata": {SHA256: digest}, **self._encryption}
        try:
            if size_bytes <= multipart.PART_BYTES:
                proved = self._put_whole(path, name, digest, told)
            else:
                proved = multipart.Upload(self._client, self.bucket, self._key(name), path, digest).run(told)
        except ClientError:
            # Either another writer was faster, or our own request was done and its acknowledgement lost: both look alike.
            if not self._there(name, digest, size_bytes):
                raise
            proved = False
        if not proved:
            self._verify(name, digest)
        if size_bytes > multipart.PART_BYTES:
            self._tidy(name)

    def _put_whole(self, path: Path, name: str, digest: str, told: Mapping[str, Any]) -> bool:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"the file for {name} changed while it was stored; store it again")
        sums = multipart.Sums.of(content)
        answer = self._client.put_object(
            Bucket=self.bucket, Key=self._key(name), Body=content, IfNoneMatch="*", **sums.told(), **told
        )
        return sums.proved_by(answer)

    def _verify(self, name: str, digest: str) -> None:
        """Read back what the bucket gave no proof of; bytes that are not ours must not stay under our hash."""
        held = self._held(name)
        if held is None or sha256_of(self._client, held) != digest:
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))
            raise TransientError(f"S3 did not keep what was sent for {name}")

    def _tidy(self, name: str) -> None:
        # The object is there and never replaced, so no other upload for its key can end any more.
        for upload in multipart.uploads(self._client, self.bucket, self._key(name)):
            if upload["Key"] == self._key(name):
                multipart.abort(self._client, self.bucket, upload)

    def _there(self, name: str, digest: str, size_bytes: int) -> bool:
        held = self._held(name)
        if held is None:
            return False
        # Another size is other content, whatever the metadata say.
        return same(held.sha256 if held.size_bytes == size_bytes else "", digest, name)

    def _held(self, name: str) -> Held | None:
        from botocore.exceptions import ClientError

        key = self._key(name)
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ABSENT_CODES:
                return None
            raise
        # HTTP headers have no case, and some servers change it.
        metadata = {entry.lower(): value for entry, value in head["Metadata"].items()}
        return Held(self.bucket, key, metadata.get(SHA256, ""), head["ContentLength"], head["ETag"])

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{checked(name)}".lstrip("/")


def _client(environment: Mapping[str, str]) -> Any:
    import boto3
    from botocore.config import Config

    given = {name: environment.get(name) or None for name in VARIABLES}
    session = boto3.Session(
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given["AWS_SESSION_TOKEN"],
        region_name=given["AWS_DEFAULT_REGION"],
    )
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_S,
        max_pool_connections=IN_FLIGHT,
        # We give and check SHA-256 ourselves; other servers than Amazon's stumble over boto3's own choice.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=given["AWS_ENDPOINT_URL_S3"], verify=given["AWS_CA_BUNDLE"], config=config)
