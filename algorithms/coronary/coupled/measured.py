"""One part solved in three dimensions: what it loses between its ends, and what was checked of it.

The reduced model leaves out the reversible exchange of pressure and speed.  So what is set against it is the loss of
energy: the fall of the flux-weighted mean of ``p + rho u^2 / 2``, which is what the vessel's friction and the jet turn into
heat (Batchelor, *An Introduction to Fluid Dynamics*, section 3.5: Bernoulli's theorem and where it fails).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.coupled.domain import Domain, Through
from algorithms.coronary.coupled.plan import Grid
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.geometry.swept import SweptLumen, swept_lumen
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.lattice.checks import TRANSITIONAL_REYNOLDS, Check, at_most, checks, grid_convergence_index
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Share, ordered
from algorithms.coronary.lattice.scale import scale
from algorithms.coronary.lattice.solution import SECTION_HALF_CELLS, Solution
from algorithms.coronary.lattice.solve import How, settle, solve
from algorithms.coronary.lattice.start import Start
from algorithms.coronary.solved.three_dimensional import DECISIVE_LOSS, GRID_CONVERGENCE

WARMER = 1.05
"""The fastest blood that is reckoned with when a solution is taken on to another flow."""


@dataclass(frozen=True, eq=False)
class Solved:
    """What one part loses, by the fine grid's ``solution``; ``refused`` says why there is none."""

    through: Through
    loss_mmhg: float
    checks: tuple[Check, ...]
    facts: Mapping[str, float]
    refused: str = ""
    lumen: SweptLumen | None = None
    solution: Solution | None = None
    coarse: Solution | None = None

    @property
    def passed(self) -> bool:
        """Return whether there is a solution and every check of it passed."""
        return not self.refused and all(check.passed for check in self.checks)


Solver = Callable[[Domain, Grid, Through, Solved | None], Solved]
"""Solves a part with a flow, from an earlier solution of it where there is one."""


def lattice_solver(fluid: Fluid, aortic_mmhg: float, how: How) -> Solver:
    """Return what solves a part on the lattice."""

    def solver(domain: Domain, grid: Grid, flow: Through, earlier: Solved | None) -> Solved:
        """Solve ``domain`` at ``flow``, from ``earlier`` where there is one."""
        try:
            lumen = earlier.lumen if earlier and earlier.lumen else swept_lumen(domain.crop.tree, ends=domain.crop.ends)
            given = conditions(lumen.openings, flow)
            if earlier and earlier.solution:
                fine = _taken_on(earlier.solution, given, fluid, flow.inflow_ml_s / earlier.through.inflow_ml_s, how)
                coarse = earlier.coarse
                index = float(earlier.facts["grid_convergence_index"])
            else:
                coarse, fine = solve(lumen, given, fluid, grid.sides_mm, how)
                index = grid_convergence_index(lost_pa(coarse), lost_pa(fine), grid.sides_mm[0] / grid.sides_mm[1])
        except DataError as error:
            return Solved(flow, float("nan"), (), {}, refused=str(error))
        except ArithmeticError as error:
            return Solved(flow, float("nan"), (Check("steady flow", 0.0, "1", ">= 1", False, str(error)),), {})
        return replace(measured(flow, lumen, fine, index, aortic_mmhg), coarse=coarse)

    return solver


def conditions(openings: tuple[Opening, ...], flow: Through) -> dict[str, Condition]:
    """Return a flow in, the pressure at the vessel's end, and for each side branch its share of the flow."""
    names = [opening.name for opening in openings if not opening.inlet]
    given: dict[str, Condition] = {opening.name: Flow(flow.inflow_ml_s * 1e-6) for opening in openings if opening.inlet}
    given[names[0]] = Pressure(flow.end_mmhg * PA_PER_MMHG)
    shares = zip(names[1:], flow.sides_ml_s, strict=True)
    return given | {name: Share(float(side) / flow.inflow_ml_s) for name, side in shares}


