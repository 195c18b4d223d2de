"""Bypass grafts and breastbone wires, painted beside an upright aorta, and the arteries that are neither."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.anatomy import find_anatomy
from algorithms.coronary.aorta import RAYS, Aorta
from algorithms.coronary.grid import Grid
from algorithms.coronary.heart import Heart
from algorithms.coronary.ostia import Ostium, Surroundings
from algorithms.coronary.surgery import grafts, surgery_doubts, wire_doubts, wire_loops
from algorithms.phantom.coronary.phantom import coronary_phantom

BLOOD_HU, FAT_HU, SPACING_MM, AORTA_MM = 420.0, -80.0, 0.7, 13.0
HEIGHT = np.arange(0.0, 52.0)
AORTA = Aorta(
    np.column_stack([0 * HEIGHT, 0 * HEIGHT, HEIGHT]),
    np.tile([0.0, 0.0, 1.0], (len(HEIGHT), 1)),
    np.full((len(HEIGHT), RAYS), AORTA_MM),
    BLOOD_HU,
)


def course(height_mm: float, length_mm: float) -> np.ndarray:
    """Return a vessel (N, 3) that leaves the front of the aorta, runs 12 mm forwards and then to the left and down."""
    bend = np.array([[0.0, -AORTA_MM, height_mm], [0.0, -AORTA_MM - 12.0, height_mm]])
    way = np.array([0.8, 0.0, -0.6])
    knots = np.concatenate([bend, [bend[1] + max(length_mm - 12.0, 0.0) * way]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    where = np.arange(0.0, length_mm, 0.2)
    return np.column_stack([np.interp(where, along, knots[:, i]) for i in range(3)])


def chest(*vessels: np.ndarray) -> Grid:
    """Return an aorta in fat with vessels of 2 mm radius."""
    low, high = np.array([-16.0, -30.0, -4.0]), np.array([36.0, 16.0, 52.0])
    shape = tuple(int(n) for n in np.ceil((high - low) / SPACING_MM)[::-1])
    empty = Grid(np.zeros(shape, np.int16), (SPACING_MM,) * 3, (float(low[0]), float(low[1]), float(low[2])))
    points = empty.points_mm(np.argwhere(np.ones(shape)))
    blood = (np.hypot(points[:, 0], points[:, 1]) <= AORTA_MM) & (points[:, 2] >= 0)
    for vessel in vessels:
        blood |= np.isfinite(cKDTree(vessel).query(points, distance_upper_bound=2.0)[0])
    hu = np.where(blood, BLOOD_HU, FAT_HU).reshape(shape)
    hu = ndimage.gaussian_filter(hu, 0.4 / SPACING_MM) + np.random.default_rng(2).normal(0, 12, shape)
    return empty.with_values(hu.astype(np.int16))


def heart_of(volume: Grid) -> Heart:
    return Heart(volume.with_values(np.zeros(volume.values.shape, np.uint8)), None, None)


def test_a_graft_without_wires_is_doubted_with_where_it_begins():
    """It leaves 44 mm above the valve; 50 mm of it are in the scan, of which the way to its farthest point is followed."""
    volume = chest(course(44.0, 50.0))

    (said,) = surgery_doubts(volume, Surroundings.of(volume, heart_of(volume), AORTA), {})

    assert re.match(
        r"a vessel leaves the ascending aorta 4[345] mm above the valve .* as a bypass graft does, and no wires", said
    )


@pytest.mark.parametrize(
    ("height_mm", "length_mm", "is_ostium"),
    [
        pytest.param(16.0, 50.0, False, id="an artery of a sinus", marks=pytest.mark.slow),
        pytest.param(33.0, 50.0, True, id="a high ostium, the only one of its side"),
        pytest.param(44.0, 16.0, False, id="a stump of 16 mm", marks=pytest.mark.slow),
    ],
)
def test_other_vessels_of_the_aorta_are_no_grafts(height_mm, length_mm, is_ostium):
    """The same vessel elsewhere; the phantom's high ostium lies 9 mm above the sinotubular junction."""
    volume = chest(course(height_mm, length_mm))
    ostia = {"right": Ostium(np.array([0.0, -AORTA_MM, height_mm]), 1.0)} if is_ostium else {}

    assert grafts(Surroundings.of(volume, heart_of(volume), AORTA), ostia) == []


def test_a_graft_taken_for_an_ostium_is_still_a_graft():
    """The right sinus has an artery of its own, so the high vessel is no ostium, whatever the search for ostia took it for."""
    volume = chest(course(40.0, 45.0), course(14.0, 40.0))

    found = grafts(Surroundings.of(volume, heart_of(volume), AORTA), {"right": Ostium(np.array([0.0, -AORTA_MM, 38.0]), 0.8)})

    assert [graft.height_mm for graft in found] == [pytest.approx(40.0, abs=2.0)]


def test_behind_a_wired_breastbone_the_only_artery_of_a_side_is_a_graft():
    """A lesion at the ostium may hide the artery that the graft was sewn for."""
    volume = chest(course(33.0, 50.0))
    around = Surroundings.of(volume, heart_of(volume), AORTA)
    ostia = {"right": Ostium(np.array([0.0, -AORTA_MM, 33.0]), 1.0)}

    assert surgery_doubts(volume, around, ostia) == ()
    with pytest.raises(DataError, match="as a bypass graft does, and 3 wires close the breastbone"):
        surgery_doubts(front_of_chest(3, lead=False), around, ostia)


def front_of_chest(loops: int, lead: bool) -> Grid:
    """Return wire loops about a breastbone 40 mm before the aorta, 28 mm apart, and perhaps a lead that runs down there."""
    empty = np.zeros((150, 60, 60), np.int16)
    volume = Grid(empty, (1.0, 1.0, 1.0), (-30.0, -55.0, -80.0))
    turn = np.linspace(0, 2 * np.pi, 400)
    for number in range(loops):
        loop = np.column_stack(
            [16 * np.cos(turn), -42 + 6 * np.sin(turn), np.full(400, -70.0 + 28 * number) + 2 * np.sin(turn)]
        )
        empty[tuple(np.rint(volume.index(loop)).astype(int).T)] = 3071
    if lead:
        way = np.linspace(0, 90, 400)
        run = np.column_stack([way / 6, np.full(400, -40.0), -75 + way])
        empty[tuple(np.rint(volume.index(run)).astype(int).T)] = 3071
    return volume


@pytest.mark.parametrize(
    ("loops", "lead", "doubts"),
    [
        pytest.param(5, False, 1, id="five loops"),
        pytest.param(3, True, 1, id="three loops and a lead"),
        pytest.param(0, True, 0, id="a lead"),
        pytest.param(1, False, 0, id="one loop"),
    ],
)
def test_breastbone_wires_are_doubted(loops, lead, doubts):
    """Three loops or more are an opened chest; what else is of metal in front of the heart is not."""
    volume = front_of_chest(loops, lead)

    assert len(wire_loops(volume, AORTA)) == loops
    said = wire_doubts(loops)
    assert len(said) == doubts
    assert all(sentence.startswith(f"{loops} wires close the breastbone") for sentence in said)


@pytest.mark.slow
def test_a_phantom_with_a_graft_is_refused():
    """Graft, wires, chambers and arteries together, at 0.8 mm."""
    phantom = coronary_phantom(1, "small", "graft")

    with pytest.raises(DataError, match=r"as a bypass graft does, and \d wires close the breastbone"):
        find_anatomy(Grid(phantom.volume_hu, phantom.spacing_mm, phantom.origin_mm))
