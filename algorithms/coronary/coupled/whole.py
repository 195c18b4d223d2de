"""A whole tree solved in three dimensions: one run an ostium, aortic pressure at it, a resistance behind every tip.

What the reduced model lets out through branches that are not seen has no opening here.  Its conductances are added to those
of the tips behind it, in proportion to theirs, so that what enters a vessel is right; distal vessels carry somewhat more
than they do in life, and lose somewhat more.  Pressures are means over cross-sections, as a wire reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.coronary.boundary import Boundary
from algorithms.coronary.coupled.domain import Through
from algorithms.coronary.coupled.measured import Solved, decisive
from algorithms.coronary.coupled.plan import Grid
from algorithms.coronary.flow import Flow
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.haemodynamics.branching import end_children
from algorithms.coronary.haemodynamics.network import Network, network, viscous_mmhg_s_ml
from algorithms.coronary.lattice.checks import TRANSITIONAL_REYNOLDS, Check, at_most, checks, grid_convergence_index
from algorithms.coronary.lattice.conditions import Condition, Fluid, Pressure, Resistance
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.lattice.solve import How, solve
from algorithms.coronary.solved.in_cells import of_lattice
from algorithms.coronary.solved.sections import section_pressures_pa
from algorithms.coronary.solved.three_dimensional import GRID_CONVERGENCE
from algorithms.coronary.tree import Tree

PA_S_M3 = PA_PER_MMHG * 1e6
"""Pa s/m3 in one mmHg s/ml."""


@dataclass(frozen=True, eq=False)
class Part:
    """The branches that one ostium feeds, as a tree of their own; ``number`` says which of the whole tree they are."""

    tree: Tree
    number: tuple[int, ...]


def parts(tree: Tree) -> list[Part]:
    """Return one part an ostium."""
    root: list[int] = []
    for index, branch in enumerate(tree.branches):
        root.append(index if branch.parent is None else root[branch.parent])
    found = []
    for first in dict.fromkeys(root):
        number = tuple(i for i, r in enumerate(root) if r == first)
        new = {old: i for i, old in enumerate(number)}
        above = [tree.branches[i].parent for i in number]
        branches = tuple(
            replace(tree.branches[i], parent=None if parent is None else new[parent])
            for i, parent in zip(number, above, strict=True)
        )
        found.append(Part(Tree(branches, (), tree.doubts), number))
    return found


def tip_resistances_mmhg_s_ml(tree: Tree, given: Boundary) -> dict[int, float]:
    """Return the resistance behind each tip by its branch, with the conductances of the unseen branches before it."""
    net = network(tree)
    conductance = 1 / given.resistance_hyperaemic_mmhg_s_ml
    tips = [i for i, place in enumerate(net.places) if place.station is None]
    total = {i: float(conductance[i]) for i in tips}
    for i, place in enumerate(net.places):
        if place.station is None:
            continue
        behind = [t for t in tips if net.below[_edge_behind(net, i), t]]
        share = sum(float(conductance[t]) for t in behind)
        for t in behind:
            total[t] += float(conductance[i]) * float(conductance[t]) / share
    return {net.places[i].branch: 1 / value for i, value in total.items()}


def _edge_behind(net: Network, outlet: int) -> int:
    """Return the edge that goes on along the branch behind a side outlet."""
    place = net.places[outlet]
    return int(np.flatnonzero((net.branch == place.branch) & (net.start == place.point))[0])


def solve_part(part: Part, given: Boundary, resistance: dict[int, float], grid: Grid, how: How) -> tuple[Solved, Solution]:
    """Return what was checked of a part's flow, and the flow.

    Raises
    ------
    DataError
        If the lumen cannot be meshed, or the cells are too large for its flow.
    ArithmeticError
        If the flow blew up.
    """
    ends = [not end_children(part.tree, index) for index in range(len(part.tree.branches))]
    lumen = swept_lumen(part.tree, ends=ends)
    aortic = given["aortic_pressure_mmhg"]
    fluid = Fluid(given["density_kg_m3"], given["viscosity_pa_s"])
    inlet = next(opening.name for opening in lumen.openings if opening.inlet)
    conditions: dict[str, Condition] = {inlet: Pressure(aortic * PA_PER_MMHG)}
    behind_pa = given["venous_pressure_mmhg"] * PA_PER_MMHG
    for index, free in enumerate(ends):
        if free:
            conditions[part.tree.branches[index].name] = Resistance(resistance[part.number[index]] * PA_S_M3, behind_pa)
    coarse, fine = solve(lumen, conditions, fluid, grid.sides_mm, how)
    lowest = [float(found.opening_pa.min()) / PA_PER_MMHG / aortic for found in (coarse, fine)]
    unsure = grid_convergence_index(1 - lowest[0], 1 - lowest[1], grid.sides_mm[0] / grid.sides_mm[1])
    told = checks(fine)
    reynolds = next(check.value for check in told if check.name == "reynolds number")
    kept: list[Check] = [check for check in told if check.name != "reynolds number"]
    help_text = "convergence index from two grids, of the largest loss or of a fifth of aortic pressure"
    most_lost = (1 - lowest[1]) * aortic
    kept.append(at_most("grid convergence", unsure * decisive(most_lost, most_lost, aortic), GRID_CONVERGENCE, help_text))
    facts = {
        "cells": float(len(fine.cells)), "cell_mm": fine.cells.side_mm, "steps": float(fine.steps),
        "cells_across_throat": next(check.value for check in told if check.name == "cells across the throat"),
        "grid_convergence_index": unsure, "reynolds_number": reynolds, "transitional": float(reynolds > TRANSITIONAL_REYNOLDS),
    }  # fmt: skip
    inflow = -float(fine.flow_m3_s[[opening.inlet for opening in fine.cells.openings]].sum()) * 1e6
    through = Through(inflow, float("nan"), np.empty(0), float("nan"))
    return Solved(through, (1 - lowest[1]) * aortic, tuple(kept), facts, lumen=lumen, solution=fine, coarse=coarse), fine


def whole_flow(tree: Tree, given: Boundary, solved: list[tuple[Part, Solution]]) -> Flow:
    """Return pressure and flow at every point of ``tree`` from the solutions of its parts.

    ``viscous_mmhg`` is what Poiseuille's friction would take at these flows, ``expansion_mmhg`` all else.
    """
    net = network(tree)
    count = len(tree.branches)
    pressure: list[np.ndarray] = [np.empty(0)] * count
    tip_flow = np.zeros(len(net.places))
    places = {place.branch: i for i, place in enumerate(net.places) if place.station is None}
    for part, found in solved:
        for index, values in zip(part.number, section_pressures_pa(of_lattice(found), part.tree), strict=True):
            pressure[index] = values / PA_PER_MMHG
        out = {o.name: float(q) * 1e6 for o, q in zip(found.cells.openings, found.flow_m3_s, strict=True) if not o.inlet}
        for index, branch in zip(part.number, part.tree.branches, strict=True):
            if branch.name in out:
                tip_flow[places[index]] = out[branch.name]
    edge_flow = net.below @ tip_flow
    flows = tuple(edge_flow[net.interval_edge(i)[[0, *range(len(b.radius_mm) - 1)]]] for i, b in enumerate(tree.branches))
    viscous: list[np.ndarray] = []
    for index, branch in enumerate(tree.branches):
        start = 0.0 if branch.parent is None else float(viscous[branch.parent][int(branch.parent_point or 0)])
        each = viscous_mmhg_s_ml(branch.distance_mm, branch.radius_mm, given["viscosity_pa_s"]) * flows[index][1:]
        viscous.append(start + np.concatenate([[0.0], np.cumsum(each)]))
    aortic = given["aortic_pressure_mmhg"]
    rest = tuple(aortic - p - v for p, v in zip(pressure, viscous, strict=True))
    return Flow(tuple(pressure), flows, tuple(viscous), rest, tip_flow, 0, 0.0)
