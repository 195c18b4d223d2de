"""Every case gets a report that says what was found, or why not and what to do, and nothing it must not say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pypdf
import pytest

from algorithms.coronary import report
from algorithms.coronary.answer.cadrads import suggest
from algorithms.coronary.answer.page_one import answered
from algorithms.coronary.answer.result import Artefacts, result_document
from algorithms.coronary.answer.sections import probability_text
from algorithms.coronary.answer.words import VOCABULARY
from algorithms.coronary.pipeline import PIPELINE
from tests.algorithms.coronary.invented_case import build, invented_tree, record

SCHEMA = json.loads((Path(report.__file__).parent / "result.schema.json").read_text())
DOUBT = "the right coronary artery ends 41 mm after its ostium, wanted 60 mm or more"
REFUSAL = "contrast in the aorta is 143 HU, wanted 250 HU or more; ask for a scan with contrast timed to the coronary arteries"
BEYOND = ("anatomy", "tree", "boundary", "flow", "ffr")
"""Artefacts that a case refused by the anatomy stage lacks."""


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """Return the artefacts of a case that can be answered, without pictures."""
    return build(tmp_path_factory.mktemp("case"), spacing_mm=2.0)


def reported(inputs, folder, told, lacking=()):
    """Run the stage on ``inputs`` without those ``lacking``; return the folder it wrote into."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(told))
    given = {name: path for name, path in inputs.items() if name not in lacking} | {"record": folder / "record.json"}
    out = folder / "out"
    out.mkdir()
    report.run(given, out)
    return out


def answer(out):
    """Return the result document, checked against its schema."""
    document = json.loads((out / "result.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


def words(out):
    """Return the words of the PDF with single spaces."""
    return " ".join(" ".join(sheet.extract_text() for sheet in pypdf.PdfReader(out / "report.pdf").pages).split())


def test_an_answered_case_gives_the_measured_values(artefacts, tmp_path):
    """What the report says is what the artefacts say: FFR, interval and band are copied, never computed again."""
    out = reported(artefacts, tmp_path, record())
    document = answer(out)
    told = json.loads(artefacts["ffr"].read_text())["lesions"][0]
    shown = f"{told['ffr']:.2f} ({told['ffr_low']:.2f}–{told['ffr_high']:.2f})"

    assert (document["verdict"], document["released"], document["reasons"]) == ("answered", True, [])
    assert [document["stenoses"][0][name] for name in ("ffr", "ffr_low", "ffr_high", "band")] == [
        told[name] for name in ("ffr", "ffr_low", "ffr_high", "band")
    ]
    assert document["branches"][1]["ffr"] == json.loads(artefacts["ffr"].read_text())["branches"][1]["ffr"]
    assert document["privacy"]["values_found"] == 0
    assert shown in words(out)
    assert shown in (out / "report.html").read_text()


def test_every_band_has_its_probability_in_all_three_files(artefacts, tmp_path):
    """Copied into the document, and in whole per cent that add up to 100 on the page and in print, at lesion and vessel."""
    out = reported(artefacts, tmp_path, record())
    told = json.loads(artefacts["ffr"].read_text())
    document = answer(out)

    for name, source in (("stenoses", told["lesions"]), ("vessels", told["vessels"])):
        assert [e["band_probability"] for e in document[name]] == [e["band_probability"] for e in source]
    for entry in [*document["stenoses"], *document["vessels"]]:
        shown = probability_text(entry)
        assert sum(int(part) for part in shown.removesuffix(" %").split(" · ")) == 100
        assert shown in words(out)
        assert shown in (out / "report.html").read_text()


def test_a_doubt_holds_the_case_and_its_values(tmp_path):
    """A physician needs the preliminary values to settle a doubt, so they are carried but not released."""
    out = reported(build(tmp_path / "case", 4.0, doubts=(DOUBT,)), tmp_path, record())
    document = answer(out)

    assert (document["verdict"], document["released"]) == ("held", False)
    assert [reason["message"] for reason in document["reasons"]] == [DOUBT]
    assert document["stenoses"][0]["ffr"] is not None
    assert "not released" in words(out)


def test_a_failed_run_check_withholds_every_ffr(tmp_path):
    """A flow solution that loses mass says nothing about pressure: no FFR, in no file, nor in a picture."""
    out = reported(build(tmp_path / "case", 4.0, check_passes=False), tmp_path, record())
    document = answer(out)
    values = [entry["ffr"] for name in ("stenoses", "vessels", "branches") for entry in document[name]]

    assert (document["verdict"], document["ffr_withheld"]) == ("held", True)
    assert set(values) == {None}
    assert {entry["band_probability"] for name in ("stenoses", "vessels") for entry in document[name]} == {None}
    assert document["reasons"][0]["message"] == "Mass balance is 0.031, wanted ≤ 10⁻⁶"
    assert document["cad_rads"]["modifier"] is None


def test_a_part_that_failed_in_three_dimensions_holds_the_case_with_reduced_values(tmp_path):
    """No FFR is taken from it; the reduced model's own checks passed, so its values are shown, preliminary, with the reason."""
    out = reported(build(tmp_path / "case", 4.0, part="failed"), tmp_path, record())
    document = answer(out)

    assert (document["verdict"], document["released"], document["ffr_withheld"]) == ("held", False, False)
    assert document["stenoses"][0]["ffr"] is not None
    assert document["flow"]["used"] == "reduced"
    assert [reason["stage"] for reason in document["reasons"]] == ["flow"]
    assert "three-dimensional flow at LAD L1 failed its checks (mass balance is 0.004" in document["reasons"][0]["message"]
    assert {c["passed"] for c in document["checks"] if c.get("part") == "LAD L1"} == {True, False}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        pytest.param("solved", "Solved in three dimensions at LAD L1, by the reduced-order model elsewhere.", id="solved"),
        pytest.param("not solved", "its solution would take about 41 minutes and 15 are allowed", id="no time"),
        pytest.param("", "The reduced-order model was used everywhere, as asked.", id="reduced"),
    ],
)
def test_the_report_says_which_flow_model_stands_where(tmp_path, part, said):
    """An answer without 3-D is an answer; that the time did not suffice is said plainly, on the page and in print."""
    out = reported(build(tmp_path / "case", 4.0, part=part), tmp_path, record())
    document = answer(out)

    assert document["verdict"] == "answered"
    assert said in words(out)
    assert said in (out / "report.html").read_text()
    assert document["flow"]["used"] == ("lesion3d" if part == "solved" else "reduced")


