"""The coupling of lesions to the reduced tree, with a solver whose loss is a known law; no lattice is run here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.coronary import flow
from algorithms.coronary.boundary import Quantity, boundary, pressure, quantities
from algorithms.coronary.coupled.couple import SAME_FLOW, Lesion, couple
from algorithms.coronary.coupled.domain import domains, interval_losses_mmhg, through
from algorithms.coronary.coupled.measured import Solved, Solver
from algorithms.coronary.coupled.plan import FEWEST_ACROSS, WANTED_ACROSS, Grid, chosen, grid
from algorithms.coronary.haemodynamics.network import losses, network
from algorithms.coronary.lattice.checks import Check
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.tree import Tree
from algorithms.coronary.truth import DEFAULTS
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, stenosis, tube

BLOOD = Fluid(1060.0, 0.0035)
ANY_GRID = Grid((0.3, 0.2), 1000, 1.0)


def conditions(tree: Tree, mass_g: float = 130.0):
    """Return the boundary conditions for a mass of the left ventricle."""
    return boundary(tree, quantities(pressure(0, 0), Quantity(mass_g, "g", False, ""), DEFAULTS))


def alone() -> Tree:
    """Return one vessel of even calibre, 60 mm long, with 70 % of its area taken at 20 mm, and a single outlet."""
    branch = tube("LAD", 60, cosine_stenosis(20, 6, 1.5, 0.7), reference_mm=1.5)
    return Tree((branch,), (stenosis((branch,), 0, 17, 20, 23),))


def branched() -> Tree:
    """Return such a vessel with a side branch at 35 mm; neither tapers, so that nothing leaves them unseen."""
    lad = tube("LAD", 80, cosine_stenosis(20, 6, 1.5, 0.7), reference_mm=1.5)
    d1 = tube("D1", 30, 0.9, parent=0, parent_point=70, origin_mm=tuple(lad.points_mm[70]), direction=(1, 0, 1))
    return Tree((lad, d1), (stenosis((lad,), 0, 17, 20, 23),))


def law(linear: float, quadratic: float, calls: list[float] | None = None, *, passes: bool = True) -> Solver:
    """Return a solver that finds a loss of ``linear q + quadratic q^2``, and notes the flows it is asked for."""

    def solver(domain, mesh, now, earlier):
        q = now.inflow_ml_s
        if calls is not None:
            calls.append(q)
        check = Check("mass balance", 0.0 if passes else 0.1, "1", "<= 0.001", passes, "")
        return Solved(now, linear * q + quadratic * q * q, (check,), {})

    return solver


def lesions_of(tree: Tree) -> list[Lesion]:
    return [Lesion(domain, ANY_GRID) for domain in domains(tree, 0.4)]


def test_the_coupled_flow_is_that_of_the_law() -> None:
    """Two losses and one resistance in line: outside + law(q) + R q = drive is a quadratic in q, solved by hand.

    The flow may differ by what the coupling calls the same flow, times the share of the lesion in the resistance.
    """
    tree = alone()
    given = conditions(tree, 40.0)
    lesions = lesions_of(tree)
    lost = losses(tree, (tree.branches[0].radius_mm,), given["viscosity_pa_s"], given["density_kg_m3"])
    inside = lesions[0].domain.intervals[0]
    # Friction and expansion in another proportion than the reduced model has them.
    linear, quadratic = 1.5 * float(lost.viscous[0][inside].sum()), 1.1 * float(lost.expansion[0][inside].sum())
    outside = float(lost.viscous[0][~lesions[0].domain.intervals[0]].sum())

    solved, _ = couple(tree, given, lesions, law(linear, quadratic))

    drive = given["aortic_pressure_mmhg"] - given["venous_pressure_mmhg"]
    total = outside + linear + float(given.resistance_hyperaemic_mmhg_s_ml[0])
    exact = (-total + np.sqrt(total**2 + 4 * quadratic * drive)) / (2 * quadratic)
    assert float(lost.expansion[0][~lesions[0].domain.intervals[0]].sum()) == 0
    assert solved.outlet_flow_ml_s[0] == pytest.approx(exact, rel=SAME_FLOW / 2)
    assert lesions[0].passed


def test_a_solver_that_agrees_changes_nothing() -> None:
    """Where 3-D loses what the reduced model does, ratio 1, one solution, and the reduced flow to rounding."""
    tree = coronary_tree(0.8)
    given = conditions(tree)
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given["viscosity_pa_s"], given["density_kg_m3"])

    def solver(domain, mesh, now, earlier):
        return Solved(now, float(sum(part.sum() for part in interval_losses_mmhg(tree, domain, now, lost))), (), {})

    lesions = lesions_of(tree)
    solved, _ = couple(tree, given, lesions, solver)

    reduced = flow.solve(tree, given)
    assert lesions[0].ratio == pytest.approx(1, rel=1e-12)
    assert lesions[0].solutions == 1
    for mine, its in zip(solved.pressure_mmhg, reduced.pressure_mmhg, strict=True):
        assert mine == pytest.approx(its, rel=1e-12)


def test_the_tree_loses_across_the_lesion_what_was_found_there() -> None:
    """In a tree with branches: the fall of pressure along the domain, at the flow that was solved, is the law's."""
    tree = branched()
    given = conditions(tree, 40.0)
    calls: list[float] = []
    lesions = lesions_of(tree)

    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given["viscosity_pa_s"], given["density_kg_m3"])
    first = through(tree, lesions[0].domain, flow.solve(tree, given))
    reduced_mmhg = float(sum(part.sum() for part in interval_losses_mmhg(tree, lesions[0].domain, first, lost)))
    steepness = 1.5 * reduced_mmhg / first.inflow_ml_s**2

    solved, ratio = couple(tree, given, lesions, law(0.0, steepness, calls))

    domain = lesions[0].domain
    places = np.flatnonzero(domain.intervals[0])
    fall = solved.pressure_mmhg[0][places[0]] - solved.pressure_mmhg[0][places[-1] + 1]
    q = through(tree, domain, solved).inflow_ml_s
    assert [cut.name for cut in domain.crop.cuts] == ["inlet", "LAD", "D1"]
    assert lesions[0].passed
    assert fall == pytest.approx(steepness * q * q, rel=2 * SAME_FLOW)  # a loss with the square of a flow that may be 1 % off
    assert q == pytest.approx(calls[-1], rel=SAME_FLOW)
    assert 1 < len(calls) <= 3
    assert (ratio[1] == 1).all()


