"""Arithmetic that gives the same bits on every machine, however many cores it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def cores() -> int:
    """Return how many threads of this process can run at once."""
    return len(os.sched_getaffinity(0))


def each(function: Callable[[Given], Made], given: Iterable[Given], workers: int | None = None) -> list[Made]:
    """Return ``function`` of each of ``given``, in their order, ``workers`` at a time (by default as many as there are cores).

    Each is computed in one thread, so that the number of cores changes no bit; numpy and torch compute side by side.
    """
    with ThreadPoolExecutor(workers or cores()) as pool:
        return list(pool.map(function, given))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep each of torch's computations to one thread, so that sums are made in one order on every machine.

    Many passes at a time, one thread each, are faster too: threads that share one product wait for each other at every layer;
    on a busy machine that cost more than the product.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
