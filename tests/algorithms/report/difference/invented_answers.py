"""Answers of invented coronary cases, with only what a comparison reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.report.difference.pairs import Answers

VESSELS = ("LAD", "LCx", "RCA")


def answer(
    vessels: dict[str, float | None],
    stenoses: list[dict[str, Any]] | None = None,
    *,
    verdict: str = "answered",
    category: str | None = "2",
    provenance: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return a result.json; a stenosis is what `stenosis` returns."""
    return {
        "verdict": verdict,
        "vessels": [{"vessel": name, "ffr": ffr} for name, ffr in vessels.items()],
        "stenoses": stenoses or [],
        "cad_rads": {"category": category} if category else None,
        "provenance": provenance or [],
    }


def stenosis(label: str, at_mm: tuple[float, float, float], ffr: float | None, narrowed: float = 0.5) -> dict[str, Any]:
    """Return a stenosis whose throat lies ``at_mm``."""
    return {
        "label": label,
        "segment_name": "mid LAD",
        "throat_mm": list(at_mm),
        "ffr": ffr,
        "diameter_stenosis": narrowed,
    }


def stage(name: str, version: int = 1, state: str = "done", **others: Any) -> dict[str, Any]:
    """Return a stage as an answer's provenance has it."""
    return {"name": name, "version": version, "state": state, "parameters": {}, "inputs": {}} | others


def cohort(count: int, bias: float, sd: float) -> list[Answers]:
    """Return cases whose newer FFR differs from the older by a normal error; seed and sizes decide all of it."""
    random = np.random.default_rng(20)
    cases = []
    for number in range(count):
        old = {vessel: float(random.uniform(0.62, 0.98)) for vessel in VESSELS}
        new = {vessel: min(1.0, ffr + float(random.normal(bias, sd))) for vessel, ffr in old.items()}
        runs = ([stage("centreline", 1), stage("ffr", 1)], [stage("centreline", 2), stage("ffr", 1)])
        sites = [tuple(random.uniform(-40, 40, 3)) for _ in VESSELS]
        lesions = [
            [
                stenosis(f"L{i + 1}", site, ffr, 0.3 + 0.5 * (1 - ffr))
                for i, (site, ffr) in enumerate(zip(sites, side.values(), strict=True))
            ]
            for side in (old, new)
        ]
        if number % 7 == 3:
            lesions[1].pop()
        cases.append(
            Answers(
                f"{number:016x}",
                answer(old, lesions[0], category="3" if min(old.values()) < 0.75 else "2", provenance=runs[0]),
                answer(
                    new,
                    lesions[1],
                    category="3" if min(new.values()) < 0.75 else "2",
                    provenance=runs[1],
                    verdict="held" if number % 11 == 5 else "answered",
                ),
            )
        )
    return cases
