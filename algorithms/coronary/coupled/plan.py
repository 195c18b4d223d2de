"""How fine a part can be solved within a time: cells, steps and minutes, from its shape and its flow alone.

The estimate rests on no clock, so that the same case is solved alike on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.lattice.scale import LARGEST_TAU, MACH, SMALLEST_TAU
from algorithms.coronary.lattice.velocities import SOUND_SPEED
from algorithms.coronary.tree import Tree

WANTED_ACROSS, FEWEST_ACROSS = 17.0, 11.0
"""Cells across the throat: 16 and 10 are wanted (docs/coronary.md), and counting them may lose a part of one."""

COARSER = 1.5
"""The first of the two grids has cells this many times as large."""

UPDATES_S = {"cpu": 4e7, "cuda": 1e9}
"""Cell updates a second that are reckoned with: two threads at what ``solved.three_dimensional`` reckons with for one, and an
accelerator by torch, which was not measured.
"""

PASSAGES = 3.0
"""Passages of blood until it is steady, both grids together counted in updates of the fine one.

A lesion of 60 % of the area at a Reynolds number of 212 took 2.8.  A second solution at another flow is not reckoned with.
"""

PEAK_OVER_MEAN = 2.0
"""Of a developed profile."""


@dataclass(frozen=True)
class Grid:
    """Sides of the two grids, coarse first, and what they are reckoned to take."""

    sides_mm: tuple[float, float]
    cells: int
    minutes: float


def grid(tree: Tree, flow_ml_s: float, fluid: Fluid, across: float, device: str) -> Grid:
    """Return the grid with ``across`` cells across the narrowest place of ``tree``, through which ``flow_ml_s`` comes."""
    volume, least = 0.0, np.inf
    for branch in tree.branches:
        area = np.pi * branch.radius_mm**2
        volume += float(np.trapezoid(area, branch.distance_mm))
        least = min(least, float(branch.radius_mm.min()))
    throat_mm2 = float(np.pi * tree.branches[0].radius_mm.min() ** 2)
    fastest = PEAK_OVER_MEAN * flow_ml_s / throat_mm2  # ml/s over mm2 is m/s
    side = 2 * least / across
    side_m = side * 1e-3
    step = MACH * float(SOUND_SPEED) * side_m / fastest
    shortest, longest = ((tau - 0.5) / 3 * side_m**2 / fluid.kinematic_m2_s for tau in (SMALLEST_TAU, LARGEST_TAU))
    step = min(max(step, shortest), longest)
    cells = volume / side**3
    passage_steps = volume * 1e-3 / flow_ml_s / step
    return Grid((COARSER * side, side), int(cells), PASSAGES * cells * passage_steps / UPDATES_S[device] / 60)


def chosen(
    parts: Sequence[tuple[Tree, float]], fluid: Fluid, minutes: float, device: str
) -> tuple[list[Grid | None], list[float]]:
    """Return the grid of each part (tree, flow), None where the time does not suffice, and the least minutes of each.

    Parts come in the order of their claim.  Each that still fits with the fewest cells is kept; then all that are kept
    are made as fine as the time allows, alike.
    """
    least = [grid(tree, flow, fluid, FEWEST_ACROSS, device).minutes for tree, flow in parts]
    kept: list[int] = []
    for index, cost in enumerate(least):
        if sum(least[i] for i in kept) + cost <= minutes:
            kept.append(index)
    found: list[Grid | None] = [None] * len(parts)
    for across in np.arange(WANTED_ACROSS, FEWEST_ACROSS - 1, -1.0):
        grids = [grid(*parts[index], fluid, float(across), device) for index in kept]
        if sum(each.minutes for each in grids) <= minutes:
            for index, each in zip(kept, grids, strict=True):
                found[index] = each
            break
    return found, least
