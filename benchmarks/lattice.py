"""How exact and how fast the flow on the lattice is: closed forms, a Navier-Stokes reference, symmetry, and copy bandwidth.

``python -m benchmarks.lattice``, an hour on two cores; ``python -m benchmarks.lattice speed`` measures the speed alone.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numba
import numpy as np

from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.lattice.cells import find_cells
from algorithms.coronary.lattice.checks import checks
from algorithms.coronary.lattice.compiled import Compiled
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure
from algorithms.coronary.lattice.gates import GIVEN_FLOW, GIVEN_PRESSURE, GateState, gates
from algorithms.coronary.lattice.solution import Solution, section
from algorithms.coronary.lattice.solve import solve
from algorithms.coronary.lattice.state import State, populations
from algorithms.coronary.lattice.velocities import DIRECTIONS
from algorithms.coronary.lattice.walls import walls
from benchmarks.evidence import keep
from benchmarks.flow import REFERENCE
from tests.algorithms.coronary.lattice.shapes import Vessel, fork, narrowed, turned, vessel

BLOOD = Fluid(1060.0, 0.0035)
DIAMETER_MM = 3.0
AXES = {"along": (0.0, 0.0, 1.0), "in a plane": (0.0, 1.0, 4.0), "oblique": (1.0, 2.0, 3.0)}

BYTES_PER_CELL = 4 * (2 * DIRECTIONS + DIRECTIONS - 1)
"""Populations read and written, and the neighbours' numbers."""


def flow_m3_s(reynolds: float) -> float:
    """Return the flow of a Reynolds number of mean velocity and diameter."""
    return reynolds * np.pi * DIAMETER_MM * 1e-3 * BLOOD.kinematic_m2_s / 4


def fall_pa(lumen: Vessel, found: Solution, start_mm: float, end_mm: float) -> float:
    """Return the pressure lost between two places of a vessel."""
    z = lumen.rotation[:, 2]
    first, last = (section(found, at * z, z, DIAMETER_MM).pressure_pa for at in (start_mm, end_mm))
    return first - last


def timed(lumen: Lumen, given: dict[str, Condition], cells_mm: tuple[float, ...]) -> tuple[Solution, dict[str, Any]]:
    """Return the finest solution, and what the run took and which checks failed."""
    begun = time.perf_counter()
    found = solve(lumen, given, BLOOD, cells_mm)[-1]
    failed = [check.name for check in checks(found) if not check.passed]
    taken = time.perf_counter() - begun
    row = {"cells": len(found.cells), "tau": round(found.scale.tau, 4), "steps": found.steps, "seconds": round(taken, 1)}
    return found, row | {"failed_checks": failed}


def straight_tubes() -> list[dict[str, Any]]:
    """Return the errors of pressure drop, profile and wall shear at three angles and two sizes of cell."""
    rows = []
    for across in (12, 24):
        for name, axis in AXES.items():
            lumen = vessel(DIAMETER_MM / 2, 3 * DIAMETER_MM, axis, beyond_mm=3)
            flow, side = flow_m3_s(100), DIAMETER_MM / across
            found, row = timed(
                lumen, {"inlet": Flow(flow), "outlet": Pressure(0.0)}, (2 * side, side) if across > 12 else (side,)
            )
            mean, radius = flow / (np.pi * (DIAMETER_MM / 2e3) ** 2), DIAMETER_MM / 2e3
            along = lumen.along_mm(found.cells.points_mm)
            middle = (along > DIAMETER_MM) & (along < 2 * DIAMETER_MM)
            depth = found.cells.distance_mm[middle] / (DIAMETER_MM / 2)
            exact = 2 * mean * (1 - (1 - depth) ** 2)[:, None] * lumen.rotation[:, 2]
            off = np.sqrt(((found.velocity_m_s[middle] - exact) ** 2).sum(axis=1).mean()) / (2 * mean)
            feet = lumen.along_mm(found.wall.points_mm)
            shear = (found.wall.shear_pa @ lumen.rotation[:, 2])[(feet > DIAMETER_MM) & (feet < 2 * DIAMETER_MM)]
            drop = fall_pa(lumen, found, DIAMETER_MM, 2 * DIAMETER_MM)
            poiseuille = 8 * BLOOD.viscosity_pa_s * mean / radius**2 * DIAMETER_MM * 1e-3
            row |= {"angle": name, "cells_across": across, "drop_error_percent": percent(drop / poiseuille)}
            row |= {"profile_error_percent": round(100 * float(off), 2)}
            row["shear_error_percent"] = percent(float(shear.mean()) / (4 * BLOOD.viscosity_pa_s * mean / radius))
            rows.append(row)
    return rows


def percent(ratio: float) -> float:
    """Return by how many per cent a ratio is off."""
    return round(100 * (float(ratio) - 1), 2)


