"""Means over cross-sections of a flow in three dimensions, at every point of a tree.

A cell belongs to the branch whose centreline is nearest, so that no section reaches into a vessel beside it.  Where
vessels divide, a cut across one of them is no cross-section: pressure is still the mean of the branch's own cells there,
and flow is what the outlets behind it take.  Points are (N, 3) mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import Conditions
from algorithms.coronary.haemodynamics.network import network
from algorithms.coronary.lattice.solution import SECTION_HALF_CELLS
from algorithms.coronary.solved.answer import AtOpening, Means
from algorithms.coronary.solved.in_cells import InCells
from algorithms.coronary.solved.reduced import means_of
from algorithms.coronary.tree import Tree

CLEAR = 0.95
"""A section is clear of a division where the other vessel's wall is farther than this part of its own radius."""


def at_openings(found: InCells) -> tuple[AtOpening, ...]:
    """Return pressure and flow of every opening, flow positive the way blood should go."""
    return tuple(
        AtOpening(opening, float(p), float(-q if opening.inlet else q))
        for opening, p, q in zip(found.openings, found.opening_pa, found.flow_m3_s, strict=True)
    )


def section_means(found: InCells, tree: Tree, given: Conditions) -> Means:
    """Return the means along ``tree``, whose root starts at the inlet and whose tips end at the outlets of the same names."""
    inlet = next(end for end in at_openings(found) if end.opening.inlet)
    reduced = _reduced(found, tree, given)
    entering = inlet.pressure_pa + _kinetic_pa(found)
    friction = reduced.viscous_pa
    clear = _clear(tree)
    cells = _sorted_cells(found, tree)
    flows: list[np.ndarray] = []
    pressures: list[np.ndarray] = []
    totals: list[np.ndarray] = []
    measured: list[np.ndarray] = []
    for index, branch in enumerate(tree.branches):
        cut = _cuts(found, cells[index], branch.points_mm)
        there = np.isfinite(cut.pressure_pa) & ~_near_opening(found, branch.points_mm)
        own = clear[index] & there
        pressure, total = cut.pressure_pa.copy(), cut.total_pa.copy()
        if branch.parent is None:
            pressure[0], total[0] = inlet.pressure_pa, entering
        else:
            point = int(branch.parent_point or 0)
            pressure[0], total[0] = pressures[branch.parent][point], entering - totals[branch.parent][point]
        there[0] = True
        # Within its parent a branch has the total pressure of blood that is on its way to it, which is not its own cells'.
        lost = own.copy()
        lost[0] = True
        flows.append(np.where(own, cut.flow_m3_s, reduced.flow_m3_s[index]))
        pressures.append(_filled(branch.distance_mm, pressure, there, friction[index]))
        totals.append(entering - _filled(branch.distance_mm, total, lost, friction[index]))
        measured.append(own)
    return replace(
        reduced,
        flow_m3_s=tuple(flows),
        pressure_pa=tuple(pressures),
        total_pa=tuple(totals),
        measured=tuple(measured),
    )


def section_pressures_pa(found: InCells, tree: Tree) -> tuple[np.ndarray, ...]:
    """Return the mean pressure over the cross-section at every point of ``tree``, one (N,) array a branch.

    Near an opening it is that of the nearest section which is whole.

    Raises
    ------
    DataError
        If no section of a branch has a cell of blood.
    """
    pressures = []
    for branch, cells in zip(tree.branches, _sorted_cells(found, tree), strict=True):
        cut = _cuts(found, cells, branch.points_mm).pressure_pa
        known = np.isfinite(cut) & ~_near_opening(found, branch.points_mm)
        if not known.any():
            raise DataError(f"no cell of blood lies along {branch.name}; use smaller cells, or the reduced model")
        pressures.append(np.interp(branch.distance_mm, branch.distance_mm[known], cut[known]))
    return tuple(pressures)


def _reduced(found: InCells, tree: Tree, given: Conditions) -> Means:
    """Return what the reduced model has along the tree for the flows and the inlet's pressure that were found."""
    at = {end.opening.name: end for end in at_openings(found)}
    inlet = next(end for end in at.values() if end.opening.inlet)
    out = np.array([at[tree.branches[place.branch].name].flow_m3_s for place in network(tree).places])
    return means_of(tree, out, {0: inlet.pressure_pa}, given)


def flow_spread(found: InCells, tree: Tree, means: Means, given: Conditions) -> float:
    """Return the largest difference between a section's measured flow and what the outlets behind it take, over flow in."""
    asked = _reduced(found, tree, given).flow_m3_s
    inflow = sum(end.flow_m3_s for end in at_openings(found) if end.opening.inlet)
    differences = (np.abs(flow - out).max(initial=0.0) for flow, out in zip(means.flow_m3_s, asked, strict=True))
    return float(max(differences)) / inflow


