"""How flow divides: the power law of healthy radii, and what leaves through branches that CT does not show."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.haemodynamics.branching import flow_fractions, outlets
from algorithms.coronary.haemodynamics.network import network
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, tube


def through(tree: Tree, branch: int, point: int, exponent: float = 7 / 3) -> float:
    """Return the share of the total flow that arrives at one point."""
    net = network(tree)
    edge_flow = net.below @ flow_fractions(tree, exponent)
    return float(edge_flow[net.interval_edge(branch)[max(point - 1, 0)]])


@pytest.mark.parametrize("exponent", [2.0, 7 / 3, 3.0])
def test_daughters_share_by_the_power_of_their_radii(exponent: float) -> None:
    """2 mm and 1 mm daughters take 2^n : 1, whatever the parent is and how long they are."""
    lm = tube("LM", 10, 2.2)
    tree = Tree((lm, tube("LAD", 60, 2.0, parent=0, parent_point=20), tube("LCx", 20, 1.0, parent=0, parent_point=20)))

    assert flow_fractions(tree, exponent) == pytest.approx([2**exponent / (1 + 2**exponent), 1 / (1 + 2**exponent)])


def test_a_side_branch_and_the_vessel_it_leaves_share_alike() -> None:
    """A constant vessel gives a side branch of half its radius 1 / (1 + 2^n) and keeps the rest."""
    tree = Tree((tube("LAD", 60, 2.0), tube("D1", 20, 1.0, parent=0, parent_point=60)))

    assert flow_fractions(tree, 2.0) == pytest.approx([0.8, 0.2])


def test_the_two_ostia_share_as_one_bifurcation() -> None:
    """No split between left and right is assumed: dominance shows in the calibres."""
    tree = Tree((tube("LAD", 60, 2.0), tube("RCA", 60, 1.0)))

    assert flow_fractions(tree, 2.0) == pytest.approx([0.8, 0.2])


def test_a_trifurcation_is_three_daughters() -> None:
    """LM into LAD, LCx and ramus: each by its own power, the order of the children does not matter."""
    children = [
        tube(name, 30, r, parent=0, parent_point=p) for name, r, p in (("LAD", 2.0, 20), ("RI", 1.0, 19), ("LCx", 1.5, 20))
    ]
    tree = Tree((tube("LM", 10, 2.2), *children))

    assert flow_fractions(tree, 2.0) == pytest.approx(np.array([4, 1, 2.25]) / 7.25)


def test_a_taper_that_no_branch_explains_leaves_through_side_outlets() -> None:
    """A bare vessel from 2 mm to 1 mm keeps (tip / origin)^n of its flow to the tip; septal branches took the rest."""
    tree = Tree((tube("LAD", 100, lambda d: 2 - d / 100),))
    places, share = outlets(tree), flow_fractions(tree, 2.0)

    origin, tip = 2 - (2.0 + 2.5) / 100, 1 + 2.5 / 100  # means over 5 mm: from one radius in, and at the end
    assert [place.station for place in places] == [*range(20), None]
    assert share[-1] == pytest.approx((tip / origin) ** 2, rel=1e-9)
    assert share.sum() == pytest.approx(1.0, rel=1e-12)


def test_found_branches_explain_the_taper_first() -> None:
    """Half the area lost, and one branch found that takes just that: nothing is unseen."""
    healthy = tube("LAD", 60, lambda d: np.where(d < 30, 2.0, np.sqrt(2.0)))
    tree = Tree((healthy, tube("D1", 20, np.sqrt(2.0), parent=0, parent_point=60)))
    share = flow_fractions(tree, 2.0)

    assert share[[place.station is None for place in outlets(tree)]] == pytest.approx(
        [0.5, 0.5], abs=1e-3
    )  # a trace keeps R finite


def test_the_left_main_has_no_unseen_branches() -> None:
    """What its taper means is its bifurcation beginning."""
    tree = Tree((tube("LM", 20, lambda d: 2.5 - d / 40), tube("LAD", 40, 1.8, parent=0, parent_point=40)))

    assert not any(place.station is not None for place in outlets(tree))


def test_flow_at_a_point_does_not_depend_on_how_far_the_vessel_was_followed() -> None:
    """Cut at 60 mm or followed to 100 mm, the flow 30 mm from the origin is the same to 2 % of itself.

    A law on the outlets' radii alone would give the cut vessel 1.4 / 1.0 to the power 7/3, or 2.2 times, the flow.
    """
    rca = tube("RCA", 80, 1.8)
    long, short = (Tree((tube("LAD", length, lambda d: 2 - d / 100), rca)) for length in (100, 60))

    assert through(short, 0, 45) == pytest.approx(through(long, 0, 45), rel=0.02)


def test_flow_in_a_vessel_does_not_depend_on_a_small_branch_being_found() -> None:
    """A diagonal that takes a fifth of what the taper loses, found or missed, moves the flow well behind it by under 1 %."""
    lad, rca = tube("LAD", 80, lambda d: 2 - d / 100), tube("RCA", 80, 1.8)
    diagonal = tube("D1", 30, 0.8, parent=0, parent_point=40)

    assert through(Tree((lad, rca, diagonal)), 0, 120) == pytest.approx(through(Tree((lad, rca)), 0, 120), rel=0.01)


def test_disease_does_not_change_the_split() -> None:
    """Calibres are those without disease: a stenosis must lower pressure, not the flow that the muscle asks for."""
    assert flow_fractions(coronary_tree(0.9), 7 / 3) == pytest.approx(flow_fractions(coronary_tree(0.0), 7 / 3))


def test_samples_of_the_exponent_are_each_what_they_are_alone() -> None:
    """The interval draws many exponents at once."""
    tree = coronary_tree()

    together = flow_fractions(tree, np.array([2.0, 2.5, 3.0]))

    assert together.sum(axis=-1) == pytest.approx(1.0)
    assert together[1] == pytest.approx(flow_fractions(tree, 2.5))


def test_an_exponent_that_leaves_nothing_unseen_keeps_every_outlet_alive() -> None:
    """Side outlets are placed once; where another exponent needs none, a trace passes, or its resistance were infinite."""
    branch = tube("D1", 30, 1.5, parent=0, parent_point=80)
    tree = Tree((tube("LAD", 80, lambda d: 2 - d / 160, reference_mm=lambda d: 2 - d / 160), branch))
    tree = Tree((*tree.branches, tube("RCA", 40, cosine_stenosis(20, 10, 1.5, 0.5), reference_mm=1.5)))

    assert (flow_fractions(tree, np.array([1.2, 7 / 3, 3.4])) > 0).all()
