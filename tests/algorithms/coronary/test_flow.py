"""The reduced-order flow against closed forms, conservation laws, a finer reference, and SimVascular's 0-D solver."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.contract.errors import DataError
from algorithms.coronary import flow, flow_models
from algorithms.coronary.boundary import Boundary, Quantity, boundary, pressure, quantities, write_boundary
from algorithms.coronary.haemodynamics.blood import DENSITY_KG_M3, PA_PER_MMHG, VISCOSITY_PA_S
from algorithms.coronary.haemodynamics.network import EXPANSION_AREA_RATIO, Network, losses, network, throats, viscous_mmhg_s_ml
from algorithms.coronary.pipeline import FLOW
from algorithms.coronary.tree import Branch, Tree, read_tree, write_tree
from algorithms.coronary.truth import DEFAULTS
from tests.algorithms.coronary.svzerod_network import edge_coefficients, svzerod_answer, svzerod_network
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, tube

MU_MMHG = 8 * VISCOSITY_PA_S / np.pi * 1e3 / PA_PER_MMHG
"""8 mu / pi in mmHg s/ml per mm-3: a tube's resistance is this times length over radius to the fourth, both in mm."""


def conditions(
    tree: Tree, *, aortic_mmhg: float = 90.0, venous_mmhg: float = 5.0, resistance: float | np.ndarray = 50.0
) -> Boundary:
    """Return boundary conditions with chosen resistances, where a test needs no physiology."""
    places = network(tree).places
    chosen = {"aortic_pressure_mmhg": aortic_mmhg, "venous_pressure_mmhg": venous_mmhg}
    chosen |= {"viscosity_pa_s": VISCOSITY_PA_S, "density_kg_m3": DENSITY_KG_M3}
    values = {name: Quantity(value, "", False, "") for name, value in chosen.items()}
    each = np.broadcast_to(np.asarray(resistance, dtype=float), len(places))
    return Boundary(values, places, np.full(len(places), np.nan), np.full(len(places), np.nan), each, each)


def physiological(tree: Tree) -> Boundary:
    """Return the boundary conditions that a case without any measurement gets, with an LV mass of 130 g."""
    return boundary(tree, quantities(pressure(0, 0), Quantity(130.0, "g", False, ""), DEFAULTS))


def narrowed_end(stenosis: float) -> Tree:
    """Return 30 mm of a 3 mm vessel that narrows abruptly over its last 10 mm, so that nothing re-expands."""
    branch = tube("LAD", 40, 1.5)
    distance = np.insert(branch.distance_mm, 61, 30 + 1e-9)  # two points at the step: a cone of no length between them
    radius = np.where(distance > 30, 1.5 * (1 - stenosis), 1.5)
    ones = np.ones(len(distance))
    points = distance[:, None] * np.array([0.0, 0.0, 1.0])
    return Tree((Branch("LAD", None, None, points, radius, 1.5 * ones, 0 * ones, ones.astype(int)),))


@pytest.mark.parametrize(
    ("stenosis", "ffr"),
    [pytest.param(0.0, 0.991, id="healthy"), pytest.param(0.5, 0.958, id="half"), pytest.param(0.7, 0.722, id="severe")],
)
def test_poiseuille_flow_loses_what_the_closed_form_says(stenosis: float, ffr: float) -> None:
    """128 mu L Q / (pi d^4) over 30 mm healthy and 10 mm narrowed, 3 mm, 1.5 ml/s, from 90 mmHg; by hand in docs/coronary.md.

    The outlet resistance is the one that lets 1.5 ml/s pass if the closed form is right.
    """
    lost_mmhg = MU_MMHG * (30 / 1.5**4 + 10 / (1.5 * (1 - stenosis)) ** 4) * 1.5
    tree = narrowed_end(stenosis)

    solved = flow.solve(tree, conditions(tree, resistance=(90 - lost_mmhg - 5) / 1.5))

    assert solved.outlet_flow_ml_s[0] == pytest.approx(1.5, rel=1e-7)
    assert ffr == pytest.approx(solved.pressure_mmhg[0][-1] / 90, abs=5e-4)  # half a unit of the last digit shown


def test_a_cone_loses_the_exact_integral() -> None:
    """8 mu Q / pi times the integral of r^-4, which for r from a to b over L is L (a^-3 - b^-3) / (3 (b - a))."""
    distance, radius = np.array([0.0, 7.0]), np.array([1.6, 0.7])

    exact = MU_MMHG * 7.0 * (1.6**-3 - 0.7**-3) / (3 * (0.7 - 1.6))

    assert viscous_mmhg_s_ml(distance, radius, VISCOSITY_PA_S)[0] == pytest.approx(exact, rel=1e-12)


def test_friction_of_a_tapering_vessel_does_not_depend_on_its_points() -> None:
    """Between points the integral is exact for a cone, so two points are as good as two hundred."""
    coarse = tube("RCA", 80, lambda d: 2 - d / 100, step_mm=80)
    fine = tube("RCA", 80, lambda d: 2 - d / 100, step_mm=0.4)

    total = [viscous_mmhg_s_ml(b.distance_mm, b.radius_mm, VISCOSITY_PA_S).sum() for b in (coarse, fine)]

    assert total[0] == pytest.approx(total[1], rel=1e-12)


def test_a_sudden_expansion_loses_what_borda_and_carnot_say() -> None:
    """Rho / 2 (U_1 - U_2)^2 from momentum across a step from 1 mm to 2 mm radius, at 2 ml/s."""
    tree = Tree((tube("LAD", 40, lambda d: np.where(d < 20, 1.0, 2.0)),))
    net = network(tree)

    quadratic = losses(tree, tuple(b.radius_mm for b in tree.branches), VISCOSITY_PA_S, DENSITY_KG_M3).per_edge(net)[1]

    fast, slow = 2e-6 / (np.pi * 1e-6), 2e-6 / (np.pi * 4e-6)
    assert quadratic[0] * 2.0**2 == pytest.approx(DENSITY_KG_M3 / 2 * (fast - slow) ** 2 / PA_PER_MMHG, rel=1e-12)


@pytest.mark.parametrize(
    ("area_stenosis", "reynolds", "drop", "off"),
    [
        pytest.param(0.5, 100, 3.744, 0.03, id="half at 100"),
        pytest.param(0.5, 200, 2.101, 0.03, id="half at 200"),
        pytest.param(0.5, 400, 1.3135, 0.03, id="half at 400"),
        pytest.param(0.6, 300, 2.3885, 0.03, id="0.6 at 300"),
        pytest.param(0.7, 200, 5.1435, 0.03, id="0.7 at 200"),
        pytest.param(0.7, 400, 4.443, 0.13, id="0.7 at 400, jet not recovered in the window"),
    ],
)
def test_a_smooth_stenosis_loses_what_the_navier_stokes_solution_loses(
    area_stenosis: float, reynolds: float, drop: float, off: float
) -> None:
    """Axisymmetric Taylor-Hood solution of a cosine stenosis two diameters long, -2 to +6 diameters, in rho U^2.

    The tolerances are the differences found when the reference was computed (docs/coronary.md): the model is within
    3 %, but for the strongest jet, which has not filled the vessel where the reference's window ends.
    """
    diameter = 3.0
    shape = cosine_stenosis(2 * diameter, 2 * diameter, 1.5, area_stenosis)
    tree = Tree((tube("LAD", 8 * diameter, shape, reference_mm=1.5, step_mm=0.1),))
    net = network(tree)
    flow_ml_s = reynolds * np.pi * diameter * 1e-3 * VISCOSITY_PA_S / (4 * DENSITY_KG_M3) * 1e6
    linear, quadratic = losses(tree, (tree.branches[0].radius_mm,), VISCOSITY_PA_S, DENSITY_KG_M3).per_edge(net)

    lost_pa = (linear[0] * flow_ml_s + quadratic[0] * flow_ml_s**2) * PA_PER_MMHG
    dynamic_pa = DENSITY_KG_M3 * (flow_ml_s * 1e-6 / (np.pi * 1.5e-3**2)) ** 2

    assert lost_pa / dynamic_pa == pytest.approx(drop, rel=off)


def test_noise_of_radii_is_no_throat() -> None:
    """Segmented radii of a healthy vessel scatter by some per cent; 10 % peak to peak in radius must cost no expansion."""
    rng = np.random.default_rng(1)
    distance = np.arange(0, 100, 0.5)
    radius = (1.8 - distance / 110) * (1 + 0.05 * rng.uniform(-1, 1, len(distance)))

    assert throats(distance, np.pi * radius**2) == []


def test_an_ostial_throat_is_found_without_a_healthy_vessel_before_it() -> None:
    """An ostial stenosis has the aorta before it; what it expands into decides its loss."""
    area = np.array([1.0, 1.2, 2.0, 4.0, 4.0, 3.9])

    assert throats(np.arange(6.0), area) == [(0, 3)]


def test_two_lesions_in_a_row_are_two_throats() -> None:
    """Each jet dissipates in the vessel behind it if the area grows enough between the two."""
    area = np.array([4, 4, 1, 2, 3.5, 3.5, 1.5, 2, 4, 4.0])

    assert throats(np.arange(10.0), area) == [(2, 4), (6, 8)]


def test_a_vessel_that_widens_far_behind_a_lesion_costs_no_more() -> None:
    """The jet has long filled the vessel where an ectasia begins 25 mm behind; only the lesion's own expansion counts."""
    distance = np.arange(0, 60, 0.5)
    lesion = np.where(distance < 10, 1.0, 3.0)
    ectasia = np.where(distance > 36, 6.0, lesion)

    assert throats(distance, lesion)[0][0] == throats(distance, ectasia)[0][0]
    assert ectasia[throats(distance, ectasia)[0][1]] == lesion[throats(distance, lesion)[0][1]] == 3.0
    assert EXPANSION_AREA_RATIO < 2


def test_a_distal_left_main_lesion_expands_into_both_daughters() -> None:
    """At the end of LM the flow enters LAD and LCx, whose areas together are what the jet fills."""
    lm = tube("LM", 10, lambda d: np.where(d < 8, 2.0, 1.0), reference_mm=2.0)
    tree = Tree((lm, tube("LAD", 30, 1.6, parent=0, parent_point=20), tube("LCx", 30, 1.5, parent=0, parent_point=20)))
    net = network(tree)

    quadratic = losses(tree, tuple(b.radius_mm for b in tree.branches), VISCOSITY_PA_S, DENSITY_KG_M3).per_edge(net)[1]

    expected = 0.5 * DENSITY_KG_M3 / PA_PER_MMHG * (1 / np.pi - 1 / (np.pi * (1.6**2 + 1.5**2))) ** 2
    assert quadratic == pytest.approx([expected, 0, 0], rel=1e-12)


def test_a_parent_that_ends_by_dividing_has_no_outlet_of_its_own() -> None:
    """LM's last half millimetre behind the LAD's first point is the bifurcation, not a vessel with a capillary bed."""
    lm = tube("LM", 10, 2.2)
    tree = Tree((lm, tube("LAD", 30, 1.8, parent=0, parent_point=19), tube("LCx", 30, 1.7, parent=0, parent_point=20)))

    assert [tree.branches[place.branch].name for place in network(tree).places] == ["LAD", "LCx"]


def test_a_closed_lumen_is_a_data_error_that_says_where() -> None:
    """FFR is undefined behind an occlusion; a person must look."""
    tree = Tree((tube("RCA", 40, lambda d: np.where(abs(d - 20) < 1, 0.0, 1.5)),))

    with pytest.raises(DataError, match=r"lumen of RCA is closed 20 mm .* occlu"):
        network(tree)


def test_a_child_of_a_point_that_does_not_exist_is_a_data_error() -> None:
    """A broken tree is refused before it is solved."""
    tree = Tree((tube("LM", 10, 2.0), tube("LAD", 10, 1.5, parent=0, parent_point=21)))

    with pytest.raises(DataError, match="starts at point 21 of a parent with 21"):
        network(tree)


@pytest.mark.parametrize("area_stenosis", [0.0, 0.75, 0.93])
def test_the_tree_agrees_with_svzerod(area_stenosis: float) -> None:
    """SimVascular's 0-D solver on the same elements; 1e-6 is what the issue asks, both iterate to less."""
    tree = coronary_tree(area_stenosis)
    given = physiological(tree)
    solved = flow.solve(tree, given)
    net = network(tree)

    answer = svzerod_answer(svzerod_network(net, *edge_coefficients(tree, net), given))

    for edge in range(len(net.branch)):
        point, index = net.stop[edge], net.branch[edge]
        expected = answer[f"edge{edge}"]
        assert (solved.pressure_mmhg[index][point], solved.flow_ml_s[index][point]) == pytest.approx(expected, rel=1e-6)


REAL = os.environ.get("HEARTWOOD_REAL_DATA")


@pytest.mark.skipif(REAL is None, reason="HEARTWOOD_REAL_DATA is not set")
@pytest.mark.parametrize(
    "case", ["steadyFlow_R_R", "steadyFlow_R_coronary", "steadyFlow_bifurcationR_R1", "steadyFlow_stenosis_R"]
)
def test_the_network_solver_reproduces_simvasculars_steady_cases(case: str) -> None:
    """Their inflow is 5 ml/s; driven by the inlet pressure that they publish, the network must take in that flow."""
    folder = Path(str(REAL)) / "flow_0d"
    given = json.loads((folder / f"{case}.json").read_text())
    result = json.loads((folder / "results" / f"result_{case}.json").read_text())
    elements = [v["zero_d_element_values"] for v in given["vessels"]]
    linear = np.array([e["R_poiseuille"] for e in elements])
    quadratic = np.array([e.get("stenosis_coefficient", 0.0) for e in elements])
    upstream = np.full(len(elements), -1)
    for junction in given.get("junctions", []):
        upstream[junction["outlet_vessels"]] = junction["inlet_vessels"][0]
    behind = {b["bc_name"]: b["bc_values"] for b in given["boundary_conditions"]}
    outlets = [i for i, v in enumerate(given["vessels"]) if "outlet" in v["boundary_conditions"]]
    values = [behind[given["vessels"][i]["boundary_conditions"]["outlet"]] for i in outlets]
    resistance = np.array([v["R"] if "R" in v else v["Ra1"] + v["Ra2"] + v["Rv1"] for v in values])
    distal = np.array([v.get("Pd", v.get("P_v")) for v in values])
    below = np.array([[1.0 if e in (o, upstream[o]) else 0.0 for o in outlets] for e in range(len(elements))])
    net = Network(np.arange(len(elements)), upstream * 0, upstream * 0 + 1, upstream, np.array(outlets), below, ())
    inlet = list(result["pressure_in"].values())[len(result["time"]) // len(elements) - 1]

    q, _, _ = flow.outlet_flows_ml_s(net, linear, quadratic, resistance, inlet - distal)

    last = len(result["time"]) // len(elements)
    expected = [list(result["flow_out"].values())[(o + 1) * last - 1] for o in outlets]
    assert q == pytest.approx(expected, rel=1e-6)  # their tables hold ten digits
    assert q.sum() == pytest.approx(5.0, rel=1e-6)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw a tree of up to eight vessels, some narrowed, with up to two ostia."""
    count = draw(st.integers(1, 8))
    branches: list[Branch] = []
    for index in range(count):
        length = draw(st.floats(5, 80))
        radius = draw(st.floats(0.8, 2.5))
        severity = draw(st.floats(0, 0.85))
        parent = None if index == 0 or (index == 1 and draw(st.booleans())) else draw(st.integers(0, index - 1))
        point = None if parent is None else draw(st.integers(0, len(branches[parent].radius_mm) - 1))
        taper = draw(st.sampled_from([0.0, 0.3, 0.6]))  # a taper that no branch explains makes side outlets

        def healthy(distance: np.ndarray, radius: float = radius, taper: float = taper, length: float = length) -> np.ndarray:
            return radius * (1 - taper * distance / length)

        def shape(
            distance: np.ndarray, severity: float = severity, length: float = length, healthy: Any = healthy
        ) -> np.ndarray:
            return healthy(distance) * cosine_stenosis(length / 2, min(length, 12), 1.0, severity)(distance)

        branches.append(tube(f"B{index}", length, shape, parent=parent, parent_point=point, reference_mm=healthy))
    return Tree(tuple(branches))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tree=trees(), resistance=st.floats(5, 500))
def test_mass_is_conserved_and_pressure_never_rises_in_any_tree(tree: Tree, resistance: float) -> None:
    """What enters leaves, at every bifurcation too; losses only take pressure; every check of the stage holds."""
    given_ = conditions(tree, resistance=resistance)

    solved = flow.solve(tree, given_)

    assert flow.mass_imbalance(tree, network(tree), solved) < 1e-13
    assert all((np.diff(p) <= 0).all() for p in solved.pressure_mmhg)
    assert all((p <= 90).all() and (p >= 5).all() for p in solved.pressure_mmhg)
    assert all(check["passed"] for check in flow.checks(tree, given_, solved) if check["name"] != "reynolds number")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(tree=trees(), scale=st.floats(0.3, 3))
def test_flow_scales_as_the_equations_do(tree: Tree, scale: float) -> None:
    """With friction and resistances c times and pressures c^2 times as large, c times the flow solves the same equations."""
    net = network(tree)
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), VISCOSITY_PA_S, DENSITY_KG_M3)
    linear, quadratic = lost.per_edge(net)
    resistance, drive = np.full(len(net.outlets), 40.0), np.full(len(net.outlets), 85.0)

    q, _, _ = flow.outlet_flows_ml_s(net, linear, quadratic, resistance, drive)
    scaled, _, _ = flow.outlet_flows_ml_s(net, linear * scale, quadratic, resistance * scale, drive * scale**2)

    assert scaled == pytest.approx(q * scale, rel=1e-7)  # the residual limit is 1e-9 of the drive


@settings(max_examples=30, deadline=None, derandomize=True)
@given(severity=st.floats(0.0, 0.97), more=st.floats(0.001, 0.02))
def test_a_tighter_stenosis_lowers_the_pressure_behind_it_and_takes_no_flow_elsewhere(severity: float, more: float) -> None:
    """More loss in the LAD: less flow there, lower pressure at its tip, and a little more for the LCx through the common LM."""
    wide, narrow = (flow.solve(tree, physiological(tree)) for tree in (coronary_tree(severity), coronary_tree(severity + more)))

    assert narrow.pressure_mmhg[1][-1] < wide.pressure_mmhg[1][-1]
    assert narrow.flow_ml_s[1][50] < wide.flow_ml_s[1][50]
    assert narrow.pressure_mmhg[2][-1] >= wide.pressure_mmhg[2][-1]
    assert narrow.pressure_mmhg[5] == pytest.approx(wide.pressure_mmhg[5], rel=1e-9)  # the RCA has its own ostium


def test_many_samples_are_solved_as_one_by_one() -> None:
    """The interval solves all samples at once; each must be what it would be alone."""
    tree = coronary_tree(0.8)
    net = network(tree)
    factors = np.array([1.0, 0.9, 1.2])
    radii = tuple(b.radius_mm * factors[:, None] for b in tree.branches)
    linear, quadratic = losses(tree, radii, VISCOSITY_PA_S, DENSITY_KG_M3).per_edge(net)
    resistance, drive = np.full((3, len(net.outlets)), 60.0), np.full((3, 1), 85.0)

    together, _, _ = flow.outlet_flows_ml_s(net, linear, quadratic, resistance, drive)

    for i in range(3):
        alone, _, _ = flow.outlet_flows_ml_s(net, linear[i], quadratic[i], resistance[i], drive[i])
        assert together[i] == pytest.approx(alone, rel=1e-9)


def test_the_stage_writes_one_value_a_point_and_its_checks(tmp_path: Path) -> None:
    """flow.json has the tree's branches and points, and the losses add up to what aortic pressure lost."""
    tree = coronary_tree(0.8)
    write_tree(tree, tmp_path / "tree.json")
    tree = read_tree(tmp_path / "tree.json")
    write_boundary(physiological(tree), tmp_path / "boundary.json")

    inputs = {"tree": tmp_path / "tree.json", "boundary": tmp_path / "boundary.json"}
    measured = flow_models.run(inputs, tmp_path, **FLOW.settings({"flow_model": "reduced"}))  # type: ignore[arg-type]

    document = json.loads((tmp_path / "flow.json").read_text())
    for branch, entry in zip(tree.branches, document["branches"], strict=True):
        lost = np.array(entry["viscous_mmhg"]) + np.array(entry["expansion_mmhg"])
        assert len(entry["flow_ml_s"]) == len(branch.radius_mm)
        assert np.array(entry["pressure_mmhg"]) == pytest.approx(99.2 - lost, abs=2e-6)  # three numbers rounded to 1e-6
    assert sum(o["flow_ml_s"] for o in document["outlets"]) == pytest.approx(measured["hyperaemic_flow_ml_s"], abs=1e-4)
    assert all(check["passed"] for check in document["checks"])
    assert measured["failed_checks"] == 0


def test_what_a_processor_rounds_does_not_make_equal_cases_differ() -> None:
    """A residual of 1e-16 is another on every kind of processor; what is told of it is not."""
    tree = coronary_tree(0.8)
    given_ = conditions(tree, resistance=40.0)
    solved = flow.solve(tree, given_)
    elsewhere = dataclasses.replace(solved, pressure_mmhg=tuple(np.nextafter(p, 0) for p in solved.pressure_mmhg))

    assert flow.checks(tree, given_, solved) == flow.checks(tree, given_, elsewhere)


def test_a_turbulent_reynolds_number_fails_its_check() -> None:
    """More than 10 ml/s through a 1.8 mm vessel: the loss model says nothing of turbulence, and the check must say so."""
    tree = Tree((tube("LM", 10, 0.9),))
    given_ = conditions(tree, resistance=5.0)

    found = {check["name"]: check for check in flow.checks(tree, given_, flow.solve(tree, given_))}

    assert not found["reynolds number"]["passed"]
    assert found["mass balance"]["passed"]
