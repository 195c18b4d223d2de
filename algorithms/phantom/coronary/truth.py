"""What is true of a coronary phantom, as documents: the tree in the format of tree.json, and the facts of the scan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.person import Person
from algorithms.phantom.coronary.plaque import Lesion
from algorithms.phantom.coronary.tissues import LABELS
from algorithms.phantom.coronary.tree import Vessel


def tree_document(person: Person) -> dict[str, Any]:
    """Return the true tree in the format of tree.json (docs/coronary.md)."""
    branches = []
    for vessel in person.vessels:
        points = vessel.points_mm.copy()
        if vessel.parent is not None and vessel.parent_point is not None:
            points[0] = person.vessels[vessel.parent].points_mm[vessel.parent_point]
        branches.append(
            {
                "name": vessel.name,
                "parent": vessel.parent,
                "parent_point": vessel.parent_point,
                "segment": [int(s) for s in vessel.segment],
                "points_mm": np.round(points, 4).tolist(),
                "radius_mm": np.round(vessel.radius_mm, 4).tolist(),
                "reference_radius_mm": np.round(vessel.reference_radius_mm, 4).tolist(),
                "radius_sd_mm": [0.0] * len(points),
            }
        )
    stenoses = [_stenosis(person.vessels[lesion.vessel], lesion) for lesion in person.lesions]
    return {"coordinate_system": "LPS mm", "branches": branches, "stenoses": stenoses, "doubts": []}


def _stenosis(vessel: Vessel, lesion: Lesion) -> dict[str, Any]:
    open_mm, reference_mm = 2 * vessel.radius_mm[lesion.throat], 2 * vessel.reference_radius_mm[lesion.throat]
    return {
        "branch": lesion.vessel,
        "start": lesion.start,
        "throat": lesion.throat,
        "end": lesion.end,
        "diameter_stenosis": round(float(1 - open_mm / reference_mm), 4),
        "area_stenosis": round(float(1 - (open_mm / reference_mm) ** 2), 4),
        "minimal_lumen_diameter_mm": round(float(open_mm), 4),
        "reference_diameter_mm": round(float(reference_mm), 4),
        "length_mm": round(lesion.length_mm, 4),
        "segment": int(vessel.segment[lesion.throat]),
    }


def facts_document(person: Person, grid: Grid, hu_of: dict[str, float], mass_g: float) -> dict[str, Any]:
    """Return what phantom.json says beside size and difficulty: geometry, masses, ostia, lesions, tissues."""
    roots = {"left": person.vessels[0], "right": next(v for v in person.vessels if v.name == "RCA")}
    return {
        "seed": person.seed,
        "spacing_mm": list(grid.spacing_mm),
        "shape": list(grid.shape),
        "origin_mm": list(grid.origin_mm),
        "lv_mass_g": round(mass_g, 3),
        "ostia": {side: [round(float(c), 4) for c in vessel.points_mm[0]] for side, vessel in roots.items()},
        "aortic_annulus_mm": [0.0, 0.0, 0.0],
        "habit": asdict(person.habit),
        "lesions": [asdict(lesion) | {"vessel": person.vessels[lesion.vessel].name} for lesion in person.lesions],
        "tissue_hu": {name: round(value, 2) for name, value in hu_of.items()},
        "labels": LABELS,
    }
