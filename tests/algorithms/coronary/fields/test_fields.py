"""The files of a flow hold what was solved, and programs that read them agree on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOGeometry import vtkGLTFReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLUnstructuredGridReader

from algorithms.coronary.fields.cells import Cells
from algorithms.coronary.fields.centreline import Along, write_centreline
from algorithms.coronary.fields.gltf import write_glb
from algorithms.coronary.fields.streamlines import seeds, streamlines, write_streamlines
from algorithms.coronary.fields.tubes import tube_mesh
from algorithms.coronary.fields.volume import write_volume
from algorithms.coronary.fields.wall import wall_map, write_wall
from algorithms.coronary.pictures.style import ffr_colours, ffr_norm
from tests.algorithms.coronary.fields.known_flow import (
    AXIS,
    INLET_PA,
    LENGTH_MM,
    MEAN_M_S,
    RADIUS_MM,
    poiseuille,
    pressure_pa,
    wall_shear_pa,
)
from tests.algorithms.coronary.tubes import coronary_tree


@pytest.fixture(scope="module")
def flow():
    """Return lumen, cells and wall points of Poiseuille's flow in a tube across the grid."""
    return poiseuille()


def read(path):
    """Return what VTK reads, and its points and arrays."""
    reader = vtkXMLUnstructuredGridReader() if path.suffix == ".vtu" else vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    data = reader.GetOutput()
    where = data.GetCellData() if path.suffix == ".vtu" else data.GetPointData()
    arrays = {where.GetArrayName(i): vtk_to_numpy(where.GetArray(i)) for i in range(where.GetNumberOfArrays())}
    return data, vtk_to_numpy(data.GetPoints().GetData()), arrays


def test_the_volume_holds_every_cell_where_it_is(flow, tmp_path):
    """Boxes of one cell's volume that share corners, centred where the cells are, with their values."""
    _, cells, _ = flow
    path = tmp_path / "volume.vtu"
    write_volume(cells, INLET_PA, path)
    data, points, arrays = read(path)
    corners = vtk_to_numpy(data.GetCells().GetConnectivityArray()).reshape(-1, 8)
    boxes = points[corners]

    assert data.GetNumberOfCells() == len(cells.centre_mm)
    assert {data.GetCellType(i) for i in range(0, data.GetNumberOfCells(), 1000)} == {11}
    assert boxes.mean(axis=1) == pytest.approx(cells.centre_mm, abs=1e-5)
    assert np.ptp(boxes, axis=1) == pytest.approx(cells.side_mm, abs=1e-5)
    assert (boxes[:, 7] - boxes[:, 0] > 0).all()
    assert len(points) < 1.3 * len(corners)  # a corner belongs to up to eight cells
    assert arrays["pressure_pa"] == pytest.approx(cells.pressure_pa, rel=1e-6)
    assert arrays["velocity_m_s"] == pytest.approx(cells.velocity_m_s, abs=1e-7)
    assert arrays["ffr"] == pytest.approx(cells.pressure_pa / INLET_PA, rel=1e-6)
    assert data.GetFieldData().GetArray("aortic_pressure_pa").GetValue(0) == INLET_PA


def test_files_are_compressed_and_the_same_on_every_run(flow, tmp_path):
    """Content keys need equal bytes; a disk needs small ones: less than the bare numbers of the cells."""
    _, cells, _ = flow
    for name in ("a.vtu", "b.vtu"):
        write_volume(cells, INLET_PA, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.vtu", "b.vtu"))

    assert first == second
    assert b'compressor="vtkZLibDataCompressor"' in first[:400]
    assert b'format="appended"' in first[:4000]
    assert len(first) < 8 * 4 * len(cells.centre_mm)


def test_the_wall_is_open_and_has_its_stress(flow, tmp_path):
    """Area of a tube without its lids; stress that grows along the vessel as it was given."""
    lumen, cells, points = flow
    path = tmp_path / "wall.vtp"
    write_wall(wall_map(lumen, cells, points), path)
    data, vertices, arrays = read(path)
    corners = vertices[vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3)].astype(float)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    along = vertices @ AXIS
    middle = (along > 0.3) & (along < LENGTH_MM - 0.5)

    assert np.linalg.norm(normal, axis=1).sum() / 2 == pytest.approx(2 * np.pi * RADIUS_MM * LENGTH_MM, rel=0.01)
    centre = corners.mean(axis=1)
    outward = centre - (centre @ AXIS)[:, None] * AXIS
    assert ((outward * normal).sum(axis=1) >= 0).mean() > 0.999  # seen from outside
    assert np.linalg.norm(vertices - along[:, None] * AXIS, axis=1) == pytest.approx(RADIUS_MM, abs=0.003)
    true = wall_shear_pa() * (1 + along / LENGTH_MM)
    assert arrays["wall_shear_stress_pa"][middle] == pytest.approx(true[middle], rel=0.01)
    assert arrays["wall_shear_stress_sd_pa"][middle] == pytest.approx(0.05 * true[middle], rel=0.01)
    assert arrays["pressure_pa"][middle] == pytest.approx(pressure_pa(along[middle]), abs=1)


