"""The grid of an OpenFOAM case for VTK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.coronary.openfoam.case import M_PER_MM


def vtk_grid(case: Path) -> Any:
    """Return the cells of a case's grid as a ``vtkUnstructuredGrid``, in OpenFOAM's order, with points in mm and no values.

    Raises
    ------
    DataError
        If there is no grid.
    """
    from vtkmodules.vtkCommonTransforms import vtkTransform
    from vtkmodules.vtkFiltersGeneral import vtkTransformFilter
    from vtkmodules.vtkIOGeometry import vtkOpenFOAMReader

    reader = vtkOpenFOAMReader()
    reader.SetFileName(str(case / "system" / "controlDict"))
    reader.UpdateInformation()
    reader.DisableAllPatchArrays()
    reader.SetPatchArrayStatus("internalMesh", 1)
    reader.DisableAllCellArrays()
    reader.Update()
    found = reader.GetOutput()
    grid = found.GetBlock(0) if found.GetNumberOfBlocks() else None
    if grid is None or not grid.GetNumberOfCells():
        raise DataError(f"no grid was made in {case}; see the logs of blockMesh and snappyHexMesh there")
    larger, moved = vtkTransform(), vtkTransformFilter()
    larger.Scale((1 / M_PER_MM,) * 3)
    moved.SetTransform(larger)
    moved.SetInputData(grid)
    moved.Update()
    return moved.GetOutput()
