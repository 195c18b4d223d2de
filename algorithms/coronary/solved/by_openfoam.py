"""A flow in three dimensions by OpenFOAM under an engineer's conditions: the same section means, losses and verdict.

There is one grid, so nothing tells how far the answer would move on a finer one: solve again with smaller cells and compare.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import Conditions
from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.lattice.checks import (
    FEWEST_CELLS,
    FLOW_SPREAD,
    MASS_BALANCE,
    TRANSITIONAL_REYNOLDS,
    Check,
    at_least,
    at_most,
)
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.openfoam.case import Numerics
from algorithms.coronary.openfoam.solve import ENOUGH, FoamSolution, solve
from algorithms.coronary.solved.answer import Answer, AtOpening, Means
from algorithms.coronary.solved.in_cells import InCells, at_level, of_foam
from algorithms.coronary.solved.reduced import highest_reynolds
from algorithms.coronary.solved.sections import at_openings, flow_spread, section_means
from algorithms.coronary.solved.three_dimensional import lattice_conditions, models_differ


def solved_by_openfoam(
    lumen: Lumen, first: Answer, given: Conditions, how: Numerics, folder: Path
) -> tuple[Answer, FoamSolution]:
    """Return the flow in three dimensions, and the solution with its cells.

    Parameters
    ----------
    lumen, first, given
        As for ``three_dimensional.solved``.
    how
        Grid, accuracy and number of processes.
    folder
        A new or empty folder; OpenFOAM's case stays there.

    Raises
    ------
    DataError
        If OpenFOAM is not installed or one of its programs fails, or lumen or conditions allow no answer.
    """
    conditions, level_pa = lattice_conditions(lumen, given)
    found = solve(lumen, conditions, Fluid(given.density_kg_m3, given.viscosity_pa_s), how, folder)
    more = at_level(found.openings, found.opening_pa, level_pa)
    found = replace(found, pressure_pa=found.pressure_pa + more, opening_pa=found.opening_pa + more)
    return openfoam_answer(found, lumen, first, given), found


def openfoam_answer(found: FoamSolution, lumen: Lumen, first: Answer, given: Conditions) -> Answer:
    """Return what the solution says along the tree of ``first`` and at the openings, with its checks.

    Raises
    ------
    DataError
        If no section of the tree is clear of divisions and openings.
    """
    cells = of_foam(found, lumen, Fluid(given.density_kg_m3, given.viscosity_pa_s))
    means = section_means(cells, first.tree, given)
    checks = _checks(found, cells, (first, means), given)
    grid = {"cell_mm": found.side_mm, "cells": len(found.points_mm), "iterations": found.iterations}
    return Answer("openfoam", first.tree, at_openings(cells), means, checks, first.doubts, (grid,))


def _checks(found: FoamSolution, cells: InCells, along: tuple[Answer, Means], given: Conditions) -> tuple[Check, ...]:
    first, means = along
    at = at_openings(cells)
    tree = first.tree
    throat = 2 * min(float(branch.radius_mm.min()) for branch in tree.branches)
    inlet_pa = given.inlets[_inlet(at).opening.name].pressure_pa
    if not any(own.any() for own in means.measured or ()):
        raise DataError(
            f"no section of the {len(tree.branches)} branches is clear of divisions and openings with cells of "
            f"{found.side_mm:g} mm; take smaller cells or a longer piece of the vessel"
        )
    spread = flow_spread(cells, tree, means, given)
    return (
        at_most("mass balance", _imbalance(at), MASS_BALANCE, "flow in less flow out, over flow in"),
        at_most("flow between sections", spread, FLOW_SPREAD, "largest difference from what leaves behind, over the flow in"),
        at_most("residual", found.residual, ENOUGH * Numerics.residual, "largest of the last iteration: momentum, pressure"),
        at_least("cells across the throat", throat / found.side_mm, FEWEST_CELLS, "narrowest diameter over a cell's side"),
        at_most(
            "reynolds number",
            highest_reynolds(tree, means, given),
            TRANSITIONAL_REYNOLDS,
            "highest in a section; above, flow is transitional",
        ),
        models_differ(means, inlet_pa),
    )


def _inlet(at: tuple[AtOpening, ...]) -> AtOpening:
    return next(end for end in at if end.opening.inlet)


def _imbalance(at: tuple[AtOpening, ...]) -> float:
    inflow = sum(end.flow_m3_s for end in at if end.opening.inlet)
    return float(np.abs(inflow - sum(end.flow_m3_s for end in at if not end.opening.inlet)) / inflow)
