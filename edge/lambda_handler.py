"""AWS Lambda: an upload's manifest was created, so announce the upload to the platform; or say why not in the dead letters.

::

    INTAKE_QUEUE          URL of the queue that the platform reads
    INTAKE_DEAD_LETTERS   URL of the queue for what it cannot read

The function is subscribed to the creation of objects below the intake prefix whose names end in ``/manifest.json``.  S3 may
tell the same creation twice; the platform takes the second message for what it is.  When S3 or SQS does not answer the
function fails, and Lambda calls it again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_plus

import boto3

from algorithms.contract.errors import DataError
from algorithms.contract.intake import MAX_MANIFEST_BYTES, UPLOAD_ID, Message, announcement, manifest_text
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.store import open_store

log = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Return how many uploads were announced and how many were refused."""
    queue = boto3.client("sqs")
    announced = refused = 0
    for record in event["Records"]:
        bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        try:
            message = announced_by(bucket, key, record["s3"]["object"].get("size", 0))
        except DataError as error:
            refused += 1
            reason = {"DataType": "String", "StringValue": str(error)}
            queue.send_message(
                QueueUrl=os.environ["INTAKE_DEAD_LETTERS"], MessageBody=_letter(key), MessageAttributes={"reason": reason}
            )
            log.warning("refused an upload: %s", error)
        else:
            announced += 1
            queue.send_message(QueueUrl=os.environ["INTAKE_QUEUE"], MessageBody=message.text())
            log.info("announced upload %s", message.upload)
    return {"announced": announced, "refused": refused}


def announced_by(bucket: str, key: str, size_bytes: int) -> Message:
    """Return the message for the upload whose manifest is the object ``key``.

    Raises
    ------
    DataError
        If the upload has no name of the kind it should have, or its manifest is not as declared.
    """
    path = PurePosixPath(key)
    name, prefix = path.parent.name, path.parent.parent
    if path.name != MANIFEST or not UPLOAD_ID.fullmatch(name):
        raise DataError("the object is not <intake>/<32 hexadecimal digits>/manifest.json; send with python -m edge.upload")
    if size_bytes > MAX_MANIFEST_BYTES:
        raise DataError(f"the upload's manifest has more than {MAX_MANIFEST_BYTES // 2**20} MiB; make the upload again")
    store = open_store(f"s3://{bucket}/{'' if str(prefix) == '.' else prefix}")
    with tempfile.TemporaryDirectory() as folder:
        return announcement(name, manifest_text(store, name, Path(folder)))


def _letter(key: str) -> str:
    """Return what a dead letter may say of an object: the upload's name if it is one of ours, else only a hash of its key."""
    name = PurePosixPath(key).parent.name
    known = {"upload": name} if UPLOAD_ID.fullmatch(name) else {}
    return json.dumps(known | {"key_sha256": hashlib.sha256(key.encode()).hexdigest()}, sort_keys=True)
