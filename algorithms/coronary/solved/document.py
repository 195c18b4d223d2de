"""``flow.json`` of a flow in one geometry: openings, section means, checks and the verdict; docs/result.md tells of it.

SI units; lengths are mm in the frame of the geometry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.conditions import Condition, Conditions
from algorithms.coronary.solved.answer import Answer

SCHEMA_NAME = "heartwood-flow-1"

SCHEMA_PATH = Path(__file__).with_name("flow.schema.json")

FLAGS = ("reynolds number",)
"""Checks that, failed, make an answer doubtful and not wrong: above, flow is transitional and a steady one is a mean."""

DIGITS = 7
"""Significant digits of the values: a thousandth of a Pa at the pressure of an aorta."""


def verdict(answer: Answer, given: Conditions) -> dict[str, Any]:
    """Return ``kind`` (``answered``, ``flagged``, ``withheld``), whether FFR is ``given``, and the reasons.

    FFR is pressure over the pressure that was given at the inlet: where a flow was given there, it is ``not asked``.
    """
    failed = [check for check in answer.checks if not check.passed]
    told = [f"{check.name} is {check.value:g}, wanted {check.limit}: {check.help}" for check in failed]
    doubts = list(answer.doubts)
    if any(check.name not in FLAGS for check in failed):
        return {"kind": "withheld", "ffr": "withheld", "reasons": told + doubts}
    kind = "flagged" if told or doubts else "answered"
    return {"kind": kind, "ffr": "given" if inlet_pressure_pa(given) else "not asked", "reasons": told + doubts}


def inlet_pressure_pa(given: Conditions) -> float | None:
    """Return the pressure that FFR is relative to: the inlet's, where one is given for one inlet."""
    known = [inlet.pressure_pa for inlet in given.inlets.values()]
    # Two ostia of one aorta have one pressure.
    return known[0] if known[0] is not None and len(set(known)) == 1 else None


def document(answer: Answer, given: Conditions, files: Mapping[str, str]) -> dict[str, Any]:
    """Return ``flow.json``; ``files`` are the names of the files beside it, by what they show."""
    said = verdict(answer, given)
    reference = inlet_pressure_pa(given) if said["ffr"] == "given" else None
    return {
        "schema": SCHEMA_NAME,
        "model": answer.model,
        "verdict": said,
        "ffr_reference_pa": reference,
        "boundary": _boundary(given),
        "openings": [
            {
                "name": end.opening.name,
                "inlet": end.opening.inlet,
                "centre_mm": _numbers(end.opening.centre_mm),
                "radius_mm": _number(end.opening.radius_mm),
                "pressure_pa": _number(end.pressure_pa),
                "flow_m3_s": _number(end.flow_m3_s),
                "ffr": None if reference is None else _number(end.pressure_pa / reference),
            }
            for end in answer.openings
        ],
        "branches": [_branch(answer, index, reference) for index in range(len(answer.tree.branches))],
        "checks": [asdict(check) for check in answer.checks],
        "grids": list(answer.grids),
        "files": dict(files),
    }


def _branch(answer: Answer, index: int, reference: float | None) -> dict[str, Any]:
    branch, means = answer.tree.branches[index], answer.means
    pressure = means.pressure_pa[index]
    return {
        "name": branch.name,
        "parent": branch.parent,
        "parent_point": branch.parent_point,
        "points_mm": [_numbers(point) for point in branch.points_mm],
        "distance_mm": _numbers(answer.tree.ostium_distance_mm(index)),
        "radius_mm": _numbers(branch.radius_mm),
        "flow_m3_s": _numbers(means.flow_m3_s[index]),
        "pressure_pa": _numbers(pressure),
        "ffr": None if reference is None else _numbers(pressure / reference),
        "viscous_loss_pa": _numbers(means.viscous_pa[index]),
        "expansion_loss_pa": _numbers(means.expansion_pa[index]),
        "total_loss_pa": None if means.total_pa is None else _numbers(means.total_pa[index]),
        "measured": None if means.measured is None else means.measured[index].tolist(),
    }


def _boundary(given: Conditions) -> dict[str, Any]:
    def told(condition: Condition) -> dict[str, float]:
        return {name: value for name, value in asdict(condition).items() if value is not None}

    return {
        "inlets": {name: told(condition) for name, condition in given.inlets.items()},
        "outlets": {name: told(condition) for name, condition in given.outlets.items()},
        "distal_pressure_pa": given.distal_pressure_pa,
        "fluid": {"density_kg_m3": given.density_kg_m3, "viscosity_pa_s": given.viscosity_pa_s},
        "assumed": list(given.assumed),
    }


def _number(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _numbers(values: np.ndarray) -> list[float]:
    return [_number(float(value)) for value in values]


def write_document(content: Mapping[str, Any], path: Path) -> None:
    """Write ``content`` in one piece: whoever is killed here leaves no half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
    part.replace(path)
