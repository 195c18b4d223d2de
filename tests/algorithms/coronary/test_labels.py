"""Voxels of the lumen find their vessel, and their frame in whatever order and direction the scanner wrote it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from algorithms.coronary.coded.labels import in_frames, vessel_labels
from algorithms.coronary.grid import Grid
from algorithms.dicom.geometry import Slice, axial_grid

SHAPE = (5, 6, 8)
SPACING_MM = (0.7, 0.4, 0.5)


def branch(points_mm, radius_mm=1.0):
    """Return a branch as result.json has it."""
    radius = [radius_mm] * len(points_mm)
    return {"points_mm": points_mm, "radius_mm": radius, "reference_radius_mm": radius}


def slices(row, column, upwards):
    """Return a stack with these axes of the image, whose corner lies wherever that puts it."""
    row, column = np.asarray(row, float), np.asarray(column, float)
    rows, columns = (SHAPE[1], SHAPE[2]) if abs(row[0]) == 1 else (SHAPE[2], SHAPE[1])
    down_mm, along_mm = (SPACING_MM[1], SPACING_MM[2]) if abs(row[0]) == 1 else (SPACING_MM[2], SPACING_MM[1])
    corner = (
        np.array([3.0, -7.0, 11.0])
        - np.minimum(row, 0) * (columns - 1) * along_mm
        - np.minimum(column, 0) * (rows - 1) * down_mm
    )
    heights = SPACING_MM[0] * np.arange(SHAPE[0])
    positions = [(float(corner[0]), float(corner[1]), float(corner[2] + z)) for z in (heights if upwards else heights[::-1])]
    return [
        Slice(number, rows, columns, position, (*row, *column), (down_mm, along_mm))
        for number, position in enumerate(positions, start=1)
    ]


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize(
    ("row", "column"),
    [
        *itertools.product([(1, 0, 0), (-1, 0, 0)], [(0, 1, 0), (0, -1, 0)]),
        *itertools.product([(0, 1, 0), (0, -1, 0)], [(1, 0, 0), (-1, 0, 0)]),
    ],
)
def test_a_label_stays_where_it_is_in_the_patient(row, column, upwards):
    """Position by ImagePositionPatient, orientation and spacing (PS3.3 C.7.6.2.1.1), which is how a viewer finds it."""
    stack = slices(row, column, upwards)
    series = axial_grid(stack)
    box = np.random.default_rng(3).integers(0, 4, (3, 4, 5)).astype(np.uint8)
    whole = Grid(np.zeros(SHAPE, np.uint8), series.spacing_mm, series.origin_mm)
    labels = Grid(box, series.spacing_mm, tuple(whole.points_mm(np.array([1, 2, 2]))))

    frames = in_frames(labels, series, (SHAPE[0], stack[0].rows, stack[0].columns))

    found = {}
    for frame, r, c in np.argwhere(frames):
        down_mm, along_mm = stack[frame].pixel_spacing_mm
        point = np.array(stack[frame].position_mm) + np.array(row) * along_mm * c + np.array(column) * down_mm * r
        found[tuple(np.round(point, 6))] = int(frames[frame, r, c])
    wanted = {tuple(np.round(labels.points_mm(i), 6)): int(box[tuple(i)]) for i in np.argwhere(box)}
    assert found == wanted


def test_a_lumen_of_another_grid_is_a_bug():
    """A shift of a third of a voxel would be drawn beside the vessel, and nobody would see why."""
    series = axial_grid(slices((1, 0, 0), (0, 1, 0), upwards=True))
    x, y, z = series.origin_mm
    labels = Grid(np.ones((2, 2, 2), np.uint8), series.spacing_mm, (x + SPACING_MM[2] / 3, y, z))

    with pytest.raises(ValueError, match="does not lie on the voxels"):
        in_frames(labels, series, SHAPE)


def test_a_voxel_belongs_to_the_nearest_centreline_and_far_ones_to_none():
    """Two parallel vessels 6 mm apart; a blob 20 mm away, such as a vein that the mask took in, is of no vessel."""
    values = np.zeros((4, 40, 60), np.uint8)
    values[1:3, 9:12, :] = 1  # round y = 10
    values[1:3, 15:18, :] = 1  # round y = 16
    values[1:3, 36:39, 20:30] = 1  # 20 mm from both
    lumen = Grid(values, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    along = [[float(x), 0.0, 1.5] for x in range(60)]
    branches = [branch([[x, 10.0, z] for x, _, z in along]), branch([[x, 16.0, z] for x, _, z in along])]

    labels = vessel_labels(lumen, branches)

    assert set(np.unique(labels[:, 9:12])) == {0, 1}
    assert (labels[1:3, 9:12] == 1).all()
    assert (labels[1:3, 15:18] == 2).all()
    assert not labels[:, 36:39].any()


def test_a_case_without_a_lumen_has_no_labels():
    """An empty mask, or a tree without branches."""
    lumen = Grid(np.zeros((2, 2, 2), np.uint8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    assert not vessel_labels(lumen, [branch([[0.0, 0.0, 0.0]])]).any()
    assert not vessel_labels(lumen.with_values(np.ones((2, 2, 2), np.uint8)), []).any()
