"""What the openings settle on where a condition ties their pressure to their flow, in as few flows as can be.

A solver is given a flow or a pressure at each opening.  A pressure at the inlet is met by the flow in, a resistance by the flow
through it; both follow from the flows found so far by Broyden's method, begun with the slopes of a star of resistances.
Where no outlet has a pressure, one with a resistance is held at zero and its resistance says afterwards what zero means.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Resistance, Share

MOST_FLOWS = 12

ENOUGH = 2e-3
"""Largest miss of a condition, over the largest pressure difference in the lumen or behind its outlets."""

FIRST_REYNOLDS = 50.0
"""Of the flow in where only pressures are known: slow enough to be found from rest, fast enough to have a slope."""

TINY = 1e-300

Flows = Callable[[dict[int, float], dict[int, float]], tuple[np.ndarray, np.ndarray]]
"""From given flows out and given pressures, by opening, to flow out (G,) and pressure (G,) of every opening."""


class Ties:
    """The conditions of G openings, and the flows (n,) that are unknown."""

    def __init__(self, openings: tuple[Opening, ...], given: tuple[Condition, ...]) -> None:
        self.openings, self.given = openings, given
        self.inlet = next(i for i, opening in enumerate(openings) if opening.inlet)
        out = [i for i in range(len(given)) if i != self.inlet]
        held = {i: c.pa for i in out if isinstance(c := given[i], Pressure)}
        self.resistance = {i: c for i in out if isinstance(c := given[i], Resistance)}
        # Small numbers beside a pressure of a hundred thousand Pa would be lost in the fields.
        self.level = float(np.mean(list(held.values()))) if held else 0.0
        self.held = {i: pa - self.level for i, pa in held.items()}
        self.reference: int | None = None
        if not held:
            self.reference = max(self.resistance, key=lambda i: openings[i].radius_mm)
            self.held = {self.reference: 0.0}
        self.head = c.pa if isinstance(c := given[self.inlet], Pressure) else None
        self.unknown = [self.inlet] if self.head is not None else []
        self.unknown += [i for i in self.resistance if i != self.reference]

    def first(self, fluid: Fluid) -> np.ndarray:
        """Return first values of the flows in through the inlet and out through resistances."""
        inlet = self.given[self.inlet]
        if isinstance(inlet, Flow):
            inflow = inlet.m3_s
        else:
            inflow = FIRST_REYNOLDS * np.pi * self.openings[self.inlet].radius_mm * 1e-3 * fluid.kinematic_m2_s / 2
            head = inlet.pa if isinstance(inlet, Pressure) else 0.0
            driven = sum((head - c.behind_pa) / c.pa_s_m3 for c in self.resistance.values() if c.pa_s_m3 > 0)
            if self.reference is not None and driven > 0:
                inflow = driven
        cubes = {i: self.openings[i].radius_mm ** 3 for i in range(len(self.given)) if i != self.inlet}
        return np.array([inflow if i == self.inlet else inflow * cubes[i] / sum(cubes.values()) for i in self.unknown])

    def imposed(self, values: np.ndarray) -> dict[int, float]:
        """Return the flow out of each opening that is given one."""
        value = dict(zip(self.unknown, map(float, values), strict=True))
        inlet = self.given[self.inlet]
        inflow = inlet.m3_s if isinstance(inlet, Flow) else value[self.inlet]
        flow = {i: q for i, q in value.items() if i != self.inlet} | {self.inlet: -inflow}
        for i, condition in enumerate(self.given):
            if i != self.inlet and isinstance(condition, Flow):
                flow[i] = condition.m3_s
            elif isinstance(condition, Share):
                flow[i] = condition.fraction * inflow
        return flow

    def level_pa(self, flow: np.ndarray) -> float:
        """Return the pressure that the flows' zero stands for."""
        if self.reference is None:
            return self.level
        last = self.resistance[self.reference]
        return last.behind_pa + last.pa_s_m3 * float(flow[self.reference])

    def missed(self, flow: np.ndarray, pressure: np.ndarray) -> np.ndarray:
        """Return (n,) by how many Pa the conditions of the unknown flows are missed."""
        level = self.level_pa(flow)
        wanted = [
            self.head if i == self.inlet else self.resistance[i].behind_pa + self.resistance[i].pa_s_m3 * flow[i]
            for i in self.unknown
        ]
        return np.array([level + pressure[i] - pa for i, pa in zip(self.unknown, wanted, strict=True)])

    def star(self, values: np.ndarray, conductance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return flows and pressures if a resistance led from one point to each opening."""
        flow, pressure = np.zeros(len(self.given)), np.zeros(len(self.given))
        imposed = self.imposed(values)
        open_ = list(self.held)
        pressure[open_] = list(self.held.values())
        middle = (-sum(imposed.values()) + (conductance * pressure)[open_].sum()) / conductance[open_].sum()
        flow[open_] = (conductance * (middle - pressure))[open_]
        for i, q in imposed.items():
            flow[i], pressure[i] = q, middle - q / conductance[i]
        return flow, pressure


def settled(ties: Ties, flows: Flows, fluid: Fluid) -> float:
    """Find the flows at which every condition holds, and return the pressure that the last flow's zero stands for.

    Raises
    ------
    ArithmeticError
        If twelve flows do not suffice.

    References
    ----------
    Broyden, *A class of methods for solving nonlinear simultaneous equations*, Math Comput 19:577 (1965).
    """
    value = ties.first(fluid)
    flow, pressure = flows(ties.imposed(value), ties.held)
    if not ties.unknown:
        return ties.level_pa(flow)
    conductance = _conductance(ties, flow, pressure)
    slopes = []
    for i, size in enumerate(1e-3 * np.maximum(np.abs(value), np.abs(value).max())):
        either = [ties.missed(*ties.star(value + sign * size * np.eye(len(value))[i], conductance)) for sign in (1, -1)]
        slopes.append((either[0] - either[1]) / (2 * size))
    matrix = np.stack(slopes, axis=1)
    missed = ties.missed(flow, pressure)
    for _ in range(MOST_FLOWS - 1):
        if np.abs(missed).max() <= ENOUGH * _span(ties, flow, pressure):
            return ties.level_pa(flow)
        step = np.linalg.lstsq(matrix, -missed)[0]
        value = value + step
        flow, pressure = flows(ties.imposed(value), ties.held)
        missed, before = ties.missed(flow, pressure), missed
        matrix = matrix + np.outer(missed - before - matrix @ step, step) / max(step @ step, TINY)
    if np.abs(missed).max() <= ENOUGH * _span(ties, flow, pressure):
        return ties.level_pa(flow)
    raise ArithmeticError(f"the openings miss their conditions by {np.abs(missed).max():.3g} Pa after {MOST_FLOWS} flows")


def _conductance(ties: Ties, flow: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Return (G,) conductances to the middle of the pressure's fall."""
    middle = (pressure[ties.inlet] + np.delete(pressure, ties.inlet).mean()) / 2
    fall = np.maximum(np.abs(pressure - middle), 1e-2 * max(float(np.ptp(pressure)), 1e-9))
    conductance: np.ndarray = np.maximum(np.abs(flow), 1e-3 * np.abs(flow).max()) / fall
    return conductance


def _span(ties: Ties, flow: np.ndarray, pressure: np.ndarray) -> float:
    behind = [abs(c.pa_s_m3 * float(flow[i])) for i, c in ties.resistance.items()]
    return max(float(np.ptp(pressure)), *behind, 1e-9)
