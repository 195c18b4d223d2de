"""What a run costs: seconds, CPU seconds and peak memory, of this process and of every child that it starts.

A stage pays for its children: a study is read in a confined child, pictures are drawn in another.  The kernel's own figure
for children (``getrusage``) is that of the largest one, not of all that were there at once, so the family is looked at while
it works.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.1
"""How often the family's memory is looked at: a child that lives shorter is seen through the kernel's figure only."""

MIB = 2**20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WHOM = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


@dataclass(frozen=True)
class Cost:
    """What one run cost."""

    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


class Meter:
    """Measures what is done within it; ``cost`` is known when it is left."""

    cost: Cost

    def __enter__(self) -> Meter:
        self._family_bytes = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        self._start, self._cpu_start = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        seconds, cpu_seconds = time.perf_counter() - self._start, _cpu_seconds() - self._cpu_start
        self._ended.set()
        self._watch.join()
        # What lived shorter than a look is in the kernel's figures for this process and for its largest child.
        peak_bytes = max(self._family_bytes, *(resource.getrusage(who).ru_maxrss * 1024 for who in WHOM))
        self.cost = Cost(round(seconds, 3), round(cpu_seconds, 3), round(peak_bytes / MIB, 1))

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._family_bytes = max(self._family_bytes, family_memory_bytes(os.getpid()))


def family_memory_bytes(pid: int) -> int:
    """Return the memory that a process and all its descendants hold now; 0 for one that has ended.

    Of descendants only what is theirs alone counts: the libraries that they share with their parent are there once.
    """
    own, _ = _memory_bytes(pid)
    theirs = (_memory_bytes(child) for child in descendants(pid))
    return own + sum(resident - shared for resident, shared in theirs)


def descendants(pid: int) -> Iterator[int]:
    """Yield the ids of all living children of a process, and of theirs (Linux; elsewhere there is nothing to see)."""
    for task in _children_files(pid):
        with suppress(OSError):  # the thread has ended
            for child in map(int, task.read_text().split()):
                yield child
                yield from descendants(child)


def _children_files(pid: int) -> list[Path]:
    with suppress(OSError):
        return list(Path(f"/proc/{pid}/task").glob("*/children"))
    return []


def _memory_bytes(pid: int) -> tuple[int, int]:
    """Return the resident memory of a process and how much of it is shared (proc(5), statm)."""
    with suppress(OSError, ValueError):
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
        return int(resident) * PAGE_BYTES, int(shared) * PAGE_BYTES
    return 0, 0


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in WHOM]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
