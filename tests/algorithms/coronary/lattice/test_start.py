"""Where a run begins."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.lattice.cells import find_cells
from algorithms.coronary.lattice.conditions import Flow, Fluid, Pressure, Resistance, Share
from algorithms.coronary.lattice.start import Start, blunted, creeping, prolonged
from tests.algorithms.coronary.lattice.shapes import fork, narrowed, turned, vessel

BLOOD = Fluid(1060.0, 0.0035)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_a_straight_tube_begins_nearly_as_it_ends(axis):
    """Poiseuille: within 15 % at 12 cells across, for cells are stairs here."""
    cells = find_cells(vessel(1.5, 9, axis, beyond_mm=3), 0.25)
    start = creeping(cells, (Flow(1e-6), Pressure(1000.0)), BLOOD)
    exact = 8 * 0.0035 * 9e-3 * 1e-6 / (np.pi * 1.5e-3**4)

    assert start.opening_pa[0] - start.opening_pa[1] == pytest.approx(exact, rel=0.15)
    assert start.flow_m3_s == pytest.approx([-1e-6, 1e-6], rel=1e-4)  # the network is solved to 1e-8 of its largest term
    assert np.linalg.norm(start.velocity_m_s, axis=0).max() == pytest.approx(2e-6 / (np.pi * 1.5e-3**2), rel=0.15)


def test_a_throat_begins_blunt_and_a_tube_as_it_is():
    """70 % of the area at Reynolds 200: 4.2 times the mean on the axis (axisymmetric reference), a parabola would have 6.7."""
    flow = 200 * np.pi * 3e-3 * BLOOD.kinematic_m2_s / 4
    mean = flow / (np.pi * 1.5e-3**2)
    tops = []
    for shape in (1.5, narrowed(1.5, 6, 6, 0.7)):
        cells = find_cells(vessel(shape, 12, (1, 2, 3), beyond_mm=3), 0.2)
        start = blunted(cells, creeping(cells, (Flow(flow), Pressure(1000.0)), BLOOD), BLOOD)
        tops.append(np.linalg.norm(start.velocity_m_s, axis=0).max() / mean)

    assert tops[0] == pytest.approx(2, rel=0.15)
    assert tops[1] == pytest.approx(4.2, rel=0.1)


def test_openings_get_what_their_conditions_say():
    """A share, and Ohm's law behind the other outlet, with a pressure at the inlet."""
    cells = find_cells(fork(1.5, (1.2, 1.2), 5.0, turned((1, 2, 3))), 0.3)
    start = creeping(cells, (Pressure(12000.0), Share(0.3), Resistance(6e9, 600.0)), BLOOD)
    inflow, share, rest = -start.flow_m3_s[0], *start.flow_m3_s[1:]

    assert start.opening_pa[0] == pytest.approx(12000, rel=1e-3)
    assert share == pytest.approx(0.3 * inflow, rel=0.02)  # the rounds stop a hundredth short; the run brings the rest
    assert start.opening_pa[2] == pytest.approx(600 + 6e9 * rest, rel=5e-3)  # as good as the rounds


def test_a_field_that_is_linear_is_taken_to_a_finer_grid_exactly():
    """Trilinear interpolation; where coarse cells are missing, at wall and openings, off by no more than one of them."""
    lumen = vessel(1.5, 6, (1, 2, 3), beyond_mm=3)
    coarse, fine = find_cells(lumen, 0.4), find_cells(lumen, 0.2)
    slope = np.array([1.0, -2.0, 0.5])
    start = Start(coarse.points_mm.T.copy(), coarse.points_mm @ slope, np.zeros(2), np.zeros(2))
    found = prolonged(coarse, start, fine)
    off = np.abs(found.pressure_pa - fine.points_mm @ slope)

    along = lumen.along_mm(fine.points_mm)
    inner = (fine.distance_mm > 0.4 * 3**0.5) & (along > 0.4 * 3) & (along < 6 - 0.4 * 3)

    assert off[inner].max() < 1e-9
    assert off.max() < 0.4 * np.abs(slope).sum()