def test_streamlines_of_a_straight_tube_are_straight(flow, tmp_path):
    """Every line runs along the axis at its own distance from it, through the whole tube, in its length over its speed."""
    lumen, cells, _ = flow
    inlet = next(o for o in lumen.openings if o.inlet)
    lines = streamlines(cells, seeds(inlet, 50, 0.2), longest_mm=50)
    path = tmp_path / "streamlines.vtp"
    write_streamlines(lines, INLET_PA, path)
    data, points, arrays = read(path)

    assert data.GetNumberOfLines() == len(lines) == 50
    for line in lines:
        away = np.linalg.norm(line.points_mm - (line.points_mm @ AXIS)[:, None] * AXIS, axis=1)
        if away[0] > RADIUS_MM - 2 * cells.side_mm:
            continue  # in the cells at the wall the field is linear to 0 in steps, and no parabola
        along = line.points_mm @ AXIS
        assert np.abs(away - away[0]).max() < 0.1 * cells.side_mm
        assert np.ptp(along) > LENGTH_MM - 0.6
        speed = 2 * MEAN_M_S * (1 - (away[0] / RADIUS_MM) ** 2)
        inner = (along > 1) & (along < LENGTH_MM - 1)  # in the last cell before an opening there is half a neighbour
        assert np.ptp(line.time_s[inner]) == pytest.approx(np.ptp(along[inner]) * 1e-3 / speed, rel=0.02)
        assert line.pressure_pa == pytest.approx(pressure_pa(line.points_mm @ AXIS), abs=2)
    assert len(points) == sum(len(line.points_mm) for line in lines)
    assert arrays["ffr"] == pytest.approx(arrays["pressure_pa"] / INLET_PA, rel=1e-6)
    assert set(arrays) == {"velocity_m_s", "speed_m_s", "pressure_pa", "ffr", "time_s"}


def test_streamlines_of_a_whirl_are_circles():
    """Rigid rotation: after ten turns a line has its radius still; the classical method loses (step / r)^5 a step."""
    side = 0.2
    grid = np.stack(np.meshgrid(*[np.arange(-3, 3.01, side)] * 2, [0.0, side], indexing="ij"), axis=-1).reshape(-1, 3)
    turning = np.stack([-grid[:, 1], grid[:, 0], np.zeros(len(grid))], axis=1) * 0.1
    (line,) = streamlines(Cells(grid, side, turning, np.zeros(len(grid))), np.array([[2.0, 0, 0.1]]), 10 * 4 * np.pi)

    assert np.linalg.norm(line.points_mm[:, :2], axis=1) == pytest.approx(2, abs=2e-3)
    assert line.time_s[-1] == pytest.approx(10 * 2 * np.pi / 100, rel=2e-3)  # 0.1 m/s a mm is 100 radians a second


def test_a_seed_outside_makes_no_line(flow):
    """A disc of seeds may reach over the wall."""
    _, cells, _ = flow

    assert streamlines(cells, np.array([[50.0, 0, 0], [0, 0, -9]]), 10) == []


def test_seeds_cover_the_opening_evenly(flow):
    """As many in the inner half of the area as in the outer, all in one plane behind it."""
    inlet = flow[0].openings[0]
    places = seeds(inlet, 200, 0.3)
    offset = places - inlet.centre_mm
    away = np.linalg.norm(offset - (offset @ inlet.normal)[:, None] * inlet.normal, axis=1)

    assert offset @ inlet.normal == pytest.approx(-0.3)
    assert (away < inlet.radius_mm / np.sqrt(2)).sum() == 100
    assert away.max() < inlet.radius_mm


