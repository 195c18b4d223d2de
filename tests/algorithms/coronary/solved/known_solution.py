"""Solutions of the lattice that were not computed: a known flow in the cells of a lumen."""

from __future__ import annotations

import numpy as np

from algorithms.coronary.lattice.cells import find_cells
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.lattice.scale import scale
from algorithms.coronary.lattice.solution import Solution, Wall
from tests.algorithms.coronary.lattice.shapes import vessel

BLOOD = Fluid(1060.0, 0.0035)
INLET_PA = 12000.0


def poiseuille(radius_mm=1.5, length_mm=12.0, axis=(1, 2, 3), side_mm=0.15, flow_m3_s=1e-6):
    """Return a lumen, and Poiseuille's flow in it."""
    lumen = vessel(radius_mm, length_mm, axis, beyond_mm=3)
    cells = find_cells(lumen, side_mm)
    way = lumen.rotation[:, 2]
    mean = flow_m3_s / (np.pi * (radius_mm * 1e-3) ** 2)
    share = 1 - cells.distance_mm / radius_mm
    slope = 8 * BLOOD.viscosity_pa_s * mean / (radius_mm * 1e-3) ** 2 * 1e-3  # Pa/mm
    pressure = INLET_PA - slope * (cells.points_mm @ way)
    own = np.unique(cells.walls.cell)
    off = cells.points_mm[own] - (cells.points_mm[own] @ way)[:, None] * way
    normal = -off / np.linalg.norm(off, axis=1, keepdims=True)
    shear = np.full((len(own), 1), 4 * BLOOD.viscosity_pa_s * mean / (radius_mm * 1e-3)) * way
    return lumen, Solution(
        cells=cells,
        scale=scale(side_mm, BLOOD, 2 * mean),
        velocity_m_s=2 * mean * (1 - share**2)[:, None] * way,
        pressure_pa=pressure,
        wall=Wall(cells.points_mm[own] - cells.distance_mm[own, None] * normal, normal, shear),
        flow_m3_s=np.array([-flow_m3_s, flow_m3_s]),
        opening_pa=np.array([INLET_PA, INLET_PA - slope * length_mm]),
        front_m3_s=np.full(3, flow_m3_s),
        drift=1e-6,
        steady=5e-4,
        steps=1000,
    )
