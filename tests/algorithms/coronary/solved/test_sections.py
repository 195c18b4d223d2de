"""Means over sections of flows that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.coronary.conditions import conditions_of
from algorithms.coronary.geometry.centrelines import centrelines
from algorithms.coronary.lattice.cells import find_cells
from algorithms.coronary.lattice.scale import scale
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.solved.files import wall_points
from algorithms.coronary.solved.in_cells import of_lattice
from algorithms.coronary.solved.reduced import tips_only
from algorithms.coronary.solved.sections import section_means, section_pressures_pa
from tests.algorithms.coronary.lattice.shapes import fork, turned
from tests.algorithms.coronary.solved.known_solution import BLOOD, INLET_PA, poiseuille

GIVEN = conditions_of({"inlets": {"inlet": {"flow_m3_s": 1e-6}}, "outlets": {"outlet": {"pressure_pa": 0}}})


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_a_tube_has_poiseuilles_means(axis):
    """Flow within 2 % (20 cells across, summed), pressure within a cell's fall, and what is lost is Poiseuille's fall."""
    lumen, found = poiseuille(axis=axis)
    tree = tips_only(centrelines(lumen))
    means = section_means(of_lattice(found), tree, GIVEN)
    fall = INLET_PA - found.opening_pa[1]
    along = tree.branches[0].distance_mm / 12

    assert means.measured[0][3:-3].all()
    assert not means.measured[0][[0, -1]].any()  # an opening cuts these sections in half
    assert means.flow_m3_s[0] == pytest.approx(1e-6, rel=0.02)
    assert means.pressure_pa[0] == pytest.approx(INLET_PA - fall * along, abs=0.02 * fall)
    assert section_pressures_pa(of_lattice(found), tree)[0][3:-3] == pytest.approx(means.pressure_pa[0][3:-3])
    assert means.total_pa[0][:-2] == pytest.approx(fall * along[:-2], abs=0.03 * fall)
    assert means.viscous_pa[0] == pytest.approx(fall * along, rel=0.01, abs=1e-9)
    assert (means.expansion_pa[0] == 0).all()


def test_flow_in_a_division_is_what_the_outlets_behind_it_take():
    """No cut across one vessel is a section there; elsewhere what is measured stands, which here is made twice as much."""
    lumen = fork(1.5, (1.2, 1.2), 7.0, turned((1, 2, 3)))
    cells = find_cells(lumen, 0.25)
    velocity = np.zeros((len(cells), 3))
    flows = np.array([-1e-6, 0.4e-6, 0.6e-6])
    way = [tube[0] * (-1 if i == 0 else 1) for i, tube in enumerate(lumen.tubes)]
    parts = np.stack([tube[1] - np.linalg.norm(cells.points_mm - (cells.points_mm @ tube[0])[:, None].clip(0) * tube[0], axis=1)
                      for tube in lumen.tubes])  # fmt: skip
    for number, flow in enumerate(np.abs(flows)):
        own = parts.argmax(axis=0) == number
        velocity[own] = 2 * flow / (np.pi * (lumen.tubes[number][1] * 1e-3) ** 2) * way[number]
    found = Solution(
        cells, scale(0.25, BLOOD, 0.5), velocity, np.full(len(cells), 100.0), replace(poiseuille()[1].wall), flows,
        np.array([100.0, 100, 100]), np.zeros(1), (0.0,), 1.0, 1,
    )  # fmt: skip
    tree = tips_only(centrelines(lumen))
    means = section_means(of_lattice(found), tree, GIVEN)
    side = tree.branches[1]
    where = {branch.name: index for index, branch in enumerate(tree.branches)}
    takes = {"left": 0.4e-6, "right": 0.6e-6}

    for name, flow in takes.items():
        index = where[name]
        measured = means.measured[index]
        assert means.flow_m3_s[index][measured][-3:] == pytest.approx(2 * flow, rel=0.05)
        assert 0.3 < measured.mean() < 1
    assert not means.measured[1][:3].any()
    assert means.flow_m3_s[1][:3] == pytest.approx(takes[side.name], rel=1e-9)
    assert means.pressure_pa[1][:-3] == pytest.approx(100, abs=1e-9)
    assert 97 < means.pressure_pa[1][-1] < 100  # two cells before the outlet: friction of what flows there


def test_two_grids_say_how_sure_the_stress_at_the_wall_is():
    """A coarse grid that is a tenth off says 8 % of second order's error beside the 5 % that both share."""
    _, fine = poiseuille(side_mm=0.2)
    _, coarse = poiseuille(side_mm=0.3)
    coarse = replace(coarse, wall=replace(coarse.wall, shear_pa=1.1 * coarse.wall.shear_pa))
    alone, both = wall_points(fine, None), wall_points(fine, coarse)
    exact = 4 * 0.0035 * 1e-6 / (np.pi * 1.5e-3**3)

    assert alone.shear_stress_pa == pytest.approx(exact, rel=1e-6)
    assert alone.shear_stress_sd_pa == pytest.approx(0.05 * exact, rel=1e-6)
    assert both.shear_stress_sd_pa == pytest.approx(np.hypot(0.05, 0.1 / 1.25) * exact, rel=1e-6)
