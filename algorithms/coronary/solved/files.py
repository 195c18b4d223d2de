"""The files of one solved flow, for ParaView: ``centreline.vtp`` of any model; ``volume.vtu``, ``wall.vtp`` and
``streamlines.vtp`` of the lattice's, ``volume.vtu`` of OpenFOAM's.  Pressures are Pa and velocities m/s, but mmHg and ml/s
along the lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.centreline import Along, write_centreline
from algorithms.coronary.fields.streamlines import seeds, streamlines, write_streamlines
from algorithms.coronary.fields.volume import write_unstructured_volume, write_volume
from algorithms.coronary.fields.wall import NEIGHBOURS, WallPoints, wall_map, write_wall
from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.lattice.checks import ORDER
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.openfoam.grid import vtk_grid
from algorithms.coronary.openfoam.solve import FoamSolution
from algorithms.coronary.solved.answer import Answer

STREAMLINES = 150

SHEAR_SD = 0.05
"""Relative error of wall shear stress at 12 cells across a tube (docs/coronary.md), a part that two grids share."""


@dataclass(frozen=True, eq=False)
class Run:
    """A flow in three dimensions: its lumen, the solution, and that on coarser cells where there is one."""

    lumen: Lumen
    fine: Solution
    coarse: Solution | None


def write_lines_of(answer: Answer, reference_pa: float | None, folder: Path) -> Path:
    """Write ``centreline.vtp``; FFR is relative to ``reference_pa``, and left out where that is None."""
    means = answer.means
    terms = (means.pressure_pa, means.viscous_pa, means.expansion_pa)
    pressure, viscous, expansion = (tuple(part / PA_PER_MMHG for part in term) for term in terms)
    total = None if means.total_pa is None else tuple(part / PA_PER_MMHG for part in means.total_pa)
    along = Along(tuple(1e6 * flow for flow in means.flow_m3_s), pressure, viscous, expansion, total)
    path = folder / "centreline.vtp"
    write_centreline(answer.tree, along, None if reference_pa is None else reference_pa / PA_PER_MMHG, path)
    return path


def write_fields_of(run: Run, reference_pa: float | None, folder: Path) -> list[Path]:
    """Write ``volume.vtu``, ``wall.vtp`` and ``streamlines.vtp``; FFR as in ``write_lines_of``."""
    found = run.fine
    cells = Cells(found.cells.points_mm, found.cells.side_mm, found.velocity_m_s, found.pressure_pa)
    paths = [folder / name for name in ("volume.vtu", "wall.vtp", "streamlines.vtp")]
    write_volume(cells, reference_pa, paths[0])
    write_wall(wall_map(run.lumen, cells, wall_points(found, run.coarse)), paths[1])
    inlet = next(opening for opening in run.lumen.openings if opening.inlet)
    # A line that turns in eddies is cut where it is several times as long as the box.
    longest = 3 * float(np.linalg.norm(np.ptp(cells.centre_mm, axis=0)))
    lines = streamlines(cells, seeds(inlet, STREAMLINES, found.cells.side_mm), longest)
    write_streamlines(lines, reference_pa, paths[2])
    return paths


def write_foam_volume(case: Path, found: FoamSolution, reference_pa: float | None, path: Path) -> None:
    """Write ``volume.vtu`` with the cells of OpenFOAM's grid in ``case``; FFR as in ``write_lines_of``."""
    values = Cells(found.points_mm, found.side_mm, found.velocity_m_s, found.pressure_pa)
    write_unstructured_volume(vtk_grid(case), values, reference_pa, path)


def wall_points(found: Solution, coarse: Solution | None) -> WallPoints:
    """Return shear stress and pressure at the points of the wall.

    The standard deviation of the stress is ``SHEAR_SD`` of it and, where there is a coarser grid, the difference to that
    one over what second order makes of it (Roache 1994, eq. 16, without the factor of safety).
    """
    wall = found.wall
    shear = np.linalg.norm(wall.shear_pa, axis=1)
    sd = SHEAR_SD * shear
    if coarse is not None:
        ratio = coarse.cells.side_mm / found.cells.side_mm
        near = [_around(part, wall.points_mm) for part in (found, coarse)]
        sd = np.hypot(sd, np.abs(near[0] - near[1]) / (ratio**ORDER - 1))
    nearest = cKDTree(found.cells.points_mm).query(wall.points_mm)[1]
    return WallPoints(wall.points_mm, shear, sd, found.pressure_pa[nearest])


def _around(found: Solution, points_mm: np.ndarray) -> np.ndarray:
    """Return the mean stress of the wall points around each of (n, 3) points: one alone shows the stairs of the grid."""
    stress = np.linalg.norm(found.wall.shear_pa, axis=1)
    which = cKDTree(found.wall.points_mm).query(points_mm, k=min(NEIGHBOURS, len(stress)))[1]
    return np.asarray(stress[which.reshape(len(points_mm), -1)].mean(axis=1))
