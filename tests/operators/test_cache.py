"""A cache in memory and one in a real Redis: the same to whoever asks, and never an error."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from operators import cache
from operators.cache import Cache, MemoryCache, RedisCache, key_of, open_cache
from tests.services import free_port, redis

LIMIT = 1000
KEEP_S = 3600.0

KEY = key_of("tile", "0" * 64, 3)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("redis_url") if request.param == "redis" else ""


def test_a_value_is_kept_by_its_key(url: str) -> None:
    """What was set is what is got, byte for byte; another key has nothing."""
    kept = open_cache(url, LIMIT, KEEP_S)
    key = key_of("tile", random.random())

    assert kept.get(key) is None
    kept.set(key, b"\0\xff png")
    kept.set(key_of("tile", 2), b"")
    assert kept.get(key) == b"\0\xff png"
    assert kept.get(key_of("tile", 2)) == b""


def test_a_value_goes_when_its_time_is_over(url: str) -> None:
    """Its content is as true as ever; whose report it was is nobody's business for ever."""
    kept = open_cache(url, LIMIT, 0.05)
    kept.set(KEY, b"png")
    until = time.monotonic() + 30

    while kept.get(KEY) is not None and time.monotonic() < until:
        time.sleep(0.02)

    assert kept.get(KEY) is None


def test_a_value_that_would_drive_out_the_others_is_not_kept(url: str) -> None:
    """An eighth of the whole at most."""
    kept = open_cache(url, LIMIT, KEEP_S)
    key = key_of("large", random.random())

    kept.set(key, bytes(LIMIT // 8 + 1))

    assert kept.get(key) is None


def test_memory_keeps_what_was_used_last() -> None:
    """Ten values of a hundred bytes fill it; the eleventh drives out the one that nobody has asked for longest."""
    kept = MemoryCache(LIMIT, KEEP_S)
    for number in range(10):
        kept.set(str(number), bytes(100))
    kept.get("0")

    kept.set("10", bytes(100))

    assert [number for number in range(11) if kept.get(str(number)) is None] == [1]


def test_memory_stays_within_its_bounds_under_many_threads() -> None:
    """The web server asks from a pool of threads; the sum of what is there is what is counted."""
    kept = MemoryCache(LIMIT, KEEP_S)

    def work(seed: int) -> None:
        numbers = random.Random(seed)
        for _ in range(2000):
            key = str(numbers.randrange(40))
            if kept.get(key) is None:
                kept.set(key, bytes(numbers.randrange(LIMIT // 8)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert kept._size_bytes == sum(len(value) for _, value in kept._values.values()) <= LIMIT


def test_a_redis_that_is_gone_is_a_miss_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Ten requests ask and one line is written, without the password that stands in the URL."""
    kept = open_cache(f"redis://:hunter2@127.0.0.1:{free_port()}/0", LIMIT, KEEP_S)

    kept.set(KEY, b"png")
    answers = [kept.get(KEY) for _ in range(10)]

    lines = [record.getMessage() for record in caplog.records if record.name == cache.__name__]
    assert answers == [None] * 10
    assert lines == ["the cache does not answer (ConnectionError); going on without it for 10 s"]


def test_a_redis_that_is_back_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again when the pause is over; nobody has to restart a web server."""
    monkeypatch.setattr(cache, "PAUSE_S", 0.0)
    port = free_port()
    kept = open_cache(f"redis://127.0.0.1:{port}/0", LIMIT, KEEP_S)

    found = []
    for _ in range(2):
        with redis(port):
            kept.set(KEY, b"png")
            found.append(kept.get(KEY))
        found.append(kept.get(KEY))

    assert found == [b"png", None, b"png", None]


def test_a_redis_that_hangs_is_a_miss_and_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It takes connections and never answers; only the first request waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kept = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", LIMIT, KEEP_S)
        answers = [kept.get(KEY) for _ in range(20)]

    assert answers == [None] * 20
    assert len([r for r in caplog.records if r.name == cache.__name__ and r.levelno == logging.WARNING]) == 1


def test_a_key_says_nothing_of_what_it_stands_for() -> None:
    """Whoever lists the keys of a Redis learns what kind of thing is kept and no more; order and type of the parts count."""
    key = key_of("report", "Doe^John", 1)

    assert key.startswith("heartwood:report:")
    assert "Doe" not in key
    assert len({key, key_of("report", "Doe^John", "1"), key_of("report", 1, "Doe^John"), key_of("tile", "Doe^John", 1)}) == 4


@pytest.mark.parametrize("url", ["memcached://host", "host:6379", "http://host"])
def test_a_cache_is_named_by_a_redis_url(url: str) -> None:
    """A misspelt one stops the deployment; it would else be a cache that never has anything."""
    with pytest.raises(ValueError, match="must be empty, or a redis://"):
        open_cache(url, LIMIT, KEEP_S)


def test_both_are_caches(redis_url: str) -> None:
    """The portal does not know which it has."""
    caches: list[Cache] = [open_cache("", LIMIT, KEEP_S), open_cache(redis_url, LIMIT, KEEP_S)]

    assert [type(c) for c in caches] == [MemoryCache, RedisCache]
