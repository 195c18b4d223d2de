"""Surface and files of a case: on any machine, with or without OpenFOAM."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.lattice.conditions import Flow, Fluid, Pressure
from algorithms.coronary.openfoam import program
from algorithms.coronary.openfoam.case import Numerics, write_case, write_fields
from algorithms.coronary.openfoam.read import cell_field, patch_faces, patch_sum
from algorithms.coronary.openfoam.solve import solve
from algorithms.coronary.openfoam.surface import closed_patches, patch_names
from tests.algorithms.coronary.lattice.shapes import fork, turned, vessel

BLOOD = Fluid(1060.0, 0.0035)


def volume_mm3(points: np.ndarray, corners: np.ndarray) -> float:
    """Return the volume inside a closed surface whose normals look out."""
    a, b, c = points[corners].transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


def area_mm2(points: np.ndarray, corners: np.ndarray) -> float:
    """Return the area of triangles."""
    a, b, c = points[corners].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_the_surface_of_a_tube_is_closed_and_as_large_as_the_tube(axis):
    """The volume is pi r^2 L, though the lumen goes on behind both planes; each opening is a flat disc of pi r^2."""
    lumen = vessel(1.5, 6.0, axis)

    found = closed_patches(lumen, 0.12)
    corners = np.concatenate(list(found.faces.values()))

    # Chords of 0.12 mm on a radius of 1.5 mm, and 1 % of the shape's own distance.
    assert np.pi * 1.5**2 * 6 == pytest.approx(volume_mm3(found.points_mm, corners), rel=0.01)
    for opening in lumen.openings:
        disc = found.faces[opening.name]
        height = (found.points_mm[disc.ravel()] - opening.centre_mm) @ opening.normal
        a, b, c = found.points_mm[disc].transpose(1, 0, 2)
        assert np.pi * 1.5**2 == pytest.approx(area_mm2(found.points_mm, disc), rel=0.01)
        assert np.abs(height).max() < 1e-5  # single precision of the clip
        assert (np.cross(b - a, c - a) @ opening.normal > -1e-9).all()


def test_every_edge_of_a_fork_belongs_to_two_triangles():
    """Watertight: a mesh generator loses no cell through it."""
    found = closed_patches(fork(1.5, (1.2, 0.9), 6.0, turned((1, 2, 3), 0.7)), 0.15)
    corners = np.concatenate(list(found.faces.values()))
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)

    assert list(found.faces) == ["wall", "inlet", "left", "right"]
    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}


def test_the_point_inside_lies_between_the_openings():
    """A lumen that widens behind its outlet is deepest there, where no cell may be kept."""
    lumen = vessel(lambda z: 1.0 + 0.1 * np.maximum(z, 0), 6.0, beyond_mm=3)

    found = closed_patches(lumen, 0.15)

    assert 0 < lumen.along_mm(found.inside_mm[None])[0] < 6
    assert lumen.distance_mm(found.inside_mm[None])[0] > 0.5


def test_an_opening_that_no_vessel_passes_is_refused():
    """Its plane cuts nothing."""
    lumen = vessel(1.5, 6.0)
    lumen.openings = (lumen.openings[0], vessel(1.5, 60.0).openings[1])

    with pytest.raises(DataError, match="opening outlet does not cut"):
        closed_patches(lumen, 0.2)


def test_openings_of_any_name_have_patches_of_their_own():
    """SCCT's names have dashes, labels are numbers, and somebody may call an opening what the wall is called."""
    names = ["R-PDA", "R_PDA", "2", "wall", "inlet"]
    openings = tuple(Opening(name, name == "inlet", np.zeros(3), np.array([0, 0, 1.0]), 1.0) for name in names)

    assert patch_names(openings) == ["R_PDA", "opening1_R_PDA", "opening2_2", "opening3_wall", "inlet"]


