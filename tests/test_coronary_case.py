"""Whole coronary cases from a shell: from DICOM to a report, with no truth as input."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from algorithms.contract.case import Home
from edge.reidentify import Wanted, reidentify_results
from tests.cases import REAL_DATA, Answer, answer, dag_run_of, leaks, phantom, rejection, written

SETTINGS = ("flow_model=reduced",)
"""What these cases are about is not the flow; in three dimensions a lesion takes minutes."""


def identifying_values(study: Path) -> set[bytes]:
    """Return the values of the study's headers that name a person, a place or an object."""
    dataset = pydicom.dcmread(next(p for p in sorted(study.rglob("*")) if p.is_file()), stop_before_pixels=True)
    keywords = ("PatientName", "PatientID", "AccessionNumber", "InstitutionName", "StudyInstanceUID", "SeriesInstanceUID")
    values = {str(dataset[k].value) for k in keywords if k in dataset}
    values |= {part for part in str(dataset.PatientName).replace("^", " ").split() if len(part) > 3}
    return {value.encode() for value in values if value}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return phantom("coronary", tmp_path_factory.mktemp("phantom"), "--seed", "100", "--size", "medium")


@pytest.fixture(scope="module")
def case(study, tmp_path_factory) -> Answer:
    return answer("coronary", study, tmp_path_factory.mktemp("home"), *SETTINGS)


@pytest.mark.slow
def test_a_study_ends_in_an_answer_with_a_report(case):
    """The answer keeps its published schema; exit code 0 also for a case that is held for review."""
    assert case.code == 0, case.text
    assert case.result["verdict"] in {"answered", "held"}
    case.checked()


@pytest.mark.slow
def test_nothing_of_the_identity_leaves_the_vault(study, case):
    """Every byte of every artefact, manifest and log line; the original is deleted."""
    values = identifying_values(study)

    assert len(values) >= 5
    assert not list(case.home.glob("inbox/*/study"))
    assert [] == leaks(case, values)


@pytest.mark.slow
def test_a_dag_run_gives_the_same_bytes_as_a_shell(study, case, tmp_path):
    """Results depend on content, parameters and key alone: not on the time, the place or who starts a stage."""
    again = dag_run_of(case, "coronary_ffr", study, tmp_path, flow_model="reduced")

    assert written(Path(case.summary["case"])) == written(again)


@pytest.mark.slow
def test_its_results_can_be_filed_under_the_patient_again(study, case, tmp_path):
    """By the hospital's command, from what the vault kept when the identity was taken out; every image is known there."""
    original = pydicom.dcmread(next(p for p in sorted(study.rglob("*")) if p.is_file()), stop_before_pixels=True)
    exchanged = next((case.home / "cases").glob("*/exchange/*"))

    wanted = Wanted(exchanged / "dicom_results", case.summary["case_id"], fhir=exchanged / "fhir.json")
    filed = reidentify_results(Home(case.home), wanted, tmp_path / "out")

    objects = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").glob("*.dcm"))]
    assert filed == len(objects) + 1
    assert {"SEG", "SR", "DOC", "OT"} == {str(dataset.Modality) for dataset in objects}
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert {str(dataset[keyword].value) for dataset in objects} == {str(original[keyword].value)}


@pytest.mark.slow
def test_a_second_run_of_a_case_computes_nothing(study, case):
    """Everything is found by its key, although the original is received again; it is deleted again."""
    again = answer("coronary", study, case.home, *SETTINGS)

    assert again.code == 0
    assert again.summary["result"] == case.summary["result"]
    assert not list(case.home.glob("inbox/*/study"))


def test_an_empty_folder_ends_in_a_report(tmp_path):
    """A report is always written."""
    (tmp_path / "empty").mkdir()

    assert "no file" in rejection(answer("coronary", tmp_path / "empty", tmp_path / "home"))


@pytest.mark.slow
def test_files_that_are_no_dicom_end_in_a_report(tmp_path):
    """The files' names do not come back, they may be names of people."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Muster^Max.txt").write_text("a letter")

    case = answer("coronary", tmp_path / "in", tmp_path / "home")

    assert "DICOM" in rejection(case)
    assert "Muster" not in case.text


@pytest.mark.slow
@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder")
def test_a_real_trunk_ct_without_a_whole_heart_is_rejected_with_what_to_send(tmp_path):
    """Twenty slices of 2 mm cover 40 mm; a heart needs three times that."""
    case = answer("coronary", Path(str(REAL_DATA)) / "ct_siemens_contrast", tmp_path / "home")

    reason = rejection(case)
    assert "20 slices" in reason
    assert "send" in reason