def _taken_on(found: Solution, given: Mapping[str, Condition], fluid: Fluid, ratio: float, how: How) -> Solution:
    """Return the steady flow that an earlier one on the same cells settles to when ``ratio`` times as much comes in."""
    chosen = ordered(found.cells.openings, given)
    end_pa = next(condition.pa for condition in chosen if isinstance(condition, Pressure))
    shift = found.opening_pa[[isinstance(condition, Pressure) for condition in chosen]][0]
    start = Start(
        ratio * found.velocity_m_s.T,
        end_pa + ratio * (found.pressure_pa - shift),
        ratio * found.flow_m3_s,
        end_pa + ratio * (found.opening_pa - shift),
    )
    fastest = WARMER * ratio * float(np.linalg.norm(found.velocity_m_s, axis=1).max())
    return settle(found.cells, chosen, scale(found.cells.side_mm, fluid, fastest), start, how)


def measured(flow: Through, lumen: SweptLumen, fine: Solution, index: float, aortic_mmhg: float) -> Solved:
    """Return the loss of a solution with its checks and facts; ``index`` is the grid convergence index of the loss."""
    loss_mmhg = lost_pa(fine) / PA_PER_MMHG
    told = checks(fine)
    reynolds = next(check.value for check in told if check.name == "reynolds number")
    kept = [check for check in told if check.name != "reynolds number"]
    told_of = "convergence index from two grids, of the loss or of a fifth of aortic pressure"
    kept.append(at_most("grid convergence", index * decisive(loss_mmhg, loss_mmhg, aortic_mmhg), GRID_CONVERGENCE, told_of))
    facts = {
        "cells": float(len(fine.cells)),
        "cell_mm": fine.cells.side_mm,
        "cells_across_throat": next(check.value for check in told if check.name == "cells across the throat"),
        "steps": float(fine.steps),
        "grid_convergence_index": index,
        "reynolds_number": reynolds,
        "transitional": float(reynolds > TRANSITIONAL_REYNOLDS),
    }
    return Solved(flow, loss_mmhg, tuple(kept), facts, lumen=lumen, solution=fine)


def decisive(difference_mmhg: float, loss_mmhg: float, aortic_mmhg: float) -> float:
    """Return a difference over the loss, or over the smallest loss on which anybody decides where less is lost."""
    return abs(difference_mmhg) / max(abs(loss_mmhg), DECISIVE_LOSS * aortic_mmhg)


def lost_pa(found: Solution) -> float:
    """Return the energy lost between the inlet and the first outlet, Pa."""
    openings = found.cells.openings
    inlet = next(i for i, opening in enumerate(openings) if opening.inlet)
    end = next(i for i, opening in enumerate(openings) if not opening.inlet)
    return energy_pa(found, openings[inlet]) - energy_pa(found, openings[end])


def energy_pa(found: Solution, opening: Opening) -> float:
    """Return the flux-weighted mean of pressure and kinetic energy at an opening, taken just inside and carried on to it.

    What Poiseuille's friction takes over the few cells in between is added, or for an outlet taken away.
    """
    cells, fluid = found.cells, found.scale.fluid
    inside_mm = (SECTION_HALF_CELLS + 0.5) * cells.side_mm
    away = cells.points_mm - (opening.centre_mm - inside_mm * opening.normal)
    height = away @ opening.normal
    near = (np.abs(height) < SECTION_HALF_CELLS * cells.side_mm) & ((away**2).sum(axis=1) < (1.5 * opening.radius_mm) ** 2)
    velocity = found.velocity_m_s[near]
    flux = (1 - np.abs(height[near]) / (SECTION_HALF_CELLS * cells.side_mm)) * (velocity @ opening.normal)
    energy = found.pressure_pa[near] + fluid.density_kg_m3 / 2 * (velocity**2).sum(axis=1)
    number = next(i for i, each in enumerate(cells.openings) if each.name == opening.name)
    # Out of the lumen flow is positive: friction lowers what arrives, and raises what came from before.
    friction = 8 * fluid.viscosity_pa_s * found.flow_m3_s[number] * inside_mm * 1e-3 / (np.pi * (opening.radius_mm * 1e-3) ** 4)
    return float((flux * energy).sum() / flux.sum() - friction)
