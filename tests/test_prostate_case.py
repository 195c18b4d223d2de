"""Whole cases of biopsy slides from a shell: from slide files to a report."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import pytest

from tests.cases import REAL_DATA, Answer, answer, dag_run_of, leaks, phantom, rejection, written


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return phantom("prostate", tmp_path_factory.mktemp("phantom"), "--seed", "1", "--size", "small")


@pytest.fixture(scope="module")
def case(study, tmp_path_factory) -> Answer:
    return answer("prostate", study, tmp_path_factory.mktemp("home"))


def used(case: Answer) -> dict[str, bool]:
    """Return whether each slide was used."""
    return {slide["label"]: slide["used"] for slide in case.result["slides"]}


@pytest.mark.slow
def test_slides_end_in_an_answer_with_a_report(case):
    """Four risks within their intervals, growing with the years; exit code 0 also for a case that is held for review."""
    assert case.code == 0, case.text
    assert case.checked().result["verdict"] in {"answered", "held"}
    risks = {(r["endpoint"], r["horizon_years"]): r for r in case.result["risks"]}
    assert len(risks) == 4
    assert all(0 <= r["risk_low"] <= r["risk"] <= r["risk_high"] <= 1 for r in risks.values())
    for endpoint in ("distant_metastasis", "prostate_cancer_death"):
        assert risks[endpoint, 5]["risk"] < risks[endpoint, 10]["risk"]
    assert all(used(case).values())


@pytest.mark.slow
def test_nothing_of_the_identity_leaves_the_vault(study, case):
    """Every value that the phantom planted in labels' text, descriptions, names and dates; the original is deleted."""
    planted = json.loads((study.parent / "truth" / "planted.json").read_text())
    values = {value.encode() for kind in planted.values() for value in kind}

    assert len(values) >= 15
    assert not list(case.home.glob("inbox/*/study"))
    assert [] == leaks(case, values)


@pytest.mark.slow
def test_a_second_run_of_a_case_computes_nothing(study, case):
    """Everything is found by its key, although the original is received again; it is deleted again."""
    again = answer("prostate", study, case.home)

    assert again.code == 0
    assert again.summary["result"] == case.summary["result"]
    assert not list(case.home.glob("inbox/*/study"))


@pytest.mark.slow
def test_a_dag_run_gives_the_same_bytes_as_a_shell(study, case, tmp_path):
    """Also of a stage that Airflow runs once a slide and a shell in one process."""
    again = dag_run_of(case, "prostate_risk", study, tmp_path)

    assert written(Path(case.summary["case"])) == written(again)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        pytest.param("white", "no tissue", id="all white"),
        pytest.param("pen", "pen", id="only pen"),
        pytest.param("truncated", "cut off", id="cut at 60 %"),
        pytest.param("nompp", "same slide", id="a copy that lacks its scale"),
        pytest.param("striped", "strip", id="striped"),
        pytest.param("jpeg", "JPEG", id="a JPEG renamed .svs"),
    ],
)
def test_a_case_with_one_bad_slide_goes_on_and_says_so(tmp_path, bad, says):
    """The good slides answer; the bad one stands in result and report with its reason."""
    case = answer(
        "prostate", phantom("prostate", tmp_path / "p", "--seed", "2", "--size", "small", "--bad", bad), tmp_path / "h"
    )

    assert case.code == 0, case.text
    assert list(used(case).values()).count(False) == 1
    assert list(used(case).values()).count(True) >= 2
    reason = next(slide["reason"] for slide in case.checked().result["slides"] if not slide["used"])
    assert says in reason
    assert reason[1:12] in html.unescape(Path(case.summary["html"]).read_text())


@pytest.mark.slow
def test_slides_without_clinical_values_are_answered_with_what_is_missing(study, tmp_path):
    """Missing values are allowed and shown; without them no NCCN group can be computed."""
    (tmp_path / "slides").mkdir()
    for slide in study.glob("*.svs"):
        shutil.copy(slide, tmp_path / "slides")

    case = answer("prostate", tmp_path / "slides", tmp_path / "home")

    assert case.code == 0, case.text
    assert case.checked().result["nccn"]["group"] is None
    assert {c["origin"] for c in case.result["clinical"]} == {"missing"}


@pytest.mark.slow
def test_slides_of_two_patients_are_refused(study, tmp_path):
    """One report about two people would be worse than none."""
    other = phantom("prostate", tmp_path / "other", "--seed", "3", "--size", "small")
    (tmp_path / "both").mkdir()
    for number, path in enumerate([*study.glob("*.svs"), *other.glob("*.svs")]):
        shutil.copy(path, tmp_path / "both" / f"{number}.svs")

    assert "patient" in rejection(answer("prostate", tmp_path / "both", tmp_path / "home"))


def test_an_empty_folder_ends_in_a_report(tmp_path):
    """A report is always written."""
    (tmp_path / "empty").mkdir()

    assert "no " in rejection(answer("prostate", tmp_path / "empty", tmp_path / "home"))


@pytest.mark.slow
@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder")
def test_a_real_slide_runs_whole(tmp_path):
    """Aperio's CMU-1 small region, 2220 x 2967 at 0.499 mpp: a skin section, so whatever its risk, it must not be believed."""
    case = answer("prostate", Path(str(REAL_DATA)) / "slide" / "cmu-1-small-region.svs", tmp_path / "home")

    assert case.code == 0, case.text
    assert case.checked().result["verdict"] == "held"
    assert used(case) == {"s01": True}
