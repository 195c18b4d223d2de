"""The wall with its shear stress and pressure, as a ``.vtp`` of triangles.  Points are (N, 3) mm; stresses are Pa."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.vtk_files import write_triangles
from algorithms.coronary.geometry.cut import cut_open
from algorithms.coronary.geometry.open_surface import merged
from algorithms.coronary.geometry.shape import Lumen

CHUNK = 24
"""Cells along the side of a cube that is searched for wall at once: a tree's box is nearly empty."""

NEIGHBOURS = 6
"""A vertex takes its value from so many wall points around it: those of a cell and of the cells beside it."""


@dataclass(frozen=True, eq=False)
class WallPoints:
    """What a solver found on the wall: points (m, 3), shear stress (m,), its standard deviation (m,), and pressure (m,)."""

    points_mm: np.ndarray
    shear_stress_pa: np.ndarray
    shear_stress_sd_pa: np.ndarray
    pressure_pa: np.ndarray


@dataclass(frozen=True, eq=False)
class WallMap:
    """The wall as triangles: vertices (v, 3) and faces (f, 3), with the values of the wall points at every vertex."""

    vertices_mm: np.ndarray
    faces: np.ndarray
    shear_stress_pa: np.ndarray
    shear_stress_sd_pa: np.ndarray
    pressure_pa: np.ndarray


def wall_surface(lumen: Lumen, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (v, 3) and faces (f, 3) of the wall next to the cells, open at the openings, one vertex a cell about."""
    chunks = np.unique(np.concatenate([(cells.index + step) // CHUNK for step in (-2, 2)]), axis=0)
    vertices, faces, count = [], [], 0
    grid = np.stack(np.meshgrid(*[np.arange(CHUNK + 1)] * 3, indexing="ij"), axis=-1)
    for chunk in chunks:
        places = cells.low_mm + cells.side_mm * (chunk * CHUNK + grid)
        distance = lumen.distance_mm(places.reshape(-1, 3)).reshape(grid.shape[:3])
        if distance.min() >= 0 or distance.max() <= 0:
            continue
        # A wall exactly on a corner of the grid would make triangles without area.
        distance[distance == 0] = 1e-9
        found, triangles, _, _ = marching_cubes(distance, 0.0)  # type: ignore[no-untyped-call]
        vertices.append(cells.low_mm + cells.side_mm * (chunk * CHUNK + found))
        # Seen counter-clockwise from outside: the distance falls outwards.
        faces.append(triangles[:, ::-1].astype(np.int64) + count)
        count += len(found)
    points, triangles, _ = merged(np.concatenate(vertices), np.concatenate(faces))
    for opening in lumen.openings:
        if ((points - opening.centre_mm) @ opening.normal > 0).any():
            points, triangles = cut_open(points, triangles, opening.centre_mm, opening.normal)
    return points, triangles


def wall_map(lumen: Lumen, cells: Cells, found: WallPoints) -> WallMap:
    """Return the wall with the means of the wall points around each vertex, nearer ones counting more."""
    vertices, faces = wall_surface(lumen, cells)
    away, which = cKDTree(found.points_mm).query(vertices, k=min(NEIGHBOURS, len(found.points_mm)))
    away, which = away.reshape(len(vertices), -1), which.reshape(len(vertices), -1)
    weight = 1 / (away + 0.1 * cells.side_mm) ** 2
    weight /= weight.sum(axis=1, keepdims=True)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray((weight * values[which]).sum(axis=1))

    return WallMap(vertices, faces, mean(found.shear_stress_pa), mean(found.shear_stress_sd_pa), mean(found.pressure_pa))


def write_wall(wall: WallMap, path: Path) -> None:
    """Write ``wall_shear_stress_pa``, its standard deviation and ``pressure_pa`` at every vertex of the wall."""
    data = {
        "wall_shear_stress_pa": wall.shear_stress_pa,
        "wall_shear_stress_sd_pa": wall.shear_stress_sd_pa,
        "pressure_pa": wall.pressure_pa,
    }
    write_triangles(path, wall.vertices_mm, wall.faces, data, {})
