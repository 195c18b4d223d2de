"""What is dear to make and asked for again: in this process, or in a Redis that several web servers share.

::

    [heartwood] cache = ""                    this process's memory, at most ``cache_mib``
    [heartwood] cache = rediss://host:6379/0  Redis; how much it keeps is its own ``maxmemory`` (policy ``allkeys-lru``)

A key is made of the content that the value comes from (`key_of`), so a value is never stale, and nothing of a key can be read.
A cache that fails is a cache that has nothing: it costs time and is never an error.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from functools import lru_cache
from typing import Any, Protocol

from operators import settings

log = logging.getLogger(__name__)

MIB = 2**20

LARGEST_SHARE = 8
"""A value that would take more than this part of the whole is not kept: it would drive out everything else."""

ANSWER_S = 0.5
"""Longest wait for Redis: a cache that is slower than making the value is of no use."""

PAUSE_S = 10.0
"""Redis is left alone so long after it has failed, or every request would wait for it."""


class Cache(Protocol):
    """Values by key, for a while."""

    def get(self, key: str) -> bytes | None:
        """Return the value, ``None`` if there is none any more."""
        ...

    def set(self, key: str, value: bytes) -> None:
        """Keep a value, unless it is too large."""
        ...


def key_of(kind: str, *content: object) -> str:
    """Return the key of what is made from ``content``: hashes, sizes, numbers; ``kind`` says what is made."""
    identity = "\0".join(map(repr, content))
    return f"heartwood:{kind}:{hashlib.sha256(identity.encode()).hexdigest()}"


class MemoryCache:
    """The values used last, in this process's memory; many threads may ask.

    Parameters
    ----------
    limit_bytes
        What the values may take together.
    keep_s
        How long a value is kept after it was set.
    """

    def __init__(self, limit_bytes: int, keep_s: float) -> None:
        self.limit_bytes = limit_bytes
        self.keep_s = keep_s
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """See `Cache.get`."""
        with self._lock:
            until, value = self._values.get(key, (0.0, b""))
            if time.monotonic() >= until:
                self._drop(key)
                return None
            self._values.move_to_end(key)
            return value

    def set(self, key: str, value: bytes) -> None:
        """See `Cache.set`."""
        if len(value) > self.limit_bytes // LARGEST_SHARE:
            return
        with self._lock:
            self._drop(key)
            self._values[key] = (time.monotonic() + self.keep_s, value)
            self._size_bytes += len(value)
            while self._size_bytes > self.limit_bytes:
                self._drop(next(iter(self._values)))

    def _drop(self, key: str) -> None:
        _, value = self._values.pop(key, (0.0, b""))
        self._size_bytes -= len(value)


class RedisCache:
    """Values in Redis; see `MemoryCache` for the parameters.  What is in it is not believed: whoever reads verifies."""

    def __init__(self, url: str, limit_bytes: int, keep_s: float) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.limit_bytes = limit_bytes
        self.keep_s = keep_s
        self._failed = redis.RedisError
        once = Retry(NoBackoff(), 0)
        self._client: Any = redis.Redis.from_url(url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=once)
        self._silent_until = 0.0

    def get(self, key: str) -> bytes | None:
        """See `Cache.get`."""
        value: bytes | None = self._asked("get", key)
        return value

    def set(self, key: str, value: bytes) -> None:
        """See `Cache.set`."""
        if len(value) <= self.limit_bytes // LARGEST_SHARE:
            self._asked("set", key, value, px=max(1, round(1000 * self.keep_s)))

    def _asked(self, command: str, *told: object, **options: object) -> Any:
        if time.monotonic() < self._silent_until:
            return None
        try:
            return getattr(self._client, command)(*told, **options)
        except self._failed as error:
            self._silent_until = time.monotonic() + PAUSE_S
            # The error's own text may hold the URL with its password.
            log.warning("the cache does not answer (%s); going on without it for %.0f s", type(error).__name__, PAUSE_S)
            return None


def open_cache(url: str, limit_bytes: int, keep_s: float) -> Cache:
    """Return the cache at a URL, that of this process where it is empty.

    Raises
    ------
    ValueError
        If the URL is of another kind.
    """
    if not url:
        return MemoryCache(limit_bytes, keep_s)
    if url.startswith(("redis://", "rediss://", "unix://")):
        return RedisCache(url, limit_bytes, keep_s)
    raise ValueError("[heartwood] cache must be empty, or a redis://, rediss:// or unix:// URL")


@lru_cache(maxsize=1)
def deployment_cache() -> Cache:
    """Return this deployment's cache, one for the whole process."""
    here = settings.load()
    return open_cache(here.cache, round(here.cache_mib * MIB), here.cache_keep_s)
