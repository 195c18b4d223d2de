"""A geometry is known by what is in the file, whatever its name says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.read import kind_of, read_lumen
from algorithms.coronary.tree import Tree, write_tree
from tests.algorithms.coronary.geometry.surfaces import lidded, tube_surface, write_solids, write_stl, write_vtp
from tests.algorithms.coronary.tubes import tube


def labels(path):
    """Write a labelled tube along z, 12 mm long and 1.5 mm in radius, at 0.4 mm."""
    z, y, x = np.meshgrid(np.arange(36), np.arange(16), np.arange(16), indexing="ij")
    inside = (np.hypot(x - 7.4, y - 7.6) * 0.4 < 1.5) & (z > 2) & (z < 33)
    values = inside.astype(np.uint8)
    values[inside & (z == 3)], values[inside & (z == 32)] = 2, 3
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing((0.4,) * 3)
    SimpleITK.WriteImage(image, str(path))


def centreline(path):
    """Write the simple JSON form."""
    branch = {"name": "outlet", "parent": None, "points": [[0, 0, 0], [0, 0, 12]], "radius": [1.5, 1.5]}
    path.write_text(json.dumps({"length_unit": "mm", "branches": [branch]}))


WRITERS = {
    "labels": labels,
    "stl": lambda path: write_stl(path, *tube_surface(1.5, 12)),
    "vtp": lambda path: write_vtp(path, *tube_surface(1.5, 12)),
    "tree": lambda path: write_tree(Tree((tube("LAD", 12, 1.5),)), path),
    "centreline": centreline,
    "table": lambda path: path.write_text("branch,parent,x_mm,y_mm,z_mm,radius_mm\nLAD,,0,0,0,1.5\nLAD,,0,0,12,1.5\n"),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("named", ["right", "wrong"])
def test_every_kind_gives_the_same_tube(tmp_path, kind, named):
    """One inlet and one outlet of 1.5 mm, a whole tube apart, from every kind of file; a name is no proof of contents."""
    written = tmp_path / {"labels": "a.nii.gz", "stl": "a.stl", "vtp": "a.vtp", "table": "a.csv"}.get(kind, "a.json")
    WRITERS[kind](written)
    path = written if named == "right" else written.rename(tmp_path / "geometry.dat")
    lumen = read_lumen(path)
    inlet, outlet = sorted(lumen.openings, key=lambda o: not o.inlet)

    assert kind_of(path) == kind
    assert (inlet.inlet, outlet.inlet) == (True, False)
    assert np.linalg.norm(inlet.centre_mm - outlet.centre_mm) == pytest.approx(12, abs=0.6)
    assert [inlet.radius_mm, outlet.radius_mm] == pytest.approx([1.5, 1.5], rel=0.04)
    assert lumen.distance_mm((inlet.centre_mm + outlet.centre_mm)[None] / 2)[0] > 0.4


def test_a_multi_solid_stl_is_told_from_its_lids(tmp_path):
    """ASCII files begin with the word solid."""
    path = tmp_path / "vessel.stl"
    write_solids(path, *lidded(*tube_surface(1.5, 12)))

    assert {o.name for o in read_lumen(path, inlet="LAD").openings if o.inlet} == {"LAD"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "of no known kind; wanted a labelled NIfTI volume", id="empty"),
        pytest.param(b"PNG" * 100, "of no known kind", id="picture"),
        pytest.param(b"{ no json", "no JSON", id="broken json"),
        pytest.param(b"{}", "'length_unit' is a required property", id="another json"),
        pytest.param(b'<VTKFile type="UnstructuredGrid">', "another kind than PolyData", id="volume"),
        pytest.param(b"\x1f\x8b\x08\x00", "damaged gzip", id="gzip"),
        pytest.param(b"solid\nendsolid\n", "no triangles", id="empty stl"),
    ],
)
def test_what_is_no_geometry_is_refused(tmp_path, content, said):
    """The message says what is read."""
    path = tmp_path / "geometry"
    path.write_bytes(content)

    with pytest.raises(DataError, match=said):
        read_lumen(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """As an engineer would mistype it."""
    with pytest.raises(DataError, match=r"there is no file vessel\.stl"):
        read_lumen(tmp_path / "vessel.stl")