def test_pictures_of_ffr_are_left_out_where_ffr_is_withheld(tmp_path):
    """The coloured tree and the pull-back graph show FFR; the reformation and the slices show only the images."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    kinds = ("tree", "pullback", "reformation", "lesion", "quality")
    entries = [
        {"name": k, "path": f"{k}.svg", "kind": k, "vessel": None, "stenosis": None, "caption": k, "alt": k} for k in kinds
    ]
    for kind in kinds:
        (folder / f"{kind}.svg").write_text("<svg/>")
    (folder / "pictures.json").write_text(json.dumps({"pictures": entries, "notes": []}))

    shown, _ = report.read_pictures({"pictures": folder}, ffr_withheld=True)

    assert [entry["kind"] for entry, _ in shown] == ["reformation", "lesion", "quality"]


def test_a_refused_case_says_what_was_found_and_what_to_send(artefacts, tmp_path):
    """The sentence of the stage that refused stands on the first page, with a remedy and slices of what was sent."""
    out = reported(artefacts, tmp_path, record("anatomy", "data", REFUSAL), BEYOND)
    document = answer(out)

    assert document["verdict"] == "rejected"
    assert document["reasons"][0]["stage"] == "anatomy"
    assert document["reasons"][0]["remedy"]
    assert "Contrast in the aorta is 143 HU" in words(out)
    assert "data:image/png" in (out / "report.html").read_text()


def test_an_occlusion_has_its_category_though_the_case_is_refused():
    """No FFR behind a closed artery, so the boundary stage refuses; CAD-RADS 5 without a modifier is a finding all the same."""
    tree = invented_tree()
    closed = replace(tree.stenoses[0], diameter_stenosis=1.0, area_stenosis=1.0, minimal_lumen_diameter_mm=0.0)
    refused = record("boundary", "data", "the lumen of LAD is closed 12 mm from its origin")

    document = result_document(refused, Artefacts(tree=replace(tree, stenoses=(closed, *tree.stenoses[1:]))))

    assert document["verdict"] == "rejected"
    assert document["cad_rads"]["text"] == "CAD-RADS 5"


def test_a_case_refused_late_shows_what_was_measured(tmp_path):
    """An occlusion has no FFR: the physician sees the stenoses and the doubts that the tree already had."""
    message = "the lumen of D1 is closed 12 mm from its origin"
    artefacts = build(tmp_path / "case", 4.0, doubts=(DOUBT,))
    out = reported(artefacts, tmp_path, record("boundary", "data", message), ("boundary", "flow", "ffr"))
    document = answer(out)

    assert [reason["message"] for reason in document["reasons"]] == [message, DOUBT]
    assert (len(document["stenoses"]), document["cad_rads"]) == (3, None)
    assert "mid LAD (7)" in words(out)
    assert "The right coronary artery ends 41 mm" in words(out)


def test_a_case_refused_at_the_door_still_has_a_report(tmp_path):
    """Nothing exists but the record."""
    out = reported({}, tmp_path, record("receive", "data", "found 20 slices, wanted 100 to 500"))

    assert answer(out)["verdict"] == "rejected"
    assert "Found 20 slices, wanted 100 to 500." in words(out)


@pytest.mark.parametrize("kind", ["bug", "transient"])
def test_an_error_of_the_program_is_not_repeated(artefacts, tmp_path, kind):
    """The message of an unexpected error may hold a value from the patient's file: the report gives a reference instead."""
    out = reported(artefacts, tmp_path, record("flow", kind, "ValueError: Doe^Jane"), ("flow", "ffr"))
    document = answer(out)

    assert (document["verdict"], document["reasons"][0]["stage"]) == ("failed", "flow")
    assert document["reasons"][0]["reference"].startswith("demo-0001/flow/07ababababab")
    assert not any(b"Doe^Jane" in path.read_bytes() for path in out.iterdir())


