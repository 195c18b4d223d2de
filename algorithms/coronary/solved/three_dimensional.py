"""A flow in three dimensions under an engineer's conditions: on which cells, how long it takes, and what is checked.

The default cell is a sixteenth of the narrowest diameter, because a throat of 10 to 12 cells that is oblique to the grid
loses up to a tenth too much pressure (docs/decisions/025).  Where that makes more than ``MOST_CELLS`` the cells are made
larger, down to 10 across the throat, below which no FFR is given.  The flow is solved on cells 1.5 times as large first:
that costs a fifth more, begins the run on the fine ones, and the two together tell how far the answer still moves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import Conditions
from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.lattice.checks import FEWEST_CELLS, Check, at_most, checks, grid_convergence_index
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Resistance, Share
from algorithms.coronary.lattice.scale import MACH
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.lattice.solve import How, solve
from algorithms.coronary.lattice.velocities import SOUND_SPEED
from algorithms.coronary.solved.answer import Answer, Means
from algorithms.coronary.solved.files import Run
from algorithms.coronary.solved.in_cells import at_level, of_lattice
from algorithms.coronary.solved.sections import at_openings, outlets_of, section_means

log = logging.getLogger(__name__)

CELLS_ACROSS = 16.0

MOST_CELLS = 2_000_000
"""About 0.7 GiB, and a night on two cores where blood passes slowly."""

RATIO = 1.5
"""Side of the coarse cells over that of the fine ones."""

PASSAGES = 4.0
"""Times that blood passes a lumen of a few diameters before nothing changes any more."""

UPDATES_PER_S = 2e7
"""Cells that a thread steps in a second, for the estimate; the log says what is left while a run goes on."""

DECISIVE_LOSS = 0.2
"""Of the inlet's pressure: an FFR of 0.80.  Errors of a smaller loss are set against this one, for nobody decides on it."""

GRID_CONVERGENCE = 0.1
"""Of what is lost: it moves an FFR of 0.80 by 0.02.  A choice of ours."""

MODELS_DIFFER = 0.5
"""Of what is lost: the models are within 13 % in a straight stenosis, and the reduced one knows no bend, no entrance and no
division, which may cost half as much again.  More than this says that one of the two is wrong."""


@dataclass(frozen=True)
class Plan:
    """Sides of the cells, coarse and fine, about how many fine ones there are, and how long the run takes."""

    sides_mm: tuple[float, float]
    cells: int
    across: float
    seconds: float


def plan(first: Answer, cell_mm: float | None) -> Plan:
    """Return the cells for a lumen in which the reduced model found ``first``; ``cell_mm`` takes other ones.

    Raises
    ------
    DataError
        If the throat needs more cells than are reasonable.
    """
    branches = first.tree.branches
    throat = 2 * min(float(b.radius_mm.min()) for b in branches)
    volume = sum(float(np.trapezoid(np.pi * b.radius_mm**2, b.distance_mm)) for b in branches)
    side = cell_mm or max(throat / CELLS_ACROSS, float(np.cbrt(volume / MOST_CELLS)))
    if cell_mm is None and throat / side < FEWEST_CELLS:
        raise DataError(
            f"a throat of {throat:.2f} mm in a lumen of {volume:.0f} mm3 wants {volume * (FEWEST_CELLS / throat) ** 3:.2g} "
            f"cells, at most {MOST_CELLS:.2g} are taken; cut the lumen shorter around the narrowing, say --cell-mm, or use "
            "--model reduced"
        )
    fastest = max(
        float((2 * q / (np.pi * (b.radius_mm * 1e-3) ** 2)).max()) for q, b in zip(first.means.flow_m3_s, branches, strict=True)
    )
    inflow = sum(end.flow_m3_s for end in first.openings if end.opening.inlet)
    step_s = MACH * float(SOUND_SPEED) * side * 1e-3 / fastest
    steps = PASSAGES * volume * 1e-9 / inflow / step_s
    cells = int(volume / side**3)
    seconds = cells * steps * (1 + RATIO**-4) / (UPDATES_PER_S * numba.get_num_threads())
    return Plan((RATIO * side, side), cells, throat / side, seconds)


