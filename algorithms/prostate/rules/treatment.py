"""Suggestions by rule: which texts of ``treatment.toml`` apply to the facts of a man, with their evidence and sources."""

from __future__ import annotations

import functools
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.prostate.rules.conditions import Condition, Fact, holds

RULES = Path(__file__).with_name("treatment.toml")


@functools.cache
def rules() -> dict[str, Any]:
    """Return the document ``treatment.toml``."""
    return tomllib.loads(RULES.read_text())


def suggestions(facts: Mapping[str, Fact]) -> list[dict[str, Any]]:
    """Return what to consider and discuss for a man with these facts, most pressing first.

    Where a fact without which nothing can be said is missing, the answer says so and nothing else.

    Returns
    -------
    list of dict
        ``rule``, ``text``, ``evidence`` (texts) and ``sources`` (citations).
    """
    chosen = list(_holding(rules()["missing"], facts)) or list(_holding(rules()["rules"], facts))
    return [
        {
            "rule": rule["rule"],
            "text": rule["text"].format_map(facts),
            "evidence": [text.format_map(facts) for text in rule["evidence"] if _speaks_of_known(text, facts)],
            "sources": _citations(rule["sources"]),
        }
        for rule in sorted(chosen, key=lambda rule: int(rule["priority"]))
    ]


def _holding(among: Sequence[Mapping[str, Any]], facts: Mapping[str, Fact]) -> Iterator[Mapping[str, Any]]:
    return (rule for rule in among if holds(rule["when"], facts, rules()["conditions"]))


def _speaks_of_known(text: str, facts: Mapping[str, Fact]) -> bool:
    return all(facts[name] is not None for _, name, _, _ in string.Formatter().parse(text) if name)


def _citations(names: Sequence[str]) -> list[str]:
    return [rules()["sources"][name] for name in names]


def adt_biomarker(facts: Mapping[str, Fact]) -> dict[str, Any] | None:
    """Return the text and sources of the ADT biomarker, or ``None`` outside NCCN intermediate risk."""
    biomarker = rules()["adt_biomarker"]
    if not holds(biomarker["when"], facts, rules()["conditions"]):
        return None
    positive = facts["adt_positive"]
    text = biomarker["undecided" if positive is None else "positive" if positive else "negative"]
    return {"text": text.format_map(facts), "sources": _citations(biomarker["sources"])}


def limits(facts: Mapping[str, Fact]) -> list[str]:
    """Return the sentences that say what the suggestions do not know and cannot carry."""
    always: Condition = {"all": []}
    return [
        limit["text"].format_map(facts)
        for limit in rules()["limits"]
        if holds(limit.get("when", always), facts, rules()["conditions"])
    ]
