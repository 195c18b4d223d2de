"""What both ways of intake have in common: announced uploads that are taken, and released, put off or refused; dead letters.

Whoever takes an arrival holds it until the process ends, however it ends; one that nobody released is taken again.  So an
arrival comes at least once, and what is done with it must come to the same when it is done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from algorithms.contract.intake import Message


@dataclass(frozen=True)
class Arrival:
    """Something that arrived: how often it was taken, and by what its way of intake knows it."""

    attempts: int
    handle: str
    text: bytes = b""


@dataclass(frozen=True)
class Letter:
    """A dead letter: its id, why it was refused, and the message where there was one."""

    letter_id: str
    reason: str
    message: Message | None
    handle: str = ""


class Arrivals(Protocol):
    """One way of intake."""

    def waiting(self) -> int:
        """Return about how many arrivals nobody holds."""
        ...

    def take(self) -> Arrival | None:
        """Return an arrival that nobody else holds, or ``None`` where there is none."""
        ...

    def message(self, arrival: Arrival) -> Message:
        """Return what an arrival announces; raises `DataError` if it is not a message of ours."""
        ...

    def held(self, arrival: Arrival) -> AbstractContextManager[None]:
        """Hold an arrival for as long as the block runs; if it raises, the arrival is put off, longer each time."""
        ...

    def release(self, arrival: Arrival) -> None:
        """Remove an arrival whose case is recorded and running."""
        ...

    def refuse(self, arrival: Arrival, reason: str) -> None:
        """Make a dead letter of an arrival; it keeps nothing that is not a message of ours."""
        ...

    def letters(self) -> AbstractContextManager[Sequence[Letter]]:
        """Give the dead letters; what is neither redriven nor discarded in the block stays one."""
        ...

    def redrive(self, letter: Letter) -> None:
        """Let a dead letter arrive again."""
        ...

    def discard(self, letter: Letter) -> None:
        """Remove a dead letter for good."""
        ...
