"""The grid of a case for VTK, from a case that was written by hand: OpenFOAM is not needed to read it."""

from __future__ import annotations

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

from algorithms.contract.errors import DataError
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.openfoam.case import Numerics, write_case
from algorithms.coronary.openfoam.grid import vtk_grid
from algorithms.coronary.openfoam.solve import FoamSolution
from algorithms.coronary.openfoam.surface import closed_patches
from algorithms.coronary.solved.files import write_foam_volume
from tests.algorithms.coronary.lattice.shapes import vessel

SIDE_M = 2e-4
HEADER = 'FoamFile {{ version 2.0; format ascii; class {}; location "constant/polyMesh"; object {}; }}\n'


def numbered(rows):
    """Return OpenFOAM's list of rows."""
    return f"{len(rows)}\n(\n" + "\n".join(rows) + "\n)\n"


def write_two_boxes(case):
    """Write a grid of two boxes one behind the other along x."""
    lumen = vessel(1.0, 4.0)
    write_case(case, closed_patches(lumen, 0.3), Fluid(1060, 0.0035), Numerics(0.5))
    grid = case / "constant" / "polyMesh"
    grid.mkdir()
    points = [f"({SIDE_M * i} {SIDE_M * j} {SIDE_M * k})" for k in (0, 1) for j in (0, 1) for i in (0, 1, 2)]
    faces = ["4(1 4 10 7)"]  # between the two
    faces += ["4(0 6 9 3)", "4(2 5 11 8)"]
    faces += [
        "4(0 1 7 6)",
        "4(1 2 8 7)",
        "4(3 9 10 4)",
        "4(4 10 11 5)",
        "4(0 3 4 1)",
        "4(1 4 5 2)",
        "4(6 7 10 9)",
        "4(7 8 11 10)",
    ]
    owner = ["0", "0", "1", "0", "1", "0", "1", "0", "1", "0", "1"]
    texts = {
        "points": ("vectorField", numbered(points)),
        "faces": ("faceList", numbered(faces)),
        "owner": ("labelList", numbered(owner)),
        "neighbour": ("labelList", numbered(["1"])),
        "boundary": (
            "polyBoundaryMesh",
            "2\n(\nends { type patch; nFaces 2; startFace 1; }\nwall { type wall; nFaces 8; startFace 3; }\n)\n",
        ),
    }
    for name, (kind, text) in texts.items():
        (grid / name).write_text(HEADER.format(kind, name) + text)


def test_the_volume_has_openfoams_cells_in_mm_with_the_values_of_the_solution(tmp_path):
    """Two boxes of 0.2 mm whose values differ, so that an exchange would show."""
    write_two_boxes(tmp_path)
    found = FoamSolution(
        points_mm=np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1]]),
        volume_mm3=np.full(2, 0.008),
        side_mm=0.2,
        velocity_m_s=np.array([[0.1, 0, 0], [0.2, 0, 0]]),
        pressure_pa=np.array([12000.0, 9000.0]),
        openings=(),
        flow_m3_s=np.zeros(0),
        opening_pa=np.zeros(0),
        iterations=1,
        residual=0.0,
        cpu_seconds=0.0,
    )
    write_foam_volume(tmp_path, found, 12000.0, tmp_path / "volume.vtu")
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(tmp_path / "volume.vtu"))
    reader.Update()
    data = reader.GetOutput()
    values = {name: vtk_to_numpy(data.GetCellData().GetArray(name)) for name in ("pressure_pa", "velocity_m_s", "ffr")}
    middle = [np.mean([data.GetCell(i).GetBounds()[2 * a : 2 * a + 2] for a in range(3)], axis=1) for i in range(2)]

    assert np.array(middle) == pytest.approx(found.points_mm, abs=1e-6)
    assert data.GetBounds() == pytest.approx((0, 0.4, 0, 0.2, 0, 0.2), abs=1e-6)
    assert values["pressure_pa"].tolist() == [12000, 9000]
    assert values["velocity_m_s"] == pytest.approx(found.velocity_m_s, abs=1e-7)
    assert values["ffr"].tolist() == [1, 0.75]
    assert data.GetCellData().GetNumberOfArrays() == 3
    assert data.GetPointData().GetNumberOfArrays() == 0


def test_a_case_without_a_grid_has_no_volume(tmp_path):
    """As after snappyHexMesh failed."""
    write_case(tmp_path, closed_patches(vessel(1.0, 4.0), 0.3), Fluid(1060, 0.0035), Numerics(0.5))

    with pytest.raises(DataError, match="no grid was made"):
        vtk_grid(tmp_path)
