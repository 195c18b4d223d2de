"""Centrelines with radii as an engineer writes them: JSON or CSV.

JSON::

    {"length_unit": "mm",
     "branches": [{"name": "main", "parent": null,   "points": [[0, 0, 0], [0, 0, 10]], "radius": [1.5, 1.5]},
                  {"name": "side", "parent": "main", "points": [[0, 0, 5], [0, 8, 9]],  "radius": [1.0, 0.9]}]}

CSV, one point a line, the points of a branch in the direction of flow::

    branch,parent,x_mm,y_mm,z_mm,radius_mm
    main,,0,0,0,1.5
    main,,0,0,10,1.5
    side,main,0,0,5,1.0
    side,main,0,8,9,0.9

``length_unit`` is ``mm`` or ``m``.  A branch starts on its parent: its first point lies within the parent's lumen and is
joined to the nearest point of the parent's centreline.  Points are (N, 3) mm in whatever frame the file has.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.plausible import SMALLEST_STEP_MM, require_plausible_radius_mm
from algorithms.coronary.tree import Branch, Tree

COLUMNS = ("branch", "parent", "x_mm", "y_mm", "z_mm", "radius_mm")

UNITS_MM = {"mm": 1.0, "m": 1000.0}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["length_unit", "branches"],
    "additionalProperties": False,
    "properties": {
        "length_unit": {"enum": list(UNITS_MM)},
        "branches": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "parent", "points", "radius"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "parent": {"type": ["string", "null"]},
                    "points": {
                        "type": "array",
                        "minItems": 2,
                        "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
                    },
                    "radius": {"type": "array", "minItems": 2, "items": {"type": "number"}},
                },
            },
        },
    },
}


@dataclass(frozen=True, eq=False)
class Line:
    """One branch of the file: points (N, 3) mm and radii (N,) mm."""

    name: str
    parent: str | None
    points_mm: np.ndarray
    radius_mm: np.ndarray


def tree_of_document(document: Mapping[str, Any]) -> Tree:
    """Return the tree of a centreline document in its JSON form.

    Raises
    ------
    DataError
        If the document is not of that form, or its branches are no tree.
    """
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document))
    if error is not None:
        raise DataError(f"centreline file, {error.json_path}: {error.message[:200]}")
    scale = UNITS_MM[document["length_unit"]]
    return tree_of_lines(
        [
            Line(
                entry["name"],
                entry["parent"],
                scale * np.asarray(entry["points"], dtype=float),
                scale * np.asarray(entry["radius"], dtype=float),
            )
            for entry in document["branches"]
        ]
    )


def read_centreline_csv(path: Path) -> Tree:
    """Return the tree of a centreline file in its CSV form.

    Raises
    ------
    DataError
        If a column is missing, a value is no number, or the branches are no tree.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"centreline file lacks the columns {', '.join(missing)}, wanted {','.join(COLUMNS)}")
        rows: dict[str, list[list[float]]] = {}
        parents: dict[str, str | None] = {}
        for number, row in enumerate(reader, start=2):
            try:
                values = [float(row[name]) for name in COLUMNS[2:]]
            except (TypeError, ValueError):
                raise DataError(f"centreline file, line {number}: a coordinate or radius is no number; correct it") from None
            rows.setdefault(row["branch"], []).append(values)
            parents.setdefault(row["branch"], row["parent"] or None)
    arrays = {name: np.array(values) for name, values in rows.items()}
    return tree_of_lines([Line(name, parents[name], values[:, :3], values[:, 3]) for name, values in arrays.items()])


def tree_of_lines(lines: Sequence[Line]) -> Tree:
    """Return the tree of named lines, parents first.

    Raises
    ------
    DataError
        If names are not unique, a parent is unknown or its own descendant, or a branch does not start on its parent.
    """
    names = [line.name for line in lines]
    if len(set(names)) < len(names) or not names:
        raise DataError(f"centreline file has {len(set(names))} names for {len(names)} branches, wanted a name each")
    branches: list[Branch] = []
    number: dict[str | None, int | None] = {None: None}
    waiting = list(lines)
    while waiting:
        ready = [line for line in waiting if line.parent in number]
        if not ready:
            raise DataError(f"branch {waiting[0].name} names parent {waiting[0].parent}, wanted a branch of the file above it")
        for line in ready:
            parent = number[line.parent]
            number[line.name] = len(branches)
            branches.append(_branch(line, parent, branches))
        waiting = [line for line in waiting if line.name not in number]
    return Tree(tuple(branches))


def _branch(line: Line, parent: int | None, branches: Sequence[Branch]) -> Branch:
    if len(line.points_mm) != len(line.radius_mm) or len(line.points_mm) < 2:
        raise DataError(
            f"branch {line.name} has {len(line.points_mm)} points and {len(line.radius_mm)} radii, wanted as many, 2 or more"
        )
    points, radius = _dense(line)
    point = None
    if parent is not None:
        trunk = branches[parent]
        away = np.linalg.norm(trunk.points_mm - points[0], axis=1)
        point = int(np.argmin(away))
        if away[point] > trunk.radius_mm[point]:
            raise DataError(
                f"branch {line.name} starts {away[point]:.3g} mm from the centreline of its parent {trunk.name}, wanted within "
                f"its radius of {trunk.radius_mm[point]:.3g} mm; begin the branch on its parent"
            )
        if away[point] > 1e-9:
            points = np.concatenate([trunk.points_mm[point][None], points])
            radius = np.concatenate([radius[:1], radius])
    return Branch(
        line.name, parent, point, points, radius, radius.copy(), np.zeros(len(radius)), np.zeros(len(radius), dtype=int)
    )


def _dense(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Return points and radii no farther apart than half the radius, so that a branch finds its place on its parent."""
    require_plausible_radius_mm(line.radius_mm, f"branch {line.name}")
    steps = np.linalg.norm(np.diff(line.points_mm, axis=0), axis=1)
    keep = np.concatenate([[True], steps > SMALLEST_STEP_MM])
    if not np.isfinite(steps).all() or keep.sum() < 2:
        raise DataError(f"branch {line.name} has no length, wanted 2 or more points apart from each other")
    points, radius = line.points_mm[keep], line.radius_mm[keep]
    steps = steps[keep[1:]]
    wanted = float(radius.min()) / 2
    if steps.max() <= wanted:
        return points, radius
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    pieces = [np.linspace(a, b, max(1, int(np.ceil((b - a) / wanted))), endpoint=False) for a, b in pairwise(along)]
    fine = np.append(np.concatenate(pieces), along[-1])
    if len(along) == 2:
        return points[0] + (fine / along[-1])[:, None] * (points[1] - points[0]), np.interp(fine, along, radius)
    return CubicSpline(along, points)(fine), PchipInterpolator(along, radius)(fine)
