"""Known answers for painting: volumes and cross-sections of tubes and balls, whatever the voxel size."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.paint import Grid, Solid
from algorithms.phantom.coronary.scanner import add_motion, add_noise, blur
from algorithms.phantom.coronary.shapes import ellipsoid_mm
from algorithms.phantom.coronary.variety import KERNELS, Variety


def tube(grid: Grid, path: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    bits = np.zeros(grid.shape, dtype=np.uint64)
    paint.sweep_tube(bits, grid, path, np.broadcast_to(radius, len(path)))
    return paint.share(bits)


@pytest.mark.parametrize("voxel_mm", [0.4, 0.8])
@pytest.mark.parametrize("diameter_mm", [1.2, 3.0])
def test_a_slanting_tube_holds_pi_r_squared_in_every_slice(voxel_mm, diameter_mm):
    """A tube tilted by 30 degrees is cut by each slice in an ellipse of pi r^2 / cos 30.

    Ten slices are averaged; 2 % is what sub-voxels of a quarter voxel leave at 1.2 mm (half of it at 0.4 mm voxels).
    """
    grid = Grid((40, 60, 60), (voxel_mm,) * 3, (-30 * voxel_mm, -30 * voxel_mm, 0.0))
    along = np.linspace(-5.0, 45 * voxel_mm, 200)[:, None]
    path = along * np.array([np.sin(np.pi / 6) * 0.6, np.sin(np.pi / 6) * 0.8, np.cos(np.pi / 6)])
    filled = tube(grid, path, diameter_mm / 2)
    areas_mm2 = filled.sum(axis=(1, 2)) * voxel_mm**2

    expected = np.pi * diameter_mm**2 / 4 / np.cos(np.pi / 6)
    assert areas_mm2[8:18].mean() == pytest.approx(expected, rel=0.02)
    assert areas_mm2[5:25] == pytest.approx(expected, rel=0.06)  # one slice alone sees the raster


def test_a_throat_is_as_narrow_as_it_was_asked_to_be():
    """Discs are swept, not balls: the slice through a 70 % throat holds pi r^2 of the throat, and the shoulder its own."""
    grid = Grid((80, 16, 16), (0.5, 0.4, 0.4), (-3.0, -3.0, -20.0))
    z = np.arange(-21.0, 21.0, 0.5)
    radius = 1.6 * (1 - 0.7 * np.where(np.abs(z) < 5, 0.5 * (1 + np.cos(np.pi * z / 5)), 0))
    path = np.stack([np.full_like(z, 0.07), np.full_like(z, -0.11), z], axis=1)
    areas_mm2 = tube(grid, path, radius).sum(axis=(1, 2)) * 0.16

    for height in (-8.0, -2.5, 0.0, 2.5):
        expected = np.pi * np.interp(height, z, radius) ** 2
        assert areas_mm2[round((height + 20) / 0.5)] == pytest.approx(expected, rel=0.06)  # 0.1 mm sub-voxels in 0.96 mm


def test_unions_count_shared_space_once():
    """Two equal tubes in one place fill what one fills."""
    grid = Grid((10, 12, 12), (0.5,) * 3, (-3.0, -3.0, 0.0))
    path = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 2.5], [0.0, 0.0, 6.0]])
    bits = np.zeros(grid.shape, dtype=np.uint64)
    for _ in range(2):
        paint.sweep_tube(bits, grid, path, np.full(3, 1.1))

    assert paint.share(bits).sum() == tube(grid, path, 1.1).sum()


def test_a_cap_is_a_ball():
    """4/3 pi r^3; 3 % for thirteen rings and quarter voxels."""
    grid = Grid((30, 30, 30), (0.3,) * 3, (-4.5, -4.5, -4.5))
    bits = np.zeros(grid.shape, dtype=np.uint64)
    paint.sweep_cap(bits, grid, np.array([0.1, 0.0, -0.05]), 2.0)

    assert paint.share(bits).sum() * 0.3**3 == pytest.approx(4 / 3 * np.pi * 8, rel=0.03)


def test_a_solid_has_its_volume_between_the_points_of_the_coarse_grid():
    """A ball of 15 mm sampled at 2 mm and painted at 0.8 mm has 4/3 pi r^3 within 1 %: edges are shared, not cut."""
    low = np.array([-24.0, -24.0, -24.0])
    steps = 2.0 * np.arange(25)
    points = np.stack(np.broadcast_arrays(low[0] + steps, (low[1] + steps)[:, None], (low[2] + steps)[:, None, None]), axis=-1)
    distance = ellipsoid_mm(points, np.array([0.3, -0.4, 0.2]), np.eye(3), np.full(3, 15.0)).astype(np.float32)
    solid = paint.tighten(Solid("ball", 3, low, 2.0, distance), 1.2)
    grid = Grid((50, 50, 50), (0.8,) * 3, (-20.0, -20.0, -20.0))
    hu, labels = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint8)
    paint.fill(hu, labels, grid, [(solid, 100.0)])

    volume_mm3 = 4 / 3 * np.pi * 15**3
    assert hu.sum() / 100 * 0.8**3 == pytest.approx(volume_mm3, rel=0.01)
    assert (labels == 3).sum() * 0.8**3 == pytest.approx(volume_mm3, rel=0.01)


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_blur_keeps_the_integral(kernel):
    """A point spread function has unit sum, so contrast is moved and never made; 0.1 % for tails that are cut."""
    hu = np.zeros((20, 30, 30), np.float32)
    hu[10, 15, 15] = 1000
    blur(hu, (0.5, 0.4, 0.4), Variety(kernel=kernel))

    assert hu.sum() == pytest.approx(1000, rel=1e-3)
    assert hu.max() < 500


@pytest.mark.parametrize(("kernel", "broadened"), [("soft", 1.0), ("medium", 1.0), ("medium", 1.6)])
def test_an_edge_is_as_wide_as_the_kernel_says(kernel, broadened):
    """A step blurred by a Gaussian goes from 10 to 90 % within 2.563 deviations, which is 1.088 of its width at half height."""
    hu = np.zeros((3, 40, 200), np.float32)
    hu[:, :, 100:] = 1000
    blur(hu, (0.5, 0.4, 0.1), Variety(kernel=kernel, blur=broadened))
    low, high = (np.interp(level, hu[1, 20], 0.1 * np.arange(200)) for level in (100, 900))

    assert high - low == pytest.approx(1.088 * KERNELS[kernel].fwhm_mm * broadened, rel=0.02)


def test_a_sharp_kernel_overshoots():
    """Beside an edge the sharp kernel goes beyond both sides by a tenth or so of the step, and it is the steeper one."""
    edge = {}
    for kernel in ("medium", "sharp"):
        hu = np.zeros((3, 40, 80), np.float32)
        hu[:, :, 40:] = 1000
        blur(hu, (0.5, 0.4, 0.4), Variety(kernel=kernel))
        edge[kernel] = hu[1, 20]

    assert edge["medium"].max() == pytest.approx(1000, abs=1)
    assert 1050 < edge["sharp"].max() < 1200
    assert -200 < edge["sharp"].min() < -50
    assert np.diff(edge["sharp"]).max() > 1.2 * np.diff(edge["medium"]).max()


@pytest.mark.parametrize(("kernel", "grain"), [("soft", 1.0), ("medium", 1.0), ("medium", 1.6), ("sharp", 1.0)])
def test_noise_has_its_standard_deviation_and_its_peak(kernel, grain):
    """25 HU in every slice; radial power peaks where the kernel has its maximum (0.04 per mm wide bins)."""
    grid = Grid((6, 256, 256), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    hu = np.zeros(grid.shape, np.float32)
    add_noise(hu, grid, Variety(noise_hu=25.0, kernel=kernel, noise_grain=grain), np.random.default_rng(0))
    power = (np.abs(np.fft.fft2(hu)) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(256, 0.5)[:, None], np.fft.fftfreq(256, 0.5)[None, :])
    edges = np.arange(0.02, 0.9, 0.04)
    profile = [power[(frequency >= a) & (frequency < a + 0.04)].mean() for a in edges]

    assert hu.std(axis=(1, 2)) == pytest.approx(25, rel=0.02)
    assert edges[np.argmax(profile)] + 0.02 == pytest.approx(KERNELS[kernel].noise_peak_per_mm / grain, abs=0.06)
    neighbours = np.mean(hu[:-1] * hu[1:]) / 625
    assert 0.2 < neighbours < 0.7  # slices 0.5 mm apart share a 0.75 mm profile


def test_a_noise_floor_leaves_slow_noise():
    """Slow power over that at the peak is next to none for the ramp, and 0.5 / (1.5 exp(-1/2)) for a floor of 0.5.

    15 % for the few waves that are so long.
    """
    grid = Grid((20, 256, 256), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    frequency = np.hypot(np.fft.fftfreq(256, 0.5)[:, None], np.fft.fftfreq(256, 0.5)[None, :])
    shares = []
    for floor in (0.0, 0.5):
        hu = np.zeros(grid.shape, np.float32)
        add_noise(hu, grid, Variety(noise_hu=25.0, noise_floor=floor), np.random.default_rng(0))
        power = (np.abs(np.fft.fft2(hu)) ** 2).mean(axis=0)
        slow, peak = (power[(frequency > a) & (frequency < b)].mean() for a, b in ((0.0, 0.03), (0.30, 0.34)))
        shares.append(slow / peak)

        assert hu.std() == pytest.approx(25, rel=0.02)
    assert shares[0] < 0.13
    assert shares[1] - 0.06 == pytest.approx(0.5 / (1.5 * np.exp(-0.5)), rel=0.15)  # the ramp adds 0.02 / 0.32 there


def test_noise_falls_towards_the_rim():
    """A fall of 0.3 leaves 0.7 of the noise 120 mm from the middle, and all of it there."""
    grid = Grid((4, 300, 300), (0.5, 1.0, 1.0), (-150.0, -135.0, 0.0))
    hu = np.zeros(grid.shape, np.float32)
    add_noise(hu, grid, Variety(noise_hu=30.0, noise_fall=0.3), np.random.default_rng(0))

    assert hu[:, 135:165, 135:165].std() == pytest.approx(30, rel=0.05)  # 3600 values, a tenth of them independent
    assert hu[:, :20].std() == pytest.approx(21, rel=0.05)


def test_motion_smears_around_the_true_place():
    """The path is symmetric, so the centre of mass stays where the truth says the vessel is."""
    grid = Grid((30, 40, 40), (0.8,) * 3, (0.0, 0.0, 0.0))
    centre = np.array([16.0, 16.0, 12.0])
    hu = np.zeros(grid.shape, np.float32)
    hu[15, 20, 20] = 1000
    add_motion(hu, grid, centre, 20.0, np.array([2.4, 0.0, 0.0]))
    z, y, x = (np.arange(n) @ hu.sum(axis=axes) / hu.sum() for n, axes in ((30, (1, 2)), (40, (0, 2)), (40, (0, 1))))

    assert (z, y, x) == pytest.approx((15, 20, 20), abs=0.02)
    assert hu.max() < 500
