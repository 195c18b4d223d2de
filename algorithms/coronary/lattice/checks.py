"""What is checked of a solution before anyone may believe it; and how sure two grids make a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import cells_across, narrowest_across
from algorithms.coronary.lattice.scale import LARGEST_MACH
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.lattice.velocities import SOUND_SPEED

MASS_BALANCE = 1e-3
"""Flow in less flow out, over flow in."""

FLOW_SPREAD = 1e-2
"""Largest difference of flow between sections of the lumen, over flow in."""

FEWEST_CELLS = 10.0
"""Cells across the throat: fewer, and not even a vessel along the grid is within 5 % (docs/decisions/025)."""

TRANSITIONAL_REYNOLDS = 1000.0
"""Above it the flow behind a stenosis is no longer steady, and a steady solution is flagged.

Varghese, Frankel and Fischer, J Fluid Mech 582:253 (2007): a stenosis of 75 % of the area with a slight asymmetry.
"""

SAFETY, ORDER = 3.0, 2.0
"""Of the grid convergence index from two grids (Roache 1994); walls and collision are of second order."""


@dataclass(frozen=True)
class Check:
    """A measured value against its limit."""

    name: str
    value: float
    unit: str
    limit: str
    passed: bool
    help: str


def checks(found: Solution) -> tuple[Check, ...]:
    """Return every check of a solution."""
    inflow = float(-found.flow_m3_s[[opening.inlet for opening in found.cells.openings]].sum())
    balance = abs(float(found.flow_m3_s.sum())) / inflow
    spread = float(np.abs(found.front_m3_s - inflow).max(initial=0.0)) / inflow
    speed = np.linalg.norm(found.velocity_m_s, axis=1)
    mach = float(speed.max() / found.scale.velocity_m_s / SOUND_SPEED)
    return (
        at_most("mass balance", balance, MASS_BALANCE, "flow in less flow out, over flow in"),
        at_most("flow between sections", spread, FLOW_SPREAD, "largest difference from the flow in, over it"),
        at_most("pressure drift", found.drift, found.steady, "last change of section pressures and flows, relative"),
        at_most("mach number", mach, LARGEST_MACH, "of the fastest blood; errors go with its square"),
        at_least("cells across the throat", narrowest_across(found.cells), FEWEST_CELLS, "where the lumen is narrowest"),
        at_most(
            "reynolds number",
            reynolds_number(found, speed),
            TRANSITIONAL_REYNOLDS,
            "highest in a section; above, flow is transitional",
        ),
    )


def reynolds_number(found: Solution, speed_m_s: np.ndarray) -> float:
    """Return the highest Reynolds number of mean speed and diameter of a section."""
    cells = found.cells
    mean = np.bincount(cells.section, speed_m_s) / np.bincount(cells.section)
    diameter = cells_across(cells) * cells.side_mm * 1e-3
    return float(np.nanmax(mean * diameter / found.scale.fluid.kinematic_m2_s))


def at_most(name: str, value: float, limit: float, help_text: str) -> Check:
    """Return the check that a value without a unit is not above its limit."""
    return Check(name, float(f"{value:.4g}"), "1", f"<= {limit:g}", bool(value <= limit), help_text)


def at_least(name: str, value: float, limit: float, help_text: str) -> Check:
    """Return the check that a value without a unit is not below its limit."""
    return Check(name, float(f"{value:.4g}"), "1", f">= {limit:g}", bool(value >= limit), help_text)


def grid_convergence_index(coarse: float, fine: float, ratio: float) -> float:
    """Return the relative uncertainty of ``fine`` from a solution on cells ``ratio`` times as large.

    References
    ----------
    Roache, *Perspective: a method for uniform reporting of grid refinement studies*, J Fluids Eng 116:405 (1994).
    """
    if ratio <= 1:
        raise ValueError("ratio must be above 1")
    return SAFETY * abs(coarse / fine - 1) / float(ratio**ORDER - 1)
