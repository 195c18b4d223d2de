"""Which cells a lumen has, where its wall lies between them, and which lumens are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.geometry.surface import surface_lumen
from algorithms.coronary.geometry.surface_file import Named
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.lattice.cells import find_cells, narrowest_across
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.geometry.surfaces import tube_surface
from tests.algorithms.coronary.lattice.shapes import Vessel, narrowed, vessel
from tests.algorithms.coronary.tubes import tube

AXES = [pytest.param((0, 0, 1), id="along"), pytest.param((0, 1, 1), id="diagonal"), pytest.param((1, 2, 3), id="oblique")]


@pytest.mark.parametrize("axis", AXES)
def test_cells_fill_the_lumen_between_its_openings(axis):
    """The volume is pi r^2 l, to the layer of cells that may lie on either side of an opening: 1 of 36, and 0.5 %."""
    cells = find_cells(vessel(1.5, 9, axis, beyond_mm=3), 0.25)

    assert len(cells) * 0.25**3 == pytest.approx(np.pi * 1.5**2 * 9, rel=0.035)


@pytest.mark.parametrize("axis", AXES)
def test_every_wall_link_ends_at_the_wall(axis):
    """The point at the found fraction of a link has no distance to the wall, to a thousandth of a cell."""
    lumen = vessel(1.5, 6, axis, beyond_mm=3)
    cells = find_cells(lumen, 0.25)
    links = cells.walls
    ends = cells.points_mm[links.cell] + 0.25 * links.fraction[:, None] * VELOCITIES[links.direction]

    assert np.abs(lumen.distance_mm(ends)).max() < 0.25e-3
    assert links.fraction.min() > 0


@pytest.mark.parametrize("axis", AXES)
def test_every_population_comes_from_a_neighbour_or_from_one_slot(axis):
    """Streaming loses nothing: sources of a row are all different, and slots are those of wall and openings."""
    cells = find_cells(vessel(1.5, 6, axis, beyond_mm=3), 0.375)
    links = [cells.walls, *cells.gates]

    for direction in range(DIRECTIONS):
        row = cells.source[direction]
        slots = np.concatenate([each.slot[OPPOSITE[each.direction] == direction] for each in links])
        assert len(np.unique(row)) == len(row)
        assert set(row[row >= len(cells)]) == set(slots)
        inner = row < len(cells)
        assert (cells.index[inner] - cells.index[row[inner]] == VELOCITIES[direction]).all()


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 1, 4), (1, 2, 3), (1, 1, 1)])
@pytest.mark.parametrize(
    ("radius_mm", "across"),
    [
        pytest.param(1.5, 12.0, id="tube"),
        pytest.param(lambda z: 1.5 - 0.75 * z / 12, 6.0, id="taper"),
        pytest.param(narrowed(1.5, 6, 6, 0.7), 12 * 0.3**0.5, id="throat"),
        pytest.param(narrowed(1.5, 6, 3, 0.5), 12 * 0.5**0.5, id="short throat"),
    ],
)
def test_cells_across_are_those_of_the_narrowest_place(radius_mm, across, axis):
    """Cells of 0.25 mm, at any angle; the greatest distance in a section of six read 11.9 for the 8.5 of the short throat.

    The mean over some hundred cells at the throat is within half a cell.
    """
    cells = find_cells(vessel(radius_mm, 12, axis, beyond_mm=2), 0.25)

    assert narrowest_across(cells) == pytest.approx(across, abs=0.5)


@pytest.mark.slow
def test_cells_far_from_the_wall_of_a_surface_know_how_far():
    """A surface of 3 mm tells distances up to 0.7 mm; the deepest cell of 15 lies next to the axis."""
    vertices, faces = tube_surface(1.5, 8, axis=(1, 2, 3))
    cells = find_cells(surface_lumen(Named(vertices, faces, np.full(len(faces), ""))), 0.2)

    assert cells.distance_mm.max() == pytest.approx(1.5 - 0.07, abs=0.1)
    assert narrowest_across(cells) == pytest.approx(15, abs=0.5)


def test_a_bulge_is_not_a_narrow_vessel():
    """A blind side branch of 0.9 to 0.3 mm on a tube of 3 mm: what narrows towards its end carries no blood.

    Where its mouth lies at the tube's side the mean distance to the wall is less by a tenth.
    """
    stem = tube("stem", 12, 1.5)
    blind = tube("blind", 4, lambda d: 0.9 - 0.15 * d, parent=0, parent_point=12, origin_mm=(0, 0, 6), direction=(1, 0, 0))
    lumen = swept_lumen(Tree((stem, blind)), ends=(True, False))

    assert narrowest_across(find_cells(lumen, 0.25)) == pytest.approx(12, abs=1.2)


class Two(Vessel):
    """A vessel with a ball of blood beside it."""

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the greater of the two distances."""
        return np.maximum(super().distance_mm(points_mm), 0.7 - np.linalg.norm(points_mm - (3.0, 0.0, 4.0), axis=1))


def plain(**changes: object) -> Vessel:
    """Return a straight vessel with something changed."""
    return replace(vessel(1.5, 8, (0, 0, 1)), **changes)


def opening(name: str, inlet: bool, z: float, normal: float, x: float = 0.0) -> Opening:
    """Return an opening across z."""
    return Opening(name, inlet, np.array([x, 0, z]), np.array([0, 0, normal]), 1.5)


INLET, OUTLET = opening("inlet", True, 0, -1), opening("outlet", False, 8, 1)


def island() -> Vessel:
    """Return a vessel and a ball that no blood reaches."""
    base = plain()
    fields = {name: getattr(base, name) for name in ("radius_mm", "length_mm", "rotation", "openings", "beyond_mm")}
    return Two(**fields, low_mm=base.low_mm, high_mm=base.high_mm + np.array([3.0, 0, 0]))


@pytest.mark.parametrize(
    ("lumen", "message"),
    [
        pytest.param(plain(openings=(OUTLET, replace(OUTLET, name="other", centre_mm=np.zeros(3)))), "0 inlets", id="no inlet"),
        pytest.param(plain(openings=(INLET,)), "no outlet", id="no outlet"),
        pytest.param(
            plain(openings=(INLET, opening("outlet", False, 8, 1, x=40))), "outside the lumen", id="opening elsewhere"
        ),
        pytest.param(island(), "not connected to the inlet", id="island"),
        pytest.param(vessel(lambda z: np.abs(z - 4) - 0.3, 8, (0, 0, 1)), "not reached from the inlet", id="closed"),
        pytest.param(vessel(lambda z: 0.25 + np.abs(z - 4) ** 3 / 40, 8, (0, 0, 1)), "cells of 0.25 mm across", id="narrow"),
        pytest.param(plain(high_mm=np.array([0.5, 2.0, 9.0])), "cut by the border", id="cut by the border"),
        pytest.param(vessel(0.05, 8, (0, 0, 1)), "no cell", id="thinner than a cell"),
    ],
)
def test_a_lumen_without_an_answer_is_refused(lumen, message):
    """Each says what was found and what to do; none becomes a wrong number."""
    with pytest.raises(DataError, match=message):
        find_cells(lumen, 0.25)


def test_the_same_lumen_turned_by_a_quarter_has_the_same_cells():
    """The lattice is the same along x, y and z."""
    counts = [len(find_cells(vessel(1.5, 6, axis, beyond_mm=3), 0.25)) for axis in ((0, 0, 1), (1, 0, 0))]

    assert counts[0] == counts[1]
