"""Which cells a flow is solved on, and what the lattice is told of the openings."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import conditions_of
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.lattice.conditions import Flow, Pressure, Resistance, Share
from algorithms.coronary.solved.reduced import reduced_answer
from algorithms.coronary.solved.three_dimensional import MOST_CELLS, RATIO, lattice_conditions, plan
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.lattice.shapes import fork, narrowed, turned
from tests.algorithms.coronary.tubes import tube

FORK = fork(1.5, (1.2, 1.2), 7.0, turned((1, 2, 3)))


def first(length_mm, radius_mm):
    """Return what the reduced model finds in a tube."""
    tree = Tree((tube("LAD", length_mm, radius_mm),))
    given = conditions_of({"inlets": {"inlet": {"flow_m3_s": 1e-6}}, "outlets": {"LAD": {"pressure_pa": 5000}}})
    return reduced_answer(tree, swept_lumen(tree).openings, given)


def test_a_throat_gets_sixteen_cells():
    """A stenosis of 75 % of the area in 3 mm: 1.5 mm / 16, and first 1.5 times as large; the time is told before."""
    answer = first(20, narrowed(1.5, 8, 6, 0.75))
    chosen = plan(answer, None)
    finer = plan(answer, 0.05)

    assert chosen.sides_mm == pytest.approx((RATIO * 1.5 / 16, 1.5 / 16))
    assert chosen.across == pytest.approx(16)
    assert chosen.cells == pytest.approx(np.pi * 1.5**2 * 20 * 0.85 / (1.5 / 16) ** 3, rel=0.05)
    # Cells go with the third power of their side, and steps with its inverse.
    assert finer.seconds / chosen.seconds == pytest.approx((1.5 / 16 / 0.05) ** 4, rel=1e-3)


def test_a_long_vessel_has_no_more_cells_than_are_reasonable():
    """100 mm with a throat of 1.2 mm: 16 cells across it would be 1.7 million; 150 mm get fewer across."""
    radius = narrowed(1.5, 8, 6, 0.84)

    assert plan(first(100, radius), None).across == pytest.approx(16)
    long = plan(first(150, radius), None)
    assert long.cells == pytest.approx(MOST_CELLS, rel=0.01)
    assert 10 < long.across < 16


def test_a_throat_that_would_want_too_many_cells_is_refused():
    """150 mm with a throat of 0.6 mm; a cell that was asked for is taken."""
    answer = first(150, narrowed(1.5, 8, 6, 0.96))

    with pytest.raises(DataError, match="cut the lumen shorter around the narrowing"):
        plan(answer, None)
    assert plan(answer, 0.1).sides_mm[1] == 0.1


def of(inlet, **outlets):
    """Return what the lattice is told."""
    return lattice_conditions(FORK, conditions_of({"inlets": {"inlet": inlet}, "outlets": outlets, "distal_pressure_pa": 500}))


def test_fractions_are_shares_beside_a_level():
    """The largest one holds the pressure, which is raised to the inlet's afterwards."""
    given = {"flow_m3_s": 1e-6, "pressure_pa": 12000}

    assert of(given, left={"flow_fraction": 0.7}, right={"flow_fraction": 0.3}) == (
        {"inlet": Flow(1e-6), "left": Pressure(0.0), "right": Share(0.3)},
        12000,
    )


def test_resistances_and_pressures_are_themselves():
    """No level is to be found afterwards."""
    assert of({"pressure_pa": 12000}, left={"resistance_pa_s_m3": 1e9}, right={"pressure_pa": 9000}) == (
        {"inlet": Pressure(12000), "left": Resistance(1e9, 500), "right": Pressure(9000)},
        None,
    )
