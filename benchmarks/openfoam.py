"""CPU time of OpenFOAM and of the lattice at the same error: a cosine stenosis of half the area at Reynolds 200, in one run.

``python -m benchmarks.openfoam``, an hour on two cores; ``python -m benchmarks.openfoam coarse`` tries two sizes of cell each.
Each program solves on several grids; what it costs to reach an error is read between its own runs.  Grids and surfaces are
counted, compiling is not.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.lattice.conditions import Condition, Flow, Pressure
from algorithms.coronary.lattice.solve import solve as lattice_solve
from algorithms.coronary.openfoam import solve as openfoam
from algorithms.coronary.openfoam.case import Numerics
from algorithms.coronary.openfoam.program import require
from benchmarks.evidence import keep
from benchmarks.flow import REFERENCE
from benchmarks.lattice import AXES, BLOOD, DIAMETER_MM, fall_pa, flow_m3_s, percent
from tests.algorithms.coronary.lattice.shapes import Vessel, narrowed, vessel

CASE = REFERENCE[1]
"""Half the area, Reynolds 200."""

CELLS_ACROSS: dict[str, tuple[int, ...]] = {"lattice": (12, 16, 20, 24), "openfoam": (10, 14, 20, 28)}
"""Across the healthy vessel."""

TARGETS_PERCENT = (6.0, 4.0, 3.0, 2.0)


def stenosis(axis: tuple[float, float, float]) -> tuple[Vessel, dict[str, Condition], float]:
    """Return the lumen, what holds at its openings, and rho U^2 in Pa."""
    area_stenosis, reynolds, _ = CASE
    lumen = vessel(
        narrowed(DIAMETER_MM / 2, 3 * DIAMETER_MM, 2 * DIAMETER_MM, area_stenosis), 11 * DIAMETER_MM, axis, beyond_mm=3
    )
    flow = flow_m3_s(reynolds)
    dynamic = BLOOD.density_kg_m3 * (flow / (np.pi * (DIAMETER_MM / 2e3) ** 2)) ** 2
    return lumen, {"inlet": Flow(flow), "outlet": Pressure(0.0)}, dynamic


def by_lattice(axis: tuple[float, float, float], across: int) -> dict[str, Any]:
    """Return error and CPU seconds of one run of the lattice, all threads together."""
    lumen, given, dynamic = stenosis(axis)
    begun = time.process_time()
    found = lattice_solve(lumen, given, BLOOD, (DIAMETER_MM / across,))[-1]
    taken = time.process_time() - begun
    return _row(across, len(found.cells), fall_pa(lumen, found, DIAMETER_MM, 9 * DIAMETER_MM) / dynamic, taken)


def by_openfoam(axis: tuple[float, float, float], across: int) -> dict[str, Any]:
    """Return error and CPU seconds of one run of OpenFOAM, with the making of its surface and grid."""
    lumen, given, dynamic = stenosis(axis)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = openfoam.solve(lumen, given, BLOOD, Numerics(DIAMETER_MM / across), Path(folder) / "case")
    taken = time.process_time() - begun + found.cpu_seconds
    z = lumen.rotation[:, 2]
    first, last = (openfoam.section(found, at * z, z, DIAMETER_MM).pressure_pa for at in (DIAMETER_MM, 9 * DIAMETER_MM))
    return _row(across, len(found.points_mm), (first - last) / dynamic, taken)


def _row(across: int, cells: int, drop: float, seconds: float) -> dict[str, Any]:
    row = {"cells_across": across, "cells": cells, "drop": round(drop, 4), "error_percent": percent(drop / CASE[2])}
    return row | {"cpu_seconds": round(seconds, 1)}


def cost(rows: list[dict[str, Any]], error_percent: float) -> float | None:
    """Return the CPU seconds at which an error is reached, on straight lines between runs in logarithms; None outside of them.

    Of runs that cost more and err more than a cheaper one nothing is said: nobody would make them.
    """
    best: list[tuple[float, float]] = []
    for row in sorted(rows, key=lambda row: float(row["cpu_seconds"])):
        error = max(abs(float(row["error_percent"])), 0.01)
        if not best or error < best[-1][1]:
            best.append((float(row["cpu_seconds"]), error))
    seconds, errors = np.log(np.array(best)).T
    if not best[-1][1] <= error_percent <= best[0][1]:
        return None
    return float(np.exp(np.interp(-np.log(error_percent), -errors, seconds)))


def compared(name: str, across: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the runs of both programs at one angle to the grid, and the ratio of their costs at equal errors."""
    axis = AXES[name]
    ours, theirs = [], []
    for mine, other in zip(across["lattice"], across["openfoam"], strict=True):
        # In turns, so that a busy machine slows both.
        ours.append(by_lattice(axis, mine))
        theirs.append(by_openfoam(axis, other))
        logging.info("%s: lattice %s, openfoam %s", name, ours[-1], theirs[-1])
    ratios = []
    for target in TARGETS_PERCENT:
        pair = cost(ours, target), cost(theirs, target)
        ratio = None if pair[0] is None or pair[1] is None else round(pair[0] / pair[1], 3)
        ratios.append({"error_percent": target, "lattice_s": pair[0], "openfoam_s": pair[1], "ratio": ratio})
    return {"angle": name, "lattice": ours, "openfoam": theirs, "at_equal_error": ratios}


def main() -> None:
    """Measure and keep."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    require()
    coarse = sys.argv[1:] == ["coarse"]
    across = {name: sizes[:2] for name, sizes in CELLS_ACROSS.items()} if coarse else CELLS_ACROSS
    lumen = vessel(DIAMETER_MM / 2, 2 * DIAMETER_MM, beyond_mm=3)
    lattice_solve(lumen, {"inlet": Flow(flow_m3_s(10)), "outlet": Pressure(0.0)}, BLOOD, (DIAMETER_MM / 8,))  # compiles
    results = [compared(name, across) for name in (("oblique",) if coarse else ("along", "oblique"))]
    if not coarse:
        keep("openfoam", {"case": dict(zip(("area_stenosis", "reynolds", "drop"), CASE, strict=True)), "angles": results})


if __name__ == "__main__":
    main()
