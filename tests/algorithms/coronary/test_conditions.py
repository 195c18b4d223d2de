"""What an engineer gives at the openings is taken as it is, or refused by the name of its field."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import Condition, conditions_of, read_conditions, require_openings
from algorithms.coronary.geometry.shape import Opening

GIVEN = {
    "inlets": {"inlet": {"pressure_pa": 12000}},
    "outlets": {"LAD": {"resistance_pa_s_m3": 1.1e10}, "D1": {"pressure_pa": 9000}},
    "distal_pressure_pa": 700,
    "fluid": {"density_kg_m3": 1050, "viscosity_pa_s": 0.004},
}

SPLIT = {
    "inlets": {"inlet": {"pressure_pa": 12000, "flow_m3_s": 2e-6}},
    "outlets": {"LAD": {"flow_fraction": 0.7}, "D1": {"flow_fraction": 0.3}},
}


def changed(document, *path, to):
    """Return the document with one value changed; ``None`` takes it out."""
    document = copy.deepcopy(document)
    place = document
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


def test_what_is_given_is_taken(tmp_path):
    """Nothing is rounded, converted or assumed."""
    path = tmp_path / "boundary.json"
    path.write_text(json.dumps(GIVEN))
    found = read_conditions(path)

    assert found.inlets == {"inlet": Condition(pressure_pa=12000)}
    assert found.outlets == {"LAD": Condition(resistance_pa_s_m3=1.1e10), "D1": Condition(pressure_pa=9000)}
    assert (found.distal_pressure_pa, found.density_kg_m3, found.viscosity_pa_s) == (700, 1050, 0.004)
    assert found.assumed == ()


def test_what_is_left_out_is_assumed_and_said():
    """5 mmHg behind the resistances and the blood of the pipeline."""
    found = conditions_of(SPLIT)

    assert found.distal_pressure_pa == pytest.approx(666.61)
    assert (found.density_kg_m3, found.viscosity_pa_s) == (1060, 0.0035)
    assert set(found.assumed) == {"distal_pressure_pa", "density_kg_m3", "viscosity_pa_s"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param(changed(GIVEN, "inlets", "inlet", "pressure_pa", to=90), r"inlets.inlet.pressure_pa is 90 Pa", id="mmHg"),
        pytest.param(
            changed(GIVEN, "inlets", "inlet", "pressure_pa", to=-5), "wanted a number from 2000 to 40000", id="suction"
        ),
        pytest.param(changed(GIVEN, "inlets", "inlet", "pressure_pa", to=1e6), r"1e\+06 Pa, wanted", id="ten bar"),
        pytest.param(changed(GIVEN, "inlets", "inlet", "pressure_pa", to="12"), "is '12', wanted a number", id="word"),
        pytest.param(changed(GIVEN, "inlets", "inlet", to={"flow_m3_s": 1.5}), "multiply a value in ml/s by 1e-6", id="ml/s"),
        pytest.param(changed(GIVEN, "fluid", "viscosity_pa_s", to=3.5), "fluid.viscosity_pa_s is 3.5 Pa s", id="cP"),
        pytest.param(changed(GIVEN, "fluid", "density_kg_m3", to=1.06), "multiply a value in g/ml by 1000", id="g/ml"),
        pytest.param(changed(GIVEN, "outlets", "LAD", "resistance_pa_s_m3", to=0), "LAD.resistance_pa_s_m3 is 0", id="zero"),
        pytest.param(changed(GIVEN, "outlets", "D1", "pressure_pa", to=12000), "blood would flow backwards", id="uphill"),
        pytest.param(changed(GIVEN, "outlets", to={}), "outlets: ", id="no outlet"),
        pytest.param(changed(GIVEN, "inlets", to=None), "'inlets' is a required property", id="no inlet"),
        pytest.param(changed(GIVEN, "outlets", "D1", "flow_fraction", to=0.2), "outlets.D1: ", id="two conditions"),
        pytest.param(changed(GIVEN, "outlets", "D1", to={"flow_fraction": 0.2}), "1 of 2 outlets have", id="mixed"),
        pytest.param(changed(SPLIT, "outlets", "D1", "flow_fraction", to=0.4), "add up to 1.1, wanted 1", id="sum"),
        pytest.param(changed(SPLIT, "inlets", "inlet", "flow_m3_s", to=None), "inlets.inlet lacks flow_m3_s", id="no flow"),
        pytest.param(changed(SPLIT, "inlets", "inlet", "pressure_pa", to=None), "lacks pressure_pa", id="no level"),
        pytest.param(changed(GIVEN, "inlets", "inlet", "flow_m3_s", to=1e-6), "has both pressure_pa and flow_m3_s", id="both"),
        pytest.param(changed(GIVEN, "heart_rate", to=60), "'heart_rate' was unexpected", id="unknown"),
    ],
)
def test_what_is_not_physical_or_not_enough_is_refused(document, said):
    """Each message names the field."""
    with pytest.raises(DataError, match=said):
        conditions_of(document)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    """The place of the mistake is told."""
    path = tmp_path / "boundary.json"
    path.write_text('{"inlets": ')

    with pytest.raises(DataError, match=r"boundary.json is no JSON: .* line 1"):
        read_conditions(path)


def test_conditions_are_held_against_the_openings():
    """A name that the geometry does not have, and an opening without a condition, are refused with the names there are."""
    openings = [Opening(n, n == "inlet", np.zeros(3), np.array([0, 0, 1.0]), 1.5) for n in ("inlet", "LAD", "D1")]
    require_openings(conditions_of(GIVEN), openings)

    with pytest.raises(DataError, match=r"outlets names LAD; the geometry's outlets are LCx, D1"):
        require_openings(conditions_of(GIVEN), [openings[0], Opening("LCx", False, *[np.zeros(3)] * 2, 1.0), openings[2]])
    with pytest.raises(DataError, match=r"outlets lacks OM1; the geometry's outlets are LAD, D1, OM1"):
        require_openings(conditions_of(GIVEN), [*openings, Opening("OM1", False, *[np.zeros(3)] * 2, 1.0)])