def test_a_failed_check_leaves_the_reduced_loss() -> None:
    """No FFR from a solution that loses mass: the answer is the reduced one, and the lesion says that it failed."""
    tree = coronary_tree(0.8)
    given = conditions(tree)
    lesions = lesions_of(tree)

    solved, ratio = couple(tree, given, lesions, law(0.0, 4.0, passes=False))

    assert not lesions[0].passed
    assert all((each == 1).all() for each in ratio)
    assert solved.pressure_mmhg[1] == pytest.approx(flow.solve(tree, given).pressure_mmhg[1], rel=1e-12)


def test_models_that_are_far_apart_are_not_believed() -> None:
    """A loss of many times the reduced one: one of the two is wrong, and a person looks."""
    tree = coronary_tree(0.8)
    given = conditions(tree)
    lesions = lesions_of(tree)

    couple(tree, given, lesions, law(60.0, 0.0))

    assert [check.name for check in lesions[0].checks if not check.passed] == ["difference of the models"]


def test_lesions_whose_domains_overlap_share_one() -> None:
    """6 mm between two lesions of a vessel of 3 mm: the jet of the first reaches the second."""
    tree = coronary_tree(0.8)
    second = replace(stenosis(tree.branches, 1, 37, 40, 43), diameter_stenosis=0.5)
    found = domains(Tree(tree.branches, (*tree.stenoses, second)), 0.4)

    assert [domain.lesions for domain in found] == [(0, 1)]


def test_a_closed_artery_is_not_solved_in_three_dimensions() -> None:
    """No blood passes, and a throat of nothing would want all the time that the open lesions need."""
    tree = coronary_tree(0.8)
    closed = tuple(replace(entry, diameter_stenosis=1.0) for entry in tree.stenoses)

    assert domains(Tree(tree.branches, closed), 0.4) == []


def test_a_domain_begins_before_its_lesion_and_ends_behind_its_jet() -> None:
    """Two healthy diameters of about 2.9 mm before 19 mm, eight behind 31 mm, both at points; D1 at 40 mm is an outlet."""
    tree = coronary_tree(0.8)
    (domain,) = domains(tree, 0.4)
    along = tree.branches[1].distance_mm
    inside = np.flatnonzero(domain.intervals[1])
    wide = tree.stenoses[0].reference_diameter_mm

    assert along[inside[0]] == pytest.approx(19 - 2 * wide, abs=0.5)
    assert along[inside[-1] + 1] == pytest.approx(31 + 8 * wide, abs=0.5)
    assert domain.throat[0] == 1
    assert along[domain.throat[1]] == pytest.approx(25, abs=0.5)
    assert [cut.name for cut in domain.crop.cuts] == ["inlet", "LAD", "D1"]
    assert domain.before == (False,)
    assert domain.name == "LAD L1"


def test_flow_in_is_what_flows_out_and_the_throats_is_exact() -> None:
    """By mass: the inlet brings what the vessel's end and its side branches take."""
    tree = coronary_tree(0.8)
    given = conditions(tree)
    solved = flow.solve(tree, given)
    (domain,) = domains(tree, 0.4)

    now = through(tree, domain, solved)

    branch, point = domain.throat
    assert now.inflow_ml_s == pytest.approx(now.end_ml_s + now.sides_ml_s.sum(), rel=1e-12)
    assert now.inflow_ml_s == pytest.approx(float(solved.flow_ml_s[branch][point + 1]), rel=1e-12)
    assert now.sides_ml_s[0] == pytest.approx(float(solved.flow_ml_s[3][0]), rel=1e-12)


def test_time_goes_to_the_first_and_is_never_overdrawn() -> None:
    """What is kept fits; with time for one alone the first has it; with plenty both are as fine as is wanted."""
    (domain,) = domains(coronary_tree(0.8), 0.4)
    shape = (domain.crop.tree, 2.0)
    one = grid(*shape, BLOOD, FEWEST_ACROSS, "cpu").minutes
    fine = grid(*shape, BLOOD, WANTED_ACROSS, "cpu").minutes

    nothing, _ = chosen([shape, shape], BLOOD, 0.9 * one, "cpu")
    first, _ = chosen([shape, shape], BLOOD, 1.5 * one, "cpu")
    both, _ = chosen([shape, shape], BLOOD, 2.1 * fine, "cpu")

    assert nothing == [None, None]
    assert first[0] is not None
    assert first[1] is None
    assert first[0].minutes <= 1.5 * one
    assert [each.minutes for each in both if each] == pytest.approx([fine, fine])
    assert network(coronary_tree()).places  # the tree that the domain was cut from still stands
