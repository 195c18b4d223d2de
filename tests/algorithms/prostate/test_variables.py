"""Clinical variables: what a file may say of a man, and that nothing else of it survives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.phantom.biopsy.man import man
from algorithms.prostate.rules.nccn import nccn_group, stratification
from algorithms.prostate.variables import DOCUMENT, T_STAGES, VARIABLES, declared, read_declared

DOCS = Path(__file__).resolve().parents[3] / "docs" / "prostate.md"

MAN = {
    "age_years": 67,
    "psa_ng_ml": 8.4,
    "gleason_primary": 3,
    "gleason_secondary": 4,
    "t_stage": "T2a",
    "percent_positive_cores": 33.3,
}


def written(folder: Path, raw: bytes) -> Path:
    """Return the path of a clinical.json with these bytes."""
    path = folder / "clinical.json"
    path.write_bytes(raw)
    return path


def test_a_complete_man_is_read_as_written():
    """All six within bounds: nothing to complain about, nothing dropped."""
    assert declared(MAN) == {"values": MAN, "problems": {}, "dropped_fields": 0}


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_missing_or_null_variable_is_no_problem(name):
    """Missing values are allowed; an export writes null where it has none."""
    absent = {key: value for key, value in MAN.items() if key != name}

    assert declared(absent) == declared(absent | {name: None}) == {"values": absent, "problems": {}, "dropped_fields": 0}


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("age_years", (18, 90), (17, 121, 0, -5)),
        ("psa_ng_ml", (0.1, 1000), (0.09, 1000.5, 0, -1)),
        ("gleason_primary", (3, 5), (2, 6, 0)),
        ("gleason_secondary", (3, 5), (2, 6, 10)),
        ("percent_positive_cores", (1.5, 100), (0.5, 1.0, 101, 0)),
    ],
)
def test_bounds_are_inclusive_and_a_value_outside_is_a_problem(name, inside, outside):
    """The table of docs/prostate.md; a percentage typed as a fraction (0.5, 1.0) falls below the least possible percentage."""
    for value in inside:
        assert declared({name: value})["values"] == {name: value}
    for value in outside:
        result = declared({name: value})
        assert result["values"] == {}
        assert result["problems"][name].startswith(f"{name} is ")


@pytest.mark.parametrize("age", [90, 91, 104, 120])
def test_an_age_over_89_is_stored_as_90(age):
    """45 CFR 164.514(b)(2)(i)(C): older ages identify, and are aggregated into one category."""
    assert declared({"age_years": age})["values"] == {"age_years": 90}


@pytest.mark.parametrize(
    ("given_stage", "stage"),
    [
        ("T1c", "T1c"),
        ("cT1c", "T1c"),
        ("CT2A", "T2a"),
        (" c T3b ", "T3b"),
        ("t4", "T4"),
        ("T2", "T2"),
        ("TX", None),
        ("cTx", None),
    ],
)
def test_t_stages_are_read_with_or_without_the_c_of_clinical(given_stage, stage):
    """TX is AJCC's way to say "not assessed", which is a missing value and no mistake."""
    expected = {} if stage is None else {"t_stage": stage}

    assert declared({"t_stage": given_stage}) == {"values": expected, "problems": {}, "dropped_fields": 0}


@pytest.mark.parametrize(
    "stage",
    ["pT2a", "ypT2", "T5", "T4a", "2a", "cc T2", "", "T", 2, ["T2a"], {"t": 1}, True, "T2a" + " " * 100, "T٢a", "T2\x00a"],
)
def test_what_is_no_clinical_t_stage_is_a_problem(stage):
    """A stage from a removed prostate (pT) means another thing; digits of other scripts are not digits here."""
    result = declared({"t_stage": stage})

    assert result["values"] == {}
    assert "clinical T stage" in result["problems"]["t_stage"] or "is no text" in result["problems"]["t_stage"]


def test_a_stage_without_its_letter_leaves_its_subcategories_open():
    """Every stage means itself, or exactly the lettered ones below it."""
    for stage, meant in T_STAGES.items():
        assert meant == (
            (stage,) if stage[2:] or stage == "T4" else tuple(s for s in T_STAGES if s[:2] == stage and s != stage)
        )


