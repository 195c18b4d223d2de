"""Flows with a closed form, in the cells of a sparse grid."""

from __future__ import annotations

import numpy as np

from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.wall import WallPoints
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.tubes import cosine_stenosis, tube

AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
RADIUS_MM, LENGTH_MM = 1.5, 12.0
MEAN_M_S, VISCOSITY_PA_S, INLET_PA = 0.2, 0.0035, 12000.0


def oblique_lumen():
    """Return the lumen of a straight tube across the grid."""
    return swept_lumen(Tree((tube("LAD", LENGTH_MM, RADIUS_MM, direction=tuple(AXIS)),)))


def cells_in(lumen, side_mm):
    """Return the centres of the cells of ``side_mm`` that lie in a lumen between its openings."""
    axes = [np.arange(a, b, side_mm) for a, b in zip(lumen.low_mm, lumen.high_mm, strict=True)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = lumen.distance_mm(centres) > 0
    for opening in lumen.openings:
        inside &= (centres - opening.centre_mm) @ opening.normal < 0
    return centres[inside]


def poiseuille(side_mm=0.1):
    """Return a lumen, its cells and its wall points with Poiseuille's flow along the oblique axis."""
    lumen = oblique_lumen()
    centre = cells_in(lumen, side_mm)
    along = centre @ AXIS
    away = np.linalg.norm(centre - along[:, None] * AXIS, axis=1)
    speed = 2 * MEAN_M_S * (1 - (away / RADIUS_MM) ** 2)
    cells = Cells(centre, side_mm, speed[:, None] * AXIS, pressure_pa(along))
    across = np.linalg.svd(AXIS[None])[2][1:]
    turn, place = np.meshgrid(np.linspace(0, 2 * np.pi, 60, endpoint=False), np.arange(0, LENGTH_MM, 0.15))
    outward = np.cos(turn)[..., None] * across[0] + np.sin(turn)[..., None] * across[1]
    points = (place[..., None] * AXIS + RADIUS_MM * outward).reshape(-1, 3)
    # A stress that varies along the wall by a known law, so that a value in the wrong place is seen.
    shear = wall_shear_pa() * (1 + place.ravel() / LENGTH_MM)
    return lumen, cells, WallPoints(points, shear, 0.05 * shear, pressure_pa(place.ravel()))


def pressure_pa(along_mm):
    """Return the pressure at a distance along the axis: 8 mu U / R^2 is lost a metre."""
    return INLET_PA - 8 * VISCOSITY_PA_S * MEAN_M_S / (RADIUS_MM * 1e-3) ** 2 * along_mm * 1e-3


def wall_shear_pa():
    """Return Poiseuille's wall shear stress, 4 mu U / R."""
    return 4 * VISCOSITY_PA_S * MEAN_M_S / (RADIUS_MM * 1e-3)


def throat(side_mm=0.12):
    """Return a lumen with a stenosis of 70 % area, and cells, wall points and all of a flow through it without an eddy.

    Each section has Poiseuille's parabola, and the radial velocity that keeps the mass: ``u_r = u_z r R' / R``.
    """
    radius = cosine_stenosis(8, 6, RADIUS_MM, 0.7)
    lumen = swept_lumen(Tree((tube("LAD", 20, radius, direction=tuple(AXIS)),)))
    centre = cells_in(lumen, side_mm)
    along = centre @ AXIS
    wide, slope = radius(along), (radius(along + 1e-4) - radius(along - 1e-4)) / 2e-4
    offset = centre - along[:, None] * AXIS
    share = np.linalg.norm(offset, axis=1) / wide
    speed = 2 * MEAN_M_S * (RADIUS_MM / wide) ** 2 * (1 - share**2)
    velocity = speed[:, None] * (AXIS + offset * (slope / wide)[:, None])
    cells = Cells(centre, side_mm, velocity, pressure_pa(along))
    across = np.linalg.svd(AXIS[None])[2][1:]
    turn, place = np.meshgrid(np.linspace(0, 2 * np.pi, 60, endpoint=False), np.arange(0, 20, 0.15))
    outward = np.cos(turn)[..., None] * across[0] + np.sin(turn)[..., None] * across[1]
    points = (place[..., None] * AXIS + radius(place)[..., None] * outward).reshape(-1, 3)
    shear = wall_shear_pa() * (RADIUS_MM / radius(place.ravel())) ** 3
    return lumen, cells, WallPoints(points, shear, 0.05 * shear, pressure_pa(place.ravel()))
