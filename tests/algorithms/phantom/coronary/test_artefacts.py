"""Known answers for what the scanner and the beating heart do to a picture: motion, steps, shadows, unevenness."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.field import add_field, draw_ridges, texture
from algorithms.phantom.coronary.hardening import shadows
from algorithms.phantom.coronary.motion import MOMENTS, Motion, Slab, as_scanned, draw_slabs, move_heart, way
from algorithms.phantom.coronary.paint import Canvas, Grid, blank
from algorithms.phantom.coronary.person import draw_person
from algorithms.phantom.coronary.phantom import coronary_parts
from algorithms.phantom.coronary.tissues import LABELS
from algorithms.phantom.coronary.variety import Variety

MIDDLE = np.array([[24.0, 24.0, 8.0]])


def rod() -> Canvas:
    """Return a canvas with a rod of 1000 HU and 6 mm along z through ``MIDDLE``."""
    canvas = blank(Grid((21, 61, 61), (0.8,) * 3, (0.0, 0.0, 0.0)), 0.0)
    bits = np.zeros(canvas.grid.shape, dtype=np.uint64)
    paint.sweep_tube(bits, canvas.grid, MIDDLE + np.array([[0, 0, -20.0], [0, 0, 0], [0, 0, 20.0]]), np.full(3, 3.0))
    canvas.hu[:] = 1000 * paint.share(bits)
    return canvas


def centre_mm(hu: np.ndarray) -> tuple[float, float]:
    """Return where (x, y) the weight of the middle slice lies."""
    middle = hu[10]
    along = 0.8 * np.arange(61)
    return float(along @ middle.sum(axis=0) / middle.sum()), float(along @ middle.sum(axis=1) / middle.sum())


def test_a_heart_that_stands_still_leaves_no_trace():
    canvas = rod()
    still = canvas.hu.copy()
    move_heart(canvas, Motion(MIDDLE, np.zeros((1, MOMENTS, 3)), 0.7))

    assert canvas.hu == pytest.approx(still, abs=1e-2)


def test_a_heart_elsewhere_all_the_time_is_shown_there():
    """Every view sees the same shifted rod, so sectors that add to one give it back: 1.6 mm, two voxels, to the right."""
    canvas = rod()
    move_heart(canvas, Motion(MIDDLE, np.full((1, MOMENTS, 3), [1.6, 0.0, 0.0]), 0.7))

    assert centre_mm(canvas.hu) == pytest.approx((25.6, 24.0), abs=0.1)  # the region fades 3 mm off its middle by 1 %
    assert canvas.hu.max() == pytest.approx(1000, abs=30)


@pytest.mark.parametrize("first_view", [0.0, 0.4 * np.pi, 0.9 * np.pi])
def test_a_moving_heart_is_shown_about_its_place(first_view):
    """A rod that goes 4 mm in x and turns keeps its weight, stays at its place, loses height and gains tails.

    0.8 mm is a voxel, and a fifth of the way; tails are below nothing, which no blur of a rod would be.
    """
    canvas = rod()
    weight = float(canvas.hu[10].sum())
    ways = 4.0 * way(np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.8, 0.0]), first_view, MOMENTS)
    move_heart(canvas, Motion(MIDDLE, ways[None], first_view))
    middle = canvas.hu[10]

    assert middle.sum() == pytest.approx(weight, rel=0.02)
    assert centre_mm(canvas.hu) == pytest.approx((24.0, 24.0), abs=0.8)
    assert middle.min() < -20
    assert (rod().hu[10] > 500).sum() * 0.97 > (middle > 900).sum()


def test_slabs_cover_the_scan_once():
    """They follow each other without gap from the first slice to the last, and their mean shift is nothing."""
    grid = Grid((250, 8, 8), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    slabs = draw_slabs(3, grid, 20.0, 1.0, 0.03)

    assert [s.start for s in slabs] == [0, *(s.stop for s in slabs[:-1])]
    assert slabs[-1].stop == 250
    assert all(s.stop - s.start == 40 for s in slabs[1:-1])
    assert np.mean([s.shift_mm for s in slabs], axis=0) == pytest.approx(0, abs=1e-9)


def test_points_are_shown_in_the_slab_that_holds_them():
    """Below the edge at 50 mm vessels are 2 mm to the left, above it 1 mm to the right, and nothing else changes."""
    person = draw_person(1)
    low = min(float(v.points_mm[:, 2].min()) for v in person.vessels)
    grid = Grid((200, 8, 8), (0.5, 0.5, 0.5), (0.0, 0.0, low))
    slabs = [Slab(0, 100, np.array([-2.0, 0, 0]), 1.0), Slab(100, 200, np.array([1.0, 0, 0]), 1.0)]
    shown = as_scanned(person, grid, slabs)
    for before, after in zip(person.vessels, shown.vessels, strict=True):
        shift = after.points_mm - before.points_mm

        assert shift[:, 0] == pytest.approx(np.where(before.points_mm[:, 2] < low + 49.75, -2.0, 1.0))
        assert shift[:, 1:] == pytest.approx(0)


def test_the_truth_steps_with_the_picture():
    """In a scan of slabs 1.2 mm apart the tree's points lie in labelled lumen, each in its own slab."""
    variety = Variety(step_mm=1.2, slab_mm=14.0, slab_contrast=0.03)
    part = (slice(10, 100), slice(60, 150), slice(60, 200))
    phantom = coronary_parts(1, "small", "easy", [part], variety)[0]
    wanted = [LABELS["coronary lumen"], LABELS["ascending aorta and root"]]
    held, count = 0, 0
    for branch in phantom.tree["branches"]:
        points = np.array(branch["points_mm"])
        index = np.rint(phantom.grid.index_zyx(points)).astype(int)
        inside = (index >= 0).all(axis=1) & (index < phantom.grid.shape).all(axis=1) & (np.array(branch["radius_mm"]) > 0.85)
        held += int(np.isin(phantom.labels[tuple(index[inside].T)], wanted).sum())
        count += int(inside.sum())

    assert count > 150
    assert held / count > 0.97  # where a gap swallowed a point, or at a slab's very edge, it may lie beside
    assert len(phantom.facts["slabs"]) > 6


