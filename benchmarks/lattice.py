"""How exact and how fast the flow on the lattice is: closed forms, a Navier-Stokes reference, symmetry, and copy bandwidth.

``python -m benchmarks.lattice``, an hour and a half on two cores; with names of ``PARTS`` it measures those alone.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.lattice.cells import find_cells
from algorithms.coronary.lattice.checks import checks
from algorithms.coronary.lattice.compiled import Compiled
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, ordered
from algorithms.coronary.lattice.gates import GIVEN_FLOW, GIVEN_PRESSURE, GateState, gates
from algorithms.coronary.lattice.scale import scale
from algorithms.coronary.lattice.solution import Solution, section
from algorithms.coronary.lattice.solve import solve
from algorithms.coronary.lattice.start import blunted, creeping
from algorithms.coronary.lattice.state import State, populations
from algorithms.coronary.lattice.walls import BEND_EVERY, walls
from benchmarks.evidence import keep
from benchmarks.flow import REFERENCE
from benchmarks.references import nozzle as fda
from benchmarks.references.curved import dean_number, white_ratio
from tests.algorithms.coronary.lattice.shapes import Vessel, bend, fork, narrowed, revolved, turned, vessel

log = logging.getLogger(__name__)

BLOOD = Fluid(1060.0, 0.0035)
DIAMETER_MM = 3.0
AXES = {"along": (0.0, 0.0, 1.0), "in a plane": (0.0, 1.0, 4.0), "oblique": (1.0, 2.0, 3.0)}

BEFORE, BEHIND = 2.25, 7.0
"""Diameters from the opening planes to a throat: the fall is taken from 2 before to 6 behind it."""


def flow_m3_s(reynolds: float) -> float:
    """Return the flow of a Reynolds number of mean velocity and diameter."""
    return reynolds * np.pi * DIAMETER_MM * 1e-3 * BLOOD.kinematic_m2_s / 4


def fall_pa(lumen: Vessel, found: Solution, start_mm: float, end_mm: float) -> float:
    """Return the pressure lost between two places of a vessel."""
    z = lumen.rotation[:, 2]
    first, last = (section(found, at * z, z, DIAMETER_MM).pressure_pa for at in (start_mm, end_mm))
    return first - last


def rows_of(lumen: Lumen, given: dict[str, Condition], cells_mm: tuple[float, ...]) -> list[tuple[Solution, dict[str, Any]]]:
    """Return the solution on each grid, coarse to fine, with its size and the checks that failed; seconds are of all."""
    begun = time.perf_counter()
    solved = solve(lumen, given, BLOOD, cells_mm)
    taken = round(time.perf_counter() - begun, 1)
    rows = []
    for found in solved:
        failed = [check.name for check in checks(found) if not check.passed]
        row = {"cells": len(found.cells), "tau": round(found.scale.tau, 4), "steps": found.steps}
        rows.append((found, row | {"seconds_of_all_grids": taken, "failed_checks": failed}))
    return rows


def percent(ratio: float) -> float:
    """Return by how many per cent a ratio is off."""
    return round(100 * (float(ratio) - 1), 2)


def tubes() -> list[dict[str, Any]]:
    """Return the errors of pressure drop, profile and wall shear at three angles and two sizes of cell."""
    rows = []
    for name, axis in AXES.items():
        lumen = vessel(DIAMETER_MM / 2, 3 * DIAMETER_MM, axis, beyond_mm=3)
        flow = flow_m3_s(100)
        mean, radius = flow / (np.pi * (DIAMETER_MM / 2e3) ** 2), DIAMETER_MM / 2e3
        given: dict[str, Condition] = {"inlet": Flow(flow), "outlet": Pressure(0.0)}
        for across, (found, row) in zip((12, 24), rows_of(lumen, given, (DIAMETER_MM / 12, DIAMETER_MM / 24)), strict=True):
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


def stenoses() -> list[dict[str, Any]]:
    """Return the pressure drop of cosine stenoses against the axisymmetric reference, 10 and 16 cells across the throat.

    All lie oblique to the grid, which is the worst there is; the last also along it.
    """
    rows = []
    for area_stenosis, reynolds, reference in REFERENCE:
        throat = DIAMETER_MM * (1 - area_stenosis) ** 0.5
        for name in ("oblique", "along") if (area_stenosis, reynolds, reference) == REFERENCE[-1] else ("oblique",):
            shape = narrowed(DIAMETER_MM / 2, BEFORE * DIAMETER_MM, 2 * DIAMETER_MM, area_stenosis)
            lumen = vessel(shape, (BEFORE + BEHIND) * DIAMETER_MM, AXES[name], beyond_mm=3)
            flow = flow_m3_s(reynolds)
            dynamic = BLOOD.density_kg_m3 * (flow / (np.pi * (DIAMETER_MM / 2e3) ** 2)) ** 2
            given: dict[str, Condition] = {"inlet": Flow(flow), "outlet": Pressure(0.0)}
            for across, (found, row) in zip((10, 16), rows_of(lumen, given, (throat / 10, throat / 16)), strict=True):
                first, last = ((BEFORE + at) * DIAMETER_MM for at in (-2, 6))
                drop = fall_pa(lumen, found, first, last) / dynamic
                row |= {"area_stenosis": area_stenosis, "reynolds": reynolds, "angle": name, "reference": reference}
                row |= {"cells_across_throat": across, "drop": round(drop, 4), "error_percent": percent(drop / reference)}
                log.info("%s", row)
                rows.append(row)
    return rows


def taper() -> dict[str, Any]:
    """Return the pressure drop of a cone at a creeping flow, 8 mu L Q (a^2 + a b + b^2) / (3 pi a^3 b^3)."""
    a, b, length = 1.5e-3, 0.75e-3, 40e-3
    lumen = vessel(lambda z: 1.5 - 0.75 * z / 40, 40, AXES["oblique"], beyond_mm=1)
    flow = flow_m3_s(2)
    ((found, row),) = rows_of(lumen, {"inlet": Flow(flow), "outlet": Pressure(0.0)}, (0.125,))
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
        cells_mm = 2 * min(radii) / FORK_ACROSS
        shares = [_left(radii, rotation, cells_mm) for rotation in rotations]
        mirrored = 1 - _left(radii[::-1], turned((0, 0, 1)), cells_mm)
        every = np.array([*shares, mirrored])
        wanted = 0.5 if name == "symmetric" else float(np.median(every))
        worst = 100 * float(np.abs(every / wanted - 1).max())
        rows.append(
            {
                "fork": name,
                "cells_mm": cells_mm,
                "cells_across_smaller": FORK_ACROSS,
                "left_share": shares,
                "mirrored": mirrored,
                "worst_percent": round(worst, 2),
            }
        )
    return rows


def _left(radii: tuple[float, ...], rotation: np.ndarray, cells_mm: float) -> float:
    given: dict[str, Condition] = {"inlet": Flow(flow_m3_s(50)), "left": Pressure(0.0), "right": Pressure(0.0)}
    found, row = rows_of(fork(1.5, (radii[0], radii[1]), 6.0, rotation), given, (2 * cells_mm, cells_mm))[-1]
    log.info("fork %s %s", radii, row)
    return round(float(found.flow_m3_s[1] / -found.flow_m3_s[0]), 4)


FORK_ACROSS = 20
"""Cells across the smaller daughter."""


def bends() -> list[dict[str, Any]]:
    """Return the pressure gradient of developed flow in a bent tube against White's correlation, at two Dean numbers."""
    rows = []
    across, ratio, angle = 20, 16.0, 2.4
    for dean in (100.0, 200.0):
        reynolds = dean / dean_number(1.0, DIAMETER_MM, ratio * DIAMETER_MM)
        circle_mm = ratio * DIAMETER_MM / 2
        lumen = bend(DIAMETER_MM / 2, circle_mm, angle, turned((1, 2, 3)), beyond_mm=3)
        flow = flow_m3_s(reynolds)
        given: dict[str, Condition] = {"inlet": Flow(flow), "outlet": Pressure(0.0)}
        ((found, row),) = rows_of(lumen, given, (DIAMETER_MM / across,))
        at = [_on_arc(circle_mm, place, lumen.rotation) for place in (0.6 * angle, 0.95 * angle)]
        first, last = (section(found, centre, onward, DIAMETER_MM).pressure_pa for centre, onward in at)
        mean = flow / (np.pi * (DIAMETER_MM / 2e3) ** 2)
        straight = 8 * BLOOD.viscosity_pa_s * mean / (DIAMETER_MM / 2e3) ** 2 * 0.35 * angle * circle_mm * 1e-3
        row |= {"dean": dean, "reynolds": round(reynolds, 1), "cells_across": across, "white": round(white_ratio(dean), 4)}
        row |= {
            "ratio": round((first - last) / straight, 4),
            "error_percent": percent((first - last) / straight / white_ratio(dean)),
        }
        log.info("%s", row)
        rows.append(row)
    return rows


