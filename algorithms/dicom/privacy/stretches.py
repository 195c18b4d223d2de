"""Stretches of elements that stood in an earlier file one behind the other, with what was made of each.

Most of a header is equal in every image of a series.  What was judged once is known again by one comparison of bytes for many
elements, which leaves the few that differ to be read one by one.  Nothing here knows how an element is built: it gives back
only what it was given, where exactly the same bytes stand again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

HEAD = 8
"""Bytes that an element has at least: its tag, and its VR and length or the length alone."""

MOST = 10000
"""Stretches that are known at once; a series has some tens."""

Judgement = TypeVar("Judgement")
Sum = TypeVar("Sum")

Known = tuple[bytes, Judgement]
"""The bytes of an element, and what was made of it."""


@dataclass(frozen=True, eq=False)
class Stretch(Generic[Judgement, Sum]):
    """Elements one behind the other: their bytes, each of them, and what follows from all of them."""

    source: bytes = field(repr=False)
    elements: tuple[Known[Judgement], ...] = field(repr=False)
    sum: Sum = field(repr=False)


class Stretches(Generic[Judgement, Sum]):
    """What is known of earlier files; a stretch is cut wherever a later file differs.

    Parameters
    ----------
    summed
        What follows from the judgements of a stretch, made once for each.
    """

    def __init__(self, summed: Callable[[list[Judgement]], Sum]) -> None:
        self._summed = summed
        self._by_head: dict[bytes, Stretch[Judgement, Sum]] = {}
        self._before: set[bytes] = set()

    def at(self, data: Any, at: int) -> Stretch[Judgement, Sum] | None:
        """Return the elements that are known to begin at a place of ``data``, where an element begins."""
        stretch = self._by_head.get(data[at : at + HEAD])
        if stretch is None or data[at : at + len(stretch.source)] == stretch.source:
            return stretch
        return self._cut(stretch, data, at)

    def _cut(self, stretch: Stretch[Judgement, Sum], data: Any, at: int) -> Stretch[Judgement, Sum] | None:
        """Return the part before the first element that differs; what follows that one is a stretch of its own."""
        del self._by_head[stretch.source[:HEAD]]
        same = 0
        for source, _ in stretch.elements:
            if data[at : at + len(source)] != source:
                break
            same += 1
            at += len(source)
        self._keep(stretch.elements[same + 1 :])
        return self._keep(stretch.elements[:same])

    def _keep(self, elements: tuple[Known[Judgement], ...]) -> Stretch[Judgement, Sum] | None:
        if not elements:
            return None
        whole = b"".join(source for source, _ in elements)
        stretch = Stretch(whole, elements, self._summed([judgement for _, judgement in elements]))
        self._by_head[whole[:HEAD]] = stretch
        return stretch

    def seen(self, alone: Sequence[Known[Judgement] | None]) -> None:
        """Know from now on what stood alone in this file and in the one before, in stretches as it stands here.

        Parameters
        ----------
        alone
            Elements that stood in no stretch, in order; ``None`` where a stretch stood, or one that must be judged each time.
        """
        if len(self._by_head) > MOST:
            self._by_head.clear()
        run: list[Known[Judgement]] = []
        for element in [*alone, None]:
            if element is not None and element[0] in self._before:
                run.append(element)
            elif run:
                self._keep(tuple(run))
                run = []
        self._before = {element[0] for element in alone if element is not None}
