"""The run to a steady flow: a start, steps until nothing changes, and the solution; on one grid or from coarse to fine."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.lattice.cells import Cells, find_cells
from algorithms.coronary.lattice.checkpoint import Checkpoint, read_checkpoint, run_key, write_checkpoint
from algorithms.coronary.lattice.compiled import Compiled
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Resistance, ordered
from algorithms.coronary.lattice.gates import (
    GIVEN_FLOW,
    GIVEN_HEAD,
    GIVEN_PRESSURE,
    GIVEN_RESISTANCE,
    GIVEN_SHARE,
    Gates,
    GateState,
    gates,
)
from algorithms.coronary.lattice.scale import Scale, scale
from algorithms.coronary.lattice.solution import Solution, solution
from algorithms.coronary.lattice.start import Start, blunted, creeping, prolonged
from algorithms.coronary.lattice.state import Lattice, State, populations
from algorithms.coronary.lattice.walls import Walls, walls

log = logging.getLogger(__name__)

STEADY = 5e-4
"""Largest relative change of a flow or a section's pressure in a stretch.

A stretch is a quarter of the time that blood takes through the lumen, or the time in which viscosity reaches the axis from
the wall where that is shorter: creeping blood is steady long before it has passed.
"""

STRETCHES_PER_PASSAGE = 4

SWING, SWINGS, SWING_LEAVES = 2e-2, 8, 4.0
"""A jet may swing for ever.  2 % of it leave 0.2 % in a mean of eight stretches: so much a mean may change, 4 ``STEADY``."""

MOST_PASSAGES = 12.0
"""A flow that is not steady after four times this many stretches will not be: the run ends, and its check fails."""

FASTER_THAN_COARSE = 1.1
"""The fastest blood on a fine grid, over that on a grid of twice the side: wall and throat are seen better."""

PROGRESS_S = 10.0
CHECKPOINT_S = 60.0


@dataclass(frozen=True)
class How:
    """How a run is done; nothing here changes what it converges to."""

    steady: float = STEADY
    most_passages: float = MOST_PASSAGES
    device: str | None = None
    """A torch device in place of the compiled path."""
    checkpoints: Path | None = None
    """Folder in which runs are kept, so that killed ones go on."""


def solve(
    lumen: Lumen,
    given: Mapping[str, Condition],
    fluid: Fluid,
    sides_mm: tuple[float, ...],
    how: How | None = None,
) -> tuple[Solution, ...]:
    """Return the steady flow on each of the grids ``sides_mm``, coarse to fine; each begins with the one before.

    Parameters
    ----------
    lumen
        Where blood is; one opening is its inlet.
    given
        The condition of each opening, by its name.
    fluid
        Newtonian blood.
    sides_mm
        Sides of the cells, each smaller than the one before.
    how
        How the runs are done.

    Raises
    ------
    DataError
        If lumen or conditions allow no answer, or the cells are too large for the flow.
    """
    how = how or How()
    found: list[Solution] = []
    for side in sides_mm:
        cells = find_cells(lumen, side)
        conditions = ordered(cells.openings, given)
        if found:
            last = found[-1]
            start = prolonged(last.cells, Start(last.velocity_m_s.T, last.pressure_pa, last.flow_m3_s, last.opening_pa), cells)
            fastest = FASTER_THAN_COARSE * float(np.linalg.norm(last.velocity_m_s, axis=1).max())
        else:
            start = blunted(cells, creeping(cells, conditions, fluid), fluid)
            fastest = float(np.linalg.norm(start.velocity_m_s, axis=0).max())
        found.append(settle(cells, conditions, scale(side, fluid, fastest), start, how))
    return tuple(found)


def settle(cells: Cells, given: tuple[Condition, ...], units: Scale, start: Start, how: How) -> Solution:
    """Return the steady flow in ``cells`` that ``start`` settles to."""
    level_pa = float(np.median(start.opening_pa))
    kind, law = (np.array(part) for part in _laws(given, cells, units, level_pa))
    plug = any(isinstance(condition, Flow) and condition.plug for condition in given)
    openings = gates(cells, kind, law, plug)
    key = run_key(cells, given, units)
    kept = read_checkpoint(how.checkpoints, key) if how.checkpoints else None
    wall = walls(cells, units.tau)
    if kept is None:
        density = (start.pressure_pa - level_pa) / units.pressure_pa
        f = populations(cells, density, start.velocity_m_s / units.velocity_m_s)
        state = State(f, np.zeros(len(wall.hit), np.float32), _openings(start, units, level_pa))
        inlets = [opening.inlet for opening in cells.openings]
        kept = Checkpoint(state, float(np.abs(state.openings.mean_flow[inlets]).sum()), np.zeros((0, 0)))
    lattice = _lattice(cells, wall, openings, units.tau, start=kept.state, device=how.device)
    run = _Run(cells, units, lattice, how=how, kept=kept, key=key)
    run.advance()
    lattice.fill()
    return solution(cells, units, lattice.state, level_pa, drift=drift(run.seen), steady=how.steady)


def _laws(
    given: tuple[Condition, ...], cells: Cells, units: Scale, level_pa: float
) -> tuple[list[int], list[tuple[float, float]]]:
    """Return the kind and the law of each opening in lattice units (see ``Gates.law``)."""
    kind, law = [], []
    for condition, opening in zip(given, cells.openings, strict=True):
        if isinstance(condition, Flow):
            kind.append(GIVEN_FLOW if opening.inlet else GIVEN_SHARE)
            law.append((condition.m3_s / units.flow_m3_s, 0.0))
        elif isinstance(condition, Pressure):
            kind.append(GIVEN_HEAD if opening.inlet else GIVEN_PRESSURE)
            law.append(((condition.pa - level_pa) / units.pressure_pa, 0.0))
        elif isinstance(condition, Resistance):
            kind.append(GIVEN_RESISTANCE)
            slope = condition.pa_s_m3 * units.flow_m3_s / units.pressure_pa
            law.append(((condition.behind_pa - level_pa) / units.pressure_pa, slope))
        else:
            kind.append(GIVEN_SHARE)
            law.append((0.0, condition.fraction))
    return kind, law


def _openings(start: Start, units: Scale, level_pa: float) -> GateState:
    density = (start.opening_pa - level_pa) / units.pressure_pa
    flow = start.flow_m3_s / units.flow_m3_s
    return GateState(density.copy(), flow.copy(), density.copy(), flow.copy())


def _lattice(cells: Cells, wall: Walls, openings: Gates, tau: float, *, start: State, device: str | None) -> Lattice:
    if device is None:
        return Compiled(cells, wall, openings, tau, start=start)
    from algorithms.coronary.lattice.portable import Portable

    return Portable(cells, wall, openings, tau, start=start, device=device)


def drift(seen: Sequence[np.ndarray]) -> float:
    """Return the largest change in the last stretch, or a part of the mean's change where the flow only swings about one.

    ``seen`` holds flows and section pressures after each stretch, relative.
    """
    if len(seen) < 2:
        return float("inf")
    change = float(np.abs(seen[-1] - seen[-2]).max())
    if len(seen) >= 2 * SWINGS:
        before, last = np.array(seen[-2 * SWINGS : -SWINGS]), np.array(seen[-SWINGS:])
        if np.ptp(np.concatenate([before, last]), axis=0).max() <= SWING:
            change = min(change, float(np.abs(last.mean(axis=0) - before.mean(axis=0)).max()) / SWING_LEAVES)
    return change


class _Run:
    """A run under way: it steps in stretches, watches flows and pressures, tells of its progress, and keeps checkpoints."""

    def __init__(self, cells: Cells, units: Scale, lattice: Lattice, *, how: How, kept: Checkpoint, key: str) -> None:
        self.cells, self.units, self.lattice, self.how, self.key = cells, units, lattice, how, key
        self.seen = [row for row in kept.seen if len(row)]
        self.inflow = kept.inflow
        passage = len(cells) / max(self.inflow, 1e-12)
        diffusion = (float(cells.distance_mm.max()) / cells.side_mm) ** 2 / units.viscosity
        self.stretch = max(int(min(passage / STRETCHES_PER_PASSAGE, diffusion)), 100)
        self.most = int(how.most_passages * STRETCHES_PER_PASSAGE)

    def advance(self) -> None:
        """Step until two stretches change nothing, or for the most stretches."""
        began = told = written = time.monotonic()
        done_before = len(self.seen)
        while len(self.seen) <= self.most and not self._is_steady():
            self.lattice.advance(self.stretch)
            self.seen.append(self._watched())
            now = time.monotonic()
            if now - told >= PROGRESS_S:
                told = now
                self._tell((now - began) / (len(self.seen) - done_before))
            if now - written >= CHECKPOINT_S:
                written = now
                self._keep()
        self._keep()
        log.info(
            "%d steps of %.3g s in %d cells, tau %.4f, last change %.1e, in %.1f s",
            self.lattice.state.step, self.units.step_s, len(self.cells), self.units.tau,
            drift(self.seen), time.monotonic() - began,
        )  # fmt: skip

    def _keep(self) -> None:
        if self.how.checkpoints:
            write_checkpoint(self.how.checkpoints, self.key, Checkpoint(self.lattice.state, self.inflow, np.array(self.seen)))

    def _is_steady(self) -> bool:
        return max(drift(self.seen), drift(self.seen[:-1])) < self.how.steady

    def _watched(self) -> np.ndarray:
        """Return flows over the flow in, and section pressures over the largest difference between them."""
        state = self.lattice.state
        density = state.f[:, : len(self.cells)].sum(axis=0, dtype=float)
        if not np.isfinite(density).all():
            raise ArithmeticError(f"the flow blew up within {state.step} steps at tau {self.units.tau:.4f}")
        section = np.bincount(self.cells.section, density) / np.bincount(self.cells.section)
        spread = max(float(np.ptp(section)), 1e-12)
        inflow = max(self.inflow, 1e-12)
        return np.concatenate([state.openings.mean_flow / inflow, (section - section.min()) / spread])

    def _tell(self, seconds_per_stretch: float) -> None:
        residual = [float(np.abs(after - before).max()) for before, after in pairwise(self.seen)]
        if len(residual) < 2:
            return
        # Residuals fall by a factor per stretch: how many more there are follows from the last ones.
        factor = (residual[-1] / residual[max(-4, -len(residual))]) ** (1 / max(min(3, len(residual) - 1), 1))
        left = np.log(self.how.steady / residual[-1]) / np.log(factor) if factor < 1 and residual[-1] > self.how.steady else 1
        left = min(max(left, 1.0), self.most - len(self.seen))
        log.info(
            "step %d, change %.1e of %.0e wanted, about %.0f s left",
            self.lattice.state.step,
            residual[-1],
            self.how.steady,
            left * seconds_per_stretch,
        )