def test_a_record_without_the_last_stages_is_no_answer(artefacts, tmp_path):
    """A pipeline stopped by hand has no failure and no FFR; silence must not read as a healthy patient."""
    told = record("ffr", "bug", "")
    for stage in told["stages"]:
        if stage["state"] == "failed":
            stage |= {"state": "not run", "failure": None, "key": None}
    out = reported(artefacts, tmp_path, told, ("ffr",))

    assert answer(out)["verdict"] == "failed"
    assert "the stage ffr has not been run" in answer(out)["reasons"][0]["message"]


def test_equal_cases_have_equal_reports(artefacts, tmp_path):
    """Byte for byte: the three files depend on nothing but the artefacts and the record."""
    hashes = [
        [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(reported(artefacts, tmp_path / n, record()).iterdir())
        ]
        for n in ("one", "two")
    ]

    assert len(hashes[0]) == 3
    assert hashes[0] == hashes[1]


def test_the_stage_writes_what_it_declares(artefacts, tmp_path):
    """The names of the files are those of the pipeline's declaration."""
    out = reported(artefacts, tmp_path, record())

    assert {path.name for path in out.iterdir()} == {output.path for output in PIPELINE.stage("report").outputs}


def test_a_case_without_a_stenosis_says_so(artefacts, tmp_path):
    """No lesion, no ischaemia modifier; the lowest FFR of a vessel is given instead."""
    documents = {name: json.loads(artefacts[name].read_text()) for name in ("tree", "ffr")}
    documents["tree"]["stenoses"] = []
    documents["ffr"]["lesions"] = []
    for vessel in documents["ffr"]["vessels"]:
        vessel["lesions"] = []
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    out = reported(artefacts | {name: tmp_path / f"{name}.json" for name in documents}, tmp_path, record())

    assert answer(out)["cad_rads"]["text"] == "CAD-RADS 0"
    assert "No stenosis found" in words(out)


