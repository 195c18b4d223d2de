"""What ``flow.json`` says of a solution in three dimensions, and of one that was asked for and not made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from algorithms.coronary.coupled.measured import Solved

STATES = ("solved", "failed", "not solved")
"""Used in the answer; solved, but a check failed, so that the reduced loss stands and the case is held; not solved."""


@dataclass(frozen=True)
class Told:
    """One part that was to be solved in three dimensions: a lesion or several, or all that an ostium feeds."""

    name: str
    stenoses: tuple[int, ...]
    state: str
    reason: str = ""
    """Why it was not solved, or which check failed."""
    folder: str | None = None
    """Where its files lie in the artefact ``fields``."""
    values: dict[str, float] = field(default_factory=dict)
    checks: tuple[dict[str, Any], ...] = ()
    openings: tuple[dict[str, Any], ...] = ()
    """Name, whether blood comes in, centre (LPS mm), normal and radius of each."""


def of_solved(name: str, stenoses: Sequence[int], solved: Solved, checks: Sequence[Any], values: dict[str, float]) -> Told:
    """Return what is told of a solution; one with a failed check is ``failed``, one that was refused ``not solved``."""
    shown = {key: float(f"{value:.6g}") for key, value in (dict(solved.facts) | values).items()}
    told = tuple(asdict(check) for check in checks)
    failed = [check for check in checks if not check.passed]
    if solved.refused:
        return Told(name, tuple(stenoses), "not solved", solved.refused)
    if failed:
        reason = "; ".join(f"{check.name} is {check.value:.4g}, wanted {check.limit}" for check in failed)
        return Told(name, tuple(stenoses), "failed", reason, None, shown, told)
    return Told(name, tuple(stenoses), "solved", "", None, shown, told)


def too_long(name: str, stenoses: Sequence[int], minutes: float, budget: float) -> Told:
    """Return what is told of a part for which the time does not suffice."""
    reason = (
        f"its solution would take about {minutes:.0f} minutes and {budget:.0f} are allowed; give flow_3d_minutes more, "
        "or run it where there is an accelerator"
    )
    return Told(name, tuple(stenoses), "not solved", reason, values={"minutes": float(f"{minutes:.3g}")})


def summary(asked: str, told: Sequence[Told], least_stenosis: float) -> str:
    """Return the sentence that says which model stands where."""
    solved = [each for each in told if each.state == "solved"]
    if asked == "reduced":
        return "The reduced-order model was used everywhere, as asked."
    if asked == "tree3d":
        if told and len(solved) == len(told):
            return "The whole tree was solved in three dimensions."
        return "The reduced-order model stands everywhere: the whole tree could not be solved in three dimensions."
    if not told:
        least = f"{100 * least_stenosis:.0f} % or more"
        return f"The reduced-order model was used everywhere: no lesion narrows its vessel by {least}."
    places = " and ".join(each.name for each in solved)
    if not solved:
        return "The reduced-order model stands everywhere: no lesion could be solved in three dimensions."
    return f"Solved in three dimensions at {places}, by the reduced-order model elsewhere."


def document(asked: str, told: Sequence[Told], sentence: str) -> dict[str, Any]:
    """Return the field ``three_dimensional`` of ``flow.json``; ``used`` is the model that stands in the answer."""
    used = asked if any(each.state == "solved" for each in told) else "reduced"
    return {"asked": asked, "used": used, "summary": sentence, "parts": [asdict(each) for each in told]}
