"""Surfaces of triangles with known shapes, and files of them."""

from __future__ import annotations

import numpy as np
from skimage.measure import marching_cubes


def tube_surface(radius_mm, length_mm, *, axis=(1.0, 2.0, 3.0), sides=96, step_mm=0.25, origin_mm=(0.0, 0.0, 0.0)):
    """Return vertices and faces of an open tube; ``radius_mm`` is a number or a function of the distance along it."""
    towards = np.asarray(axis) / np.linalg.norm(axis)
    across = np.linalg.svd(towards[None])[2][1:]
    if np.dot(np.cross(across[0], across[1]), towards) < 0:
        across = across[::-1]
    along = np.linspace(0, length_mm, round(length_mm / step_mm) + 1)
    angle = 2 * np.pi * np.arange(sides) / sides
    # The polygon has the area of the circle, so that its wall lies half in and half out of the true one.
    polygon = np.sqrt(2 * np.pi / sides / np.sin(2 * np.pi / sides))
    radius = polygon * np.broadcast_to(radius_mm(along) if callable(radius_mm) else radius_mm, along.shape)
    circle = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    vertices = np.asarray(origin_mm) + along[:, None, None] * towards + radius[:, None, None] * circle
    number = np.arange(len(along) * sides).reshape(len(along), sides)
    a, b = number[:-1].ravel(), np.roll(number[:-1], -1, axis=1).ravel()
    c, d = np.roll(number[1:], -1, axis=1).ravel(), number[1:].ravel()
    return vertices.reshape(-1, 3), np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def lidded(vertices, faces, sides=96):
    """Return the tube with a lid on each end, and the name of the part that each face belongs to."""
    last = len(vertices) - sides
    first_lid = [(0, k + 1, k) for k in range(1, sides - 1)]
    last_lid = [(last, last + k, last + k + 1) for k in range(1, sides - 1)]
    names = ["wall"] * len(faces) + ["ostium"] * len(first_lid) + ["LAD"] * len(last_lid)
    return vertices, np.concatenate([faces, first_lid, last_lid]), np.array(names)


def sphere_surface(radius_mm=2.0, step_mm=0.2):
    """Return vertices and faces of a closed sphere."""
    grid = np.arange(-radius_mm - 1, radius_mm + 1 + step_mm / 2, step_mm) + 0.013
    distance = radius_mm - np.sqrt(sum(x**2 for x in np.meshgrid(grid, grid, grid, indexing="ij")))
    vertices, faces, _, _ = marching_cubes(distance, 0.0, spacing=(step_mm,) * 3)
    return vertices + grid[0], faces[:, ::-1]


def write_stl(path, vertices, faces):
    """Write a binary STL."""
    record = np.zeros(len(faces), dtype=np.dtype([("v", "<f4", (4, 3)), ("a", "<u2")]))
    record["v"][:, 1:] = vertices[faces]
    path.write_bytes(b"heartwood".ljust(80) + len(faces).to_bytes(4, "little") + record.tobytes())


def write_solids(path, vertices, faces, name):
    """Write an ASCII STL with a solid a name."""
    lines = []
    for solid in dict.fromkeys(name.tolist()):
        lines.append(f"solid {solid}")
        for face in faces[name == solid]:
            corners = [" vertex " + " ".join(f"{x:.9e}" for x in vertices[v]) for v in face]
            lines += ["facet normal 0 0 0", "outer loop", *corners, "endloop", "endfacet"]
        lines.append(f"endsolid {solid}")
    path.write_text("\n".join(lines) + "\n")


def write_vtp(path, vertices, faces, name=None):
    """Write a VTP, with the string array ``opening`` where there are names."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    points, cells, data = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(vertices), deep=True))
    cells.SetData(3, numpy_to_vtkIdTypeArray(np.ascontiguousarray(faces.ravel(), dtype=np.int64), deep=True))
    data.SetPoints(points)
    data.SetPolys(cells)
    if name is not None:
        strings = vtkStringArray()
        strings.SetName("opening")
        for n in name:
            strings.InsertNextValue(str(n))
        data.GetCellData().AddArray(strings)
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    writer.Write()