def solved(lumen: Lumen, first: Answer, given: Conditions, chosen: Plan, checkpoints: Path | None = None) -> tuple[Answer, Run]:
    """Return the flow in three dimensions, and the run with its cells.

    Parameters
    ----------
    lumen
        Where blood is.
    first
        What the reduced model found in it.
    given
        What is known at its openings, by their names.
    chosen
        The cells.
    checkpoints
        Folder in which the state of the run is kept, so that a killed run goes on.

    Raises
    ------
    DataError
        If lumen or conditions allow no answer, or the cells are too large.
    """
    fluid = Fluid(given.density_kg_m3, given.viscosity_pa_s)
    conditions, level_pa = lattice_conditions(lumen, given)
    found = solve(lumen, conditions, fluid, chosen.sides_mm, How(checkpoints=checkpoints))
    coarse, fine = (_raised(each, level_pa) for each in found)
    cells = of_lattice(fine)
    means = section_means(cells, first.tree, given)
    inlet = next(opening.name for opening in lumen.openings if opening.inlet)
    before = section_means(of_lattice(coarse), first.tree, given)
    compared = _of_two(before, means, chosen.sides_mm[0] / chosen.sides_mm[1], given.inlets[inlet].pressure_pa)
    at = outlets_of(at_openings(cells), first.tree, means)
    grids = tuple(_facts(each) for each in (coarse, fine))
    return Answer("3d", first.tree, at, means, (*checks(fine), *compared), first.doubts, grids), Run(lumen, fine, coarse)


def lattice_conditions(lumen: Lumen, given: Conditions) -> tuple[dict[str, Condition], float | None]:
    """Return the conditions of the openings as the lattice takes them, and the inlet's pressure where that is only a level.

    Where every outlet takes a fraction of the flow nothing in the lattice holds the pressure: the largest fraction goes
    out at a pressure of 0, and all pressures are raised afterwards until the inlet has its own.
    """
    names = [opening.name for opening in lumen.openings if not opening.inlet]
    inlet = next(opening.name for opening in lumen.openings if opening.inlet)
    source = given.inlets[inlet]
    found: dict[str, Condition] = {}
    if source.flow_m3_s is not None:
        found[inlet] = Flow(source.flow_m3_s)
    elif source.pressure_pa is not None:
        found[inlet] = Pressure(source.pressure_pa)
    fractions = {name: given.outlets[name].flow_fraction for name in names}
    shares: Mapping[str, float] = {name: part for name, part in fractions.items() if part is not None}
    rest = max(shares, key=lambda name: shares[name]) if shares else None
    for name in names:
        end = given.outlets[name]
        if name in shares and name != rest:
            found[name] = Share(shares[name])
        elif end.resistance_pa_s_m3 is not None:
            found[name] = Resistance(end.resistance_pa_s_m3, given.distal_pressure_pa)
        else:
            found[name] = Pressure(end.pressure_pa or 0.0)
    return found, source.pressure_pa if shares else None


def _raised(found: Solution, inlet_pa: float | None) -> Solution:
    more = at_level(found.cells.openings, found.opening_pa, inlet_pa)
    return replace(found, pressure_pa=found.pressure_pa + more, opening_pa=found.opening_pa + more)


def _facts(found: Solution) -> dict[str, float]:
    return {
        "cell_mm": found.cells.side_mm,
        "cells": len(found.cells),
        "steps": found.steps,
        "step_s": float(f"{found.scale.step_s:.5g}"),
        "relaxation_time": round(found.scale.tau, 5),
    }


def _of_two(coarse: Means, fine: Means, ratio: float, inlet_pa: float | None) -> tuple[Check, ...]:
    """Return the checks that compare: the two grids, and the two models.  Losses are set against no less than is decisive."""
    # Where pressures are given it is flow that differs between the grids: what the lumen resists tells of both.
    index, lost = _most_lost(fine)
    before, now = (float(each.total_pa[index][-1] / each.flow_m3_s[0][0]) for each in (coarse, fine) if each.total_pa)
    convergence = grid_convergence_index(before, now, ratio) * abs(lost) / max(abs(lost), DECISIVE_LOSS * (inlet_pa or 0.0))
    help_text = f"{_against(inlet_pa)}, from cells {ratio:g} times as large"
    return at_most("grid convergence index", convergence, GRID_CONVERGENCE, help_text), models_differ(fine, inlet_pa)


def models_differ(means: Means, inlet_pa: float | None) -> Check:
    """Return the check that the reduced model and a flow in three dimensions lose about the same."""
    index, lost = _most_lost(means)
    reduced = float(means.viscous_pa[index][-1] + means.expansion_pa[index][-1])
    return at_most(
        "reduced model",
        # A loss of nothing differs from every other by everything: that, too, is no answer.
        abs(reduced - lost) / max(lost, DECISIVE_LOSS * (inlet_pa or 0.0), 1e-9 * abs(reduced)),
        MODELS_DIFFER,
        f"difference of the two models' losses to the tip that lost most, {_against(inlet_pa)}",
    )


def _most_lost(means: Means) -> tuple[int, float]:
    """Return the branch whose tip lost most of its total pressure, and how much."""
    return max(enumerate(float(total[-1]) for total in means.total_pa or ()), key=lambda tip: tip[1])


def _against(inlet_pa: float | None) -> str:
    if inlet_pa is None:
        return "of the loss"
    return f"of the loss, or of {DECISIVE_LOSS:g} of the inlet's pressure if that is more"
