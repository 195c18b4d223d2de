"""An object on its way back: some ranges at once, given in order, so that what is there is always a beginning."""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from algorithms.contract.store.answers import ATTEMPTS
from algorithms.contract.store.unfinished import flush

RANGE_BYTES = 8 * 2**20
"""One request's share of an object."""

AHEAD = 4
"""Ranges fetched at once; these and one being written are all that is in memory."""

WAIT_S = 0.1
"""Longest wait before a body that was cut is asked for again; doubled each time."""


@dataclass(frozen=True)
class Held:
    """An object as the bucket describes it."""

    bucket: str
    key: str
    sha256: str
    size_bytes: int
    etag: str


def fetch(client: Any, held: Held, path: Path) -> bool:
    """Write what is missing of the object to the end of ``path``; return whether the whole has the hash that was stored.

    If it has not, everything is fetched once more: a power loss may have spoiled the beginning, the way here the rest.
    """
    there = path.stat().st_size
    found = any(_append(client, held, path, start) == held.sha256 for start in (min(there, held.size_bytes), 0))
    flush(path)
    return found


def sha256_of(client: Any, held: Held) -> str:
    """Return the sha256 of the bytes that the bucket gives for the object."""
    digest = hashlib.sha256()
    for body in bodies(client, held, 0):
        digest.update(body)
    return digest.hexdigest()


def bodies(client: Any, held: Held, start: int) -> Iterator[bytes]:
    """Yield the object's bytes from ``start`` on, in order."""
    starts = iter(range(start, held.size_bytes, RANGE_BYTES))
    pool = ThreadPoolExecutor(AHEAD)
    try:
        waiting = deque(pool.submit(_range, client, held, first) for first in islice(starts, AHEAD))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_range, client, held, first) for first in islice(starts, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _append(client: Any, held: Held, path: Path, there: int) -> str:
    digest = hashlib.sha256()
    with path.open("r+b") as file:
        file.truncate(there)
        while block := file.read(RANGE_BYTES):
            digest.update(block)
        for body in bodies(client, held, there):
            digest.update(body)
            file.write(body)
    return digest.hexdigest()


def _range(client: Any, held: Held, first: int) -> bytes:
    """Return the bytes from ``first`` on; boto3 asks again by itself until the headers are there, and we until the body is."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    last = min(first + RANGE_BYTES, held.size_bytes) - 1
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = client.get_object(Bucket=held.bucket, Key=held.key, Range=f"bytes={first}-{last}", IfMatch=held.etag)
            body: bytes = answer["Body"].read()
            if len(body) == last + 1 - first:
                return body
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=last + 1 - first)
        except (HTTPClientError, IncompleteReadError):
            if attempt == ATTEMPTS:
                raise
        time.sleep(random.uniform(0, WAIT_S * 2**attempt))
    raise AssertionError
