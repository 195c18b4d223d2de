"""Every case gets a report that says what was found, or why not and what to do, and nothing it must not say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import pypdf
import pytest

from algorithms.prostate import report
from algorithms.prostate.answer.result import REMEDIES, read_artefacts, result_document
from algorithms.prostate.pipeline import PIPELINE
from tests.algorithms.prostate.artefacts import BLURRED, UNSCALED, lacking, record

SCHEMA = json.loads((Path(report.__file__).parent / "result.schema.json").read_text())


def reported(inputs, folder, told):
    """Run the stage; return the folder it wrote into."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(told))
    out = folder / "out"
    out.mkdir()
    report.run(inputs | {"record": folder / "record.json"}, out)
    return out


def answer(out):
    """Return the result document, checked against its schema."""
    document = json.loads((out / "result.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


def changed(artefacts, folder, name, **fields):
    """Return the artefacts with fields of one document replaced."""
    document = json.loads(artefacts[name].read_text()) | fields
    (folder / f"{name}.json").write_text(json.dumps(document))
    return artefacts | {name: folder / f"{name}.json"}


def sheets(out):
    """Return the words of each page of the PDF with single spaces."""
    return [" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(out / "report.pdf").pages]


def words(out):
    """Return the words of the PDF with single spaces."""
    return " ".join(sheets(out))


@pytest.fixture(scope="module")
def answered(invented, tmp_path_factory):
    """Return the folder of an answered case's report."""
    return reported(invented, tmp_path_factory.mktemp("answered"), record())


@pytest.fixture(scope="module")
def pages(answered):
    """Return the words of each page of that report."""
    return sheets(answered)


def test_an_answered_case_gives_the_models_values(invented, answered):
    """What the report says is what risk.json says: values and intervals are copied, never computed again."""
    document = answer(answered)
    told = json.loads(invented["risk"].read_text())

    assert (document["verdict"], document["released"], document["reasons"]) == ("answered", True, [])
    assert document["risks"] == told["endpoints"]
    assert document["percentile"] == told["percentile"]
    assert document["model"]["encoder_sha256"] == "5a" * 32
    assert document["model"]["risk_model_sha256"] == "7c" * 32


def test_the_first_page_says_what_a_physician_asks_first(pages):
    """Risks of both endpoints, NCCN group, percentile, suggestion, biomarker, inputs with the missing one, and the slides."""
    first = pages[0]

    for said in (
        "15 % (11–22)", "6.0 % (4.1–9.1)", "favorable intermediate", "71 % have a lower risk", "Consider and discuss active",
        "ADT biomarker negative", "6.8 ng/ml", "missing", "4 slides received, 2 used", "synthetic patients",
    ):  # fmt: skip
        assert said in first, said


def test_every_page_says_what_the_report_may_not_be_used_for(pages):
    """A page may be printed or sent alone."""
    assert all("For research only, not a medical device" in sheet for sheet in pages)


def test_a_slide_that_was_not_used_is_listed_with_the_reason(answered, pages):
    """The case goes on with two of four slides and says so; their failed checks do not hold it."""
    told = {slide["label"]: slide for slide in answer(answered)["slides"]}

    assert {label: slide["state"] for label, slide in told.items()} == {
        "s01": "used", "s02": "used", "s03": "rejected", "s04": "rejected",
    }  # fmt: skip
    assert (told["s03"]["stage"], told["s03"]["reason"]) == ("tissue", BLURRED)
    assert (told["s04"]["stage"], told["s04"]["reason"]) == ("receive", UNSCALED)
    assert "The slide has no microns per pixel" in " ".join(pages)


def test_a_tile_that_could_not_be_read_is_reported_by_its_place(answered, pages):
    """A silent gap would be the worst defect: the tile's pixel position stands in result.json and in the report."""
    assert answer(answered)["slides"][1]["corrupt_tiles"] == [{"x": 448, "y": 336, "reason": "the tile's JPEG data ends early"}]
    assert "448, 336" in " ".join(pages)


def test_a_failed_check_of_the_model_withholds_every_risk(invented, tmp_path):
    """Slides unlike those learnt: the model's number means nothing, in no file, nor in a picture."""
    check = {"name": "distance_to_training", "value": 7.2, "unit": "1", "limit": "<= 3", "passed": False, "help": "far"}
    out = reported(changed(invented, tmp_path, "risk", checks=[check]), tmp_path / "r", record())
    document = answer(out)

    assert (document["verdict"], document["risk_withheld"], document["risk_group"]) == ("held", True, None)
    assert {end["risk"] for end in document["risks"]} == {None}
    assert (document["suggestions"], document["adt_biomarker"], document["percentile"]) == ([], None, None)
    assert document["reasons"][0]["message"] == "Distance to training is 7.2, wanted ≤ 3 (far)"
    assert {slide["attention"] for slide in document["slides"]} == {None}
    assert "15 %" not in words(out)
    assert "Risk over time" not in words(out)


def test_an_undecided_nccn_group_is_shown_and_holds_nothing(invented, tmp_path):
    """Missing variables are allowed; the report says what would decide the group."""
    nccn = {"group": None, "title": "undecided", "edition": "Version 6.2026", "reasons": ["open"], "missing": ["t_stage"]}
    inputs = changed(invented, tmp_path, "clinical", nccn=nccn)
    out = reported(changed(inputs, tmp_path, "risk", percentile=None, risk_group=None, adt=None), tmp_path / "r", record())

    assert answer(out)["verdict"] == "answered"
    assert "undecided" in sheets(out)[0]


@pytest.mark.parametrize("stage", [s.name for s in PIPELINE.stages if not s.always])
def test_a_case_refused_by_any_stage_has_its_reason_and_a_remedy(invented, stage):
    """Whatever artefacts exist at that point, the document holds to the schema and says what to do."""
    document = result_document(record(stage, "data", "found 3, wanted 4"), read_artefacts(lacking(invented, stage)))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)

    assert (document["verdict"], document["released"]) == ("rejected", False)
    assert document["reasons"][0] | {"remedy": ""} == {
        "stage": stage, "message": "found 3, wanted 4", "remedy": "", "reference": None,
    }  # fmt: skip
    assert document["reasons"][0]["remedy"] in REMEDIES.values()


def test_a_case_refused_at_the_door_still_has_a_report(tmp_path):
    """Nothing exists but the record: sentence and remedy stand on the first page."""
    out = reported({}, tmp_path, record("receive", "data", "found 3 files, none of which is a slide"))

    assert "Found 3 files, none of which is a slide." in sheets(out)[0]
    assert answer(out)["reasons"][0]["remedy"] in sheets(out)[0]


def test_a_case_whose_slides_were_all_refused_shows_them(invented, tmp_path):
    """The stage tissue leaves nothing when it refuses a case, so the report draws the de-identified slides as they are."""
    out = reported(lacking(invented, "tissue"), tmp_path, record("tissue", "data", "none of 3 slides can be answered"))

    assert (out / "report.html").read_text().count("data:image/jpeg") == 3
    assert answer(out)["verdict"] == "rejected"


def test_a_case_refused_after_the_slides_were_judged_shows_them(invented, tmp_path):
    """The pictures are drawn by the report itself where the render stage did not come to it."""
    shutil.copytree(invented["tissue"] / "s02", tmp_path / "tissue" / "s02")
    inputs = lacking(invented, "aggregate") | {"tissue": tmp_path / "tissue"}
    out = reported(inputs, tmp_path / "r", record("aggregate", "data", "no tile could be read"))

    assert (out / "report.html").read_text().count("data:image/jpeg") == 1


@pytest.mark.parametrize("kind", ["bug", "transient"])
def test_an_error_of_the_program_is_not_repeated(tmp_path, kind):
    """The message of an unexpected error may hold a value from the patient's file: the report gives a reference instead."""
    out = reported({}, tmp_path, record("receive", kind, "ValueError: Doe^John"))
    document = answer(out)

    assert (document["verdict"], document["reasons"][0]["stage"]) == ("failed", "receive")
    assert document["reasons"][0]["reference"].startswith("demo-0002/receive/00abab")
    assert not any(b"Doe^John" in path.read_bytes() for path in out.iterdir())


def test_a_pipeline_stopped_by_hand_is_no_answer(invented):
    """Silence must not read as a low risk."""
    told = record("recommend", "bug", "")
    for stage in told["stages"]:
        if stage["state"] == "failed":
            stage |= {"state": "not run", "failure": None, "key": None}
    document = result_document(told, read_artefacts(lacking(invented, "recommend")))

    assert document["verdict"] == "failed"
    assert "the stage recommend has not been run" in document["reasons"][0]["message"]


def test_equal_cases_have_equal_reports(invented, answered, tmp_path):
    """Byte for byte: the three files depend on nothing but the artefacts and the record."""
    again = reported(invented, tmp_path, record())

    hashes = [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()} for out in (answered, again)]
    assert hashes[0] == hashes[1]
    assert set(hashes[0]) == {output.path for output in PIPELINE.stage("report").outputs}


def fields(schema):
    """Yield the names of all fields that a schema declares, at every depth."""
    for name, entry in schema.get("properties", {}).items():
        yield name
        yield from fields(entry)
    for inner in (*([schema["items"]] if "items" in schema else ()), *schema.get("oneOf", ())):
        yield from fields(inner)


def test_every_field_is_documented():
    """A field that docs/result.md does not name cannot be used by anybody who has not read the code."""
    told = (Path(report.__file__).parents[2] / "docs" / "result.md").read_text()

    assert [name for name in dict.fromkeys(fields(SCHEMA)) if f"`{name}`" not in told] == []
