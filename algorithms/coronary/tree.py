"""The coronary tree: branches with centreline and radii, and the stenoses on them (the artefact ``tree.json``).

Points are (N, 3) LPS mm, ordered from the ostium to the tip; radii are mm, of the circle with the lumen's area.
A branch is one named vessel and runs through its bifurcations: LAD is one branch, D1 a child that starts on it.
A child's first point *is* the parent's point ``parent_point``, with the child's own radius there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError

SCCT_SEGMENTS = {
    1: "proximal RCA", 2: "mid RCA", 3: "distal RCA", 4: "R-PDA", 5: "LM", 6: "proximal LAD", 7: "mid LAD", 8: "distal LAD",
    9: "D1", 10: "D2", 11: "proximal LCx", 12: "OM1", 13: "mid and distal LCx", 14: "OM2", 15: "L-PDA", 16: "R-PLB",
    17: "ramus intermedius", 18: "L-PLB",
}  # fmt: skip
"""The 18 segments of the SCCT model (Leipsic et al., J Cardiovasc Comput Tomogr 8:342 (2014), figure 1)."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One vessel: name (``LM LAD LCx RCA RI D1 OM1 R-PDA ...``), its parent, and arrays along its N points."""

    name: str
    parent: int | None
    parent_point: int | None
    points_mm: np.ndarray  # (N, 3)
    radius_mm: np.ndarray  # (N,) of the open lumen
    reference_radius_mm: np.ndarray  # (N,) that the vessel would have without disease
    radius_sd_mm: np.ndarray  # (N,) one standard deviation of radius_mm
    segment: np.ndarray  # (N,) SCCT segment number

    @cached_property
    def distance_mm(self) -> np.ndarray:
        """Return the arc length from the branch's first point, (N,) mm."""
        steps: np.ndarray = np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True)
class Stenosis:
    """One narrowing: indices into the points of ``branch``, and what is reported of it.

    ``diameter_stenosis`` and ``area_stenosis`` are fractions of the reference at the throat, 0 to 1.
    """

    branch: int
    start: int
    throat: int
    end: int
    diameter_stenosis: float
    area_stenosis: float
    minimal_lumen_diameter_mm: float
    reference_diameter_mm: float
    length_mm: float
    segment: int


@dataclass(frozen=True, eq=False)
class Tree:
    """Branches in an order in which a parent comes before its children; roots (``parent`` None) start at an ostium.

    ``doubts`` are sentences; a tree with doubts is held for review, never answered in silence.
    """

    branches: tuple[Branch, ...]
    stenoses: tuple[Stenosis, ...] = ()
    doubts: tuple[str, ...] = ()

    def children(self, index: int) -> list[int]:
        """Return the indices of the branches that start on branch ``index``."""
        return [i for i, b in enumerate(self.branches) if b.parent == index]

    def ostium_distance_mm(self, index: int) -> np.ndarray:
        """Return the distance of each point of branch ``index`` from its ostium along the vessels, (N,) mm."""
        branch = self.branches[index]
        if branch.parent is None or branch.parent_point is None:
            return branch.distance_mm
        offset_mm = float(self.ostium_distance_mm(branch.parent)[branch.parent_point])
        return branch.distance_mm + offset_mm


def write_tree(tree: Tree, path: Path) -> None:
    """Write ``tree`` as JSON; lengths are rounded to 0.1 um so that equal trees are equal files."""
    branches = [
        {"name": b.name, "parent": b.parent, "parent_point": b.parent_point, "segment": [int(s) for s in b.segment]}
        | {name: np.round(getattr(b, name), 4).tolist() for name in _LENGTHS}
        for b in tree.branches
    ]
    document = {
        "coordinate_system": "LPS mm",
        "branches": branches,
        "stenoses": [asdict(s) for s in tree.stenoses],
        "doubts": list(tree.doubts),
    }
    path.write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n")


def read_tree(path: Path) -> Tree:
    """Return the tree in ``path``.

    Raises
    ------
    DataError
        If a branch's arrays differ in length, or a parent does not come before its child.
    """
    document = json.loads(path.read_text())
    branches = tuple(_branch(index, entry) for index, entry in enumerate(document["branches"]))
    return Tree(branches, tuple(Stenosis(**s) for s in document["stenoses"]), tuple(document["doubts"]))


_LENGTHS = ("points_mm", "radius_mm", "reference_radius_mm", "radius_sd_mm")


def _branch(index: int, entry: dict[str, Any]) -> Branch:
    arrays = {name: np.asarray(entry[name], dtype=float) for name in _LENGTHS}
    arrays["segment"] = np.asarray(entry["segment"], dtype=int)
    lengths = {len(values) for values in arrays.values()}
    if len(lengths) != 1 or min(lengths) < 2:
        raise DataError(f"branch {index} of the tree has arrays of {sorted(lengths)} points, wanted one length of 2 or more")
    if entry["parent"] is not None and not 0 <= entry["parent"] < index:
        raise DataError(f"branch {index} of the tree names parent {entry['parent']}, wanted an earlier branch")
    return Branch(entry["name"], entry["parent"], entry["parent_point"], **arrays)