def outlets_of(at: tuple[AtOpening, ...], tree: Tree, means: Means) -> tuple[AtOpening, ...]:
    """Return the openings with the mean pressure of blood at the outlets.

    What the lattice holds at an outlet's plane is up to twice the mean dynamic pressure lower than blood two cells before it.
    """
    tips = {branch.name: float(pressure[-1]) for branch, pressure in zip(tree.branches, means.pressure_pa, strict=True)}
    return tuple(end if end.opening.inlet else replace(end, pressure_pa=tips[end.opening.name]) for end in at)


def _filled(along: np.ndarray, values: np.ndarray, known: np.ndarray, friction: np.ndarray) -> np.ndarray:
    """Return pressures (N,) linear between known ones; behind the last, near an opening, they fall by friction."""
    last = int(np.flatnonzero(known)[-1])
    filled = np.interp(along, along[known], values[known])
    filled[last:] = values[last] - (friction[last:] - friction[last])
    return np.asarray(filled)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Means over the cuts at N points; NaN where there is no cell."""

    flow_m3_s: np.ndarray
    pressure_pa: np.ndarray
    total_pa: np.ndarray


@dataclass(frozen=True, eq=False)
class _Near:
    """Cells in the order of the point of a branch that each is nearest to; ``first`` (N + 1,) is where each point's begin."""

    cell: np.ndarray
    first: np.ndarray


def _sorted_cells(found: InCells, tree: Tree) -> list[_Near]:
    lines = [branch.points_mm for branch in tree.branches]
    begin = np.cumsum([0, *map(len, lines)])
    nearest = cKDTree(np.concatenate(lines)).query(found.points_mm)[1]
    order = np.argsort(nearest, kind="stable")
    first = np.searchsorted(nearest[order], np.arange(begin[-1] + 1))
    return [_Near(order, first[a : b + 1]) for a, b in pairwise(begin)]


def _cuts(found: InCells, near: _Near, line: np.ndarray) -> _Cuts:
    thick = SECTION_HALF_CELLS * found.side_mm
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    reach = thick + float(np.diff(along).max())
    values = np.full((3, len(line)), np.nan)
    density = found.fluid.density_kg_m3
    for i, (centre, normal) in enumerate(zip(line, tangent, strict=True)):
        low, high = np.searchsorted(along, [along[i] - reach, along[i] + reach])
        cell = near.cell[near.first[low] : near.first[high]]
        height = (found.points_mm[cell] - centre) @ normal
        cell, height = cell[np.abs(height) < thick], height[np.abs(height) < thick]
        if not len(cell):
            continue
        weight = found.volume_mm3[cell] * (1 - np.abs(height) / thick)
        speed = found.velocity_m_s[cell]
        through = weight * (speed @ normal)
        pressure = found.pressure_pa[cell]
        values[0, i] = through.sum() / thick * 1e-6
        values[1, i] = (weight * pressure).sum() / weight.sum()
        if through.sum() > 0:
            values[2, i] = (through * (pressure + density / 2 * (speed**2).sum(axis=1))).sum() / through.sum()
    return _Cuts(*values)


def _near_opening(found: InCells, line: np.ndarray) -> np.ndarray:
    """Return (N,) whether the cells around a point's section are cut short by an opening."""
    thick = SECTION_HALF_CELLS * found.side_mm
    cut = np.zeros(len(line), bool)
    for opening in found.openings:
        away = line - opening.centre_mm
        height = away @ opening.normal
        aside = np.linalg.norm(away - height[:, None] * opening.normal, axis=1)
        cut |= (np.abs(height) < thick) & (aside < opening.radius_mm)
    return cut


def _clear(tree: Tree) -> list[np.ndarray]:
    """Return for each branch (N,) whether the vessel at a point is apart from all other branches."""
    found = []
    for index, branch in enumerate(tree.branches):
        gap = np.full(len(branch.points_mm), np.inf)
        for other, beside in enumerate(tree.branches):
            if other != index:
                # The nearest wall need not be that of the nearest point; two vessels' radii differ little over a radius.
                away, nearest = cKDTree(beside.points_mm).query(branch.points_mm)
                gap = np.minimum(gap, away - beside.radius_mm[nearest])
        found.append(gap > CLEAR * branch.radius_mm)
    return found


def _kinetic_pa(found: InCells) -> float:
    """Return the kinetic energy that comes in with a volume of blood: its profile has more than the mean velocity's."""
    number = next(i for i, opening in enumerate(found.openings) if opening.inlet)
    # Speed per unit of flow is 1/mm2: its cube over the plane is 1/mm4, 1e12 of 1/m4.
    cubed = float((found.inlet.speed**3).sum()) * found.inlet.step_mm**2 * 1e12
    return found.fluid.density_kg_m3 / 2 * float(found.flow_m3_s[number]) ** 2 * cubed
