"""What a run has found, in SI: velocity and pressure in the cells, shear at the wall, flow through openings and sections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import SECTION_LEVELS, Cells
from algorithms.coronary.lattice.scale import Scale
from algorithms.coronary.lattice.state import PAIRS, State, moments
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES

SECTION_HALF_CELLS = 2.0
"""A section's mean is taken over cells within this many sides of its plane, the nearer the more."""


@dataclass(frozen=True, eq=False)
class Wall:
    """Shear stress at W points of the wall."""

    points_mm: np.ndarray
    """(W, 3), the feet of the cells that lie next to the wall."""
    normal: np.ndarray
    """(W, 3), of length 1, into the blood."""
    shear_pa: np.ndarray
    """(W, 3), the force of blood on the wall along it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A steady flow; N cells, G openings in the order of ``cells.openings``."""

    cells: Cells
    scale: Scale
    velocity_m_s: np.ndarray
    """(N, 3)"""
    pressure_pa: np.ndarray
    """(N,)"""
    wall: Wall
    flow_m3_s: np.ndarray
    """(G,) out of the lumen."""
    opening_pa: np.ndarray
    """(G,) at the openings' planes."""
    front_m3_s: np.ndarray
    """(F,) flow away from the inlet through every front between two stretches, and out before it."""
    drift: float
    """Largest change of flows and of section pressures at the end of the run, relative."""
    steady: float
    """Drift that was asked for."""
    steps: int


@dataclass(frozen=True)
class Section:
    """Means over a cut through the vessel."""

    flow_m3_s: float
    pressure_pa: float
    """Weighted with area."""
    area_mm2: float


def solution(cells: Cells, scale: Scale, state: State, level_pa: float, *, drift: float, steady: float) -> Solution:
    """Return what ``state``, with its slots filled, means; ``level_pa`` is the pressure at a density of 1."""
    found = moments(cells, state.f)
    return Solution(
        cells=cells,
        scale=scale,
        velocity_m_s=found.velocity.T * scale.velocity_m_s,
        pressure_pa=level_pa + found.density * scale.pressure_pa,
        wall=_wall(cells, scale, found.stress),
        flow_m3_s=state.openings.flow * scale.flow_m3_s,
        opening_pa=level_pa + state.openings.density * scale.pressure_pa,
        front_m3_s=_fronts(cells, state.f) * scale.flow_m3_s,
        drift=drift,
        steady=steady,
        steps=state.step,
    )


def _fronts(cells: Cells, f: np.ndarray) -> np.ndarray:
    """Return (F,) the flow through each front in lattice units, with what has left through outlets before it."""
    n, level = len(cells), cells.level.astype(np.int64)
    change = np.zeros(int(level.max()) + 2)
    for direction in range(1, DIRECTIONS, 2):
        before = cells.source[direction]
        here = np.flatnonzero(before < n)
        before = before[here]
        flux = f[direction, before].astype(float) - f[OPPOSITE[direction], here]
        np.add.at(change, level[before], flux)
        np.add.at(change, level[here], -flux)
    for gate, opening in zip(cells.gates, cells.openings, strict=True):
        if not opening.inlet:
            flux = f[gate.direction, gate.cell].astype(float) - f[OPPOSITE[gate.direction], gate.slot]
            np.add.at(change, level[gate.cell], flux)
    # Within a stretch the wall moves a little mass from one cell to another; across its ends nothing but these links.
    fronts: np.ndarray = np.cumsum(change)[SECTION_LEVELS - 1 : -1 : SECTION_LEVELS]
    return fronts


def _wall(cells: Cells, scale: Scale, stress: np.ndarray) -> Wall:
    """Return the shear at the wall: that of the cells around each point, taken on to the wall along a straight line.

    References
    ----------
    Krueger, Varnik and Raabe, *Shear stress in lattice Boltzmann simulations*, Phys Rev E 79:046704 (2009).
    """
    n = len(cells)
    own = np.unique(cells.walls.cell).astype(np.int64)
    beside = np.stack([own, *[cells.source[direction, own] for direction in range(1, DIRECTIONS)]])
    step = np.concatenate([[0 * VELOCITIES[0]], -VELOCITIES[1:]])
    there = beside < n
    beside = np.where(there, beside, own)
    depth = cells.distance_mm[beside] / cells.side_mm
    rise = np.where(there, depth - depth[0], 0)
    matrix = np.einsum("iw,ia,ib->wab", there, step, step) + 1e-6 * np.eye(3)
    normal = np.linalg.solve(matrix, np.einsum("iw,ia->wa", rise, step)[..., None])[..., 0]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    traction = np.zeros((len(beside), len(own), 3))
    for row, (a, b) in enumerate(PAIRS):
        traction[..., a] += stress[row][beside] * normal[:, b]
        if a != b:
            traction[..., b] += stress[row][beside] * normal[:, a]
    traction -= np.einsum("iwa,wa->iw", traction, normal)[..., None] * normal
    weight = there.astype(float)
    total = weight.sum(axis=0)
    mean_depth = (weight * depth).sum(axis=0) / total
    mean = np.einsum("iw,iwa->wa", weight, traction) / total[:, None]
    spread = (weight * (depth - mean_depth) ** 2).sum(axis=0)
    slope = np.einsum("iw,iwa->wa", weight * (depth - mean_depth), traction) / np.maximum(spread, 1e-3)[:, None]
    at_wall = mean - slope * mean_depth[:, None]
    # 2 nu S with S = -3 / (2 tau) Pi, and nu = (tau - 1/2) / 3.
    shear = -(1 - 0.5 / scale.tau) * at_wall * scale.stress_pa
    return Wall(cells.points_mm[own] - cells.distance_mm[own, None] * normal, normal, shear)


def section(found: Solution, centre_mm: np.ndarray, normal: np.ndarray, reach_mm: float) -> Section:
    """Return the means over the cut through ``centre_mm`` across ``normal``, not farther than ``reach_mm`` from it.

    Raises
    ------
    ValueError
        If no cell lies there.
    """
    cells = found.cells
    away = cells.points_mm - centre_mm
    height = away @ normal
    thick = SECTION_HALF_CELLS * cells.side_mm
    near = (np.abs(height) < thick) & ((away**2).sum(axis=1) < reach_mm**2 + thick**2)
    if not near.any():
        raise ValueError("no cell lies at the section")
    weight = (1 - np.abs(height[near]) / thick) / thick
    volume = weight * cells.side_mm**3
    flow = float((volume * (found.velocity_m_s[near] @ normal)).sum()) * 1e-6
    return Section(flow, float((volume * found.pressure_pa[near]).sum() / volume.sum()), float(volume.sum()))
