"""The flow in every cell, as a ``.vtu`` of boxes that share their corners, or of the cells of another grid.

Points are mm, pressures Pa, velocities m/s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.vtk_files import write_grid, write_voxels

CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)])
"""The corners of a box in VTK's order for a voxel: x first."""


def write_volume(cells: Cells, aortic_pressure_pa: float | None, path: Path) -> None:
    """Write ``pressure_pa``, ``velocity_m_s`` and ``ffr`` (where the aortic pressure is known) of every cell."""
    index = cells.index
    shape = index.max(axis=0) + 2
    key = np.ravel_multi_index(tuple((index[:, None] + CORNERS).reshape(-1, 3).T), tuple(shape))
    used, corner = np.unique(key, return_inverse=True)
    points = cells.low_mm + cells.side_mm * np.stack(np.unravel_index(used, tuple(shape)), axis=1)
    write_voxels(path, points, corner.reshape(-1, 8), *_arrays(cells, aortic_pressure_pa))


def write_unstructured_volume(grid: Any, cells: Cells, aortic_pressure_pa: float | None, path: Path) -> None:
    """Write the same arrays in the cells of a ``vtkUnstructuredGrid``, whatever their shape; ``cells`` holds their values."""
    write_grid(path, grid, *_arrays(cells, aortic_pressure_pa))


def _arrays(cells: Cells, aortic_pressure_pa: float | None) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
    data = {"pressure_pa": cells.pressure_pa, "velocity_m_s": cells.velocity_m_s}
    facts = {"cell_side_mm": cells.side_mm}
    if aortic_pressure_pa is not None:
        data["ffr"] = cells.pressure_pa / aortic_pressure_pa
        facts["aortic_pressure_pa"] = aortic_pressure_pa
    return data, facts
