"""Conditions written as data, and whether they hold where some facts are not known.

A condition is the name of another condition, or a table of one of these forms::

    {fact = "psa_ng_ml", above = 20}                    also below, at_least, at_most, is, among, known
    {all = [...]}   {any = [...]}   {none = [...]}      of conditions
    {count_of = [...], at_least = 2, at_most = 3}       how many of the conditions hold

A condition over a fact that is not known (absent or ``None``) neither holds nor fails, and what is built on it may be
decided nevertheless: Kleene's strong logic, with ``None`` for "not known".  Only ``known`` asks about the knowing itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Condition = str | Mapping[str, Any]
Fact = float | int | str | bool | None

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "above": operator.gt,
    "below": operator.lt,
    "at_least": operator.ge,
    "at_most": operator.le,
    "is": operator.eq,
    "among": lambda value, values: value in values,
}
"""What may be asked of one fact, beside ``known``."""

GATHERINGS = ("all", "any", "none", "count_of")
"""Keys of the forms made of other conditions."""


def holds(condition: Condition, facts: Mapping[str, Fact], named: Mapping[str, Condition]) -> bool | None:
    """Return whether ``condition`` holds, or ``None`` where the unknown facts leave it open.

    Parameters
    ----------
    condition
        A name among ``named``, or a table of the module's forms.
    facts
        Values by name; absent or ``None`` is not known.
    named
        Conditions by name.

    Raises
    ------
    ValueError
        If the condition is of no known form: the rule file is wrong.
    """
    if isinstance(condition, str):
        if condition not in named:
            raise ValueError(f"no condition is called {condition}")
        return holds(named[condition], facts, named)
    if "fact" in condition:
        return _compared(condition, facts)
    gathering = [key for key in GATHERINGS if key in condition]
    if len(gathering) != 1:
        raise ValueError(f"a condition has one of fact, {', '.join(GATHERINGS)}; found {sorted(condition)}")
    answers = [holds(part, facts, named) for part in condition[gathering[0]]]
    return _gathered(gathering[0], condition, answers)


def _compared(condition: Mapping[str, Any], facts: Mapping[str, Fact]) -> bool | None:
    asked = set(condition) - {"fact"}
    if not asked or not asked <= set(COMPARISONS) | {"known"}:
        raise ValueError(f"a fact is compared by {', '.join([*COMPARISONS, 'known'])}; found {sorted(asked)}")
    value = facts.get(condition["fact"])
    if "known" in asked:
        return (value is not None) is condition["known"]
    if value is None:
        return None
    return all(COMPARISONS[name](value, condition[name]) for name in asked)


def _gathered(key: str, condition: Mapping[str, Any], answers: list[bool | None]) -> bool | None:
    fewest = sum(answer is True for answer in answers)
    most = sum(answer is not False for answer in answers)
    low, high = {
        "all": (len(answers), len(answers)),
        "any": (1, len(answers)),
        "none": (0, 0),
        "count_of": (condition.get("at_least", 0), condition.get("at_most", len(answers))),
    }[key]
    if set(condition) - {key, *(("at_least", "at_most") if key == "count_of" else ())}:
        raise ValueError(f"{key} does not go with {sorted(set(condition) - {key})}")
    if low <= fewest and most <= high:
        return True
    return False if most < low or fewest > high else None


def comparisons(condition: Condition, named: Mapping[str, Condition]) -> Iterator[Mapping[str, Any]]:
    """Yield every comparison of a fact on which ``condition`` rests."""
    if isinstance(condition, str):
        yield from comparisons(named[condition], named)
    elif "fact" in condition:
        yield condition
    else:
        for key in GATHERINGS:
            for part in condition.get(key, ()):
                yield from comparisons(part, named)


def names(condition: Condition) -> Iterator[str]:
    """Yield the named conditions that ``condition`` asks to hold, in reading order; those of a ``none`` are not among them."""
    if isinstance(condition, str):
        yield condition
        return
    for key in GATHERINGS:
        for part in () if key == "none" else condition.get(key, ()):
            yield from names(part)
