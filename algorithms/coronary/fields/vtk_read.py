"""Wall and streamlines read back from the files of one part, for its pictures.  Points are (N, 3) mm."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.fields.streamlines import Streamline
from algorithms.coronary.fields.wall import WallMap


def read_wall(path: Path) -> WallMap:
    """Return the wall in a ``.vtp`` that ``write_wall`` wrote."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    data = _read(path)
    faces = vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    names = ("wall_shear_stress_pa", "wall_shear_stress_sd_pa", "pressure_pa")
    values = [_values(data, name) for name in names]
    return WallMap(np.asarray(vtk_to_numpy(data.GetPoints().GetData()), dtype=float), faces.astype(np.int64), *values)


def read_streamlines(path: Path) -> list[Streamline]:
    """Return the lines in a ``.vtp`` that ``write_streamlines`` wrote."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    data = _read(path)
    offsets = vtk_to_numpy(data.GetLines().GetOffsetsArray())
    points = np.asarray(vtk_to_numpy(data.GetPoints().GetData()), dtype=float)
    velocity, pressure, time = (_values(data, name) for name in ("velocity_m_s", "pressure_pa", "time_s"))
    pieces = [slice(start, stop) for start, stop in itertools.pairwise(offsets)]
    return [Streamline(points[p], velocity[p], pressure[p], time[p]) for p in pieces]


def _read(path: Path) -> Any:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def _values(data: Any, name: str) -> np.ndarray:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    return np.asarray(vtk_to_numpy(data.GetPointData().GetArray(name)), dtype=float)
