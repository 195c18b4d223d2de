"""Clinical variables of a case: the case's word before the file's, problems that stop, gaps that are shown."""

from __future__ import annotations

import json

import pytest

from algorithms.contract.errors import DataError
from algorithms.prostate.clinical import NOT_GIVEN, clinical, given_values, run
from algorithms.prostate.pipeline import CLINICAL, PIPELINE
from algorithms.prostate.rules.nccn import nccn_group
from algorithms.prostate.variables import DOCUMENT, VARIABLES, declared

MAN = {
    "age_years": 67,
    "psa_ng_ml": 8.4,
    "gleason_primary": 3,
    "gleason_secondary": 4,
    "t_stage": "T2a",
    "percent_positive_cores": 33.3,
}


def answer(tmp_path, document, **settings):
    """Run the stage on what the file says, with the parameters as the case would give them; return clinical.json."""
    path = tmp_path / "declared.json"
    path.write_text(json.dumps(declared(document)))
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    run({"declared": path}, out, **CLINICAL.settings(settings))
    return json.loads((out / "clinical.json").read_text())


def test_a_complete_file_needs_no_parameters(tmp_path):
    """Values as written, each from the file; grade group 2 by Epstein et al., favorable intermediate by PROS-2."""
    result = answer(tmp_path, MAN)

    assert {name: entry["value"] for name, entry in result["values"].items()} == MAN
    assert {entry["origin"] for entry in result["values"].values()} == {"file"}
    assert result["gleason_score"] == "3+4=7"
    assert result["isup_grade_group"] == 2
    assert result["nccn"] == nccn_group(MAN)
    assert result["nccn"]["group"] == "favorable intermediate"


def test_without_a_file_the_case_gives_the_values(tmp_path):
    """A man without clinical.json: receive declares nothing, --set gives each."""
    result = answer(tmp_path, {}, **MAN)

    assert {name: entry["value"] for name, entry in result["values"].items()} == MAN
    assert {entry["origin"] for entry in result["values"].values()} == {"given"}


def test_the_case_has_the_last_word(tmp_path):
    """A corrected PSA replaces the file's, and the report can tell which one it was."""
    result = answer(tmp_path, MAN, psa_ng_ml="25")

    assert result["values"]["psa_ng_ml"] == {"value": 25.0, "unit": "ng/ml", "origin": "given", "title": "PSA before biopsy"}
    assert result["nccn"]["group"] == "high"


def test_missing_variables_are_shown_and_nothing_is_put_in_their_place(tmp_path):
    """Allowed, and visible: value null, origin missing, group undecided."""
    result = answer(tmp_path, {"gleason_primary": 3})

    assert result["values"]["age_years"] == {"value": None, "unit": "years", "origin": "missing", "title": "age at biopsy"}
    assert result["gleason_score"] is None
    assert result["isup_grade_group"] is None
    assert result["nccn"]["group"] is None


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_value_that_cannot_be_used_stops_the_case_unless_another_is_given(name, tmp_path):
    """A risk from a mistyped value is worse than none; the message names variable, bounds and remedy."""
    with pytest.raises(DataError, match=rf"clinical.json: {name} is .*wanted .*--set {name}=\.\.\."):
        answer(tmp_path, MAN | {name: 4711})

    assert answer(tmp_path, MAN | {name: 4711}, **{name: MAN[name]})["values"][name]["origin"] == "given"


def test_a_file_that_cannot_be_read_stops_the_case_unless_everything_is_given(tmp_path):
    """Nobody knows what it said of the variables that were not given."""
    with pytest.raises(DataError, match=r"--set age_years=\.\.\. .*--set percent_positive_cores=\.\.\."):
        answer(tmp_path, ["not an object"])
    with pytest.raises(DataError, match=r"give --set age_years=\.\.\.$"):
        answer(tmp_path, None, **{name: value for name, value in MAN.items() if name != "age_years"})

    assert answer(tmp_path, None, **MAN)["nccn"]["group"] == "favorable intermediate"


@pytest.mark.parametrize(
    ("name", "value"),
    [("age_years", 17), ("psa_ng_ml", 0.05), ("gleason_primary", 2), ("gleason_secondary", 1), ("percent_positive_cores", 0.5)],
)
def test_a_given_value_within_the_form_but_out_of_bounds_stops_the_case(name, value, tmp_path):
    """0 means "not given", so the form lets through what lies between it and the least possible value."""
    with pytest.raises(DataError, match=rf"^{name}, given with --set .*is below its bounds"):
        answer(tmp_path, MAN, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("age_years", 93),
        ("psa_ng_ml", 1001),
        ("psa_ng_ml", "nan"),
        ("gleason_primary", 6),
        ("t_stage", "pT2"),
        ("age_years", 67.5),
    ],
)
def test_the_form_refuses_what_no_man_has_without_repeating_it(name, value):
    """Also an age above 90: parameters are kept in the manifest, where an age over 89 must not stand."""
    with pytest.raises(DataError) as refusal:
        PIPELINE.parse({name: value})

    assert name in str(refusal.value)
    assert str(value) not in str(refusal.value)


def test_the_form_and_the_file_agree_on_units_bounds_and_stages():
    """pipeline.py may import nothing, so it says again what variables.py says."""
    assert [p.name for p in CLINICAL.parameters] == list(VARIABLES)
    for parameter in CLINICAL.parameters:
        variable = VARIABLES[parameter.name]
        assert parameter.default in NOT_GIVEN
        if variable.choices:
            assert parameter.choices == ("as in clinical.json", *variable.choices)
        else:
            assert (parameter.unit, parameter.minimum, type(parameter.default)) == (variable.unit, 0, variable.kind)
            assert parameter.maximum == (90 if parameter.name == "age_years" else variable.maximum)
            assert f"{variable.minimum:g}" in parameter.help


def test_the_rules_are_part_of_the_result_s_key():
    """With other rules the same man may be in another group: the result must be computed anew."""
    assert PIPELINE.stage("clinical").files({}) == ("algorithms/prostate/rules/nccn.toml",)


def test_an_age_over_89_is_stored_as_90_and_a_stage_without_letter_is_noted(tmp_path):
    """Both notes are for the reader of the report."""
    result = answer(tmp_path, MAN | {"age_years": 97, "t_stage": "cT2"})

    assert result["values"]["age_years"]["value"] == 90
    assert len(result["notes"]) == 2


def test_dropped_fields_are_counted_through(tmp_path):
    """The report can say that the file held more than was used."""
    assert answer(tmp_path, MAN | {"name": "x", "ward": 3})["dropped_fields"] == 2


def test_the_answer_does_not_depend_on_the_order_of_the_file(tmp_path):
    """Same man, same bytes."""
    first = json.dumps(answer(tmp_path, MAN))

    assert first == json.dumps(answer(tmp_path, dict(reversed(MAN.items()))))


def test_nothing_is_given_where_every_parameter_is_at_its_default():
    """The convention of every parameter of this stage."""
    assert given_values(CLINICAL.settings({})) == {}


def test_a_document_problem_names_the_document_once():
    """A sentence for a person: no "clinical.json: clinical.json is"."""
    with pytest.raises(DataError) as refusal:
        clinical(declared([]), {})

    assert str(refusal.value).count(DOCUMENT) == 1