def test_two_dense_things_darken_what_lies_between():
    """A beam through both is hardened more than through one: the error of the two is not the sum of the errors of each.

    The square of a sum holds twice the product, and that product's rays all cross what lies between the two.
    """
    grid = Grid((2, 120, 120), (3.0, 1.6, 1.6), (0.0, 0.0, 0.0))
    y, x = np.mgrid[:120, :120]
    discs = [((x - c) ** 2 + (y - 60) ** 2) < 15**2 for c in (35, 85)]

    def field(dense: np.ndarray, strength: float = 1.0) -> np.ndarray:
        return shadows(np.broadcast_to(np.where(dense, 500.0, 0.0), grid.shape), grid, strength).values[0]

    together = field(discs[0] | discs[1]) - field(discs[0]) - field(discs[1])

    assert -40 < together[58:63, 56:65].mean() < -5
    assert together[8:13, 58:63].mean() > together[58:63, 56:65].mean() + 5
    assert -60 < field(discs[0])[discs[0]].mean() < -5  # contrast itself reads too low
    assert field(discs[0], 2.0) == pytest.approx(2 * field(discs[0]), abs=1e-3)


def test_texture_is_fixed_in_space():
    """A field has mean 0 and deviation 1; a part of a canvas shows what the whole shows there; labels choose its strength."""
    field = texture(np.random.default_rng(0), 1.2, 1.3, 0.6)
    grid = Grid((30, 40, 50), (0.8, 0.7, 0.7), (-10.0, 3.0, 7.0))
    part = (slice(5, 25), slice(10, 30), slice(20, 45))
    whole, block = blank(grid, -850.0), blank(grid.block(part), -850.0)
    whole.labels[:, :, 25:] = 3
    block.labels[:] = 3
    for canvas in (whole, block):
        add_field(canvas, field, {3: 30.0})

    assert field.values.mean() == pytest.approx(0, abs=1e-3)
    assert field.values.std() == pytest.approx(1, abs=1e-3)
    assert (whole.hu[:, :, :25] == -850).all()
    assert whole.hu[:, :, 25:].std() > 15  # interpolation takes some of the 30
    assert block.hu[:, :, 5:] == pytest.approx(whole.hu[part][:, :, 5:], abs=1e-2)


def test_ridges_stand_out_and_run_along_the_ventricle():
    """They are never negative, and along the axis they change more slowly than across it."""
    along = np.array([0.0, 0.0, 1.0])
    ridges = draw_ridges(np.random.default_rng(0), along, (7.0, 12.0))
    line = np.arange(0, 60, 0.5)[:, None]
    lines = [np.abs(np.diff(ridges.height(line * way))).mean() for way in (along, np.array([1.0, 0.0, 0.0]))]

    assert ridges.height(np.random.default_rng(1).uniform(-50, 50, (500, 3))).min() >= 0
    assert lines[0] < 0.6 * lines[1]