@pytest.mark.parametrize(
    ("lesions", "said"),
    [
        pytest.param([(0.69, 0.60, 0.74, 0.29)], "beyond L1", id="one"),
        pytest.param([(0.69, 0.60, 0.79, 0.29), (0.67, 0.60, 0.74, 0.01)], "Most is lost across L1", id="in series"),
        pytest.param([(0.74, 0.60, 0.84, 0.2)], "reaches above 0.80", id="positive and perhaps not"),
        pytest.param([(0.85, 0.74, 0.9, 0.1)], "flow-limiting stenosis is not excluded", id="negative and perhaps not"),
        pytest.param([(0.85, 0.78, 0.9, 0.1)], "into the grey zone", id="negative, perhaps grey"),
    ],
)
def test_the_answer_says_what_the_interval_leaves_open(lesions, said):
    """(FFR, low, high, delta) of lesions of one vessel, from the ostium on; bands as of Norgaard 2019."""
    bands = [("positive" if f <= 0.75 else "grey" if f <= 0.80 else "negative") for f, *_ in lesions]
    stenoses = [
        {"label": f"L{n + 1}", "vessel": "LAD", "segment_name": "mid LAD", "diameter_stenosis": 0.5, "ffr": f, "ffr_low": low}
        | {"ffr_high": high, "delta_ffr": delta, "band": band}
        for n, ((f, low, high, delta), band) in enumerate(zip(lesions, bands, strict=True))
    ]
    result = {"stenoses": stenoses, "vessels": [], "interval": {"level": 0.95}, "cad_rads": {"text": "CAD-RADS 3"}}

    assert said in answered(result).text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("aortic_pressure_mmhg", "Aortic pressure", id="unit left out"),
        pytest.param("lv_mass_g", "LV mass", id="abbreviation"),
        pytest.param("reynolds number", "Reynolds number", id="a name"),
    ],
)
def test_a_field_is_named_for_a_reader(name, text):
    """The unit stands with the value, not in the name."""
    assert VOCABULARY.name(name) == text


def stenosis(branch, severity, ffr=None, band=None):
    """Return as much of a stenosis as the category needs."""
    return {"branch_name": branch, "diameter_stenosis": severity, "ffr": ffr, "band": band}


@pytest.mark.parametrize(
    ("stenoses", "category"),
    [
        pytest.param([], "CAD-RADS 0", id="none"),
        pytest.param([stenosis("LAD", 0.24)], "CAD-RADS 1", id="24 per cent is minimal"),
        pytest.param([stenosis("LAD", 0.25)], "CAD-RADS 2", id="25 per cent is mild"),
        pytest.param([stenosis("D1", 0.494)], "CAD-RADS 2", id="49 per cent is mild"),
        pytest.param([stenosis("LAD", 0.496)], "CAD-RADS 3", id="judged as shown, 50 per cent"),
        pytest.param([stenosis("RCA", 0.70)], "CAD-RADS 4A", id="70 per cent is severe"),
        pytest.param([stenosis("LM", 0.50)], "CAD-RADS 4B", id="left main"),
        pytest.param([stenosis("D1", 0.7), stenosis("OM2", 0.75), stenosis("R-PDA", 0.8)], "CAD-RADS 4B", id="three vessels"),
        pytest.param([stenosis("LAD", 0.7), stenosis("D1", 0.75), stenosis("RCA", 0.8)], "CAD-RADS 4A", id="two vessels"),
        pytest.param([stenosis("LAD", 1.0), stenosis("LM", 0.6)], "CAD-RADS 5", id="occlusion"),
        pytest.param([stenosis("LAD", 0.6, 0.71, "positive")], "CAD-RADS 3/I+", id="ischaemia"),
        pytest.param([stenosis("LAD", 0.6, 0.78, "grey"), stenosis("RCA", 0.3, 0.9, "negative")], "CAD-RADS 3/I±", id="grey"),
        pytest.param([stenosis("LAD", 0.6, 0.88, "negative")], "CAD-RADS 3/I-", id="no ischaemia"),
        pytest.param([stenosis("LAD", 0.2, 0.98, "negative")], "CAD-RADS 1", id="nothing to modify"),
    ],
)
def test_the_category_follows_cad_rads_2(stenoses, category):
    """Table 2 and the modifier I of Cury et al., J Cardiovasc Comput Tomogr 16:536 (2022)."""
    assert suggest(stenoses)["text"] == category
