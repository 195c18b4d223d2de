"""Arithmetic that gives the same bits on every machine, however many cores it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
