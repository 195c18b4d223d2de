"""Where a voxel lies, whatever is cut out of the volume."""

import hashlib

import numpy as np
import pytest

from algorithms.coronary.grid import Grid, read_grid, write_grid


@pytest.fixture
def grid() -> Grid:
    values = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    return Grid(values, (0.8, 0.5, 0.4), (-20.0, 5.0, 100.0))


def test_a_point_is_where_its_index_says_and_back(grid):
    """X is the last axis: voxel (1, 2, 3) lies 3 * 0.4 left, 2 * 0.5 behind and 1 * 0.8 above the origin."""
    point = grid.points_mm(np.array([[1, 2, 3]]))

    assert np.allclose([[-18.8, 6.0, 100.8]], point)
    assert np.allclose([[1, 2, 3]], grid.index(point))


def test_a_box_keeps_every_voxel_in_its_place(grid):
    """A voxel has the same coordinates whether it is looked up in the volume or in a part of it."""
    part = grid.box((2, 3, 4), (6, 8, 9))

    assert grid.values[3, 5, 6] == part.values[1, 2, 2]
    assert np.allclose(grid.points_mm(np.array([3, 5, 6])), part.points_mm(np.array([1, 2, 2])))


def test_a_coarse_copy_keeps_mean_and_place(grid):
    """A linear ramp stays the same ramp under block means, at the centres of the blocks; 10 x make 2 blocks of 4."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in grid.values.shape], indexing="ij")
    ramp = grid.with_values((3.0 * z + 2.0 * y + x).astype(np.float32))
    coarse = ramp.coarse(1.6)

    assert coarse.values.shape == (4, 3, 2)
    where = grid.index(coarse.points_mm(np.array([[2, 1, 1]])))[0]
    assert where @ [3.0, 2.0, 1.0] == pytest.approx(float(coarse.values[2, 1, 1]), abs=1e-4)  # float32


def test_the_same_grid_is_the_same_file(grid, tmp_path):
    """A file's hash names the result: nothing in it may depend on when it was written; what is read is what was written."""
    write_grid(grid, tmp_path / "a.nii.gz")
    write_grid(grid, tmp_path / "b.nii.gz")
    back = read_grid(tmp_path / "a.nii.gz")

    first, second = ((tmp_path / n).read_bytes() for n in ("a.nii.gz", "b.nii.gz"))
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()
    assert first[4:8] == bytes(4)  # the time of a gzip header (RFC 1952, 2.3.1)
    assert np.array_equal(grid.values, back.values)
    assert np.allclose(grid.origin_mm, back.origin_mm)
    assert np.allclose(grid.spacing_mm, back.spacing_mm)
