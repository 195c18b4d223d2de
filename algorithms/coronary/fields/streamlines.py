"""Streamlines through the cells, from seeds on the inlets.  Points are (N, 3) mm; velocities are m/s; times are s.

Lines are integrated along their length by the classical fourth-order Runge-Kutta method; velocity is trilinear between
the cells' centres and 0 beyond the wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from algorithms.coronary.fields.cells import Cells, Table, interpolate, table
from algorithms.coronary.fields.vtk_files import write_lines
from algorithms.coronary.geometry.shape import Opening

STEP_CELLS = 0.5
"""A step is half a cell's side: twice as fine a line shows nothing of a field that is linear between the centres."""

SLOWEST = 1e-3
"""Where blood is slower than this fraction of the fastest a line ends: it has reached the wall or the heart of an eddy."""

MOST_STEPS = 20_000

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True, eq=False)
class Streamline:
    """Points (N, 3), velocity (N, 3), pressure (N,) and time since the seed (N,) along one line."""

    points_mm: np.ndarray
    velocity_m_s: np.ndarray
    pressure_pa: np.ndarray
    time_s: np.ndarray


def seeds(opening: Opening, count: int, behind_mm: float) -> np.ndarray:
    """Return (count, 3) points spread evenly over an opening, ``behind_mm`` inside it.

    References
    ----------
    Vogel, *A better way to construct the sunflower head*, Math Biosci 44:179 (1979), eq. 2.
    """
    across = np.linalg.svd(opening.normal[None])[2][1:]
    number = np.arange(count)
    radius = opening.radius_mm * np.sqrt((number + 0.5) / count)
    circle = np.stack([np.cos(number * GOLDEN_ANGLE), np.sin(number * GOLDEN_ANGLE)], axis=1) @ across
    return np.asarray(opening.centre_mm - behind_mm * opening.normal + radius[:, None] * circle)


def streamlines(cells: Cells, seeds_mm: np.ndarray, longest_mm: float) -> list[Streamline]:
    """Return a line downstream from every seed (n, 3) that lies in blood."""
    looked_up = table(cells)
    values = np.ascontiguousarray(np.column_stack([cells.velocity_m_s, cells.pressure_pa]), dtype=np.float64)
    slowest = SLOWEST * float(np.linalg.norm(cells.velocity_m_s, axis=1).max())
    step = STEP_CELLS * cells.side_mm
    steps = min(MOST_STEPS, int(np.ceil(longest_mm / step)))
    lines = []
    for seed in np.ascontiguousarray(seeds_mm, dtype=np.float64):
        path, found = _line(looked_up, values, seed, np.array([step, slowest]), steps)
        if len(path) < 2:
            continue
        speed = np.linalg.norm(found[:, :3], axis=1)
        # mm over m/s is ms.
        times = np.linalg.norm(np.diff(path, axis=0), axis=1) * 1e-3 * (1 / speed[1:] + 1 / speed[:-1]) / 2
        lines.append(Streamline(path, found[:, :3], found[:, 3], np.concatenate([[0.0], np.cumsum(times)])))
    return lines


@numba.njit(cache=True, nogil=True)
def _line(cells: Table, values: np.ndarray, seed: np.ndarray, limits: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (N, 3) of a line and the values (N, 4) there; ``limits`` are the step and the slowest speed."""
    path = np.empty((steps + 1, 3))
    found = np.empty((steps + 1, 4))
    here = seed.copy()
    slope = np.empty((4, 3))
    value = np.empty(4)
    count = 0
    while count <= steps:
        share = interpolate(cells, values, here, value)
        speed = np.sqrt(value[0] ** 2 + value[1] ** 2 + value[2] ** 2)
        if share == 0 or speed < limits[1]:
            break
        path[count] = here
        found[count] = value
        found[count, 3] = value[3] / share  # pressure has no wall to be 0 at
        count += 1
        lost = False
        for stage in range(4):
            if stage:
                reach = limits[0] * (1.0 if stage == 3 else 0.5)
                interpolate(cells, values, here + reach * slope[stage - 1], value)
                speed = np.sqrt(value[0] ** 2 + value[1] ** 2 + value[2] ** 2)
                lost = lost or speed < limits[1]
            slope[stage] = value[:3] / max(speed, limits[1])
        if lost:
            break
        here = here + limits[0] * (slope[0] + 2 * slope[1] + 2 * slope[2] + slope[3]) / 6
    return path[:count].copy(), found[:count].copy()


def write_streamlines(lines: Sequence[Streamline], aortic_pressure_pa: float | None, path: Path) -> None:
    """Write velocity, speed, pressure, FFR (where the aortic pressure is known) and time since the inlet along every line."""
    data = {
        "velocity_m_s": [line.velocity_m_s for line in lines],
        "speed_m_s": [np.linalg.norm(line.velocity_m_s, axis=1) for line in lines],
        "pressure_pa": [line.pressure_pa for line in lines],
        "time_s": [line.time_s for line in lines],
    }
    facts = {}
    if aortic_pressure_pa is not None:
        data["ffr"] = [line.pressure_pa / aortic_pressure_pa for line in lines]
        facts["aortic_pressure_pa"] = aortic_pressure_pa
    names = [f"line {number}" for number in range(1, len(lines) + 1)]
    write_lines(path, [line.points_mm for line in lines], data, names, facts)
