"""Values along the centrelines, as a ``.vtp`` of lines, a branch each.  Points are (N, 3) LPS mm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.coronary.fields.vtk_files import write_lines
from algorithms.coronary.flow import Flow
from algorithms.coronary.tree import Tree


@dataclass(frozen=True, eq=False)
class Along:
    """Section means at every point of a tree, one (N,) array a branch; losses are cumulated from the aorta."""

    flow_ml_s: tuple[np.ndarray, ...]
    pressure_mmhg: tuple[np.ndarray, ...]
    viscous_mmhg: tuple[np.ndarray, ...]
    expansion_mmhg: tuple[np.ndarray, ...]
    total_mmhg: tuple[np.ndarray, ...] | None = None
    """What a flow in three dimensions has lost of its total pressure, beside the two terms of the reduced model."""

    @classmethod
    def of(cls, solved: Flow) -> Along:
        """Return what the reduced model found."""
        return cls(solved.flow_ml_s, solved.pressure_mmhg, solved.viscous_mmhg, solved.expansion_mmhg)


def write_centreline(tree: Tree, along: Along, aortic_pressure_mmhg: float | None, path: Path) -> None:
    """Write distance from the ostium, radius, flow, pressure, FFR and cumulated losses at every point of every branch.

    There is no ``ffr`` where the aortic pressure is not known, and a ``total_loss_mmhg`` only of a flow in three dimensions.
    """
    branches = range(len(tree.branches))
    data = {
        "distance_mm": [tree.ostium_distance_mm(i) for i in branches],
        "radius_mm": [branch.radius_mm for branch in tree.branches],
        "flow_ml_s": along.flow_ml_s,
        "pressure_mmhg": along.pressure_mmhg,
        "viscous_loss_mmhg": along.viscous_mmhg,
        "expansion_loss_mmhg": along.expansion_mmhg,
    }
    facts = {}
    if along.total_mmhg is not None:
        data["total_loss_mmhg"] = along.total_mmhg
    if aortic_pressure_mmhg is not None:
        data["ffr"] = [pressure / aortic_pressure_mmhg for pressure in along.pressure_mmhg]
        facts["aortic_pressure_mmhg"] = aortic_pressure_mmhg
    lines = [branch.points_mm for branch in tree.branches]
    write_lines(path, lines, data, [b.name for b in tree.branches], facts)
