"""A flow in the cells of a grid, whichever solver found it.  SI units; points are (N, 3) mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.geometry.shape import Lumen, Opening
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.lattice.profile import Profile, developed
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.openfoam.solve import PROFILE_STEPS, FoamSolution


@dataclass(frozen=True, eq=False)
class InCells:
    """A steady flow in N cells; G openings."""

    points_mm: np.ndarray
    volume_mm3: np.ndarray
    """(N,)"""
    side_mm: float
    """Of a cell away from the wall."""
    velocity_m_s: np.ndarray
    """(N, 3)"""
    pressure_pa: np.ndarray
    """(N,)"""
    openings: tuple[Opening, ...]
    flow_m3_s: np.ndarray
    """(G,) out of the lumen."""
    opening_pa: np.ndarray
    """(G,) at the openings' planes."""
    inlet: Profile
    """Of the velocity with which blood comes in."""
    fluid: Fluid


def of_lattice(found: Solution) -> InCells:
    """Return what the lattice found: all cells are whole."""
    cells = found.cells
    return InCells(
        points_mm=cells.points_mm,
        volume_mm3=np.full(len(cells), cells.side_mm**3),
        side_mm=cells.side_mm,
        velocity_m_s=found.velocity_m_s,
        pressure_pa=found.pressure_pa,
        openings=cells.openings,
        flow_m3_s=found.flow_m3_s,
        opening_pa=found.opening_pa,
        inlet=cells.profiles[next(i for i, opening in enumerate(cells.openings) if opening.inlet)],
        fluid=found.scale.fluid,
    )


def of_foam(found: FoamSolution, lumen: Lumen, fluid: Fluid) -> InCells:
    """Return what OpenFOAM found in ``lumen``, where a developed flow was given at the inlet."""
    opening = next(opening for opening in lumen.openings if opening.inlet)
    return InCells(
        points_mm=found.points_mm,
        volume_mm3=found.volume_mm3,
        side_mm=found.side_mm,
        velocity_m_s=found.velocity_m_s,
        pressure_pa=found.pressure_pa,
        openings=found.openings,
        flow_m3_s=found.flow_m3_s,
        opening_pa=found.opening_pa,
        inlet=developed(lumen, opening, opening.radius_mm / PROFILE_STEPS),
        fluid=fluid,
    )


def at_level(openings: tuple[Opening, ...], opening_pa: np.ndarray, inlet_pa: float | None) -> float:
    """Return by how much all pressures are raised until the inlet has ``inlet_pa``; 0 where that is None."""
    if inlet_pa is None:
        return 0.0
    return inlet_pa - float(opening_pa[next(i for i, opening in enumerate(openings) if opening.inlet)])
