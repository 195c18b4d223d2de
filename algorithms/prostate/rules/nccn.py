"""ISUP grade group and NCCN initial risk group of a man, from the rules in ``nccn.toml``.

Where variables are missing the group is computed for every man they may belong to: if all of them are in one group, so
is he; otherwise the group is undecided, and the answer says which groups remain and which variables would tell them apart.
"""

from __future__ import annotations

import functools
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.prostate.rules.conditions import Condition, Fact, comparisons, holds, names
from algorithms.prostate.variables import T_STAGES, VARIABLES, Value

RULES = Path(__file__).with_name("nccn.toml")


@dataclass(frozen=True)
class Stratification:
    """The rules of one edition: grade groups by "primary+secondary", named features, and groups in order of falling risk."""

    edition: str
    grade_groups: Mapping[str, int]
    features: Mapping[str, Condition]
    reasons: Mapping[str, str]
    groups: Mapping[str, Condition]
    titles: Mapping[str, str]


@functools.cache
def stratification() -> Stratification:
    """Return the rules of ``nccn.toml``."""
    document = tomllib.loads(RULES.read_text())
    return Stratification(
        edition=document["edition"],
        grade_groups=document["grade_groups"],
        features={name: feature["when"] for name, feature in document["features"].items()},
        reasons={name: feature["reason"] for name, feature in document["features"].items()},
        groups={group["name"]: group["when"] for group in document["groups"]},
        titles={group["name"]: group["title"] for group in document["groups"]},
    )


def isup_grade_group(primary: int, secondary: int) -> int:
    """Return the grade group, 1 to 5, of a biopsy's Gleason patterns (each 3 to 5).

    References
    ----------
    Epstein et al., *The 2014 ISUP consensus conference on Gleason grading*, Am J Surg Pathol 40:244 (2016).
    """
    return stratification().grade_groups[f"{primary}+{secondary}"]


def nccn_group(values: Mapping[str, Value | None]) -> dict[str, Any]:
    """Return the NCCN risk group of a man with these clinical variables.

    Parameters
    ----------
    values
        Variables by name, valid by :mod:`algorithms.prostate.variables`; absent or ``None`` is not known.

    Returns
    -------
    dict
        ``group``, its name, or ``None`` where the missing variables leave it open; ``title``; ``edition``; ``reasons``,
        what puts him there; ``missing``, the variables that would decide it; ``possible``, the groups that remain.
    """
    rules = stratification()
    options = _options(values, rules)
    men = [dict(zip(options, combination, strict=True)) for combination in itertools.product(*options.values())]
    found = [_group(tuple(man.items())) for man in men]
    possible = [name for name in rules.groups if name in found]
    group = possible[0] if len(possible) == 1 else None
    return {
        "group": group,
        "title": rules.titles[group] if group else f"undecided: {_listed([rules.titles[name] for name in possible])}",
        "edition": rules.edition,
        "reasons": _reasons(group, men, options, rules) if group else [],
        "missing": [] if group else _missing(values, options, found),
        "possible": possible,
    }


@functools.lru_cache(maxsize=8192)
def _group(facts: tuple[tuple[str, Fact], ...]) -> str:
    rules, man = stratification(), dict(facts)
    for name, condition in rules.groups.items():
        if holds(condition, man, rules.features):
            return name
    raise ValueError(f"{RULES.name} leaves a combination of variables without a group")


def _options(values: Mapping[str, Value | None], rules: Stratification) -> dict[str, Sequence[Value]]:
    """Return, for each fact of the rules, the values that it may have: one where it is known."""
    primary, secondary = values.get("gleason_primary"), values.get("gleason_secondary")
    grades = {
        grade
        for patterns, grade in rules.grade_groups.items()
        if primary in (None, int(patterns[0])) and secondary in (None, int(patterns[-1]))
    }
    stage = values.get("t_stage")
    stages = [s for s, meant in T_STAGES.items() if meant == (s,)] if stage is None else T_STAGES[str(stage)]
    options: dict[str, Sequence[Value]] = {"t_stage": stages, "grade_group": sorted(grades)}
    for name in ("psa_ng_ml", "percent_positive_cores"):
        value = values.get(name)
        options[name] = _representatives(name, rules) if value is None else [value]
    return options


def _representatives(name: str, rules: Stratification) -> list[float]:
    """Return values of a number such that any other value of it is treated by all rules as one of these."""
    low, high = VARIABLES[name].minimum, VARIABLES[name].maximum
    every = [c for group in rules.groups.values() for c in comparisons(group, rules.features) if c["fact"] == name]
    cuts = sorted({float(limit) for comparison in every for key, limit in comparison.items() if key != "fact"} | {low, high})
    return sorted({*cuts, *((a + b) / 2 for a, b in itertools.pairwise(cuts))})


def _reasons(
    group: str, men: Sequence[Mapping[str, Fact]], options: Mapping[str, Sequence[Value]], rules: Stratification
) -> list[str]:
    asked = dict.fromkeys(names(rules.groups[group]))
    certain = [name for name in asked if all(holds(name, man, rules.features) for man in men)]
    words = {fact: _listed([str(value) for value in values]) for fact, values in options.items()}
    return list(dict.fromkeys(rules.reasons[name].format_map(words) for name in certain))


def _missing(values: Mapping[str, Value | None], options: Mapping[str, Sequence[Value]], found: Sequence[str]) -> list[str]:
    """Return the variables that alone could still change the group of one of the men in ``found``."""
    combinations = list(itertools.product(*options.values()))
    deciding: set[str] = set()
    for place, fact in enumerate(options):
        groups: dict[tuple[Value, ...], str] = {}
        for combination, group in zip(combinations, found, strict=True):
            others = combination[:place] + combination[place + 1 :]
            if groups.setdefault(others, group) != group:
                deciding.add(fact)
                break
    patterns = {name for name in ("gleason_primary", "gleason_secondary") if values.get(name) is None}
    return [name for name in VARIABLES if name in deciding or ("grade_group" in deciding and name in patterns)]


def _listed(words: Sequence[str]) -> str:
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"
