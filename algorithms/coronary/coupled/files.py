"""The files of the stage flow: the tree's lines and its glTF, and a folder with the fields of each part in three dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.coupled.measured import Solved
from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.centreline import Along, write_centreline
from algorithms.coronary.fields.gltf import write_glb
from algorithms.coronary.fields.streamlines import seeds, streamlines, write_streamlines
from algorithms.coronary.fields.volume import write_volume
from algorithms.coronary.fields.wall import NEIGHBOURS, WallPoints, wall_map, write_wall
from algorithms.coronary.flow import Flow
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.lattice.checks import ORDER
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.tree import Tree

LINES = 150
"""Streamlines of a part: enough to fill its vessel, few enough to be told apart."""

LONGEST_BOXES = 3.0
"""A line that turns in an eddy ends where it is this many times as long as the diagonal of the part."""

SHEAR_SD = 0.05
"""Relative error of the stress that two grids may share: what is asked of 12 cells across a tube (test_solve.py)."""


def write_fields(tree: Tree, solved: Flow, aortic_mmhg: float, folder: Path) -> None:
    """Write ``centreline.vtp`` and ``tree.glb`` of the answer."""
    write_centreline(tree, Along.of(solved), aortic_mmhg, folder / "centreline.vtp")
    write_glb(tree, [pressure / aortic_mmhg for pressure in solved.pressure_mmhg], folder / "tree.glb")


def write_part(solved: Solved, aortic_mmhg: float, folder: Path) -> None:
    """Write ``volume.vtu``, ``wall.vtp`` and ``streamlines.vtp`` of one part."""
    if solved.solution is None or solved.lumen is None:
        raise ValueError("this part has no solution")
    folder.mkdir()
    found, aortic_pa = solved.solution, aortic_mmhg * PA_PER_MMHG
    cells = Cells(found.cells.points_mm, found.cells.side_mm, found.velocity_m_s, found.pressure_pa)
    write_volume(cells, aortic_pa, folder / "volume.vtu")
    write_wall(wall_map(solved.lumen, cells, wall_points(found, solved.coarse)), folder / "wall.vtp")
    inlet = next(opening for opening in solved.lumen.openings if opening.inlet)
    longest_mm = LONGEST_BOXES * float(np.linalg.norm(np.ptp(cells.centre_mm, axis=0)))
    lines = streamlines(cells, seeds(inlet, LINES, cells.side_mm), longest_mm)
    write_streamlines(lines, aortic_pa, folder / "streamlines.vtp")


def wall_points(found: Solution, coarse: Solution | None) -> WallPoints:
    """Return shear stress and pressure on the wall.

    The stress' standard deviation is ``SHEAR_SD`` of it and, with a coarser grid, what Richardson's extrapolation makes of
    the difference: that over ``ratio ** ORDER - 1`` (Roache, J Fluids Eng 116:405 (1994), eq. 3).
    """
    wall = found.wall
    shear = np.linalg.norm(wall.shear_pa, axis=1)
    spread = SHEAR_SD * shear
    if coarse is not None:
        ratio = coarse.cells.side_mm / found.cells.side_mm
        away, near = cKDTree(coarse.wall.points_mm).query(wall.points_mm, k=min(NEIGHBOURS, len(coarse.wall.points_mm)))
        weight = 1 / (away + 0.1 * coarse.cells.side_mm) ** 2
        other = (weight * np.linalg.norm(coarse.wall.shear_pa, axis=1)[near]).sum(axis=1) / weight.sum(axis=1)
        spread = np.hypot(spread, np.abs(shear - other) / (ratio**ORDER - 1))
    nearest = cKDTree(found.cells.points_mm).query(wall.points_mm)[1]
    return WallPoints(wall.points_mm, shear, spread, found.pressure_pa[nearest])
