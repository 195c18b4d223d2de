"""What is known of one flow when it is solved, whichever model solved it.  SI units; points are (N, 3) mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.lattice.checks import Check
from algorithms.coronary.tree import Tree


@dataclass(frozen=True, eq=False)
class Means:
    """Means over the sections at every point of a tree, one (N,) array a branch; losses are counted from the inlet."""

    flow_m3_s: tuple[np.ndarray, ...]
    pressure_pa: tuple[np.ndarray, ...]
    viscous_pa: tuple[np.ndarray, ...]
    """Friction in the reduced model, at the flows found."""
    expansion_pa: tuple[np.ndarray, ...]
    """What the reduced model says is lost behind throats, at the flows found."""
    total_pa: tuple[np.ndarray, ...] | None = None
    """Total pressure that a flow in three dimensions has lost, weighted with flow."""
    measured: tuple[np.ndarray, ...] | None = None
    """Where flow was integrated over a section of cells; elsewhere, in divisions and at openings, it is what mass asks for."""


@dataclass(frozen=True, eq=False)
class AtOpening:
    """An opening, its mean pressure, and the flow through it: into the lumen at an inlet, out of it at an outlet."""

    opening: Opening
    pressure_pa: float
    flow_m3_s: float


@dataclass(frozen=True, eq=False)
class Answer:
    """A solved flow."""

    model: str
    """``reduced``, ``3d`` (lattice) or ``openfoam``."""
    tree: Tree
    openings: tuple[AtOpening, ...]
    means: Means
    checks: tuple[Check, ...]
    doubts: tuple[str, ...]
    grids: tuple[dict[str, float], ...] = ()
    """Side of the cells, their number, steps or iterations and so on, for each grid, the finest last."""