def _on_arc(circle_mm: float, angle: float, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a point of the axis of a bent tube and the direction there."""
    x, z = rotation[:, 0], rotation[:, 2]
    return circle_mm * ((1 - np.cos(angle)) * x + np.sin(angle) * z), np.sin(angle) * x + np.cos(angle) * z


def nozzle() -> dict[str, Any]:
    """Return the velocity on the axis of the FDA's nozzle at Reynolds 500 against our axisymmetric reference."""
    lumen = revolved(fda.wall_mm(), (-72.0, 60.0), turned((0, 0, 1)))
    fluid = Fluid(fda.DENSITY_KG_M3, fda.VISCOSITY_PA_S)
    begun = time.perf_counter()
    found = solve(lumen, {"inlet": Flow(fda.FLOW_M3_S), "outlet": Pressure(0.0)}, fluid, (0.44, 0.35))[-1]
    mean = fda.FLOW_M3_S / (np.pi * (fda.THROAT_MM / 2e3) ** 2)
    points = found.cells.points_mm
    near = np.hypot(points[:, 0], points[:, 1]) < 0.75 * found.cells.side_mm
    order = np.argsort(points[near, 2])
    axis = [(z, float(np.interp(z, points[near, 2][order], found.velocity_m_s[near, 2][order])) / mean) for z in STATIONS_MM]
    wanted = dict(fda.AXIS_VELOCITY)
    rows = [
        {"z_mm": z, "velocity": round(u, 4), "reference": wanted[z], "error_percent": percent(u / wanted[z])} for z, u in axis
    ]
    worst = max(abs(row["error_percent"]) for row in rows)
    return {
        "cells": len(found.cells),
        "cells_across_throat": fda.THROAT_MM / found.cells.side_mm,
        "tau": round(found.scale.tau, 4),
        "steps": found.steps,
        "seconds": round(time.perf_counter() - begun),
        "failed_checks": [check.name for check in checks(found) if not check.passed],
        "axis": rows,
        "worst_error_percent": worst,
        "laboratories_percent": 100 * fda.LABORATORIES,
    }


STATIONS_MM = (-64.0, -48.0, -42.0, -40.0, -20.0, -8.0, -0.8, 8.0, 16.0, 24.0, 32.0)
"""Those of ``nozzle.AXIS_VELOCITY`` that lie well inside of the lumen that is solved."""


def speed() -> dict[str, Any]:
    """Return million cell updates a second of whole steps of a tube at Reynolds 200, and its share of what copying allows."""
    cells = find_cells(vessel(DIAMETER_MM / 2, 20 * DIAMETER_MM, AXES["oblique"], beyond_mm=3), DIAMETER_MM / 25)
    given = ordered(cells.openings, {"inlet": Flow(flow_m3_s(200)), "outlet": Pressure(0.0)})
    begin = blunted(cells, creeping(cells, given, BLOOD), BLOOD)
    units = scale(cells.side_mm, BLOOD, float(np.linalg.norm(begin.velocity_m_s, axis=0).max()))
    flow = begin.flow_m3_s / units.flow_m3_s
    density, rest = (begin.pressure_pa - begin.opening_pa[1]) / units.pressure_pa, np.zeros(2)
    f = populations(cells, density, begin.velocity_m_s / units.velocity_m_s)
    start = State(f, np.zeros(len(cells.walls), np.float32), GateState(rest.copy(), flow.copy(), rest.copy(), flow.copy()))
    openings = gates(cells, np.array([GIVEN_FLOW, GIVEN_PRESSURE]), np.array([[-flow[0], 0], [0, 0]]))
    lattice = Compiled(cells, walls(cells, units.tau), openings, units.tau, start=start)
    lattice.advance(BEND_EVERY)
    taken = min(_seconds(lambda: lattice.advance(2 * BEND_EVERY)) for _ in range(9)) / (2 * BEND_EVERY)
    bytes_per_cell = lattice.bytes_a_step / len(cells)
    source = np.ones(lattice.bytes_a_step // 8, np.float32)
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
        "bytes_per_cell": round(bytes_per_cell),
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


PARTS: dict[str, Callable[[], Any]] = {
    "speed": speed,
    "tubes": tubes,
    "taper": taper,
    "forks": forks,
    "bends": bends,
    "stenoses": stenoses,
    "nozzle": nozzle,
}
"""Each is kept in a file of its own, ``results/lattice_NAME.json``."""


def main() -> None:
    """Measure and keep."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    for name in sys.argv[1:] or PARTS:
        sys.stdout.write(f"{name}: {keep(f'lattice_{name}', PARTS[name]())}\n")


if __name__ == "__main__":
    main()
