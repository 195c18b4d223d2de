"""Tracing: courses are moved onto the lumen's centres, and a tree stays a tree while its curves change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.vessel.sampling import Image
from algorithms.coronary.vessel.tracing import Scene, traced
from algorithms.coronary.vessel.ways import Course

SPACING_MM = 0.5
BLOOD_HU, FAT_HU = 400.0, -90.0


def straight_vessel() -> Grid:
    """Return a tube of 3 mm along z through fat, blurred by its own voxels only."""
    grid = Grid(np.zeros((80, 40, 40), np.float32), (SPACING_MM,) * 3, (0.0, 0.0, 0.0))
    place = grid.points_mm(np.indices(grid.values.shape).reshape(3, -1).T)
    depth = 1.5 - np.linalg.norm(place[:, :2] - 10.0, axis=1)
    share = np.clip(depth / SPACING_MM + 0.5, 0, 1).reshape(grid.values.shape)
    return grid.with_values((FAT_HU + share * (BLOOD_HU - FAT_HU)).astype(np.float32))


def scene_of(volume: Grid) -> Scene:
    """Return a scene without calcium and chambers."""
    nothing = np.zeros(volume.values.shape)
    return Scene(
        image=Image.of(volume),
        heart=volume.with_values(nothing.astype(np.uint8)),
        bloom=volume.with_values(nothing.astype(np.float32)),
        blood_hu=BLOOD_HU,
        noise_hu=8.0,
        blur_sd_mm=0.2,
    )


@pytest.mark.parametrize("aside_mm", [0.0, 1.3])
def test_a_throat_at_the_side_of_its_vessel_is_found(aside_mm):
    """A stenosis of 75 % over 14 mm in a vessel of 3.6 mm whose lumen leaves the middle; the course keeps to the middle."""
    volume = straight_vessel().with_values(np.zeros((80, 40, 40), np.float32))
    place = volume.points_mm(np.indices(volume.values.shape).reshape(3, -1).T)
    narrow = np.where(abs(place[:, 2] - 20) < 7, 0.5 + 0.5 * np.cos(np.pi * (place[:, 2] - 20) / 7), 0)
    from_lumen = np.hypot(place[:, 0] - 10.0 - aside_mm * narrow, place[:, 1] - 10.0)
    from_wall = np.hypot(place[:, 0] - 10.0, place[:, 1] - 10.0)
    lumen, wall = (
        np.clip(depth / SPACING_MM + 0.5, 0, 1) for depth in (1.8 * (1 - 0.75 * narrow) - from_lumen, 2.2 - from_wall)
    )
    values = FAT_HU + wall * (40.0 - FAT_HU) + lumen * (BLOOD_HU - 40.0)
    blurred = ndimage.gaussian_filter(values.reshape(volume.values.shape), 0.3 / SPACING_MM)
    volume = volume.with_values(blurred.astype(np.float32))
    z = np.arange(4.0, 36.0, 0.5)
    course = Course(
        np.stack([np.full_like(z, 10.0), np.full_like(z, 10.0), z], axis=1), np.full(len(z), 1.5), None, None, "left", "LAD"
    )
    nothing = np.zeros(volume.values.shape, dtype=bool)

    (found,), _ = traced([course], replace(scene_of(volume), blur_sd_mm=0.33), volume, nothing, find_blur=False)

    throat = int(np.argmin(abs(found.points_mm[:, 2] - 20)))
    assert np.hypot(found.points_mm[throat, 0] - 10.0 - aside_mm, found.points_mm[throat, 1] - 10.0) < 0.25
    assert found.radius_mm[throat] == pytest.approx(0.45, abs=0.12)
    assert np.abs(found.points_mm[[12, -12], :2] - 10.0).max() < 0.1


def test_a_child_of_a_parent_that_is_straightened_stays_on_it():
    """The parent's rough curve goes to and fro, so the smooth one is shorter and has fewer points than the child was told."""
    volume = straight_vessel()
    z = np.arange(4.0, 24.0, 0.25)
    aside = np.where(np.arange(len(z)) % 2, 0.4, -0.4)
    parent = Course(np.stack([10 + aside, np.full_like(z, 10.0), z], axis=1), np.full(len(z), 1.5), None, None, "left", "LM")
    onward = np.arange(z[-1], 36.0, 0.5)
    points = np.stack([np.full_like(onward, 10.0), np.full_like(onward, 10.0), onward], axis=1)
    child = Course(points, np.full(len(points), 1.5), 0, len(z) - 1, "left", "LAD")
    nothing = np.zeros(volume.values.shape, dtype=bool)

    (stem, branch), _ = traced([parent, child], scene_of(volume), volume, nothing, find_blur=False)

    assert len(stem.points_mm) < len(z)
    assert branch.parent_point is not None
    assert np.array_equal(stem.points_mm[branch.parent_point], branch.points_mm[0])
    assert np.abs(branch.points_mm[5:, :2] - 10.0).max() < 0.1  # a fifth of a voxel


def test_the_blood_of_a_tree_is_that_of_its_main_vessels():
    """A vein as wide as the LAD was taken for its branch: the arteries' blood must not seem to fade on its account."""
    grid = Grid(np.zeros((80, 40, 60), np.float32), (SPACING_MM,) * 3, (0.0, 0.0, 0.0))
    place = grid.points_mm(np.indices(grid.values.shape).reshape(3, -1).T)
    hu = np.full(len(place), FAT_HU)
    for x, blood_hu in ((10.0, BLOOD_HU), (20.0, 0.85 * BLOOD_HU)):
        share = np.clip((1.5 - np.hypot(place[:, 0] - x, place[:, 1] - 10.0)) / SPACING_MM + 0.5, 0, 1)
        hu += share * (blood_hu - FAT_HU)
    volume = grid.with_values(hu.reshape(grid.values.shape).astype(np.float32))
    z = np.arange(4.0, 36.0, 0.5)
    lad = np.stack([np.full_like(z, 10.0), np.full_like(z, 10.0), z], axis=1)[:30]
    across = np.stack([np.linspace(10.0, 19.5, 20), np.full(20, 10.0), np.full(20, z[8])], axis=1)
    vein = np.concatenate([across, np.stack([np.full_like(z, 20.0), np.full_like(z, 10.0), z], axis=1)[8:]])
    courses = [
        Course(lad, np.full(len(lad), 1.5), None, None, "left", "LAD"),
        Course(vein, np.full(len(vein), 1.5), 0, 8, "left", "D1"),
    ]

    _, scene = traced(courses, scene_of(volume), volume, np.zeros(grid.values.shape, dtype=bool), find_blur=False)

    assert scene.blood["left"].at(np.array([0.0, 30.0])) == pytest.approx([BLOOD_HU, BLOOD_HU], rel=0.02)