@pytest.mark.parametrize(
    "value",
    [True, False, "67", "٦٧", "", [67], {"value": 67}, math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e308, "NaN"],
)
@pytest.mark.parametrize("name", sorted(set(VARIABLES) - {"t_stage"}))
def test_what_is_not_a_number_within_bounds_is_a_problem(name, value):
    """JSON's true is 1 to Python, and int() reads digits of any script: neither is what a person meant."""
    result = declared({name: value})

    assert result["values"] == {}
    assert list(result["problems"]) == [name]


@pytest.mark.parametrize("name", ["age_years", "gleason_primary", "gleason_secondary"])
def test_whole_numbers_may_be_written_with_a_point_but_have_no_fraction(name):
    """Exports write 4.0 for 4; 4.5 is nobody's pattern."""
    whole = 45.0 if name == "age_years" else 4.0

    assert declared({name: whole})["values"] == {name: int(whole)}
    assert declared({name: whole + 0.5})["values"] == {}


def test_every_synthetic_man_is_one_that_the_file_may_describe():
    """The phantom's clinic and this form speak of the same six variables, in the same units."""
    men = [man(np.random.default_rng(seed)) for seed in range(300)]

    for one in men:
        known = {name: getattr(one, name) for name in VARIABLES}
        assert declared(known) == {"values": known, "problems": {}, "dropped_fields": 0}
    assert {nccn_group({name: getattr(one, name) for name in VARIABLES})["group"] for one in men} == set(
        stratification().groups
    )


@pytest.mark.parametrize("document", [None, 5, "text", [MAN], True, []])
def test_a_document_that_is_no_object_is_one_problem(document):
    """It names the file, so that the person knows what to mend."""
    assert list(declared(document)["problems"]) == [DOCUMENT]


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda variable: variable.name)
def test_the_document_says_the_bounds_that_are_in_force(variable):
    """A person reads docs/prostate.md before writing the file."""
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith("|") and f"`{variable.name}`" in line)

    assert variable.wanted.removeprefix("one of ").removesuffix(f" {variable.unit}") in row
    assert variable.unit in row


def test_other_fields_are_counted_and_forgotten():
    """Only names of the six survive, and of the rest not even the name."""
    document = MAN | {"PatientName": "Doe^John", "born": {"year": 1950}, "PSA_NG_ML": 4}
    result = declared(document)

    assert result["dropped_fields"] == 3
    assert "Doe" not in json.dumps(result)
    assert "PatientName" not in json.dumps(result)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"not json",
        b"\xff\xfe\x00\xd8",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"psa_ng_ml": ' + b"9" * 5000 + b"}",
        b'{"psa_ng_ml": 4, "psa_ng_ml": 40}',
        b'{"psa_ng_ml": 4} {"psa_ng_ml": 5}',
        b'{"x": "' + b"a" * (1 << 20) + b'"}',
    ],
    ids=["empty", "zero", "text", "bytes", "nested lists", "nested objects", "5000 digits", "twice", "two objects", "large"],
)
def test_a_hostile_file_is_one_problem_of_the_file(raw, tmp_path):
    """Whatever the bytes, the answer is a sentence for a person, never an exception."""
    result = read_declared(written(tmp_path, raw))

    assert result["values"] == {}
    assert result["problems"][DOCUMENT].startswith(DOCUMENT)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_is_read_in_any_encoding_that_json_allows(encoding, tmp_path):
    """Windows editors write UTF-8 with a mark, or UTF-16."""
    assert read_declared(written(tmp_path, json.dumps(MAN).encode(encoding)))["values"] == MAN


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)) | st.text(), ANYTHING, max_size=8))
def test_whatever_is_written_values_are_valid_and_everything_is_accounted_for(document: dict[str, Any]):
    """A known field is a value, a problem or not known; any other is counted; values pass their own check again."""
    result = declared(document)

    assert set(result["values"]).isdisjoint(result["problems"])
    assert result["dropped_fields"] == len(set(document) - set(VARIABLES))
    assert declared(result["values"]) == {"values": result["values"], "problems": {}, "dropped_fields": 0}
    json.dumps(result, allow_nan=False)


@given(st.sampled_from(sorted(VARIABLES)), st.text(alphabet="QWZJXKVY", min_size=6))
def test_no_sentence_repeats_what_was_written(name, secret):
    """What stands in the wrong field may be a name; letters that no sentence of ours has six of in a row."""
    assert secret not in json.dumps(declared({name: secret}))