def stenoses(across: int = 24, names: tuple[str, ...] = ("along", "oblique")) -> list[dict[str, Any]]:
    """Return the pressure drop of cosine stenoses against the axisymmetric reference."""
    rows = []
    for area_stenosis, reynolds, reference in REFERENCE:
        for name in names:
            shape = narrowed(DIAMETER_MM / 2, 3 * DIAMETER_MM, 2 * DIAMETER_MM, area_stenosis)
            lumen = vessel(shape, 11 * DIAMETER_MM, AXES[name], beyond_mm=3)
            flow, side = flow_m3_s(reynolds), DIAMETER_MM / across
            found, row = timed(lumen, {"inlet": Flow(flow), "outlet": Pressure(0.0)}, (side,))
            dynamic = BLOOD.density_kg_m3 * (flow / (np.pi * (DIAMETER_MM / 2e3) ** 2)) ** 2
            drop = fall_pa(lumen, found, DIAMETER_MM, 9 * DIAMETER_MM) / dynamic
            row |= {"area_stenosis": area_stenosis, "reynolds": reynolds, "angle": name, "reference": reference}
            row |= {"cells_across_throat": round(across * (1 - area_stenosis) ** 0.5, 1)}
            rows.append(row | {"drop": round(drop, 4), "error_percent": percent(drop / reference)})
    return rows


def taper() -> dict[str, Any]:
    """Return the pressure drop of a cone at a creeping flow, 8 mu L Q (a^2 + a b + b^2) / (3 pi a^3 b^3)."""
    a, b, length = 1.5e-3, 0.75e-3, 40e-3
    lumen = vessel(lambda z: 1.5 - 0.75 * z / 40, 40, AXES["oblique"], beyond_mm=1)
    flow = flow_m3_s(2)
    found, row = timed(lumen, {"inlet": Flow(flow), "outlet": Pressure(0.0)}, (0.125,))
    first, last = (1.5e-3 - 0.75e-3 * at / 40 for at in (2, 38))
    exact = 8 * BLOOD.viscosity_pa_s * flow / (3 * np.pi) * (36e-3) * (first**2 + first * last + last**2) / (first * last) ** 3
    drop = fall_pa(lumen, found, 2, 38)
    # What speeds up pays for it, and a parabola carries twice the kinetic energy of its mean.
    exact += BLOOD.density_kg_m3 * (flow / np.pi) ** 2 * (last**-4 - first**-4)
    return row | {"radii_m": [a, b], "length_m": length, "error_percent": percent(drop / exact)}


def forks() -> list[dict[str, Any]]:
    """Return the share of the left daughter of a symmetric and a 1:2 Y, in four positions; they should not differ."""
    rows = []
    for name, radii in (("symmetric", (1.2, 1.2)), ("1:2", (0.8, 1.27))):
        rotations = (turned((0, 0, 1)), turned((1, 2, 3), 0.7), turned((3, 1, 1), 2.0))
        shares = [_left(radii, rotation) for rotation in rotations]
        mirrored = 1 - _left(radii[::-1], turned((0, 0, 1)))
        spread = max([*shares, mirrored]) - min([*shares, mirrored])
        rows.append(
            {"fork": name, "left_share": shares, "mirrored": mirrored, "spread_percent_of_flow": round(100 * spread, 2)}
        )
    return rows


def _left(radii: tuple[float, ...], rotation: np.ndarray) -> float:
    given: dict[str, Condition] = {"inlet": Flow(flow_m3_s(50)), "left": Pressure(0.0), "right": Pressure(0.0)}
    found, _ = timed(fork(1.5, (radii[0], radii[1]), 6.0, rotation), given, (0.16,))
    return round(float(found.flow_m3_s[1] / -found.flow_m3_s[0]), 4)


def speed() -> dict[str, Any]:
    """Return million cell updates a second of a whole step, and its share of what copying memory allows."""
    cells = find_cells(vessel(1.5, 60, AXES["oblique"], beyond_mm=3), 0.12)
    rest, tau = np.zeros(2), 0.51
    start = State(
        populations(cells, np.zeros(len(cells)), np.zeros((3, len(cells)))),
        np.zeros(len(cells.walls), np.float32),
        GateState(rest.copy(), rest.copy(), rest.copy(), rest.copy()),
    )
    openings = gates(cells, np.array([GIVEN_FLOW, GIVEN_PRESSURE]), np.array([[1.0, 0], [0, 0]]))
    lattice = Compiled(cells, walls(cells, tau), openings, tau, start=start)
    lattice.advance(16)
    taken = min(_seconds(lambda: lattice.advance(32)) for _ in range(5)) / 32
    source = np.ones(BYTES_PER_CELL * len(cells) // 8, np.float32)
    target = np.empty_like(source)
    _copy(source, target)
    copying = min(_seconds(lambda: _copy(source, target)) for _ in range(9))
    rate = len(cells) / taken / 1e6
    limit = len(cells) / copying / 1e6
    return {
        "threads": numba.get_num_threads(),
        "cells": len(cells),
        "wall_links": len(cells.walls),
        "million_updates_per_s": round(rate, 1),
        "bytes_per_cell": BYTES_PER_CELL,
        "copy_limit_million_updates_per_s": round(limit, 1),
        "share_of_copy_limit": round(rate / limit, 3),
    }


@numba.njit(parallel=True)
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in numba.prange(len(source)):
        target[i] = source[i]


def _seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and keep."""
    if sys.argv[1:] == ["speed"]:
        keep("lattice_speed", speed())
        return
    keep("lattice_speed", speed())
    keep("lattice", {"tubes": straight_tubes(), "stenoses": stenoses(), "taper": taper(), "forks": forks()})


if __name__ == "__main__":
    main()