def test_the_case_names_the_openings_wherever_openfoam_looks_for_them(tmp_path):
    """One name in surface, grid and fields; lengths in metres, pressure over density."""
    lumen = vessel(1.5, 6.0)
    write_case(tmp_path, closed_patches(lumen, 0.3), BLOOD, Numerics(0.3, processes=4))
    write_fields(tmp_path / "0", {"inlet": np.array([[0, 0, 0.25]]), "outlet": None}, {"inlet": None, "outlet": 2.5})
    surface = (tmp_path / "constant" / "triSurface" / "lumen.stl").read_text()
    z = np.array([line.split()[3] for line in surface.splitlines() if line.startswith("vertex")], float)

    assert [line for line in surface.splitlines() if line.startswith("solid")] == ["solid wall", "solid inlet", "solid outlet"]
    assert (z.min(), z.max()) == pytest.approx((0, 6e-3), abs=1e-8)
    assert "outlet { name outlet; }" in (tmp_path / "system" / "snappyHexMeshDict").read_text()
    assert "numberOfSubdomains 4;" in (tmp_path / "system" / "decomposeParDict").read_text()
    assert (
        "inlet { type fixedValue; value nonuniform List<vector> 1\n(\n(0 0 0.25)\n)\n; }" in (tmp_path / "0" / "U").read_text()
    )
    assert "outlet { type fixedValue; value uniform 2.5; }" in (tmp_path / "0" / "p").read_text()
    assert "nu 3.30188679e-06;" in (tmp_path / "constant" / "transportProperties").read_text()


def test_grid_and_fields_are_read_back(tmp_path):
    """A cube of one cell, 2 m wide, whose top is an outlet."""
    grid = tmp_path / "constant" / "polyMesh"
    grid.mkdir(parents=True)
    corners = [(x, y, z) for z in (0, 2) for x, y in ((0, 0), (2, 0), (2, 2), (0, 2))]
    head = "FoamFile { version 2.0; format ascii; }\n"
    (grid / "points").write_text(head + "\n8\n(\n" + "\n".join("({} {} {})".format(*c) for c in corners) + "\n)\n")
    faces = ["4(0 3 2 1)", "4(0 1 5 4)", "4(1 2 6 5)", "4(2 3 7 6)", "4(3 0 4 7)", "4(4 5 6 7)"]
    (grid / "faces").write_text(head + "\n6\n(\n" + "\n".join(faces) + "\n)\n")
    (grid / "owner").write_text(head + "\n6\n(\n" + "\n".join("000000") + "\n)\n")
    patches = "wall\n{\n type wall;\n nFaces 5;\n startFace 0;\n}\noutlet\n{\n type patch;\n nFaces 1;\n startFace 5;\n}\n"
    (grid / "boundary").write_text(head + "2\n(\n" + patches + ")\n")
    vectors = (
        "class volVectorField;\ninternalField nonuniform List<vector>\n2\n(\n(1 2 3)\n(4 5e-1 -6)\n)\n;\nboundaryField\n{\n}\n"
    )
    (tmp_path / "U").write_text(vectors)
    listed = "type calculated;\n  value nonuniform List<scalar> 2(1.5 2);"
    flux = f"internalField uniform 0;\nboundaryField\n{{\n outlet\n {{\n  {listed}\n }}\n}}\n"

    found = patch_faces(tmp_path)

    assert found["outlet"].centre_m.tolist() == [[1, 1, 2]]
    assert found["outlet"].area_m2.tolist() == [[0, 0, 4]]
    assert found["wall"].area_m2.sum(axis=0).tolist() == [0, 0, -4]
    assert cell_field(tmp_path / "U").tolist() == [[1, 2, 3], [4, 0.5, -6]]
    assert patch_sum(flux, "outlet", 2) == 3.5


def test_a_machine_without_openfoam_says_how_to_get_it(tmp_path, monkeypatch):
    """The model is optional: the message names what is missing and the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    lumen = vessel(1.5, 6.0)

    with pytest.raises(DataError, match="apt-get install openfoam"):
        solve(lumen, {"inlet": Flow(1e-6), "outlet": Pressure(0.0)}, BLOOD, Numerics(0.3), tmp_path / "case")


def test_a_program_that_fails_is_quoted(tmp_path, monkeypatch):
    """Its last words are in the message, all it said is in the log."""
    script = tmp_path / "blockMesh"
    script.write_text("#!/bin/sh\necho '--> FOAM FATAL ERROR: the box is empty'\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(DataError, match="blockMesh ended with 1: the box is empty"):
        program.run(tmp_path, "blockMesh")
    assert "the box is empty" in (tmp_path / "log.blockMesh").read_text()
