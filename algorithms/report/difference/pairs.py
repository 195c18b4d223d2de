"""The values of two answers of the same cases, paired as a pipeline declares them.

Subjects (vessels, stenoses) that only one of the two answers has, or has a value for, are kept as unpaired.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from algorithms.contract.pipeline import Compared

VERDICT = Compared("Verdict", "verdict", order=("answered", "held", "rejected", "failed"))
"""What every pipeline's answer has."""


@dataclass(frozen=True)
class Answers:
    """The older and the newer ``result.json`` of one case."""

    case_id: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A value in both answers, in the unit in which it is shown; ``crossed`` are the bounds between the two."""

    case_id: str
    subject: str
    old: float
    new: float
    crossed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Words:
    """A word in both answers; ``step`` is how far it moved in the declared order, 0 where a word is not in it."""

    case_id: str
    old: str
    new: str
    step: int


@dataclass(frozen=True)
class Unpaired:
    """A subject that has no pair, and why."""

    case_id: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Series:
    """Everything that was found of one compared value: of numbers ``pairs``, of words ``words``."""

    compared: Compared
    pairs: tuple[Pair, ...] = ()
    words: tuple[Words, ...] = ()
    unpaired: tuple[Unpaired, ...] = ()


@dataclass(frozen=True)
class _Entry:
    subject: str
    value: Any
    at: tuple[float, ...] | None


def compared_series(compared: Compared, cases: Iterable[Answers]) -> list[Series]:
    """Return what was found of one declared value over all cases: one series, or one a subject where they stand apart."""
    found = [_of_case(compared, answers) for answers in cases]
    whole = Series(
        compared,
        pairs=tuple(pair for one in found for pair in one.pairs),
        words=tuple(word for one in found for word in one.words),
        unpaired=tuple(lone for one in found for lone in one.unpaired),
    )
    return _apart(whole) if compared.apart else [whole]


def side(compared: Compared, value: float, bound: float) -> str:
    """Return "below" or "above": where a value lies that is shown with the declared digits; a bound itself has a side too."""
    shown = round(value, compared.digits)
    if shown == bound:
        return compared.bound_is
    return "below" if shown < bound else "above"


def _of_case(compared: Compared, answers: Answers) -> Series:
    old, new = _entries(compared, answers.old), _entries(compared, answers.new)
    pairs: list[Pair] = []
    words: list[Words] = []
    lone: list[Unpaired] = []
    for before, after in _matched(compared, old, new):
        subject = _subject(before, after)
        if before is None or after is None:
            lone.append(Unpaired(answers.case_id, subject, f"only in the {'new' if before is None else 'old'} answer"))
        elif before.value is None or after.value is None:
            if before.value is not None or after.value is not None:
                which = "old" if before.value is None else "new"
                lone.append(Unpaired(answers.case_id, subject, f"without a value in the {which} answer"))
        elif compared.order:
            words.append(Words(answers.case_id, before.value, after.value, _step(compared, before.value, after.value)))
        else:
            pairs.append(_pair(compared, answers.case_id, subject, before.value, after.value))
    return Series(compared, tuple(pairs), tuple(words), tuple(lone))


def _entries(compared: Compared, answer: Mapping[str, Any]) -> list[_Entry]:
    """Return every subject of one answer; a value outside a list has one, without a name."""
    *way, name = compared.path.split(".")
    holders: list[Any] = [answer]
    for step in way:
        reached = [holder.get(step) for holder in holders if isinstance(holder, Mapping)]
        holders = [one for found in reached for one in (found if isinstance(found, list) else [found])]
    entries = [holder for holder in holders if isinstance(holder, Mapping)]
    if not entries and not compared.subject:
        return [_Entry("", None, None)]
    return [
        _Entry(
            " ".join(str(entry.get(field) or "") for field in compared.subject).strip(),
            entry.get(name),
            tuple(entry[compared.position]) if compared.position and entry.get(compared.position) else None,
        )
        for entry in entries
    ]


def _matched(compared: Compared, old: Sequence[_Entry], new: Sequence[_Entry]) -> list[tuple[_Entry | None, _Entry | None]]:
    """Return entries of both answers that are the same subject, then those of one only; each entry once."""
    distances = sorted(
        (distance, i, j)
        for i, before in enumerate(old)
        for j, after in enumerate(new)
        if (distance := _distance(compared, before, after)) is not None
    )
    partner: dict[int, int] = {}
    for _, i, j in distances:  # the nearest first
        if i not in partner and j not in partner.values():
            partner[i] = j
    both: list[tuple[_Entry | None, _Entry | None]] = [(old[i], new[j]) for i, j in sorted(partner.items())]
    gone: list[tuple[_Entry | None, _Entry | None]] = [(entry, None) for i, entry in enumerate(old) if i not in partner]
    come: list[tuple[_Entry | None, _Entry | None]] = [
        (None, entry) for j, entry in enumerate(new) if j not in partner.values()
    ]
    return both + gone + come


def _distance(compared: Compared, before: _Entry, after: _Entry) -> float | None:
    """Return how far two subjects are from being the same, ``None`` for different ones."""
    if not compared.position:
        return 0.0 if before.subject == after.subject else None
    if before.at is None or after.at is None:
        return None
    distance = math.dist(before.at, after.at)
    return distance if distance <= compared.within_mm else None


def _subject(before: _Entry | None, after: _Entry | None) -> str:
    names = [entry.subject for entry in (before, after) if entry is not None]
    return names[0] if len(set(names)) == 1 else " → ".join(names)


def _pair(compared: Compared, case_id: str, subject: str, before: float, after: float) -> Pair:
    old, new = before * compared.scale, after * compared.scale
    crossed = tuple(b for b in compared.bounds if side(compared, old, b) != side(compared, new, b))
    return Pair(case_id, subject, old, new, crossed)


def _step(compared: Compared, before: str, after: str) -> int:
    if before not in compared.order or after not in compared.order:
        return 0
    return compared.order.index(after) - compared.order.index(before)


def _apart(series: Series) -> list[Series]:
    subjects = dict.fromkeys([*(pair.subject for pair in series.pairs), *(lone.subject for lone in series.unpaired)])
    return [
        Series(
            replace(series.compared, name=f"{series.compared.name}: {subject}"),
            pairs=tuple(pair for pair in series.pairs if pair.subject == subject),
            unpaired=tuple(lone for lone in series.unpaired if lone.subject == subject),
        )
        for subject in subjects
    ] or [series]