def test_the_centreline_holds_every_branch(tmp_path):
    """A line a branch with its name, and all that the report draws along it."""
    tree = coronary_tree(0.7)
    values = [np.arange(len(b.points_mm), dtype=float) + 100 * i for i, b in enumerate(tree.branches)]
    along = Along(*(tuple(v * k for v in values) for k in (0.01, 0.1, 0.2, 0.3)))
    path = tmp_path / "centreline.vtp"
    write_centreline(tree, along, 93.0, path)
    data, points, arrays = read(path)
    names = data.GetCellData().GetAbstractArray("name")
    ends = vtk_to_numpy(data.GetLines().GetOffsetsArray())

    assert [names.GetValue(i) for i in range(names.GetNumberOfValues())] == [b.name for b in tree.branches]
    assert np.diff(ends).tolist() == [len(b.points_mm) for b in tree.branches]
    assert points == pytest.approx(np.concatenate([b.points_mm for b in tree.branches]), abs=1e-5)
    assert arrays["radius_mm"] == pytest.approx(np.concatenate([b.radius_mm for b in tree.branches]), rel=1e-6)
    assert arrays["distance_mm"] == pytest.approx(
        np.concatenate([tree.ostium_distance_mm(i) for i in range(len(tree.branches))]), abs=1e-4
    )
    for name, scale in (("flow_ml_s", 0.01), ("pressure_mmhg", 0.1), ("viscous_loss_mmhg", 0.2), ("expansion_loss_mmhg", 0.3)):
        assert arrays[name] == pytest.approx(scale * np.concatenate(values), rel=1e-6)
    assert arrays["ffr"] == pytest.approx(0.1 / 93 * np.concatenate(values), rel=1e-6)


def glb(path):
    """Return the JSON and the binary chunk of a GLB file."""
    data = path.read_bytes()
    assert data[:4] == b"glTF"
    assert int.from_bytes(data[4:8], "little") == 2
    assert int.from_bytes(data[8:12], "little") == len(data)
    size = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def test_the_browser_gets_vessels_by_name_in_the_colours_of_ffr(tmp_path):
    """Nodes are named; a vertex at FFR 0.78 has the amber of the scale, once linear light is turned back into sRGB."""
    tree = coronary_tree()
    path = tmp_path / "tree.glb"
    write_glb(tree, [np.full(len(b.points_mm), 0.78 if b.name == "LAD" else 1.0) for b in tree.branches], path)
    document, binary = glb(path)
    lad = next(mesh for mesh in document["meshes"] if mesh["name"] == "LAD")["primitives"][0]["attributes"]
    accessor = document["accessors"][lad["COLOR_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    light = np.frombuffer(binary, "<u2", 4 * accessor["count"], view["byteOffset"])[:3] / 65535
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)

    assert [node["name"] for node in document["nodes"]] == [b.name for b in tree.branches]
    assert srgb == pytest.approx(ffr_colours()(ffr_norm()(0.78))[:3], abs=1e-3)
    assert document["accessors"][lad["_FFR"]]["max"] == pytest.approx([0.78])
    assert document["buffers"][0]["byteLength"] == len(binary)
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)


def test_another_program_reads_the_tree_in_metres_with_the_head_up(tmp_path):
    """VTK's own glTF reader: z of the patient is up, his front towards the viewer, and a vessel as wide as it is."""
    tree = coronary_tree()
    path = tmp_path / "tree.glb"
    write_glb(tree, [np.ones(len(b.points_mm)) for b in tree.branches], path)
    reader = vtkGLTFReader()
    reader.SetFileName(str(path))
    reader.Update()
    bounds = [0.0] * 6
    reader.GetOutput().GetBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    centre = np.concatenate([b.points_mm for b in tree.branches])
    radius = max(float(b.radius_mm.max()) for b in tree.branches) * 1e-3

    turned = 1e-3 * np.stack([centre[:, 0], centre[:, 2], -centre[:, 1]], axis=1)
    assert (low > turned.min(axis=0) - radius).all()
    assert (high < turned.max(axis=0) + radius).all()
    assert (low < turned.min(axis=0)).all()


def test_a_tube_of_triangles_is_closed_and_seen_from_outside():
    """Every edge has two faces; the volume is positive, 1.1 % less in 24 sides and a tenth less in ends of three rings."""
    along = np.linspace(0, 10, 21)
    points = along[:, None] * AXIS
    vertices, normals, faces, point = tube_mesh(points, np.full(21, 1.5))
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)

    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}
    assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(np.pi * 1.5**2 * 10 + 4 / 3 * np.pi * 1.5**3, rel=0.04)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
    assert np.linalg.norm(vertices - points[point], axis=1) == pytest.approx(1.5)
