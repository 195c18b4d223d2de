"""The reduced model under an engineer's conditions, against Ohm's law and Poiseuille's."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import conditions_of
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.haemodynamics.branching import outlets
from algorithms.coronary.solved.reduced import reduced_answer, tips_only
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.tubes import coronary_tree, tube

TUBE = Tree((tube("LAD", 20, 1.5),))
POISEUILLE = 8 * 0.0035 * 20e-3 / (np.pi * 1.5e-3**4)
"""Pa s/m3 of the tube."""

FORK = Tree(
    (
        tube("LM", 10, 1.5),
        tube("LAD", 20, 1.2, parent=0, parent_point=20, origin_mm=(0, 0, 10), direction=(1, 0, 2)),
        tube("LCx", 20, 1.0, parent=0, parent_point=20, origin_mm=(0, 0, 10), direction=(-1, 0, 2)),
    )
)


def answered(tree, inlet, **ends):
    """Return the answer for the conditions of one inlet and of the outlets by name."""
    given = conditions_of({"inlets": {"inlet": inlet}, "outlets": ends, "distal_pressure_pa": 500})
    return reduced_answer(tree, swept_lumen(tree).openings, given)


def by_name(answer):
    """Return pressure and flow of every opening."""
    return {end.opening.name: (end.pressure_pa, end.flow_m3_s) for end in answer.openings}


@pytest.mark.parametrize(
    ("inlet", "outlet", "flow", "pressures"),
    [
        pytest.param({"pressure_pa": 12000}, {"resistance_pa_s_m3": 9e9}, 11500 / (9e9 + POISEUILLE), None, id="resistance"),
        pytest.param({"pressure_pa": 12000}, {"pressure_pa": 11900}, 100 / POISEUILLE, (12000, 11900), id="two pressures"),
        pytest.param({"flow_m3_s": 1e-6}, {"resistance_pa_s_m3": 9e9}, 1e-6, (9500 + 1e-6 * POISEUILLE, 9500), id="flow"),
        pytest.param({"flow_m3_s": 1e-6}, {"pressure_pa": 0}, 1e-6, (1e-6 * POISEUILLE, 0), id="flow to no pressure"),
        pytest.param(
            {"flow_m3_s": 1e-6, "pressure_pa": 9000},
            {"flow_fraction": 1},
            1e-6,
            (9000, 9000 - 1e-6 * POISEUILLE),
            id="fraction",
        ),
    ],
)
def test_a_tube_obeys_ohms_law(inlet, outlet, flow, pressures):
    """With whatever is known at its ends: pressures 1e-6 Pa, flows 1e-9, as Newton's residual allows."""
    answer = answered(TUBE, inlet, LAD=outlet)
    found = by_name(answer)

    assert [found["inlet"][1], found["LAD"][1]] == pytest.approx([flow, flow], rel=1e-9)
    wanted = pressures or (12000, 500 + 9e9 * flow)
    assert [found["inlet"][0], found["LAD"][0]] == pytest.approx(wanted, abs=1e-5)
    assert answer.means.viscous_pa[0][-1] == pytest.approx(POISEUILLE * flow, rel=1e-9)
    assert all(check.passed for check in answer.checks)


def test_a_fork_divides_by_what_lies_behind():
    """Fractions are taken as given; equal resistances behind unequal daughters give unequal flows that add up."""
    given = {"flow_m3_s": 2e-6, "pressure_pa": 12000}
    shared = by_name(answered(FORK, given, LAD={"flow_fraction": 0.7}, LCx={"flow_fraction": 0.3}))
    resisted = by_name(answered(FORK, {"flow_m3_s": 2e-6}, LAD={"resistance_pa_s_m3": 1e9}, LCx={"resistance_pa_s_m3": 1e9}))

    assert [shared["LAD"][1], shared["LCx"][1]] == pytest.approx([1.4e-6, 0.6e-6], rel=1e-12)
    assert resisted["LAD"][1] + resisted["LCx"][1] == pytest.approx(2e-6, rel=1e-9)
    assert resisted["LAD"][1] > resisted["LCx"][1]
    assert resisted["LAD"][0] == pytest.approx(500 + 1e9 * resisted["LAD"][1], abs=1e-3)


def test_two_ostia_have_their_own_conditions():
    """A flow into one and a pressure at the other: each tree is solved as if it were alone."""
    right = tube("RCA", 20, 1.5, origin_mm=(-30, 0, 0))
    both = Tree((*TUBE.branches, right))
    outlet = {"resistance_pa_s_m3": 9e9}
    given = conditions_of(
        {
            "inlets": {"LAD inlet": {"flow_m3_s": 1e-6}, "RCA inlet": {"pressure_pa": 12000}},
            "outlets": {"LAD": outlet, "RCA": outlet},
            "distal_pressure_pa": 500,
        }
    )
    found = by_name(reduced_answer(both, swept_lumen(both).openings, given))

    assert found["LAD inlet"] == pytest.approx((9500 + 1e-6 * POISEUILLE, 1e-6), rel=1e-7)
    assert found["RCA"][1] == pytest.approx(11500 / (9e9 + POISEUILLE), rel=1e-9)


def test_blood_that_comes_in_through_an_outlet_is_refused():
    """10 kPa at the end of a daughter, and a flow through the other that leaves less than that at the division."""
    with pytest.raises(DataError, match="blood would flow in through the outlet LCx"):
        answered(FORK, {"flow_m3_s": 1e-6}, LAD={"resistance_pa_s_m3": 1e9}, LCx={"pressure_pa": 10000})


def test_a_tree_of_the_pipeline_leaves_at_its_tips_only():
    """Side outlets for branches that CT does not show are no openings of the geometry."""
    tree = tips_only(coronary_tree(0.5))

    assert all(place.station is None for place in outlets(tree))
    assert {tree.branches[place.branch].name for place in outlets(tree)} == {
        opening.name for opening in swept_lumen(coronary_tree(0.5)).openings if not opening.inlet
    }
