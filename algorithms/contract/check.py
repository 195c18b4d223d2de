"""One check of a stage, as its JSON artefact carries it and the report tells it."""

from __future__ import annotations

from typing import TypedDict


class Check(TypedDict):
    """What was measured, what it was held against, and how that came out."""

    name: str
    value: float
    unit: str
    limit: str
    passed: bool
    help: str


def check(name: str, measured: tuple[float, str], limit: str, passed: bool, help: str) -> Check:
    """Return one check as JSON carries it; ``measured`` is the value with its unit."""
    return Check(name=name, value=measured[0], unit=measured[1], limit=limit, passed=bool(passed), help=help)
