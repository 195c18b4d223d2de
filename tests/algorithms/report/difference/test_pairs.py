"""Which value of the old answer is set beside which of the new one, and what crossed."""

from __future__ import annotations

import pytest

from algorithms.contract.catalogue import pipelines
from algorithms.contract.pipeline import Compared
from algorithms.report.difference.pairs import VERDICT, Answers, compared_series, side
from tests.algorithms.report.difference.invented_answers import answer, stenosis

VESSEL = Compared("FFR", "vessels.ffr", subject=("vessel",), bounds=(0.80,))
LESION = Compared("FFR", "stenoses.ffr", subject=("label",), position="throat_mm", within_mm=6.0, bounds=(0.80,))
NARROWED = Compared(
    "Stenosis", "stenoses.diameter_stenosis", subject=("label",), bounds=(50, 70), bound_is="above", scale=100, digits=0
)
CATEGORY = Compared("Category", "cad_rads.category", order=("0", "1", "2", "3"))


def of(compared, old, new):
    """Return the one series that two answers of one case give."""
    (series,) = compared_series(compared, [Answers("0" * 16, old, new)])
    return series


@pytest.mark.parametrize(
    ("old", "new", "crossed"),
    [
        pytest.param(0.81, 0.80, True, id="to the limit"),
        pytest.param(0.81, 0.79, True, id="over the limit"),
        pytest.param(0.79, 0.81, True, id="back over it"),
        pytest.param(0.80, 0.79, False, id="from the limit down"),
        pytest.param(0.804, 0.796, False, id="both are shown as 0.80"),
        pytest.param(0.806, 0.804, True, id="shown as 0.81 and 0.80"),
        pytest.param(0.95, 0.85, False, id="far above"),
    ],
)
def test_a_value_crosses_the_limit_as_it_is_read(old, new, crossed):
    """0.80 is on the side of ischaemia, and a physician sees two digits: what they show decides, as for the bands."""
    (pair,) = of(VESSEL, answer({"LAD": old}), answer({"LAD": new})).pairs

    assert pair.crossed == ((0.80,) if crossed else ())


@pytest.mark.parametrize(
    ("old", "new", "crossed"), [(0.494, 0.496, (50,)), (0.50, 0.69, ()), (0.69, 0.70, (70,)), (0.2, 0.9, (50, 70))]
)
def test_a_limit_may_belong_to_the_upper_side(old, new, crossed):
    """50 % is a moderate stenosis already; one step may cross both limits."""
    before, after = ([stenosis("L1", (0, 0, 0), None, value)] for value in (old, new))

    assert of(NARROWED, answer({}, before), answer({}, after)).pairs[0].crossed == crossed


def test_a_lesion_is_found_again_by_its_place_and_not_by_its_number():
    """A new lesion in front takes the number of the old one: L1 at 10 mm is now L2, and its FFR is the one to compare."""
    old = answer({}, [stenosis("L1", (10, 0, 0), 0.85)])
    new = answer({}, [stenosis("L1", (40, 0, 0), 0.95), stenosis("L2", (12, 1, 0), 0.79)])

    found = of(LESION, old, new)

    assert [(p.subject, p.old, p.new, p.crossed) for p in found.pairs] == [("L1 → L2", 0.85, 0.79, (0.80,))]
    assert [(u.subject, u.reason) for u in found.unpaired] == [("L1", "only in the new answer")]


def test_the_nearest_lesions_are_paired_first_and_each_once():
    """Two lesions 5 mm apart that both moved by 2 mm: the sum of distances decides, not the order of the list."""
    old = answer({}, [stenosis("L1", (0, 0, 0), 0.9), stenosis("L2", (5, 0, 0), 0.8)])
    new = answer({}, [stenosis("L1", (6, 0, 0), 0.7), stenosis("L2", (1, 0, 0), 0.6)])

    assert [(p.subject, p.new) for p in of(LESION, old, new).pairs] == [("L1 → L2", 0.6), ("L2 → L1", 0.7)]


def test_what_is_in_one_answer_only_is_listed():
    """A vessel that the new answer lacks, one without a value where FFR is withheld; one that never had a value is nothing."""
    found = of(VESSEL, answer({"LAD": 0.9, "LCx": 0.8, "RCA": None}), answer({"LAD": None, "RCA": None}))

    assert found.pairs == ()
    assert [(u.subject, u.reason) for u in found.unpaired] == [
        ("LAD", "without a value in the new answer"),
        ("LCx", "only in the old answer"),
    ]


def test_a_refused_case_has_nothing_to_pair_and_says_so():
    """Today's stages refuse what an older version answered: every value and the category are in the old answer only."""
    old, new = answer({"LAD": 0.9}, category="1"), answer({}, category=None, verdict="rejected")

    assert [u.reason for u in of(VESSEL, old, new).unpaired] == ["only in the old answer"]
    assert [u.reason for u in of(CATEGORY, old, new).unpaired] == ["without a value in the new answer"]
    assert [(w.old, w.new, w.step) for w in of(VERDICT, old, new).words] == [("answered", "rejected", 2)]


def test_words_move_along_their_order():
    """From 2 to 3 is one step graver, from 2 to 0 two steps back; a word that nobody declared has no direction."""
    steps = [of(CATEGORY, answer({}, category="2"), answer({}, category=new)).words[0].step for new in ("3", "0", "2", "N")]

    assert steps == [1, -2, 0, 0]


def test_subjects_that_stand_apart_are_series_of_their_own():
    """A risk at 5 years and one at 10 years have no bias in common."""
    risks = {"risks": [{"label": "5 years", "risk": 0.1}, {"label": "10 years", "risk": 0.2}]}

    found = compared_series(Compared("Risk", "risks.risk", subject=("label",), apart=True), [Answers("0" * 16, risks, risks)])

    assert [(series.compared.name, len(series.pairs)) for series in found] == [("Risk: 5 years", 1), ("Risk: 10 years", 1)]


def test_an_empty_answer_is_no_error():
    """A stage in stub mode writes an empty document; nothing can be paired."""
    for compared in (VESSEL, LESION, NARROWED, CATEGORY, VERDICT):
        found = of(compared, {}, {})
        assert (found.pairs, found.words, found.unpaired) == ((), (), ())


@pytest.mark.parametrize("pipeline", pipelines().values(), ids=lambda p: p.name)
def test_what_a_pipeline_compares_is_in_its_answers(pipeline):
    """A path that no answer has would compare nothing for ever: the schema of the answer must know it."""
    assert pipeline.compared
    schema = schema_of(pipeline.name)
    for compared in pipeline.compared:
        *way, name = compared.path.split(".")
        fields = properties(schema, schema)
        for step in way:
            fields = properties(fields[step], schema)
        assert {name, *compared.subject, compared.position} - {""} <= set(fields)


def test_a_bound_has_a_side_itself():
    """0.80 counts as below for FFR."""
    assert [side(VESSEL, value, 0.80) for value in (0.79, 0.80, 0.81)] == ["below", "below", "above"]


def schema_of(pipeline):
    """Return the published schema of a pipeline's answer."""
    import json

    from algorithms.contract.pipeline import PROJECT

    return json.loads((PROJECT / f"algorithms/{pipeline}/result.schema.json").read_text())


def properties(node, schema):
    """Return the fields of an object, or of the entries of a list, through references and alternatives with null."""
    if "$ref" in node:
        found = schema
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return properties(found, schema)
    if "properties" in node:
        return node["properties"]
    if "items" in node:
        return properties(node["items"], schema)
    return next((found for one in node.get("oneOf", node.get("anyOf", ())) if (found := properties(one, schema))), {})
