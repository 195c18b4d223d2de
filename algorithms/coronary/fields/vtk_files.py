"""VTK's XML files, compressed, from arrays.  Equal arrays make equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import TransientError

VTK_VOXEL = 11
"""Cell type of an axis-parallel box whose corners are numbered x first, then y, then z (vtkCellType.h)."""


def write_voxels(
    path: Path, points_mm: np.ndarray, corners: np.ndarray, cell_data: Mapping[str, np.ndarray], facts: Mapping[str, float]
) -> None:
    """Write a ``.vtu`` of boxes: points (p, 3), corners (n, 8) in VTK's order for a voxel, arrays (n,) or (n, c)."""
    from vtkmodules.vtkCommonDataModel import vtkUnstructuredGrid

    grid = vtkUnstructuredGrid()
    grid.SetPoints(_points(points_mm))
    grid.SetCells(VTK_VOXEL, _cells(corners.ravel(), 8 * np.arange(len(corners) + 1)))
    write_grid(path, grid, cell_data, facts)


def write_grid(path: Path, grid: Any, cell_data: Mapping[str, np.ndarray], facts: Mapping[str, float]) -> None:
    """Write a ``vtkUnstructuredGrid`` as ``.vtu``, with arrays (n,) or (n, c) of its cells."""
    from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

    _add(grid.GetCellData(), cell_data)
    _add(grid.GetFieldData(), {name: np.array([value]) for name, value in facts.items()})
    _write(vtkXMLUnstructuredGridWriter(), grid, path)


def write_triangles(
    path: Path, points_mm: np.ndarray, faces: np.ndarray, point_data: Mapping[str, np.ndarray], facts: Mapping[str, float]
) -> None:
    """Write a ``.vtp`` of triangles: points (p, 3), faces (f, 3), arrays (p,) or (p, c)."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    data = vtkPolyData()
    data.SetPoints(_points(points_mm))
    data.SetPolys(_cells(faces.ravel(), 3 * np.arange(len(faces) + 1)))
    _add(data.GetPointData(), point_data)
    _write_poly(data, path, facts)


def write_lines(
    path: Path,
    lines_mm: Sequence[np.ndarray],
    point_data: Mapping[str, Sequence[np.ndarray]],
    names: Sequence[str],
    facts: Mapping[str, float],
) -> None:
    """Write a ``.vtp`` of lines: points (n, 3) a line, arrays (n,) or (n, c) a line, and a name for each line."""
    from vtkmodules.vtkCommonCore import vtkStringArray
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    lengths = [len(line) for line in lines_mm]
    data = vtkPolyData()
    data.SetPoints(_points(np.concatenate(lines_mm) if lines_mm else np.empty((0, 3))))
    data.SetLines(_cells(np.arange(sum(lengths)), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)))
    _add(data.GetPointData(), {name: np.concatenate(values) for name, values in point_data.items() if lines_mm})
    told = vtkStringArray()
    told.SetName("name")
    for name in names:
        told.InsertNextValue(name)
    data.GetCellData().AddArray(told)
    _write_poly(data, path, facts)


def _write_poly(data: Any, path: Path, facts: Mapping[str, float]) -> None:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    _add(data.GetFieldData(), {name: np.array([value]) for name, value in facts.items()})
    _write(vtkXMLPolyDataWriter(), data, path)


def _write(writer: Any, data: Any, path: Path) -> None:
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToZLib()
    if not writer.Write() or writer.GetErrorCode():
        raise TransientError(f"{path.name} was not written; make room on the disk of the case folder")


def _points(points_mm: np.ndarray) -> Any:
    from vtkmodules.vtkCommonCore import vtkPoints

    points = vtkPoints()
    points.SetData(_array(np.asarray(points_mm, dtype=np.float32)))
    return points


def _cells(connectivity: np.ndarray, offsets: np.ndarray) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    wide = np.int32 if len(connectivity) < 2**31 and int(offsets[-1]) < 2**31 else np.int64
    cells = vtkCellArray()
    cells.SetData(*(numpy_to_vtk(np.ascontiguousarray(a, dtype=wide), deep=True) for a in (offsets, connectivity)))
    return cells


def _array(values: np.ndarray) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    return numpy_to_vtk(np.ascontiguousarray(values), deep=True)


def _add(where: Any, arrays: Mapping[str, np.ndarray]) -> None:
    for name, values in arrays.items():
        array = _array(np.asarray(values, dtype=np.float32) if values.dtype.kind == "f" and values.size > 1 else values)
        array.SetName(name)
        where.AddArray(array)
