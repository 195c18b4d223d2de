"""Surfaces of triangles from STL and VTP files.

Parts of a surface have names: the solids of a multi-solid ASCII STL, or the string array ``opening`` of a VTP's cells.
``""``, ``wall`` and ``lumen`` are the wall; every other part is a lid on an open end.  Points are (N, 3) mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError


@dataclass(frozen=True, eq=False)
class Named:
    """Triangles of a file: vertices (V, 3) mm, faces (F, 3), and for each face the name of the part it belongs to."""

    vertices_mm: np.ndarray
    faces: np.ndarray
    name: np.ndarray


def read_stl(path: Path) -> Named:
    """Return the triangles of an STL file, binary or ASCII, with the names of its solids.

    Raises
    ------
    DataError
        If it is no STL file, or cut short.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if len(data) == 84 + 50 * count:
        record = np.frombuffer(data, dtype=np.dtype([("v", "<f4", (4, 3)), ("a", "<u2")]), offset=84, count=count)
        return _loose(record["v"][:, 1:].astype(float), np.full(count, ""))
    if not data.lstrip().startswith(b"solid"):
        raise DataError(f"the STL file has {len(data)} bytes and announces {count} triangles; it is cut short, send it again")
    corners: list[list[float]] = []
    names: list[str] = []
    solid = ""
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words and words[0] == "solid":
            solid = " ".join(words[1:])
        elif words and words[0] == "vertex":
            try:
                corners.append([float(w) for w in words[1:4]])
            except ValueError:
                raise DataError(f"the STL file has a vertex that is no number after {len(corners)}; export it again") from None
        elif words and words[0] == "endfacet":
            names.append(solid)
    if len(corners) != 3 * len(names):
        raise DataError(f"the STL file has {len(corners)} vertices in {len(names)} triangles; it is cut short, send it again")
    name = np.array(names, dtype=str)
    return _loose(np.array(corners, dtype=float).reshape(-1, 3, 3), name if len(set(names)) > 1 else np.full(len(names), ""))


def _loose(corners: np.ndarray, name: np.ndarray) -> Named:
    return Named(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), name)


def read_vtp(path: Path) -> Named:
    """Return the triangles of a VTP file, with the names that its cells' string array ``opening`` gives.

    Raises
    ------
    DataError
        If it cannot be read or has no polygons.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(str(path)):
        raise DataError("the VTP file is no VTK PolyData; save the surface as PolyData")
    reader.SetFileName(str(path))
    triangles = vtkTriangleFilter()
    triangles.SetInputConnection(reader.GetOutputPort())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    data = triangles.GetOutput()
    if not data.GetNumberOfPolys():
        raise DataError("the VTP file has no polygons, wanted the surface of a vessel")
    faces = vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    told = data.GetCellData().GetAbstractArray("opening")
    name = (
        [told.GetValue(i) for i in range(len(faces))] if told is not None and hasattr(told, "GetValue") else [""] * len(faces)
    )
    return Named(vtk_to_numpy(data.GetPoints().GetData()).astype(float), faces, np.array([str(n) for n in name]))
