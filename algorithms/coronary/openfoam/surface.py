"""The watertight surface of a lumen with its openings as named patches, for mesh generators.

The wall is the zero level of the signed distance (marching cubes), cut exactly at the planes of the openings and closed
with a fan of triangles across each.  Points are (V, 3) mm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from skimage.measure import marching_cubes
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkClipPolyData, vtkTriangleFilter

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Lumen, Opening

BLOCK = 8
"""Steps along the side of a block of samples: blocks far from the wall are not looked at."""

WALL = "wall"


@dataclass(frozen=True, eq=False)
class Patches:
    """A closed surface in named parts."""

    points_mm: np.ndarray
    faces: dict[str, np.ndarray]
    """Corners (F, 3) of the triangles of ``wall`` and of each opening (by its patch's name), normals out of the lumen."""
    rims: np.ndarray
    """(E, 2) the edges between wall and openings."""
    inside_mm: np.ndarray
    """(3,) a point deep in the lumen."""


def patch_names(openings: tuple[Opening, ...]) -> list[str]:
    """Return a name that OpenFOAM takes for each opening: letters, digits and underscores, no two alike, none the wall's."""
    names: list[str] = []
    for number, opening in enumerate(openings):
        name = re.sub(r"\W", "_", opening.name, flags=re.ASCII)
        if not name or name[0].isdigit() or name == WALL or name in names:
            name = f"opening{number}_{name}"
        names.append(name)
    return names


def closed_patches(lumen: Lumen, step_mm: float) -> Patches:
    """Return the surface of the lumen between its openings, sampled at ``step_mm``.

    Raises
    ------
    DataError
        If an opening's plane does not cut the vessel in one closed line, or the lumen is in parts that no opening joins.
    """
    low, samples = _samples(lumen, step_mm)
    surface = marching_cubes(samples, 0.0, spacing=(step_mm,) * 3, gradient_direction="ascent")  # type: ignore[no-untyped-call]
    points, corners = surface[:2]
    points = points + low
    points, corners = _cut(points, corners, np.max([_height(opening, points, step_mm) for opening in lumen.openings], axis=0))
    corners = _largest(points, corners)
    rims = [_rim(points, corners, opening, step_mm) for opening in lumen.openings]
    faces = {WALL: corners}
    for name, rim in zip(patch_names(lumen.openings), rims, strict=True):
        points = np.concatenate([points, points[rim[:, 0]].mean(axis=0, keepdims=True)])
        # An edge runs one way round in the wall and the other way in what closes it.
        faces[name] = np.column_stack([rim[:, ::-1], np.full(len(rim), len(points) - 1)])
    if _open_edges(np.concatenate(list(faces.values()))).size:
        raise DataError(
            f"the lumen's surface has holes besides its {len(rims)} openings; place an opening where a vessel is cut, or take "
            "a larger volume"
        )
    deep = np.argwhere(samples > 0.5 * samples.max())
    places = low + step_mm * deep
    before = np.max([_height(opening, places, step_mm) for opening in lumen.openings], axis=0) < -2 * step_mm
    deepest = places[before][np.argmax(samples[tuple(deep[before].T)])]
    # Off every plane of a grid that begins at a round number.
    return Patches(points, faces, np.concatenate(rims), deepest + step_mm * np.array([0.0137, 0.0071, 0.0193]))


def _samples(lumen: Lumen, step_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the corner (3,) and the distances on a grid; far from the wall, where only the sign counts, by blocks."""
    low = lumen.low_mm - 2 * step_mm
    blocks = np.ceil((lumen.high_mm + 2 * step_mm - low) / (BLOCK * step_mm)).astype(int)
    corner = low + BLOCK * step_mm * np.stack(np.meshgrid(*map(np.arange, blocks), indexing="ij"), axis=-1).reshape(-1, 3)
    middle = lumen.distance_mm(corner + (BLOCK - 1) / 2 * step_mm)
    samples = np.repeat(middle[:, None], BLOCK**3, axis=1)
    within = np.stack(np.meshgrid(*[np.arange(BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * step_mm
    near = np.flatnonzero(np.abs(middle) < BLOCK * step_mm * np.sqrt(3))
    for some in np.array_split(near, max(1, len(near) // 512)):
        samples[some] = lumen.distance_mm((corner[some, None] + within).reshape(-1, 3)).reshape(-1, BLOCK**3)
    grid = samples.reshape(*blocks, BLOCK, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2, 5).reshape(*(BLOCK * blocks))
    return low, np.pad(grid, 1, constant_values=-step_mm)[1:, 1:, 1:]


def _height(opening: Opening, points: np.ndarray, step_mm: float) -> np.ndarray:
    """Return how far each point lies behind the plane; far below zero where another vessel crosses it."""
    away = points - opening.centre_mm
    height = away @ opening.normal
    near = np.linalg.norm(away, axis=1) < 3 * opening.radius_mm + 2 * step_mm
    return np.where(near, height, -np.inf).clip(-1e3)


def _cut(points: np.ndarray, corners: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a surface where ``height`` is below zero."""
    surface = vtkPolyData()
    places = vtkPoints()
    places.SetData(numpy_to_vtk(np.ascontiguousarray(points, float), deep=1))
    surface.SetPoints(places)
    cells = vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(corners, np.int64).ravel(), deep=1))
    surface.SetPolys(cells)
    surface.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(height, float), deep=1))
    clip, triangles = vtkClipPolyData(), vtkTriangleFilter()
    clip.SetInputData(surface)
    clip.InsideOutOn()
    triangles.SetInputConnection(clip.GetOutputPort())
    triangles.Update()
    kept = triangles.GetOutput()
    found: np.ndarray = vtk_to_numpy(kept.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return vtk_to_numpy(kept.GetPoints().GetData()).astype(float), found


def _largest(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the triangles of the piece that hangs together and has the largest area: what lies behind openings falls away."""
    joined = sparse.coo_matrix(
        (np.ones(2 * len(corners)), (corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel())), (len(points),) * 2
    )
    piece = sparse.csgraph.connected_components(joined, directed=False)[1][corners[:, 0]]
    a, b, c = points[corners].transpose(1, 0, 2)
    area = np.bincount(piece, np.linalg.norm(np.cross(b - a, c - a), axis=1))
    kept: np.ndarray = corners[piece == np.argmax(area)]
    return kept


def _open_edges(corners: np.ndarray) -> np.ndarray:
    """Return (E, 2) the edges of one triangle alone, in its direction round."""
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    _, which, times = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    alone: np.ndarray = edges[times[which.ravel()] == 1]
    return alone


def _rim(points: np.ndarray, corners: np.ndarray, opening: Opening, step_mm: float) -> np.ndarray:
    edges = _open_edges(corners)
    flat = np.abs(_height(opening, points, step_mm)) < 1e-3 * step_mm
    rim: np.ndarray = edges[flat[edges].all(axis=1)]
    starts, ends = np.sort(rim[:, 0]), np.sort(rim[:, 1])
    loops = sparse.csgraph.connected_components(
        sparse.coo_matrix((np.ones(len(rim)), (rim[:, 0], rim[:, 1])), (len(points),) * 2), directed=False
    )[1][rim[:, 0]]
    if len(rim) < 3 or not np.array_equal(starts, ends) or len(np.unique(loops)) > 1:
        raise DataError(
            f"the plane of opening {opening.name} does not cut the lumen's surface in one closed line; move it onto one "
            "vessel, and let the lumen go on behind it"
        )
    return rim
