"""A large file on its way to a bucket: in parts, some at once, each verified; one that was killed goes on with those there.

What a bucket tells of an unfinished upload is its key, and the size and hash of each part; not the metadata, so not which file
it was to become.  The size of our parts says it: it comes from the file's sha256 (docs/decisions/012).
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.contract.store.answers import code_of

log = logging.getLogger(__name__)

PART_BYTES = 16 * 2**20
"""Least size of a part that is not the last; S3 wants at least 5 MiB."""

MOST_PARTS = 9000
"""Parts of one upload; S3 takes 10,000.  Above 140 GiB the parts grow."""

BUFFER_BYTES = 72 * 2**20
"""What the parts under way may take of memory together."""


@dataclass(frozen=True)
class Sums:
    """Hashes of some bytes as S3 spells them: its own ETag of what it stored unencrypted, and those it checks on arrival."""

    md5: str
    sha256: str
    size_bytes: int

    @staticmethod
    def of(content: bytes) -> Sums:
        """Return the hashes of ``content``."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Sums(md5, base64.b64encode(hashlib.sha256(content).digest()).decode(), len(content))

    def told(self) -> dict[str, str]:
        """Return the arguments of a request by which S3 refuses other bytes."""
        return {"ContentMD5": base64.b64encode(bytes.fromhex(self.md5)).decode(), "ChecksumSHA256": self.sha256}

    def proved_by(self, answer: Mapping[str, Any]) -> bool:
        """Return whether an answer says that S3 has these bytes; with KMS an ETag is no hash, other servers know no SHA-256."""
        return str(answer.get("ETag", "")).strip('"') == self.md5 or answer.get("ChecksumSHA256") == self.sha256


def part_bytes(sha256: str, size_bytes: int) -> int:
    """Return the size of the parts of a file: the usual one, and up to 1 MiB more that says which file it is."""
    return max(PART_BYTES, -(-size_bytes // MOST_PARTS)) + int(sha256[:5], 16)


class Upload:
    """One file on its way to one key."""

    def __init__(self, client: Any, bucket: str, key: str, path: Path, sha256: str) -> None:
        self.client = client
        self.place = {"Bucket": bucket, "Key": key}
        self.path = path
        self.sha256 = sha256
        self.size_bytes = path.stat().st_size
        self.part_bytes = part_bytes(sha256, self.size_bytes)

    def run(self, told: Mapping[str, Any]) -> bool:
        """Upload what is missing and make the object; return whether the bucket proved by hash that it has every part.

        Parameters
        ----------
        told
            Metadata and encryption of the object.

        Raises
        ------
        DataError
            If the file is no longer what ``sha256`` says.
        """
        begun = self._begun()
        if begun is None:
            upload_id = self.client.create_multipart_upload(**self.place, ChecksumAlgorithm="SHA256", **told)["UploadId"]
            there: dict[int, dict[str, Any]] = {}
        else:
            upload_id, there = begun
            log.info("going on with an upload that has %d of its %d parts", len(there), self._count())
        parts, proved = self._send(upload_id, there)
        self.client.complete_multipart_upload(
            **self.place, UploadId=upload_id, IfNoneMatch="*", MultipartUpload={"Parts": parts}
        )
        return proved

    def _begun(self) -> tuple[str, dict[int, dict[str, Any]]] | None:
        """Return the upload of this very file that got furthest, and its parts by number."""
        ours = {}
        for begun in uploads(self.client, self.place["Bucket"], self.place["Key"]):
            if begun["Key"] == self.place["Key"]:
                parts = {part["PartNumber"]: part for part in self._listed(begun["UploadId"])}
                if self._ours(parts):
                    ours[begun["UploadId"]] = parts
        return max(ours.items(), key=lambda entry: (len(entry[1]), entry[0]), default=None)

    def _listed(self, upload_id: str) -> list[dict[str, Any]]:
        from botocore.exceptions import ClientError

        pages = self.client.get_paginator("list_parts").paginate(**self.place, UploadId=upload_id)
        try:
            return [part for page in pages for part in page.get("Parts", ())]
        except ClientError as error:
            if code_of(error) == "NoSuchUpload":  # ended since it was listed
                return []
            raise

    def _ours(self, parts: Mapping[int, Mapping[str, Any]]) -> bool:
        count = self._count()
        last = self.size_bytes - (count - 1) * self.part_bytes
        sizes = {number: self.part_bytes if number < count else last for number in range(1, count + 1)}
        tell = any(number < count or count == 1 for number in parts)
        return tell and all(part["Size"] == sizes.get(number) for number, part in parts.items())

    def _send(self, upload_id: str, there: Mapping[int, Mapping[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        whole = hashlib.sha256()
        sent: list[tuple[dict[str, Any], bool]] = []
        waiting: deque[Future[tuple[dict[str, Any], bool]]] = deque()
        at_once = max(1, BUFFER_BYTES // self.part_bytes)
        pool = ThreadPoolExecutor(at_once)
        try:
            for number, content in enumerate(self._contents(), start=1):
                whole.update(content)
                if len(waiting) == at_once:
                    sent.append(waiting.popleft().result())
                waiting.append(pool.submit(self._part, upload_id, number, content, there.get(number, {})))
            sent += [part.result() for part in waiting]
        finally:
            pool.shutdown(cancel_futures=True)
        if whole.hexdigest() != self.sha256:
            self.client.abort_multipart_upload(**self.place, UploadId=upload_id)
            raise DataError("the file changed while it was stored; store it again")
        return [entry for entry, _ in sent], all(proved for _, proved in sent)

    def _part(self, upload_id: str, number: int, content: bytes, there: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        sums = Sums.of(content)
        answer, proved = there, sums.proved_by(there)
        if not proved:
            answer = self.client.upload_part(**self.place, UploadId=upload_id, PartNumber=number, Body=content, **sums.told())
            proved = sums.proved_by(answer)
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sums.sha256}, proved

    def _contents(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while content := file.read(self.part_bytes):
                yield content

    def _count(self) -> int:
        return -(-self.size_bytes // self.part_bytes)


def uploads(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the unfinished uploads below a prefix, with the ``Age`` of each by the bucket's clock."""
    from botocore.exceptions import ClientError

    try:
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            # The answer's own date has no fractions of a second.
            now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
            for upload in page.get("Uploads", ()):
                yield upload | {"Age": max(timedelta(), now - upload["Initiated"])}
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":  # what rclone says of a bucket that never had one
            raise


def abort(client: Any, bucket: str, upload: Mapping[str, Any]) -> None:
    """End an unfinished upload and free what its parts take; one that has ended already is no error."""
    from botocore.exceptions import ClientError

    try:
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise
