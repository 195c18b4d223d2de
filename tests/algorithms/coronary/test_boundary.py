"""Boundary conditions: what is measured, what is assumed, and that the resting flow comes out of the resting tree."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary import flow
from algorithms.coronary.boundary import (
    CONSTANTS,
    Boundary,
    Quantity,
    boundary,
    heart_rate,
    lv_mass,
    mean_aortic_pressure_mmhg,
    pressure,
    quantities,
    read_boundary,
    resting_flow_ml_s,
    run,
    write_boundary,
)
from algorithms.coronary.haemodynamics import blood
from algorithms.coronary.pipeline import BOUNDARY
from algorithms.coronary.tree import Tree, write_tree
from algorithms.coronary.truth import DEFAULTS
from tests.algorithms.coronary.tubes import coronary_tree, tube


def conditions(tree: Tree, mass_g: float = 130.0) -> Boundary:
    """Return the boundary conditions of a case with a measured LV mass and pressure."""
    return boundary(tree, quantities(pressure(120, 80), Quantity(mass_g, "g", False, ""), DEFAULTS))


@pytest.mark.parametrize(
    ("given", "facts", "value", "assumed"),
    [
        pytest.param(72.0, {"HeartRate": 60}, 72.0, False, id="given"),
        pytest.param(0.0, {"HeartRate": 58}, 58.0, False, id="the scanner's"),
        pytest.param(0.0, {}, blood.ASSUMED_HEART_RATE_PER_MIN, True, id="assumed"),
        pytest.param(0.0, {"HeartRate": 0}, blood.ASSUMED_HEART_RATE_PER_MIN, True, id="a header without a value"),
    ],
)
def test_the_heart_rate_says_whether_it_was_assumed(given: float, facts: dict, value: float, assumed: bool) -> None:
    """What was given outweighs the scanner's, and that outweighs an assumption."""
    found = heart_rate(given, facts)

    assert (found.value, found.assumed) == (value, assumed)


def test_a_heart_rate_that_nobody_has_is_refused() -> None:
    """7 for 70."""
    with pytest.raises(DataError, match="25 to 220"):
        heart_rate(7.0, {})


def test_the_womersley_number_is_that_of_the_widest_vessel() -> None:
    """R sqrt(2 pi f rho / mu): 2.25 mm at 60 per minute with 1060 kg/m3 and 3.5 mPa s is 3.10, worked by hand."""
    tree = coronary_tree()
    values = quantities(pressure(120, 80), Quantity(130.0, "g", False, ""), DEFAULTS) | {
        "heart_rate_per_min": heart_rate(60, {})
    }
    given = boundary(tree, values)

    assert flow.womersley_number(tree, given) == pytest.approx(3.10, abs=0.005)
    assert flow.checks(tree, given, flow.solve(tree, given))[-1]["name"] == "womersley number"


def test_mean_pressure_is_four_tenths_up_the_pulse() -> None:
    """80 + 0.4 x 40 (Bos et al. 2007), not the third that would give 93."""
    assert mean_aortic_pressure_mmhg(120, 80) == pytest.approx(96.0)


def test_resting_flow_is_one_millilitre_a_minute_and_gram_at_a_hundred_grams() -> None:
    """3.16 M^0.75: sixteen times the mass has eight times the flow."""
    assert resting_flow_ml_s(100) * 60 == pytest.approx(100)
    assert resting_flow_ml_s(1600) == pytest.approx(8 * resting_flow_ml_s(100))
    assert resting_flow_ml_s(150) * 60 == pytest.approx(3.16 * 150**0.75, rel=1e-3)  # 3.16 is rounded from 100^0.25


def test_the_resting_tree_passes_the_resting_flow() -> None:
    """Solved with the resting resistances, the healthy tree must give back flow and split: that is the calibration."""
    tree = coronary_tree()
    given = conditions(tree)
    rest = dataclasses.replace(given, resistance_hyperaemic_mmhg_s_ml=given.resistance_rest_mmhg_s_ml)

    solved = flow.solve(tree, rest)

    assert solved.outlet_flow_ml_s.sum() == pytest.approx(given["resting_flow_ml_s"], rel=1e-8)
    assert solved.outlet_flow_ml_s == pytest.approx(given.resting_flow_ml_s, rel=1e-8)


def test_hyperaemia_multiplies_flow_by_about_four_in_a_healthy_tree() -> None:
    """With 0.24 of the microvascular resistance, 4.2 times the flow if the epicardial vessels lost nothing; they lose some."""
    tree = coronary_tree()
    given = conditions(tree)

    reserve = flow.solve(tree, given).outlet_flow_ml_s.sum() / given["resting_flow_ml_s"]

    assert 3.5 < reserve < 1 / 0.24


def test_a_stenosis_does_not_change_the_microvasculature_behind_it() -> None:
    """Calibrated with the diseased vessel, autoregulation would be taken for a wider capillary bed and FFR come out too low."""
    healthy, diseased = conditions(coronary_tree(0.0)), conditions(coronary_tree(0.9))

    assert diseased.resistance_hyperaemic_mmhg_s_ml == pytest.approx(healthy.resistance_hyperaemic_mmhg_s_ml)


def test_no_reading_is_an_assumed_pressure_that_says_so() -> None:
    """0 means not measured; the report must be able to tell."""
    assumed, measured = pressure(0, 0), pressure(134, 76)

    assert (assumed.assumed, measured.assumed) == (True, False)
    assert assumed.value == pytest.approx(measured.value)
    assert "Cox" in assumed.source


@pytest.mark.parametrize(("systolic", "diastolic"), [(120, 0), (0, 80), (80, 120), (120, 120), (12, 8)])
def test_half_a_reading_is_refused(systolic: float, diastolic: float) -> None:
    """A swapped, missing or kPa-like value is a person's to correct; the message does not repeat it."""
    with pytest.raises(DataError, match="not one blood pressure reading") as error:
        pressure(systolic, diastolic)

    assert "120" not in str(error.value)


def test_the_segmented_mass_is_used_unless_one_is_given() -> None:
    """An MRI mass typed in wins over the CT's."""
    assert lv_mass(140.0, 0.0, {}) == Quantity(140.0, "g", False, "myocardium segmented on this CT")
    assert lv_mass(140.0, 155.0, {}).value == 155.0


@pytest.mark.parametrize(
    ("facts", "mass_g"),
    [
        pytest.param({"PatientSex": "M", "PatientSize": 1.80, "PatientWeight": 80.0}, 78.5 * 2.0, id="man, 2.0 m2"),
        pytest.param(
            {"PatientSex": "F", "PatientSize": "1.62", "PatientWeight": "72"}, 65.0 * 1.8, id="woman, 1.8 m2, as text"
        ),
        pytest.param({"PatientSex": "F"}, 65.0 * 1.75, id="size unknown"),
        pytest.param({}, 71.75 * 1.75, id="nothing known"),
        pytest.param({"PatientSex": "O", "PatientSize": 0.0, "PatientWeight": None}, 71.75 * 1.75, id="empty values"),
    ],
)
def test_an_unmeasured_mass_comes_from_sex_and_size(facts: dict[str, object], mass_g: float) -> None:
    """Budoff's index times Mosteller's surface, by hand: sqrt(180 x 80 / 3600) is 2.0."""
    found = lv_mass(None, 0.0, facts)

    assert found.value == pytest.approx(mass_g)
    assert found.assumed


def test_an_absurd_segmented_mass_is_not_believed() -> None:
    """900 g is a segmentation that leaked; the source says why another value stands there."""
    found = lv_mass(900.0, 0.0, {"PatientSex": "M"})

    assert found.assumed
    assert "not believed" in found.source


def test_a_tree_that_cannot_carry_its_resting_flow_is_a_data_error() -> None:
    """100 mm of 0.3 mm vessel for a whole heart: the radii are wrong, and a resistance below zero must not follow."""
    with pytest.raises(DataError, match="resting flow would lose"):
        conditions(Tree((tube("RCA", 100, 0.3),)))


def test_parameters_default_to_the_constants_that_carry_their_sources() -> None:
    """The pipeline declares them without importing; the two must not drift apart."""
    declared = {p.name: p.default for p in BOUNDARY.parameters}

    assert {name: declared[name] for name in CONSTANTS} == DEFAULTS
    assert str(blood.ASSUMED_SYSTOLIC_MMHG)[:3] in next(p.help for p in BOUNDARY.parameters if p.name == "systolic_mmhg")


def test_boundary_json_reads_back_as_it_was(tmp_path: Path) -> None:
    """The flow stage solves what this stage calibrated, to the nine digits that are written."""
    tree = coronary_tree()
    given = conditions(tree)

    write_boundary(given, tmp_path / "boundary.json")
    back = read_boundary(tmp_path / "boundary.json")

    assert (dict(back.values), back.places) == (dict(given.values), given.places)
    assert back.resistance_hyperaemic_mmhg_s_ml == pytest.approx(given.resistance_hyperaemic_mmhg_s_ml, rel=1e-8)


def test_another_processor_writes_the_same_bytes(tmp_path: Path) -> None:
    """Another kind of processor adds up a product of matrices in another order: its last bits differ, the file does not."""
    given = conditions(coronary_tree())
    elsewhere = dataclasses.replace(given, resistance_rest_mmhg_s_ml=np.nextafter(given.resistance_rest_mmhg_s_ml, 0))

    write_boundary(given, tmp_path / "here.json")
    write_boundary(elsewhere, tmp_path / "there.json")

    assert not np.array_equal(given.resistance_rest_mmhg_s_ml, elsewhere.resistance_rest_mmhg_s_ml)
    assert (tmp_path / "here.json").read_bytes() == (tmp_path / "there.json").read_bytes()


def test_the_stage_says_of_every_value_whether_it_was_assumed(tmp_path: Path) -> None:
    """boundary.json holds unit, source and the assumed mark of each value, and one entry an outlet that adds up."""
    write_tree(coronary_tree(), tmp_path / "tree.json")
    (tmp_path / "anatomy.json").write_text(json.dumps({"lv_mass_g": None}))
    (tmp_path / "quality.json").write_text(json.dumps({"facts": {"PatientSex": "F"}}))
    inputs = {name: tmp_path / f"{name}.json" for name in BOUNDARY.inputs}

    measured = run(inputs, tmp_path, **BOUNDARY.settings({"systolic_mmhg": 120, "diastolic_mmhg": 80}))  # type: ignore[arg-type]

    document = json.loads((tmp_path / "boundary.json").read_text())
    assert all(set(value) == {"value", "unit", "assumed", "source"} for value in document["values"].values())
    assert document["values"]["lv_mass_g"]["assumed"]
    assert not document["values"]["aortic_pressure_mmhg"]["assumed"]
    assert sum(outlet["flow_fraction"] for outlet in document["outlets"]) == pytest.approx(1.0)
    assert sum(outlet["station"] is None for outlet in document["outlets"]) == 6  # the tips
    assert (measured["pressure_assumed"], measured["lv_mass_assumed"], measured["aortic_pressure_mmhg"]) == (0, 1, 96.0)
